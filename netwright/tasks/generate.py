"""More text like the text it learned from: the next token, again and again."""

# K = members, B = windows, T = tokens, V = size of the vocabulary, S = statistics of a window

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.base.errors import BundleError, RecipeError
from netwright.base.schema import JSON, Choice, Finding, Shape
from netwright.data.kinds.text import Text
from netwright.data.packed import Packed
from netwright.data.tokens import BEGIN, FIRST, Codes
from netwright.networks.inputs.steps import WINDOWS
from netwright.objectives import metrics, sequences
from netwright.objectives.ngrams import Counts
from netwright.tasks import recall
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim, Rival

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table

STATISTICS = ("nats", "tokens", "hits", "characters")
AT_ONCE = 200_000
"""Characters that are cut into tokens together."""


class Generate(AbstractTask):
    """A language model: each token from the tokens before it.

    Trained on every token of a window at once; measured so that each token of a part is predicted exactly
    once, with at least half a window before it.
    """

    name = "generate"
    needs = "steps"
    causal = True
    rowwise = False
    calibrates = False
    linear = False

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        metric: str = ""
        """The headline metric; empty: perplexity."""
        counted: int = 3_000_000
        """Tokens, the last of the training text, whose counts stand beside the network, 0-10,000,000; 0: none.
        Fewer where the minutes or the memory hold fewer."""

        def __post_init__(self) -> None:
            """Checks the settings.

            Raises:
                RecipeError: If one is out of range.
            """
            if not 0 <= self.counted <= 10_000_000:
                raise RecipeError(
                    f"task.counted is {self.counted}.", hint="give up to 10,000,000 tokens, or 0 for none."
                )

    def __init__(self, settings: Any, outputs: int, characters_V: Tensor) -> None:
        self.columns = ()
        self.settings = settings
        self.outputs = outputs
        self.characters_V = characters_V
        self.learned = np.empty(0, dtype=np.int64)
        self.counts: Counts | None = None

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """A running text."""
        return Claim(strength=90, why="a running text without columns") if shape == "corpus" else None

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """An empty task: the tokens come from the text's own kind, in `bind`."""
        return cls(make(cls.Settings, settings, "task"), 0, torch.zeros(0))

    def bind(self, inputs: Inputs) -> None:
        """Takes over the tokens of the text.

        Raises:
            RecipeError: If there is anything but one text.
        """
        text = _text(inputs)
        self.outputs = text.tokenizer.size
        lengths = [0.0] * FIRST + [
            float(len(text.tokenizer.decode([code]))) for code in range(FIRST, self.outputs)
        ]
        self.characters_V = torch.tensor(lengths)
        if self.settings.counted:
            what = (
                "the model file will hold which tokens followed up to seven others, under hashes: much of the "
            )
            what += "the text can be told from them"
            self.findings = (Finding(name="stored", what=what, done="task.counted=0 leaves them out"),)

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """Perplexity first."""
        return metrics.lead_by(sequences.GENERATE, self.settings.metric or "perplexity")

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """Windows of tokens, and the same one token later.

        Args:
            table: The pieces of the text.
            rows: Those of one part, in order.
            inputs: The fitted text.
            learn: Whether windows may overlap as they like. Otherwise each begins half a window after the one
                before, reaching back into the text before the part, and only its later half counts.
        """
        text = _text(inputs)
        codes, context = encode(text, table, rows), text.longest
        if learn:
            self.learned = codes
            begins = np.arange(0, max(1, len(codes) - context), max(1, context // WINDOWS))
            inputs_, later = _windows(codes, begins, context, 0)
        else:
            half = max(1, context // 2)
            flat = np.concatenate([self._before(text, table, rows, half + 1), codes])
            inputs_, later = _windows(flat, np.arange(0, max(1, len(codes)), half), 2 * half, half)
        return {text.field().key: inputs_}, later

    def _before(self, text: Text, table: Table, rows: Rows, count: int) -> Codes:
        """The tokens before the first row; marks where there are too few."""
        first = int(rows[0]) if len(rows) else 0
        earlier = np.arange(max(0, first - 40 * count), first)
        codes = encode(text, table, earlier)[-count:] if len(earlier) else np.empty(0, dtype=np.int64)
        return np.concatenate([np.full(count - len(codes), BEGIN, dtype=np.int64), codes])

    def head(self, width: int, members: int) -> nn.Module:
        """From features (K, B, T, D) to scores (K, B, T, V)."""
        return recall.Recaller(members, width, self.outputs, self.counts)

    def study(
        self, inputs: Mapping[str, Packed], target: Packed, *, seconds: float, memory: int
    ) -> Mapping[str, Choice]:
        """Counts what followed up to seven tokens of the training text."""
        began, order = time.monotonic(), recall.order(self.outputs)
        most = min(self.settings.counted, len(self.learned))
        held = memory // (order * recall.BYTES_A_TOKEN)
        count = int(min(most, seconds / (2 * order * recall.SECONDS_A_TOKEN), held))
        if not count:
            return {}
        self.learned = self.learned[-count:]
        self.counts = Counts.of(self.learned, self.outputs, order)
        self.settling = recall.CHOOSING + 3 * (time.monotonic() - began)  # counts again, and answers by them
        if count >= most:
            return {}
        return {"task.counted": Choice(value=count, why="the minutes and the memory hold no more")}

    def settle(self, network: nn.Module, inputs: Mapping[str, Packed], target: Packed) -> Mapping[str, Choice]:
        """How much counts say beside the network; then what validation rows hold is counted too."""
        if self.counts is None:
            return {}
        head, counted = network.get_submodule("head"), 0.0
        if len(target):
            (own, counted), (before, after) = recall.chosen_powers(network, self.counts, inputs, target)
        if counted <= 0.0:
            self.counts = head.counts = None  # type: ignore[assignment]
            return {}
        seen = target.values.numpy()
        text = np.append(self.learned, seen[seen > 0])
        self.counts = head.counts = Counts.of(text, self.outputs, recall.order(self.outputs))  # type: ignore[assignment]
        head.get_buffer("powers").copy_(torch.tensor([own, counted]))
        why = f"chances by counts to this power, beside those of the network to {own:.2f}: {after:.4g} nats a "
        why += f"token of validation text instead of {before:.4g}"
        return {"counts": Choice(value=round(counted, 3), why=why, by="measured")}

    def encode(self, target: pl.DataFrame) -> Tensor:
        """Nothing: the text is its own target."""
        return torch.zeros(target.height)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens of each window, (B,), nats, averaged over members."""
        nats_KBT, there_BT = self._nats(output, target)
        return (nats_KBT.mean(0) * there_BT).sum(1) / there_BT.sum(1).clamp(min=1)

    def condense(self, output: Tensor, target: Tensor) -> Tensor:
        """(1, B, S) sums over the tokens of each window that count."""
        nats_KBT, there_BT = self._nats(output, target)
        sums = [
            (nats_KBT.mean(0) * there_BT).sum(1),
            there_BT.sum(1),
            ((output.mean(0).argmax(-1) == target) & there_BT).sum(1),
            (self.characters_V.to(target.device)[target] * there_BT).sum(1),
        ]
        return torch.stack([each.float() for each in sums], dim=1).unsqueeze(0)

    def _nats(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        members = output.shape[0]
        nats = torch.nn.functional.cross_entropy(
            output.flatten(0, 2), target.flatten().repeat(members), reduction="none"
        )
        return nats.view(members, *target.shape), target > 0

    def watch(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Nats a token, and the headline."""
        frame = self.statistics(output, Packed(target))
        return {"loss": sequences.per(frame, "nats", "tokens"), "score": self.metrics[0].reduce(frame)}

    def calibrate(self, output: Tensor, target: Tensor) -> Self:
        """The task as it is: a language model trained on its own loss is calibrated as it stands."""
        return self

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """Nats, tokens, hits and characters of each window."""
        return self.statistics(output_KBO, Packed(output_KBO[0]))

    def statistics(self, output: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `nats`, `tokens`, `hits` and `characters`, a row a window."""
        import polars as pl

        values = output[0].double().cpu().numpy()
        return pl.DataFrame({name: values[:, place] for place, name in enumerate(STATISTICS)})

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """Each token by its frequency in training; counts of up to so many tokens in a row."""
        text = train.values.numpy()
        text, most = text[text > 0], recall.order(self.outputs)
        alone = Counts.of(text, self.outputs, 1)
        yield Rival("unigram", "each token by its frequency", self._counted(alone, target))
        counts = self.counts or Counts.of(text, self.outputs, most)
        yield Rival("n-gram", f"counting up to {most} tokens in a row", self._counted(counts, target))

    def _counted(self, counts: Counts, target: Packed) -> pl.DataFrame:
        """The statistics of an n-gram model; its context is all tokens before, in this part."""
        import polars as pl

        assert target.spans is not None
        flat = target.values.numpy()
        there = flat > 0
        nats = np.zeros(len(flat))
        nats[there] = counts.surprise(flat[there])
        characters = self.characters_V.numpy()[flat] * there
        columns = {"nats": nats, "tokens": there, "hits": np.zeros(len(flat)), "characters": characters}
        starts = target.spans[:, 0].numpy()
        return pl.DataFrame(
            {name: np.add.reduceat(values.astype(np.float64), starts) for name, values in columns.items()}
        )

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Settings, characters a token, and counts."""
        counted = self.counts.tensors() if self.counts else {}
        facts: JSON = {"settings": asdict(self.settings), "outputs": self.outputs}
        return facts, {"characters": self.characters_V, **counted}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            settings, outputs = make(cls.Settings, facts["settings"], "task"), int(facts["outputs"])
            characters = tensors["characters"]
            counts = Counts.restore(tensors, outputs) if len(tensors) > 1 else None
        except (KeyError, TypeError, ValueError, RecipeError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        if characters.shape != (outputs,) or characters.dtype != torch.float32:
            raise BundleError("the model's tokens and characters do not fit together.")
        task = cls(settings, outputs, characters)
        task.counts = counts
        return task


def encode(text: Text, table: Table, rows: Rows) -> Codes:
    """The tokens of these pieces, joined; never cut."""
    whole = "".join(cell or "" for cell in table.column(text.column, rows).to_list())
    parts = [whole[start : start + AT_ONCE] for start in range(0, len(whole), AT_ONCE)]
    return np.concatenate([np.empty(0, dtype=np.int64), *text.tokenizer.encode(parts)])


def _windows(flat: Codes, begins: npt.NDArray[np.int64], length: int, before: int) -> tuple[Packed, Packed]:
    """Windows of tokens, and the tokens after each; of those the first `before` of a window do not count."""
    ends = np.minimum(begins + length, len(flat) - 1)
    spans = torch.from_numpy(np.stack([begins, ends - begins], axis=1))
    values = torch.from_numpy(flat)
    if not before:
        return Packed(values, spans), Packed(values, torch.stack([spans[:, 0] + 1, spans[:, 1]], dim=1))
    later = []
    for begin, end in zip(begins, ends, strict=True):
        counted = flat[begin + 1 : end + 1].copy()
        counted[:before] = 0
        later.append(counted)
    lengths = spans[:, 1]
    starts = lengths.cumsum(0) - lengths
    return Packed(values, spans), Packed(
        torch.from_numpy(np.concatenate(later)), torch.stack([starts, lengths], 1)
    )


def _text(inputs: Inputs) -> Text:
    kinds = inputs.kinds
    if len(kinds) != 1 or not isinstance(kinds[0], Text):
        raise RecipeError("generate learns from one text and nothing beside it.", hint="give a text file.")
    return kinds[0]

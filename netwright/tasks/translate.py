"""A text for a text: learned token by token, answered by beam search."""

# K = members, B = examples, T = tokens, V = size of the vocabulary, S = statistics of a pair

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, LENGTHS, Field, Shape
from netwright.data import tokens
from netwright.data.kinds.text import Text, strings
from netwright.data.packed import Packed, pack
from netwright.data.tokens import BEGIN, END, Tokenizer
from netwright.objectives import metrics, sequences, translations
from netwright.tasks.network import SCORES_AT_ONCE
from netwright.tasks.search import search
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim, Rival

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table
    from netwright.objectives.metrics import Metric

SAID = "said"
"""Key of the field that takes what was said so far."""
LONGEST = 512
"""Tokens of one target text that are learned from, at most."""
STATISTICS = ("nats", "tokens", "hits")


class Translate(AbstractTask):
    """A text in other words: a network that reads the whole source, then says the target token by token.

    While it learns it is shown the truth up to each token (its perplexity decides when to stop); what it is
    measured by is what it says by itself.
    """

    name = "translate"
    needs = "decoder"
    searches = True
    seconds_an_answer = 10e-3
    calibrates = False
    linear = False

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        beam: int = 4
        """Answers that are followed up side by side, 1-64; 1 takes the likeliest token each time."""
        tokens: int = 0
        """Size of the target's vocabulary, 300-200000; 0: from the data."""
        label_smoothing: float = 0.1
        """Share of each truth that is spread over all tokens while learning, 0-0.5."""
        metric: str = ""
        """The headline metric; empty: bleu."""

        def __post_init__(self) -> None:
            """Checks the settings.

            Raises:
                RecipeError: If one is out of range.
            """
            if not 1 <= self.beam <= 64:
                raise RecipeError(f"task.beam is {self.beam}.", hint="give 1 to 64 beams.")
            if self.tokens and not 300 <= self.tokens <= tokens.MOST:
                raise RecipeError(f"task.tokens is {self.tokens}.", hint=f"give 300 to {tokens.MOST:,}, or 0.")
            if not 0.0 <= self.label_smoothing <= 0.5:
                raise RecipeError(
                    f"task.label_smoothing is {self.label_smoothing}.", hint="give a share of 0 to 0.5."
                )

    def __init__(self, settings: Any, column: str, tokenizer: Tokenizer, longest: int) -> None:
        self.settings = settings
        self.columns = (column,)
        self.tokenizer = tokenizer
        self.longest = longest
        self.outputs = tokenizer.size
        self.prefix = Field(
            key=SAID, columns=(column,), layout="tokens", shape=(longest + 1,), sizes=(tokenizer.size,)
        )

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Pairs of texts."""
        return Claim(strength=90, why="a text beside a text") if shape == "pairs" else None

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """Tokens of the training targets, and how long they may be.

        Raises:
            DataError: If there is more than one target, or no text in it.
            RecipeError: If a setting is unknown or out of range.
        """
        made = make(cls.Settings, settings, "task")
        if target.width != 1:
            raise DataError("a translation has one target column.", hint="name one with --target.")
        texts = strings(target.to_series())
        characters = sum(map(len, texts))
        if not characters:
            raise DataError(
                f"target column '{target.columns[0]}' has no text in the training rows.",
                hint="give pairs with a text on either side.",
            )
        size = made.tokens or tokens.size_for_pairs(characters)
        tokenizer = Tokenizer.fit(texts, "bpe", size, lower=False)
        longest = max((len(each) for each in tokenizer.encode(texts)), default=1)
        return cls(made, target.columns[0], tokenizer, max(1, min(LONGEST, longest)))

    def bind(self, inputs: Inputs) -> None:
        """Checks that there is one source.

        Raises:
            RecipeError: If there is anything but one text.
        """
        _source(inputs)

    @property
    def metrics(self) -> Sequence[Metric]:
        """BLEU first."""
        return metrics.lead_by(translations.TRANSLATE, self.settings.metric or "bleu")

    @property
    def watched(self) -> Metric:
        """Perplexity of the truth: a search for every evaluation would cost more than the learning."""
        return sequences.GENERATE[0]

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """The source, the target from its beginning, and the target to its end.

        Args:
            table: The pairs.
            rows: Those of one part.
            inputs: The fitted source.
            learn: Whether they are learned from: then a very long target is cut.
        """
        said, target = [], []
        for codes in self.tokenizer.encode(strings(table.column(self.columns[0], rows))):
            shown = torch.from_numpy(codes[: self.longest])
            whole = shown if learn else torch.from_numpy(codes)
            said.append(torch.cat([torch.tensor([BEGIN]), shown]))
            target.append(torch.cat([whole, torch.tensor([END])]))
        none = torch.zeros(0, dtype=torch.int64)
        return {**inputs.encode(table, rows), SAID: pack(said, none)}, pack(target, none)

    def encode(self, target: pl.DataFrame) -> Tensor:
        """Nothing: `examples` makes the targets."""
        return torch.zeros(target.height)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each pair's tokens over the mean tokens of a pair: their mean is that a token."""
        nats_BT, there_BT = self._nats(output, target, self.settings.label_smoothing)
        return nats_BT.sum(1) / (there_BT.sum() / len(there_BT)).clamp(min=1.0)

    def condense(self, output: Tensor, target: Tensor) -> Tensor:
        """(1, B, S) sums over the tokens of each target."""
        nats_BT, there_BT = self._nats(output, target, 0.0)
        said_BT = output.mean(0).argmax(-1)
        hits_BT = (said_BT == target[:, : said_BT.shape[1]]) & there_BT
        sums = [each.sum(1).float() for each in (nats_BT, there_BT, hits_BT)]
        return torch.stack(sums, dim=1).unsqueeze(0)

    def _nats(self, output: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        """(B, T) nats of each token, members averaged, 0 where there is none; and where there is one."""
        target = target[:, : output.shape[2]]  # a very long target is shown up to where it was cut
        nats = torch.nn.functional.cross_entropy(
            output.flatten(0, 2),
            target.flatten().repeat(len(output)),
            reduction="none",
            ignore_index=0,
            label_smoothing=smoothing,
        )
        return nats.view(len(output), *target.shape).mean(0), target > 0

    def watch(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Nats a token, and perplexity."""
        import polars as pl

        values = output[0].double().cpu().numpy()
        frame = pl.DataFrame({name: values[:, place] for place, name in enumerate(STATISTICS)})
        return {"loss": sequences.per(frame, "nats", "tokens"), "score": self.watched.reduce(frame)}

    def calibrate(self, output: Tensor, target: Tensor) -> Self:
        """The task as it is: an answer is searched for, it has no probability to be mended."""
        return self

    def respond(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        """(1, B, T) codes that beam search finds; no answer is longer than twice its source and ten tokens."""
        length_B = next(x for name, x in inputs.items() if name.endswith(LENGTHS) and not name.startswith(SAID))
        beam = self.settings.beam
        at_once = max(1, SCORES_AT_ONCE // (beam * self.outputs))
        found_BT = search(network, inputs, SAID, 2 * length_B + 10, beam=beam, at_once=at_once)
        return found_BT.unsqueeze(0)

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """`prediction`, the text."""
        import polars as pl

        return pl.DataFrame({"prediction": self._words(output_KBO[0])}, schema={"prediction": pl.String})

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Counts of `translations.counts`, and `answer` and `reference`."""
        return _compared(self._words(output_KBO[0]), self._words(target.each()))

    def _words(self, codes_BT: Iterable[Tensor]) -> list[str]:
        return [self.tokenizer.decode(codes_T.tolist()).strip() for codes_T in codes_BT]

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """The source as it stands."""
        source = _source(inputs)
        packed = seen[source.field().key]
        copies = [source.tokenizer.decode(codes_T.tolist()) for codes_T in packed.each()]
        yield Rival("copy", "the source as it stands", _compared(copies, self._words(target.each())))

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Settings, column, length and tokens."""
        facts = {"settings": asdict(self.settings), "column": self.columns[0], "longest": self.longest}
        content = torch.frombuffer(bytearray(self.tokenizer.to_bytes()), dtype=torch.uint8)
        return facts, {"tokens": content}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            settings = make(cls.Settings, facts["settings"], "task")
            column, longest, content = str(facts["column"]), int(facts["longest"]), tensors["tokens"]
        except (KeyError, TypeError, ValueError, RecipeError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        if content.dtype != torch.uint8 or content.ndim != 1 or not 1 <= longest <= LONGEST:
            raise BundleError("the model's task has a form that does not fit.")
        return cls(settings, column, Tokenizer.from_bytes(content.numpy().tobytes()), longest)


def _compared(answers: list[str], references: list[str]) -> pl.DataFrame:
    import polars as pl

    said = pl.DataFrame(
        {"answer": answers, "reference": references}, schema={"answer": pl.String, "reference": pl.String}
    )
    return translations.counts(answers, references).hstack(said)


def _source(inputs: Inputs) -> Text:
    kinds = inputs.kinds
    if len(kinds) != 1 or not isinstance(kinds[0], Text):
        raise RecipeError(
            "translate learns from one text column and nothing beside it.", hint="drop the other columns."
        )
    return kinds[0]

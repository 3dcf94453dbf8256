"""What is said in a clip, written down: connectionist temporal classification over its frames."""

# K = members, B = clips, T = steps, S = tokens of a transcript, V = size of the vocabulary

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Choice, Finding, Shape
from netwright.data import spelling
from netwright.data.packed import Packed, pack
from netwright.data.readers.media import sound_columns
from netwright.data.spelling import Unit
from netwright.data.table import SAID
from netwright.data.tokens import FIRST, UNKNOWN, Tokenizer
from netwright.objectives import alignment, metrics, transcripts
from netwright.objectives.sequences import per
from netwright.tasks.labels import as_numbers, looks_like_classes
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim, Head, Rival

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table

CLASSES = 50
"""Different values up to which what stands beside clips is the name of a class."""
STRIDES = (4, 2, 1)
"""Frames that one answer is given for: the most that leave room for the transcripts."""
ROOM = 2.0
"""Steps that there must be for each step that a transcript takes at least."""
FITTING = 0.99
"""Share of the training transcripts that there must be room for."""


class Transcribe(AbstractTask):
    """Characters or words, a distribution over them and the blank at each step, searched for the best text."""

    name = "transcribe"
    needs = "steps"
    calibrates = False
    linear = False
    searches = True
    seconds_an_answer = 15e-3
    only = ("audio",)

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        unit: Unit | None = None
        """Whether transcripts are made of characters or words; unset: words where there are few, all often."""
        lower: bool | None = None
        """Whether case is dropped; unset: where transcripts have upper and lower case."""
        stride: int | None = None
        """Frames that one answer is given for, 1-8; unset: 4, or fewer where people speak fast."""
        beam: int = 8
        """Beginnings that the search keeps at each step, 1-256; 1 takes the likeliest token of each step."""
        metric: str = ""
        """The headline metric; empty: word_error_rate."""

    def __init__(self, columns: Sequence[str], settings: Any, tokenizer: Tokenizer) -> None:
        for name, most in (("stride", 8), ("beam", 256)):
            value = getattr(settings, name)
            if value is not None and not 1 <= value <= most:
                raise RecipeError(f"task.{name} is {value}.", hint=f"give a whole number from 1 to {most}.")
        self.columns = tuple(columns)
        self.settings = settings
        self.tokenizer = tokenizer
        self.outputs = tokenizer.size

    @property
    def stride(self) -> int:
        """Frames that one answer is given for."""
        return self.settings.stride or STRIDES[0]

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Nothing: a text alone does not say that it was heard."""
        return None

    @classmethod
    def claims_in(cls, target: pl.DataFrame, table: Table) -> Claim | None:
        """A text beside clips: by its name, or where it is not the name of a class."""
        if table.shape != "rows" or target.width != 1 or target.columns[0] in table.kinds:
            return None
        if not set(sound_columns(table.cells)) - set(target.columns):
            return None
        if target.columns[0].lower() in SAID:
            return Claim(strength=95, why="it says what is spoken in the clips beside it")
        present = target.to_series().drop_nulls()
        distinct = present.n_unique()
        if looks_like_classes(present) is None or as_numbers(present) is not None:
            return None
        several = any(" " in text for text in spelling.texts(present.head(100)))
        if len(present) >= 2 * distinct and (distinct <= CLASSES or not several):
            return None
        return Claim(strength=85, why=f"it has {distinct:,} different texts beside clips")

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """The tokens of the training transcripts.

        Raises:
            DataError: If nothing is written in any.
            RecipeError: If a setting is unknown or out of range.
        """
        made = make(cls.Settings, settings, "task")
        if target.width != 1:
            raise RecipeError("transcribe takes one target column.", hint="name the one with the transcripts.")
        known = [text for text in spelling.texts(target.to_series()) if text]
        if not known:
            raise DataError(
                f"target column '{target.columns[0]}' has no transcript in the training rows.",
                hint="choose another --target.",
            )
        decided = {"lower": spelling.choose_case(known)}
        lower = decided["lower"].value if made.lower is None else made.lower
        known = [text.lower() for text in known] if lower else known
        decided["unit"] = spelling.choose_unit(known)
        unit = made.unit or decided["unit"].value
        task = cls(
            target.columns, replace(made, unit=unit, lower=lower), spelling.fit(known, unit, bool(lower))
        )
        task.decided = decided
        return task

    def survey(self, table: Table, rows: Rows, inputs: Inputs) -> Sequence[Finding]:
        """Decides how many frames one answer is given for; says which clips are too short for their text."""
        bands = inputs.fields()[0].shape[1]
        cells = table.column(inputs.names[0], rows)
        frames_N = torch.from_numpy((cells.list.len().fill_null(0) // bands).to_numpy().astype(np.int64))
        code_NS = self._codes(table.frame(self.columns, rows))
        least_N = torch.cat([alignment.needed(code_S.unsqueeze(0)) for code_S in code_NS.each()])
        if self.settings.stride is None:
            choice = _stride(frames_N, least_N)
            self.settings = replace(self.settings, stride=choice.value)
            self.decided = {**self.decided, "stride": choice}
        short = int((least_N > -(-frames_N // self.stride)).sum())
        if not short:
            return ()
        return (
            Finding(
                name="short clips",
                what=f"{short:,} clips are too short for all that is written beside them to be said",
                where=self.columns[0],
                count=short,
                done="nothing is learned from them; look whether the transcripts are right",
                severity="warning",
            ),
        )

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """Word error rate first."""
        return metrics.lead_by(transcripts.TRANSCRIBE, self.settings.metric or "word_error_rate")

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """Frames, and tokens of the transcripts."""
        return inputs.encode(table, rows), self._codes(table.frame(self.columns, rows))

    def _codes(self, target: pl.DataFrame) -> Packed:
        texts = spelling.texts(target.to_series())
        said = [torch.from_numpy(each) for each in spelling.codes(self.tokenizer, texts)]
        return replace(pack(said, torch.empty(0, dtype=torch.int64)), texts=texts)

    def encode(self, target: pl.DataFrame) -> Tensor:
        """(N,) 0, or -1 where a transcript has a token that training did not have."""
        said = spelling.codes(self.tokenizer, spelling.texts(target.to_series()))
        return torch.tensor([-int(UNKNOWN in each) for each in said], dtype=torch.int64)

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Surprise at each transcript for each of its tokens, (B,), nats, averaged over members."""
        nats_KB, _ = alignment.nats(output_KBO, target)
        return nats_KB.mean(0) / (target > 0).sum(1).clamp(min=1)

    def respond(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
        """(1, B, S) tokens of the best texts."""
        return alignment.beam(_likely(network(inputs)), self.settings.beam).unsqueeze(0)

    def condense(self, output: Tensor, target: Tensor) -> Tensor:
        """(1, B, 6) the counts of `transcripts.COUNTS`, of the likeliest token at each step."""
        nats_KB, sayable_B = alignment.nats(output, target)
        tokens_B = (target > 0).sum(1) * sayable_B
        said = self._texts(alignment.greedy(_likely(output)))
        found = [transcripts.counts(*pair) for pair in zip(said, self._texts(target), strict=True)]
        counted_B4 = torch.tensor(found, dtype=torch.float32).view(-1, 4)
        sums_B2 = torch.stack([nats_KB.mean(0), tokens_B.float()], dim=1).cpu()
        return torch.cat([sums_B2, counted_B4], dim=1).unsqueeze(0)

    def _texts(self, code_BS: Iterable[Tensor]) -> list[str]:
        return [spelling.read(self.tokenizer, code_S.tolist()) for code_S in code_BS]

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Nats a token, and the headline."""
        import polars as pl

        values = output_KBO[0].double().numpy()
        frame = pl.DataFrame({name: values[:, place] for place, name in enumerate(transcripts.COUNTS)})
        return {"loss": per(frame, "nats", "tokens"), "score": self.metrics[0].reduce(frame)}

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task as it is: it gives no probabilities."""
        return self

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """Column `prediction`: what is said, a line a clip."""
        import polars as pl

        return pl.DataFrame({"prediction": pl.Series(self._texts(output_KBO[0]), dtype=pl.String)})

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """What the user wrote and what was written down, and how far they are apart; case as it was learned."""
        return self._compared(self._texts(output_KBO[0]), target.texts)

    def _compared(self, said: Sequence[str], truth: Sequence[str]) -> pl.DataFrame:
        import polars as pl

        heard = [text.lower() for text in truth] if self.tokenizer.lower else truth
        found = [transcripts.counts(*pair) for pair in zip(said, heard, strict=True)]
        columns = {name: [each[place] for each in found] for place, name in enumerate(transcripts.COUNTS[2:])}
        return pl.DataFrame({"truth": list(truth), "prediction": list(said), **columns})

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """The transcript that most training clips have; and nothing, which is an error a word."""
        counted = Counter(tuple(code_S.tolist()) for code_S in train.each())
        best = min(counted, key=lambda each: (-counted[each], each))
        always = [spelling.read(self.tokenizer, best)] * len(target)
        words = "always the most frequent transcript"
        yield Rival("most frequent", words, self._compared(always, target.texts))
        yield Rival("nothing", "writing nothing", self._compared([""] * len(target), target.texts))

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Column, settings and tokens."""
        content = torch.frombuffer(bytearray(self.tokenizer.to_bytes()), dtype=torch.uint8)
        return {"columns": list(self.columns), "settings": asdict(self.settings)}, {"tokens": content}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            columns, settings = [str(each) for each in facts["columns"]], facts["settings"]
            made, content = make(cls.Settings, settings, "task"), tensors["tokens"]
            if content.dtype != torch.uint8 or content.ndim != 1 or len(columns) != 1:
                raise ValueError("its tokens are of another form")
            tokenizer = Tokenizer.from_bytes(content.numpy().tobytes())
            if tokenizer.how == "bpe" or tokenizer.size <= FIRST:
                raise ValueError("its tokens are neither characters nor words")
            return cls(columns, made, tokenizer)
        except (KeyError, TypeError, ValueError, RecipeError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error

    def head(self, width: int, members: int) -> nn.Module:
        """From features of steps (K, B, T, D) to (K, B, T, V), silent where there is no step."""
        return AlignedHead(members, width, self.outputs)


class AlignedHead(Head):
    """A head that says nothing but the blank, for certain, where there is no step."""

    masked = True

    def forward(self, features_KBD: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Outputs of every member."""
        output_KBTV = super().forward(features_KBD)
        return output_KBTV if mask_BT is None else alignment.silenced(output_KBTV, mask_BT)


def _likely(output_KBTV: Tensor) -> Tensor:
    """(B, T, V) logarithms of the members' mean probabilities; marks are never said."""
    log_KBTV = output_KBTV.float().log_softmax(-1)
    log_BTV = log_KBTV.logsumexp(0) - float(np.log(len(log_KBTV)))
    log_BTV[..., 1:FIRST] = -torch.inf
    return log_BTV


def _stride(frames_N: Tensor, least_N: Tensor) -> Choice:
    """The most frames an answer that leave room for the transcripts."""
    for stride in STRIDES:
        share = float((ROOM * least_N <= -(-frames_N // stride)).double().mean())
        if share >= FITTING or stride == STRIDES[-1]:
            break
    clip = float(frames_N.double().median()) / stride
    why = f"leaves {clip:.0f} steps for the {float(least_N.double().median()):.0f} that a transcript takes"
    return Choice(value=stride, why=why)

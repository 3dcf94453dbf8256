"""Sound clips: decoded once to log-mel frames."""

# N = rows, B = rows of a batch, T = frames, M = mel bands

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from netwright.base import seeds
from netwright.base.errors import BundleError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.kinds import pixels, ragged, sounds
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed
from netwright.data.readers.media import is_sound_name

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

SURVEYED = 5_000
RATES = (8_000, 16_000)
AUGMENT = ("gain", "time", "band", "shift")
SHIFT = 3
"""Frames that a clip begins later, at most, where it is longer than a second."""
STRETCH = 100
"""Frames of each of which a part is blotted out, where a clip has two times as many and more."""


@final
class Audio(AbstractKind):
    """One column of clips."""

    name = "audio"
    takes = ("rate", "mels", "longest", *AUGMENT)

    def __init__(
        self,
        column: str,
        rate: int,
        longest: int,
        center: Sequence[float],
        scale: Sequence[float],
        *,
        how: Mapping[str, JSON],
    ) -> None:
        self.column, self.rate, self.longest = column, rate, longest
        self.center, self.scale = tuple(center), tuple(scale)
        self.how = dict(how)

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Strings that end as sound files do."""
        import polars as pl

        if sample.dtype != pl.String:
            return None
        step = max(1, len(sample) // 50)
        cells = [cell for cell in sample.gather_every(step).to_list() if cell]
        sound = [cell for cell in cells if is_sound_name(cell)]
        if not sound or len(sound) < 0.95 * len(cells):
            return None
        return Choice(value=cls.name, why=f"paths of sound files such as '{sound[0]}'")

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """Rate, bands and length from the heads of training clips."""
        cells = block.to_series()
        sources = pixels.sources_of(cells.gather_every(max(1, len(cells) // SURVEYED)))
        found = [each for each in map(sounds.info, sources) if each]
        rates = [rate for rate, _ in found] or [16_000]
        seconds = [length for _, length in found] or [1.0]
        rate = max(each for each in RATES if each <= max(min(rates), RATES[0]))
        longest = int(np.ceil(1.1 * max(seconds) / sounds.HOP)) + 2
        return {
            "rate": Choice(value=rate, why=f"clips have {min(rates):,} samples a second or more"),
            "mels": Choice(value=40, why="bands enough to tell speech sounds apart"),
            "longest": Choice(
                value=longest, why=f"clips of {np.median(seconds):.1f} s, up to {max(seconds):.1f} s"
            ),
            "gain": Choice(value=1.0, why="things are louder or softer"),
            "time": Choice(value=0.15, why="a part of a clip may be missing"),
            "band": Choice(value=0.2, why="a band may be missing"),
            "shift": Choice(
                value=float(SHIFT if np.median(seconds) > 1 else 0), why="a clip may begin a little later"
            ),
        }

    @classmethod
    def decode(cls, cells: pl.Series, settings: Mapping[str, JSON]) -> tuple[pl.Series, dict[int, str]]:
        """Frames, one list of T * M numbers a clip.

        Raises:
            RecipeError: If a setting is out of range.
        """
        import polars as pl

        if isinstance(cells.dtype, pl.List):
            empty = np.flatnonzero(cells.is_null().to_numpy()).tolist()
            return cells, dict.fromkeys(empty, "there is none")
        rate, mels = (_whole(settings, name, cells.name) for name in ("rate", "mels"))
        found, bad = sounds.all_frames(pixels.sources_of(cells), rate, mels)
        lists = [pl.Series(each.ravel()) for each in found]  # bare arrays of one length would become an Array
        return pl.Series(cells.name, lists, dtype=pl.List(pl.Float32)), bad

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Mean and spread of each band over training clips.

        Raises:
            RecipeError: If a setting is out of range.
        """
        name, settings = columns[0].name, dict(columns[0].settings)
        derived = cls.derive(block, block.height, 5.0) if "rate" not in settings else {}
        settings = {**{key: choice.value for key, choice in derived.items()}, **settings}
        how = {key: float(settings[key]) for key in AUGMENT if key in settings}
        rate, mels, longest = (_whole(settings, key, name) for key in ("rate", "mels", "longest"))
        kind = cls(name, rate, longest, [0.0] * mels, [1.0] * mels, how=how)
        values = kind._packed(block.to_series()).values.double()
        kind.center = tuple(values.mean(0).tolist())
        kind.scale = tuple(values.std(0, correction=0).clamp(min=0.1).tolist())
        return kind

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return (self.column,)

    def field(self) -> Field:
        """Frames (T, M)."""
        return Field(
            key=f"audio:{self.column}",
            columns=(self.column,),
            layout="frames",
            shape=(self.longest, len(self.center)),
            center=self.center,
            scale=self.scale,
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """Frames, cut at the longest."""
        return self._packed(block[self.column])

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Clips that are cut."""
        cells = block[self.column]
        if not cells.dtype.is_nested():
            return super().notes(block)
        frames = (cells.list.len().fill_null(0) // len(self.center)).to_list()
        cut = f"{self.column} is cut after {self.longest * sounds.HOP:.1f} of"
        return [f"{cut} {each * sounds.HOP:.1f} s" if each > self.longest else "" for each in frames]

    def _packed(self, cells: pl.Series) -> Packed:
        mels = len(self.center)
        decoded, _ = type(self).decode(cells, {"rate": self.rate, "mels": mels})
        return ragged.packed(decoded, mels, self.longest)

    def augment(self, x: Tensor, draws_B: npt.NDArray[np.uint64], settings: Mapping[str, JSON]) -> Tensor:
        """A training batch, louder or softer and a little later, with stretches of time and a band blotted out.

        Reference: Park et al. 2019, https://arxiv.org/abs/1904.08779 (SpecAugment).
        """
        how = {**self.how, **settings}
        piece_BP = torch.from_numpy(ragged.pieces(draws_B)).to(x.device)
        x = x + float(how.get("gain", 0.0)) * (2 * piece_BP[:, 0] - 1).view(-1, 1, 1)
        if how.get("shift"):
            x = _later(x, (piece_BP[:, 5] * (float(how["shift"]) + 1)).long())
        center = torch.tensor(self.center, device=x.device)
        out_BT = _blots(draws_B, x.shape[1], float(how.get("time", 0.0))).to(x.device)
        out_BM = _span(x.shape[2], piece_BP[:, 3], piece_BP[:, 4], float(how.get("band", 0.0)))
        return torch.where(out_BT.unsqueeze(2) | out_BM.unsqueeze(1), center, x)

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """Cells that are no clips at all."""
        cells = block[self.column]
        if cells.null_count() == len(cells) or str(cells.dtype) in ("String", "Binary"):
            return None
        if cells.dtype.is_nested():
            return None
        return f"column '{self.column}' held clips in training, here {str(cells.drop_nulls()[0])[:40]!r}"

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Rate, length, scale and augmentation."""
        facts = {
            "column": self.column,
            "rate": self.rate,
            "longest": self.longest,
            "center": list(self.center),
            "scale": list(self.scale),
            "how": self.how,
        }
        return facts, {}

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            center, scale = ([float(each) for each in facts[name]] for name in ("center", "scale"))
            how = {str(name): float(value) for name, value in facts["how"].items()}
            rate, longest = int(facts["rate"]), int(facts["longest"])
            kind = cls(str(facts["column"]), rate, longest, center, scale, how=how)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the model's sound column cannot be read: {error}.") from error
        good = np.isfinite([*center, *scale, *how.values()]).all() and 1 <= len(center) == len(scale) <= 512
        if not good or min(scale) <= 0 or not set(how) <= set(AUGMENT):
            raise BundleError("the model's sound column has a scale that does not fit.")
        if not (1_000 <= rate <= 96_000 and 1 <= longest <= 100_000):
            raise BundleError("the model's sound column has a length or rate that does not fit.")
        return kind


def _later(x: Tensor, frames_B: Tensor) -> Tensor:
    """Clips that begin so many frames later: the first frame is held."""
    from_BT = (torch.arange(x.shape[1], device=x.device) - frames_B.unsqueeze(1)).clamp(min=0)
    return x.gather(1, from_BT.unsqueeze(2).expand_as(x))


def _blots(draws_B: npt.NDArray[np.uint64], steps: int, share: float) -> Tensor:
    """(B, T) frames to blot out: a part of each stretch."""
    count = max(1, steps // STRETCH)
    found = []
    for place, size in enumerate(len(each) for each in np.array_split(np.arange(steps), count)):
        own_B = seeds.draws(draws_B, "stretch", place) if place else draws_B
        piece_BP = torch.from_numpy(ragged.pieces(own_B))
        found.append(_span(size, piece_BP[:, 1], piece_BP[:, 2], share))
    return torch.cat(found, dim=1)


def _span(size: int, width_B: Tensor, start_B: Tensor, share: float) -> Tensor:
    """(B, size) True on one span, up to this share wide."""
    width_B = width_B * share * size
    start_B = start_B * (size - width_B)
    at = torch.arange(size, device=width_B.device)
    return (at >= start_B.unsqueeze(1)) & (at < (start_B + width_B).unsqueeze(1))


LIMITS = {"rate": (1_000, 96_000), "mels": (8, 256), "longest": (1, 100_000)}


def _whole(settings: Mapping[str, Any], name: str, column: str) -> int:
    return ragged.whole(settings[name], f"kind.{column}.{name}", *LIMITS[name])

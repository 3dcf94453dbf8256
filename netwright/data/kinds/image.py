"""Pictures: decoded once, to the size the recipe chose, as uint8."""

# N = rows, B = rows of a batch, C = channels, H, W = height, width

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Choice, Column, Field, Shape
from netwright.data.kinds import augmenting, decoding, pixels
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed
from netwright.data.readers.media import MOST_BAD, is_picture_name

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")
NATIVE = 64
"""Pictures of one size with sides up to this stay as they are."""
SMALLEST = 8
"""Pictures with smaller sides are enlarged to this."""
SURVEYED = 500
FITTED = 2_000
"""Training pictures that mean and spread are taken from, at most, evenly spaced."""
AUGMENT = ("shift", "rotate", "scale", "color", "flip")
SIDES = (32, 48, 64, 96, 128, 160, 224)


@final
class Image(AbstractKind):
    """One column of pictures."""

    name = "image"
    takes = ("size", "channels", *AUGMENT)

    def __init__(
        self,
        column: str,
        shape: tuple[int, int, int],
        center: Sequence[float],
        scale: Sequence[float],
        how: Mapping[str, JSON],
    ) -> None:
        self.column = column
        self.shape = shape
        self.center = tuple(center)
        self.scale = tuple(scale)
        self.how = dict(how)

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Paths with the suffix of a picture, encoded pictures, or pixels."""
        import polars as pl

        present = sample.drop_nulls().head(200)
        if not len(present):
            return None
        if sample.dtype == pl.String:
            named = sum(is_picture_name(cell) for cell in present.to_list())
            good = named >= 0.95 * len(present)
            return Choice(value=cls.name, why="paths of pictures") if good else None
        if isinstance(sample.dtype, pl.Array):
            good = len(sample.dtype.shape) in (2, 3) and pixels.innermost(sample.dtype) == pl.UInt8
            return Choice(value=cls.name, why=f"pixels {sample.dtype.shape}") if good else None
        encoded = [cell for cell in pixels.sources_of(present) if isinstance(cell, bytes)]
        good = bool(encoded) and sum(map(_is_encoded, encoded)) >= 0.95 * len(encoded)
        return Choice(value=cls.name, why="encoded pictures") if good else None

    @classmethod
    def derive(
        cls, block: pl.DataFrame, examples: int, minutes: float, shape: Shape = "rows"
    ) -> Mapping[str, Choice]:
        """Size and channels from the heads of training pictures, and how to make them harder."""
        height, width, channels, why = _survey(block.to_series(), examples, minutes)
        side = min(height, width)
        photos = channels == 3
        return {
            "size": Choice(value=[height, width], why=why),
            "channels": Choice(value=channels, why="colours" if photos else "all grey"),
            "shift": Choice(value=round(0.075 * side, 1), why="things stand where they happen to stand"),
            "rotate": Choice(value=15.0 if photos else 10.0, why="a camera or hand is never quite level"),
            "scale": Choice(value=0.15 if photos else 0.1, why="things come nearer and farther"),
            "color": Choice(value=0.2 if photos else 0.0, why="light changes" if photos else "grey"),
        }

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Mean and spread of each channel of the training pictures.

        Raises:
            DataError: If more than 5 % of the files that are named are not there.
            RecipeError: If a setting is out of range.
        """
        settings = dict(columns[0].settings)
        if "size" not in settings or "channels" not in settings:
            derived = cls.derive(block, block.height, 5.0)
            settings = {**{name: choice.value for name, choice in derived.items()}, **settings}
        shape = _shape(settings, columns[0].name)
        how = {name: _number(settings, name, columns[0].name) for name in AUGMENT if name in settings}
        kind = cls(columns[0].name, shape, [0.0] * shape[0], [1.0] * shape[0], how)
        cells = block.to_series()
        _refuse_absent(cells)
        kind.center, kind.scale = kind._moments(cells.gather_every(-(-len(cells) // FITTED) or 1))
        return kind

    def _moments(self, cells: pl.Series) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and spread of each channel in 0-255."""
        x = self._pixels(cells)
        sums, squares, count = torch.zeros(self.shape[0]).double(), torch.zeros(self.shape[0]).double(), 0
        for some in map(torch.Tensor.double, torch.split(x, 64)):  # a few: float64 is eight times the size
            sums += some.sum((0, 2, 3))
            squares += (some * some).sum((0, 2, 3))
            count += some.numel() // self.shape[0]
        center = sums / max(1, count)
        spread = (squares / max(1, count) - center * center).clamp(min=1.0).sqrt()
        return tuple(center.tolist()), tuple(spread.tolist())

    @classmethod
    def decode(cls, cells: pl.Series, settings: Mapping[str, JSON]) -> tuple[pl.Series, dict[int, str]]:
        """Pixels (N, H, W) or (N, H, W, C) of the chosen size; a picture that cannot be read is grey.

        Raises:
            RecipeError: If a setting is out of range.
            DataError: If more than 5 % of the files that are named are not there.
        """
        import polars as pl

        if isinstance(cells.dtype, pl.Array):
            return cells, dict.fromkeys(np.flatnonzero(cells.is_null().to_numpy()).tolist(), "there is none")
        channels, height, width = _shape(settings, cells.name)
        into = np.empty((len(cells), height, width, channels), dtype=np.uint8)
        sources = pixels.sources_of(cells)
        bad = decoding.decode_all(sources, channels, height, width, into.transpose(0, 3, 1, 2))
        return pl.Series(cells.name, into[..., 0] if channels == 1 else into), bad

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return (self.column,)

    def field(self) -> Field:
        """An image (C, H, W)."""
        return Field(
            key=f"image:{self.column}",
            columns=(self.column,),
            layout="image",
            shape=self.shape,
            center=self.center,
            scale=self.scale,
        )

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, C, H, W) uint8; a picture that cannot be read is grey."""
        return Packed(self._pixels(block[self.column]))

    def _pixels(self, cells: pl.Series) -> Tensor:
        channels, height, width = self.shape
        settings = {"size": [height, width], "channels": channels}
        array = pixels.pixels_of(type(self).decode(cells, settings)[0])
        assert array is not None
        return pixels.resized(array, self.shape)

    def augment(self, x: Tensor, draws_B: npt.NDArray[np.uint64], settings: Mapping[str, JSON]) -> Tensor:
        """A training batch, float32 in 0-255: shifted, turned, scaled, of other light."""
        return augmenting.augment(x, draws_B, {**self.how, **settings})

    def mismatch(self, block: pl.DataFrame) -> str | None:
        """Cells that are no pictures at all."""
        cells = block[self.column]
        if cells.null_count() == len(cells) or pixels.pixels_of(cells) is not None:
            return None
        if any(source is not None for source in pixels.sources_of(cells)):
            return None
        return f"column '{self.column}' held pictures in training, here {str(cells.drop_nulls()[0])[:40]!r}"

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Shape, scale and augmentation."""
        facts = {
            "column": self.column,
            "shape": list(self.shape),
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
            channels, height, width = (int(each) for each in facts["shape"])
            center = [float(each) for each in facts["center"]]
            scale = [float(each) for each in facts["scale"]]
            how = {str(name): float(value) for name, value in facts["how"].items()}
            column = str(facts["column"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the model's picture column cannot be read: {error}.") from error
        good = channels in (1, 3) and 1 <= height <= 2048 and 1 <= width <= 2048
        good = good and all(map(math.isfinite, (*center, *scale, *how.values())))
        if not good or len(center) != channels or len(scale) != channels or min(scale) <= 0:
            raise BundleError("the model's picture column has a shape that does not fit.")
        if not set(how) <= set(AUGMENT):
            raise BundleError("the model's picture column has unknown settings.")
        if "flip" in how:
            how["flip"] = bool(how["flip"])
        return cls(column, (channels, height, width), center, scale, how)


def _is_encoded(cell: bytes) -> bool:
    return cell.startswith(MAGIC) or (cell.startswith(b"RIFF") and cell[8:12] == b"WEBP")


def _survey(cells: pl.Series, examples: int, minutes: float) -> tuple[int, int, int, str]:
    """Height, width, channels and why, from the heads of some training pictures."""
    some = cells.gather_every(max(1, len(cells) // SURVEYED))
    array = pixels.pixels_of(some)
    if array is not None:
        grey = array.ndim == 3 or array.shape[3] < 3
        found = [(array.shape[1], array.shape[2], grey)]
    else:
        found = [each for each in map(decoding.size, pixels.sources_of(some)) if each]
    if not found:
        return 64, 64, 3, "no picture could be looked at"
    heights, widths = np.array([each[0] for each in found]), np.array([each[1] for each in found])
    channels = 1 if all(each[2] for each in found) else 3
    height, width = int(np.median(heights)), int(np.median(widths))
    if len({each[:2] for each in found}) == 1 and max(height, width) <= NATIVE:
        why = f"all are {height} x {width}"
        return max(SMALLEST, height), max(SMALLEST, width), channels, why
    affordable = 3.0e8 * minutes / max(1, examples) / 30.0  # pixels seen 30 times at a nominal pace
    side = max([each for each in SIDES if each * each <= affordable] or [SIDES[0]])
    side = max(48, min(side, 128)) if minutes >= 1 else min(side, 64)
    side = min(side, 64) if examples < 5_000 and minutes <= 5 else side
    factor = min(1.0, side / (height * width) ** 0.5)
    target = [max(SMALLEST, 8 * round(each * factor / 8)) for each in (height, width)]
    return target[0], target[1], channels, f"pictures of about {height} x {width}, {minutes:g} minutes"


def _shape(settings: Mapping[str, Any], name: str) -> tuple[int, int, int]:
    size, channels = settings["size"], settings["channels"]
    try:
        if isinstance(size, str):
            size = [int(each) for each in size.lower().replace("x", ",").split(",")]
        sides = [int(size)] * 2 if isinstance(size, int | float) else [int(each) for each in size]
        sides = sides * 2 if len(sides) == 1 else sides
        height, width = sides
        good = int(channels) in (1, 3) and 8 <= height <= 2048 and 8 <= width <= 2048
    except (TypeError, ValueError):
        good = False
    if not good:
        raise RecipeError(
            f"kind.{name}.size is {settings['size']!r} with {channels!r} channels.",
            hint="give a side from 8 to 2048, such as 96 or 96x128, and 1 or 3 channels.",
        )
    return int(channels), height, width


def _number(settings: Mapping[str, Any], name: str, column: str) -> JSON:
    value = settings[name]
    if name == "flip":
        return value if isinstance(value, bool) else str(value).lower() in ("true", "1", "yes")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"kind.{column}.{name} is {value!r}.", hint="give a number from 0 on.") from error


def _refuse_absent(cells: pl.Series) -> None:
    """Refuses a column of paths whose files are not there."""
    sources = [each for each in pixels.sources_of(cells) if isinstance(each, str)]
    gone = [each for each in sources if not decoding.is_file(each)]
    if sources and len(gone) > MOST_BAD * len(sources):
        raise DataError(
            f"{len(gone):,} of {len(sources):,} files named in column '{cells.name}' are not there, "
            f"first '{gone[0]}'.",
            hint="paths start from the folder of the table.",
        )

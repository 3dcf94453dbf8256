"""Dates and times: how far along, and where in the year, the week and the day."""

# N = rows, P = numbers that one column becomes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from netwright.base.errors import BundleError, DataError
from netwright.base.schema import JSON, Choice, Column, Field
from netwright.data.kinds import scaling
from netwright.data.kinds.kind import AbstractKind
from netwright.data.packed import Packed

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y", "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
PARTS = ("days", "year", "sin of year", "cos of year", "sin of week", "cos of week",
         "sin of day", "cos of day", "is missing")  # fmt: skip
SCALED = 2
"""The first so many parts are scaled as numbers are; the others lie between -1 and 1."""
TYPED = "typed"
ENOUGH = 0.95


@final
class Date(AbstractKind):
    """Columns of dates; each becomes nine numbers."""

    name = "date"

    def __init__(self, formats: Mapping[str, str], scales: scaling.Scales) -> None:
        self.formats = dict(formats)
        self.scales = scales

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Typed dates, or strings of which 95 % follow one format."""
        found = find_format(sample)
        if not found:
            return None
        why = "typed as dates" if found == TYPED else f"dates like {sample.drop_nulls()[0]!r}"
        return Choice(value=cls.name, why=why)

    @classmethod
    def fit(cls, block: pl.DataFrame, columns: Sequence[Column]) -> Self:
        """Format and range of the training rows.

        Raises:
            DataError: If a column that was asked to be dates holds none.
        """
        formats = {}
        for name in block.columns:
            found = find_format(block[name])
            if not found:
                raise DataError(
                    f"column '{name}' does not hold dates of one format, first {block[name][0]!r}.",
                    hint="write dates as 2024-12-31, or drop the column.",
                )
            formats[name] = found
        days = [parse(block[name], formats[name]) for name in block.columns]
        numbers = [part for each in days for part in (each, _years(each))]
        return cls(formats, scaling.fit(numbers))

    def reads(self) -> tuple[str, ...]:
        """Names of the columns of the block."""
        return tuple(self.formats)

    def field(self) -> Field:
        """Numbers (9 a column,)."""
        names = tuple(f"{part} of {name}" for name in self.formats for part in PARTS)
        edges: list[tuple[float, ...]] = []
        for index in range(len(self.formats)):
            edges += [*self.scales.edges[SCALED * index : SCALED * index + SCALED]]
            edges += [()] * (len(PARTS) - SCALED)
        return Field(key=self.name, columns=names, layout="numbers", shape=(len(names),), edges=tuple(edges))

    def encode(self, block: pl.DataFrame) -> Packed:
        """(N, 9 a column) float32."""
        days = [parse(block[name], form) for name, form in self.formats.items()]
        numbers = np.stack([part for each in days for part in (each, _years(each))], axis=1)
        scaled = self.scales.encode(numbers)
        parts = []
        for index, each in enumerate(days):
            parts.append(scaled[:, SCALED * index : SCALED * index + SCALED])
            parts.append(_cycles(each))
        return Packed(torch.from_numpy(np.concatenate(parts, axis=1)))

    def notes(self, block: pl.DataFrame) -> list[str]:
        """Dates that could not be read."""
        notes = [""] * block.height
        for name, form in self.formats.items():
            gone = np.isnan(parse(block[name], form))
            for row in np.flatnonzero(gone).tolist():
                said = f"{name} is missing or no date"
                notes[row] = f"{notes[row]}; {said}" if notes[row] else said
        return notes

    def against(self, own: Date) -> Mapping[str, Tensor]:
        """Scales to scales of the parts that are scaled; the others are alike everywhere."""
        width = len(PARTS)
        places = [width * index + part for index in range(len(self.formats)) for part in range(SCALED)]
        gaps = [width * (place // width) + width - 1 for place in places]
        kept = [True] * (width * len(self.formats))
        return scaling.against(self.scales, own.scales, places=places, gaps=gaps, kept=kept)

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Formats; scales as tensors."""
        return {"formats": [[name, form] for name, form in self.formats.items()]}, self.scales.tensors()

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted kind again; formats come from the list above only.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            formats = {str(name): form for name, form in facts["formats"]}
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the model's date columns cannot be read: {error}.") from error
        if any(form != TYPED and form not in FORMATS for form in formats.values()):
            raise BundleError("the model's date columns have an unknown format.")
        return cls(formats, scaling.restore(tensors, SCALED * len(formats)))


def find_format(cells: pl.Series) -> str:
    """The format of 95 % of the cells present, "typed" for date types, or "" for neither."""
    import polars as pl

    if cells.dtype in (pl.Date, pl.Datetime):
        return TYPED
    if cells.dtype != pl.String:
        return ""
    present = cells.drop_nulls()
    present = present.gather_every(max(1, len(present) // 5000))
    if not len(present) or not _might_be(present):
        return ""
    for form in FORMATS:
        read = len(present) - _strings(present, form).null_count()
        if read >= ENOUGH * len(present):
            return form
    return ""


def parse(cells: pl.Series, form: str) -> npt.NDArray[np.float64]:
    """(N,) days since 1970, with fractions; NaN where there is no date."""
    import polars as pl

    moments = cells
    if cells.dtype == pl.String:
        moments = _strings(cells, FORMATS[4] if form == TYPED else form)
    elif cells.dtype not in (pl.Date, pl.Datetime):
        return np.full(len(cells), np.nan)
    whole = moments.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    return whole.fill_null(np.nan).to_numpy() / 86_400e6


def _strings(cells: pl.Series, form: str) -> pl.Series:
    import polars as pl

    if "%H" in form:
        return cells.str.to_datetime(form, strict=False, time_unit="us")
    return cells.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _might_be(present: pl.Series) -> bool:
    first = str(present[0])
    return 6 <= len(first) <= 40 and sum(letter.isdigit() for letter in first) >= 4


def _years(days: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.floor(days / 365.2425)


def _cycles(days: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Sine and cosine of the place in year, week and day, and the mark of a gap; 0 where missing."""
    turns = np.stack([days / 365.2425, days / 7.0, days], axis=1) * 2 * np.pi
    gone = np.isnan(days)
    waves = np.stack([np.sin(turns), np.cos(turns)], axis=2).reshape(len(days), 6)
    waves[gone] = 0.0
    return np.concatenate([waves, gone[:, None]], axis=1).astype(np.float32)

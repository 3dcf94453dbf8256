"""How a column of numbers is scaled, clipped and binned; shared by every kind that becomes numbers.

Reference: Holzmüller et al. 2024 (RealMLP), https://arxiv.org/abs/2407.04491: robust scaling and
smooth clipping.
"""

# N = rows, F = columns

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.base.errors import BundleError

Floats = npt.NDArray[np.float64]

BINS = 48
"""Bins of a column for piecewise-linear embedding, at most."""
ALL_EDGES = 200_000
"""Edges of all columns together, at most: many columns get fewer bins each."""
_FAR = 1e9
"""Distances beyond this are the same to the clipping, and squaring them stays finite."""


@dataclass(frozen=True)
class Scales:
    """What training says about F columns: centers, scales, ranges (F,) float64, and bin edges."""

    center_F: Floats
    scale_F: Floats
    low_F: Floats
    high_F: Floats
    edges: tuple[tuple[float, ...], ...]

    def encode(self, values_NF: Floats) -> npt.NDArray[np.float32]:
        """(N, F) float32 within (-3, 3); 0 where NaN."""
        return squash(values_NF, self.center_F, self.scale_F)

    def outside(self, values_NF: Floats) -> npt.NDArray[np.bool_]:
        """(N, F): beyond the training range by more than a tenth of it."""
        with np.errstate(over="ignore"):
            slack = 0.1 * (self.high_F - self.low_F)
            return (values_NF < self.low_F - slack) | (values_NF > self.high_F + slack)

    def tensors(self) -> dict[str, Tensor]:
        """All of it as float64 and int64 tensors."""
        counts = [len(edges) for edges in self.edges]
        flat = [edge for edges in self.edges for edge in edges]
        return {
            "center": torch.from_numpy(self.center_F.copy()),
            "scale": torch.from_numpy(self.scale_F.copy()),
            "low": torch.from_numpy(self.low_F.copy()),
            "high": torch.from_numpy(self.high_F.copy()),
            "edges": torch.tensor(flat, dtype=torch.float64),
            "edge_counts": torch.tensor(counts, dtype=torch.int64),
        }


def fit(columns: Sequence[Floats], *, bins: int = BINS) -> Scales:
    """Scales of F columns of training values, each (N,) with NaN where missing."""
    bins = max(1, min(bins, ALL_EDGES // max(1, len(columns)) - 1))
    fitted = [_fit_one(values, bins) for values in columns]
    center, scale, low, high = (
        np.array([each[place] for each in fitted], dtype=np.float64) for place in range(4)
    )
    return Scales(center, scale, low, high, tuple(each[4] for each in fitted))


def restore(tensors: Mapping[str, Tensor], width: int) -> Scales:
    """The scales that `Scales.tensors` wrote for `width` columns.

    Raises:
        BundleError: If they are not that.
    """
    try:
        arrays = [_checked(tensors[name], torch.float64) for name in ("center", "scale", "low", "high")]
        counts = _checked(tensors["edge_counts"], torch.int64)
        flat = _checked(tensors["edges"], torch.float64)
    except KeyError as error:
        raise BundleError(f"the model's number columns lack {error}.") from error
    if any(len(each) != width for each in (*arrays, counts)) or (arrays[1] <= 0).any():
        raise BundleError("the model's number columns have scales that do not fit them.")
    if (counts < 0).any() or counts.sum() != len(flat):
        raise BundleError("the model's number columns have bin edges that do not fit them.")
    parts = np.split(flat, np.cumsum(counts)[:-1]) if width else []
    if any((np.diff(part) <= 0).any() for part in parts):
        raise BundleError("the model's number columns have bin edges that do not ascend.")
    edges = tuple(tuple(part.tolist()) for part in parts)
    return Scales(arrays[0], arrays[1], arrays[2], arrays[3], edges)


def against(
    scales: Scales, own: Scales, *, places: Sequence[int], gaps: Sequence[int], kept: Sequence[bool]
) -> dict[str, Tensor]:
    """How numbers encoded by `scales` become those encoded by `own`; as `AbstractKind.against` gives it.

    Args:
        scales: Fitted to all rows.
        own: Fitted to some of them.
        places: Where each scaled column stands in an example.
        gaps: Where the mark of its missing cells stands, or -1.
        kept: Whether each number of an example says something to `own`.
    """
    width, at = len(kept), list(places)
    ratio, shift = np.ones(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    gap, squashed = np.full(width, -1), np.zeros(width, dtype=np.bool_)
    ratio[at] = np.clip(scales.scale_F / own.scale_F, 0.0, _FAR)
    shift[at] = np.clip((scales.center_F - own.center_F) / own.scale_F, -_FAR, _FAR)
    gap[at], squashed[at] = gaps, True
    found = {"ratio_F": ratio, "shift_F": shift, "kept_F": np.array(kept, dtype=np.float32)}
    return {
        name: torch.from_numpy(each) for name, each in {**found, "gap_F": gap, "squashed_F": squashed}.items()
    }


def squash(values: Floats, center: Any, scale: Any) -> npt.NDArray[np.float32]:
    """Robust scaling, then z / sqrt(1 + (z/3)^2): linear near 0, within (-3, 3); NaN becomes 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.clip((values - center) / scale, -_FAR, _FAR)
        third = z / 3.0
        z = z / np.sqrt(1.0 + third * third)
    return np.where(np.isnan(z), 0.0, z).astype(np.float32)


def _fit_one(values: Floats, bins: int) -> tuple[float, float, float, float, tuple[float, ...]]:
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return 0.0, 1.0, 0.0, 0.0, ()
    center = _quantile(present, 0.5)
    low, high = float(present[0]), float(present[-1])
    scale = _spread(_quantile(present, 0.25), _quantile(present, 0.75))
    scale = scale or _spread(low / 2, high / 2) or 1.0
    return center, scale, low, high, bin_edges(squash(present, center, scale), bins)


def _quantile(ordered: Floats, share: float) -> float:
    """Linear between neighbours, as NumPy's default, without overflow."""
    place = share * (len(ordered) - 1)
    below = int(place)
    rest = place - below
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] * (1.0 - rest) + ordered[above] * rest)


def _spread(low: float, high: float) -> float:
    """high - low, or the largest float where that overflows."""
    return min(high - low, float(np.finfo(np.float64).max))


def bin_edges(encoded: npt.NDArray[np.float32], bins: int) -> tuple[float, ...]:
    """Edges from ascending encoded values: every distinct one if they are few, else quantiles.

    Edges are values that occur, never midpoints; a column with fewer than two distinct values has none.
    """
    new = np.ones(len(encoded), dtype=np.bool_)
    new[1:] = encoded[1:] != encoded[:-1]
    distinct = encoded[new]
    if len(distinct) < 2:
        return ()
    if len(distinct) > bins:
        # Each value counts by the root of its rows: one value of most rows leaves edges for the others.
        counts = np.diff(np.append(np.flatnonzero(new), len(encoded)))
        reached = np.cumsum(np.sqrt(counts))
        places = np.searchsorted(reached, np.linspace(reached[0], reached[-1], bins + 1) - 1e-9)
        chosen = distinct[places.clip(0, len(distinct) - 1)]
        distinct = np.unique(np.append(chosen, distinct[[0, -1]]))
    if len(distinct) < 2:
        distinct = encoded[[0, -1]]
    return tuple(distinct.astype(np.float64).tolist())


def _checked(tensor: Tensor, dtype: torch.dtype) -> Any:
    if tensor.dtype != dtype or tensor.dim() != 1:
        raise BundleError("the model's number columns hold a tensor of the wrong type.")
    array = tensor.detach().cpu().numpy().copy()
    if not np.isfinite(array).all():
        raise BundleError("the model's number columns hold values that are not finite.")
    return array

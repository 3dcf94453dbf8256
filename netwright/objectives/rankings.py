"""How good rankings are: metrics over frames of `rank`, the place of what was taken among all not yet taken.

Full ranking: no candidates are drawn, every item competes. What cannot be ranked has an infinite rank.
"""

# N = examples

from __future__ import annotations

import numpy as np

from netwright.objectives.metrics import NAN, Frame, Metric


def ndcg(frame: Frame, at: int) -> float:
    """Mean of 1 / log2(1 + rank) for ranks up to `at`, 0 beyond: one relevant item an example."""
    rank_N = frame["rank"].to_numpy()
    return float(np.where(rank_N <= at, 1.0 / np.log2(1.0 + rank_N), 0.0).mean()) if len(rank_N) else NAN


def recall(frame: Frame, at: int) -> float:
    """Share of examples whose item is among the first `at`."""
    rank_N = frame["rank"].to_numpy()
    return float((rank_N <= at).mean()) if len(rank_N) else NAN


def reciprocal(frame: Frame) -> float:
    """Mean of 1 / rank."""
    rank_N = frame["rank"].to_numpy()
    return float((1.0 / rank_N).mean()) if len(rank_N) else NAN


def _recall(first: int, word: str) -> Metric:
    return Metric(
        name=f"recall@{first}",
        better="higher",
        reduce=lambda frame: recall(frame, first),
        words=f"Share of examples whose next item is among the first {word} of all items.",
        reads=("rank",),
    )


RECOMMEND: tuple[Metric, ...] = (
    Metric(
        name="ndcg@10",
        better="higher",
        reduce=lambda frame: ndcg(frame, 10),
        words="How high the item that came next stands among the first ten of all items, 0 to 1.",
        reads=("rank",),
    ),
    _recall(20, "twenty"),
    _recall(10, "ten"),
    Metric(
        name="mrr",
        better="higher",
        reduce=reciprocal,
        words="Mean of one over the rank of the item that came next.",
        reads=("rank",),
    ),
)
"""For the next item of a history."""

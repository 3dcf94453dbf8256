"""What a ranking of items is made of: how much each is asked for at a moment, and the head that scores them."""

# K = members, B = examples, D = width, I = items, S = moments, W = windows, E = events, M = neighbours

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.base.schema import Choice
from netwright.data.packed import Packed, gather

WINDOWS = (1.0, 7.0, 30.0, np.inf)
"""Days before a moment whose interactions are counted."""
WEEK = 1
"""Place of the seven days among the windows."""
USUAL = (0.2, 0.4, 0.3, 0.2)
"""Weight of each window that learning starts from."""
SWIFT = 8.0
"""Factor on the weights of the windows: these few numbers have far to go in few steps."""
MOST_CELLS = 30_000_000
"""Numbers of the table of counts: the clock ticks as often as these allow."""
BEFORE = -1e9
"""Score of an item that was taken already: behind all others."""
FIRST = 2
"""Code of the first item, after padding and the beginning of a history."""
AT_ONCE = 8_000_000
"""Weights of neighbours that are gathered together: one long history must not fill the memory."""
MOMENT, SEEN = "moment", "seen"
"""Keys of inputs beside the history: the tick of the clock, and all items taken so far."""
CHOOSING = 2_000
"""Validation examples that penalty and mix are chosen on, at most."""
RANKED = 512
"""Examples that are ranked together."""
Score = Callable[[Mapping[str, Tensor]], Tensor]
"""From a batch's inputs to (B, I) scores."""
Floats = npt.NDArray[np.float64]


class Clock:
    """How often each item was taken in the days before a moment, from interactions that are not tested.

    It ticks at moments of interactions, evenly spaced by their number. A moment is read at its last tick at or
    before it, and a tick counts only what came strictly before: no moment sees itself or what follows.

    Attributes:
        item_E: Items 0 to I - 1, in order of time.
        day_E: When, in days, ascending.
        count: Number of items.
    """

    def __init__(self, item_E: npt.NDArray[np.int64], day_E: Floats, count: int) -> None:
        order = np.argsort(day_E, kind="stable")
        self.item_E, self.day_E, self.count = item_E[order], day_E[order], count

    def going_on(self, item_E: npt.NDArray[np.int64], day_E: Floats) -> Clock:
        """The clock that counts these interactions too."""
        return Clock(np.append(self.item_E, item_E), np.append(self.day_E, day_E), self.count)

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], count: int) -> Self:
        """The clock of a file.

        Raises:
            ValueError: If its events are not what `tensors` gives.
        """
        item_E, day_E = items_within(tensors["items"], count), finite(tensors["days"])
        if item_E.ndim != 1 or item_E.shape != day_E.shape:
            raise ValueError("its events have no moment each")
        return cls(item_E.numpy(), day_E.numpy(), count)

    def tensors(self) -> dict[str, Tensor]:
        """Its events."""
        return {"items": torch.from_numpy(self.item_E.astype(np.int32)), "days": torch.from_numpy(self.day_E)}

    @cached_property
    def tick_S(self) -> Floats:
        """(S,) moments, ascending; the last is just after the last event."""
        most = max(2, min(4_096, MOST_CELLS // (len(WINDOWS) * self.count)))
        places = np.unique(np.linspace(0, len(self.day_E) - 1, min(most, len(self.day_E))).astype(np.int64))
        after = np.nextafter(self.day_E[-1], np.inf)
        return np.unique(np.append(self.day_E[places], after))

    @cached_property
    def heat_SWI(self) -> Tensor:
        """(S, W, I) float16 log of one plus the count of each window."""
        table = np.zeros((len(self.tick_S), len(WINDOWS), self.count), dtype=np.float16)
        for window, days in enumerate(WINDOWS):
            starts = np.searchsorted(self.day_E, self.tick_S - days).tolist()
            stops = np.searchsorted(self.day_E, self.tick_S).tolist()
            count_I, first, last = np.zeros(self.count, dtype=np.int64), 0, 0
            for tick, (start, stop) in enumerate(zip(starts, stops, strict=True)):
                count_I += np.bincount(self.item_E[last:stop], minlength=self.count)  # what came in
                count_I -= np.bincount(self.item_E[first:start], minlength=self.count)  # what went out
                first, last = start, stop
                table[tick, window] = np.log1p(count_I, dtype=np.float32)
        return torch.from_numpy(table)

    def at(self, day_N: Floats) -> Tensor:
        """(N,) int64 ticks of moments; what comes before the first tick counts nothing."""
        return torch.from_numpy(np.clip(np.searchsorted(self.tick_S, day_N, side="right") - 1, 0, None))

    def week(self, given: Mapping[str, Tensor]) -> Tensor:
        """(B, I) the demand of the seven days before the moments of a batch."""
        return self.heat_SWI[given[MOMENT], WEEK].float()


class Ranker(nn.Module):
    """Scores of all items: history times item, plus item, plus how much it is asked for now.

    How much the demand of each window counts is learned, and depends on the history. Items that were taken
    already come last. When it answers, `mix` times the linear item-to-item scores and `pull` times the demand
    of the week are added.
    """

    reads_inputs = True

    def __init__(
        self, members: int, width: int, bias_I: Tensor, clock: Clock | None, near: tuple[Tensor, Tensor] | None
    ) -> None:
        super().__init__()
        items = len(bias_I)
        self.weight_KDI = nn.Parameter(torch.empty(members, width, items).normal_(std=0.5 * width**-0.5))
        self.bias_KI = nn.Parameter(torch.zeros(members, items))
        self.register_buffer("start_I", bias_I.clone(), persistent=False)
        self.register_buffer("mix", torch.zeros(()))
        self.register_buffer("pull", torch.zeros(()))
        self.timed, self.linear = clock is not None, near is not None
        if clock is not None:
            self.register_buffer("heat_SWI", clock.heat_SWI, persistent=False)
            self.demand_KW = nn.Parameter(torch.tensor(USUAL).repeat(members, 1) / SWIFT)
            self.taste_KDW = nn.Parameter(torch.zeros(members, width, len(WINDOWS)))
        if near is not None:
            self.register_buffer("near_IM", near[0], persistent=False)
            self.register_buffer("says_IM", near[1], persistent=False)

    def forward(self, features_KBD: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, B, I) scores."""
        bias_K1I = self.bias_KI.unsqueeze(1)
        if not self.timed:
            bias_K1I = bias_K1I + self.start_I  # type: ignore[operator]
        out: Tensor = torch.baddbmm(bias_K1I, features_KBD, self.weight_KDI)
        if self.timed:
            out = out + self._demand(features_KBD, inputs)
        seen_BT = inputs.get(SEEN)
        if seen_BT is None:
            return out
        if self.linear and not self.training and float(self.mix):  # type: ignore[arg-type]
            out = out + self.mix * self.neighbours(inputs)  # type: ignore[operator]
        ready: Tensor = out.masked_fill(taken(seen_BT, out.shape[2]), BEFORE)
        return ready

    def _demand(self, features_KBD: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """(K, B, I) what is asked for at the moment of each example; now, where none is given."""
        heat_SWI: Any = self.heat_SWI
        tick_B = inputs.get(MOMENT)
        if tick_B is None:
            tick_B = torch.full((features_KBD.shape[1],), len(heat_SWI) - 1, device=heat_SWI.device)
        heat_BWI = heat_SWI[tick_B].to(features_KBD.dtype)
        weight_KBW: Tensor = torch.baddbmm(SWIFT * self.demand_KW.unsqueeze(1), features_KBD, self.taste_KDW)
        if not self.training:
            weight_KBW[..., WEEK] += self.pull  # type: ignore[arg-type]
        return torch.bmm(weight_KBW.transpose(0, 1), heat_BWI).transpose(0, 1)

    def neighbours(self, given: Mapping[str, Tensor]) -> Tensor:
        """(B, I) what the linear item-to-item weights, as far as they are kept, say to histories."""
        seen_BT = given[SEEN]
        near_IM: Any = self.near_IM
        says_IM: Any = self.says_IM
        out: Tensor = says_IM.new_zeros(len(seen_BT), len(near_IM))
        for code_BC in torch.split(seen_BT, max(1, AT_ONCE // max(1, len(seen_BT) * near_IM.shape[1])), dim=1):
            row_BC = (code_BC - FIRST).clamp(min=0)
            says_BCM = says_IM[row_BC] * (code_BC >= FIRST).unsqueeze(2)
            out.scatter_add_(1, near_IM[row_BC].flatten(1), says_BCM.flatten(1))
        return out


def taken(seen_BT: Tensor, items: int) -> Tensor:
    """(B, I) True for the items of a padded list of codes."""
    found_BC = torch.zeros(len(seen_BT), items + FIRST, dtype=torch.bool, device=seen_BT.device)
    return found_BC.scatter_(1, seen_BT, value=True)[:, FIRST:]


def linear(seen_BT: Tensor, weights_II: Tensor, items: int) -> Tensor:
    """(B, items) what a linear item-to-item model says to histories; nothing of items beyond its own."""
    taken_BI = taken(seen_BT, items)
    there_2N = taken_BI[:, : len(weights_II)].nonzero().T
    size, ones = (len(taken_BI), len(weights_II)), torch.ones(there_2N.shape[1])
    x_BI = torch.sparse_coo_tensor(there_2N, ones, size, check_invariants=True)
    return nn.functional.pad(torch.sparse.mm(x_BI, weights_II), (0, items - len(weights_II)))


def items_within(found: Tensor, count: int) -> Tensor:
    """Items of a file as int64.

    Raises:
        ValueError: If one is out of bounds.
    """
    if found.dtype != torch.int32 or not len(found) or int(found.min()) < 0 or int(found.max()) >= count:
        raise ValueError("an item is out of bounds")
    return found.long()


def finite(found: Tensor) -> Tensor:
    """Numbers of a file.

    Raises:
        ValueError: If one is not finite.
    """
    if not found.is_floating_point() or not bool(torch.isfinite(found).all()):
        raise ValueError("a number is not finite")
    return found


def ranks(inputs: Mapping[str, Packed], target: Packed, score: Score, items: int) -> Tensor:
    """(N,) rank of each target by a batch's scores, behind it all items already taken."""
    found = [torch.zeros(0, dtype=torch.float64)]
    for rows_B in torch.split(torch.arange(len(target)), RANKED):
        given = gather(inputs, rows_B)
        scores_BI = score(given).masked_fill(taken(given[SEEN], items), BEFORE)
        found.append(rank(scores_BI, target.take(rows_B)))
    return torch.cat(found)


def settled(
    network: nn.Module,
    factor: Tensor,
    added: Score,
    *,
    values: Sequence[float],
    rows: tuple[Mapping[str, Packed], Packed],
    judge: tuple[str, Callable[[Tensor], float]],
) -> Choice:
    """Sets a factor of a head to the value that ranks best, the first of equals; the network answers once.

    Args:
        network: In eval mode.
        factor: (), of its head; 0 so far.
        added: What the factor lets add to the scores.
        values: To be tried.
        rows: Inputs and targets of validation examples.
        judge: Name of the metric, and its value for ranks; higher is better.
    """
    inputs, target = rows
    name, score = judge
    found: list[list[Tensor]] = [[] for _ in values]
    with torch.inference_mode():
        for rows_B in torch.split(torch.arange(len(target)), RANKED):
            given = gather(inputs, rows_B)
            own_BI, more_BI = network(given).mean(0), added(given)
            last_BI = taken(given[SEEN], own_BI.shape[1])
            for value, ranks_ in zip(values, found, strict=True):
                scores_BI = torch.add(own_BI, more_BI, alpha=value).masked_fill_(last_BI, BEFORE)
                ranks_.append(rank(scores_BI, target.take(rows_B)))
        scores = [score(torch.cat(each)) for each in found]
        best = max(range(len(values)), key=lambda place: (scores[place], -place))
        factor.fill_(values[best])
    why = f"{name} on validation rows: {scores[best]:.4g}, without {scores[0]:.4g}"
    return Choice(value=values[best], why=why, by="measured")


def rank(scores_BI: Tensor, target_B: Tensor) -> Tensor:
    """(B,) place of the target among all items, from 1; equals go by code; infinite where target is -1."""
    place_B1 = target_B.clamp(min=0).unsqueeze(1)
    own_B1 = scores_BI.gather(1, place_B1)
    item_I = torch.arange(scores_BI.shape[1], device=scores_BI.device)
    ahead_BI = (scores_BI > own_B1) | ((scores_BI == own_B1) & (item_I < place_B1))
    found_B = 1.0 + ahead_BI.sum(1).to(torch.float64)
    return found_B.masked_fill(target_B < 0, torch.inf)


def histories(
    user_N: npt.NDArray[np.int64], day_N: Floats, code_N: npt.NDArray[np.int64], longest: int, begin: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Every user's items behind one another, each user's after a mark; and what each row looks back on.

    Args:
        user_N: Whose row it is.
        day_N: When; rows of one moment keep their order.
        code_N: Its item's code; 0, which is not known, is left out of what others look back on.
        longest: Steps of a history at most.
        begin: The mark.

    Returns:
        Codes behind one another, and (N, 2) starts and lengths of each row's history and of all it has seen.
    """
    order = np.lexsort((np.arange(len(user_N)), day_N, user_N))
    first = np.flatnonzero(np.diff(user_N[order], prepend=user_N[order][:1] - 1)) if len(order) else order
    codes = np.insert(code_N[order], first, begin)
    known = codes > 0
    before: Any = np.cumsum(known) - known  # known codes ahead of each place
    user_of = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(order))))
    own = np.arange(len(order)) + user_of + 1  # place of each row among the codes
    start, stop = before[first + np.arange(len(first))][user_of], before[own]
    spans = np.empty((2, len(order), 2), dtype=np.int64)
    later = np.maximum(start, stop - longest)
    spans[0, order] = np.stack([later, stop - later], axis=1)
    spans[1, order] = np.stack([start, stop - start], axis=1)
    return torch.from_numpy(codes[known]), torch.from_numpy(spans[0]), torch.from_numpy(spans[1])


def some(inputs: Mapping[str, Packed], target: Packed) -> tuple[Mapping[str, Packed], Packed]:
    """So many examples, evenly spaced, as choices are made on."""
    rows = torch.linspace(0, len(target) - 1, min(CHOOSING, len(target))).long()
    return {key: packed.some(rows) for key, packed in inputs.items()}, target.some(rows)

"""How much of what was learned is kept: validation rows tell what of it was chance, and that is taken back.

Reference: Copas 1983, https://doi.org/10.1111/j.2517-6161.1983.tb01258.x (shrinkage of predictions).
"""

# P = parts, B = examples, K = members, O = outputs

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from netwright.base.schema import Choice
from netwright.data.packed import Packed
from netwright.tasks.network import Network, observed
from netwright.tasks.task import Head

if TYPE_CHECKING:
    from netwright.data.packed import Part
    from netwright.prepare import Prepared
    from netwright.tasks.task import AbstractTask
    from netwright.training import Trained

PARTS = 4
"""Parts of the calibration rows, one after another, that a gain over the linear network is asked of."""
SHARES = tuple(step / 10 for step in range(10, -1, -1))
"""Of what was learned: shares that are tried, all of it first."""
DRAWN = ("classify", "regress")
"""Tasks whose networks are drawn back towards the blind answer."""
MOST = 2_000
"""Validation rows up to which it is asked: of more rows a network learns little that is chance."""


def towards_linear(
    best: Trained, linear: Trained | None, prepared: Prepared, parts: Mapping[str, Part]
) -> tuple[Trained, Mapping[str, Choice]]:
    """Takes back a share of what a network that began as the linear one learned, where calibration rows ask.

    Neither learning nor its end looked at these rows, so they tell what of it was chance. They are one season
    of a series, though, and what gains in one part of them only may lose in the next season: of a gain its
    standard error over parts of these rows is taken off.
    """
    task, rows = prepared.task, parts["calibrate"]
    if linear is None or not best.network.shown or not len(rows.target):
        return best, {}
    before, after = (observed(each.network, task, rows.inputs, rows.target) for each in (linear, best))
    parts_of = torch.tensor_split(torch.arange(len(rows.target)), min(PARTS, len(rows.target)))

    def losses(share: float) -> Tensor:
        mixed, target = torch.lerp(before, after, share), rows.target
        each = [task.watch(mixed[:, some], target.take(some))["loss"] for some in parts_of]
        return torch.tensor(each, dtype=torch.float64)

    share = _kept(losses)
    best.network.lean(linear.network, share)
    why = "as much of what was learned beyond the linear network as calibration rows ask for"
    return _seen_anew(best, prepared, parts), {"learned": Choice(value=share, why=why, by="measured")}


def towards_blind(
    best: Trained, prepared: Prepared, parts: Mapping[str, Part]
) -> tuple[Trained, Mapping[str, Choice]]:
    """Takes back a share of all that was learned, towards the best answer without any input.

    Where the target depends on no input, or on little of it, a network of few rows answers by what was chance
    in them. Of the gain over the blind answer its standard error over validation rows is taken off; where
    nothing is left of it, so is nothing of what was learned.
    """
    known = [parts["select"]] if getattr(prepared.split, "shared", False) else _held(parts)
    count = sum(len(each.target) for each in known)
    interrupted = best.ended["reason"] == "interrupted"
    if interrupted or not 1 < count <= MOST or not _may(best.network, prepared.task):
        return best, {}
    found = [observed(best.network, prepared.task, each.inputs, each.target) for each in known]
    output_KBO, target_B = torch.cat(found, dim=1), torch.cat([each.target.values for each in known])
    task = prepared.task.calibrate(output_KBO, target_B)
    blind_1O = task.constant(parts["train"].target.values)[0] * getattr(task, "temperature", 1.0)

    def losses(share: float) -> Tensor:
        return _each(task, torch.lerp(blind_1O.expand_as(output_KBO), output_KBO, share), target_B)

    share = _kept(losses)
    if share == 1.0:
        return best, {}
    network = copy.deepcopy(best.network)
    with torch.no_grad():
        network.head.get_parameter("weight_KDO").mul_(share)
        network.head.get_parameter("bias_KO").mul_(share).add_(blind_1O, alpha=1.0 - share)
    why = f"of what was learned, so much beats {task.blind_words[1]} on validation by more than chance"
    drawn = _seen_anew(replace(best, network=network), prepared, parts)
    return drawn, {"held": Choice(value=share, why=why, by="measured")}


def _may(network: Network, task: AbstractTask) -> bool:
    """Whether examples have losses of their own, classes count as often as they stand, and outputs are sums."""
    return task.name in DRAWN and getattr(task, "weights_C", None) is None and type(network.head) is Head


def _each(task: AbstractTask, output_KBO: Tensor, target: Tensor) -> Tensor:
    """(B,) float64 log loss of each example, or squared error; NaN where its target is unknown."""
    found = task.statistics(output_KBO, Packed(target))
    if "log_loss" in found.columns:
        return torch.from_numpy(found["log_loss"].to_numpy(writable=True))
    return torch.from_numpy((found["prediction"] - found["truth"]).to_numpy(writable=True)).square()


def _held(parts: Mapping[str, Part]) -> list[Part]:
    return [parts[name] for name in ("select", "calibrate") if len(parts[name].target)]


def _kept(losses: Callable[[float], Tensor]) -> float:
    """The share whose gain over none at all is surest."""
    without = losses(0.0)
    gains = {share: without - losses(share) for share in SHARES}
    return max(SHARES, key=lambda each: _sure(gains[each]))


def _sure(gain_P: Tensor) -> float:
    """The mean gain less its standard error."""
    gain_P = gain_P[~gain_P.isnan()]
    if len(gain_P) < 2:
        return float(gain_P.mean())
    return float(gain_P.mean() - gain_P.std() / len(gain_P) ** 0.5)


def _seen_anew(best: Trained, prepared: Prepared, parts: Mapping[str, Part]) -> Trained:
    """The network with what it scores on the select rows now."""
    select = parts["select"]
    seen = observed(best.network, prepared.task, select.inputs, select.target)
    found = prepared.task.watch(seen, select.target.values)
    return replace(best, score=found["score"], loss=found["loss"])

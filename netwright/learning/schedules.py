"""The learning rate as a function of the step and the plan."""

from __future__ import annotations

from netwright.base.schema import Plan


def rate(step: int, plan: Plan) -> float:
    """Share of the peak rate at `step`: a linear rise, a plateau, a linear fall to zero.

    Args:
        step: Steps done before this one, >= 0.
        plan: The plan in force.

    Reference: Bergsma et al. 2025, https://arxiv.org/abs/2502.15938 (linear decay to zero).
    """
    share = (step + 1) / plan.warmup if step + 1 < plan.warmup else 1.0
    if step >= plan.decay_from:
        share = max(0.0, min(share, (plan.steps - step) / max(1, plan.steps - plan.decay_from)))
    return share * plan.segment.rate


MEAN_FROM, MEAN_EVERY = 20, 4
"""Steps after which only each fourth counts in the running mean: neighbours are much alike, and beside small
sums, or for large tables, a mean costs a tenth of a step."""


def average_decay(step: int, decay: float) -> float:
    """Decay of the running mean of weights at `step`, shorter while there is little to average.

    1: this step's weights do not count; then those that do count for `MEAN_EVERY` steps.
    """
    if step >= MEAN_FROM and step % MEAN_EVERY:
        return 1.0
    each = min(decay, (1 + step) / (10 + step))
    return each if step < MEAN_FROM else float(each**MEAN_EVERY)

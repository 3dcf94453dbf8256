"""What the evaluations so far say: the best one, and how long ago it was."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.base.schema import JSON

WORTH = 1e-4
"""Relative gain of the validation loss that counts as better for patience."""


@dataclass
class History:
    """Best evaluation and patience used.

    Attributes:
        best_loss: Lowest validation loss so far.
        best_step: The step it was seen at.
        best_score: The headline score then.
        mark: The loss that patience measures against.
        stale: Evaluations since that loss was beaten by a relative `WORTH`.
        count: Evaluations in all.
        probed: Whether harmless augmentation was looked for.
    """

    best_loss: float = math.inf
    best_step: int = 0
    best_score: float = math.nan
    mark: float = math.inf
    stale: int = 0
    count: int = 0
    probed: bool = False

    def add(self, step: int, loss: float, score: float) -> bool:
        """Takes in one evaluation; True if it is the best so far."""
        self.count += 1
        better = loss < self.best_loss
        if better:
            self.best_loss, self.best_step, self.best_score = loss, step, score
        if loss < self.mark - WORTH * abs(self.mark) or not math.isfinite(self.mark):
            self.mark, self.stale = min(loss, self.mark), 0
        else:
            self.stale += 1
        return better

    def facts(self) -> dict[str, JSON]:
        """Plain values; not-finite numbers as None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def restore(cls, facts: dict[str, JSON]) -> History:
        """The history that `facts` wrote."""
        made = cls()
        for name, value in facts.items():
            if value is not None and hasattr(made, name):
                setattr(made, name, value)
        return made

"""A recurrent decoder: a layer, a look at the source, a second layer; whole sequences at once."""

# B = sources, R = rows that are said (one or more a source), T = steps, S = steps of the source, D = width

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.networks.family import Features


@dataclass(frozen=True)
class Heard:
    """What a recurrent decoder remembers.

    Attributes:
        key_BSD: What each step of the source is found by.
        value_BSD: What is read there.
        there_BS: True where there is a step.
        states: State of each layer, as its cell gives it; None at the beginning.
    """

    key_BSD: Tensor
    value_BSD: Tensor
    there_BS: Tensor
    states: tuple[Any, ...] = (None, None)

    def select(self, sources_B: Tensor | None, rows_R: Tensor) -> Heard:
        """The state of these sources (None: all as they are) and of these rows."""
        states = tuple(
            tuple(part.index_select(1, rows_R) for part in each)
            if isinstance(each, tuple)
            else each.index_select(1, rows_R)
            for each in self.states
        )
        if sources_B is None:
            return replace(self, states=states)
        return Heard(self.key_BSD[sources_B], self.value_BSD[sources_B], self.there_BS[sources_B], states)


class Speaker(nn.Module):
    """Two layers with attention between them; the second and the answer know what was looked at.

    Attention comes after the first layer has run, so that all steps of a sequence are computed at once.

    Reference: Luong et al. 2015, https://arxiv.org/abs/1508.04025 (global attention, "general" score).
    """

    def __init__(self, cell: Callable[[int], nn.Module], embedding: int, width: int, memory: int) -> None:
        super().__init__()
        self.lower, self.upper = cell(embedding), cell(width + memory)
        self.find, self.join = nn.Linear(memory, width, bias=False), nn.Linear(width + memory, width)

    def listen(self, memory: Features) -> Heard:
        """The state before anything is said."""
        assert memory.steps_KBTD is not None and memory.mask_BT is not None
        value_BSD = memory.steps_KBTD[0]
        return Heard(self.find(value_BSD), value_BSD, memory.mask_BT)

    def forward(self, x_RTD: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        """(R, T, D) after these steps, and the state."""
        low_RTD, first = self.lower(x_RTD, heard.states[0])
        seen_RTD = self._look(low_RTD, heard)
        high_RTD, second = self.upper(torch.cat([low_RTD, seen_RTD], dim=2), heard.states[1])
        out: Tensor = torch.tanh(self.join(torch.cat([high_RTD, seen_RTD], dim=2)))
        return out, replace(heard, states=(first, second))

    def _look(self, x_RTD: Tensor, heard: Heard) -> Tensor:
        """What the source says to each step; rows of one source look at it together."""
        ask_BTD = x_RTD.reshape(len(heard.key_BSD), -1, x_RTD.shape[2])
        seen = functional.scaled_dot_product_attention(
            ask_BTD, heard.key_BSD, heard.value_BSD, attn_mask=heard.there_BS[:, None, :]
        )
        return seen.view(*x_RTD.shape[:2], -1)

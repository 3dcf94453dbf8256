"""Fields as steps in order: tokens, frames, the rows of a picture; and how steps are masked and pooled."""

# B = examples, T = steps, C = channels, H, W = height, width, D = width

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.base.schema import LENGTHS, Field
from netwright.networks.inputs.images import Normalise
from netwright.networks.parts.dropout import Dropout

ORDERED = ("tokens", "frames", "image")
"""Layouts whose examples have an order of steps."""


def ordered(field: Field) -> bool:
    """Whether steps are read one after the other; what is known ahead enters as columns do."""
    return field.layout in ORDERED and (field.anchored or not field.even)


class Steps(nn.Module):
    """One ordered field as vectors a step: tokens embedded, frames and rows of pixels mapped linearly.

    Args:
        field: The field.
        width: Features of a step.
        dropout: Share of them left out at random in training.
        stride: Frames that become one step: then filters see them and their neighbours.
        pairs: Vectors for pairs of neighbouring tokens, added to those of tokens; pairs beyond share them
            by a hash. 0: none.
    """

    def __init__(self, field: Field, width: int, dropout: float = 0.0, stride: int = 1, pairs: int = 0) -> None:
        super().__init__()
        self.key, self.layout, self.width = field.key, field.layout, width
        self.dropout = Dropout(dropout)
        self.pairs: nn.Embedding | None = None
        self.map: nn.Module
        if field.layout == "tokens":
            self.table = nn.Embedding(field.sizes[0], width, padding_idx=0)
            nn.init.normal_(self.table.weight, std=0.5)
            if pairs:
                self.pairs = nn.Embedding(pairs, width)
                nn.init.zeros_(self.pairs.weight)
            self.plain = True
            return
        if field.layout == "image":
            self.normalise = Normalise(field)
            channels, _, across = field.shape
            self.map = nn.Linear(channels * across, width)
        else:
            self.scale = Scale(field)
            into = field.shape[1]
            self.map = Fewer(into, width, stride) if stride > 1 else nn.Linear(into, width)
        self.map.plain = True  # type: ignore[assignment]

    def forward(self, inputs: Mapping[str, Tensor], before_B1: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) with zeros after the ends, and (B,) lengths.

        Args:
            inputs: The batch.
            before_B1: The tokens before the first ones, where these go on from earlier ones.
        """
        x = inputs[self.key]
        if self.layout == "image":
            rows_BTD = self.normalise(x).permute(0, 2, 1, 3).flatten(2)
            length_B = torch.full((len(x),), x.shape[2], device=x.device)
            return self.dropout(self.map(rows_BTD)), length_B
        length_B = inputs[self.key + LENGTHS]
        if self.layout == "tokens":
            return self.dropout(self._looked_up(x, before_B1)), length_B
        x_BTD = self.scale(x)
        if isinstance(self.map, Fewer):
            x_BTD, length_B = self.map(x_BTD * mask(length_B, x.shape[1]).unsqueeze(2), length_B)
        else:
            x_BTD = self.map(x_BTD)
        return self.dropout(x_BTD) * mask(length_B, x_BTD.shape[1]).unsqueeze(2), length_B

    def _looked_up(self, x_BT: Tensor, before_B1: Tensor | None) -> Tensor:
        found: Tensor = self.table(x_BT)
        if self.pairs is None:
            return found
        before = torch.zeros_like(x_BT[:, :1]) if before_B1 is None else before_B1
        earlier_BT = torch.cat([before, x_BT[:, :-1]], dim=1)
        both: Tensor = found + self.pairs(self.pair(earlier_BT, x_BT)) * (x_BT > 0).unsqueeze(2)
        return both

    def pair(self, earlier: Any, later: Any) -> Any:
        """The place of a pair of neighbouring tokens among the vectors of pairs; whole numbers or tensors."""
        assert self.pairs is not None
        return (earlier * self.table.num_embeddings + later) % self.pairs.num_embeddings


class Fewer(nn.Module):
    """Filters over frames, a step for every so many of them."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.filters = nn.Conv1d(into, width, 2 * stride + 1, stride)

    def forward(self, x_BTD: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D), zeros after the ends, and (B,) to a step for each `stride` frames that have begun."""
        steps = -(-x_BTD.shape[1] // self.stride)
        before = self.stride // 2
        after = (steps - 1) * self.stride + 2 * self.stride + 1 - before - x_BTD.shape[1]
        found = self.filters(nn.functional.pad(x_BTD.transpose(1, 2), (before, after)))
        return nn.functional.gelu(found).transpose(1, 2), -(-length_B // self.stride)


class Scale(nn.Module):
    """Frames to numbers around 0."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        width = field.shape[1]
        self.anchored = field.anchored
        self.register_buffer("center_D", torch.tensor(field.center or (0.0,) * width))
        self.register_buffer("inverse_D", 1.0 / torch.tensor(field.scale or (1.0,) * width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to the same."""
        x: Tensor = (x_BTD.float() - self.center_D) * self.inverse_D  # type: ignore[operator]
        return x - x[:, -1:] if self.anchored else x


def mask(length_B: Tensor, steps: int) -> Tensor:
    """(B, T) True where there is a step."""
    return torch.arange(steps, device=length_B.device) < length_B.unsqueeze(1)


def pooled(x_BTD: Tensor, length_B: Tensor) -> Tensor:
    """(B, 2 * D): mean and maximum over the steps that are there; zeros where there is none."""
    there_BT1 = mask(length_B, x_BTD.shape[1]).unsqueeze(2)
    mean_BD = (x_BTD * there_BT1).sum(1) / length_B.clamp(min=1).unsqueeze(1)
    most_BD = x_BTD.masked_fill(~there_BT1, -torch.inf).amax(1)
    return torch.cat([mean_BD, torch.where(length_B.unsqueeze(1) > 0, most_BD, 0.0)], dim=1)


def reversed_steps(x_BTD: Tensor, length_B: Tensor) -> Tensor:
    """Each example's steps from its last to its first; what comes after the end stays where it is."""
    step_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
    place_BT = length_B.unsqueeze(1) - 1 - step_T
    place_BT = torch.where(place_BT >= 0, place_BT, step_T)
    return x_BTD.gather(1, place_BT.unsqueeze(2).expand_as(x_BTD))

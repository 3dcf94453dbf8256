"""Fields as steps in order: tokens, frames, the rows of a picture; and how steps are masked and pooled."""

# B = examples, T = steps, C = channels, H, W = height, width, D = width

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.base.schema import LENGTHS, Field, InputSpec
from netwright.networks.inputs.images import Normalise
from netwright.networks.parts.dropout import Dropout

NARROW = 8
"""A vector of tokens in a row has so manieth part of the width: many narrow ones tell more than few wide."""
MIXER, PRIME = 1_000_003, 2**31 - 1
"""What tokens in a row are hashed by; products stay below 2^63."""
FEW, PLACES, SMALL = 1_000, 65_536, 20_000_000
"""Of language models: tokens of a vocabulary of characters at most; vectors for tokens in a row of each length;
tokens of a corpus that a small network suits."""
WINDOWS = 4
"""Training windows of a language model that hold each token."""
ORDERED = ("tokens", "frames", "image")
"""Layouts whose examples have an order of steps."""


def corpus(spec: InputSpec) -> tuple[int, bool]:
    """About how many tokens a language model learns from, and whether they are as few as characters are."""
    field = spec.inputs[0]
    return spec.examples * field.shape[0] // WINDOWS, field.sizes[0] < FEW


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
        grams: Tokens in a row, at most, that have a vector of their own: together they are mapped to the width
            of a token's, and added to it.
        places: Vectors for those of one length; by a hash, more of them share these.
    """

    def __init__(
        self,
        field: Field,
        width: int,
        dropout: float = 0.0,
        stride: int = 1,
        *,
        grams: int = 1,
        places: int = 1,
    ) -> None:
        super().__init__()
        self.key, self.layout, self.width = field.key, field.layout, width
        self.dropout = Dropout(dropout)
        self.grams, self.places = nn.ModuleList(), places
        self.map: nn.Module
        if field.layout == "tokens":
            self.table = nn.Embedding(field.sizes[0], width, padding_idx=0)
            nn.init.normal_(self.table.weight, std=0.5)
            if grams > 1:
                narrow = max(4, width // NARROW)
                self.grams.extend(nn.Embedding(places, narrow) for _ in range(grams - 1))
                self.join = nn.Linear((grams - 1) * narrow, width, bias=False)
                for each in self.grams:
                    nn.init.zeros_(each.weight)  # type: ignore[arg-type]
                    each.rare = True  # type: ignore[assignment]
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

    def forward(self, inputs: Mapping[str, Tensor], before_BG: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) with zeros after the ends, and (B,) lengths.

        Args:
            inputs: The batch.
            before_BG: The tokens before the first ones, where these go on from earlier ones: as many as `grams`
                look back on.
        """
        x = inputs[self.key]
        if self.layout == "image":
            rows_BTD = self.normalise(x).permute(0, 2, 1, 3).flatten(2)
            length_B = torch.full((len(x),), x.shape[2], device=x.device)
            return self.dropout(self.map(rows_BTD)), length_B
        length_B = inputs[self.key + LENGTHS]
        if self.layout == "tokens":
            return self.dropout(self._looked_up(x, before_BG)), length_B
        x_BTD = self.scale(x)
        if isinstance(self.map, Fewer):
            x_BTD, length_B = self.map(x_BTD * mask(length_B, x.shape[1]).unsqueeze(2), length_B)
        else:
            x_BTD = self.map(x_BTD)
        return self.dropout(x_BTD) * mask(length_B, x_BTD.shape[1]).unsqueeze(2), length_B

    def _looked_up(self, x_BT: Tensor, before_BG: Tensor | None) -> Tensor:
        found: Tensor = self.table(x_BT)
        back = len(self.grams)
        if not back:
            return found
        whole, there_BT1 = self._whole(x_BT, before_BG), (x_BT > 0).unsqueeze(2)
        earlier = [whole[:, back - each : whole.shape[1] - each] for each in range(1, back + 1)]
        places = zip(self.grams, self.gram_places(x_BT, earlier), strict=True)
        rows_BTD: Tensor = self.join(torch.cat([grams(place_BT) for grams, place_BT in places], dim=2))
        return found + rows_BTD * there_BT1

    def last(self, x_BT: Tensor, before_BG: Tensor | None) -> Tensor:
        """(B, G) the tokens that those after these look back on."""
        whole = self._whole(x_BT, before_BG)
        return whole[:, whole.shape[1] - len(self.grams) :]

    def _whole(self, x_BT: Tensor, before_BG: Tensor | None) -> Tensor:
        """(B, G + T) these tokens behind those before them; marks of padding where there are none."""
        before = x_BT.new_zeros(len(x_BT), len(self.grams)) if before_BG is None else before_BG
        return torch.cat([before, x_BT], dim=1)

    def gram_places(self, last: Any, earlier: Iterable[Any]) -> Iterator[Any]:
        """The places of two tokens in a row, of three, … among their vectors; whole numbers or tensors.

        Args:
            last: The last token.
            earlier: The one before it, the one before that, …
        """
        mixed = last
        for each in earlier:
            mixed = (mixed * MIXER + each) % PRIME
            yield mixed % self.places


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

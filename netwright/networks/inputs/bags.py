"""Ordered fields without their order: tokens as a bag of n-grams, frames as the means of a few pieces."""

# B = examples, T = steps, N = n-grams, R = different n-grams, D = width

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from netwright.base.draws import source
from netwright.base.schema import LENGTHS, Field
from netwright.networks.inputs.steps import Scale, mask

FACTOR = 92_821
BUCKETS = 2**16
"""Places that pairs of tokens share by their hashes."""
INSIDE, SIZES, MOST_INSIDE = 2**15, (3, 4, 5), 24
"""Places that parts of tokens share by their hashes; their lengths in characters; how many of a token count."""
PIECES = 16
"""Parts of equal length that frames are averaged in."""
DROPPED = 0.25
"""Share of n-grams left out at random in training: few words must not carry everything."""


class Bag(nn.Module):
    """The mean of vectors of all tokens, of pairs of neighbours and of the characters inside; both are hashed.

    References: Joulin et al. 2017, https://arxiv.org/abs/1607.01759 (fastText); Bojanowski et al. 2017,
    https://arxiv.org/abs/1607.04606 (parts of words).
    """

    draws = True
    """Tokens are left out at random."""
    looked_up = "table"
    """The parameter of which an example needs few rows."""

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        self.key, self.width = field.key, width
        self.tokens = field.sizes[0]
        self.buckets = min(BUCKETS, 8 * self.tokens)
        self.words, self.parts = field.tokens, INSIDE if field.tokens else 0
        self.table = nn.Parameter(torch.randn(self.tokens + self.buckets + self.parts, width) * 0.1)
        self._inside_VN: Tensor | None = None
        self.plain = True

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, T) tokens to (B, D)."""
        code_BT, length_B = inputs[self.key], inputs[self.key + LENGTHS]
        there_BT = mask(length_B, code_BT.shape[1])
        pair_BT = (code_BT[:, :-1] * FACTOR + code_BT[:, 1:]) % self.buckets + self.tokens
        place_BN = torch.cat([code_BT, pair_BT], dim=1)
        there_BN = torch.cat([there_BT, there_BT[:, 1:]], dim=1)
        weight_BN = there_BN.to(self.table.dtype)
        if self.parts:
            part_BN, share_BN = self._parts(code_BT, there_BT)
            place_BN, weight_BN = torch.cat([place_BN, part_BN], dim=1), torch.cat([weight_BN, share_BN], dim=1)
        if self.training:
            drawn_BN = torch.rand(weight_BN.shape, device=code_BT.device, generator=source(code_BT.device))
            weight_BN = weight_BN * (drawn_BN >= DROPPED)
        weight_BN = weight_BN / weight_BN.sum(1, keepdim=True).clamp(min=1.0).sqrt()
        if code_BT.device.type != "cpu":  # to count what is there would have to wait for the device
            return nn.functional.embedding_bag(
                place_BN, self.table, per_sample_weights=weight_BN, mode="sum", sparse=self.training
            )
        there_BN = weight_BN > 0
        table_RD: Tensor = self.table
        some = there_BN.flatten().nonzero().squeeze(1)
        place_N, weight_N = place_BN.flatten()[some], weight_BN.flatten()[some]
        count_B = there_BN.sum(1)
        if self.training:
            row_R, place_N = _few(place_N, len(self.table))
            table_RD = nn.functional.embedding(row_R, self.table, sparse=True)
        starts_B = count_B.cumsum(0) - count_B
        return nn.functional.embedding_bag(place_N, table_RD, starts_B, per_sample_weights=weight_N, mode="sum")

    def _parts(self, code_BT: Tensor, there_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Places of the parts of all tokens, and their weights: those of one token count as much as it does."""
        if self._inside_VN is None or self._inside_VN.device != code_BT.device:
            self._inside_VN = inside(self.words, self.tokens).to(code_BT.device)
        part_BTN = self._inside_VN[code_BT]
        there_BTN = (part_BTN > 0) & there_BT.unsqueeze(2)
        share_BTN = there_BTN / there_BTN.sum(2, keepdim=True).clamp(min=1)
        first = self.tokens + self.buckets
        return (part_BTN + first).flatten(1), share_BTN.to(self.table.dtype).flatten(1)


def _few(place_N: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """The places that occur, each once and ascending, and where among them each stands."""
    row_R = torch.zeros(places, dtype=torch.bool).index_fill_(0, place_N, value=True).nonzero().squeeze(1)
    among = torch.zeros(places, dtype=torch.int64).index_copy_(0, row_R, torch.arange(len(row_R)))
    return row_R, among[place_N]


def inside(words: Sequence[str], codes: int) -> Tensor:
    """(V, N) places of the parts of each code's characters, 0 where there are no more; hashes, none is 0."""
    found_VN = np.zeros((codes, MOST_INSIDE), dtype=np.int64)
    for code, word in enumerate(words, start=codes - len(words)):
        parts = {
            word[at : at + size] for size in SIZES if len(word) > size for at in range(len(word) - size + 1)
        }
        places = sorted(zlib.crc32(part.encode()) % (INSIDE - 1) + 1 for part in parts)[:MOST_INSIDE]
        found_VN[code, : len(places)] = places
    return torch.from_numpy(found_VN)


class Window(nn.Module):
    """Frames of one length, side by side."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.key = field.key
        self.scale = Scale(field)
        self.width = field.shape[0] * field.shape[1]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D) frames to (B, T * D)."""
        found: Tensor = self.scale(inputs[self.key]).flatten(1)
        return found


class Pieces(nn.Module):
    """Means of frames over parts of equal length, one after the other."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.key = field.key
        self.scale = Scale(field)
        self.width = PIECES * field.shape[1]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D) frames to (B, PIECES * D)."""
        x_BTD, length_B = self.scale(inputs[self.key]), inputs[self.key + LENGTHS]
        there_BT1 = mask(length_B, x_BTD.shape[1]).unsqueeze(2)
        total_BTD = nn.functional.pad((x_BTD * there_BT1).cumsum(1), (0, 0, 1, 0))
        edge_P = torch.arange(PIECES + 1, device=x_BTD.device)
        edge_BP = edge_P * length_B.unsqueeze(1) // PIECES
        first_BP = torch.minimum(edge_BP[:, :-1], (length_B - 1).clamp(min=0).unsqueeze(1))
        last_BP = torch.maximum(edge_BP[:, 1:], first_BP + (length_B > 0).long().unsqueeze(1))
        width = total_BTD.shape[2]
        high = total_BTD.gather(1, last_BP.unsqueeze(2).expand(-1, -1, width))
        low = total_BTD.gather(1, first_BP.unsqueeze(2).expand(-1, -1, width))
        return ((high - low) / (last_BP - first_BP).clamp(min=1).unsqueeze(2)).flatten(1)

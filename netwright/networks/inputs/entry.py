"""The door of a network: every field becomes a vector, and the vectors stand side by side."""

# B = examples, D = width

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs import LAYOUTS

Embedding = Literal["none", "piecewise", "periodic"]


@dataclass(frozen=True, kw_only=True)
class Entering:
    """How fields enter a network.

    Attributes:
        embedding: How a number becomes a vector; "none" leaves it a number.
        embedding_width: Numbers in that vector, >= 1.
        one_hot: Columns of up to so many codes enter as one-hot vectors, larger ones as learned ones.
        code_width: Numbers in the learned vector of a code, >= 1.
    """

    embedding: Embedding = "none"
    embedding_width: int = 12
    one_hot: int = 64
    code_width: int = 16


class AbstractEntry(nn.Module, ABC):
    """How fields of one layout become vectors.

    Attributes:
        chunks: Width of the vector of each column, in order: what belongs together.
    """

    chunks: tuple[int, ...]

    def __init__(self, field: Field, entering: Entering) -> None:
        """Builds the entry; weights are drawn from the global generator of torch."""
        super().__init__()

    @property
    def width(self) -> int:
        """Width of all columns together."""
        return sum(self.chunks)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A batch as its layout says -> (B, width) float32."""


class Entrance(nn.Module):
    """All fields of a network side by side.

    Attributes:
        chunks: Width of the vector of each column of each field, in order.
        width: Their sum.
    """

    def __init__(self, fields: Sequence[Field], entering: Entering) -> None:
        super().__init__()
        self.keys = tuple(field.key for field in fields)
        # a list, for a field's key may hold a dot, which no module's name may
        self.entries = nn.ModuleList(LAYOUTS[field.layout](field, entering) for field in fields)
        self.chunks = tuple(chunk for entry in self.entries for chunk in entry.chunks)  # type: ignore[union-attr]
        self.width = sum(self.chunks)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Field key -> tensor as its layout says; (B, width) float32."""
        parts = [
            entry(inputs[key]) for key, entry in zip(self.keys, self.entries, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

"""Category codes: one-hot where there are few, embedded where there are many."""

# B = rows, F = columns

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.base.schema import Field

FEW = 64
"""Columns with up to so many codes enter as one-hot vectors."""
EMBEDDED = 16
"""Features a column with more codes is embedded in."""


class Codes(nn.Module):
    """One-hot vectors of small columns beside embeddings of large ones."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        small = [index for index, size in enumerate(field.sizes) if size <= FEW]
        large = [index for index, size in enumerate(field.sizes) if size > FEW]
        self.hot = sum(field.sizes[index] for index in small)
        self.width = self.hot + EMBEDDED * len(large)
        self.register_buffer("small_F", torch.tensor(small, dtype=torch.long))
        self.register_buffer("large_F", torch.tensor(large, dtype=torch.long))
        self.register_buffer("hot_start_F", _starts([field.sizes[index] for index in small]))
        self.register_buffer("row_start_F", _starts([field.sizes[index] for index in large]))
        self.register_buffer("one", torch.ones(()))
        rows = sum(field.sizes[index] for index in large)
        self.table_RD = nn.Parameter(torch.randn(rows, EMBEDDED) * 0.25) if large else None

    def forward(self, code_BF: Tensor) -> Tensor:
        """(B, F) int64 to (B, width) float32."""
        parts = []
        if self.hot:
            place_BF = code_BF.index_select(1, self.small_F) + self.hot_start_F  # type: ignore[arg-type,operator]
            zeros = self.one.new_zeros(len(code_BF), self.hot)  # type: ignore[operator]
            parts.append(zeros.scatter_(1, place_BF, 1.0))
        if self.table_RD is not None:
            row_BF = code_BF.index_select(1, self.large_F) + self.row_start_F  # type: ignore[arg-type,operator]
            parts.append(nn.functional.embedding(row_BF, self.table_RD).flatten(1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _starts(sizes: list[int]) -> Tensor:
    """Where each column's block begins when all stand side by side."""
    ends = torch.tensor([0, *sizes[:-1]] if sizes else [], dtype=torch.long)
    return ends.cumsum(0)

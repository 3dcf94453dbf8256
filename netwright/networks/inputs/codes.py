"""Codes enter as one-hot vectors, or as learned vectors where a column has many."""

# B = examples, F = columns

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs.entry import AbstractEntry, Entering


class Codes(AbstractEntry):
    """A block of codes, (B, F) int64 in [0, size of the column) -> one-hot vectors, then learned ones."""

    few_F: Tensor
    many_F: Tensor
    few_start_F: Tensor
    many_start_F: Tensor

    def __init__(self, field: Field, entering: Entering) -> None:
        super().__init__(field, entering)
        sizes = field.sizes
        few = [place for place, size in enumerate(sizes) if size <= entering.one_hot]
        many = [place for place, size in enumerate(sizes) if size > entering.one_hot]
        # derived from the field at every building, so not part of what is saved
        self.register_buffer("few_F", torch.tensor(few, dtype=torch.long), persistent=False)
        self.register_buffer("many_F", torch.tensor(many, dtype=torch.long), persistent=False)
        self.register_buffer("few_start_F", _starts([sizes[place] for place in few]), persistent=False)
        self.register_buffer("many_start_F", _starts([sizes[place] for place in many]), persistent=False)
        self.flat = sum(sizes[place] for place in few)
        rows = sum(sizes[place] for place in many)
        self.table = nn.Embedding(rows, entering.code_width) if many else None
        self.chunks = (*(sizes[place] for place in few), *[entering.code_width] * len(many))

    def forward(self, x: Tensor) -> Tensor:
        """Codes to vectors, side by side."""
        if self.table is None:
            return self._one_hot(x + self.few_start_F)
        learned = self.table(x[:, self.many_F] + self.many_start_F).flatten(1)
        if not self.flat:
            return learned
        return torch.cat([self._one_hot(x[:, self.few_F] + self.few_start_F), learned], dim=1)

    def _one_hot(self, place_BF: Tensor) -> Tensor:
        zeros = torch.zeros(len(place_BF), self.flat, device=place_BF.device)
        return zeros.scatter_(1, place_BF, 1.0)


def _starts(sizes: list[int]) -> Tensor:
    return torch.tensor([0, *accumulate(sizes)][:-1] if sizes else [], dtype=torch.long)

"""How a field enters a network, keyed by its layout and never by its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from netwright.base.schema import Field
from netwright.networks.inputs.bags import Bag, Pieces, Window
from netwright.networks.inputs.codes import Codes
from netwright.networks.inputs.images import Flat
from netwright.networks.inputs.numbers import Numbers

Made = Bag | Codes | Flat | Numbers | Pieces | Window
BAG = 64
"""Features that a bag of tokens is embedded in, where nothing else is asked for."""


def make(field: Field, embedding: str, width: int, bag: int = BAG) -> Made:
    """The input module of one field; `module.width` is what it gives for one example.

    Args:
        field: The block as the network sees it.
        embedding: "none", "piecewise" or "periodic", for numbers.
        width: Features a number is embedded in.
        bag: Features a bag of tokens is embedded in.
    """
    if field.layout == "numbers":
        return Numbers(field, embedding, width)
    if field.layout == "codes":
        return Codes(field)
    if field.layout == "image":
        return Flat(field)
    if field.layout == "tokens":
        return Bag(field, bag)
    if field.layout == "frames":
        return Window(field) if field.even else Pieces(field)
    raise AssertionError(f"no input for layout {field.layout!r}")


class Inputs(nn.Module):
    """All fields of a row side by side: (B, width)."""

    def __init__(self, fields: Sequence[Field], embedding: str, width: int, bag: int = BAG) -> None:
        super().__init__()
        self.keys = [field.key for field in fields]
        self.each = nn.ModuleList(make(field, embedding, width, bag) for field in fields)
        self.width = sum(module.width for module in self.each)  # type: ignore[misc]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, width) float32."""
        parts = [
            module(inputs if isinstance(module, Bag | Pieces | Window) else inputs[key])
            for key, module in zip(self.keys, self.each, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

"""How fields enter several networks that share no weight, each of which may read the cells in its own way.

A kind is fitted to rows, and of two networks that learn from different rows neither may know the other's. The
fields that come in were made by one kind fitted to all of them; `read` makes of them what the kind fitted to
each network's own rows would have made of the same cells.
"""

# S = networks, B = rows, F = columns, E = columns with bins, N = bins, R = numbers read,
# D = features a number is embedded in

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from netwright.base.errors import RecipeError
from netwright.base.schema import Field
from netwright.networks.inputs.codes import EMBEDDED, Codes
from netwright.networks.inputs.numbers import bins_of

LARGE = 3.0
"""Encoded numbers lie between this and its negative: z / sqrt(1 + (z / 3)^2)."""


class SeparateNumbers(nn.Module):
    """`Numbers` for each network: its scales, its bins, its weights.

    All that no weight has a part in is done once a row, by `read`. One table a column (M = N + 2) maps how far
    a number has come through each bin, the number itself, and 1 for the bias.

    Attributes:
        columns: F.
        width: Features of one row.
    """

    ratio_SF: Tensor
    shift_SF: Tensor
    kept_SF: Tensor
    gap_F: Tensor
    squashed_F: Tensor
    starts_SEN: Tensor
    inverse_SEN: Tensor
    low_SEN: Tensor
    high_SEN: Tensor
    edged_E: Tensor

    def __init__(self, networks: int, field: Field, embedding: str, width: int) -> None:
        super().__init__()
        if embedding == "periodic":
            raise RecipeError(
                "separate networks do not read numbers as waves.",
                hint="set network.embedding=piecewise or none.",
            )
        columns = field.shape[0]
        self.networks, self.columns = networks, columns
        self.register_buffer("ratio_SF", torch.ones(networks, columns))
        self.register_buffer("shift_SF", torch.zeros(networks, columns))
        self.register_buffer("kept_SF", torch.ones(networks, columns))
        self.register_buffer("gap_F", torch.full((columns,), -1))
        self.register_buffer("squashed_F", torch.zeros(columns, dtype=torch.bool))
        edged = [index for index in range(columns) if field.edges and len(field.edges[index]) > 2]
        self.edged = edged if embedding == "piecewise" else []
        self.width = columns + len(self.edged) * width
        if not self.edged:
            return
        edges = [field.edges[index] for index in self.edged]
        self.register_buffer("edged_E", torch.tensor(self.edged, dtype=torch.long))
        self.most = max(len(each) for each in edges) - 1
        for name, tensor in bins_of(edges, self.most).items():
            self.register_buffer(f"{name}_SEN", torch.stack([tensor] * networks))
        first = torch.zeros(networks, len(edges), self.most + 2, width)
        first[:, :, self.most :].uniform_(-(width**-0.5), width**-0.5)
        self.table_SEMD = nn.Parameter(first)

    def own(self, network: int, facts: Mapping[str, Tensor], edges: Sequence[tuple[float, ...]]) -> None:
        """How one network reads the columns.

        Args:
            network: Which.
            facts: What `AbstractKind.against` gave.
            edges: Its bin edges of every column.
        """
        for name in ("ratio", "shift", "kept"):
            getattr(self, f"{name}_SF")[network] = facts[f"{name}_F"]
        self.gap_F.copy_(facts["gap_F"])
        self.squashed_F.copy_(facts["squashed_F"])
        if self.edged:
            few = [_at_most(edges[index], self.most + 1) for index in self.edged]
            for name, tensor in bins_of(few, self.most).items():
                getattr(self, f"{name}_SEN")[network] = tensor

    def read(self, x_BF: Tensor) -> Tensor:
        """(B, F) as they come to (S, B, F + E * M) as each network reads them: numbers, what meets tables."""
        third_BF = x_BF / LARGE
        z_BF = x_BF / (1.0 - third_BF * third_BF).clamp(min=1e-7).sqrt()
        z_SBF = z_BF * self.ratio_SF.unsqueeze(1) + self.shift_SF.unsqueeze(1)
        third_SBF = z_SBF / LARGE
        own_SBF = z_SBF / (1.0 + third_SBF * third_SBF).sqrt()
        gone_BF = x_BF.index_select(1, self.gap_F.clamp(min=0)) * (self.gap_F >= 0)
        own_SBF = torch.where(self.squashed_F, own_SBF * (1.0 - gone_BF), x_BF) * self.kept_SF.unsqueeze(1)
        if not self.edged:
            return own_SBF
        x_SBE1 = own_SBF.index_select(2, self.edged_E).unsqueeze(3)
        part_SBEN = (x_SBE1 - self.starts_SEN.unsqueeze(1)) * self.inverse_SEN.unsqueeze(1)
        part_SBEN = torch.minimum(
            torch.maximum(part_SBEN, self.low_SEN.unsqueeze(1)), self.high_SEN.unsqueeze(1)
        )
        part_SBEM = torch.cat([part_SBEN, x_SBE1, torch.ones_like(x_SBE1)], dim=3)
        return torch.cat([own_SBF, part_SBEM.flatten(2)], dim=2)

    def forward(self, x_SBR: Tensor) -> Tensor:
        """(S, B, what `read` gave of a row) to (S, B, width)."""
        if not self.edged:
            return x_SBR
        networks, rows, _ = x_SBR.shape
        x_SBF, part_SBR = x_SBR[:, :, : self.columns], x_SBR[:, :, self.columns :]
        part_SEBM = part_SBR.view(networks, rows, len(self.edged), -1).transpose(1, 2)
        found = torch.bmm(part_SEBM.flatten(0, 1), self.table_SEMD.flatten(0, 1))
        found_SBED = found.view(networks, -1, rows, found.shape[2]).transpose(1, 2)
        return torch.cat([x_SBF, found_SBED.flatten(2)], dim=2)


def _at_most(edges: tuple[float, ...], count: int) -> tuple[float, ...]:
    """So many of the edges, the first and the last among them."""
    if len(edges) <= count:
        return edges
    return tuple(edges[step * (len(edges) - 1) // (count - 1)] for step in range(count))


class SeparateCodes(nn.Module):
    """`Codes` for each network: what it takes for one value, and its vectors of columns of many codes."""

    own_SC: Tensor
    start_F: Tensor
    first_S: Tensor

    def __init__(self, networks: int, field: Field) -> None:
        super().__init__()
        self.networks = networks
        self.shape = Codes(field)
        self.width = self.shape.width
        starts = [sum(field.sizes[:place]) for place in range(len(field.sizes))]
        self.register_buffer("start_F", torch.tensor(starts))
        codes = [code for size in field.sizes for code in range(size)]
        self.register_buffer("own_SC", torch.tensor([codes] * networks))
        self.table_SRD: nn.Parameter | None = None
        if self.shape.table_RD is not None:
            rows = len(self.shape.table_RD)
            self.shape.table_RD = None
            self.register_buffer("first_S", torch.tensor([rows * network for network in range(networks)]))
            self.table_SRD = nn.Parameter(torch.randn(networks, rows, EMBEDDED) * 0.25)

    def own(self, network: int, facts: Mapping[str, Tensor]) -> None:
        """How one network reads the columns: what `AbstractKind.against` gave."""
        self.own_SC[network] = facts["own_C"]

    def read(self, code_BF: Tensor) -> Tensor:
        """(B, F) as they come to (S, B, F) as each network reads them."""
        place_BF = code_BF + self.start_F
        return self.own_SC.index_select(1, place_BF.flatten()).view(self.networks, *code_BF.shape)

    def forward(self, code_SBF: Tensor) -> Tensor:
        """(S, B, F) int64 to (S, B, width) float32."""
        parts = []
        if self.shape.hot:
            flat = self.shape(code_SBF.flatten(0, 1))
            parts.append(flat.view(self.networks, code_SBF.shape[1], -1))
        if self.table_SRD is not None:
            large_SBF = code_SBF.index_select(2, self.shape.large_F) + self.shape.row_start_F  # type: ignore[arg-type,operator]
            row_SBF = large_SBF + self.first_S.view(-1, 1, 1)
            found = nn.functional.embedding(row_SBF, self.table_SRD.flatten(0, 1))
            parts.append(found.flatten(2))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


class SeparateInputs(nn.Module):
    """All fields of a row side by side, for each network: (S, B, width)."""

    def __init__(self, networks: int, fields: Sequence[Field], embedding: str, width: int) -> None:
        super().__init__()
        for field in fields:
            if field.layout not in ("numbers", "codes"):
                raise RecipeError(
                    f"separate networks (network.folds) read numbers and categories, not '{field.columns[0]}'.",
                    hint="leave out --folds, or the column with --drop.",
                )
        self.keys = [field.key for field in fields]
        self.each = nn.ModuleList(
            SeparateCodes(networks, field)
            if field.layout == "codes"
            else SeparateNumbers(networks, field, embedding, width)
            for field in fields
        )
        self.width = sum(module.width for module in self.each)  # type: ignore[misc]

    def read(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same rows as each network reads them: field key -> (S, B, F)."""
        return {key: module.read(inputs[key]) for key, module in zip(self.keys, self.each, strict=True)}  # type: ignore[operator]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(S, B, width) float32.

        Args:
            inputs: Field key -> (B, F), the same rows for all networks; or (B, S, F), for each its own rows as
                it reads them.
        """
        parts = []
        for key, module in zip(self.keys, self.each, strict=True):
            x = inputs[key]
            parts.append(module(module.read(x) if x.dim() == 2 else x.transpose(0, 1)))  # type: ignore[operator]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

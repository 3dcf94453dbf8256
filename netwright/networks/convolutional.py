"""Convolutional networks: filters that see neighbours, from 8 x 8 pictures to photos.

A strided stem, then stages of convolution, pooling, batch norm and GELU that halve the sides and double
the channels, then the mean and the maximum over what is left. Other columns of the row join after that.
"""

# K = 1, B = rows, C = channels, H, W = height, width, D = width

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.base.errors import RecipeError
from netwright.base.schema import Choice, Field, InputSpec
from netwright.networks.family import AbstractFamily, Features, Machine
from netwright.networks.inputs import Inputs
from netwright.networks.inputs.images import Normalise

LAST_SIDE = 4
"""Stages are added until the shorter side is at most this."""
WIDEST = 4
"""Channels double from stage to stage up to this multiple of the width."""


class Convolutional(AbstractFamily):
    """Filters over pictures; a row's other columns are joined after pooling."""

    name = "convolutional"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of a convolutional network."""

        width: int = 32
        """Channels of the first stage, >= 2."""
        depth: int = 1
        """Convolutions of a stage, >= 1; those after the first are residual."""
        stem: int = 4
        """Side of the first filters, 1-16."""
        stride: int = 2
        """Step of the first filters, 1-4."""
        dropout: float = 0.0
        """Share of pooled features left out at random in training, 0-0.9."""

        def __post_init__(self) -> None:
            """Checks all settings, and names every one that is out of range.

            Raises:
                RecipeError: If any is.
            """
            limits = {
                "width": (2, 4096), "depth": (1, 50), "stem": (1, 16), "stride": (1, 4), "dropout": (0, 0.9)
            }  # fmt: skip
            wrong = [
                f"network.{name} = {getattr(self, name)}"
                for name, (low, high) in limits.items()
                if not low <= getattr(self, name) <= high
            ]
            if self.stride > self.stem:
                wrong.append(f"network.stride = {self.stride} over network.stem = {self.stem}")
            if wrong:
                raise RecipeError(
                    f"out of range: {', '.join(wrong)}.",
                    hint="width from 2, depth from 1, stem 1-16, stride 1-4 but not over stem, dropout 0-0.9.",
                )

    def __init__(self, config: Config, spec: InputSpec) -> None:
        super().__init__(config, spec)
        pictures = [field for field in spec.inputs if field.layout == "image"]
        others = [field for field in spec.inputs if field.layout != "image"]
        self.keys = [field.key for field in pictures]
        self.towers = nn.ModuleList(Tower(config, field) for field in pictures)
        self.others = Inputs(others, "none", 1) if others else None
        self.dropout = nn.Dropout(config.dropout)
        joined = self.others.width if self.others else 0
        self.members = 1
        self.width = sum(tower.width for tower in self.towers) + joined  # type: ignore[misc]

    @classmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """Refuses rows without a picture."""
        if spec.needs != "pooled":
            return "a convolution over pictures gives one answer a row, not one a step."
        pictures = [field for field in spec.inputs if field.layout == "image"]
        if not pictures:
            return "a convolution needs neighbours, and table columns have none."
        if any(min(field.shape[1:]) < 8 for field in pictures):
            return "a convolution needs pictures of 8 x 8 or more."
        return None

    @classmethod
    def suits(cls, spec: InputSpec) -> int:
        """Best for pictures."""
        return 90

    @classmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """Width from the number of pictures, the stem from their size, passes from the data."""
        rows = max(1, spec.examples)
        side = min(min(field.shape[1:]) for field in spec.inputs if field.layout == "image")
        size = f"{rows:,} training pictures"
        batch = 256 if rows >= 20_000 else 64 if rows >= 500 else max(8, min(32, rows // 8))
        small = side < 20
        passes = min(100.0, max(24.0, 8e4 / rows)) if rows >= 500 else min(150.0, 3e4 / rows)
        return {
            "network.width": Choice(value=32, why=f"enough for {size}"),
            "network.depth": Choice(value=1, why="one convolution a stage trains fastest"),
            "network.stem": Choice(value=3 if small else 4, why=f"pictures have {side} pixels a side"),
            "network.stride": Choice(value=1 if small else 2, why=f"pictures have {side} pixels a side"),
            "network.dropout": Choice(value=0.0, why="augmentation and smoothing do its work"),
            "task.label_smoothing": Choice(value=0.1, why="keeps the network from being too sure"),
            "learning.optimizer": Choice(value="adamw", why="beat Muon at equal time on small pictures"),
            "learning.lr": Choice(value=0.01, why="batch norm takes large steps"),
            "learning.weight_decay": Choice(value=0.01, why="a little against overfitting"),
            "learning.beta2": Choice(value=0.99, why="gradients of pictures change slowly"),
            "learning.batch": Choice(value=batch, why=size),
            "learning.epochs": Choice(value=passes, why=f"passes that are enough for {size}"),
            "learning.warmup": Choice(value=0.1, why="batch norm needs a while to settle"),
            "learning.decay": Choice(value=0.9, why="a long fall to zero is best where the end is known"),
            "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
            "learning.clip": Choice(value=0.0, why="batch norm keeps gradients in bounds"),
            "learning.threads": Choice(
                value=1 if small else machine.threads,
                why="sums this small gain nothing from more threads" if small else "all cores",
            ),
        }

    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch, (1, B, D)."""
        parts = [tower(inputs[key]) for key, tower in zip(self.keys, self.towers, strict=True)]
        if self.others is not None:
            parts.append(self.others(inputs))
        pooled_BD = self.dropout(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return Features(pooled_KBD=pooled_BD.unsqueeze(0))


class Tower(nn.Module):
    """From one picture to pooled features."""

    def __init__(self, config: Convolutional.Config, field: Field) -> None:
        super().__init__()
        channels, height, width = field.shape
        self.normalise = Normalise(field)
        stem = config.width // 2 if config.stride > 1 else config.width
        layers: list[nn.Module] = [Block(channels, stem, config.stem, config.stride)]
        layers[0].plain = True  # type: ignore[assignment]
        side, here, there = min(height, width) // config.stride, stem, config.width
        while side > LAST_SIDE:
            layers.append(Block(here, there, pool=True))
            layers += [Block(there, there, residual=True) for _ in range(config.depth - 1)]
            here, there, side = there, min(there * 2, config.width * WIDEST), side // 2
        layers.append(Block(here, there))
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.width = 2 * there

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) in 0-255 to (B, D)."""
        x = self.normalise(x_BCHW).contiguous(memory_format=torch.channels_last)
        x = self.layers(x)
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)


class Block(nn.Module):
    """Convolution, perhaps pooling, batch norm, GELU; perhaps added to what came in."""

    def __init__(
        self, into: int, out: int, side: int = 3, stride: int = 1, *, pool: bool = False, residual: bool = False
    ) -> None:
        super().__init__()
        padding = (side - stride + 1) // 2 if stride > 1 else side // 2
        self.filters = nn.Conv2d(into, out, side, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.pool, self.residual = pool, residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        y = self.filters(x)
        if self.pool:
            y = functional.max_pool2d(y, 2)
        y = functional.gelu(self.norm(y))
        return x + y if self.residual else y

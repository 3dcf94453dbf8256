"""Convolutional networks: filters that see neighbours, from 8 x 8 pictures to photos, and along steps.

A strided stem, then stages of convolution, pooling, batch norm and GELU that halve the sides and double
the channels, then the mean and the maximum over what is left. Over texts, clips and series the filters go
along the steps. Other columns of the row join after that.
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
from netwright.networks.family import AbstractFamily, Features, Machine, steps_of_windows, widest
from netwright.networks.inputs import Inputs
from netwright.networks.inputs.images import Normalise
from netwright.networks.inputs.steps import Steps, mask, ordered
from netwright.networks.parts import ranges
from netwright.networks.parts.dropout import Dropout
from netwright.networks.parts.filters import Along

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
            wide = {"width": (4, 4096), "depth": (1, 50), "stem": (1, 16), "stride": (1, 4)}
            ranges.check(self, {**wide, "dropout": (0, 0.9)})
            if self.stride > self.stem:
                raise RecipeError(
                    f"network.stride = {self.stride} is over network.stem = {self.stem}.",
                    hint="give a stride that is not longer than the filters.",
                )

    def __init__(self, config: Config, spec: InputSpec) -> None:
        super().__init__(config, spec)
        seen = [field for field in spec.inputs if ordered(field)]
        others = [field for field in spec.inputs if not ordered(field)]
        self.keys = [field.key for field in seen]
        self.towers = nn.ModuleList(_tower(config, field, spec) for field in seen)
        self.others = Inputs(others, "none", 1) if others else None
        self.dropout = Dropout(config.dropout)
        joined = self.others.width if self.others else 0
        self.members = 1
        self.needs = spec.needs
        self.width = sum(tower.width for tower in self.towers) + joined  # type: ignore[misc]
        if spec.needs != "pooled":
            self.width = self.towers[0].each  # type: ignore[assignment]

    @classmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """Refuses rows without neighbours."""
        seen = [field for field in spec.inputs if ordered(field)]
        if not seen:
            return "a convolution needs neighbours, and table columns have none."
        if spec.needs == "decoder":
            return "a convolution answers the steps it is given; it writes no answer of another length."
        if spec.needs != "pooled" and (len(spec.inputs) != 1 or seen[0].layout == "image"):
            return "an answer a step needs one text, clip or series and nothing beside it."
        if any(field.layout == "image" and min(field.shape[1:]) < 8 for field in seen):
            return "a convolution needs pictures of 8 x 8 or more."
        return None

    @classmethod
    def suits(cls, spec: InputSpec) -> int:
        """Best for pictures, good on clips, series and texts."""
        return 90 if any(field.layout == "image" for field in spec.inputs) else 70

    @classmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """Width from the number of pictures, the stem from their size, passes from the data."""
        rows = max(1, spec.examples)
        if not any(field.layout == "image" for field in spec.inputs):
            return _along_steps(spec, minutes, machine)
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
        if self.needs != "pooled":
            x_BTD, length_B = self.towers[0](inputs)
            return Features(steps_KBTD=self.dropout(x_BTD).unsqueeze(0), mask_BT=mask(length_B, x_BTD.shape[1]))
        parts = [
            tower.pooled(inputs) if isinstance(tower, Along) else tower(inputs[key])
            for key, tower in zip(self.keys, self.towers, strict=True)
        ]
        if self.others is not None:
            parts.append(self.others(inputs))
        pooled_BD = self.dropout(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return Features(pooled_KBD=pooled_BD.unsqueeze(0))


def _tower(config: Convolutional.Config, field: Field, spec: InputSpec) -> nn.Module:
    if field.layout == "image":
        return Tower(config, field)
    width = 4 * (config.width // 4)
    pools = spec.needs == "pooled" and field.layout == "frames"
    steps = Steps(field, width, config.dropout, spec.stride)
    return Along(steps, config.depth - 1, config.dropout, causal=spec.causal, shrink=pools)


def _along_steps(spec: InputSpec, minutes: float, machine: Machine) -> dict[str, Choice]:
    rows = max(1, spec.examples)
    size = f"{rows:,} training examples"
    frames = any(field.layout == "frames" for field in spec.inputs)
    most = 16 if spec.needs == "steps" and not spec.causal else 64
    batch, width = max(8, min(most, rows // 16)), Choice(value=128 if rows < 50_000 else 256, why=size)
    windows = steps_of_windows(spec)
    if windows:  # sums: four blocks of two filters three steps long, forth and twice back
        value = widest((32, 64, 128), 6 * 24 * batch * windows, minutes, machine)
        width = Choice(value=value, why="as wide as the minutes hold")
    return {
        "network.width": width,
        "network.depth": Choice(
            value=4 if frames or spec.needs != "pooled" else 1,
            why="blocks that see farther and farther"
            if frames
            else "one layer sees words and their neighbours",
        ),
        "network.dropout": Choice(value=0.3, why="few examples are soon learned by heart"),
        "learning.optimizer": Choice(value="adamw", why="steady at this size"),
        "learning.lr": Choice(value=0.002, why="for filters of this width"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(value=batch, why=size),
        "learning.epochs": Choice(value=float(max(12, min(80, 2e5 / rows))), why=f"enough for {size}"),
        "learning.decay": Choice(value=0.9, why="a long fall to zero"),
        "learning.ema": Choice(value=0.99, why="the mean of the last weights is steadier"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }


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

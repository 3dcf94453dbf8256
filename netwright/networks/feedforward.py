"""Feedforward networks: none, one or several hidden layers; one network, or an ensemble trained as one.

With no hidden layer it is the linear model. With members it is a batched ensemble: all weights are
shared but one vector a member that scales the inputs, and the head (TabM-mini; Gorishniy et al. 2025,
https://arxiv.org/abs/2410.24210). With folds it is several such ensembles that share nothing. Pictures are
read as rows of pixels by residual blocks.
"""

# K = members, B = rows, D = width

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from netwright.base.errors import RecipeError
from netwright.base.schema import Choice, InputSpec
from netwright.networks.family import AbstractFamily, Features, Machine
from netwright.networks.inputs import BAG, Inputs
from netwright.networks.inputs.separate import SeparateInputs
from netwright.networks.parts import ranges
from netwright.networks.parts.dropout import Dropout
from netwright.networks.parts.residual import Residual
from netwright.networks.parts.separate import SeparateLinear


class Feedforward(AbstractFamily):
    """Layers of weighted sums; each row on its own."""

    name = "feedforward"
    linear = True

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of a feedforward network."""

        depth: int = 3
        """Hidden layers (residual blocks for pictures), >= 0; 0 is the linear model."""
        width: int = 256
        """Units of a hidden layer, >= 1."""
        members: int = 16
        """Networks of the ensemble, >= 1."""
        dropout: float = 0.1
        """Share of hidden units left out at random in training, 0-0.9."""
        embedding: Literal["none", "piecewise", "periodic"] = "piecewise"
        """How a number enters: as it is, through its bins, or as waves."""
        embedding_width: int = 12
        """Features a number is embedded in, >= 1."""
        bag: int = BAG
        """Features that the tokens of a text are embedded in, 1-8192."""
        residual: bool = False
        """Whether hidden layers are residual blocks."""
        shortcut: bool = False
        """Whether the head sees the inputs beside the last hidden layer: what is learned is added to a linear
        model."""
        folds: int = 1
        """Ensembles that share no weight, >= 1: one a fold, where rows are tested in turn."""

        def __post_init__(self) -> None:
            """Checks all settings, and names every one that is out of range.

            Raises:
                RecipeError: If any is.
            """
            wide = {"depth": (0, 100), "width": (1, 100_000), "members": (1, 1_000), "dropout": (0.0, 0.9)}
            ranges.check(self, {**wide, "embedding_width": (1, 1_000), "bag": (1, 8_192), "folds": (1, 100)})
            if self.folds > 1 and (self.residual or self.shortcut):
                raise RecipeError(
                    "separate networks (network.folds) have no residual blocks and no shortcut.",
                    hint="leave out --folds, network.residual and network.shortcut.",
                )

    def __init__(self, config: Config, spec: InputSpec) -> None:
        super().__init__(config, spec)
        linear = config.depth == 0
        embedding = "none" if linear else config.embedding
        self.folds = config.folds
        self.inputs: Inputs | SeparateInputs
        if self.folds == 1:
            self.inputs = Inputs(spec.inputs, embedding, config.embedding_width, config.bag)
        else:
            self.inputs = SeparateInputs(self.folds, spec.inputs, embedding, config.embedding_width)
        self.inputs.plain = True  # type: ignore[assignment]
        self.members = self.folds * (1 if linear else config.members)
        self.width = self.inputs.width if linear else config.width
        self.shown = self.inputs.width if config.shortcut and not linear else 0
        self.width += self.shown
        self.adapter_KD: nn.Parameter | None = None
        if self.members > self.folds:
            signs = torch.randint(0, 2, (self.members, self.inputs.width)) * 2.0 - 1.0
            self.adapter_KD = nn.Parameter(signs)
        self.layers = nn.Sequential(*([] if linear else self._layers(config)))

    def _layers(self, config: Config) -> list[nn.Module]:
        wide = self.inputs.width
        if config.residual:
            first: list[nn.Module] = [nn.Linear(wide, config.width)]
            blocks = [Residual(config.width, config.width, config.dropout) for _ in range(config.depth)]
            return [*first, *blocks, nn.LayerNorm(config.width), nn.ReLU()]
        layers: list[nn.Module] = []
        for index in range(config.depth):
            here = wide if index == 0 else config.width
            one = self.folds == 1
            linear = nn.Linear(here, config.width) if one else SeparateLinear(self.folds, here, config.width)
            layers += [linear, nn.ReLU()]
            layers += [Dropout(config.dropout)] if config.dropout else []
        return layers

    @classmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """Refuses what needs an answer a step."""
        if spec.needs != "pooled":
            return "a feedforward network gives one answer a row, not one a step."
        return None

    @classmethod
    def suits(cls, spec: InputSpec) -> int:
        """Best for tables; good for bags of words; for pictures only where nothing else is."""
        layouts = {field.layout for field in spec.inputs}
        if all(field.even for field in spec.inputs):
            return 95
        return 20 if "image" in layouts else 40 if "frames" in layouts else 80 if "tokens" in layouts else 90

    @classmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """A batched ensemble for tables, residual blocks for pictures; size and passes from the data."""
        if any(field.layout == "image" for field in spec.inputs):
            return _for_pictures(spec, machine)
        if spec.task == "recommend":
            return _for_histories(spec, machine)
        if any(field.layout == "tokens" for field in spec.inputs):
            return _for_texts(spec, machine)
        if all(field.even for field in spec.inputs):
            added = Choice(value=True, why="what layers learn is added to the linear forecast")
            return {**_for_tables(spec, minutes, machine), "network.shortcut": added}
        return _for_tables(spec, minutes, machine)

    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch, (K, B, D); with folds, the members of the first stand before the second's."""
        if self.folds > 1:
            return Features(pooled_KBD=self._each(self.inputs(inputs)))
        x_KBD = self.inputs(inputs).unsqueeze(0)
        own_KBD = x_KBD if self.adapter_KD is None else x_KBD * self.adapter_KD.unsqueeze(1)
        found_KBD = self.layers(own_KBD)
        if self.shown:
            found_KBD = torch.cat([x_KBD.expand(len(found_KBD), -1, -1), found_KBD], dim=2)
        return Features(pooled_KBD=found_KBD)

    def _each(self, x_SBD: Tensor) -> Tensor:
        """(K, B, D) features of the networks that share no weight, all layers in one call each."""
        rows = x_SBD.shape[1]
        if self.adapter_KD is not None:
            adapter_SMD = self.adapter_KD.view(self.folds, -1, x_SBD.shape[2])
            x_SBD = (x_SBD.unsqueeze(1) * adapter_SMD.unsqueeze(2)).flatten(1, 2)
        found: Tensor = self.layers(x_SBD)
        return found.reshape(self.members, rows, -1)


def _for_tables(spec: InputSpec, minutes: float, machine: Machine) -> dict[str, Choice]:
    rows = max(1, spec.examples)
    small = rows < 2_000
    batch = 32 if small else 256
    size = f"{rows:,} training rows"
    width = 64 if small else 128
    if rows < 500:
        passes = float(max(12, min(40, round(120 * batch / rows))))
    elif small:
        passes = 20.0
    else:
        passes = float(max(16 if spec.task == "classify" else 40, min(60, round(1_200 * batch / rows))))
    wide = sum(field.shape[0] for field in spec.inputs if field.layout == "numbers") > 300
    sure = {"task.label_smoothing": Choice(value=0.1, why="keeps the network from being too sure")}
    return {
        **(sure if spec.task == "classify" else {}),
        "network.depth": Choice(value=2, why="a third layer costs more than it gains on tables"),
        "network.width": Choice(value=width, why=size),
        "network.members": Choice(
            value=8, why="an ensemble that shares its weights beats one network on tables"
        ),
        "network.dropout": Choice(value=0.0, why="members and early stopping do its work"),
        "network.embedding": Choice(
            value="none" if wide else "piecewise",
            why="so many columns need no bins" if wide else "numbers enter through their bins",
        ),
        "network.embedding_width": Choice(value=12, why="published for this ensemble"),
        "learning.optimizer": Choice(value="adamw", why="Muon costs more than the layers themselves here"),
        "learning.lr": Choice(value=0.004 if small else 0.005, why="fastest on several tables at once"),
        "learning.weight_decay": Choice(value=0.02, why="flat from 0.01 to 0.05"),
        "learning.batch": Choice(value=batch, why=f"{size}"),
        "learning.epochs": Choice(value=passes, why=f"enough for {size}"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is better than the last"),
        "learning.patience": Choice(value=12, why="evaluations without a better validation loss"),
        "learning.threads": Choice(
            value=1 if small else machine.threads,
            why="small sums gain nothing from more threads" if small else "all cores",
        ),
    }


def _for_texts(spec: InputSpec, machine: Machine) -> dict[str, Choice]:
    rows = max(1, spec.examples)
    size, many = f"{rows:,} training texts", spec.outputs > BAG
    batch = max(8, min(64, rows // 32))
    return {
        "network.depth": Choice(value=1, why="a bag of words is nearly all that few texts can teach"),
        "network.width": Choice(value=256, why=size),
        "network.bag": Choice(value=2 * BAG if many else BAG, why=f"{spec.outputs:,} answers to tell apart"),
        "network.members": Choice(value=8, why="an ensemble that shares its weights beats one network"),
        "network.dropout": Choice(value=0.2, why="few texts are soon learned by heart"),
        "network.embedding": Choice(value="piecewise", why="numbers enter through their bins"),
        "network.embedding_width": Choice(value=12, why="published for this ensemble"),
        "learning.optimizer": Choice(value="adamw", why="Muon costs more than the layers themselves here"),
        "learning.lr": Choice(value=0.003, why="for bags of words"),
        "learning.embedding_lr": Choice(value=0.015, why="a word's vector moves only where it is read"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(value=batch, why=size),
        "learning.epochs": Choice(value=float(max(8, min(40, 3e5 / rows))), why=f"enough for {size}"),
        "learning.decay": Choice(value=0.9, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is better than the last"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }


def _for_histories(spec: InputSpec, machine: Machine) -> dict[str, Choice]:
    """One tower for the history; the other is the item table of the head."""
    rows = max(1, spec.examples)
    size = f"{rows:,} training interactions"
    batch = max(8, min(256, rows // 32))
    return {
        "network.depth": Choice(value=1, why="who took what is nearly all that there is to know"),
        "network.width": Choice(value=64 if rows < 20_000 else 128, why=size),
        "network.members": Choice(value=1, why="a table of items for each member would be dear"),
        "network.dropout": Choice(value=0.4, why="most items are rare and soon learned by heart"),
        "learning.optimizer": Choice(value="adamw", why="steady for tables of items"),
        "learning.lr": Choice(value=0.003, why="for tables of items"),
        "learning.weight_decay": Choice(value=0.05, why="against learning rare items by heart"),
        "learning.batch": Choice(value=batch, why=size),
        "learning.epochs": Choice(
            value=float(max(5, min(30, 4e5 / rows))), why="rare items are soon known by heart"
        ),
        "learning.decay": Choice(value=0.9, why="a long fall to zero"),
        "learning.ema": Choice(value=0.99, why="the mean of the last weights is better than the last"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }


def _for_pictures(spec: InputSpec, machine: Machine) -> dict[str, Choice]:
    rows = max(1, spec.examples)
    batch = 256 if rows >= 5_000 else max(16, min(128, rows // 16))
    size = f"{rows:,} training pictures"
    return {
        "network.depth": Choice(value=2, why="residual blocks; more gain little on pixels"),
        "network.width": Choice(value=768 if rows >= 5_000 else 256, why=size),
        "network.members": Choice(value=1, why="one network: pixels make an ensemble dear"),
        "network.residual": Choice(value=True, why="blocks that start as the identity train deeper"),
        "network.dropout": Choice(value=0.0, why="augmentation does its work"),
        "network.embedding": Choice(value="none", why="pixels enter as they are"),
        "learning.lr": Choice(value=0.002, why="for AdamW at this width"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(value=batch, why=size),
        "learning.epochs": Choice(value=min(200.0, max(24.0, 1e6 / rows)), why=f"enough for {size}"),
        "learning.ema": Choice(value=0.99, why="the mean of the last weights is better than the last"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }

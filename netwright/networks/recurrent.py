"""Recurrent networks: LSTM, GRU or plain RNN over the steps of texts, clips, series and rows of pixels."""

# K = 1, B = examples, T = steps, D = width

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netwright.base.schema import Choice, Field, InputSpec
from netwright.networks.family import AbstractFamily, Features, Machine, State, steps_of_windows, widest
from netwright.networks.inputs import Inputs
from netwright.networks.inputs.steps import PLACES, SMALL, Steps, corpus, mask, ordered, pooled, reversed_steps
from netwright.networks.parts import ranges, stepping
from netwright.networks.parts.dropout import Dropout
from netwright.networks.parts.speaking import Heard, Speaker

SHORT = 20.0
"""Minutes below which a narrower network learns more from many pairs than a wider one."""
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrent(AbstractFamily):
    """A state carried from step to step, in both directions where the task allows; other columns join after."""

    name = "recurrent"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of a recurrent network."""

        cell: Literal["lstm", "gru", "rnn"] = "lstm"
        """What carries the state."""
        depth: int = 1
        """Layers, 1-20."""
        width: int = 128
        """Units of a layer and direction, 2-8192."""
        embedding: int = 128
        """Features of a step, 2-8192."""
        dropout: float = 0.2
        """Share left out at random in training, between layers and before the head, 0-0.9."""
        grams: int = 1
        """Tokens in a row, at most, that have a vector of their own beside those of tokens, 1-8."""
        places: int = 16_384
        """Vectors for tokens in a row of one length, which share them by a hash, 1-1048576."""

        def __post_init__(self) -> None:
            """Checks all settings, and names every one that is out of range.

            Raises:
                RecipeError: If any is.
            """
            wide = {"depth": (1, 20), "width": (2, 8192), "embedding": (2, 8192), "dropout": (0.0, 0.9)}
            ranges.check(self, {**wide, "grams": (1, 8), "places": (1, 2**20)})

    def __init__(self, config: Config, spec: InputSpec) -> None:
        super().__init__(config, spec)
        towers = [field for field in spec.inputs if ordered(field)]
        others = [field for field in spec.inputs if not ordered(field)]
        self.towers = nn.ModuleList(
            _Tower(config, field, both=not spec.causal, stride=spec.stride) for field in towers
        )
        self.others = Inputs(others, "none", 1) if others else None
        self.members = 1
        if spec.prefix:
            self.said = Steps(spec.prefix, config.embedding, config.dropout)
            heard, self.width = int(self.towers[0].width), config.width  # type: ignore[arg-type]
            self.speaker = Speaker(lambda width: _cell(config, width), config.embedding, config.width, heard)
            self.dropout = Dropout(config.dropout)
            return
        if spec.needs != "pooled":
            self.width = self.towers[0].width  # type: ignore[assignment]
            return
        joined = self.others.width if self.others else 0
        self.width = sum(2 * tower.width for tower in self.towers) + joined  # type: ignore[operator,misc]

    @classmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """Refuses rows without order."""
        towers = [field for field in spec.inputs if ordered(field)]
        if not towers:
            return "a recurrent network needs steps in order, and table columns have none."
        if spec.needs != "pooled" and len(spec.inputs) != 1:
            return "an answer a step needs one text, clip or series and nothing beside it."
        return None

    @classmethod
    def suits(cls, spec: InputSpec) -> int:
        """Good on sequences, best where the characters of a short text follow one another, poor on pictures."""
        layouts = {field.layout for field in spec.inputs}
        if spec.needs == "steps":
            tokens, few = corpus(spec) if spec.causal else (0, True)
            return 95 if few and tokens < SMALL else 50
        return 50 if layouts & {"tokens", "frames"} else 10

    @classmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """Size and passes from the number of examples."""
        rows = max(1, spec.examples)
        if spec.needs == "steps" and spec.causal:
            return _for_writing(spec, machine)
        if spec.needs == "steps":
            return _for_hearing(rows, machine)
        if spec.needs == "decoder":
            return _for_answering(spec, minutes, machine)
        size = f"{rows:,} training examples"
        batch, width = max(8, min(64, rows // 16)), Choice(value=96 if rows < 20_000 else 256, why=size)
        windows = steps_of_windows(spec)
        if windows:  # sums: four gates of input and state, both ways, small and so at half the pace
            value = widest((32, 64, 96), 6 * 32 * batch * windows, minutes, machine)
            width = Choice(value=value, why="as wide as the minutes hold")
        return {
            "network.cell": Choice(value="lstm", why="carries what matters over many steps"),
            "network.depth": Choice(value=1, why="a second layer costs more than it gains"),
            "network.width": width,
            "network.embedding": replace(width, why="as wide as the state"),
            "network.dropout": Choice(value=0.3, why="few examples are soon learned by heart"),
            "learning.optimizer": Choice(value="adamw", why="steady at this size"),
            "learning.lr": Choice(value=0.003, why="for states of this width"),
            "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
            "learning.batch": Choice(value=batch, why=size),
            "learning.epochs": Choice(value=float(max(10, min(60, 1.5e5 / rows))), why=f"enough for {size}"),
            "learning.decay": Choice(value=0.9, why="a long fall to zero"),
            "learning.ema": Choice(value=0.99, why="the mean of the last weights is steadier"),
            "learning.threads": Choice(value=machine.threads, why="all cores"),
        }

    def extend(self, inputs: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any]:
        """Features of new steps; the state of each layer is kept, and the tokens that the next look back on."""
        tower: Any = self.towers[0]
        code_BT = inputs[tower.steps.key]
        if state and stepping.suits(code_BT) and isinstance(tower.forth[0], nn.LSTM):
            if not isinstance(state, stepping.Carried):
                state = stepping.Carried.of(stepping.entry_of(tower.steps), tower.forth, *state)
            found_D, carried = state.extended(int(code_BT))
            return torch.from_numpy(found_D).view(1, 1, 1, -1), carried
        before, last_BG = state.whole() if isinstance(state, stepping.Carried) else state or (None, None)
        x, _ = tower.steps(inputs, last_BG)
        last_BG = tower.steps.last(code_BT, last_BG)
        states = []
        for layer, forth in enumerate(tower.forth):
            x, after = forth(x, before[layer] if before else None)
            states.append(after)
        return x.unsqueeze(0), (states, last_BG)

    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch: pooled (1, B, D), or a vector a step (1, B, T, D) where a step is answered."""
        found = [tower(inputs) for tower in self.towers]
        steps_BTD, length_B = found[0]
        parts = [pooled(each, lengths) for each, lengths in found]
        if self.others is not None:
            parts.append(self.others(inputs))
        pooled_BD = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return Features(
            pooled_KBD=pooled_BD.unsqueeze(0),
            steps_KBTD=steps_BTD.unsqueeze(0),
            mask_BT=mask(length_B, steps_BTD.shape[1]),
        )

    def decode(
        self, inputs: Mapping[str, Tensor], memory: Features, state: State | None
    ) -> tuple[Features, State]:
        """A vector for each step of what was said so far; the state of each layer is kept."""
        heard = state if isinstance(state, Heard) else self.speaker.listen(memory)
        x, _ = self.said(inputs)
        x, after = self.speaker(x, heard)
        return Features(steps_KBTD=self.dropout(x).unsqueeze(0)), after


def _for_answering(spec: InputSpec, minutes: float, machine: Machine) -> dict[str, Choice]:
    """An encoder in both directions, and two layers to answer."""
    rows = max(1, spec.examples)
    size = f"{rows:,} training pairs"
    width = 96 if rows < 2_000 else 192 if rows < 8_000 or minutes < SHORT else 320 if rows < 100_000 else 512
    return {
        "network.cell": Choice(value="lstm", why="carries what matters over many steps"),
        "network.depth": Choice(value=1, why="a second layer costs more than it gains in minutes"),
        "network.width": Choice(value=width, why=size),
        "network.embedding": Choice(value=min(width, 256), why=size),
        "network.dropout": Choice(value=0.2, why="few pairs are learned by heart"),
        "learning.optimizer": Choice(value="muon", why="learns more from each step than AdamW"),
        "learning.muon_lr": Choice(value=0.02, why="does not depend on the width"),
        "learning.lr": Choice(value=0.005, why="for embeddings and head"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(
            value=max(8, min(64, rows // 50)), why="many steps are worth more than large ones"
        ),
        "learning.epochs": Choice(value=float(max(12, min(60, 6e5 / rows))), why=f"enough for {size}"),
        "learning.warmup": Choice(value=0.03, why="states settle slowly"),
        "learning.decay": Choice(value=0.7, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
        "learning.evaluations": Choice(value=15, why="each reads all validation pairs"),
        "learning.threads": Choice(
            value=1 if rows < 2_000 else machine.threads,
            why="sums this small gain nothing from more threads" if rows < 2_000 else "all cores",
        ),
    }


def _for_writing(spec: InputSpec, machine: Machine) -> dict[str, Choice]:
    tokens, few = corpus(spec)
    size = f"about {tokens:,} training tokens"
    return {
        "network.cell": Choice(value="lstm", why="carries what matters over many steps"),
        "network.depth": Choice(value=1, why="a second layer costs more than it gains in minutes"),
        "network.width": Choice(value=384, why=size),
        "network.embedding": Choice(value=128, why=size),
        "network.grams": Choice(value=7 if few else 2, why="what a few tokens in a row say costs no sums"),
        "network.places": Choice(value=PLACES, why=size),
        "network.dropout": Choice(value=0.0, why="the minutes end before it has learned by heart"),
        "learning.optimizer": Choice(value="muon", why="learns more from each step than AdamW"),
        "learning.muon_lr": Choice(value=0.02, why="does not depend on the width"),
        "learning.lr": Choice(value=0.005, why="for the head"),
        "learning.embedding_lr": Choice(value=0.02, why="each row is looked up in few steps"),
        "learning.rare_decay": Choice(value=3.0, why="what few tokens in a row say once is mostly chance"),
        "learning.weight_decay": Choice(value=0.1, why="the text is read more than once"),
        "learning.batch": Choice(value=16, why="many steps are worth more than large ones"),
        "learning.epochs": Choice(
            value=float(min(10.0, max(2.0, 4e7 / max(1, tokens)))), why=f"enough for {size}"
        ),
        "learning.warmup": Choice(value=0.02, why="states settle slowly"),
        "learning.decay": Choice(value=0.7, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
        "learning.evaluations": Choice(value=10, why="each reads the whole of the validation text"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }


def _for_hearing(rows: int, machine: Machine) -> dict[str, Choice]:
    """An answer a step that may look both ways."""
    size = f"{rows:,} training examples"
    width = 64 if rows < 500 else 128 if rows < 20_000 else 256
    return {
        "network.cell": Choice(value="lstm", why="carries what matters over many steps"),
        "network.depth": Choice(
            value=1 if rows < 20_000 else 2, why="a second layer costs more than it gains where rows are few"
        ),
        "network.width": Choice(value=width, why=size),
        "network.embedding": Choice(value=width, why="as wide as the state"),
        "network.dropout": Choice(value=0.2, why="few examples are soon learned by heart"),
        "learning.optimizer": Choice(value="adamw", why="steady for recurrent weights"),
        "learning.lr": Choice(value=0.003, why="for states of this width"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(
            value=max(8, min(16, rows // 64)), why="many steps are worth more than large ones"
        ),
        "learning.epochs": Choice(value=float(max(8, min(80, 6e4 / rows))), why=f"enough for {size}"),
        "learning.decay": Choice(value=0.9, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
    }


class _Tower(nn.Module):
    """From one ordered field to a vector a step."""

    def __init__(self, config: Recurrent.Config, field: Field, *, both: bool, stride: int) -> None:
        super().__init__()
        row = {"grams": config.grams, "places": config.places}
        self.steps = Steps(field, config.embedding, config.dropout, stride, **row)
        self.both = both
        here, there = config.embedding, config.width * (2 if both else 1)
        self.forth, self.back = nn.ModuleList(), nn.ModuleList()
        for layer in range(config.depth):
            self.forth.append(_cell(config, here if layer == 0 else there))
            if both:
                self.back.append(_cell(config, here if layer == 0 else there))
        self.dropout = Dropout(config.dropout)
        self.width = there

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) lengths; what comes after an end means nothing."""
        x, length_B = self.steps(inputs)
        for layer, forth in enumerate(self.forth):
            y, _ = forth(x)
            if self.both:
                back, _ = self.back[layer](reversed_steps(x, length_B))
                y = torch.cat([y, reversed_steps(back, length_B)], dim=2)
            x = self.dropout(y)
        return x, length_B


def _cell(config: Recurrent.Config, width: int) -> nn.Module:
    """One layer, one direction; the state is orthogonal at first, and an LSTM begins by remembering."""
    cell: nn.Module = CELLS[config.cell](width, config.width, batch_first=True)
    nn.init.xavier_uniform_(cell.weight_ih_l0)  # type: ignore[arg-type]
    nn.init.orthogonal_(cell.weight_hh_l0)  # type: ignore[arg-type]
    nn.init.zeros_(cell.bias_ih_l0)  # type: ignore[arg-type]
    nn.init.zeros_(cell.bias_hh_l0)  # type: ignore[arg-type]
    if isinstance(cell, nn.LSTM):
        with torch.no_grad():
            cell.get_parameter("bias_hh_l0")[config.width : 2 * config.width].fill_(1.0)
    return cell

"""Transformers: steps that look at one another: tokens, frames, patches of pictures, columns of a table."""

# K = 1, B = examples, T = steps, D = width

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from netwright.base.schema import Choice, Field, InputSpec
from netwright.networks.family import AbstractFamily, Features, Machine, State, steps_of_windows, widest
from netwright.networks.inputs.columns import Columns
from netwright.networks.inputs.images import Patches
from netwright.networks.inputs.steps import PLACES, SMALL, Steps, corpus, mask
from netwright.networks.parts import ranges, stepping
from netwright.networks.parts.attention import Cache, Layer, Memory, norm, rotary

SHORT = 20.0
"""Minutes below which a narrower network learns more from many pairs than a wider one."""
HEAD = 32
"""Width of a head at most: width / HEAD heads."""


class Transformer(AbstractFamily):
    """Layers of attention over all steps of all fields."""

    name = "transformer"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of a transformer."""

        depth: int = 3
        """Layers, 1-100."""
        width: int = 128
        """Features of a step, 16-8192, divisible by `heads`."""
        heads: int = 4
        """Heads of attention, >= 1."""
        dropout: float = 0.1
        """Share left out at random in training, 0-0.9."""
        patch: int = 4
        """Side of the patches that pictures are cut into, 1-64."""
        grams: int = 1
        """Tokens in a row, at most, that have a vector of their own beside those of tokens, 1-8."""
        places: int = 16_384
        """Vectors for tokens in a row of one length, which share them by a hash, 1-1048576."""

        def __post_init__(self) -> None:
            """Checks all settings, and names every one that is out of range.

            Raises:
                RecipeError: If any is.
            """
            wide = {
                "depth": (1, 100),
                "width": (16, 8192),
                "heads": (1, 256),
                "patch": (1, 64),
                "grams": (1, 8),
                "places": (1, 2**20),
            }
            ranges.check(self, {**wide, "dropout": (0.0, 0.9)})
            ranges.divides(self, "heads", "width", 2)

    def __init__(self, config: Config, spec: InputSpec) -> None:
        super().__init__(config, spec)
        self.causal, self.heads = spec.causal, config.heads
        self.members, self.width, self.key = 1, config.width, spec.inputs[0].key
        self.fields = nn.ModuleList(_entry(field, config, spec.stride) for field in spec.inputs)
        self.marks = nn.Parameter(torch.randn(len(spec.inputs), config.width) * 0.1)
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.dropout) for _ in range(config.depth)
        )
        if spec.prefix:
            self.said = Steps(spec.prefix, config.width, config.dropout)
            self.speakers = nn.ModuleList(
                Layer(config.width, config.heads, config.dropout, memory=True) for _ in range(config.depth)
            )

    @classmethod
    def refuses(cls, spec: InputSpec) -> str | None:
        """Refuses an answer a step for anything but one ordered field."""
        ordered = [field for field in spec.inputs if field.layout in ("tokens", "frames")]
        if spec.needs != "pooled" and (len(ordered) != 1 or len(spec.inputs) != 1):
            return "an answer a step needs one text, clip or series and nothing beside it."
        return None

    @classmethod
    def suits(cls, spec: InputSpec) -> int:
        """Best where each step is answered; behind the others where rows are few."""
        if spec.needs != "pooled":
            return 90
        layouts = {field.layout for field in spec.inputs}
        return 60 if layouts & {"tokens", "frames"} else 15

    @classmethod
    def derive(cls, spec: InputSpec, minutes: float, machine: Machine) -> Mapping[str, Choice]:
        """Size from the number of examples; passes that are enough for them."""
        rows = max(1, spec.examples)
        if spec.needs == "steps" and spec.causal:
            return _for_writing(spec, machine)
        if spec.needs == "decoder":
            return _for_answering(spec, minutes, machine)
        size = f"{rows:,} training examples"
        width = 64 if rows < 2_000 else 128 if rows < 100_000 else 256
        batch = max(8, min(64 if spec.needs == "pooled" else 16, rows // 16))
        windows = steps_of_windows(spec)
        if windows:  # sums: twelve squares a layer
            width = widest((32, 64, 128), 6 * 48 * batch * windows, minutes, machine)
        return {
            "network.depth": Choice(value=2 if rows < 20_000 else 4, why=size),
            "network.width": Choice(value=width, why=size),
            "network.heads": Choice(value=max(1, width // HEAD), why=f"heads of {HEAD}"),
            "network.dropout": Choice(value=0.1, why="against learning by heart"),
            "network.patch": Choice(value=_patch(spec), why="about 64 patches a picture"),
            "learning.optimizer": Choice(value="adamw", why="steady at this size"),
            "learning.lr": Choice(value=0.002 * (64 / width) ** 0.5, why="falls with the width"),
            "learning.weight_decay": Choice(value=0.05, why="against overfitting"),
            "learning.batch": Choice(value=batch, why=size),
            "learning.epochs": Choice(value=float(max(12, min(80, 2e5 / rows))), why=f"enough for {size}"),
            "learning.warmup": Choice(value=0.05, why="attention settles slowly"),
            "learning.decay": Choice(value=0.9, why="a long fall to zero"),
            "learning.ema": Choice(value=0.99, why="the mean of the last weights is steadier"),
            "learning.threads": Choice(value=machine.threads, why="all cores"),
        }

    def extend(self, inputs: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any]:
        """Features of new steps; keys and values of the steps before are kept, as far back as was learned."""
        before: Cache | stepping.Ring = state or Cache()
        if before.steps and stepping.suits(inputs[self.key]):
            found_D, ring = self._ring(before).extended(int(inputs[self.key]))
            return torch.from_numpy(found_D).view(1, 1, 1, -1), ring
        cache = before if isinstance(before, Cache) else before.cache()
        x_BTD, _ = self.fields[0](inputs, cache.last_BG)
        steps: Any = self.fields[0].steps
        x, last_BG = x_BTD + self.marks[0], steps.last(inputs[self.key], cache.last_BG)
        here = torch.arange(cache.steps, cache.steps + x.shape[1], device=x.device)
        where = rotary(here, self.width // self.heads)
        kept = []
        for place, layer in enumerate(self.layers):
            past = cache.layers[place] if cache.layers else None
            x, (key, value) = layer(x, where, causal=past is None, past=past, mask=_later(x, past))
            kept.append((key[:, :, -self.reach :], value[:, :, -self.reach :]))
        return norm(x).unsqueeze(0), Cache(kept, cache.steps + x.shape[1], last_BG)

    def _ring(self, before: Cache | stepping.Ring) -> stepping.Ring:
        if isinstance(before, stepping.Ring):
            return before
        entry = stepping.entry_of(self.fields[0].steps, self.marks[0])  # type: ignore[arg-type]
        return stepping.Ring.of(before, entry, self.layers, self.reach)

    def encode(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch: pooled (1, B, D) and a vector a step (1, B, T, D)."""
        parts, lengths, places = [], [], []
        for entry, own_D in zip(self.fields, self.marks, strict=True):
            x_BTD, length_B = entry(inputs)
            parts.append(x_BTD + own_D)
            lengths.append((length_B, x_BTD.shape[1]))
            steps = torch.arange(x_BTD.shape[1], device=x_BTD.device)
            places.append(steps if entry.ordered else torch.zeros_like(steps))
        x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        there_BT = torch.cat([mask(length_B, steps) for length_B, steps in lengths], dim=1)
        where = rotary(torch.cat(places), self.width // self.heads)
        whole = bool(there_BT.all())
        seen = None if whole or self.causal else there_BT[:, None, None, :]
        for layer in self.layers:
            x, _ = layer(x, where, mask=seen, causal=self.causal)
        x = norm(x)
        weight_BT1 = there_BT.unsqueeze(2).to(x.dtype)
        pooled_BD = (x * weight_BT1).sum(1) / weight_BT1.sum(1).clamp(min=1.0)
        return Features(pooled_KBD=pooled_BD.unsqueeze(0), steps_KBTD=x.unsqueeze(0), mask_BT=there_BT)

    def decode(
        self, inputs: Mapping[str, Tensor], memory: Features, state: State | None
    ) -> tuple[Features, State]:
        """A vector for each step of what was said so far; keys and values of steps and source are kept."""
        said = state if isinstance(state, Said) else _nothing_said(memory)
        x, _ = self.said(inputs)
        here = torch.arange(said.own.steps, said.own.steps + x.shape[1], device=x.device)
        where, kept = rotary(here, self.width // self.heads), []
        for place, layer in enumerate(self.speakers):
            past = said.own.layers[place] if said.own.layers else None
            seen = _later(x, past)
            x, told = layer(x, where, causal=past is None, past=past, mask=seen, memory=said.source)
            kept.append(told)
        found = Features(steps_KBTD=norm(x).unsqueeze(0))
        return found, replace(said, own=Cache(kept, said.own.steps + x.shape[1]))


@dataclass(frozen=True)
class Said:
    """What a decoder remembers: what it looks at, and its own keys and values."""

    source: Memory
    own: Cache

    def select(self, sources_B: Tensor | None, rows_R: Tensor) -> Said:
        """The state of these sources (None: all as they are) and of these rows."""
        source = self.source if sources_B is None else self.source.select(sources_B)
        return Said(source, self.own.select(rows_R))


def _later(x_BTD: Tensor, past: tuple[Tensor, Tensor] | None) -> Tensor | None:
    """(T, S + T) where several new steps may look: at all before them, and at none after."""
    if past is None or x_BTD.shape[1] == 1:
        return None
    steps, before = x_BTD.shape[1], past[0].shape[2]
    return torch.ones(steps, before + steps, dtype=torch.bool, device=x_BTD.device).tril(before)


def _nothing_said(memory: Features) -> Said:
    assert memory.steps_KBTD is not None and memory.mask_BT is not None
    there = memory.mask_BT
    return Said(Memory(memory.steps_KBTD[0], None if bool(there.all()) else there[:, None, None, :]), Cache())


def _for_answering(spec: InputSpec, minutes: float, machine: Machine) -> dict[str, Choice]:
    """An encoder and a decoder of as many layers each."""
    rows = max(1, spec.examples)
    size = f"{rows:,} training pairs"
    width = 64 if rows < 2_000 else 128 if rows < 8_000 or minutes < SHORT else 192 if rows < 100_000 else 256
    return {
        "network.depth": Choice(value=2 if rows < 8_000 else 3, why=f"{size}; as many again to answer"),
        "network.width": Choice(value=width, why=size),
        "network.heads": Choice(value=max(2, width // 48), why="heads of about 48"),
        "network.dropout": Choice(value=0.1, why="few pairs are learned by heart"),
        "learning.optimizer": Choice(value="muon", why="beats AdamW at equal time on matrices of this size"),
        "learning.muon_lr": Choice(value=0.02, why="does not depend on the width"),
        "learning.lr": Choice(value=0.005, why="for embeddings and head"),
        "learning.weight_decay": Choice(value=0.02, why="a little against overfitting"),
        "learning.batch": Choice(
            value=max(8, min(64, rows // 50)), why="many steps are worth more than large ones"
        ),
        "learning.epochs": Choice(value=float(max(12, min(60, 6e5 / rows))), why=f"enough for {size}"),
        "learning.warmup": Choice(value=0.03, why="attention settles slowly"),
        "learning.decay": Choice(value=0.7, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
        "learning.evaluations": Choice(value=15, why="each reads all validation pairs"),
        "learning.threads": Choice(
            value=1 if rows < 2_000 else machine.threads,
            why="sums this small gain nothing from more threads" if rows < 2_000 else "all cores",
        ),
    }


def _for_writing(spec: InputSpec, machine: Machine) -> dict[str, Choice]:
    """A language model; rates as in the records of small ones (Jordan et al. 2024, modded-nanogpt)."""
    tokens, few = corpus(spec)
    size, small = f"about {tokens:,} training tokens", tokens < SMALL
    return {
        "network.depth": Choice(value=4 if small else 6, why=size),
        "network.width": Choice(value=128 if small else 256, why=size),
        "network.heads": Choice(value=2 if small else 4, why="heads of 64"),
        "network.grams": Choice(value=7 if few else 2, why="what a few tokens in a row say costs no sums"),
        "network.places": Choice(value=PLACES, why=size),
        "network.dropout": Choice(value=0.0, why="the minutes end before it has learned by heart"),
        "learning.optimizer": Choice(value="muon", why="beats AdamW at equal time on matrices of this size"),
        "learning.muon_lr": Choice(value=0.02, why="does not depend on the width"),
        "learning.lr": Choice(value=0.005, why="for the head"),
        "learning.embedding_lr": Choice(value=0.05, why="each row is looked up in few steps"),
        "learning.rare_decay": Choice(value=3.0, why="what few tokens in a row say once is mostly chance"),
        "learning.beta1": Choice(value=0.8, why="few steps: a short memory"),
        "learning.weight_decay": Choice(value=0.1, why="the text is read more than once"),
        "learning.batch": Choice(value=16, why="many steps are worth more than large ones"),
        "learning.epochs": Choice(
            value=float(min(10.0, max(2.0, 4e7 / max(1, tokens)))), why=f"enough for {size}"
        ),
        "learning.warmup": Choice(value=0.01, why="no weight of attention acts at first"),
        "learning.decay": Choice(value=0.7, why="a long fall to zero"),
        "learning.ema": Choice(value=0.98, why="the mean of the last weights is steadier"),
        "learning.evaluations": Choice(value=10, why="each reads the whole of the validation text"),
        "learning.threads": Choice(value=machine.threads, why="all cores"),
        "learning.shares": Choice(value=min(machine.threads, 4), why="small sums gain more from whole windows"),
    }


class _Ordered(nn.Module):
    """Steps of one field."""

    ordered = True

    def __init__(self, field: Field, config: Transformer.Config, stride: int) -> None:
        super().__init__()
        row = {"grams": config.grams, "places": config.places}
        self.steps = Steps(field, config.width, config.dropout, stride, **row)

    def forward(self, inputs: Mapping[str, Tensor], before_BG: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) lengths."""
        found: tuple[Tensor, Tensor] = self.steps(inputs, before_BG)
        return found


class _Whole(nn.Module):
    """A field of as many steps for every example: patches of a picture, or the columns of a table."""

    def __init__(self, field: Field, config: Transformer.Config) -> None:
        super().__init__()
        self.key, self.ordered = field.key, False
        self.each: nn.Module
        if field.layout == "image":
            self.each = Patches(field, min(config.patch, *field.shape[1:]), config.width)
        else:
            self.each = Columns(field, config.width)

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T, D) and (B,) lengths."""
        x_BTD = self.each(inputs[self.key])
        return x_BTD, torch.full((len(x_BTD),), x_BTD.shape[1], device=x_BTD.device)


def _entry(field: Field, config: Transformer.Config, stride: int) -> nn.Module:
    return _Ordered(field, config, stride) if field.layout in ("tokens", "frames") else _Whole(field, config)


def _patch(spec: InputSpec) -> int:
    sides = [math.sqrt(f.shape[1] * f.shape[2]) for f in spec.inputs if f.layout == "image"]
    return max(2, round(max(sides) / 8)) if sides else 4

"""One step of one example at a time, through attention or an LSTM: in numpy, whose calls cost little."""

# H = heads, S = steps kept, D = width, E = width of a head

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.networks.inputs.steps import Steps
from netwright.networks.parts.attention import BASE, EPSILON, Cache

Floats = npt.NDArray[np.float32]
Entry = Callable[[int, tuple[int, ...]], Floats]


@dataclass(frozen=True)
class Weights:
    """The maps of one layer, as the layer holds them."""

    look: Floats
    out: Floats
    widen: Floats
    narrow: Floats

    @classmethod
    def of(cls, layer: Any) -> Weights:
        """Those of a layer of attention without a memory."""
        maps = (layer.look.look, layer.look.out, layer.widen, layer.narrow)
        return cls(*(each.weight.detach().numpy() for each in maps))


@dataclass(frozen=True)
class Ring:
    """Keys and values of the last tokens of one example; a token takes the place of the oldest one.

    Arrays are written in place: a state that was gone on from is used up.

    Attributes:
        entry: From a token and those before it, the last one first, to the first features.
        layers: Weights, keys and values of each layer; the latter (H, S, E).
        steps: Tokens so far.
        last: The last ones, as many as the entry looks back on, the last first.
    """

    entry: Entry
    layers: list[tuple[Weights, Floats, Floats]]
    steps: int
    last: tuple[int, ...]

    @classmethod
    def of(cls, cache: Cache, entry: Entry, layers: Iterable[Any], reach: int) -> Ring:
        """The ring that goes on from a cache of these layers, of one example."""
        assert cache.last_BG is not None
        rings = []
        for layer, pair in zip(layers, cache.layers, strict=True):
            keys, values = (_laid(kept_BHSE[0].numpy(), cache.steps, reach) for kept_BHSE in pair)
            rings.append((Weights.of(layer), keys, values))
        return cls(entry, rings, cache.steps, tuple(cache.last_BG[0].tolist()[::-1]))

    def cache(self) -> Cache:
        """The same for torch."""
        reach = self.layers[0][1].shape[1]
        places = np.arange(max(0, self.steps - reach), self.steps) % reach
        pairs = [tuple(torch.from_numpy(each[None, :, places]) for each in kept) for _, *kept in self.layers]
        return Cache(pairs, self.steps, torch.tensor([self.last[::-1]]))  # type: ignore[arg-type]

    def extended(self, code: int) -> tuple[Floats, Ring]:
        """The features of one more token, normalised, and what goes on after it."""
        x_D = self.entry(code, self.last)
        heads, reach, width = self.layers[0][1].shape
        place, count, half = self.steps % reach, min(self.steps + 1, reach), width // 2
        cosine, sine = _turned(self.steps, width)
        for weights, keys, values in self.layers:
            looked = (weights.look @ _unit(x_D)).reshape(3, heads, width)
            both = _norm(looked[:2])
            swapped = both.reshape(2, heads, 2, half)[:, :, ::-1].reshape(both.shape)
            both *= cosine
            both += swapped * sine
            keys[:, place], values[:, place] = both[1], looked[2]
            score_H1S = np.matmul(both[0][:, None], keys[:, :count].transpose(0, 2, 1))
            share_H1S = np.exp(score_H1S * width**-0.5)  # of norms: at most the root of the width, so finite
            found_H1E = np.matmul(share_H1S, values[:, :count]) / np.add.reduce(share_H1S, -1, keepdims=True)
            x_D = x_D + weights.out @ found_H1E.reshape(-1)
            hidden = np.maximum(weights.widen @ _unit(x_D), 0.0)
            x_D = x_D + weights.narrow @ (hidden * hidden)
        return _unit(x_D), replace(self, steps=self.steps + 1, last=(code, *self.last)[: len(self.last)])


@dataclass(frozen=True)
class Carried:
    """What an LSTM carries from one token of one example to the next.

    Attributes:
        entry: From a token and those before it, the last one first, to the first features.
        layers: Weights (4 * D, in + D) and biases (4 * D,) of each layer, of input and state side by side.
        state: What each layer gave last, and its cell, (D,) each.
        last: The last tokens, as many as the entry looks back on, the last first.
    """

    entry: Entry
    layers: list[tuple[Floats, Floats]]
    state: list[tuple[Floats, Floats]]
    last: tuple[int, ...]

    @classmethod
    def of(
        cls, entry: Entry, cells: Iterable[Any], state: Iterable[tuple[Tensor, Tensor]], last_BG: Tensor
    ) -> Carried:
        """What goes on from the state of these cells, of one example."""
        layers = []
        for cell in cells:
            weight = torch.cat([cell.weight_ih_l0, cell.weight_hh_l0], dim=1)
            layers.append((weight.detach().numpy(), (cell.bias_ih_l0 + cell.bias_hh_l0).detach().numpy()))
        kept = [(given[0, 0].numpy(), cell[0, 0].numpy()) for given, cell in state]
        return cls(entry, layers, kept, tuple(last_BG[0].tolist()[::-1]))

    def whole(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """The same for torch."""
        pairs = [tuple(torch.from_numpy(each).view(1, 1, -1) for each in pair) for pair in self.state]
        return pairs, torch.tensor([self.last[::-1]], dtype=torch.int64)  # type: ignore[return-value]

    def extended(self, code: int) -> tuple[Floats, Carried]:
        """The features of one more token, and what goes on after it."""
        x_D, state = self.entry(code, self.last), []
        for (weight, bias), (given_D, held_D) in zip(self.layers, self.state, strict=True):
            into_4D = weight @ np.concatenate([x_D, given_D]) + bias
            width = len(held_D)
            takes_D, keeps_D = _sigmoid(into_4D[: 2 * width]).reshape(2, width)
            cell_D = keeps_D * held_D + takes_D * np.tanh(into_4D[2 * width : 3 * width])
            x_D = _sigmoid(into_4D[3 * width :]) * np.tanh(cell_D)
            state.append((x_D, cell_D))
        return x_D, replace(self, state=state, last=(code, *self.last)[: len(self.last)])


def entry_of(steps: Steps, mark_D: Tensor | None = None) -> Entry:
    """What tokens become before the first layer."""
    table = steps.table.weight.detach().numpy()
    own_D = np.zeros(table.shape[1], dtype=np.float32) if mark_D is None else mark_D.detach().numpy()
    tables = [each.weight.detach().numpy() for each in steps.grams]  # type: ignore[operator]
    join = steps.join.weight.detach().numpy() if tables else table

    def entry(code: int, last: tuple[int, ...]) -> Floats:
        found: Floats = table[code] + own_D
        if tables and code > 0:
            places = zip(tables, steps.gram_places(code, last), strict=True)
            found += join @ np.concatenate([grams[place] for grams, place in places])
        return found

    return entry


def suits(code_BT: Tensor) -> bool:
    """Whether this is one token of one example, where numpy and torch share memory."""
    if code_BT.dtype != torch.int64 or code_BT.shape != (1, 1) or torch.is_grad_enabled():
        return False
    return code_BT.device.type == "cpu"


def _laid(kept_HSE: Floats, steps: int, reach: int) -> Floats:
    """Keys or values of the last of so many steps, each in its place of the ring."""
    heads, count, width = kept_HSE.shape
    ring = np.zeros((heads, reach, width), dtype=np.float32)
    ring[:, np.arange(steps - count, steps) % reach] = kept_HSE
    return ring


def _turned(place: int, width: int) -> tuple[Floats, Floats]:
    """`attention.rotary` of one position."""
    angle = np.float32(place) * _pace(width)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.concatenate([cosine, cosine]), np.concatenate([-sine, sine])


@functools.cache
def _pace(width: int) -> Floats:
    """(E / 2,) how far a position turns each pair."""
    found: Floats = BASE ** -(np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    return found


def _unit(x_D: Floats) -> Floats:
    """`_norm` of one vector, in two calls."""
    return x_D * np.float32(1.0 / math.sqrt(float(x_D @ x_D) / len(x_D) + EPSILON))


def _norm(x: Floats) -> Floats:
    square = np.add.reduce(x * x, axis=-1, keepdims=True)
    found: Floats = x / np.sqrt(square * np.float32(1 / x.shape[-1]) + np.float32(EPSILON))
    return found


def _sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), by tanh, which never overflows."""
    found: Floats = np.tanh(x * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    return found

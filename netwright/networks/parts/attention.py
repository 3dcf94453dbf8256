"""Attention blocks: norm before, rotary positions, normalised queries and keys, squared ReLU."""

# B = examples, T = steps, S = steps attended to, H = heads, D = width, E = width of a head

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6


@dataclass
class Cache:
    """Keys and values of the steps so far, one pair a layer: (B, H, S, E)."""

    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    steps: int = 0

    def select(self, rows_B: Tensor) -> Cache:
        """The cache of these examples."""
        return Cache(
            [(k.index_select(0, rows_B), v.index_select(0, rows_B)) for k, v in self.layers], self.steps
        )


def norm(x: Tensor) -> Tensor:
    """x / rms(x) over the last axis, without weights.

    Reference: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
    """
    return functional.rms_norm(x, (x.shape[-1],), eps=EPSILON)


def rotary(position_T: Tensor, width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, E/2) of rotary positions.

    Reference: Su et al. 2021, https://arxiv.org/abs/2104.09864.
    """
    half = torch.arange(0, width, 2, device=position_T.device, dtype=torch.float32) / width
    angle = position_T.float().unsqueeze(1) * (base**-half)
    return angle.cos(), angle.sin()


def turn(x_BHTE: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries or keys turned by their positions."""
    first, second = x_BHTE.chunk(2, dim=-1)
    cosine, sine = cosine.to(x_BHTE.dtype), sine.to(x_BHTE.dtype)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class Attention(nn.Module):
    """Every step looks at every other, or at the earlier ones, or at those of a memory.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; queries and keys normalised as in
    Dehghani et al. 2023, https://arxiv.org/abs/2302.05442.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, crossed: bool = False) -> None:
        super().__init__()
        self.heads, self.dropout, self.crossed = heads, dropout, crossed
        self.ask = nn.Linear(width, width, bias=False)
        self.tell = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        bound = (3.0 / width) ** 0.5
        nn.init.uniform_(self.ask.weight, -bound, bound)
        nn.init.uniform_(self.tell.weight, -bound, bound)
        nn.init.zeros_(self.out.weight)

    def forward(
        self,
        x_BTD: Tensor,
        where: tuple[Tensor, Tensor] | None,
        *,
        memory_BSD: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, D) and the keys and values it looked at.

        Args:
            x_BTD: What asks.
            where: Cosines and sines of the positions of x, or None for no positions.
            memory_BSD: What is looked at, if it is not x; with `past` it is not computed again.
            mask: (B, 1, T or 1, S) True where a step may be looked at.
            causal: Whether a step sees only itself and earlier ones.
            past: Keys and values of earlier steps, or of the memory.
        """
        query = norm(self._cut(self.ask(x_BTD)))
        if self.crossed and past is not None:
            key, value = past
        else:
            source = x_BTD if memory_BSD is None else memory_BSD
            told_key, told_value = self.tell(source).chunk(2, dim=-1)
            key, value = norm(self._cut(told_key)), self._cut(told_value)
        if where is not None and not self.crossed:
            query, key = turn(query, *where), turn(key, *where)
        if past is not None and not self.crossed:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        dropout = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal and mask is None
        )
        return self.out(found.transpose(1, 2).flatten(2)), (key, value)

    def _cut(self, x_BTD: Tensor) -> Tensor:
        """(B, H, T, E)."""
        return x_BTD.view(*x_BTD.shape[:2], self.heads, -1).transpose(1, 2)


class Layer(nn.Module):
    """Attention, attention to a memory where there is one, and two linear maps; each added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float, *, memory: bool = False) -> None:
        super().__init__()
        self.look = Attention(width, heads, 0.0)
        self.read = Attention(width, heads, 0.0, crossed=True) if memory else None
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        bound = 0.4 * (3.0 / width) ** 0.5
        nn.init.uniform_(self.widen.weight, -bound, bound)
        nn.init.zeros_(self.narrow.weight)

    def forward(
        self,
        x: Tensor,
        where: tuple[Tensor, Tensor] | None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        past: tuple[Tensor, Tensor] | None = None,
        memory: Memory | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, D) to the same, and its own keys and values."""
        found, told = self.look(norm(x), where, mask=mask, causal=causal, past=past)
        x = x + self.dropout(found)
        if self.read is not None and memory is not None:
            asked = norm(x).view(len(memory.x_BSD), -1, x.shape[-1])  # rows of one source look at it together
            seen, _ = self.read(asked, None, memory_BSD=memory.x_BSD, mask=memory.mask, past=memory.told(self))
            x = x + self.dropout(seen.view_as(x))
        hidden = functional.relu(self.widen(norm(x))).square()
        return x + self.dropout(self.narrow(hidden)), told


@dataclass
class Memory:
    """What a decoder looks at.

    Attributes:
        x_BSD: Features of the source, normalised.
        mask: (B, 1, 1, S) True where there is a step, or None.
        kept: Keys and values by layer, computed once when nothing is learned.
    """

    x_BSD: Tensor
    mask: Tensor | None
    kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def told(self, layer: Layer) -> tuple[Tensor, Tensor] | None:
        """Keys and values of this layer, or None while learning."""
        if layer.training or layer.read is None:
            return None
        if id(layer) not in self.kept:
            key, value = layer.read.tell(self.x_BSD).chunk(2, dim=-1)
            self.kept[id(layer)] = norm(layer.read._cut(key)), layer.read._cut(value)
        return self.kept[id(layer)]

    def select(self, rows_B: Tensor) -> Memory:
        """The memory of these examples."""
        kept = {name: (key[rows_B], value[rows_B]) for name, (key, value) in self.kept.items()}
        return Memory(self.x_BSD[rows_B], None if self.mask is None else self.mask[rows_B], kept)

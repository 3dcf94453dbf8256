"""Attention blocks: norm before, rotary positions, normalised queries and keys, squared ReLU."""

# B = examples, T = steps, S = steps attended to, H = heads, D = width, E = width of a head

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright.networks.parts.dropout import Dropout

EPSILON = 1e-6
BASE = 10_000.0
"""Steps for about a sixth of a turn of the slowest pair."""
FLOOR = torch.tensor(EPSILON**0.5, device="cpu")
"""On the CPU even where this is first read while a network of shapes alone is built."""


@dataclass
class Cache:
    """Keys and values of the steps so far, one pair a layer: (B, H, S, E); and the last tokens, (B, G)."""

    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    steps: int = 0
    last_BG: Tensor | None = None

    def select(self, rows_B: Tensor) -> Cache:
        """The cache of these examples."""
        return Cache(
            [(k.index_select(0, rows_B), v.index_select(0, rows_B)) for k, v in self.layers], self.steps
        )


def norm(x: Tensor) -> Tensor:
    """x / rms(x) over the last axis, without weights.

    Reference: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return functional.rms_norm(x, (x.shape[-1],), eps=EPSILON)
    if torch.is_grad_enabled() and x.requires_grad:
        return _Norm.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    return x * _inverse(x)  # half as many calls: one token at a time is all calls


def _inverse(x: Tensor) -> Tensor:
    """1 / rms(x) over the last axis."""
    root: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).mul_(x.shape[-1] ** -0.5)
    return root.hypot_(FLOOR).reciprocal_()


class _Norm(torch.autograd.Function):
    """x / rms(x); what torch puts together from small parts on a CPU takes twice the time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The normalised, and what its slope needs."""
        inverse = _inverse(x)
        found = x * inverse
        ctx.save_for_backward(found, inverse)
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        """(g - y mean(g y)) / rms for the slope g of y."""
        found, inverse = ctx.saved_tensors
        along = (slopes[0] * found).mean(-1, keepdim=True)
        return torch.addcmul(slopes[0], found, along, value=-1.0).mul_(inverse)


def rotary(position_T: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, E) of rotary positions; the first half of the sines is negative.

    Reference: Su et al. 2021, https://arxiv.org/abs/2104.09864.
    """
    half = torch.arange(0, width, 2, device=position_T.device, dtype=torch.float32) / width
    angle = position_T.float().unsqueeze(1) * (BASE**-half)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat([cosine, cosine], dim=1), torch.cat([-sine, sine], dim=1)


def turn(x_BHTE: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries or keys turned by their positions."""
    cosine, sine = cosine.to(x_BHTE.dtype), sine.to(x_BHTE.dtype)
    swapped = x_BHTE.roll(x_BHTE.shape[-1] // 2, dims=-1)
    return torch.addcmul(x_BHTE * cosine, swapped, sine)


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)^2."""
    if torch.is_grad_enabled():
        return _SquaredReLU.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    return functional.relu(x).square_()


class _SquaredReLU(torch.autograd.Function):
    """max(x, 0)^2; autograd's own way through it reads and writes memory half as often again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The square, and what its slope needs."""
        positive = functional.relu(x)
        ctx.save_for_backward(positive)
        return positive.square()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        """2 max(x, 0) for each element."""
        (positive,) = ctx.saved_tensors
        return slopes[0].mul(positive).mul_(2.0)


class Attention(nn.Module):
    """Every step looks at every other, or at the earlier ones.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; queries and keys normalised as in
    Dehghani et al. 2023, https://arxiv.org/abs/2302.05442.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.look = nn.Linear(width, 3 * width, bias=False)
        self.look.parts = 3  # type: ignore[assignment]
        self.out = nn.Linear(width, width, bias=False)
        _begin(self.look, self.out)

    def forward(
        self,
        x_BTD: Tensor,
        where: tuple[Tensor, Tensor],
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, D) and the keys and values it looked at.

        Args:
            x_BTD: What asks and is looked at.
            where: Cosines and sines of the positions of x.
            mask: (B, 1, T or 1, S) True where a step may be looked at.
            causal: Whether a step sees only itself and earlier ones.
            past: Keys and values of earlier steps.
        """
        looked = self.look(x_BTD).view(*x_BTD.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key = turn(norm(looked[:2]), *where)
        value = looked[2]
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal and mask is None
        )
        return self.out(found.transpose(1, 2).flatten(2)), (key, value)


class Reading(nn.Module):
    """Every step looks at the steps of a memory. Reference: as `Attention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Linear(width, width, bias=False)
        self.tell = nn.Linear(width, 2 * width, bias=False)
        self.tell.parts = 2  # type: ignore[assignment]
        self.out = nn.Linear(width, width, bias=False)
        _begin(self.ask, self.out)
        _begin(self.tell, self.out)

    def told(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) of a memory."""
        key, value = self.tell(memory_BSD).chunk(2, dim=-1)
        return norm(self._cut(key)), self._cut(value)

    def forward(self, x_BTD: Tensor, told: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """(B, T, D); `mask` is True where a step of the memory may be looked at."""
        query = norm(self._cut(self.ask(x_BTD)))
        found = functional.scaled_dot_product_attention(query, *told, attn_mask=mask)
        seen: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return seen

    def _cut(self, x_BTD: Tensor) -> Tensor:
        """(B, H, T, E)."""
        return x_BTD.view(*x_BTD.shape[:2], self.heads, -1).transpose(1, 2)


def _begin(into: nn.Linear, out: nn.Linear) -> None:
    """First weights: what comes in at unit scale, and nothing goes out."""
    bound = (3.0 / into.in_features) ** 0.5
    nn.init.uniform_(into.weight, -bound, bound)
    nn.init.zeros_(out.weight)


class Layer(nn.Module):
    """Attention, attention to a memory where there is one, and two linear maps; each added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float, *, memory: bool = False) -> None:
        super().__init__()
        self.look = Attention(width, heads)
        self.read = Reading(width, heads) if memory else None
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)
        self.dropout = Dropout(dropout)
        bound = 0.4 * (3.0 / width) ** 0.5
        nn.init.uniform_(self.widen.weight, -bound, bound)
        nn.init.zeros_(self.narrow.weight)

    def forward(
        self,
        x: Tensor,
        where: tuple[Tensor, Tensor],
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
            seen = self.read(asked, memory.told(self.read), memory.mask)
            x = x + self.dropout(seen.view_as(x))
        return x + self.dropout(self.narrow(squared_relu(self.widen(norm(x))))), told


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

    def told(self, read: Reading) -> tuple[Tensor, Tensor]:
        """Keys and values for this part of a layer."""
        if read.training:
            return read.told(self.x_BSD)
        if id(read) not in self.kept:
            self.kept[id(read)] = read.told(self.x_BSD)
        return self.kept[id(read)]

    def select(self, rows_B: Tensor) -> Memory:
        """The memory of these examples."""
        kept = {name: (key[rows_B], value[rows_B]) for name, (key, value) in self.kept.items()}
        return Memory(self.x_BSD[rows_B], None if self.mask is None else self.mask[rows_B], kept)

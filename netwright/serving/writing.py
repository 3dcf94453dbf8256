"""Text from a language model, token by token."""

# B = 1, T = tokens, V = size of the vocabulary

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from netwright.base.errors import RecipeError
from netwright.base.schema import LENGTHS
from netwright.data.tokens import BEGIN, END, FIRST, UNKNOWN
from netwright.networks.family import AbstractFamily
from netwright.tasks.recall import LONG

if TYPE_CHECKING:
    from netwright.data.kinds.text import Text
    from netwright.tasks.network import Network


REACH = LONG - 1
"""Tokens before the next one that are counted."""
MARKS = [0, UNKNOWN, BEGIN, END]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn.

    Attributes:
        temperature: Below 1 the likely becomes likelier, >= 0; 0 takes the likeliest always.
        top_k: Only so many of the likeliest tokens are drawn from; 0: all.
        top_p: Only the likeliest tokens that together have this probability are drawn from, (0, 1].
        seed: Of the draws.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the settings.

        Raises:
            RecipeError: If one is out of range.
        """
        if not 0.0 <= self.temperature <= 100.0:
            raise RecipeError(f"temperature is {self.temperature}.", hint="give 0 to 100, such as 0.8.")
        if not self.top_k >= 0:
            raise RecipeError(f"top-k is {self.top_k}.", hint="give 1 or more, or 0 for all tokens.")
        if not 0.0 < self.top_p <= 1.0:
            raise RecipeError(f"top-p is {self.top_p}.", hint="give a share over 0 and up to 1, such as 0.95.")


def write(network: Network, text: Text, prompt: str, length: int, how: Sampling) -> Iterator[str]:
    """Gives pieces of text as they are drawn, `length` tokens in all; the prompt is not repeated.

    Args:
        network: A causal network that answers each step.
        text: The text it learned from.
        prompt: What comes before; "" begins anywhere.
        length: Tokens, >= 1.
        how: How they are drawn.
    """
    tokenizer, key = text.tokenizer, text.field().key
    generator = np.random.default_rng(how.seed & (2**64 - 1))
    codes = [int(code) for code in tokenizer.encode([prompt])[0]] or [BEGIN]
    family: AbstractFamily = network.family
    new, state, pending = codes, None, []
    count, one = torch.tensor([len(new)]), torch.ones(1, dtype=torch.int64)
    recent = codes[-REACH:]
    for _ in range(length):
        with torch.inference_mode():
            inputs = {key: torch.tensor([new]), key + LENGTHS: count}
            steps_KBTD, state = family.extend(inputs, state)
            logits_KV = network.head(steps_KBTD[:, :, -1:], {key: torch.tensor([recent])})[:, 0, 0]
            logits_V = logits_KV.mean(0) if len(logits_KV) > 1 else logits_KV[0]
        code = draw(logits_V.double().numpy(), how, generator)
        new, count, recent = [code], one, [*recent, code][-REACH:]
        pending.append(code)
        said = tokenizer.decode(pending)
        if said.endswith("\ufffd") and len(pending) < 8:  # a character of several bytes is not whole yet
            continue
        pending = []
        yield said
    if pending:
        yield tokenizer.decode(pending)


def draw(logits_V: npt.NDArray[np.float64], how: Sampling, generator: np.random.Generator) -> int:
    """One token; the marks are never drawn.

    Reference: Holtzman et al. 2020, https://arxiv.org/abs/1904.09751 (top-p).
    """
    logits_V = logits_V.copy()
    logits_V[MARKS] = -np.inf
    if how.temperature == 0.0 or len(logits_V) <= FIRST + 1:
        return int(logits_V.argmax())
    if 0 < how.top_k < len(logits_V):
        logits_V[logits_V < np.partition(logits_V, -how.top_k)[-how.top_k]] = -np.inf
    chance_V = np.exp((logits_V - logits_V.max()) / how.temperature)
    chance_V /= chance_V.sum()
    if how.top_p < 1.0:
        order_V = np.argsort(-chance_V, kind="stable")
        before_V = np.cumsum(chance_V[order_V]) - chance_V[order_V]
        chance_V[order_V[before_V >= how.top_p]] = 0.0
    up_to_V = np.cumsum(chance_V)
    return int(np.searchsorted(up_to_V, generator.random() * up_to_V[-1], side="right"))

"""Connectionist temporal classification: from a distribution a step to a text that says no step.

Each step says a token or the blank, code 0; a text is all ways to say it, with tokens drawn out and blanks
between them.

Reference: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891.
"""

# K = members, B = examples, T = steps, S = tokens of a text, V = size of the vocabulary

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

BLANK = 0
NEVER = -1e4
"""Logit of what a step cannot say: no step there, no token but the blank."""
UNLIKELY = -8.0
"""Logarithm of the probability under which a search does not follow a token at a step."""

Floats = npt.NDArray[np.float64]


def silenced(output_KBTV: Tensor, mask_BT: Tensor) -> Tensor:
    """The outputs with nothing but blanks, for certain, where there is no step."""
    silence_V = output_KBTV.new_full((output_KBTV.shape[-1],), NEVER)
    silence_V[BLANK] = 0.0
    return torch.where(mask_BT.unsqueeze(-1), output_KBTV, silence_V)


def steps_there(output_KBTV: Tensor) -> Tensor:
    """(B,) steps that are there, in outputs that were `silenced`."""
    return (output_KBTV[0, :, :, BLANK + 1] > NEVER / 2).sum(1)


def nats(output_KBTV: Tensor, code_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Surprise at the whole text of each example, and whether its steps can say it at all.

    Args:
        output_KBTV: Logits, `silenced`.
        code_BS: Tokens of the texts; 0 after their ends.

    Returns:
        (K, B) nats, 0 where the text cannot be said, and (B,) bool. A text of more tokens than there are
        steps, counting the blank that must stand between equal neighbours, cannot be said.
    """
    members, examples, steps, _ = output_KBTV.shape
    there_B, length_B = steps_there(output_KBTV), (code_BS > 0).sum(1)
    sayable_B = needed(code_BS) <= there_B
    code_BS = code_BS[:, : steps + 1]  # one token over is as impossible as a million
    log_TNV = output_KBTV.float().log_softmax(-1).flatten(0, 1).transpose(0, 1)
    found_N = torch.nn.functional.ctc_loss(
        log_TNV.cpu(),  # a GPU has no deterministic gradient for it
        code_BS.repeat(members, 1).cpu(),
        there_B.repeat(members).cpu(),
        length_B.clamp(max=code_BS.shape[1]).repeat(members).cpu(),
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    found_KB = found_N.to(output_KBTV.device).view(members, examples)
    return torch.where(sayable_B, found_KB, 0.0), sayable_B


def needed(code_BS: Tensor) -> Tensor:
    """(B,) steps that each text takes at least: one a token, and one between equal neighbours."""
    again = (code_BS[:, 1:] == code_BS[:, :-1]) & (code_BS[:, 1:] > 0)
    return (code_BS > 0).sum(1) + again.sum(1)


def greedy(log_BTV: Tensor) -> Tensor:
    """(B, S) the likeliest token of each step, without repetitions and blanks; 0 after the ends."""
    best_BT = log_BTV.argmax(-1)
    new_BT = torch.ones_like(best_BT, dtype=torch.bool)
    new_BT[:, 1:] = best_BT[:, 1:] != best_BT[:, :-1]
    kept_BT = new_BT & (best_BT != BLANK)
    order_BT = torch.argsort((~kept_BT).to(torch.int8), dim=1, stable=True)
    code_BT = torch.where(kept_BT, best_BT, 0).gather(1, order_BT)
    return code_BT[:, : max(1, int(kept_BT.sum(1).max()))]


def beam(log_BTV: Tensor, width: int) -> Tensor:
    """(B, S) the likeliest text of each example, all ways to say it together; 0 after the ends.

    Reference: Hannun et al. 2014, https://arxiv.org/abs/1408.2873, without a language model.
    """
    if width == 1:
        return greedy(log_BTV)
    found = [_searched(log_TV, width) for log_TV in log_BTV.double().cpu().numpy()]
    texts = [torch.tensor(each, dtype=torch.int64) for each in found]
    padded: Tensor = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    return padded if padded.shape[1] else padded.new_zeros((len(texts), 1))


class _Texts:
    """Texts as a tree: each is another with a token behind it, so that none is copied or hashed whole."""

    def __init__(self) -> None:
        self.parents, self.last = [0], [BLANK]
        self._longer: dict[tuple[int, int], int] = {}

    def longer(self, text: int, code: int) -> int:
        """The number of a text with a token behind it."""
        found = self._longer.setdefault((text, code), len(self.last))
        if found == len(self.last):
            self.parents.append(text)
            self.last.append(code)
        return found

    def tokens(self, text: int) -> list[int]:
        """The tokens of a text."""
        found = []
        while text:
            found.append(self.last[text])
            text = self.parents[text]
        return found[::-1]


def _searched(log_TV: Floats, width: int) -> list[int]:
    """The likeliest text; each has two probabilities: of ending in a blank, and in its last token."""
    texts = _Texts()
    beams: dict[int, tuple[float, float]] = {0: (0.0, -np.inf)}
    for log_V in log_TV:
        likely = [(int(code), float(log_V[code])) for code in np.flatnonzero(log_V[1:] > UNLIKELY) + 1]
        if not likely and len(beams) == 1:
            continue  # a pause: nothing can change places
        beams = _step(texts, beams, likely, log_V)
        if len(beams) > width:
            best = sorted(beams.items(), key=lambda each: (-_sum(*each[1]), each[0]))[:width]
            beams = dict(best)
    return texts.tokens(min(beams, key=lambda text: (-_sum(*beams[text]), text)))


def _step(
    texts: _Texts, beams: dict[int, tuple[float, float]], likely: list[tuple[int, float]], log_V: Floats
) -> dict[int, tuple[float, float]]:
    """Every text one step later: as it is, or one token longer."""
    later: dict[int, tuple[float, float]] = {}
    for text, (blank, token) in beams.items():
        both, last = _sum(blank, token), texts.last[text]
        held = token + float(log_V[last]) if text else -np.inf
        old = later.get(text, (-np.inf, -np.inf))
        later[text] = (_sum(old[0], both + float(log_V[BLANK])), _sum(old[1], held))
        for code, log in likely:
            longer = texts.longer(text, code)
            old = later.get(longer, (-np.inf, -np.inf))
            # a token again without a blank between is the same token still
            later[longer] = (old[0], _sum(old[1], (blank if code == last else both) + log))
    return later


def _sum(first: float, second: float) -> float:
    """log(exp(first) + exp(second))."""
    high, low = (first, second) if first > second else (second, first)
    return high + math.log1p(math.exp(low - high)) if low > -math.inf else high

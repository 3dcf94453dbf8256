"""The likeliest answer, a token at a time: beam search for all examples of a batch at once."""

# B = sources still at work, n = beams, R = rows: B * n, T = tokens said, V = size of the vocabulary

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netwright.base.schema import LENGTHS
from netwright.data.tokens import BEGIN, END
from netwright.networks.family import State

UNSAID = (0, 1, BEGIN)
"""Codes that are never said: padding, the unknown token, and the mark of the beginning."""
AT_ONCE = 128
"""Sources that are searched together at most; of like lengths, so that few steps are wasted."""
BLOCK = 64
"""Codes of which the likeliest is found first: the likeliest of all stand in the blocks of the likeliest."""


@dataclass
class _Search:
    """Beams of the sources that are not done.

    Attributes:
        source_B: Which source each is.
        most_B: Tokens that an answer may have.
        said_BnT: Tokens so far.
        sum_Bn: Their log-probabilities, summed.
        last_R: The last token of each row; one row a source at first, then one a beam.
        state: What the decoder remembers.
        ended_B: Beams that have ended.
    """

    source_B: Tensor
    most_B: Tensor
    said_BnT: Tensor
    sum_Bn: Tensor
    last_R: Tensor
    state: State | None
    ended_B: Tensor


@dataclass
class _Best:
    """The best answer of each source so far: its score, mean log-probability a token, and its tokens."""

    score_N: Tensor
    said_NT: Tensor


def search(
    network: Any, inputs: Mapping[str, Tensor], key: str, steps_B: Tensor, *, beam: int, at_once: int = AT_ONCE
) -> Tensor:
    """(B, T) int64 the likeliest answers found, zeros after their ends.

    Beams are compared by their mean log-probability a token once they have ended; a source is done when as
    many beams have ended as there are, or at its longest answer. One beam takes the likeliest token each time.

    Args:
        network: With `family` (encode, decode) and `head`.
        inputs: The sources, as for `encode`.
        key: Key of the field that takes what was said.
        steps_B: Most tokens of each answer, >= 1.
        beam: Beams, >= 1.
        at_once: Sources that there is memory for, >= 1.
    """
    order_B = torch.argsort(steps_B, stable=True)
    found = []
    for rows in torch.split(order_B, min(AT_ONCE, at_once)):
        some = {name: x.index_select(0, rows) for name, x in inputs.items() if not name.startswith(key)}
        found.append(_search(network, _trimmed(some), key, steps_B[rows], beam))
    longest = max(part.shape[1] for part in found)
    padded = [torch.nn.functional.pad(part, (0, longest - part.shape[1])) for part in found]
    return torch.cat(padded).index_select(0, torch.argsort(order_B))


def _trimmed(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sources without steps that none of them has."""
    lengths = {name: int(x.max()) for name, x in inputs.items() if name.endswith(LENGTHS)}
    return {name: x[:, : max(1, lengths[name + LENGTHS])] if name + LENGTHS in lengths else x
            for name, x in inputs.items()}  # fmt: skip


def _search(network: Any, inputs: Mapping[str, Tensor], key: str, most_B: Tensor, beam: int) -> Tensor:
    memory = network.family.encode(inputs)
    count, device = len(most_B), most_B.device
    best = _Best(
        torch.full((count,), -torch.inf, device=device),
        torch.zeros(count, int(most_B.max()), dtype=torch.int64, device=device),
    )
    now = _Search(
        source_B=torch.arange(count, device=device),
        most_B=most_B,
        said_BnT=torch.zeros(count, 1, 0, dtype=torch.int64, device=device),
        sum_Bn=torch.zeros(count, 1, device=device),
        last_R=torch.full((count,), BEGIN, device=device),
        state=None,
        ended_B=torch.zeros(count, dtype=torch.int64, device=device),
    )
    one_R = torch.ones(count * beam, dtype=torch.int64, device=device)
    while len(now.source_B):
        rows = len(now.last_R)
        said = {key: now.last_R.unsqueeze(1), key + LENGTHS: one_R[:rows]}
        features, now.state = network.family.decode(said, memory, now.state)
        score_KRV = network.head(features.steps_KBTD[:, :, -1:]).float()[:, :, 0]
        _step(now, best, score_KRV.mean(0) if len(score_KRV) > 1 else score_KRV[0], beam)
    return best.said_NT


def _step(now: _Search, best: _Best, score_RV: Tensor, beam: int) -> None:
    """Each beam goes on in the likeliest ways; those that end, or are too long, are judged."""
    code, sum_, parent = _candidates(now, score_RV, 2 * beam)
    ends = code == END
    steps = now.said_BnT.shape[2] + 1
    good = ends[:, :beam] & torch.isfinite(sum_[:, :beam])
    now.ended_B += good.sum(1)
    _judge(now, best, torch.where(good, sum_[:, :beam], -torch.inf) / steps, parent[:, :beam], None)
    going = torch.argsort(ends.to(torch.int8), dim=1, stable=True)[:, :beam]
    code, sum_, parent = (each.gather(1, going) for each in (code, sum_, parent))
    over_B = steps >= now.most_B
    if bool(over_B.any()):
        _judge(now, best, torch.where(over_B.unsqueeze(1), sum_, -torch.inf) / steps, parent, code)
    hope_B = sum_[:, 0] / now.most_B > best.score_N[now.source_B]  # were all that follows certain
    stay_B = torch.nonzero(~over_B & (now.ended_B < beam) & hope_B).flatten()
    _go_on(now, stay_B, code, sum_, parent)


def _candidates(now: _Search, score_RV: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, sums and beams (B, C) of the likeliest ways to go on, the likeliest first."""
    sources, some = len(now.sum_Bn), min(count, score_RV.shape[1])
    most_R1 = score_RV.amax(1, keepdim=True)
    normal_R1 = most_R1 + (score_RV - most_R1).exp_().sum(1, keepdim=True).log()  # logsumexp, far faster
    score_RV[:, UNSAID] = -torch.inf
    top_RC, code_RC = _likeliest(score_RV, some)
    sum_BX = (top_RC - normal_R1 + now.sum_Bn.view(-1, 1)).view(sources, -1)
    sum_BC, place_BC = sum_BX.topk(some, dim=1)
    return code_RC.view(sources, -1).gather(1, place_BC), sum_BC, place_BC // some


def _likeliest(score_RV: Tensor, some: int) -> tuple[Tensor, Tensor]:
    """The highest scores and their codes, (R, some): those of the blocks with the highest maxima."""
    whole = score_RV.shape[1] // BLOCK * BLOCK
    if whole <= some * BLOCK:
        return score_RV.topk(some, dim=1)
    code_X = torch.arange(score_RV.shape[1], device=score_RV.device)
    most_RX = score_RV[:, :whole].view(len(score_RV), -1, BLOCK).amax(2)
    block_RC = most_RX.topk(some, dim=1, sorted=False).indices
    inside_RX = (block_RC.unsqueeze(2) * BLOCK + code_X[:BLOCK]).flatten(1)
    code_RX = torch.cat([inside_RX, code_X[whole:].expand(len(score_RV), -1)], dim=1)
    top_RC, place_RC = score_RV.gather(1, code_RX).topk(some, dim=1)
    return top_RC, code_RX.gather(1, place_RC)


def _judge(now: _Search, best: _Best, score_Bn: Tensor, parent_Bn: Tensor, code_Bn: Tensor | None) -> None:
    """Keeps an answer that is better than the best so far; with codes, they are its last tokens."""
    score_B, place_B = score_Bn.max(1)
    better = torch.nonzero(score_B > best.score_N[now.source_B]).flatten()
    if not len(better):
        return
    place_X1 = place_B[better].unsqueeze(1)
    beam_X = parent_Bn[better].gather(1, place_X1)[:, 0]
    said_XT = now.said_BnT[better, beam_X]
    if code_Bn is not None:
        said_XT = torch.cat([said_XT, code_Bn[better].gather(1, place_X1)], dim=1)
    who = now.source_B[better]
    best.score_N[who] = score_B[better]
    best.said_NT[who] = torch.nn.functional.pad(said_XT, (0, best.said_NT.shape[1] - said_XT.shape[1]))


def _go_on(now: _Search, stay_B: Tensor, code_Bn: Tensor, sum_Bn: Tensor, parent_Bn: Tensor) -> None:
    """The beams of the sources that are not done, one token longer."""
    parent, code = parent_Bn[stay_B], code_Bn[stay_B]
    rows_R = (stay_B.unsqueeze(1) * now.sum_Bn.shape[1] + parent).flatten()
    all_stay = len(stay_B) == len(now.source_B)
    assert now.state is not None
    now.state = now.state.select(None if all_stay else stay_B, rows_R)
    said = now.said_BnT[stay_B].gather(1, parent.unsqueeze(2).expand(-1, -1, now.said_BnT.shape[2]))
    now.said_BnT = torch.cat([said, code.unsqueeze(2)], dim=2)
    now.sum_Bn, now.last_R = sum_Bn[stay_B], code.flatten()
    now.source_B, now.most_B, now.ended_B = now.source_B[stay_B], now.most_B[stay_B], now.ended_B[stay_B]

"""Counts of tokens in a row beside a language model: the head that takes both into account."""

# K = members, B = windows, T = tokens, V = size of the vocabulary, N = tokens that were predicted

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from netwright.base.schema import LENGTHS
from netwright.data.packed import Packed, gather
from netwright.objectives.ngrams import Counts
from netwright.tasks.task import Head

FEW, LONG, SHORT = 1_000, 8, 4
"""Tokens of a vocabulary that are characters, and how many in a row are counted of these and of others."""
SECONDS_A_TOKEN, BYTES_A_TOKEN = 2e-7, 30
"""What counting takes for each token in a row; bytes are more while it is done."""
SCORES, CHOOSING = 1_000_000, 0.7
"""Scores of validation tokens that the powers are chosen by, and the seconds that takes, about."""
MOST_STEPS, LEAST_STEP = 10, 1e-3
"""Steps towards the powers, five are enough; how far a step goes at least."""
AT_ONCE = 32
"""Windows that are predicted together."""


class Recaller(Head):
    """Scores of tokens by features; when it answers, the chances by counts stand beside them.

    What is learned knows what is alike, and counts know what was there: the product of both, each to its own
    power, is better than either. While it learns it is a head like any other.

    Reference: Hinton 2002 (products of experts); Mikolov et al. 2010 (a recurrent network with Kneser-Ney).
    """

    reads_inputs = True

    def __init__(self, members: int, width: int, outputs: int, counts: Counts | None) -> None:
        super().__init__(members, width, outputs)
        self.register_buffer("powers", torch.tensor([1.0, 0.0]))
        self.counts = counts

    def forward(self, features_KBTD: Tensor, inputs: Mapping[str, Tensor] | None = None) -> Tensor:
        """(K, B, T, V) scores; `inputs` are the tokens up to the last of these steps, and may be more."""
        out = super().forward(features_KBTD)
        if self.training or self.counts is None or inputs is None:
            return out
        own, counted = self.get_buffer("powers").tolist()
        if not counted:
            return out
        beside_BTV = self.logs(self.counts, inputs, out.shape[2]).to(out.device)
        scores: Tensor = own * out + counted * beside_BTV
        return scores

    @staticmethod
    def logs(counts: Counts, inputs: Mapping[str, Tensor], steps: int) -> Tensor:
        """(B, T, V) logarithms of chances after each of the last steps."""
        (code_BT,) = (each for name, each in inputs.items() if not name.endswith(LENGTHS))
        return torch.from_numpy(counts.chances(code_BT.cpu().numpy(), steps)).log_()


def order(outputs: int) -> int:
    """Tokens in a row that are counted: fewer where each is as long as a word."""
    return LONG if outputs < FEW else SHORT


def chosen_powers(
    network: nn.Module, counts: Counts, inputs: Mapping[str, Packed], target: Packed
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The powers of the network and of the counts that predict validation text best.

    Args:
        network: One whose head's counts do not count yet.
        counts: Of text before.
        inputs: Validation windows.
        target: Their tokens; 0 does not count.

    Returns:
        Both powers, and nats a token without and with counts. The problem is convex: Newton's steps.
    """
    found = list(_predicted(network, counts, inputs, target))
    own_NV, said_NV, token_N = (torch.cat(each) for each in zip(*found, strict=True))
    features_2NV = torch.stack([own_NV, said_NV])
    came_2N = features_2NV.gather(2, token_N.view(1, -1, 1).expand(2, -1, 1))[:, :, 0]
    powers = torch.tensor([1.0, 0.0])
    nats, step, bend = _slopes(features_2NV, came_2N, powers)
    before = nats
    for _ in range(MOST_STEPS):
        step = torch.linalg.solve(bend + 1e-6 * torch.eye(2), step)
        new = _slopes(features_2NV, came_2N, powers - step)
        while not new[0] < nats and float(step.norm()) > LEAST_STEP:
            step = step / 2
            new = _slopes(features_2NV, came_2N, powers - step)
        if not new[0] < nats:
            break
        powers, (nats, step, bend) = powers - step, new
    own, counted = powers.tolist()
    return (own, counted), (before, nats)


def _slopes(features_2NV: Tensor, came_2N: Tensor, powers: Tensor) -> tuple[float, Tensor, Tensor]:
    """Mean nats of powers, their slopes (2,), and the slopes of these (2, 2)."""
    scores_NV = torch.tensordot(powers, features_2NV, dims=1)
    chance_NV = scores_NV.softmax(1)
    nats = scores_NV.logsumexp(1).mean() - powers @ came_2N.mean(1)
    mean_2N = (features_2NV * chance_NV).sum(2)
    away_2NV = features_2NV - mean_2N.unsqueeze(2)
    bend = torch.einsum("inv,jnv->ij", away_2NV * chance_NV, away_2NV) / len(scores_NV)
    return float(nats), (mean_2N - came_2N).mean(1), bend


def _predicted(
    network: nn.Module, counts: Counts, inputs: Mapping[str, Packed], target: Packed
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Scores, logarithms of chances, and what came, of the tokens of some windows, evenly spaced."""
    lengths = target.lengths()
    most = max(AT_ONCE, SCORES // max(1, int(lengths.max()) * counts.size))
    places = torch.unique(torch.linspace(0, len(target) - 1, min(most, len(target))).long())
    network.eval()
    for rows_B in places.split(AT_ONCE):
        batch, token_BT = gather(inputs, rows_B), target.take(rows_B)
        with torch.inference_mode():
            scores_BTV = network(batch).mean(0)
            said_BTV = Recaller.logs(counts, batch, token_BT.shape[1])
        there_BT = token_BT > 0
        yield scores_BTV[there_BT].clone(), said_BTV[there_BT], token_BT[there_BT]

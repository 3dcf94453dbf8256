"""Dropout: the share, the mean, the slopes, and nothing where nothing is learned."""

from __future__ import annotations

import pytest
import torch

from netwright.networks.parts.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_left_out_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    found = Dropout(share)(torch.ones(100, 1_003))
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.006)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.02)
    assert len(found.unique()) == 2


def test_slopes_are_those_of_what_was_kept() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 13, requires_grad=True)
    found = Dropout(0.3)(x)
    found.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, found)


def test_neighbours_are_left_out_independently_and_a_seed_repeats_them() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(200_000)) > 0).float()
    for distance in (1, 7, 8, 64):
        both = float((kept[:-distance] * kept[distance:]).mean())
        assert both == pytest.approx(0.25, abs=0.006), distance
    torch.manual_seed(1)
    assert torch.equal(kept, (Dropout(0.5)(torch.ones(200_000)) > 0).float())


@pytest.mark.parametrize("share", [0.0, 0.001, 1.0])
def test_no_share_and_all_are_exact(share: float) -> None:
    x = torch.ones(1_000)
    assert torch.equal(Dropout(share).eval()(x), x)
    found = Dropout(share)(x)
    assert float(found.sum()) == pytest.approx(1_000.0 * (share < 1.0), rel=0.02)

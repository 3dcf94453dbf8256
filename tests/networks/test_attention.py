"""The parts of attention against what torch and the papers say they are."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from netwright.networks.parts import attention


@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.0])
def test_norm_and_its_slope_are_those_of_torch(scale: float) -> None:
    torch.manual_seed(0)
    x = (torch.randn(3, 4, 6) * scale).requires_grad_()
    slope = torch.randn_like(x)
    found, expected = attention.norm(x), functional.rms_norm(x, (6,), eps=attention.EPSILON)
    torch.testing.assert_close(found, expected)
    own, other = (torch.autograd.grad(each, x, slope)[0] for each in (found, expected))
    torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(attention.norm(x), expected)


def test_the_square_of_a_relu_has_the_slope_of_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    square: Tensor = attention.squared_relu(x)
    torch.testing.assert_close(square, functional.relu(x) ** 2)
    assert torch.autograd.gradcheck(attention.squared_relu, (x,))
    with torch.no_grad():
        torch.testing.assert_close(attention.squared_relu(x), square)


def test_turned_products_depend_on_the_distance_only() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8), torch.randn(8)
    places = torch.tensor([0, 3, 40, 43])
    cosine, sine = attention.rotary(places, 8)
    queries, keys = (attention.turn(each.expand(1, 1, 4, 8), cosine, sine)[0, 0] for each in (query, key))
    products = queries @ keys.T
    torch.testing.assert_close(products[1, 0], products[3, 2])
    torch.testing.assert_close(products[0, 0], query @ key)
    pairs = torch.view_as_complex(torch.stack([query[:4], query[4:]], dim=1))
    turned = pairs * torch.polar(torch.ones(4), 3.0 * 10_000.0 ** (-torch.arange(0, 8, 2) / 8))
    torch.testing.assert_close(queries[1], torch.cat([turned.real, turned.imag]))


def test_norm_works_where_it_is_first_read_while_shapes_alone_are_built() -> None:
    words = (
        "import torch",
        "with torch.device('meta'):",
        "    from netwright.networks.parts import attention",
        "print(float(attention.norm(torch.ones(1, 4)).sum()))",
    )
    said = subprocess.run([sys.executable, "-c", "\n".join(words)], capture_output=True, text=True, check=True)
    assert float(said.stdout) == pytest.approx(4.0, rel=1e-5)

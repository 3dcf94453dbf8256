"""Stacks without a graph: the slopes that a graph finds, and nothing that is more than a stack."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import netwright as nw
from netwright.learning.straight import Stack

BENDS = [nn.ReLU, nn.Tanh, nn.Sigmoid]


def network(bend: Callable[[], nn.Module] = nn.ReLU, bias: bool = True, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 16, bias=bias), bend(), nn.Linear(16, 8), nn.Linear(8, 8), bend(), nn.Linear(8, outputs)
    )


def classes(outputs: int = 3) -> Tensor:
    return torch.arange(37) % outputs


def found(module: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor) -> tuple[float, list[Tensor | None]]:
    """By the stack."""
    stack = Stack.of(module, criterion, len(x))
    assert stack is not None
    loss = stack.slopes(x, y, lambda out, target: criterion(out, target).flatten(1).mean(1) if target.ndim > 1
                        else criterion(out, target))  # fmt: skip
    return loss, [param.grad for param in module.parameters()]


def expected(
    module: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor
) -> tuple[float, list[Tensor | None]]:
    """By the graph of a copy."""
    other = copy.deepcopy(module)
    loss = criterion(other(x), y).mean()
    loss.backward()
    return float(loss.detach()), [param.grad for param in other.parameters()]


def same(module: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor) -> None:
    ours, theirs = found(module, criterion, x, y), expected(module, criterion, x, y)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for slope, true in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(slope, true, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("bias", [True, False])
def test_cross_entropy_has_the_slopes_of_a_graph(bend: Callable[[], nn.Module], bias: bool) -> None:
    same(network(bend, bias), nn.CrossEntropyLoss(reduction="none"), torch.randn(37, 5), classes())


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("criterion", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss])
def test_any_loss_has_the_slopes_of_a_graph(
    bend: Callable[[], nn.Module], criterion: Callable[..., nn.Module]
) -> None:
    same(network(bend), criterion(reduction="none"), torch.randn(37, 5), torch.rand(37, 3))


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1),
        nn.CrossEntropyLoss(reduction="none", weight=torch.tensor([1.0, 2.0, 3.0])),
    ],
)
def test_other_cross_entropies_are_left_to_torch(criterion: nn.Module) -> None:
    same(network(), criterion, torch.randn(37, 5), classes())


def test_a_class_to_be_ignored_is_left_to_torch() -> None:
    y = classes()
    y[::4] = -100
    same(network(), nn.CrossEntropyLoss(reduction="none"), torch.randn(37, 5), y)


def test_large_outputs_do_not_overflow() -> None:
    module = network()
    with torch.no_grad():
        module[-1].weight.mul_(1e4)
    same(module, nn.CrossEntropyLoss(reduction="none"), torch.randn(37, 5) * 100, classes())


def test_slopes_are_not_those_of_the_batch_before() -> None:
    module, criterion = network(), nn.CrossEntropyLoss(reduction="none")
    stack = Stack.of(module, criterion, 37)
    assert stack is not None
    x = torch.randn(37, 5)
    stack.slopes(x + 1.0, classes(), criterion)
    with torch.no_grad():
        module[0].weight.add_(0.1)
    stack.slopes(x, classes(), criterion)
    _, true = expected(module, criterion, x, classes())
    for param, slope in zip(module.parameters(), true, strict=True):
        torch.testing.assert_close(param.grad, slope, rtol=1e-4, atol=1e-6)


class Own(nn.Sequential):
    """More than a stack: its forward may be anything."""


def hooked() -> nn.Sequential:
    module = network()
    module[1].register_forward_hook(lambda *_: None)
    return module


def twice() -> nn.Sequential:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


def frozen() -> nn.Sequential:
    module = network()
    module[0].weight.requires_grad_(False)
    return module


@pytest.mark.parametrize(
    "module",
    [
        Own(nn.Linear(4, 4)),
        nn.Linear(4, 4),
        nn.Sequential(),
        nn.Sequential(nn.ReLU(), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Tanh()),
        nn.Sequential(nn.Linear(4, 4).double()),
        nn.Sequential(nn.Linear(512, 512)),
        nn.Sequential(nn.Sequential(nn.Linear(4, 4))),
        hooked(),
        twice(),
        frozen(),
    ],
)
def test_what_is_more_than_a_small_stack_is_none(module: nn.Module) -> None:
    assert Stack.of(module, nn.MSELoss(reduction="none"), 64) is None


class Wrapped(nn.Module):
    """The same network, but not a stack."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network(outputs=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out


def test_a_stack_learns_what_its_graph_learns() -> None:
    torch.manual_seed(1)
    x = torch.randn(400, 5)
    data = (x, (x[:, 0] * x[:, 1] > 0).long())
    asked = {"epochs": 20.0, "batch": 32}
    loss = nn.CrossEntropyLoss(reduction="none")
    stack, graph = network(outputs=2), Wrapped()
    one = nw.fit(stack, data, loss=loss, set=asked)
    other = nw.fit(graph, data, loss=loss, set=asked)
    assert one.card["metric"]["value"] == pytest.approx(other.card["metric"]["value"], abs=5e-3)
    torch.testing.assert_close(stack(x), graph(x), rtol=0.05, atol=0.05)


def test_without_a_running_mean_the_weights_themselves_are_measured() -> None:
    x = torch.randn(200, 5)
    y = x.sum(1, keepdim=True)
    module = network(outputs=1)
    run = nw.fit(module, (x, y), loss=nn.MSELoss(reduction="none"), set={"ema": 0.0, "epochs": 5.0})
    measured = [event for event in run.events if event.type == "evaluate"]
    assert measured[-1].data["loss"] < measured[0].data["loss"]
    assert run.card["metric"]["value"] == pytest.approx(min(event.data["loss"] for event in measured))

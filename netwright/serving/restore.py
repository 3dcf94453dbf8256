"""From a bundle to what works: kinds, task and network, each compared with the file before it is believed."""

# K = members, B = examples, O = outputs

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from netwright.base.errors import BundleError
from netwright.base.schema import LENGTHS, Column, InputSpec
from netwright.data.columns import Inputs
from netwright.learning.machine import free_memory
from netwright.serving.bundle import Bundle, checked_name
from netwright.serving.header import damaged
from netwright.serving.plain import Unfit, from_plain
from netwright.serving.planned import Shapes
from netwright.tasks import TASKS
from netwright.tasks.network import Network, build
from netwright.tasks.task import AbstractTask

MODULES_A_TENSOR = 8
"""Modules that a network may have for each tensor of the file: a stranger's depth cannot run away."""
LARGEST = {"numbers": 100_000, "codes": 100_000, "image": 50_000_000, "tokens": 1_000_000, "frames": 50_000_000}
"""Numbers one example may have, by layout."""

DTYPES = {
    "numbers": torch.float32,
    "codes": torch.int64,
    "tokens": torch.int64,
    "image": torch.uint8,
    "frames": torch.float32,
}


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a bundle becomes."""

    inputs: Inputs
    task: AbstractTask
    spec: InputSpec
    network: Network


def restore(bundle: Bundle, name: str) -> Restored:
    """Kinds, task and network of a bundle, ready to answer.

    Args:
        bundle: From a file that may come from anybody.
        name: What to call it in a message.

    Raises:
        BundleError: If any of it does not fit the rest.
    """
    with _plainly(name, "its kinds cannot be restored"):
        inputs = Inputs.restore(bundle.columns, bundle.kinds)
    task_name, facts, tensors = bundle.task
    with _plainly(name, "its task cannot be restored"):
        task: AbstractTask = TASKS[checked_name(TASKS, task_name, name)].restore(facts, tensors)
    with _plainly(name, "its inputs are not described"):
        spec = from_plain(InputSpec, bundle.network["spec"], "its inputs")
    _check_agreement(inputs, task, spec, bundle.columns, name)
    network = _network(bundle, task, spec, name)
    _try_once(network, task, spec, name)
    return Restored(inputs=inputs, task=task, spec=spec, network=network)


@contextlib.contextmanager
def _plainly(name: str, what: str) -> Iterator[None]:
    """Turns whatever a room says about a stranger's data into a BundleError."""
    import polars as pl

    try:
        yield
    except BundleError as error:
        raise damaged(name, error.what.rstrip(".")) from error
    except Unfit as error:
        raise damaged(name, str(error)) from error
    except (Exception, pl.exceptions.PanicException) as error:
        raise damaged(name, f"{what} ({type(error).__name__}: {_short(error)})") from error


def _short(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0][:160]
    return first.encode("ascii", "backslashreplace").decode().rstrip(".")


def blank(spec: InputSpec) -> dict[str, Tensor]:
    """One example of zeros, by field key."""
    made = {}
    for each in (*spec.inputs, *([spec.prefix] if spec.prefix else [])):
        ragged = each.layout in ("tokens", "frames")
        shape = (min(8, each.shape[0]), *each.shape[1:]) if ragged and not each.even else each.shape
        made[each.key] = torch.zeros((1, *shape), dtype=DTYPES[each.layout])
        if ragged:
            made[each.key + LENGTHS] = torch.tensor([shape[0]])
    return made


def _check_agreement(
    inputs: Inputs, task: AbstractTask, spec: InputSpec, columns: tuple[Column, ...], name: str
) -> None:
    """Checks that the network's inputs and outputs are those that kinds and task give."""
    with _plainly(name, "its kinds cannot be restored"):
        fields = inputs.fields()
        given, wanted = (
            [(each.key, each.columns, each.layout, each.shape, each.sizes, each.even) for each in some]
            for some in (fields, spec.inputs)
        )
    if given != wanted:
        raise damaged(name, "its network does not take what its kinds give")
    for kind, block in zip(inputs.kinds, inputs.columns, strict=True):
        if list(kind.reads()) != [column.name for column in block]:
            raise damaged(name, "its kinds are of other columns")
    with _plainly(name, "its kinds and its task do not belong together"):
        if not task.fits(inputs):
            raise Unfit("its kinds are not those that its task works on")
    if (spec.task, spec.outputs, spec.needs, spec.prefix, spec.stride) != (
        task.name, task.outputs, task.needs, task.prefix, task.stride,
    ):  # fmt: skip
        raise damaged(name, "its network does not give what its task takes")
    known = {column.name for column in columns}
    if not set(task.columns) <= known:
        raise damaged(name, "its target is no column of it")
    for each in spec.inputs:
        if not 0 < math.prod(each.shape) <= LARGEST.get(each.layout, 0) or min(each.shape) < 1:
            raise damaged(name, f"its input {each.key[:80]!r} has the shape {list(each.shape)[:8]}")


def _network(bundle: Bundle, task: AbstractTask, spec: InputSpec, name: str) -> Network:
    """The network with the file's weights; its shapes are known and compared before any memory is taken."""
    asked, config = bundle.network["name"], bundle.network["config"]
    few = _no_more_than(len(bundle.weights))
    with _plainly(name, "its network cannot be built"), few, torch.device("meta"), Shapes():
        planned = build(asked, config, spec, task).state_dict()
    _compare(planned, bundle.weights, name)
    _check_memory(planned, name)
    with _plainly(name, "its network cannot be built"), torch.random.fork_rng(devices=[]):
        network = build(asked, config, spec, task)
        network.load_state_dict(dict(bundle.weights), strict=True)
    return network.eval().requires_grad_(False)


def _compare(planned: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str) -> None:
    lacking = sorted(set(planned) - set(weights))
    unknown = sorted(set(weights) - set(planned))
    if lacking or unknown:
        words = f"lacks the weights {lacking[0]!r}" if lacking else f"has {unknown[0][:80]!r} over"
        raise damaged(name, f"it {words}")
    for key, plan in planned.items():
        found = weights[key]
        if (found.shape, found.dtype) != (plan.shape, plan.dtype):
            raise damaged(
                name,
                f"weights {key!r} are {_words(found)} where the network has {_words(plan)}",
            )
        if found.is_floating_point() and not bool(torch.isfinite(found).all()):
            raise damaged(name, f"weights {key!r} hold a value that is not finite")


def _words(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _check_memory(planned: Mapping[str, Tensor], name: str) -> None:
    needed = sum(each.numel() * each.element_size() for each in planned.values())
    free = free_memory()
    if needed > free:
        raise BundleError(
            f"the network of '{name}' needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free.",
            hint="close other programs, or use a machine with more memory.",
        )


def _try_once(network: Network, task: AbstractTask, spec: InputSpec, name: str) -> None:
    """One example of zeros through network and task: what fails on it would fail on every row."""
    with _plainly(name, "its network does not work"), torch.inference_mode():
        batch = task.trial(blank(spec))
        output = network(batch)
        steps = spec.needs != "pooled"
        if output.dim() != 3 + steps or (output.shape[1], output.shape[-1]) != (1, task.outputs):
            raise Unfit(f"its network gives {list(output.shape)}")
        if task.searches:
            task.answer(task.respond(network, batch))
        else:
            task.answer(task.condense(output, torch.zeros(output.shape[1:-1], dtype=torch.int64)))


@contextlib.contextmanager
def _no_more_than(tensors: int) -> Iterator[None]:
    """Ends a build in this thread that makes more parameters or modules than the file can fill."""
    thread = threading.get_ident()
    made = {"parameters": 0, "modules": 0}
    limits = {"parameters": tensors, "modules": MODULES_A_TENSOR * (tensors + 8)}

    def count(what: str) -> Any:
        def hook(parent: nn.Module, name: str, child: object) -> None:
            if threading.get_ident() == thread and child is not None:
                made[what] += 1
                if made[what] > limits[what]:
                    raise Unfit(f"its network has more {what} than the file has weights for")

        return hook

    with contextlib.ExitStack() as stack:
        for register, what in (
            (hooks.register_module_parameter_registration_hook, "parameters"),
            (hooks.register_module_module_registration_hook, "modules"),
        ):
            handle = register(count(what))
            stack.callback(handle.remove)
        yield

"""The machine: threads, memory, determinism, and the signals that end a run."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from netwright.base.errors import RecipeError

KEPT = {-3: 64 << 20, -1: 256 << 20}
"""What the C library keeps for the next tensors: glibc's M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, bytes.

By its own rule it hands large activations back to the system after each step and asks for them in the next:
every page is cleared anew, which is a third of a step of bags of words and a tenth of one of an LSTM.
"""
MEMORY_SHARE = 0.6
"""Share of the free memory that learning may plan with."""


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def device(asked: str) -> torch.device:
    """Where networks learn: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        RecipeError: If a GPU was asked for and there is none.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise RecipeError(
            "--device cuda was asked for, but there is no GPU that this torch can use.",
            hint="leave it out, or install a build of torch for your GPU.",
        )
    return torch.device("cuda" if there and asked != "cpu" else "cpu")


def free_memory() -> int:
    """Bytes of memory that are free, or 4 GB where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError), Path("/proc/meminfo").open() as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 4_000_000_000


def may_hold() -> int:
    """Bytes that may be planned with: a share of those that are free."""
    return int(free_memory() * MEMORY_SHARE)


@contextlib.contextmanager
def arithmetic(threads: int, *, bounded: bool = False) -> Iterator[None]:
    """Deterministic arithmetic on so many threads; the caller's own settings and draws come back after.

    Args:
        threads: 0: all cores.
        bounded: Whether so little memory may be used that what is given back must go to the system.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else a GPU refuses to be deterministic
    if not bounded:
        _keep_pages()
    before = torch.get_num_threads()
    strictness = torch.get_deterministic_debug_mode()
    random_state = torch.get_rng_state()
    torch.set_num_threads(threads or cores())
    torch.set_deterministic_debug_mode(
        "error"
    )  # use_deterministic_algorithms imports torch's compiler: seconds
    deterministic: Any = torch.utils.deterministic
    filling = deterministic.fill_uninitialized_memory
    deterministic.fill_uninitialized_memory = False  # each result would be written twice: a tenth of a step
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_deterministic_debug_mode(strictness)
        deterministic.fill_uninitialized_memory = filling
        torch.set_flush_denormal(False)
        torch.set_rng_state(random_state)


@functools.cache
def _keep_pages() -> None:
    """Has glibc keep what tensors give back, in place of its own rule; other C libraries have their own."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        for option, size in KEPT.items():
            ctypes.CDLL(None).mallopt(option, size)


def seed_draws(seed: int, device: torch.device) -> None:
    """Seeds what torch draws on this device, dropout above all.

    `torch.manual_seed` seeds every kind of device there might be and takes 0.2 ms: too much for each step.
    """
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class Interrupts:
    """The first SIGINT or SIGTERM asks for an end after the step; a second one ends at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


def part_that_fits(module: nn.Module, bytes_an_example: int, batch: int, memory: int) -> int:
    """Examples of a batch that fit in memory at once: `batch`, or a half, a quarter… of it.

    Args:
        module: The network.
        bytes_an_example: Activations that one example leaves for the backward pass.
        batch: Examples a step.
        memory: Bytes that may be used.
    """
    weights = sum(param.numel() * param.element_size() for param in module.parameters())
    left = memory - 6 * weights  # weights, gradients, two moments, the mean, the best so far
    part = batch
    while part > 1 and part * bytes_an_example > left:
        part = (part + 1) // 2
    return part


def saved_bytes(module: nn.Module, forward: Any, examples: int) -> int:
    """Bytes of activations that one example leaves for the backward pass, measured by one forward."""
    total = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        if not isinstance(tensor, nn.Parameter):
            total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return total // max(1, examples)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

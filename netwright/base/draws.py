"""Where a thread draws at random: from torch's own generator, or from one that it was given."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

_of_thread = threading.local()


@contextlib.contextmanager
def drawing(generator: torch.Generator) -> Iterator[None]:
    """What networks draw in this thread comes from the generator: threads do not mix their draws."""
    _of_thread.generator = generator
    try:
        yield
    finally:
        _of_thread.generator = None


def source(device: torch.device) -> torch.Generator | None:
    """The generator of this thread for a CPU; None: torch's own."""
    generator: torch.Generator | None = getattr(_of_thread, "generator", None)
    return generator if device.type == "cpu" else None

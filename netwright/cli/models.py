"""The model that a MODEL argument means: a file, or the run folder that holds one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netwright.base.errors import BundleError

if TYPE_CHECKING:
    from netwright.serving.predict import Model

FILE = "model.safetensors"


def place(text: str) -> Path:
    """The file of the model.

    Raises:
        BundleError: If it is a folder without one.
    """
    path = Path(text)
    if not path.is_dir():
        return path
    if not (path / FILE).exists():
        raise BundleError(
            f"the folder '{text}' holds no {FILE}.",
            hint="give the folder of a finished run, or go on with netwright train --resume.",
        )
    return path / FILE


def load(path: Path, *, allow_outside: bool = False) -> Model:
    """The model of a file.

    Raises:
        BundleError: If it is not a whole model.
    """
    from netwright.serving import predict

    return predict.load(path, allow_outside=allow_outside)

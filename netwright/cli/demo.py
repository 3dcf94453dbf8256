"""`netwright demo`: the whole way on real data, in under a minute."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from netwright.base import files
from netwright.cli import models, progress, results
from netwright.cli.flags import say

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

FOLDER = Path("netwright-demo")
MINUTES = 0.5
NEW = 6
"""Pictures that are kept out of the data and answered at the end."""
SHADES = " ░▒▓█"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The demo has no flags."""


def run(flags: Flags) -> None:
    """Train on real pictures of digits, and use the model.

    The 1,797 pictures ship with scikit-learn; 6 are kept out and answered at the end. Everything is
    written to ./netwright-demo and may be deleted.
    """
    from netwright import build

    data, new = _write_digits()
    out = FOLDER / "run"
    say(f"$ netwright train {data} --minutes {MINUTES:g} --out {out}")
    with progress.listening(quiet=False) as listener:
        trained = build.train(str(data), listen=listener, minutes=MINUTES, out=out, force=True)
    print(results.of_run(trained, json=False))
    if listener.signal is not None:
        raise typer.Exit(128 + listener.signal)
    say(f"\n{NEW} pictures that it has not seen, answered by {out / models.FILE}:")
    answers = models.load(out / models.FILE).predict(_frame(new))
    print("\n".join(drawn(new, answers)))
    say(f"\nhow it learned: netwright show {out}")


def _write_digits() -> tuple[Path, npt.NDArray[Any]]:
    """The data as a user may have them, an .npz of pictures and labels, and pictures kept out of them."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = (digits.images * 255 / 16).round().astype(np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, images=pictures[NEW:], labels=digits.target[NEW:])
    files.make_folder(FOLDER)
    path = FOLDER / "digits.npz"
    files.write_bytes(path, buffer.getvalue())
    return path, pictures[:NEW]


def _frame(pictures: npt.NDArray[Any]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"image": pictures})


def drawn(pictures: npt.NDArray[Any], answers: pl.DataFrame) -> list[str]:
    """The pictures side by side in characters, with the answer and its probability below each.

    Args:
        pictures: (N, H, W) uint8.
        answers: N rows with `prediction` and `probability`.
    """
    _, height, width = pictures.shape
    step = 256 / len(SHADES)
    lines = [
        "   ".join("".join(2 * SHADES[int(pixel / step)] for pixel in picture[line]) for picture in pictures)
        for line in range(height)
    ]
    words = [
        f"{answer}, {share:.1%}".center(2 * width)
        for answer, share in answers.select("prediction", "probability").iter_rows()
    ]
    return [*lines, "   ".join(words)]

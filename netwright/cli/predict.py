"""`netwright predict`: answers for new rows."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from netwright.base import files
from netwright.base.errors import DataError
from netwright.cli import models, results
from netwright.cli.flags import Outside


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright predict`."""

    model: Annotated[str, Argument(metavar="MODEL", help="A model.safetensors, or the run folder with it.")]
    data: Annotated[
        str,
        Argument(metavar="DATA", help="A table, sentences a line each, one picture, a folder, or - for stdin."),
    ]
    out: Annotated[
        str | None,
        Option(
            "--out",
            metavar="FILE",
            show_default="CSV on stdout",
            help="File for the predictions; its suffix says how: .csv, .parquet, .json or .ndjson.",
        ),
    ] = None
    top: Annotated[
        int | None,
        Option("--top", metavar="K", show_default="1 class", help="Likeliest classes to name for each row."),
    ] = None
    threshold: Annotated[
        float | None,
        Option(
            "--threshold",
            metavar="P",
            show_default="0.5, a probability",
            help="Probability from which the second of two classes, or a label, is given.",
        ),
    ] = None
    probabilities: Annotated[
        bool, Option("--probabilities", show_default="off", help="Add the probability of each class.")
    ] = False
    allow_outside: Outside = False


def run(flags: Flags) -> None:
    """Answer new rows with a trained model.

    One line a row, in the order of the rows. A row that cannot be read has an empty prediction and a note.
    """
    path = models.place(flags.model)
    if flags.out is not None:
        results.check_suffix(Path(flags.out))
    model = models.load(path, allow_outside=flags.allow_outside)
    with _rows(flags.data) as rows:
        answers = model.predict(
            rows, top=flags.top, threshold=flags.threshold, probabilities=flags.probabilities
        )
    if flags.out is None:
        sys.stdout.write(results.csv(answers))
    else:
        results.save(answers, Path(flags.out))


@contextlib.contextmanager
def _rows(data: str) -> Iterator[str]:
    """A path to the rows; what comes from stdin goes the same way through a file for a while.

    Raises:
        DataError: If nothing comes from stdin.
    """
    if data != "-":
        yield data
        return
    content = sys.stdin.buffer.read()
    if not content.strip():
        raise DataError(
            "stdin is empty.", hint="pipe CSV with a header, or sentences, into netwright predict MODEL -."
        )
    with tempfile.TemporaryDirectory(prefix="netwright-") as folder:
        path = Path(folder) / "stdin"
        files.write_bytes(path, content)
        yield str(path)

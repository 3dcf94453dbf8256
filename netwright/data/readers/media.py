"""Media files of a table: where they are, whether they can be opened, and how many may be bad."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.base.errors import DataError
from netwright.base.schema import Finding

if TYPE_CHECKING:
    import polars as pl

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
MOST_PIXELS = 64_000_000
MOST_BAD = 0.05
"""Share of bad files that is accepted and said."""


def is_picture_name(name: str) -> bool:
    """Whether the suffix is that of a picture."""
    return name.lower().endswith(PICTURES)


def problem(path: Path) -> str:
    """What is wrong with a picture file as far as its head tells, or ""."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            return "empty file"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as opened:
                width, height = opened.size
    except UnidentifiedImageError:
        return "not a picture"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return str(error).split("(")[0].strip()[:80] or type(error).__name__
    if width * height > MOST_PIXELS:
        return f"{width} x {height} pixels, more than 64 million"
    return ""


def judge(bad: list[str], total: int, where: str) -> tuple[Finding, ...]:
    """Says which files are bad, or refuses if there are too many.

    Raises:
        DataError: If more than 5 % of the files are bad.
    """
    if not bad:
        return ()
    shown = "; ".join(bad[:5])
    if len(bad) > MOST_BAD * total:
        raise DataError(
            f"{len(bad):,} of {total:,} pictures in '{where}' cannot be read: {shown}.",
            hint="mend or remove them; up to 5 % are left out without asking.",
        )
    return (
        Finding(
            name="unreadable pictures",
            what=f"{len(bad):,} of {total:,} pictures cannot be read: {shown}",
            where=where,
            count=len(bad),
            done="left out",
            severity="warning",
        ),
    )


def resolve(cells: pl.Series, root: Path | None, allow_outside: bool) -> pl.Series:
    """Media cells with relative paths made absolute from the table's folder.

    Raises:
        DataError: If a path leads out of that folder and that was not allowed.
    """
    import polars as pl

    if cells.dtype != pl.String:
        return cells
    base = os.path.realpath(root) if root else str(Path.cwd())
    ready: list[str | None] = []
    for row, cell in enumerate(cells.to_list(), start=1):
        if cell is None:
            ready.append(None)
            continue
        whole = os.path.realpath(Path(base) / cell)
        if not (allow_outside or whole == base or whole.startswith(base + os.sep)):
            raise DataError(
                f"row {row} of column '{cells.name}' names '{cell}', outside the folder '{base}'.",
                hint="move the file into the table's folder, or allow it with --allow-outside.",
            )
        ready.append(whole)
    return pl.Series(cells.name, ready, dtype=pl.String)

"""Media files of a table: where they are, whether they can be opened, and how many may be bad."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.base.errors import DataError
from netwright.base.schema import Finding

if TYPE_CHECKING:
    import polars as pl

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
MOST_PIXELS = 64_000_000
MOST_BAD = 0.05
"""Share of bad files that is accepted and said."""


def is_picture_name(name: str) -> bool:
    """Whether the suffix is that of a picture."""
    return name.lower().endswith(PICTURES)


def is_sound_name(name: str) -> bool:
    """Whether the suffix is that of a sound file."""
    return name.lower().endswith(SOUNDS)


def sound_columns(cells: pl.DataFrame) -> list[str]:
    """Columns whose cells are names of sound files, as their first cells tell."""
    import polars as pl

    texts = [name for name, kind in cells.schema.items() if kind == pl.String]
    few = {name: cells[name].drop_nulls().head(20).to_list() for name in texts}
    return [name for name, each in few.items() if each and all(map(is_sound_name, each))]


def kind_of(name: str) -> str | None:
    """ "image" or "audio" by the suffix of a file, or None."""
    return "image" if is_picture_name(name) else "audio" if is_sound_name(name) else None


def judge(cells: pl.Series, bad: Mapping[int, str], kind: str) -> tuple[Finding, ...]:
    """Says which files are bad, or refuses if there are too many.

    Args:
        cells: The column as it was read.
        bad: Row -> what is wrong.
        kind: "image" or "audio".

    Raises:
        DataError: If more than 5 % of the files are bad.
    """
    if not bad:
        return ()
    total, things = len(cells), {"image": "pictures", "audio": "clips"}[kind]
    listed = cells.gather(list(bad)[:5]).to_list()
    shown = "; ".join(f"{_called(cell, row)}: {bad[row]}" for cell, row in zip(listed, bad, strict=False))
    said = f"{len(bad):,} of {total:,} {things} in '{cells.name}' cannot be read: {shown}"
    if len(bad) > MOST_BAD * total:
        raise DataError(f"{said}.", hint="mend or remove them; up to 5 % are left out without asking.")
    return (
        Finding(
            name=f"unreadable {things}",
            what=said,
            where=cells.name,
            count=len(bad),
            done="left out",
            severity="warning",
        ),
    )


def _called(cell: Any, row: int) -> str:
    """What to call a picture in a message: its path, or its row."""
    path = cell.get("path") if isinstance(cell, dict) else cell
    return path if isinstance(path, str) else f"row {row + 1}"


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

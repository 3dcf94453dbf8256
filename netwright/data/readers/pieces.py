"""Text tables piece by piece: whole rows, cut and cleaned as if the file were read at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netwright.base.errors import DataError
from netwright.data.readers import tables, text
from netwright.data.readers.cells import clean
from netwright.data.readers.tables import Layout
from netwright.data.rest import Rest, detached, piece_bytes, sample_of
from netwright.data.table import ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

LONGEST = 64_000_000
"""Bytes in which a row must end."""


class _Otherwise(Exception):
    """The file is not what its beginning looked like; the layout that it may have instead."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout


@dataclass(frozen=True, kw_only=True)
class _File:
    """A text table whose layout is known.

    Attributes:
        first: Text of its first row, with which every later piece begins: so it is cut as the first is.
    """

    path: Path
    layout: Layout
    first: str
    size: int

    def frames(self) -> Iterator[pl.DataFrame]:
        """All rows, cut into cells, piece by piece.

        Raises:
            DataError: If a row has another number of cells than the first, or the bytes are no text.
        """
        began, lines = False, 0
        for raw in whole_rows(self.path, self.size, quoted=self.layout.quoted):
            piece = self._text(raw, lines)
            if not began:
                piece = piece.lstrip("\n\r")
                if not piece.strip():
                    lines += raw.count(b"\n")
                    continue
            yield self._cut(piece, began, lines)
            began, lines = True, lines + raw.count(b"\n")

    def _text(self, raw: bytes, lines: int) -> str:
        try:
            return text.decode_piece(raw, self.layout.encoding, self.path, lines)
        except UnicodeDecodeError:
            raise _Otherwise(replace(self.layout, encoding="latin-1")) from None

    def _cut(self, piece: str, began: bool, lines: int) -> pl.DataFrame:
        layout = self.layout
        if began:
            piece, lines = self.first + piece, lines - self.first.count("\n")
        if not layout.quoted:
            frame = tables.cut(piece, layout.delimiter, None)
        else:
            frame, quoted = tables.parse(piece, layout.delimiter, self.path, max(0, lines))
            if not quoted:
                raise _Otherwise(replace(layout, quoted=False))
        if frame.width != len(layout.names):
            raise DataError(f"'{self.path}' cannot be cut into columns.", hint="mend the file.")
        return frame.slice(1) if began or layout.header else frame


def sample(source: Path, options: ReadOptions, memory: int) -> Table:
    """An evenly spread sample of the rows, and how the others are read.

    Args:
        source: The file.
        options: What the user says about it.
        memory: Bytes that may be used.

    Raises:
        DataError: If the file is empty or in UTF-16, or a row cannot be cut into cells as the first one.
    """
    head = next(whole_rows(source, piece_bytes(memory), quoted=False), b"")
    if not head.strip():
        raise DataError(f"'{source}' is empty.", hint="give a file with a header and rows.")
    if text.is_utf_16(head):
        raise DataError(
            f"'{source}' is in UTF-16 and larger than the memory allowed.",
            hint="save it as UTF-8, or allow more with --memory.",
        )
    beginning, encoding = text.decode(head, source)
    beginning = beginning.lstrip("\n\r")
    layout: Layout | None = Layout(encoding, tables.sniff(beginning), quoted=True)
    for _ in range(3):  # the encoding and the quotes may each turn out otherwise once
        assert layout is not None
        try:
            return _sample(source, layout, options, memory)
        except _Otherwise as other:
            layout = other.layout
    raise DataError(f"'{source}' cannot be cut into rows.", hint="mend the file.")


def _sample(source: Path, layout: Layout, options: ReadOptions, memory: int) -> Table:
    import polars as pl

    file, row_bytes = _file(source, layout, options, piece_bytes(memory))
    rows = int(text.unpacked_size(source) / row_bytes[0]) + 1
    chosen, options = sample_of(rows, row_bytes[1], memory), tables.with_texts(options, file.layout)

    total = 0

    def frames(*, others: bool) -> Iterator[pl.DataFrame]:
        nonlocal total
        total = 0
        for frame in file.frames():
            kept = frame.filter(pl.Series(chosen.holds(total, frame.height) != others))
            kept.columns = list(file.layout.names)
            total += frame.height
            yield clean(kept, options)

    cells = [detached(frame) for frame in frames(others=False)]
    table = tables.table_of(pl.concat(cells, rechunk=True), file.layout, source, options)
    return replace(table, rest=Rest(rows=total - table.height, read=lambda: frames(others=True)))


def _file(source: Path, layout: Layout, options: ReadOptions, size: int) -> tuple[_File, tuple[float, float]]:
    """The file with the names of its columns; bytes that a row takes in it and in memory."""
    raw = next(whole_rows(source, size, quoted=layout.quoted)).lstrip(b"\xef\xbb\xbf\n\r")
    try:
        piece = text.decode_piece(raw, layout.encoding, source, 0)
    except UnicodeDecodeError:
        raise _Otherwise(replace(layout, encoding="latin-1")) from None
    if layout.quoted:
        frame, quoted = tables.parse(piece, layout.delimiter, source)
        if not quoted:
            raise _Otherwise(replace(layout, quoted=False))
    else:
        frame = tables.cut(piece, layout.delimiter, None)
    layout = tables.look(piece, frame.width, layout, source, options)
    end = _ends(piece[: tables.LONGEST_FIELD].encode(), quoted=layout.quoted, first=True)
    first = piece.encode()[:end].decode()
    rows = max(1, frame.height)
    found = len(raw) / rows, frame.estimated_size() / rows
    return _File(path=source, layout=layout, first=first, size=size), found


def whole_rows(source: Path, size: int, *, quoted: bool) -> Iterator[bytes]:
    """The bytes of a text file, unpacked, about `size` at a time, cut where a row ends and another begins.

    Blank lines come before the row that follows them; white space at the end of the file is left out. Where
    lines end in carriage returns alone, they are line feeds here.

    Raises:
        DataError: If a row does not end within 64 MB, or the file is damaged.
    """
    held, old, began = b"", False, False
    with text.opened(source) as stream:
        while block := stream.read(size):
            if not began:
                block = block.removeprefix(b"\xef\xbb\xbf")
                old, began = b"\n" not in block and b"\r" in block, True
            held += block.replace(b"\r", b"\n") if old else block
            end = _ends(held, quoted=quoted)
            if end:
                yield held[:end]
                held = held[end:]
            elif len(held) > LONGEST:
                raise DataError(
                    f"'{source}' has a row of more than {LONGEST // 1_000_000} MB.",
                    hint="a quote may be opened and never closed; or allow more with --memory.",
                )
    held = held.rstrip()
    if held:
        yield held


def _ends(held: bytes, *, quoted: bool, first: bool = False) -> int:
    """Bytes up to the end of the last row that is followed by another, blank lines after it not counted.

    Args:
        held: Bytes that begin with a row.
        quoted: Whether a line feed between quotes belongs to a cell.
        first: Whether the end of the first row is meant.
    """
    if quoted and b'"' in held:
        codes = np.frombuffer(held, dtype=np.uint8)
        feeds = np.flatnonzero(codes == 10)
        outside = feeds[np.searchsorted(np.flatnonzero(codes == 34), feeds) % 2 == 0]
        end = int(outside[0 if first else -1]) + 1 if len(outside) else 0
    else:
        end = (held.find(b"\n") if first else held.rfind(b"\n")) + 1
    last = len(held[:end].rstrip(b"\r\n"))
    return held.index(b"\n", last) + 1 if last else 0

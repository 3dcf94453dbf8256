"""Bytes to text: unpacked within bounds, decoded by what the bytes say, never with characters replaced."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from netwright.base.errors import DataError

MOST_BYTES = 8_000_000_000
MOST_RATIO = 200
FREE_BYTES = 100_000_000
GZIP = b"\x1f\x8b"


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are gzip.

    Raises:
        DataError: If the archive is cut short or unpacks to far more than it should.
    """
    raw = path.read_bytes()
    return _unpacked(raw, path) if raw[:2] == GZIP else raw


def unpacked_size(path: Path) -> int:
    """Bytes of a file once it is unpacked; of gzip, what its end says, which is right below 4 GB."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(2) != GZIP or size < 18:
            return size
        stream.seek(-4, os.SEEK_END)
        return max(size, int.from_bytes(stream.read(4), "little"))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file as a stream, unpacked if they are gzip.

    Raises:
        DataError: If the archive is cut short or broken, as soon as reading gets there.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP
    with gzip.open(path) if packed else path.open("rb") as stream:
        try:
            yield cast("IO[bytes]", stream)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(path) from error


def _unpacked(raw: bytes, path: Path) -> bytes:
    parts, total, rest = [], 0, raw
    while rest:
        engine = zlib.decompressobj(wbits=31)
        data = rest
        try:
            while data and not engine.eof:
                part = engine.decompress(data, 1 << 24)
                total += len(part)
                parts.append(part)
                data = engine.unconsumed_tail
                if total > MOST_BYTES or total > max(FREE_BYTES, MOST_RATIO * len(raw)):
                    raise DataError(
                        f"'{path}' unpacks to over {total // 1_000_000:,} MB from {len(raw):,} bytes.",
                        hint="that looks like a decompression bomb; unpack it by hand if it is not.",
                    )
        except zlib.error as error:
            raise _damaged(path) from error
        if not engine.eof:
            raise _damaged(path)
        rest = engine.unused_data.lstrip(b"\x00")
    return b"".join(parts)


def _damaged(path: Path) -> DataError:
    return DataError(
        f"'{path}' is damaged: its gzip data end too early or are broken.", hint="fetch the file again."
    )


def decode(raw: bytes, path: Path) -> tuple[str, str]:
    """The text, and the name of its encoding.

    Raises:
        DataError: If the bytes are no text.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return _strictly(raw, name, path), name.removesuffix("-sig")
    wide = _wide(raw)
    if wide:
        return _strictly(raw, wide, path), wide
    _refuse_binary(raw, path)
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        if _looks_latin(raw):
            return raw.decode("latin-1"), "latin-1"
        raise _undecodable(raw, error.start, path) from error


def decode_piece(raw: bytes, encoding: str, path: Path, before: int) -> str:
    """The text of whole lines from within a file, `before` lines after its beginning.

    Raises:
        DataError: If the bytes are no text.
        UnicodeDecodeError: If the file, UTF-8 so far, goes on as Latin-1.
    """
    _refuse_binary(raw, path, before)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and _looks_latin(raw):
            raise
        raise _undecodable(raw, error.start, path, before) from error


def _strictly(raw: bytes, name: str, path: Path) -> str:
    try:
        return raw.decode(name)
    except UnicodeDecodeError as error:
        raise _undecodable(raw, error.start, path) from error


def is_utf_16(raw: bytes) -> bool:
    """Whether a file that begins so is in UTF-16, with a mark or without one."""
    return raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or bool(_wide(raw))


def _wide(raw: bytes) -> str:
    """UTF-16 without a mark: every other byte of the beginning is zero."""
    head = raw[:4000]
    if len(head) < 4:
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.6 * half and even < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd < 0.1 * half else ""


def _refuse_binary(raw: bytes, path: Path, before: int = 0) -> None:
    place = raw.find(b"\x00")
    if place >= 0:
        line = before + raw.count(b"\n", 0, place) + 1
        raise DataError(
            f"'{path}' is not a text file: byte 0 in line {line}.",
            hint="give a table as CSV, Parquet or NDJSON, or pictures in a folder.",
        )


def _looks_latin(raw: bytes) -> bool:
    """Whether bytes above 127 are letters of Latin-1 and there are no control characters."""
    high = [byte for byte in raw[:200_000] if byte > 127]
    control = sum(byte < 9 or 13 < byte < 32 for byte in raw[:200_000])
    letters = sum(byte >= 0xA0 for byte in high)
    return control == 0 and letters >= 0.95 * len(high)


def _undecodable(raw: bytes, place: int, path: Path, before: int = 0) -> DataError:
    line = before + raw.count(b"\n", 0, place) + 1
    return DataError(
        f"line {line} of '{path}' has a byte that is no text: 0x{raw[place]:02x} at byte {place}.",
        hint="save the file as UTF-8.",
    )

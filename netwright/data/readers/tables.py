"""Text tables: CSV, TSV and other delimiters, gzipped or not, with or without a header."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.base.errors import DataError
from netwright.base.schema import Finding
from netwright.data.readers.cells import clean
from netwright.data.readers.text import content, decode, unpacked_size
from netwright.data.table import SAID, ReadOptions, Table

if TYPE_CHECKING:
    import polars as pl

DELIMITERS = (",", "\t", ";", "|")
SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".dat", ".psv", ".txt")
LONGEST_FIELD = 16_000_000
TIMES = 6
"""Memory that reading a text table at once needs, in sizes of the file."""


def claims(source: Any) -> str | None:
    """None for a file of text."""
    if isinstance(source, Path) and source.is_file():
        suffix = Path(source.name.lower().removesuffix(".gz")).suffix
        if suffix in SUFFIXES or not suffix:
            return None
        return f"'{suffix}' is not a suffix of a table ({', '.join(SUFFIXES)})."
    return "it is not a text file."


def read(source: Path, options: ReadOptions) -> Table:
    """The table, all cells String.

    Raises:
        DataError: If the file is empty, has no rows, or a row has too many or too few cells.
    """
    raw = content(source)
    if not raw.strip():
        raise DataError(f"'{source}' is empty.", hint="give a file with a header and rows.")
    text, encoding = decode(raw, source)
    text = text.lstrip("\n\r").rstrip()
    text = text if "\n" in text else text.replace("\r", "\n")
    delimiter = sniff(text)
    frame, quoted = parse(text, delimiter, source)
    layout = look(text, frame.width, Layout(encoding, delimiter, quoted), source, options)
    frame = frame.slice(int(layout.header))
    if frame.height == 0:
        raise DataError(
            f"'{source}' has a header and no rows.",
            hint="give a file with rows, or say --header none if the line is data.",
        )
    frame.columns = list(layout.names)
    options = with_texts(options, layout)
    return table_of(clean(frame, options), layout, source, options)


def takes(source: Path) -> int:
    """Bytes that `read` needs at its worst, about: the file, its text, the cells before and after cleaning."""
    return TIMES * unpacked_size(source)


def sampled(source: Path, options: ReadOptions, memory: int) -> Table:
    """The table of an evenly spread sample of the rows; `rest` reads the others.

    Raises:
        DataError: If a row anywhere cannot be cut into cells as the first one.
    """
    from netwright.data.readers.pieces import sample

    return sample(source, options, memory)


@dataclass(frozen=True)
class Layout:
    """How the text of a table is cut into cells.

    Attributes:
        encoding: Of its bytes.
        delimiter: Between cells.
        quoted: Whether quotes hold cells together.
        header: Whether the first row names the columns.
        names: Those of the columns.
        findings: What is to be said of it.
    """

    encoding: str
    delimiter: str
    quoted: bool
    header: bool = False
    names: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def look(text: str, width: int, layout: Layout, source: Path, options: ReadOptions) -> Layout:
    """The layout with the names of the columns, from the first rows.

    Raises:
        DataError: If the first row cannot be cut into cells, or names two columns alike.
    """
    delimiter, quoted = layout.delimiter, layout.quoted
    header = options.header == "auto" and _has_header(text, delimiter, quoted)
    first = next(_lines(text[:LONGEST_FIELD], delimiter, quoted), [])
    if not first:
        raise DataError(f"the first line of '{source}' cannot be cut into cells.", hint="mend that line.")
    findings = _said(layout.encoding, delimiter)
    if not header and options.header == "auto":
        findings.append(_no_header(source, width))
    names = _names(first, source) if header else _numbered(options, width)
    return replace(layout, header=header, names=tuple(names), findings=tuple(findings))


def with_texts(options: ReadOptions, layout: Layout) -> ReadOptions:
    """The options with the columns of sentences that names tell."""
    return replace(options, texts=options.texts or tuple(n for n in layout.names if n.lower() in SAID))


def table_of(cells: pl.DataFrame, layout: Layout, source: Path, options: ReadOptions) -> Table:
    """The table of cleaned cells."""
    root = source.parent
    return Table(cells=cells, source=source.name, root=root, findings=layout.findings, options=options)


def sniff(text: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, more than one if it can."""
    sample = text[:100_000]
    if _plain_lines(sample.rpartition("\n")[0] if len(text) > len(sample) else sample, "\t"):
        return "\t"
    best = (0.0, 0, ",")
    for order, delimiter in enumerate(DELIMITERS):
        rows = list(itertools.islice(_lines(sample, delimiter), 100))
        if len(rows) > 1 and len(text) > len(sample):
            rows = rows[:-1]
        widths = Counter(len(row) for row in rows if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1:
            best = max(best, (count / max(1, sum(widths.values())), -order, delimiter))
    return best[2]


def parse(text: str, delimiter: str, source: Path, before: int = 0) -> tuple[pl.DataFrame, bool]:
    """The cells, and whether quotes hold cells together.

    Args:
        text: Whole rows.
        delimiter: Between cells.
        source: What to call the file in a message.
        before: Lines of the file before the first of these.

    Raises:
        DataError: If a row has another number of cells than the first.
    """
    import polars as pl

    plain, quoted = _plain_lines(text, delimiter), True
    try:
        frame = cut(text, delimiter, '"')
        quoted = not plain or frame.height == plain
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if not plain:
            raise _ragged(text, delimiter, source, str(error), before) from error
        quoted = False
    frame = frame if quoted else cut(text, delimiter, None)
    if quoted and _may_be_short(frame):
        problem = _first_ragged(text, delimiter)
        if problem:
            raise _ragged_at(problem, source, before)
    return frame, quoted


def cut(text: str, delimiter: str, quote: str | None) -> pl.DataFrame:
    """The cells of whole rows, all String, with what quotes them or nothing that does."""
    import polars as pl

    return pl.read_csv(
        io.BytesIO(text.encode()),
        separator=delimiter,
        has_header=False,
        infer_schema=False,
        raise_if_empty=False,
        truncate_ragged_lines=False,
        quote_char=quote,
    )


def _plain_lines(text: str, delimiter: str) -> int:
    """Lines of a table whose quotes are part of what is said: each line has as many tabs; 0: it is none."""
    if delimiter != "\t" or '"' not in text:
        return 0
    lines = [line for line in text.split("\n") if line.strip()]
    tabs = lines[0].count("\t")
    return len(lines) if tabs and all(line.count("\t") == tabs for line in lines) else 0


def _may_be_short(frame: pl.DataFrame) -> bool:
    """Whether a last cell is empty: polars fills up rows that have too few cells."""
    if frame.width < 2:
        return False
    return frame.to_series(frame.width - 1).null_count() > 0


def _ragged(text: str, delimiter: str, source: Path, reason: str, before: int) -> DataError:
    problem = _first_ragged(text, delimiter)
    if problem:
        return _ragged_at(problem, source, before)
    if text.count('"') % 2:
        return DataError(
            f"'{source}' has a quote that is opened and never closed.",
            hint='look for a lone " in the file.',
        )
    return DataError(f"'{source}' cannot be parsed: {reason.splitlines()[0]}.", hint="mend the file.")


def _first_ragged(text: str, delimiter: str) -> tuple[int, int, int] | None:
    """Line, cells found and cells expected of the first row that differs from the first."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    expected, begins = 0, 1
    try:
        for row in reader:
            if row and not expected:
                expected = len(row)
            if row and len(row) != expected:
                return begins, len(row), expected
            begins = reader.line_num + 1
    except csv.Error:
        return None
    return None


def _ragged_at(problem: tuple[int, int, int], source: Path, before: int) -> DataError:
    line, found, expected = problem
    return DataError(
        f"line {line + before} of '{source}' has {found} cells where the first line has {expected}.",
        hint="mend that line: a missing or stray delimiter, or a cell that needs quotes.",
    )


def _lines(text: str, delimiter: str, quoted: bool = True) -> Iterator[list[str]]:
    """The rows as cells, up to the first that cannot be told apart; the parser says what is wrong with it."""
    with contextlib.suppress(csv.Error):
        how: Any = {"delimiter": delimiter} if quoted else {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}
        yield from csv.reader(io.StringIO(text, newline=""), **how)


def _has_header(text: str, delimiter: str, quoted: bool) -> bool:
    """Whether the first line names the columns: no number in it, or unlike the types below it."""
    rows = list(itertools.islice(_lines(text[:200_000], delimiter, quoted), 60)) or [[]]
    first, rest = rows[0], [row for row in rows[1:50] if len(row) == len(rows[0])]
    named = [cell.strip() for cell in first]
    if len(set(named)) < len(named) and not rest:
        return True
    if not any(_is_number(cell) for cell in named):
        return _unlike_below(named, rest)
    numeric = [i for i in range(len(first)) if rest and all(_is_number(r[i]) or not r[i].strip() for r in rest)]
    return not any(_is_number(named[i]) for i in numeric) and bool(numeric) and len(rest) > 0


def _unlike_below(named: list[str], rest: list[list[str]]) -> bool:
    """A first line of words is data only if every one of them comes again in its own column."""
    if not rest:
        return True
    return not all(not name or any(row[i].strip() == name for row in rest) for i, name in enumerate(named))


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().rstrip("%").replace(",", ""))
    except ValueError:
        return False
    return True


def _names(names: list[str], source: Path) -> list[str]:
    ready = [name.strip() or f"c{place}" for place, name in enumerate(names, start=1)]
    twice = [name for name, count in Counter(ready).items() if count > 1]
    if twice:
        raise DataError(
            f"'{source}' has {len(twice)} column name{'s' if len(twice) > 1 else ''} more than once: "
            f"{', '.join(repr(name) for name in twice[:5])}.",
            hint="rename the columns, or use --header none if the first line is data.",
        )
    return ready


def _numbered(options: ReadOptions, width: int) -> list[str]:
    if options.like and len(options.like) == width:
        return list(options.like)
    return [f"c{place}" for place in range(1, width + 1)]


def _said(encoding: str, delimiter: str) -> list[Finding]:
    found = []
    if encoding != "utf-8":
        found.append(Finding(name="encoding", what=f"the file is {encoding}", done="read as such"))
    if delimiter not in ",\t":
        found.append(
            Finding(name="delimiter", what=f"cells are separated by '{delimiter}'", done="read as such")
        )
    return found


def _no_header(source: Path, width: int) -> Finding:
    return Finding(
        name="no header",
        what=f"the first line of {source.name} looks like data",
        count=width,
        done=f"columns are called c1 to c{width}",
    )


def is_table_of(text: str, column: str, width: int) -> bool:
    """Whether the first line of a text names a column, or is cut by tabs into as many cells as columns."""
    first = text.split("\n", 1)[0]
    cells = {cell.strip().strip('"') for delimiter in DELIMITERS for cell in first.split(delimiter)}
    return column in cells or first.count("\t") == width - 1 > 0


def is_delimited(text: str) -> bool:
    """Whether the lines of a text are cut into the same number of cells, two or more, by some delimiter."""
    rows = list(itertools.islice(_lines(text[:100_000], sniff(text)), 100))
    rows = [row for row in rows if row][: 99 if len(rows) > 50 else None]
    widths = Counter(map(len, rows))
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    return width > 1 and count >= 0.9 * len(rows)

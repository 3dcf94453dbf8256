"""Data larger than memory: a sample is fitted to and measured on, all other rows are learned from by pieces."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netwright.base.errors import DataError
from netwright.base.schema import Column, Finding
from netwright.data import columns, hashes
from netwright.data.kinds import KINDS, MEDIA
from netwright.data.packed import Packed, Part
from netwright.data.readers import too_large
from netwright.data.readers.media import MOST_BAD
from netwright.data.rest import SHARE, Limit, Rest, sample_of
from netwright.data.stored import Shelf
from netwright.data.table import Rows, Table
from netwright.data.where import parse_where
from netwright.request import Request, is_path
from netwright.tasks import TASKS

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.roles import Roles
    from netwright.data.split import Split
    from netwright.tasks.task import AbstractTask

COPIES = 3
"""Of decoded media that are in memory at once: as decoded, as cells, as tensors."""
SMALL = 1_000_000
"""Bytes that a decoded picture or clip has at most, about: with few of them nothing needs to be looked at."""
TRIED = 8
"""Media that are decoded to tell how much all of them would take."""
ENCODED = 40
"""Part of the allowed memory that the tensors of a piece take."""
LEARNING = 8
"""Part of the allowed memory that is left to the steps of learning."""


def allowed(request: Request) -> int:
    """Bytes of memory that may be used: `--memory`, else all that the machine has."""
    if request.bytes is not None:
        return request.bytes
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not tell: nothing is too large for it
        return 1 << 50


def for_steps(request: Request, prepared: Any) -> int | None:
    """Bytes that steps of learning may use; None: what is free."""
    return request.bytes // LEARNING if request.bytes and prepared.stored else request.bytes


def limit(request: Request) -> Limit:
    """What reading may take, and what was asked for that needs all rows at once."""
    whole = f"--split {request.split}" if request.split != "random" else ""
    whole = whole or (f"--weight {request.weight}" if request.weight else "")
    if request.horizon or request.known or request.task == "forecast":
        whole = "a forecast"
    if request.task and not _rowwise(request.task):
        whole = f"--task {request.task}"
    for flag, where in (("test", request.test), ("validation", request.validation)):
        if not is_path(where) and parse_where(where).kind in ("last", "rows", "value"):
            whole = whole or f"--{flag} {where}"
    return Limit(bytes=allowed(request), whole=whole)


def _rowwise(task: str) -> bool:
    return task not in TASKS or (TASKS[task].rowwise and task != "translate")


def check(table: Table, assigned: Roles, task: str) -> None:
    """Refuses what cannot be done with a sample and a rest.

    Raises:
        DataError: If the task's examples are no rows, or a column says which rows are test rows.
    """
    if table.rest is None:
        return
    if table.shape != "rows" or not _rowwise(task):
        raise too_large(table.source, f"--task {task}" if task else "what is in it")
    if assigned.names("split"):
        raise too_large(table.source, f"the column '{assigned.names('split')[0]}' that names the parts")


def thinned(table: Table, request: Request) -> Table:
    """The table; where its media decoded would take more than is allowed, a sample of the rows, and the rest.

    Raises:
        DataError: If what was asked for needs all rows at once.
        RecipeError: If a setting of a column of media is out of range.
    """
    bound, rows = limit(request), table.height + (table.rest.rows if table.rest else 0)
    by_hand = any(name.startswith("kind.") for name in request.set)
    if table.shape != "rows" or (rows * SMALL * COPIES < bound.bytes and not by_hand):
        return table
    row_bytes = sum(_decoded_bytes(table, name, rows, request) for name in table.columns)
    if rows * row_bytes * COPIES < bound.bytes or table.height * row_bytes < bound.bytes / SHARE:
        return table
    if bound.whole:
        raise too_large(table.source, bound.whole)
    held = sample_of(table.height, row_bytes, bound.bytes).holds(0, table.height)
    place = np.cumsum(held) - 1
    given = {part: place[named[held[named]]] for part, named in table.given.items()}
    tested = np.zeros(table.height, dtype=np.bool_)
    for part, named in table.given.items():
        tested[named] |= part != "train"
    lost = int((tested & ~held).sum())
    finding = Finding(
        name="test rows",
        what=f"the media of all {int(tested.sum()):,} rows for validation and test do not fit in memory",
        count=lost,
        done=f"measured on {int((tested & held).sum()):,} of them, evenly spread",
        severity="warning",
    )
    others, before = table.cells.filter(_mask(~held & ~tested)), table.rest

    def read() -> Iterator[pl.DataFrame]:
        yield others
        yield from before.read() if before else ()

    return replace(
        table,
        cells=table.cells.filter(_mask(held)),
        given=given,
        rest=Rest(rows=others.height + (before.rows if before else 0), read=read),
        findings=(*table.findings, *([finding] if lost else [])),
    )


def _mask(rows: Any) -> pl.Series:
    import polars as pl

    return pl.Series(rows)


def _decoded_bytes(table: Table, name: str, rows: int, request: Request) -> float:
    """Bytes that a cell of a column takes once it is decoded; 0 where it holds no media."""
    import polars as pl

    cells = table.column(name)
    if (
        not (cells.dtype in (pl.String, pl.Binary) or isinstance(cells.dtype, pl.Struct))
        or name in request.drop
    ):
        return 0.0
    spread = np.unique(np.linspace(0, table.height - 1, 500).astype(np.int64))
    said = request.kinds.get(name) or table.kinds.get(name)
    found = [
        kind for kind in MEDIA if said == kind or (not said and KINDS[kind].recognise(cells.gather(spread)))
    ]
    if not found:
        return 0.0
    kind, start = KINDS[found[0]], f"kind.{name}."
    block = columns.cells(table, [Column(name=name, kind=found[0], role="input", why="")], spread)
    derived = kind.derive(block, rows, request.minutes, table.shape)
    settings = {key: choice.value for key, choice in derived.items()}
    settings |= {k.removeprefix(start): v for k, v in request.set.items() if k.startswith(start)}
    few = block.to_series().gather_every(max(1, block.height // TRIED)).head(TRIED)
    return float(kind.decode(few, settings)[0].estimated_size()) / max(1, len(few))


def said(table: Table, request: Request) -> tuple[Finding, ...]:
    """That a sample stands for all rows, where it does."""
    if table.rest is None:
        return ()
    finding = Finding(
        name="larger than memory",
        what=f"{table.source} with {table.height + table.rest.rows:,} rows takes more than "
        f"{allowed(request) / 1e6:,.0f} MB of memory",
        count=table.rest.rows,
        done=f"{table.height:,} rows, evenly spread, are fitted to, checked and measured on; "
        f"the other {table.rest.rows:,} are learned from by pieces",
    )
    return (finding,)


@dataclass
class Storing:
    """The rows of a rest on their way to files.

    Attributes:
        table: The sample.
        split: Its parts.
        decided: What was decided about each column.
        task: The task, fitted.
        inputs: The kinds, fitted.
        compared: Columns by which rows are equal, the targets last.
    """

    table: Table
    split: Split
    decided: Sequence[Column]
    task: AbstractTask
    inputs: columns.Inputs
    compared: Sequence[str]
    memory: int
    lost: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def into(self, folder: Path | None, decoded: Table) -> tuple[Part, tuple[Finding, ...]]:
        """All training examples, those of the sample first, in files; and what is to be said of the others.

        Args:
            folder: Where the files lie, about; None: where temporary files do.
            decoded: The sample, its media decoded.

        Raises:
            DataError: If the rest cannot be read, or more than 5 % of its media.
            LearningError: If the disk is full.
        """
        rest = self.table.rest
        assert rest is not None
        shelf, held = Shelf(folder, self.memory), self._held()
        inputs, target = self.task.examples(decoded, self.split.train, self.inputs, learn=True)
        shelf.add(Part(inputs=inputs, target=target))
        size = sum(packed.values.nbytes for packed in (*inputs.values(), target)) / max(1, len(target))
        most = max(1, int(self.memory / ENCODED / max(1.0, size)))
        for frame in rest.read():
            for piece in frame.iter_slices(most):
                self._add(piece, shelf, held)
        if self.lost["cannot be read"] > MOST_BAD * rest.rows:
            bad = self.lost["cannot be read"]
            raise DataError(
                f"{bad:,} of {rest.rows:,} media of {self.table.source} cannot be read: {'; '.join(self.bad)}.",
                hint="mend or remove them; up to 5 % are left out without asking.",
            )
        return shelf.close(), self._findings(rest)

    def _add(self, cells: pl.DataFrame, shelf: Shelf, held: hashes.U64 | None) -> None:
        """Encodes the rows of a piece and puts those that can be learned from on the shelf."""
        schema = self.table.cells.schema
        cells = cells if cells.schema == schema else cells.cast(schema, strict=False)
        piece = replace(self.table, cells=cells, given={}, rest=None)
        piece = self._kept(piece, self._targeted(piece), "have no target")
        if held is not None:
            same = np.isin(self._hashes(piece, None), held)
            piece = self._kept(piece, ~same, "equal a row that is measured on")
        decoded, found = columns.decode(piece, self.decided)
        good = np.ones(piece.height, dtype=np.bool_)
        for each in found.values():
            good[list(each)] = False
            self.bad += list(each.values())[: max(0, 5 - len(self.bad))]
        decoded = self._kept(decoded, good, "cannot be read")
        if not decoded.height:
            return
        rows = np.arange(decoded.height, dtype=np.int64)
        inputs, target = self.task.examples(decoded, rows, self.inputs, learn=True)
        part = Part(inputs=inputs, target=target)
        known = _known(target)
        if not known.all():
            self.lost["have a class that the sample does not"] += int((~known).sum())
            places = known.nonzero().squeeze(1)
            kept = {key: packed.some(places) for key, packed in part.inputs.items()}
            part = Part(inputs=kept, target=target.some(places))
        shelf.add(part)

    def _kept(self, table: Table, good: Any, why: str) -> Table:
        """The good rows of a piece; the others are counted."""
        if good.all():
            return table
        self.lost[why] += int((~good).sum())
        return replace(table, cells=table.cells.filter(_mask(good)))

    def _targeted(self, table: Table) -> Any:
        """(N,) whether a row has a target."""
        import polars as pl
        import polars.selectors as cs

        frame = table.frame(list(self.task.columns)).with_columns(cs.float().fill_nan(None))
        return frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().to_numpy()

    def _held(self) -> hashes.U64 | None:
        """Hashes of the rows that are measured on; None where equal rows are not kept on one side."""
        parts = self.split
        measured = np.unique(np.concatenate([parts.select, parts.calibrate, parts.test]))
        media = any(column.kind in MEDIA and column.role == "input" for column in self.decided)
        if media or not len(measured) or len(self.compared) <= len(self.task.columns):
            return None
        found = self._hashes(self.table, measured)
        again = np.isin(found, self._hashes(self.table, parts.train))
        return None if again.any() else np.unique(found)

    def _hashes(self, table: Table, rows: Rows | None) -> hashes.U64:
        return hashes.row_hashes(table, self.compared, rows, labels=self.task.columns)

    def _findings(self, rest: Rest) -> tuple[Finding, ...]:
        lost = {why: count for why, count in self.lost.items() if count}
        if not lost:
            return ()
        finding = Finding(
            name="rows left out",
            what=f"of the {rest.rows:,} rows beside the sample, "
            + ", ".join(f"{count:,} {why}" for why, count in lost.items()),
            where=self.table.source,
            count=sum(lost.values()),
            done="left out",
            severity="warning",
        )
        return (finding,)


def _known(target: Packed) -> torch.Tensor:
    """(N,) whether an example has a target that the task knows."""
    values = target.values
    if target.spans is not None:
        return target.spans[:, 1] > 0
    there = ~values.isnan() if values.is_floating_point() else values >= 0
    return there.flatten(1).any(1) if there.ndim > 1 else there

"""Sources larger than memory: read by pieces as if at once, stored as if in memory, in an order by windows."""

from __future__ import annotations

import gzip
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.base import files
from netwright.base.errors import DataError, LearningError
from netwright.data import readers, rest
from netwright.data import stored as stores
from netwright.data.batches import TensorFeed
from netwright.data.packed import Packed, Part, pack
from netwright.data.readers import parquet, pieces, tables
from netwright.data.rest import Limit, Sample
from netwright.data.stored import Shelf
from netwright.data.table import ReadOptions, Table

TINY = 60_000_000
"""Allowed memory of which a piece is the least there is."""


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of some lines: a small file has many."""
    for module in (pieces, parquet):
        monkeypatch.setattr(module, "piece_bytes", lambda memory: 700)
    monkeypatch.setattr(parquet, "SLICE", 10_000)


def both(path: Path, options: ReadOptions | None = None) -> tuple[Table, Table]:
    """The table read at once; and by pieces, the rows of its rest behind those of the sample."""
    options = options or ReadOptions()
    reader: Any = parquet if path.suffix == ".parquet" else tables
    sample = reader.sampled(path, options, TINY)
    assert sample.rest is not None
    others = list(sample.rest.read())
    assert sum(each.height for each in others) == sample.rest.rows
    assert len(others) > 3
    whole: Table = reader.read(path, options)
    return whole, Table(
        cells=pl.concat([sample.cells, *others]), source=sample.source, findings=sample.findings
    )


def same_rows(one: Table, other: Table) -> None:
    """The same columns and types, and the same rows in any order."""
    assert one.cells.schema == other.cells.schema
    assert one.findings == other.findings
    assert sorted(map(repr, one.cells.rows())) == sorted(map(repr, other.cells.rows()))


def lines(count: int = 300) -> list[list[str]]:
    draw = np.random.default_rng(0)
    rows = [[f"{draw.normal():.4f}", f"word {i % 7}", "yes" if i % 3 else "no"] for i in range(count)]
    return [["size", "what", "label"], *rows]


def test_a_sample_has_one_row_of_every_stride_wherever_one_begins() -> None:
    whole = Sample(7).holds(0, 700)
    assert whole.reshape(100, 7).sum(1).tolist() == [1] * 100
    assert len(np.unique(np.flatnonzero(whole) % 7)) == 7  # no period of the file is met again and again
    parts = [Sample(7).holds(start, min(33, 700 - start)) for start in range(0, 700, 33)]
    assert (np.concatenate(parts) == whole).all()
    assert len(Sample(7).holds(5, 0)) == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n", " \n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_pieces_of_a_text_table_are_the_rows_of_the_whole(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [delimiter.join(row) for row in lines()]
    feed = "\r\n" if end.startswith("\r") else "\n"
    (tmp_path / "a.csv").write_bytes((feed.join(rows) + end).encode())
    same_rows(*both(tmp_path / "a.csv"))


def test_quotes_and_line_ends_in_cells_stay_in_their_cells(tmp_path: Path) -> None:
    rows = lines()
    for i in range(1, len(rows), 5):
        rows[i][1] = f'"he said ""{i}"",\nand\n\nleft, "'
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    same_rows(*both(tmp_path / "a.csv"))


def test_quotes_that_are_said_in_a_table_of_tabs_stay(tmp_path: Path) -> None:
    rows = lines()
    for i in range(200, len(rows), 3):  # the first piece has none
        rows[i][1] = f'5" wide {i}'
    (tmp_path / "a.tsv").write_text("\n".join("\t".join(row) for row in rows), encoding="utf-8")
    same_rows(*both(tmp_path / "a.tsv"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_letters_are_read_as_in_the_whole(tmp_path: Path, encoding: str) -> None:
    rows = lines()
    rows[250][1] = "Grüße aus Köln"
    (tmp_path / "a.csv").write_bytes("\n".join(",".join(row) for row in rows).encode(encoding))
    whole, other = both(tmp_path / "a.csv")
    same_rows(whole, other)
    assert "Grüße aus Köln" in other.cells["what"]


@pytest.mark.parametrize("blank", ["\n", "\n\n\n\n\n", "\r\n"])
def test_blank_lines_anywhere_are_what_they_are_in_the_whole(tmp_path: Path, blank: str) -> None:
    rows = [",".join(row) for row in lines()]
    text = "\n".join(row + (blank if i % 4 == 2 else "") for i, row in enumerate(rows)) + blank
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    same_rows(*both(tmp_path / "a.csv"))


def test_old_line_ends_no_header_and_gzip(tmp_path: Path) -> None:
    rows = [",".join(row) for row in lines()]
    (tmp_path / "a.csv").write_bytes("\r".join(rows).encode())
    same_rows(*both(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text("\n".join(rows[1:]), encoding="utf-8")
    same_rows(*both(tmp_path / "b.csv", ReadOptions(header="none")))
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    same_rows(*both(tmp_path / "c.csv.gz"))


CELL = st.text(alphabet='ab1,"\n\r; ', max_size=6).map(lambda cell: '"' + cell.replace('"', '""') + '"')


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=200, max_size=260))
def test_any_quoted_cells_are_the_same_by_pieces(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("quoted") / "a.csv"
    text = "first,second,number\n" + "".join(f"{a},{b},some number {i:09d}\n" for i, (a, b) in enumerate(cells))
    path.write_bytes(text.encode())
    same_rows(*both(path))


@pytest.mark.parametrize("rows_a_group", [50, 100_000])
def test_slices_of_parquet_are_the_rows_of_the_whole(tmp_path: Path, rows_a_group: int) -> None:
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"x": draw.normal(size=900), "word": [f" w{i % 5} " for i in range(900)]})
    frame = frame.with_columns(bytes=pl.col("word").cast(pl.Binary), often=pl.col("x").round(0).cast(pl.Int32))
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=rows_a_group)
    same_rows(*both(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("1,2\n", "line 203 .* has 2 cells where the first line has 3"),
        ("1,2,3,4\n", "line 203 .* has 4 cells where the first line has 3"),
        ("1,\x00,3\n", "byte 0 in line 203"),
        ('1,"open,3\n', "cells|quote|row of more"),
    ],
)
def test_a_damaged_row_far_on_is_named_by_its_line(tmp_path: Path, bad: str, said: str) -> None:
    rows = [",".join(row) + "\n" for row in lines()]
    (tmp_path / "a.csv").write_text("".join([*rows[:202], bad, *rows[202:]]), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        both(tmp_path / "a.csv")


def test_a_damaged_archive_and_utf_16_are_refused(tmp_path: Path) -> None:
    text = "\n".join(",".join(row) for row in lines(3_000)).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text)[:-40])
    with pytest.raises(DataError, match="gzip data end too early"):
        both(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv").write_text("\n".join(",".join(row) for row in lines()), encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16 and larger than the memory"):
        both(tmp_path / "b.csv")


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": draw.normal(size=5_000) for i in range(5)})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=500, compression="zstd")
    raw = bytearray((tmp_path / "a.parquet").read_bytes())
    raw[len(raw) * 3 // 4 : len(raw) * 3 // 4 + 3_000] = b"\xff" * 3_000
    (tmp_path / "a.parquet").write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        readers.read(tmp_path / "a.parquet", limit=Limit(bytes=1_000))


def test_only_what_takes_more_than_is_allowed_is_sampled(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(row) for row in lines(5_000)), encoding="utf-8")
    assert readers.read(path, limit=Limit(bytes=tables.takes(path))).rest is None
    assert readers.read(path, limit=Limit(bytes=tables.takes(path) - 1)).rest is not None
    assert readers.read(path).rest is None


def test_a_sample_keeps_no_piece_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "piece_bytes", lambda memory: 50_000)
    rows = [f'"{"long text " * 40} {i}",{i}' for i in range(3_000)]
    (tmp_path / "a.csv").write_text("\n".join(["what,n", *rows]), encoding="utf-8")
    kept: list[pl.DataFrame] = []
    monkeypatch.setattr(pieces, "detached", lambda cells: kept.append(cells) or rest.detached(cells))
    cells = readers.read(tmp_path / "a.csv", limit=Limit(bytes=TINY // 100)).cells
    assert cells.height < 1_600
    alive = [sys.getrefcount(each) for each in kept]
    assert pl.concat([rest.detached(each) for each in kept]).equals(cells)
    assert max(alive) == min(alive)


# ---- stored examples ----


def parts(rows: int = 1_000, chunks: int = 7) -> tuple[Part, Iterator[Part]]:
    """Examples of a dense and a ragged field in memory, and the same in some pieces."""
    draw = torch.Generator().manual_seed(0)
    dense = torch.randn(rows, 3, generator=draw)
    lengths = torch.randint(0, 9, (rows,), generator=draw).tolist()
    texts = [torch.full((length, 2), float(row)) for row, length in enumerate(lengths)]
    target = torch.arange(rows)

    def of(start: int, stop: int) -> Part:
        ragged = pack(texts[start:stop], torch.empty(0, 2))
        return Part({"x": Packed(dense[start:stop]), "text": ragged}, Packed(target[start:stop]))

    edges = np.linspace(0, rows, chunks + 1).astype(int).tolist()
    return of(0, rows), (of(a, b) for a, b in itertools.pairwise(edges))


def stored(tmp_path: Path, rows: int = 1_000, *, block: int = 16, window: int = 5) -> tuple[Part, Part]:
    whole, some = parts(rows)
    shelf = Shelf(tmp_path, memory=1)
    for each in some:
        shelf.add(each)
    memory = sum(column.file.size for column in shelf._columns.values()) / rows
    shelf.memory = int(memory * block * window * 24) + 24
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "BLOCK", int(memory * block) + 1)
        made = shelf.close()
    assert abs(shelf.block - block) <= 1 and abs(shelf.window - window) <= 1
    return whole, made


def test_stored_examples_are_those_in_memory(tmp_path: Path) -> None:
    whole, made = stored(tmp_path)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(1_000)[:300])
    for key in ("x", "text"):
        assert torch.equal(made.inputs[key].take(rows), whole.inputs[key].take(rows))
        assert torch.equal(made.inputs[key].lengths(), whole.inputs[key].lengths())
        assert torch.equal(made.inputs[key].lengths_of(rows), whole.inputs[key].lengths_of(rows))
    assert len(made.target) == 1_000
    assert torch.equal(made.target.take(rows), rows)
    few = made.target.resident(10).values
    assert torch.equal(few, torch.linspace(0, 999, 10, dtype=torch.float64).long())
    assert list(tmp_path.iterdir()) == []  # scratch files have no name


def test_an_epoch_by_windows_meets_each_example_once_and_is_a_function_of_seed_and_epoch(
    tmp_path: Path,
) -> None:
    _, made = stored(tmp_path)
    feed = TensorFeed(inputs=made.inputs, target=made.target, seed=3)
    for epoch in (0, 1):
        met = torch.cat([feed.order(epoch, 32)[step] for step in range(feed.steps_per_epoch(32))])
        assert len(met) == 31 * 32 == len(met.unique())
    again = TensorFeed(inputs=made.inputs, target=made.target, seed=3)
    forward, order = feed.order(1, 32), again.order(1, 32)
    for step in (20, 3, 30, 0):  # in whatever order they are asked for, as after a kill
        assert torch.equal(forward[step], order[step])
    other = TensorFeed(inputs=made.inputs, target=made.target, seed=4)
    assert not torch.equal(forward[0], other.order(1, 32)[0])
    assert not torch.equal(forward[0], feed.order(2, 32)[0])
    assert len(forward) == feed.steps_per_epoch(32)
    with pytest.raises(IndexError):
        forward[31]


@pytest.mark.parametrize(("rows", "batch"), [(1_000, 32), (1_000, 170), (90, 128), (17, 4)])
def test_batches_by_windows_hold_what_batches_in_memory_would(tmp_path: Path, rows: int, batch: int) -> None:
    whole, made = stored(tmp_path, rows)
    feed = TensorFeed(inputs=made.inputs, target=made.target, seed=0)
    plain = TensorFeed(inputs=whole.inputs, target=whole.target, seed=0)
    for epoch in range(2):
        order = feed.order(epoch, batch)
        for step in range(len(order)):
            one, other = feed.take(order[step], epoch), plain.take(order[step], epoch)
            assert one.inputs.keys() == other.inputs.keys()
            assert all(torch.equal(one.inputs[key], other.inputs[key]) for key in one.inputs)
            assert torch.equal(one.target, other.target)  # type: ignore[arg-type]


def test_windows_mix_rows_from_all_over_and_few_are_in_memory(tmp_path: Path) -> None:
    _, made = stored(tmp_path, 4_000, block=8, window=20)
    shelf = made.target.shelf  # type: ignore[attr-defined]
    plain = TensorFeed(inputs={"x": made.inputs["x"]}, target=made.target, seed=0)
    order = plain.order(0, 64)
    for step in range(len(order)):
        batch = order[step]
        assert float(batch.double().std()) > 600  # of 4,000 rows in order: 1,155 were they all mixed
        assert len(shelf._held) <= 2
        inside = [window.place[batch.numpy() // shelf.block] >= 0 for window in shelf._held.values()]
        assert np.any(inside, axis=0).all()


def test_a_full_disk_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = parts()
    shelf = Shelf(tmp_path, memory=1_000)
    monkeypatch.setattr(files.faults, "fail_at", files.faults.calls + 2)
    with pytest.raises(LearningError, match="No space left"):
        shelf.add(whole)

"""Every source becomes the same table, or a sentence that says why not."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright import build
from netwright.base.errors import DataError
from netwright.data.readers import media, ratings, read
from netwright.data.table import ReadOptions

ROWS = {"a": ["1", "2"], "b": ["x", "y\nz"]}


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings_give_one_table(delimiter: str, encoding: str, tmp_path: Path) -> None:
    text = f'a{delimiter}b\n1{delimiter}x\n2{delimiter}"y\nz"\n'
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path / "t.csv").cells.to_dict(as_series=False) == ROWS


def test_gzip_parquet_and_ndjson_give_the_same_cells(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(frame.write_csv().encode()))
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ndjson(tmp_path / "t.ndjson")
    for name in ("t.csv.gz", "t.parquet", "t.ndjson"):
        assert read(tmp_path / name).cells.equals(frame)


def test_a_file_of_ratings_is_known_by_its_beginning_and_its_odd_lines_by_number(tmp_path: Path) -> None:
    lines = [f"u{n}::Köln, m{n % 7}::{n % 5 + 1}::{1_600_000_000 + n}" for n in range(20_000)]
    whole = gzip.compress("\n".join(lines).encode())
    (tmp_path / "ratings.dat.gz").write_bytes(whole)
    table = read(tmp_path / "ratings.dat.gz")
    assert table.shape == "ratings" and table.height == len(lines)
    assert table.cells.row(8) == tuple(lines[8].split("::"))
    (tmp_path / "cut.dat.gz").write_bytes(whole[:-1_000])  # its beginning says enough
    assert ratings.claims(tmp_path / "cut.dat.gz") is None
    (tmp_path / "odd.dat").write_text(
        "\n".join([*lines[:60], "", "u1::m1::2", *lines[60:70]]), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"line 62 of .* has 3 cells where the first line has 4"):
        read(tmp_path / "odd.dat")


def test_latin_1_is_read_and_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a,b\n1,café\n".encode("latin-1"))
    table = read(tmp_path / "t.csv")
    assert table.cells["b"].to_list() == ["café"]
    assert [finding.name for finding in table.findings] == ["encoding"]


def test_a_file_without_a_header_gets_numbered_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,x\n2,y\n3,x\n")
    assert read(tmp_path / "t.csv").columns == ["c1", "c2"]
    (tmp_path / "u.csv").write_text("p,q\nr,s\n")
    assert read(tmp_path / "u.csv", ReadOptions(header="none")).columns == ["c1", "c2"]
    assert read(tmp_path / "u.csv").columns == ["p", "q"]


def test_what_is_not_there_is_null(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,NA\n?, x \nn/a,-9\n,null\n")
    cells = read(tmp_path / "t.csv", ReadOptions(missing=("-9",))).cells
    assert cells["a"].to_list() == ["1", None, None, None]
    assert cells["b"].to_list() == [None, "x", None, None]


def test_parts_of_a_folder_are_one_table(tmp_path: Path) -> None:
    for part, rows in (("train", 5), ("val", 2), ("test", 3)):
        pl.DataFrame({"a": list(range(rows)), "y": ["u"] * rows}).write_csv(tmp_path / f"{part}.csv")
    table = read(tmp_path)
    assert {part: len(rows) for part, rows in table.given.items()} == {"train": 5, "validation": 2, "test": 3}


def idx(array: np.ndarray) -> bytes:
    head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_idx_files_are_pictures_with_labels(tmp_path: Path) -> None:
    for prefix, rows in (("train", 6), ("t10k", 2)):
        pixels = np.arange(rows * 64).reshape(rows, 8, 8) % 256
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(rows)))
    for name in ("t10k", "train"):
        (tmp_path / f"{name}-labels-idx1-ubyte").rename(tmp_path / f"{name}-labels-idx1-ubyte.gz")
    table = read(tmp_path)
    assert table.height == 8
    assert table.roles == {"label": "target"}
    assert list(table.given) == ["train", "test"], "training rows come first: test rows move nothing"


def test_python_data_keep_their_types() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    for source in (frame, frame.to_pandas(), frame.to_dict(as_series=False), frame.to_dicts()):
        assert read(source).cells["a"].to_list() == [1, 2]
        assert read(source).cells["b"].to_list() == ["x", None]
    assert read(np.zeros((3, 2))).columns == ["x1", "x2"]
    assert read((np.zeros((3, 2)), [0, 1, 0])).roles == {"y": "target"}
    assert read(np.zeros((3, 8, 8), dtype=np.uint8)).kinds == {"image": "image"}


def pictures(folder: Path, good: int, bad: int) -> Path:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(good):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / label / f"{number}.png")
    for number in range(bad):
        (folder / "cat" / f"bad{number}.jpg").write_bytes(b"" if number % 2 else b"not a picture")
    return folder


def test_few_bad_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    found = [each for each in build.check(pictures(tmp_path / "p", 40, 3)) if "unreadable" in each.name]
    assert [finding.count for finding in found] == [3]
    assert "bad0.jpg" in found[0].what


def test_many_bad_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        build.check(pictures(tmp_path / "p", 5, 4))


REFUSED = {
    "nothing": (b"", "empty"),
    "header": (b"a,b\n", "no rows"),
    "ragged": (b"a,b\n1,2\n3\n", "line 3"),
    "long": (b"a,b\n1,2\n3,4,5\n", "line 3"),
    "quote": (b'a,b\n1,"x\n', "never closed"),
    "nul": (b"a,b\n1,\x00\n", "line 2"),
    "twice": (b"a,a\n1,2\n", "'a'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_with_place_and_hint(name: str, tmp_path: Path) -> None:
    content, said = REFUSED[name]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path / "t.csv")
    assert caught.value.hint


def test_a_missing_file_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no file") as caught:
        read(tmp_path / "house.csv")
    assert "houses.csv" in caught.value.hint


def test_a_gzip_bomb_and_a_cut_gzip_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:-20])
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "cut.csv.gz")
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"0" * 150_000_000, 9))
    with pytest.raises(DataError, match="unpacks"):
        read(tmp_path / "bomb.csv.gz")


def test_a_path_may_not_leave_its_folder(tmp_path: Path) -> None:
    cells = pl.Series("file", ["a.png", "../b.png"])
    with pytest.raises(DataError, match="outside"):
        media.resolve(cells, tmp_path, allow_outside=False)
    assert len(media.resolve(cells, tmp_path, allow_outside=True)) == 2

"""The files that benchmarks/prepare.py makes are those a user would have, and nothing else."""

from __future__ import annotations

import gzip
import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare_sets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive(path: Path, names: list[str]) -> None:
    """A tar.xz with a small file under each name."""
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as packed:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 1
            packed.addfile(entry, io.BytesIO(b"x"))


def test_adult_gets_a_header_row_and_keeps_its_cells(prepare: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "adult").mkdir()
    for part in ("train", "test"):
        row = ", ".join(str(number) for number in range(15)).encode() + b"\n\n"
        (tmp_path / "adult" / f"adult-{part}.csv.gz").write_bytes(gzip.compress(row))
    out = prepare.prepare("adult", tmp_path / "out", tmp_path)
    assert sorted(path.name for path in out.iterdir()) == ["test.csv", "train.csv"]
    header, row = (out / "train.csv").read_text().splitlines()
    assert header.split(",") == list(prepare.ADULT)
    assert row.startswith("0, 1, 2")


def test_photos_are_unpacked_into_a_folder_a_class(prepare: ModuleType, tmp_path: Path) -> None:
    archive(tmp_path / "sign_language_digits" / "Dataset.tar.xz", ["Dataset/0/a.JPG", "Dataset/1/b.JPG"])
    out = prepare.prepare("sign_language_digits", tmp_path / "out", tmp_path)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.JPG")) == ["0/a.JPG", "1/b.JPG"]


def test_an_archive_cannot_write_outside_its_folder(prepare: ModuleType, tmp_path: Path) -> None:
    archive(tmp_path / "sign_language_digits" / "Dataset.tar.xz", ["Dataset/../../escaped.JPG"])
    with pytest.raises(tarfile.FilterError):
        prepare.prepare("sign_language_digits", tmp_path / "out", tmp_path)
    assert not list(tmp_path.rglob("escaped.JPG"))


def test_what_cannot_be_prepared_is_said_in_a_sentence(
    prepare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETWRIGHT_DATA", raising=False)
    with pytest.raises(SystemExit, match="no set is called 'iris'; there is: adult"):
        prepare.prepare("iris", tmp_path / "out", tmp_path)
    with pytest.raises(SystemExit, match="NETWRIGHT_DATA is not set"):
        prepare.prepare("mnist", tmp_path / "out")
    with pytest.raises(SystemExit, match="there is no folder"):
        prepare.prepare("mnist", tmp_path / "out", tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(SystemExit, match="is there already"):
        prepare.prepare("mnist", tmp_path, tmp_path)


def test_strings_of_digits_are_of_one_speaker_and_keep_parts_apart(prepare: ModuleType, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    (tmp_path / "fsdd").mkdir()
    with tarfile.open(tmp_path / "fsdd" / "recordings.tar.xz", "w:xz") as packed:
        for digit in range(10):
            for number, level in ((0, 0.5), (5, -0.5)):  # the sign tells the parts apart
                wave = io.BytesIO()
                soundfile.write(wave, np.full(80, level), 8_000, format="WAV")
                entry = tarfile.TarInfo(f"recordings/{digit}_ann_{number}.wav")
                entry.size = len(wave.getvalue())
                packed.addfile(entry, io.BytesIO(wave.getvalue()))
    out = prepare.prepare("fsdd_strings", tmp_path / "out", tmp_path)
    lines = (out / "metadata.csv").read_text().splitlines()
    assert lines[0] == "file_name,transcription,split"
    rows = [line.split(",") for line in lines[1:]]
    assert [sum(row[2] == part for row in rows) for part in ("train", "test")] == [3_000, 300]
    assert {len(row[1].split()) for row in rows} == {3, 4, 5, 6, 7}
    for name, said, part in (rows[0], rows[-1]):
        samples, _ = soundfile.read(out / name)
        assert len(samples) >= 80 * len(said.split())
        assert (samples <= 0).all() if part == "train" else (samples >= 0).all()


def test_the_mixed_table_has_four_inputs_that_each_say_a_part(prepare: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    labels = np.arange(20, dtype=np.uint8) % 10
    pictures = np.repeat(labels * 20, 28 * 28)
    for name, head, body in (("images-idx3", 16, pictures), ("labels-idx1", 8, labels)):
        path = tmp_path / "mnist" / f"train-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(bytes(head) + body.tobytes()))
    out = prepare.prepare("mixed", tmp_path / "out", tmp_path)
    frame = pl.read_csv(out / "table.csv")
    assert frame.columns == ["picture", "number", "color", "text", "label"]
    assert frame.height == 6_000 == len(list((out / "digits").iterdir()))
    digit = frame["label"].str.strip_prefix("class ").cast(pl.Int64)
    shown = np.array([np.asarray(Image.open(out / path))[0, 0] // 20 for path in frame["picture"]])
    assert abs(float((shown == digit.to_numpy()).mean()) - 0.5) < 0.03
    assert abs(float((frame["number"] - digit).std()) - 3.0) < 0.15  # type: ignore[arg-type]
    right = frame["color"] == pl.Series(["red", "green", "blue"]).gather(digit % 3)
    assert abs(float(right.mean()) - 0.7) < 0.03  # type: ignore[arg-type]

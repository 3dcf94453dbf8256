"""Damaged inputs and failing disks: a clear error or a good result, never anything else."""

from __future__ import annotations

import errno
import io
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.torch import load_file

from netwright import build
from netwright.base import files
from netwright.base.errors import NetwrightError
from netwright.cli.main import run
from netwright.data.kinds import decoding
from netwright.data.readers import read
from netwright.serving.bundle import from_bytes

SLOWEST = 5.0
"""Seconds one damaged input may take."""
MOST_MEMORY = 2_000_000
"""Kilobytes that the process may ever have taken, torch included."""


def frame(rows: int = 60) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "a": draw.normal(size=rows).round(3),
            "word": draw.choice(["x", "y,z", 'q"r'], rows).tolist(),
            "when": [f"2024-01-{1 + row % 28:02d}" for row in range(rows)],
            "kind": draw.choice(["u", "v"], rows).tolist(),
        }
    )


def parquet() -> bytes:
    buffer = io.BytesIO()
    frame().write_parquet(buffer)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, X=np.zeros((20, 3)), y=np.arange(20) % 2)
    return buffer.getvalue()


def picture(form: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


TABLES: dict[str, Callable[[], bytes]] = {
    "csv": lambda: frame().write_csv().encode(),
    "tsv": lambda: frame().write_csv(separator="\t").encode(),
    "ndjson": lambda: frame().write_ndjson().encode(),
    "parquet": parquet,
    "npz": npz,
}
PICTURES = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")


def damage(content: bytes, draw: np.random.Generator) -> bytes:
    """Bytes changed, dropped, doubled or inserted."""
    damaged = bytearray(content)
    for _ in range(int(draw.integers(1, 4))):
        place = int(draw.integers(0, max(1, len(damaged))))
        how = int(draw.integers(0, 4))
        if how == 0 and damaged:
            damaged[min(place, len(damaged) - 1)] = int(draw.integers(0, 256))
        elif how == 1:
            del damaged[place : place + int(draw.integers(1, 40))]
        elif how == 2:
            damaged[place:place] = draw.bytes(int(draw.integers(1, 20)))
        else:
            del damaged[place:]
    return bytes(damaged)


def survive_tables(form: str, rounds: int, folder: Path) -> None:
    content, draw = TABLES[form](), np.random.default_rng(1)
    for number in range(rounds):
        path = folder / f"x.{form}"
        path.write_bytes(damage(content, draw))
        began = time.monotonic()
        try:
            table = read(path)
            if "kind" in table.columns and number % 10 == 0:
                build.check(path, target="kind")
        except NetwrightError as error:
            assert error.hint, str(error)
        assert time.monotonic() - began < SLOWEST


def survive_pictures(form: str, rounds: int) -> None:
    content, draw = picture(form), np.random.default_rng(2)
    for _ in range(rounds):
        began = time.monotonic()
        try:
            assert decoding.decode(damage(content, draw), 3, 16, 16).shape == (3, 16, 16)
        except ValueError as error:
            assert str(error)
        assert time.monotonic() - began < SLOWEST


def survive_models(rounds: int) -> None:
    content = build.fit(frame(200), target="kind", set={"learning.epochs": 1}).model.to_bytes()
    draw = np.random.default_rng(3)
    for _ in range(rounds):
        damaged = damage(content, draw)
        if damaged != content:
            with pytest.raises(NetwrightError):
                from_bytes(damaged, "model")


def survive_commands(rounds: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged tables and models through the command line: done, or refused in three parts."""
    draw = np.random.default_rng(4)
    model = build.fit(frame(200), target="kind", set={"learning.epochs": 1}).model.to_bytes()
    rows = folder / "rows.csv"
    frame().write_csv(rows)
    for number in range(rounds):
        form = [*TABLES, "safetensors"][number % (len(TABLES) + 1)]
        path = folder / f"x.{form}"
        path.write_bytes(damage(TABLES[form]() if form in TABLES else model, draw))
        commands = [["check", str(path), "--target", "kind"], ["predict", str(path), str(rows)]]
        began = time.monotonic()
        status = run(commands[form == "safetensors"])
        assert time.monotonic() - began < SLOWEST
        said = capsys.readouterr()
        assert status in (0, 2), said.err
        assert "Traceback" not in said.out + said.err
        assert status == 0 or said.err.startswith("error: "), said.err


def fail_every(step: int, folder: Path, most: int = 400) -> int:
    """Fails every `step`-th call that touches the disk, one a run; a plain rerun ends identical."""
    frame(120).write_csv(folder / "data.csv")

    def train(out: str) -> Path:
        made = build.train(
            folder / "data.csv",
            target="kind",
            minutes=1,
            out=folder / out,
            force=True,
            set={"learning.epochs": 1},
        )
        assert made.folder is not None
        return made.folder

    files.faults.calls = 0
    good = load_file(train("good") / "model.safetensors")
    calls, failed = files.faults.calls, 0
    for number in range(1, min(calls, most) + 1, step):
        files.faults.calls, files.faults.fail_at, files.faults.error = 0, number, errno.ENOSPC
        try:
            train("bad")
        except NetwrightError as error:
            failed += 1
            assert error.hint
        finally:
            files.faults.fail_at = None
        again = load_file(train("bad") / "model.safetensors")
        fitted = [name for name in good if name.startswith(("weights/", "kinds/", "task/"))]
        assert all(bool((good[name] == again[name]).all()) for name in fitted)
    return failed


@pytest.mark.parametrize("form", TABLES)
def test_a_damaged_table_is_read_or_refused(form: str, tmp_path: Path) -> None:
    survive_tables(form, 40 if form == "parquet" else 290, tmp_path)  # each Parquet file takes a process


@pytest.mark.parametrize("form", PICTURES)
def test_a_damaged_picture_is_decoded_or_refused(form: str) -> None:
    survive_pictures(form, 100)


def test_a_damaged_model_is_refused() -> None:
    survive_models(100)


def test_a_failing_disk_ends_a_run_plainly_and_a_rerun_ends_the_same(tmp_path: Path) -> None:
    assert fail_every(9, tmp_path) > 0


def test_damage_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    survive_commands(24, tmp_path, capsys)


@pytest.fixture
def in_bounds() -> Iterator[None]:
    """Afterwards the process must not have taken more memory than it may."""
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MOST_MEMORY


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.usefixtures("in_bounds")
@pytest.mark.parametrize("form", TABLES)
def test_many_damaged_tables_are_read_or_refused(form: str, tmp_path: Path) -> None:
    survive_tables(form, 300 if form == "parquet" else 2_425, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.usefixtures("in_bounds")
@pytest.mark.parametrize("form", PICTURES)
def test_many_damaged_pictures_are_decoded_or_refused(form: str) -> None:
    survive_pictures(form, 1000)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.usefixtures("in_bounds")
def test_much_damage_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    survive_commands(200, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.usefixtures("in_bounds")
def test_many_damaged_models_are_refused() -> None:
    survive_models(3000)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_call_of_a_run_may_fail(tmp_path: Path) -> None:
    assert fail_every(1, tmp_path) > 0

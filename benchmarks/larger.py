"""Training on more than the memory allowed: peak memory, and the pace beside all data in memory.

    python benchmarks/larger.py [MEMORY_MB] [TIMES] [MINUTES] [csv|parquet|pictures …]

Makes tables of 60 columns of numbers, and a folder of pictures of 128 x 128, that take TIMES as much memory as
is allowed once they are cells or pixels (16 bytes a cell of CSV, 8 of Parquet, 49 kB a picture), and trains
on each twice: with `--memory`, and with all in memory (of Parquet a quarter of the rows: all of them take more
than 24 GB). Peak memory is that of the process above an idle one that has imported torch and polars. The pace
is the median over pairs of neighbouring looks at the loss between which nothing was evaluated, the network and
the batch the same in both runs. What was made is left in `larger-data/` for the next time: at 512 MB and ten
times that, 9 GB of disk.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

HERE = Path("larger-data")
COLUMNS, CHUNK = 60, 50_000
SIDE = 128
IDLE = "import torch, polars"
RUN = "import sys; from netwright.cli.main import run; code = run(sys.argv[1:])"
PEAK = """
import resource
most = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print("peak", max(most), file=sys.stderr)
sys.exit(code)
"""
EVERYTHING = "1000GB"
SAME = {
    "table": ["--set", "network.width=128", "--set", "network.depth=2", "--set", "learning.batch=256"],
    "pictures": ["--set", f"kind.image.size={SIDE}", "--set", "network.width=16", "--set", "learning.batch=32"],
}
"""What would otherwise follow from the rows."""


@dataclass(frozen=True)
class Found:
    """One run: bytes above an idle process, milliseconds a step, training rows and seconds of reading."""

    above: float
    step: float
    rows: int
    read: float
    score: float


def table(cells: float) -> Path:
    """A CSV of so many bytes of cells, written chunk by chunk: three classes, some of it noise."""
    rows = int(cells / (16 * (COLUMNS + 1)))
    path = HERE / f"table-{rows}.csv"
    if path.exists():
        return path
    draw = np.random.default_rng(0)
    weight = draw.normal(size=(COLUMNS, 3)) / 4
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        for start in range(0, rows, CHUNK):
            x = draw.normal(size=(min(CHUNK, rows - start), COLUMNS)).astype(np.float32)
            score = np.tanh(x @ weight) + x[:, :3] * x[:, 3:6] + 0.5 * draw.normal(size=(len(x), 3))
            label = pl.Series("label", np.array(["red", "green", "blue"])[score.argmax(1)])
            frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(COLUMNS)}).with_columns(label)
            frame.write_csv(stream, include_header=start == 0, float_precision=5)
    return part.rename(path)


def as_parquet(path: Path) -> Path:
    """The table as Parquet, twice, then with other numbers: its cells take half of those of a CSV."""
    out = path.with_suffix(".parquet")
    if not out.exists():
        numbers = [f"x{i}" for i in range(COLUMNS)]
        once = pl.scan_csv(path, schema_overrides={"label": pl.String, **dict.fromkeys(numbers, pl.Float64)})
        again = once.with_columns(pl.col(numbers) * 1.001)
        pl.concat([once, again]).sink_parquet(out, row_group_size=200_000)
    return out


def quarter(path: Path) -> Path:
    """The first quarter of the rows of a Parquet file."""
    out = path.with_name(f"{path.stem}-quarter.parquet")
    if not out.exists():
        whole = pl.scan_parquet(path)
        rows = whole.select(pl.len()).collect().item()
        whole.head(rows // 4).sink_parquet(out, row_group_size=200_000)
    return out


def pictures(pixels: float) -> Path:
    """A folder of so many bytes of pixels: 5,000 pictures, and links to them."""
    count = int(pixels / (3 * SIDE * SIDE))
    folder = HERE / f"pictures-{count}"
    if folder.exists():
        return folder
    draw, part = np.random.default_rng(0), folder.with_suffix(".part")
    y, x = np.mgrid[:SIDE, :SIDE]
    names = ("circle", "square", "stripe")
    for name in names:
        (part / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = part / names[i % 3] / f"{i:07d}.jpg"
        if i >= 4_998:
            os.link(part / names[i % 3] / f"{i % 4_998:07d}.jpg", path)
            continue
        a, b = draw.integers(SIDE // 3, 2 * SIDE // 3, 2)
        size = int(draw.integers(SIDE // 8, SIDE // 3))
        round_, square = (y - a) ** 2 + (x - b) ** 2 < size**2, (abs(y - a) < size) & (abs(x - b) < size)
        shape = (round_, square, x // max(2, size // 3) % 2 == 0)[i % 3]
        dark, light = draw.integers(0, 120, 3), draw.integers(120, 255, 3)
        made = np.where(shape[..., None], light, dark) + 8 * draw.normal(size=(SIDE, SIDE, 3))
        Image.fromarray(made.clip(0, 255).astype(np.uint8)).save(path, quality=80)
    return part.rename(folder)


def idle() -> int:
    """KB of a process that has imported torch and polars."""
    code = f"import sys\ncode = 0\n{IDLE}\n{PEAK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1])


def train(data: Path, memory: str, minutes: float, same: list[str]) -> Found:
    """One run."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        out = Path(folder) / "run"
        asked = ["train", str(data), "--memory", memory, "--minutes", str(minutes), "--out", str(out)]
        command = [sys.executable, "-c", f"{RUN}\n{PEAK}", *asked, *same, "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        card = json.loads((out / "card.json").read_text())
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    looks = [each for each in events if each["type"] in ("step", "evaluate", "plan")]
    pairs = [(a, b) for a, b in itertools.pairwise(looks) if a["type"] == b["type"] == "step"]
    paces = [(b["seconds"] - a["seconds"]) / max(1, b["step"] - a["step"]) for a, b in pairs]
    return Found(
        above=1024.0 * (int(done.stderr.split()[-1]) - idle()),
        step=1e3 * statistics.median(paces) if paces else float("nan"),
        rows=card["rows"]["train"],
        read=card["seconds"]["read"],
        score=card["metric"]["value"],
    )


def main() -> None:
    """Prints a table in Markdown."""
    named = [each for each in sys.argv[1:] if each in ("csv", "parquet", "pictures")]
    numbers = [float(each) for each in sys.argv[1:] if each not in named]
    megabytes, times, minutes = (*numbers, *(512.0, 10.0, 8.0)[len(numbers) :])
    HERE.mkdir(exist_ok=True)
    whole = megabytes * times * 1e6
    print("| data | memory | MB above idle | ms a step | pace | training rows | s to read | accuracy |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in named or ["csv", "parquet", "pictures"]:
        data = pictures(whole) if kind == "pictures" else table(whole)
        data = as_parquet(data) if kind == "parquet" else data
        same = SAME["pictures" if kind == "pictures" else "table"]
        bound = train(data, f"{megabytes:g}MB", minutes, same)
        beside = quarter(data) if kind == "parquet" else data
        free = train(beside, EVERYTHING, minutes, same)
        for name, found, memory in ((data.name, bound, f"{megabytes:,.0f} MB"), (beside.name, free, "all")):
            print(
                f"| {name} | {memory} | {found.above / 1e6:,.0f} | {found.step:.2f} | "
                f"{free.step / found.step:.2f} | {found.rows:,} | {found.read:.0f} | {found.score:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Turns a set of the folder named by NETWRIGHT_DATA into the files a user would have, and nothing else.

python benchmarks/prepare.py SET OUT
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
]
"""Columns in the order of adult.names; the last one is the class that its data files end with."""


def adult(source: Path, out: Path) -> None:
    """train.csv and test.csv with a header row; the cells stay as they are."""
    for part in ("train", "test"):
        text = gzip.decompress((source / f"adult-{part}.csv.gz").read_bytes()).decode()
        rows = [line for line in text.splitlines() if line.strip()]
        (out / f"{part}.csv").write_text("\n".join([",".join(ADULT), *rows]) + "\n", encoding="utf-8")


def sign_language_digits(source: Path, out: Path) -> None:
    """One folder of photos a digit."""
    with tarfile.open(source / "Dataset.tar.xz") as archive:
        members = []
        for member in archive.getmembers():
            _, _, member.name = member.name.partition("/")  # the folders of the digits lie in one above
            if member.name:
                members.append(member)
        archive.extractall(out, members=members, filter="data")


def mnist(source: Path, out: Path) -> None:
    """The idx-ubyte files as they are."""
    for path in sorted(source.glob("*-ubyte.gz")):
        shutil.copy(path, out)


def bike_sharing(source: Path, out: Path) -> None:
    """hour.csv as it is."""
    shutil.copy(source / "hour.csv", out)


SETS: Mapping[str, Callable[[Path, Path], None]] = {
    "adult": adult,
    "bike_sharing": bike_sharing,
    "mnist": mnist,
    "sign_language_digits": sign_language_digits,
}


def prepare(name: str, out: Path, data: Path | None = None) -> Path:
    """Writes the files of a set into a folder.

    Args:
        name: One of `SETS`.
        out: The folder; it must not hold anything yet.
        data: The folder with the sets; None takes it from NETWRIGHT_DATA.

    Returns:
        The folder.

    Raises:
        SystemExit: With one sentence, if the set is unknown or its files are not there.
    """
    if name not in SETS:
        raise SystemExit(f"no set is called '{name}'; there is: {', '.join(SETS)}.")
    named = data or os.environ.get("NETWRIGHT_DATA")
    if not named:
        raise SystemExit("NETWRIGHT_DATA is not set; point it at the folder with the sets.")
    source = Path(named) / name
    if not source.is_dir():
        raise SystemExit(f"there is no folder '{source}'; point NETWRIGHT_DATA at the folder with the sets.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SystemExit(f"'{out}' is there already; name a folder that is new or empty.")
    out.mkdir(parents=True, exist_ok=True)
    SETS[name](source, out)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: python benchmarks/prepare.py SET OUT; SET is one of {', '.join(SETS)}.")
    print(prepare(sys.argv[1], Path(sys.argv[2])))

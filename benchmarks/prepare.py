"""Turns a set of the folder named by NETWRIGHT_DATA into the files a user would have, and nothing else.

python benchmarks/prepare.py SET OUT
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
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
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MADE_OF = {"fsdd_strings": "fsdd", "mixed": "mnist"}
"""Sets that are made of another one."""


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


def sms_spam(source: Path, out: Path) -> None:
    """messages.csv: label, text."""
    lines = (source / "sms.tsv").read_text(encoding="utf-8").splitlines()
    _table(out / "messages.csv", ["label", "text"], (line.split("\t", 1) for line in lines if line))


def clinc150(source: Path, out: Path) -> None:
    """train.csv, validation.csv and test.csv: text, intent; in scope."""
    whole = json.loads((source / "data_full.json").read_text(encoding="utf-8"))
    for name, part in (("train", "train"), ("val", "validation"), ("test", "test")):
        _table(out / f"{part}.csv", ["text", "intent"], whole[name])


def tinyshakespeare(source: Path, out: Path) -> None:
    """input.txt as it is."""
    shutil.copy(source / "input.txt", out)


def tatoeba_nld_eng(source: Path, out: Path) -> None:
    """pairs.csv: english, dutch."""
    lines = (source / "nld.txt").read_text(encoding="utf-8").splitlines()
    _table(out / "pairs.csv", ["english", "dutch"], (line.split("\t")[:2] for line in lines if line))


def fsdd(source: Path, out: Path) -> None:
    """The clips, and metadata.csv: file_name, label, speaker, split (n 0-4 is the test part)."""
    with tarfile.open(source / "recordings.tar.xz") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".wav")]
        for member in members:
            member.name = Path(member.name).name
        archive.extractall(out / "clips", members=members, filter="data")
    rows = []
    for path in sorted((out / "clips").glob("*.wav")):
        digit, speaker, number = path.stem.split("_")
        rows.append([f"clips/{path.name}", digit, speaker, "test" if int(number) < 5 else "train"])
    _table(out / "metadata.csv", ["file_name", "label", "speaker", "split"], rows)


def fsdd_strings(source: Path, out: Path) -> None:
    """Strings of 3 to 7 digits of one speaker, and metadata.csv: file_name, transcription, split.

    3,000 strings from clips 5-49 to learn from, 300 from clips 0-4 to test on; silence of 0 to 150 ms between.
    """
    import numpy as np
    import soundfile

    clips: dict[tuple[str, str, int], list[Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        fsdd(source, Path(folder))
        for path in sorted((Path(folder) / "clips").glob("*.wav")):
            digit, speaker, number = path.stem.split("_")
            clips.setdefault(("test" if int(number) < 5 else "train", speaker, int(digit)), []).append(path)
        speakers, draw = sorted({speaker for _, speaker, _ in clips}), np.random.default_rng(0)
        (out / "clips").mkdir()
        rows = []
        for part, count in (("train", 3_000), ("test", 300)):
            for number in range(count):
                speaker = str(draw.choice(speakers))
                digits = draw.integers(0, 10, draw.integers(3, 8)).tolist()
                waves = []
                for digit in digits:
                    chosen = clips[part, speaker, digit]
                    wave, rate = soundfile.read(chosen[int(draw.integers(0, len(chosen)))], dtype="int16")
                    silence = np.zeros(int(draw.uniform(0, 0.15) * rate), dtype=np.int16)
                    waves += [silence, wave] if waves else [wave]
                name = f"clips/{part}-{number:04}.wav"
                soundfile.write(out / name, np.concatenate(waves), rate)
                rows.append([name, " ".join(DIGITS[digit] for digit in digits), part])
    _table(out / "metadata.csv", ["file_name", "transcription", "split"], rows)


def ett(source: Path, out: Path) -> None:
    """ETTh1.csv and ETTh2.csv as they are."""
    for path in sorted(source.glob("ETTh*.csv")):
        shutil.copy(path, out)


def movietweetings(source: Path, out: Path) -> None:
    """ratings.dat as it is."""
    shutil.copy(source / "ratings.dat", out)


def donkeycar_tub(source: Path, out: Path) -> None:
    """The pictures, and metadata.csv: file_name, time, angle, throttle, in order of time."""
    with tarfile.open(source / "tub.tar.gz") as archive:
        archive.extractall(out / "tub", filter="data")
    records = []
    for path in sorted((out / "tub").rglob("[!.]*.catalog")):
        records += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    folder = next((out / "tub").rglob("*.jpg")).parent.relative_to(out)
    records.sort(key=lambda each: each["_index"])
    rows = (
        [
            f"{folder}/{each['cam/image_array']}",
            each["_timestamp_ms"],
            each["user/angle"],
            each["user/throttle"],
        ]
        for each in records
    )
    _table(out / "metadata.csv", ["file_name", "time", "angle", "throttle"], rows)


def mixed(source: Path, out: Path) -> None:
    """6,000 rows of four inputs that each say a part: digits/*.png, and table.csv with their paths.

    A picture of the class's digit (another's in half of the rows), a number around the class with spread 3, a
    category that is the class modulo 3 (another in 30 %), and ten words drawn by frequencies of their own
    for each two classes.
    """
    import numpy as np
    from PIL import Image

    pictures = gzip.decompress((source / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = np.frombuffer(gzip.decompress((source / "train-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    x_NHW = np.frombuffer(pictures, np.uint8).reshape(len(labels), 28, 28)
    draw = np.random.default_rng(0)
    words = [f"{first}{second}" for first in "bdfklmnprst" for second in ("a", "e", "i", "o", "u", "ay", "oo")]
    often_GW = np.exp(draw.normal(0.0, 0.6, (5, len(words))))
    often_GW /= often_GW.sum(1, keepdims=True)
    (out / "digits").mkdir()
    rows = []
    for number in range(6_000):
        label = int(draw.integers(10))
        shown = label if draw.random() < 0.5 else int((label + draw.integers(1, 10)) % 10)
        name = f"digits/{number:04}.png"
        Image.fromarray(x_NHW[draw.choice(np.flatnonzero(labels == shown))]).save(out / name)
        color = ("red", "green", "blue")[(label + int(draw.integers(1, 3)) * (draw.random() < 0.3)) % 3]
        said = " ".join(draw.choice(words, 10, p=often_GW[label // 2]))
        rows.append([name, f"{draw.normal(label, 3.0):.3f}", color, said, f"class {label}"])
    _table(out / "table.csv", ["picture", "number", "color", "text", "label"], rows)


def _table(path: Path, names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


SETS: Mapping[str, Callable[[Path, Path], None]] = {
    each.__name__: each
    for each in (
        adult,
        bike_sharing,
        mnist,
        sign_language_digits,
        sms_spam,
        clinc150,
        tinyshakespeare,
        tatoeba_nld_eng,
        fsdd,
        fsdd_strings,
        ett,
        movietweetings,
        donkeycar_tub,
        mixed,
    )
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
    source = Path(named) / MADE_OF.get(name, name)
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

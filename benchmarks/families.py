"""Every family on every kind of data: the score beside the blind and the simple baselines, or why it is unfit.

    NETWRIGHT_DATA=… python benchmarks/families.py [MINUTES] [SET …]

One seed, one split of each set; a table in Markdown on stdout, a line as each run ends on stderr. A set has at
least the minutes that its kind needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAMILIES = ("auto", "feedforward", "convolutional", "recurrent", "transformer")
TIMES = "tests are opened once for each cell; no setting was chosen by them"


@dataclass(frozen=True)
class Case:
    """A set, what of it is given to netwright, with which flags, and the minutes it has at least."""

    kind: str
    path: str = "."
    flags: Sequence[str] = ()
    minutes: float = 0.0


CASES: Mapping[str, Case] = {
    "adult": Case("table → class", flags=("--target", "income")),
    "bike_sharing": Case("table → number", "hour.csv", ("--target", "cnt", "--drop", "casual,registered")),
    "mnist": Case("picture → class"),
    "donkeycar_tub": Case(
        "picture → number", flags=("--target", "angle", "--drop", "time,throttle", "--test", "last:0.2")
    ),
    "sms_spam": Case("text → class", "messages.csv", ("--target", "label"), minutes=2),
    "clinc150": Case("text → class", flags=("--target", "intent")),
    "fsdd": Case("clip → class", flags=("--target", "label", "--drop", "speaker")),
    "mixed": Case("picture, number, category, text → class", "table.csv"),
    "ett": Case("series → what follows", "ETTh1.csv", ("--horizon", "96"), minutes=1),
    "tinyshakespeare": Case("running text → more of it", "input.txt"),
    "tatoeba_nld_eng": Case("text → text", "pairs.csv", ("--target", "dutch", "--test", "0.05"), minutes=5),
    "fsdd_strings": Case("clip → text", minutes=5),
    "movietweetings": Case("ratings → next item", "ratings.dat"),
}


def prepared(name: str, folder: Path) -> Path:
    """A data set as `prepare.py` lays it out."""
    script = Path(__file__).with_name("prepare.py")
    subprocess.run([sys.executable, str(script), name, str(folder)], check=True, capture_output=True)
    return folder


def trained(data: Path, case: Case, family: str, minutes: str, out: Path) -> dict[str, Any]:
    """The JSON of a run and its card, or the words of its refusal."""
    asked = ["train", str(data), *case.flags, "--network", family, "--minutes", minutes, "--out", str(out)]
    ended = subprocess.run(
        [sys.executable, "-m", "netwright", *asked, "--json"], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if line.strip()]
        return {"refused": next((line for line in said if "cannot" in line), said[-1] if said else "no word")}
    card, choices = (json.loads((out / name).read_text()) for name in ("card.json", "recipe.json"))
    kept = "found.kept" in choices["choices"]  # auto and feedforward alone may keep the linear network
    return {**json.loads(ended.stdout), "baselines": card["baselines"], "kept": kept}


def cell(found: Mapping[str, Any]) -> str:
    """The score with its interval, or the refusal."""
    if "refused" in found:
        return f"unfit: {found['refused'].split(':')[-1].strip()}"
    metric = found["metric"]
    words = f"{metric['value']:.4g} ({metric['low']:.4g}-{metric['high']:.4g})"
    return f"{words}, {found['network']}" if found.get("chosen") else words


def row(name: str, case: Case, asked: float) -> str:
    """All families on one set."""
    minutes = f"{max(asked, case.minutes):g}"
    cells, metric, beside, picked = [], "", "", ""
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(name, Path(folder) / "data") / case.path
        for family in FAMILIES:
            if family == picked:  # the same run again
                cells.append("as auto")
                continue
            found = trained(data, case, family, minutes, Path(folder) / family)
            found["chosen"] = family == "auto"
            if found["chosen"] and not found.get("kept"):
                picked = found.get("network", "")
            cells.append(cell(found))
            print(name, family, cells[-1], file=sys.stderr, flush=True)
            if "refused" not in found:
                metric = found["metric"]["name"]
                said = "; ".join(f"{e['name']} {e['value']:.4g}" for e in found["baselines"].values())
                beside = (
                    beside or said
                )  # those of the first run, what `auto` picks: a family may see less of a picture
    return f"| {name}: {case.kind} | {minutes} | {metric} | {' | '.join(cells)} | {beside} |"


def main() -> None:
    """Prints the table."""
    minutes, chosen = float(sys.argv[1] if len(sys.argv) > 1 else 1), sys.argv[2:] or list(CASES)
    print(f"One seed, 0; {TIMES}.\n")
    print(f"| data | minutes | metric | {' | '.join(FAMILIES)} | baselines |\n|{'---|' * (len(FAMILIES) + 4)}")
    for name in chosen:
        print(row(name, CASES[name], minutes), flush=True)


if __name__ == "__main__":
    main()

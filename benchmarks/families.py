"""Every family on every kind of data: the score beside the blind and the simple baselines, or why it is unfit.

    NETWRIGHT_DATA=… python benchmarks/families.py [MINUTES] [SET …]

One seed, one split of each set; a table in Markdown on stdout, a line as each run ends on stderr. A set has at
least the minutes that its kind needs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Refused, prepared, train

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


def trained(data: Path, case: Case, family: str, minutes: str) -> dict[str, Any]:
    """The JSON of a run, its baselines and whether the linear network was kept, or the words of its refusal."""
    try:
        run = train([str(data), *case.flags, "--network", family, "--minutes", minutes])
    except Refused as error:
        return {"refused": str(error)}
    kept = "found.kept" in run.recipe["choices"]  # auto and feedforward alone may keep the linear network
    return {**run.found, "baselines": run.card["baselines"], "kept": kept}


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
            found = trained(data, case, family, minutes)
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

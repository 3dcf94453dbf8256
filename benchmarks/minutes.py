"""Is `--minutes` kept, is it used, and are twice the minutes better? Each set with some and with twice.

    NETWRIGHT_DATA=… python benchmarks/minutes.py [MINUTES] [SET …]

Kept: the whole process takes at most a twentieth longer, or two seconds. Used: where the card says that the
minutes were the limit, 85 % of them at least. Better: the score on test rows is no worse; and no worse within
the interval.
"""

from __future__ import annotations

import sys

from command import Run, prepared, train
from families import CASES, Case

SETS = (
    "adult", "bike_sharing", "mnist", "donkeycar_tub", "sms_spam", "clinc150", "fsdd", "mixed", "ett",
    "tinyshakespeare",
)  # fmt: skip
OVER, GRACE, USED = 1.05, 2.0, 0.85


def kept(run: Run, seconds: float) -> bool:
    """Whether the process ended in time."""
    return run.seconds <= max(OVER * seconds, seconds + GRACE)


def used(run: Run, seconds: float) -> bool:
    """Whether the minutes were used, where they were the limit."""
    return run.found["limited_by"] != "minutes" or run.seconds >= USED * seconds


def no_worse(long: Run, short: Run) -> tuple[bool, bool]:
    """Whether the longer run scores no worse, and whether it is no worse beyond the interval."""
    metric, sign = long.card["metric"], 1 if long.card["metric"]["better"] == "higher" else -1
    best = metric["high"] if sign > 0 else metric["low"]
    return sign * long.score >= sign * short.score, sign * best >= sign * short.score


def pair(name: str, case: Case, minutes: float) -> list[tuple[bool, bool, bool, bool]]:
    """Kept, used, better and better within the interval, of both runs; prints a row of Markdown each."""
    data, answers, before = prepared(name) / case.path, [], None
    for given in (minutes, 2 * minutes):
        run = train([str(data), *case.flags, "--minutes", f"{given:g}"])
        better, within = no_worse(run, before) if before else (True, True)
        answers.append((kept(run, 60 * given), used(run, 60 * given), better, within))
        says = ["yes" if answer else "NO" for answer in answers[-1]]
        cells = [f"{run.seconds:.1f} of {60 * given:.0f}", run.found["limited_by"], f"{run.score:.4g}", *says]
        print(f"| {name} | {' | '.join(cells if before else [*cells[:-2], '', ''])} |", flush=True)
        before = run
    return answers


def main() -> None:
    """Prints a table and what of it is good."""
    minutes, chosen = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5, sys.argv[2:] or SETS
    print("| data | seconds | limited by | score | kept | used | no worse | within the interval |")
    print("|---" * 8 + "|")
    found = [answer for name in chosen for answer in pair(name, CASES[name], minutes)]
    share = [sum(answer[place] for answer in found) for place in (0, 1)]
    better = [sum(answer[place] for answer in found[1::2]) for place in (2, 3)]
    print(f"\n{len(found)} runs: {share[0]} kept, {share[1]} used or ended for another reason;")
    print(f"{len(found) // 2} pairs: {better[0]} no worse, {better[1]} no worse beyond the interval.")


if __name__ == "__main__":
    main()

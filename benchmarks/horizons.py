"""ETTh1 by the published protocol: squared error at 96, 192, 336 and 720 hours, and the seconds of all four.

    NETWRIGHT_DATA=… python benchmarks/horizons.py [MINUTES] [SEEDS]

Rows 1-8,640 are learned from, 8,641-11,520 validate, 11,521-14,400 test; all seven columns.
"""

from __future__ import annotations

import statistics
import sys

from command import prepared, train

HORIZONS = (96, 192, 336, 720)
ROWS = ("--validation", "rows:8641-11520", "--test", "rows:11521-14400")


def main() -> None:
    """Prints a row of Markdown a seed."""
    minutes, seeds = sys.argv[1] if len(sys.argv) > 1 else "0.2", int(sys.argv[2]) if len(sys.argv) > 2 else 3
    path = str(prepared("ett") / "ETTh1.csv")
    print(f"| seed | {' | '.join(map(str, HORIZONS))} | mean | the linear forecast | seconds of all |")
    print(f"|{'---|' * (len(HORIZONS) + 4)}")
    for seed in range(seeds):
        asked = [path, *ROWS, "--minutes", minutes, "--seed", str(seed)]
        runs = [train([*asked, "--horizon", str(horizon)]) for horizon in HORIZONS]
        errors = [float(run.found["metrics"]["mse"]) for run in runs]
        linear = [float(run.card["baselines"]["linear"]["value"]) for run in runs]
        scores = " | ".join(
            f"{error:.4f}" for error in [*errors, statistics.fmean(errors), statistics.fmean(linear)]
        )
        print(f"| {seed} | {scores} | {sum(run.seconds for run in runs):.1f} |", flush=True)


if __name__ == "__main__":
    main()

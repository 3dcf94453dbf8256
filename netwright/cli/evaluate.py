"""`netwright evaluate`: how good a model is on rows whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from netwright.cli import models, results
from netwright.cli.flags import Outside


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright evaluate`."""

    model: Annotated[str, Argument(metavar="MODEL", help="A model.safetensors, or the run folder with it.")]
    data: Annotated[str, Argument(metavar="DATA", help="Rows with the target column, read as in training.")]
    allow_outside: Outside = False
    json: Annotated[bool, Option("--json", show_default="off", help="Print the result as one JSON object.")] = (
        False
    )


def run(flags: Flags) -> None:
    """Measure a trained model on rows with known answers.

    Its score stands beside that of the best constant answer for these rows.
    """
    path = models.place(flags.model)
    found = models.load(path, allow_outside=flags.allow_outside).evaluate(flags.data)
    print(results.of_evaluation(found, path, json=flags.json))

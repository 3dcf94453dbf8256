"""`netwright show`: the runs there are, how a run learned, or what a model is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from netwright.base.errors import DataError
from netwright.base.schema import JSON
from netwright.cli import models

RUNS = Path("runs")
NOT_ENDED = "not ended: go on with netwright train --resume"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright show`."""

    what: Annotated[
        str | None,
        Argument(
            metavar="[MODEL|RUN]",
            show_default="a list of the runs in ./runs",
            help="A run folder or a model.safetensors.",
        ),
    ] = None


def run(flags: Flags) -> None:
    """Show a run, a model, or the list of runs.

    A run: its card and how it learned. A model: its card and its recipe with reasons.
    """
    if flags.what is None:
        lines = runs(RUNS)
    elif Path(flags.what).is_dir():
        lines = of_folder(Path(flags.what))
    else:
        lines = of_model(Path(flags.what))
    print("\n".join(lines))


def runs(folder: Path) -> list[str]:
    """One line a run: where, what, how good."""
    found = [each for each in sorted(folder.glob("*")) if (each / "events.jsonl").exists()]
    if not found:
        return [f"no runs in ./{folder}; netwright train DATA makes one."]
    rows = [(str(each), _in_short(each)) for each in found]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {words}" for name, words in rows]


def of_folder(folder: Path) -> list[str]:
    """The card of a run and its curves.

    Raises:
        DataError: If it is not a run.
    """
    from netwright.base import events
    from netwright.insight import card, curves

    if not (folder / "events.jsonl").exists():
        raise DataError(f"'{folder}' is not a run folder.", hint="netwright show lists the runs in ./runs.")
    facts = _card(folder)
    said = card.lines(facts) if facts else [f"{NOT_ENDED} {folder}"]
    learned = curves.curves_from_events(events.read(folder / "events.jsonl"))
    width = min(100, shutil.get_terminal_size().columns)
    return [*said, "", *curves.terminal(learned, width)]


def of_model(path: Path) -> list[str]:
    """The card of a model and its recipe, each choice with its reason."""
    from netwright import recipe
    from netwright.insight import card

    model = models.load(path)
    said = card.lines(model.card) if model.card.get("task") else []
    return [*said, "", "recipe:", *(f"  {line}" for line in recipe.lines(model.recipe))]


def _in_short(folder: Path) -> str:
    from netwright.insight import card

    facts = _card(folder)
    if not facts:
        return f"{NOT_ENDED} {folder}"
    target = ", ".join(facts.get("target", []))
    return f"{facts.get('task')} {target}: {facts.get('network')}, {card.headline(facts)}"


def _card(folder: Path) -> Mapping[str, JSON]:
    """The card of a run, or nothing where the run has not ended.

    Raises:
        DataError: If it is there and is not a card.
    """
    path = folder / "card.json"
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read: {error}.", hint="train again.") from error
    if not isinstance(facts, dict) or not {"metric", "rows", "measured"} <= set(facts):
        raise DataError(f"'{path}' is not a card.", hint="train again.")
    return facts

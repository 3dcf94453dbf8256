"""What goes to stdout: the one JSON object of a run, the card in words, and predictions as files."""

from __future__ import annotations

import io
import json as jsons
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.base.errors import RecipeError
from netwright.base.events import plain
from netwright.base.schema import JSON

if TYPE_CHECKING:
    import polars as pl

    from netwright.outcome import Run

KEYS = (
    "task", "target", "network", "rows", "examples", "metric", "metrics", "baseline", "seconds", "minutes",
    "limited_by", "steps", "epochs", "parameters", "threads", "seed", "version", "findings", "run", "model",
)  # fmt: skip
"""What `--json` prints, in this order; `evaluate` prints those that apply."""
RISKY = r"^[=+\-@\t\r]"
"""First characters that make a spreadsheet compute a cell of a CSV file."""
NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)?$"
"""Cells that begin so and are harmless: a class may be called -1."""


def of_run(run: Run, *, json: bool) -> str:
    """The result of training: the card in words and where the model lies, or the JSON object."""
    from netwright.insight import card

    model = run.folder / "model.safetensors" if run.folder else None
    if json:
        facts = card.as_json(run.card, run=str(run.folder or ""), model=str(model or ""))
        return as_json({name: facts.get(name) for name in KEYS})
    where = [f"model: {model}", f"more:  {run.folder}/report.md"] if run.folder else []
    return "\n".join([*card.lines(run.card), *where])


def of_evaluation(found: Mapping[str, JSON], model: Path, *, json: bool) -> str:
    """The result of measuring a model on rows: words, or the keys of the JSON object that apply."""
    from netwright.insight.words import count, figure

    if json:
        facts = {**found, "model": str(model)}
        return as_json({name: facts[name] for name in KEYS if name in facts})
    metric, baseline = found["metric"], found["baseline"]
    lines = [
        f"{metric['name']} {figure(metric['value'])} (95 %: {figure(metric['low'])} to "
        f"{figure(metric['high'])}) on {count(found['rows']['test'], 'row')}",
        f"baseline: {baseline['name']} {figure(baseline['value'])}",
    ]
    others = [f"{name} {figure(value)}" for name, value in found["metrics"].items() if name != metric["name"]]
    lines += [", ".join(others)] if others else []
    return "\n".join([*lines, *found["findings"]])


def as_json(facts: Mapping[str, JSON]) -> str:
    """One line of JSON; numbers that are not finite are null."""
    return jsons.dumps(plain(dict(facts)), allow_nan=False, ensure_ascii=False)


def csv(frame: pl.DataFrame) -> str:
    """The predictions as CSV. A cell that a spreadsheet would compute gets a leading apostrophe."""
    import polars as pl

    text = pl.col(pl.String)
    risky = text.str.contains(RISKY) & ~text.str.contains(NUMBER)
    guarded = frame.with_columns(pl.when(risky).then(pl.lit("'") + text).otherwise(text).name.keep())
    return guarded.write_csv()


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _ndjson(frame: pl.DataFrame) -> bytes:
    return frame.write_ndjson().encode()


WRITERS: Mapping[str, Callable[[pl.DataFrame], bytes]] = {
    ".csv": lambda frame: csv(frame).encode(),
    ".parquet": _parquet,
    ".json": _ndjson,
    ".ndjson": _ndjson,
}
"""Suffix of `--out` -> the file's bytes."""


def check_suffix(path: Path) -> None:
    """Checks, before anything is computed, that the file can be written as its name says.

    Raises:
        RecipeError: If the suffix is unknown or the folder is not there.
    """
    if path.suffix.lower() not in WRITERS:
        raise RecipeError(
            f"--out is '{path}': predictions are not written as '{path.suffix or path.name}'.",
            hint=f"choose a name that ends in {', '.join(WRITERS)}.",
        )
    if not path.parent.is_dir():
        raise RecipeError(f"the folder '{path.parent}' of --out is not there.", hint="make it first.")


def save(frame: pl.DataFrame, path: Path) -> None:
    """Writes the predictions as the suffix says.

    Raises:
        LearningError: If the file cannot be written.
    """
    from netwright.base import files

    files.write_bytes(path, WRITERS[path.suffix.lower()](frame))

"""What a run leaves: the card, the model, and a folder with everything that says how it came about."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.base import events, files
from netwright.base.errors import DataError, RecipeError
from netwright.base.schema import JSON, Choice, Event, Plan, Recipe
from netwright.data.split import MEASURING
from netwright.learning import machine, planning
from netwright.learning.checkpoint import plan_from
from netwright.request import LISTS, Request

if TYPE_CHECKING:
    from netwright.data.packed import Part
    from netwright.prepare import Prepared
    from netwright.training import Trained
    from netwright.unseen import Unseen

REQUEST = "request.json"
RESERVE = 0.04
"""Share of the minutes kept for what comes after learning: calibration, test rows, card."""
ENDING = 1.3
"""Seconds kept for it whatever the minutes: what is written, and the process' end."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        card: What was measured, as plain data.
        model: What predicts.
        folder: Where everything was written, or None.
        events: What happened, in order.
    """

    card: Mapping[str, JSON]
    model: Any
    folder: Path | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Everything that the end of a run needs.

    Attributes:
        unseen: What was measured already, where rows were tested in turn.
    """

    prepared: Prepared
    asked: Request
    choices: Mapping[str, Choice]
    best: Trained
    linear: Trained | None
    parts: Mapping[str, Part]
    read_seconds: float
    folder: Folder
    unseen: Unseen | None = None


@dataclass
class Folder:
    """The folder of a run, or nothing at all where nothing is written.

    Attributes:
        path: The folder, or None.
        resumed: Whether the run goes on from an earlier process.
    """

    path: Path | None = None
    source: Any = None
    request: Request | None = None
    resumed: bool = False
    journal: events.Journal = field(default_factory=lambda: events.Journal(None))
    lock: Any = None

    @property
    def checkpoints(self) -> Path | None:
        """Where checkpoints go."""
        return self.path / "checkpoint" if self.path else None

    def begin(self, prepared: Prepared, asked: Request, choices: Mapping[str, Choice]) -> None:
        """Makes the folder, now that the data are known to be good; writes down what was asked."""
        if self.path is None or self.resumed:
            return
        files.make_folder(self.path)
        self.lock = files.Lock(self.path).__enter__()
        _clear(self.path)
        named = isinstance(self.source, str | Path)
        facts = {
            "source": str(Path(self.source).absolute()) if named else None,
            "request": _plain_request(asked),
            "data": fingerprint(prepared),
        }
        waiting = self.journal
        files.write_text(self.path / REQUEST, json.dumps(facts, sort_keys=True, indent=1))
        self.journal = events.Journal(self.path / "events.jsonl")
        for event in waiting.kept:
            self.journal.write(event)

    def asked(self) -> tuple[Any, Request]:
        """The source and the request of the run that goes on."""
        assert self.path is not None
        facts = _read_json(self.path / REQUEST)
        if facts["source"] is None:
            raise RecipeError(
                f"the run '{self.path}' learned from data in memory, which are gone.",
                hint="train anew, or save the data to a file first.",
            )
        settings = dict(facts["request"])
        for name in LISTS:
            settings[name] = tuple(settings.get(name, ()))
        return facts["source"], Request(**settings)

    def check_same_data(self, prepared: Prepared) -> None:
        """Checks that the data are those of the interrupted run.

        Raises:
            DataError: If they are not.
        """
        assert self.path is not None
        if _read_json(self.path / REQUEST)["data"] != fingerprint(prepared):
            raise DataError(
                f"the data are no longer those of the run '{self.path}'.",
                hint="put the old data back, or train anew with another --out.",
            )

    def recorded_plans(self) -> tuple[Plan, ...]:
        """The plans written down so far; one that was taken again after a kill counts once."""
        if self.path is None or not self.resumed:
            return ()
        found = (event for event in events.read(self.path / "events.jsonl") if event.type == "plan")
        plans = (plan_from(dict(event.data)) for event in found)
        return tuple({plan.revision: plan for plan in plans}.values())

    def spent(self) -> float:
        """Seconds that the interrupted run had learned."""
        from netwright.learning import checkpoint

        found = checkpoint.load(self.checkpoints) if self.checkpoints and self.resumed else None
        return found.seconds if found else 0.0


def no_folder() -> Folder:
    """A run that writes nothing."""
    return Folder()


@contextlib.contextmanager
def open_folder(source: Any, asked: Request) -> Iterator[Folder]:
    """The folder of a new run: `runs/NAME`, `runs/NAME-2`, …, or `--out`. It is made when it is needed."""
    folder = Folder(path=_free_path(source, asked), source=source, request=asked)
    try:
        yield folder
    finally:
        folder.journal.close()
        if folder.lock:
            folder.lock.__exit__()


@contextlib.contextmanager
def reopen_folder(path: Path) -> Iterator[Folder]:
    """The folder of a run that goes on.

    Raises:
        RecipeError: If it is not a run, or it has ended.
    """
    if not (path / REQUEST).exists():
        raise RecipeError(
            f"'{path}' is not a run folder that can be resumed.",
            hint="give a folder below runs/ that an interrupted netwright train left behind.",
        )
    if (path / "card.json").exists() and not _interrupted(path):
        raise RecipeError(f"the run '{path}' has ended.", hint="see it with netwright show.")
    with files.Lock(path):
        files.sweep(path)
        events.mend(path / "events.jsonl")
        folder = Folder(path=path, resumed=True, journal=events.Journal(path / "events.jsonl"))
        try:
            yield folder
        finally:
            folder.journal.close()


def check_free(source: Any, asked: Request) -> None:
    """Checks that `--out` may be written before anything is read.

    Raises:
        RecipeError: If it is there and `--force` was not given.
    """
    _free_path(source, asked)


def fingerprint(prepared: Prepared) -> JSON:
    """What the data look like, closely enough to see that they changed."""
    hashed = prepared.table.cells.select(
        name
        for name, kind in prepared.table.cells.schema.items()
        if (not kind.is_nested() and str(kind) != "Binary") or prepared.table.kinds.get(name) == "known"
    )
    total = int(hashed.hash_rows(seed=0).sum()) if hashed.width and hashed.height else 0
    rest = prepared.table.rest
    rows = prepared.table.height + (rest.rows if rest else 0)
    return {"columns": prepared.table.columns, "rows": rows, "hash": str(total)}


def budget(asked: Request, folder: Folder, settling: float) -> float | None:
    """Seconds that learning, and what is measured after it, may take; None where passes were set by hand.

    Args:
        asked: What the user asked for.
        folder: The run's, which knows the seconds of earlier processes.
        settling: Seconds that what is chosen and solved after learning takes, about.
    """
    if "learning.epochs" in asked.set:
        return None
    whole = asked.minutes * 60.0
    used = time.monotonic() - asked.started + settling
    return max(0.05 * whole, whole - used - RESERVE * whole - ENDING) + folder.spent()


def after(asked: Request, prepared: Prepared, parts: Mapping[str, Part]) -> planning.After:
    """What is measured after learning: calibration and test rows; validation rows too where answers are sought.

    Test rows stay closed until then, so that their examples are counted by those of the validation rows.
    """
    task, split = prepared.task, prepared.split
    layouts = {each.layout for each in prepared.inputs.fields()}
    each = 6e-3 if task.needs != "pooled" else 3e-4 if layouts - {"numbers", "codes"} else 5e-5
    rows = len(split.test) + len(split.calibrate)
    if task.least_squares:  # how much of what was learned is kept, is asked of the linear network and its own
        rows += 2 * len(split.calibrate)
    if task.searches and task.watched.name == task.metrics[0].name:
        rows += len(split.select)
    guess = rows * (task.seconds_an_answer or each)
    if task.seconds_an_answer:
        return planning.After(guess=guess)
    most = MEASURING * 60.0 * asked.minutes
    examples = round(rows * len(parts["select"].target) / max(1, len(split.select)))
    return planning.After(guess=guess, examples=examples, most=most)


def finish(ending: Ending, tell: Callable[[Event], None]) -> Run:
    """Calibrates, opens the test rows once, writes the card, the report and the model."""
    from netwright.finishing import complete

    return complete(ending, tell)


def final_recipe(ending: Ending) -> Recipe:
    """The recipe of the run, with the plans that were in force."""
    import platform

    import torch

    from netwright import __version__

    asked = ending.asked
    return Recipe(
        version=__version__,
        seed=asked.seed,
        choices=ending.choices,
        plans=ending.best.plans,
        data={"fingerprint": fingerprint(ending.prepared), "source": ending.prepared.table.source},
        machine={
            "device": machine.device(asked.device).type,
            "threads": ending.best.job.settings.threads or torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.system(),
        },
    )


def _free_path(source: Any, asked: Request) -> Path | None:
    if asked.out is not None:
        path = Path(asked.out)
        if path.exists() and not asked.force and (not path.is_dir() or any(path.iterdir())):
            raise RecipeError(
                f"'{path}' is there already.", hint="choose another --out, or overwrite with --force."
            )
        return path
    if not isinstance(source, str | Path):
        return None
    stem = Path(source).name.split(".")[0] or "run"
    path, number = Path("runs") / stem, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path


def _clear(path: Path) -> None:
    """Removes what an earlier run left in a folder that is overwritten."""
    for name in (
        "events.jsonl", "card.json", "recipe.json", "report.md", "learning.svg",
        "predictions.parquet", "model.safetensors", "checkpoint", REQUEST,
    ):  # fmt: skip
        files.remove(path / name)


def _plain_request(asked: Request) -> JSON:
    facts = asdict(asked)
    del facts["started"]
    for name in ("test", "validation", "recipe", "out"):
        value = facts[name]
        if isinstance(value, Path) or (isinstance(value, str) and Path(value).exists()):
            facts[name] = str(Path(value).absolute())
        elif not isinstance(value, str | float | int | None):
            facts[name] = None  # data in memory: such a run cannot be resumed
    return events.plain(facts)


def _interrupted(path: Path) -> bool:
    return _read_json(path / "card.json").get("interrupted") is True


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"'{path}' cannot be read: {error}.", hint="the run folder is damaged; train anew."
        ) from error


def now() -> float:
    """The monotonic clock."""
    return time.monotonic()

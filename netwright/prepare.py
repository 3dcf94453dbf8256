"""From a request to data that a network can learn from: read, roles, split, kinds, checks, task, tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright import folds, larger, sources
from netwright.base.errors import DataError, RecipeError, did_you_mean
from netwright.base.schema import Choice, Column, Finding, InputSpec
from netwright.data import checks, columns, roles, split
from netwright.data.readers import media
from netwright.data.table import Table
from netwright.request import Request
from netwright.tasks import COMING, TASKS

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from netwright.data.packed import Part
    from netwright.data.split import Split
    from netwright.tasks.task import AbstractTask


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Data ready for a network.

    Attributes:
        table: All rows, a test file of its own appended.
        decoded: The same with media decoded: what tensors are made of.
        split: Which rows are for what.
        task: The task, fitted to the training rows.
        inputs: The kinds, fitted to the training rows.
        columns: What was decided about each column.
        findings: What was seen, in the order it was seen.
        choices: Decisions taken so far, by dotted name.
        examples: Examples to learn from, once they are made.
        stored: All training examples, in files, where the table is larger than memory and only a sample.
        seconds: How long each stage took.
    """

    table: Table
    decoded: Table
    split: Split
    task: AbstractTask
    inputs: columns.Inputs
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    choices: Mapping[str, Choice] = field(default_factory=dict)
    examples: int = 0
    stored: Part | None = None

    @property
    def rows_to_learn(self) -> int:
        """Rows that are learned from."""
        return len(self.stored.target) if self.stored else len(self.split.train)

    @property
    def folds(self) -> int:
        """Parts that all rows are dealt out to, each tested in its turn; 0: the split says what is tested."""
        return self.split.folds

    @property
    def spec(self) -> InputSpec:
        """What a family must know."""
        return InputSpec(
            inputs=self.inputs.fields(),
            outputs=self.task.outputs,
            task=self.task.name,
            needs=self.task.needs,
            causal=self.task.causal,
            examples=self.examples or self.rows_to_learn,
            prefix=self.task.prefix,
            stride=self.task.stride,
        )

    def with_settings(self, choices: Mapping[str, Choice]) -> Prepared:
        """The task with the settings that the family or an older recipe chose for it."""
        known = vars(self.task.settings)  # type: ignore[attr-defined]
        values = {
            name.removeprefix("task."): choice.value
            for name, choice in choices.items()
            if name.startswith("task.") and choice.by != "user"
        }
        values = {name: value for name, value in values.items() if name in known}
        self.task.settings = replace(self.task.settings, **values)  # type: ignore[attr-defined]
        return self

    def target(self, rows: Any) -> pl.DataFrame:
        """The target cells of these rows."""
        return self.table.frame(list(self.task.columns), rows)


def prepare(source: Any, request: Request, folder: Path | None = None, *, store: bool = True) -> Prepared:
    """Reads, splits, fits and checks.

    Args:
        source: A path or Python data.
        request: What was asked for.
        folder: Where what does not fit in memory lies, about; None: where temporary files do.
        store: Whether rows beside the sample of a table larger than memory are read, to be learned from.

    Raises:
        DataError: If the data cannot be used as they are.
        RecipeError: If what was asked for does not fit the data.
    """
    table, wheres, rule = sources.opened(source, request)
    assigned = roles.assign(table, sources.asked(table, request))
    claim_name, why = choose_task(table.frame(assigned.targets), table, request)
    larger.check(table, assigned, claim_name)
    parts = split.make(
        table,
        assigned,
        test=wheres["test"],
        validation=wheres["validation"],
        rule=rule,  # type: ignore[arg-type]
        seed=request.seed,
        stratify=claim_name == "classify",
        halve=TASKS[claim_name].calibrates,
    )
    parts = split.affordable(parts, TASKS[claim_name].seconds_an_answer, request.minutes)
    decided, said, derived = _decide(table, parts, assigned, claim_name, request)
    parts = folds.dealt(request, table, parts, decided, claim_name)
    decoded, parts, damaged = _decode(table, parts, decided)
    task = TASKS[claim_name].fit(
        table.frame(assigned.targets, parts.train), _task_settings(request, claim_name)
    )
    inputs = columns.Inputs.fit(decoded, decided, parts.train)
    task.bind(inputs)
    _ = task.metrics  # one that the task does not know is refused before anything is learned
    parts, surveyed = _surveyed(task, decoded, parts, inputs)
    stored, left_out = None, tuple[Finding, ...]()
    if store and table.rest is not None:
        compared = [*assigned.names("input"), *assigned.targets]
        storing = larger.Storing(table, parts, decided, task, inputs, compared, larger.allowed(request))
        stored, left_out = storing.into(folder, decoded)
    findings = _once(
        (
            *larger.said(table, request),
            *table.findings,
            *parts.findings,
            *left_out,
            *said,
            *damaged,
            *task.findings,
            *surveyed,
            *(checks.check(table, decided, parts, claim_name) if table.shape == "rows" else ()),
        )
    )
    return Prepared(
        table=table,
        decoded=decoded,
        split=parts,
        task=task,
        inputs=inputs,
        columns=decided,
        findings=findings,
        choices={
            "data.split": Choice(value=parts.rule, why=parts.why),
            "task": Choice(value=claim_name, why=why, by="user" if request.task else "derived"),
            **derived,
            **_decided(task, inputs),
        },
        stored=stored,
    )


def _decided(task: AbstractTask, inputs: columns.Inputs) -> dict[str, Choice]:
    """What task and kinds chose when they were fitted."""
    found = {f"task.{name}": choice for name, choice in task.decided.items()}
    for kind in inputs.kinds:
        found |= {f"kind.{kind.reads()[0]}.{name}": choice for name, choice in kind.decided.items()}
    return found


def _decide(
    table: Table, parts: Split, assigned: roles.Roles, task: str, request: Request
) -> tuple[tuple[Column, ...], tuple[Finding, ...], dict[str, Choice]]:
    """The columns that the task can use, with their kinds' settings; what is to be said; what was derived."""
    by_hand = _kind_settings(request)
    decided, said = columns.decide(table, parts.train, assigned, request.kinds)
    decided, unused = _usable(decided, task, TASKS[task].only)
    decided = tuple(_with_settings(each, by_hand.pop(each.name, {})) for each in decided)
    for name in by_hand:
        hint = did_you_mean(name, [each.name for each in decided])
        raise RecipeError(f"--set kind.{name}: {table.source} has no column '{name}'.", hint=hint)
    decided, derived = _derive_kinds(table, parts, decided, request)
    return decided, (*said, *unused), derived


def _usable(
    decided: tuple[Column, ...], task: str, kinds: Sequence[str]
) -> tuple[tuple[Column, ...], tuple[Finding, ...]]:
    """The columns, inputs of other kinds than the task can use passed over; and what is to be said of it.

    Raises:
        DataError: If no input is left.
    """
    others = [each for each in decided if kinds and each.role == "input" and each.kind not in kinds]
    if not others:
        return decided, ()
    wanted = " or ".join(kinds)
    if not any(each.role == "input" and each.kind in kinds for each in decided):
        raise DataError(
            f"to {task}, a column of kind {wanted} is needed, and there is none.",
            hint=f"name it with --kind COLUMN={kinds[0]}, or leave out --task.",
        )
    why = f"{task} learns from {wanted} alone"
    names = tuple(each.name for each in others)
    finding = Finding(
        name="unused columns",
        what=f"{why}: {', '.join(names[:8])}",
        count=len(names),
        done="left out",
        columns=names,
    )
    kept = (replace(each, role="ignore", why=why) if each in others else each for each in decided)
    return tuple(kept), (finding,)


def _decode(table: Table, parts: Split, decided: Sequence[Column]) -> tuple[Table, Split, list[Finding]]:
    """Media decoded once for all rows; the split without rows that cannot be, and what is to be said.

    Raises:
        DataError: If more than 5 % of a column's files cannot be decoded.
    """
    decoded, found = columns.decode(table, decided)
    kinds = {column.name: column.kind for column in decided}
    findings = [
        each for name, bad in found.items() for each in media.judge(table.column(name), bad, kinds[name])
    ]
    lost = np.array(sorted({row for bad in found.values() for row in bad}), dtype=np.int64)
    return decoded, _without(parts, lost), findings


def _without(parts: Split, lost: Any) -> Split:
    """The split without these rows."""
    if not len(lost):
        return parts
    names = ("train", "select", "calibrate", "test")
    kept = {name: getattr(parts, name)[~np.isin(getattr(parts, name), lost)] for name in names}
    return replace(parts, **kept)


def _surveyed(
    task: AbstractTask, table: Table, parts: Split, inputs: columns.Inputs
) -> tuple[Split, Sequence[Finding]]:
    """The split without validation and test rows that cannot be measured, and what the task says of all."""
    held = np.unique(np.concatenate([parts.select, parts.calibrate, parts.test]))
    kept, said = task.measurable(table, held, inputs)
    return _without(parts, np.setdiff1d(held, kept)), (*task.survey(table, parts.train, inputs), *said)


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, the first of each name and place."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found.setdefault((finding.name, finding.where), finding)
    return tuple(found.values())


def choose_task(target: pl.DataFrame, table: Table, request: Request) -> tuple[str, str]:
    """The task with the strongest claim on the target, and why.

    Raises:
        RecipeError: If the task asked for is unknown or two claims are equal.
        DataError: If no task claims the target.
    """
    if request.task:
        if request.task in COMING:
            known = ", ".join(TASKS)
            raise RecipeError(
                f"the task '{request.task}' is known but not built yet.",
                hint=f"it arrives in a later version; now there is: {known}.",
            )
        TASKS[request.task]
        return request.task, "asked for"
    if target.width and all(target[name].null_count() == target.height for name in target.columns):
        raise DataError(
            f"target column '{target.columns[0]}' has no value in any row ({table.source}).",
            hint="choose another --target.",
        )
    found = {name: TASKS[name].claims_in(target, table) for name in TASKS}
    claims = sorted(((claim.strength, name, claim.why) for name, claim in found.items() if claim), reverse=True)
    if not claims:
        raise DataError(
            f"no task fits the target {', '.join(repr(name) for name in target.columns)}.",
            hint="name one with --task classify, regress or tag, or choose another --target.",
        )
    if len(claims) > 1 and claims[0][0] == claims[1][0]:
        first, second = claims[0][1], claims[1][1]
        raise RecipeError(
            f"the target '{target.columns[0]}' fits {first} and {second} alike.",
            hint=f"say --task {first} or --task {second}.",
        )
    runner_up = f"; next best: --task {claims[1][1]}, {claims[1][2]}" if len(claims) > 1 else ""
    of = f"target '{target.columns[0]}': " if target.width else ""
    return claims[0][1], f"{of}{claims[0][2]}{runner_up}"


def _task_settings(request: Request, task: str) -> dict[str, Any]:
    """Settings of the task: those of `--set task.NAME=VALUE`, and those that have a flag of their own.

    Raises:
        RecipeError: If rows are weighted and the task has other examples.
    """
    if request.weight and not TASKS[task].rowwise:
        raise RecipeError(
            f"--weight {request.weight} weighs rows, and to {task} an example is no row of the table.",
            hint="leave out --weight.",
        )
    settings = {k.removeprefix("task."): v for k, v in request.set.items() if k.startswith("task.")}
    if request.metric:
        settings["metric"] = request.metric
    if request.horizon and task == "forecast":
        settings["horizon"] = request.horizon
    return settings


def _kind_settings(request: Request) -> dict[str, dict[str, Any]]:
    """Settings of `--set kind.COLUMN.NAME=VALUE` by column."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in request.set.items():
        if name.startswith("kind."):
            column, _, setting = name.removeprefix("kind.").rpartition(".")
            if not column:
                raise RecipeError(f"no setting is called '{name}'.", hint="write --set kind.COLUMN.NAME=VALUE.")
            found.setdefault(column, {})[setting] = value
    return found


def _with_settings(column: Column, by_hand: Mapping[str, Any]) -> Column:
    """The column with the settings that were set by hand.

    Raises:
        RecipeError: If its kind has no such setting.
    """
    from netwright.data.kinds import KINDS

    takes = KINDS[column.kind].takes if by_hand else ()
    for name in by_hand:
        if name not in takes:
            what = f"'{column.name}' is of kind {column.kind}, which has no setting '{name}'"
            raise RecipeError(f"{what} (--set).", hint=did_you_mean(name, takes) if takes else "it has none.")
    return replace(column, settings={**column.settings, **by_hand}) if by_hand else column


def _derive_kinds(
    table: Table, parts: Split, decided: tuple[Column, ...], request: Request
) -> tuple[tuple[Column, ...], dict[str, Choice]]:
    """Settings that kinds derive from training cells and minutes; those set by hand stay."""
    from netwright.data.kinds import KINDS

    choices: dict[str, Choice] = {}
    ready = []
    for column in decided:
        kind = KINDS[column.kind] if column.role == "input" else None
        if kind is None or "derive" not in vars(kind):
            ready.append(column)
            continue
        block = columns.cells(table, [column], parts.train)
        examples = len(parts.train) + (table.rest.rows if table.rest else 0)
        derived = kind.derive(block, examples, request.minutes, table.shape)
        derived = {name: choice for name, choice in derived.items() if name not in column.settings}
        values = {name: choice.value for name, choice in derived.items()}
        ready.append(replace(column, settings={**values, **column.settings}))
        choices |= {f"kind.{column.name}.{name}": choice for name, choice in derived.items()}
    return tuple(ready), choices

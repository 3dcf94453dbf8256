"""Many networks at once: one a fold, tested on rows that it never saw, all of them one batched network.

Why it is honest. The rows lie in F parts. The network of fold f is tested on part f alone; it stops and is
calibrated by the part after it, and learns from the other F - 2. Nothing of fold f depends on part f: kinds
and task are fitted to its training rows alone (the network reads common tensors as its own kinds would have
made them, `AbstractKind.against`), its first weights and the order of its rows come from the seed, its gradient
is clipped by its own norm, its best weights are kept by its own validation loss, and learning does not end for
all when one has learned enough. What all folds share is decided without targets (the kind of each column,
settings by the number of rows), or is no more than names: the classes there are, and the headline metric.

Reference: Stone 1974, https://doi.org/10.1111/j.2517-6161.1974.tb00994.x (cross-validation).
"""

# S = folds, N = rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netwright import sources, training
from netwright.base.errors import RecipeError
from netwright.base.schema import Choice
from netwright.data import folding, roles
from netwright.data.columns import Inputs
from netwright.data.kinds import KINDS
from netwright.data.packed import Part
from netwright.data.parts import given_parts
from netwright.tasks import TASKS

if TYPE_CHECKING:
    from netwright.base.schema import Column, Recipe
    from netwright.data.kinds.kind import AbstractKind
    from netwright.data.split import Split
    from netwright.data.table import Table
    from netwright.prepare import Prepared
    from netwright.request import Request
    from netwright.tasks.task import AbstractTask

ALONE = (
    "network.folds",
    "network.residual",
    "network.shortcut",
    "network.embedding",
    "learning.optimizer",
    "task.scale",
)
"""Settings that folds may not have, or have but one value of: whoever sets one gets one network."""
MEMBERS = 8
"""Networks of an ensemble that is trained alone: so many are shared out to the folds, at least one to each."""


@dataclass(frozen=True)
class Crossed:
    """What all folds learn from.

    Attributes:
        folds: Which rows are whose.
        tasks: The task fitted to the training rows of each fold.
        inputs: The kinds fitted to the same.
        whole: All rows, encoded by the kinds and the task that all of them were fitted to.
        target_SN: Targets as the task of each fold has them; of a type of its own.
        weight_SN: What each row counts in the mean loss of a batch; None: all alike.
        scale_SN: What its loss is multiplied by; None: nothing.
    """

    folds: folding.Folds
    tasks: Sequence[AbstractTask]
    inputs: Sequence[Inputs]
    whole: Part
    target_SN: Tensor
    weight_SN: Tensor | None
    scale_SN: Tensor | None


def dealt(asked: Request, table: Table, parts: Split, decided: Sequence[Column], task: str) -> Split:
    """The split with its rows to be dealt out to as many parts as were asked for.

    Where their number is left open, no row is to be tested, and rows are few: the usual number, so that each is
    learned from and each validates.
    """
    if asked.folds is not None:
        return parts.undivided(asked.folds) if asked.folds else parts
    rows = len(parts.train) + len(np.union1d(parts.select, parts.calibrate))
    free = asked.network in ("auto", "feedforward") and parts.rule == "random" and asked.validation is None
    plain = all(_common(KINDS[each.kind]) for each in decided if each.role == "input")
    alike = table.shape == "rows" and table.rest is None and _refits(TASKS[task])
    by_hand = any(name in asked.set for name in ALONE)
    ready = free and plain and alike and not by_hand and not len(parts.test)
    return parts.undivided(folding.USUAL) if ready and rows in folding.FEW else parts


def asked_of_all(asked: Request) -> Request:
    """The request with no row set aside: with folds, each is tested in its turn."""
    return replace(asked, test="none", validation="none") if asked.folds else asked


def agree(asked: Request, older: Recipe | None) -> None:
    """Checks that a recipe of folds is repeated with folds.

    Raises:
        RecipeError: If not.
    """
    there = older.value("network.folds") if older else None
    if there and there > 1 and not asked.folds and "network.folds" not in asked.set:
        raise RecipeError(f"the recipe is one of {there} folds.", hint=f"say --folds {there} too.")


def examples(folds: int, rows: int) -> int:
    """Rows that the network of one fold learns from."""
    return max(1, rows * (folds - 2) // folds)


def decided(folds: int, asked: Request, family: str, choices: Mapping[str, Choice]) -> dict[str, Choice]:
    """The choices with what follows from so many folds.

    Raises:
        RecipeError: If something was chosen that folds do not have.
    """
    if family != "feedforward":
        raise RecipeError(
            f"--folds are for feedforward networks on tables, not for --network {family}.",
            hint="leave out --folds, or say --network feedforward.",
        )
    if choices["learning.optimizer"].value != "adamw":
        raise RecipeError(
            "folds learn with AdamW: Muon would mix their weights.", hint="set learning.optimizer=adamw."
        )
    if choices["network.embedding"].value == "periodic":
        raise RecipeError(
            "folds do not read numbers as waves.", hint="set network.embedding=piecewise or none."
        )
    chosen = Choice(value=folds, why="--folds", by="user")
    if not asked.folds:
        chosen = Choice(value=folds, why="few rows: each is learned from, and each validates")
    ready = {**choices, "network.folds": chosen}
    if choices["network.members"].by == "derived":
        few = max(1, MEMBERS // folds)
        why = "the networks of the folds are an ensemble themselves"
        ready["network.members"] = Choice(value=few, why=why)
    return ready


def cross(prepared: Prepared, asked: Request, whole: Part) -> Crossed:
    """Deals the rows out, and fits kinds and task to the training rows of each fold.

    Raises:
        DataError: If there are too few rows, or a fold has nothing to learn.
        RecipeError: If the data have no rows that can be tested in turn.
    """
    table, task, rows = prepared.table, prepared.task, prepared.split.train
    assigned = roles.assign(table, sources.asked(table, asked))
    _check(prepared, bool(given_parts(table, assigned)[0]))
    stratify = task.name == "classify"
    folds = folding.make(
        table, assigned, rows, prepared.folds, rule=asked.split, seed=asked.seed, stratify=stratify
    )
    tasks = [task.refit(prepared.target(rows[folds.train(fold)])) for fold in folds]
    own = [each for each in tasks if each is not None]
    inputs = [Inputs.fit(prepared.decoded, prepared.columns, rows[folds.train(fold)]) for fold in folds]
    target = prepared.target(rows)
    weight_N = training.weights(prepared)
    targets = [each.encode(target) for each in own]
    return Crossed(
        folds=folds,
        tasks=own,
        inputs=inputs,
        whole=whole,
        target_SN=torch.stack(targets),
        weight_SN=None if weight_N is None else torch.stack([weight_N] * folds.count),
        scale_SN=_scales(task, own, targets),
    )


def _scales(task: AbstractTask, own: Sequence[AbstractTask], targets: Sequence[Tensor]) -> Tensor | None:
    """(S, N) what makes losses of the task of all rows those of each fold's, where classes are weighted."""
    every_C = getattr(task, "weights_C", None)
    if every_C is None:
        return None
    each = zip(own, targets, strict=True)
    return torch.stack([getattr(one, "weights_C")[target] / every_C[target] for one, target in each])  # noqa: B009


def _common(kind: type[AbstractKind]) -> bool:
    """Whether networks with kinds of their own read common tensors of it."""
    return "against" in vars(kind)


def _refits(task: type[AbstractTask]) -> bool:
    return "refit" in vars(task)


def _check(prepared: Prepared, given: bool) -> None:
    kinds = {column.name: column.kind for column in prepared.columns if column.role == "input"}
    whole = zip(prepared.inputs.kinds, prepared.inputs.columns, strict=True)
    odd = [block[0].name for kind, block in whole if not _common(type(kind))]
    if prepared.table.shape != "rows" or not _refits(type(prepared.task)):
        raise RecipeError(
            f"--folds are for tables whose rows are classified or get a number, not to {prepared.task.name}.",
            hint="leave out --folds; --test says which rows to measure on.",
        )
    if odd:
        raise RecipeError(
            f"--folds are for numbers, categories and dates; column '{odd[0]}' is of kind {kinds[odd[0]]}.",
            hint=f"leave out --folds, or the column with --drop {odd[0]}.",
        )
    if given:
        raise RecipeError(
            f"{prepared.table.source} names rows of its own for test or validation, which folds would mix in.",
            hint="leave out --folds, or give the rows to divide as one table without such a column.",
        )

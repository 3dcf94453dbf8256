"""The networks of all folds learn: one batch a step for all, each with rows, gradient and end of its own."""

# S = folds, M = members of a fold, K = S * M, N = rows, B = rows of a batch, V = validation rows, O = outputs

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from netwright import training
from netwright.base import seeds
from netwright.base.schema import JSON, Event
from netwright.data.columns import Inputs
from netwright.data.packed import Packed
from netwright.learning import machine, planning
from netwright.learning.loop import learn
from netwright.networks.inputs.separate import SeparateCodes, SeparateInputs, SeparateNumbers
from netwright.tasks.network import Network
from netwright.training import Job, Trained

if TYPE_CHECKING:
    from netwright.folds import Crossed
    from netwright.prepare import Prepared
    from netwright.tasks.task import AbstractTask


@dataclass(frozen=True)
class Batch:
    """Rows of each fold that are learned from in one step; an example is a row of each fold.

    Attributes:
        inputs: Field key -> (B, S, F), as each network reads them.
        target: (B, S).
        weight_BS: What each row counts in the mean; None: all alike.
        scale_BS: What its loss is multiplied by; None: nothing.
        example_B: (B, S) places of the rows.
        weight_B: Always None: rows of one example do not count alike.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor
    weight_BS: Tensor | None
    scale_BS: Tensor | None
    example_B: Tensor
    weight_B: None = None

    def part(self, start: int, stop: int) -> Batch:
        """The examples from `start` to `stop`."""
        return Batch(
            inputs={key: x[start:stop] for key, x in self.inputs.items()},
            target=self.target[start:stop],
            weight_BS=None if self.weight_BS is None else self.weight_BS[start:stop],
            scale_BS=None if self.scale_BS is None else self.scale_BS[start:stop],
            example_B=self.example_B[start:stop],
        )


class Feed:
    """Batches of all folds. Each fold sees its rows in the order that it would see them in alone.

    Args:
        crossed: The rows.
        inputs: Field key -> (S, N, F), as each network reads them.
        seed: The run's seed.
    """

    def __init__(self, crossed: Crossed, inputs: Mapping[str, Tensor], seed: int) -> None:
        there = next(iter(inputs.values())).device
        rows = len(crossed.folds.rows)
        self.inputs = {key: x.flatten(0, 1) for key, x in inputs.items()}
        flat = (crossed.target_SN, crossed.weight_SN, crossed.scale_SN)
        self.target, self.weight, self.scale = (None if x is None else x.flatten().to(there) for x in flat)
        self.seed = seed
        self.own = [crossed.folds.train(fold) + fold * rows for fold in crossed.folds]

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches of the fold that has fewest rows."""
        return max(1, min(len(own) for own in self.own) // batch)

    def order(self, epoch: int, batch: int) -> Sequence[Tensor]:
        """The batches of one epoch as places, (B, S) int64 each."""
        count = self.steps_per_epoch(batch) * batch
        drawn = (seeds.generator(self.seed, "order", epoch).permutation(len(own))[:count] for own in self.own)
        places = [own[kept] for own, kept in zip(self.own, drawn, strict=True)]
        fewest = min(len(each) for each in places)
        return list(torch.split(torch.from_numpy(np.stack([each[:fewest] for each in places], axis=1)), batch))

    def take(
        self, example_B: Tensor, epoch: int | None = None, switches: Mapping[str, JSON] | None = None
    ) -> Batch:
        """Gathers the rows of each fold."""
        assert self.target is not None
        rows, folds = example_B.shape
        place = example_B.t().reshape(-1).to(self.target.device)

        def of(values: Tensor) -> Tensor:
            return values.index_select(0, place).view(folds, rows, *values.shape[1:]).transpose(0, 1)

        return Batch(
            inputs={key: of(values) for key, values in self.inputs.items()},
            target=of(self.target),
            weight_BS=None if self.weight is None else of(self.weight),
            scale_BS=None if self.scale is None else of(self.scale),
            example_B=example_B,
        )


class Trainee:
    """The networks of all folds as learning sees them.

    Args:
        module: A feedforward network with folds.
        task: The task that all rows were fitted to.
        crossed: The rows.
        inputs: Field key -> (S, N, F), as each network reads them.
    """

    def __init__(
        self, module: Network, task: AbstractTask, crossed: Crossed, inputs: Mapping[str, Tensor]
    ) -> None:
        self.module, self.task = module, task
        self.folds, self.own = crossed.folds.count, crossed.tasks
        places = [torch.from_numpy(crossed.folds.select(fold)) for fold in crossed.folds]
        most = max(len(each) for each in places)
        place_SV = torch.stack([each[torch.arange(most) % len(each)] for each in places])
        again_SV = torch.stack([torch.arange(most) >= len(each) for each in places])
        there = next(iter(inputs.values())).device
        fold_S1 = torch.arange(self.folds).unsqueeze(1)
        self.select = {key: x[fold_S1, place_SV.to(there)].transpose(0, 1) for key, x in inputs.items()}
        unknown = -1 if not crossed.target_SN.is_floating_point() else torch.nan
        self.target_SV = crossed.target_SN[fold_S1, place_SV].masked_fill(again_SV, unknown)
        self.best_S = torch.full((self.folds,), torch.inf, dtype=torch.float64)
        self.best: list[Tensor] = []

    def loss(self, batch: Batch) -> Tensor:
        """(B,) the sum of the folds' losses: none of them changes what another learns."""
        output_SMBO = self._apart(self.module(batch.inputs))
        folds, members, rows, outputs = output_SMBO.shape
        output_MRO = output_SMBO.transpose(0, 1).reshape(members, folds * rows, outputs)
        loss_BS = self.task.loss(output_MRO, batch.target.t().reshape(-1)).view(folds, rows).t()
        if batch.scale_BS is not None:
            loss_BS = loss_BS * batch.scale_BS
        if batch.weight_BS is not None:
            loss_BS = loss_BS * batch.weight_BS * (rows / batch.weight_BS.sum(0))
        return loss_BS.sum(1)

    def slopes(self, batch: Batch) -> None:
        """A graph finds them."""

    def evaluate(self) -> Mapping[str, Any]:
        """Mean loss of the folds, each on its own validation rows, and the headline on all of them.

        The weights of a fold that has not been as good before are kept.
        """
        was_training = self.module.training
        self.module.eval()
        with torch.inference_mode():
            output_SMVO = self._apart(self.module(self.select)).cpu()
        self.module.train(was_training)
        loss_S = self.task.losses(output_SMVO, self.target_SV).double()
        self._keep(loss_S)
        watched = self.task.watched
        found = self._headline(output_SMVO)
        return {"loss": float(loss_S.mean()), "score": found, "name": watched.name, "better": watched.better}

    def probe(self) -> Mapping[str, JSON]:
        """Nothing: numbers and categories are not augmented."""
        return {}

    def restore(self) -> None:
        """The best weights of each fold into the network."""
        with torch.no_grad():
            for param, kept in zip(self.module.parameters(), self.best, strict=bool(self.best)):
                param.copy_(kept)

    def _apart(self, output_KBO: Tensor) -> Tensor:
        return output_KBO.view(self.folds, -1, *output_KBO.shape[1:])

    def _keep(self, loss_S: Tensor) -> None:
        params = [param.detach() for param in self.module.parameters()]
        if not self.best:
            self.best = [param.clone() for param in params]
        better_S = loss_S < self.best_S
        self.best_S = torch.where(better_S, loss_S, self.best_S)
        for param, kept in zip(params, self.best, strict=True):
            chosen = better_S.to(param.device)
            kept.view(self.folds, -1)[chosen] = param.view(self.folds, -1)[chosen]

    def _headline(self, output_SMVO: Tensor) -> float:
        """Of all validation rows together, on the scale of all rows: told, and never decided by."""
        output_MRO, target_R = pooled(self.task, self.own, output_SMVO, self.target_SV)
        return self.task.metrics[0].reduce(self.task.statistics(output_MRO, Packed(target_R)))


def pooled(
    task: AbstractTask, own: Sequence[AbstractTask], output_SMVO: Tensor, target_SV: Tensor
) -> tuple[Tensor, Tensor]:
    """(M, R, O) outputs and (R,) targets of all rows whose target is known, on the scale of the task of all."""
    known_SV = target_SV >= 0 if not target_SV.is_floating_point() else ~torch.isnan(target_SV)
    outputs, targets = [], []
    for each, output_MVO, target_V, known_V in zip(own, output_SMVO, target_SV, known_SV, strict=True):
        ratio, shift = each.onto(task)
        outputs.append(output_MVO[:, known_V] * ratio + shift)
        target_R = target_V[known_V]
        targets.append(target_R * ratio + shift if target_R.is_floating_point() else target_R)
    return torch.cat(outputs, dim=1), torch.cat(targets)


def train_all(job: Job, prepared: Prepared, crossed: Crossed, tell: Callable[[Event], None]) -> Trained:
    """The networks of all folds, trained to the end of one plan, each with its own best weights."""
    with machine.arithmetic(job.settings.threads, bounded=job.memory is not None):
        there = machine.device(job.device)
        built = training.network(job, prepared.spec, prepared.task)
        _own_readings(built, prepared.inputs, crossed.inputs)
        built.to(there)
        with torch.no_grad():
            read = getattr(built.family, "inputs").read  # noqa: B009  (of the one family that has folds)
            inputs = read({key: x.values.to(there) for key, x in crossed.whole.inputs.items()})
        trainee = Trainee(built, prepared.task, crossed, inputs)
        events: list[Event] = []

        def note(event: Event) -> None:
            events.append(event)
            tell(event)

        with clipped(built, crossed.folds.count, job.settings.clip):
            ended = training.drain(_run(job, trainee, Feed(crossed, inputs, job.seed)), note)
        trainee.restore()
        built.to("cpu").eval()
    return Trained(
        network=built,
        job=job,
        events=events,
        ended=ended,
        score=float("nan"),
        loss=float(trainee.best_S.mean()),
        plans=training.in_force(job, events),
    )


def _run(job: Job, trainee: Trainee, feed: Feed) -> Iterator[Event]:
    """As `training.run`; no fold ends because others have learned enough, and none is clipped with others."""
    whole = 2.0 * job.settings.clip * crossed_norm(trainee.folds)
    settings = replace(job.settings, patience=10**9, shares=1, clip=whole)
    first = planning.first(settings, feed.steps_per_epoch(settings.batch))
    plan = job.plans[0] if job.plans else first
    live = planning.Measured(settings, job.budget, plan.steps, job.after) if job.live else None
    yield from learn(trainee, feed, planning.Replay(job.plans, live), plan, settings=settings, seed=job.seed)


def crossed_norm(folds: int) -> float:
    """The largest norm of gradients of norm 1 beside one another."""
    return float(folds**0.5)


@contextlib.contextmanager
def clipped(module: nn.Module, folds: int, most: float) -> Iterator[None]:
    """Holds the gradient of each fold to a norm of its own as soon as all of it is there.

    Args:
        module: Every parameter of it has the weights of the first fold first, then those of the second.
        folds: How many there are.
        most: The norm; 0 clips nothing.
    """
    params = [param for param in module.parameters() if param.requires_grad]
    there = 0

    def clip(_: Tensor) -> None:
        nonlocal there
        there = (there + 1) % len(params)
        if there:
            return
        slopes = [param.grad.view(folds, -1) for param in params if param.grad is not None]
        norm_S = (
            torch.stack([torch.linalg.vector_norm(slope, dim=1) for slope in slopes]).square().sum(0).sqrt()
        )
        if float(norm_S.max()) > most:
            share_S1 = (most / (norm_S + 1e-6)).clamp(max=1.0).unsqueeze(1)
            for slope in slopes:
                slope.mul_(share_S1)

    some: Any = params if most > 0 else []
    handles = [param.register_post_accumulate_grad_hook(clip) for param in some]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _own_readings(built: Network, common: Inputs, own: Sequence[Inputs]) -> None:
    """Each network reads the cells as the kinds fitted to its training rows do."""
    reading = getattr(built.family, "inputs")  # noqa: B009
    assert isinstance(reading, SeparateInputs)
    for place, (kind, module) in enumerate(zip(common.kinds, reading.each, strict=True)):
        for fold, inputs in enumerate(own):
            facts = kind.against(inputs.kinds[place])
            assert facts is not None
            if isinstance(module, SeparateNumbers):
                module.own(fold, facts, _edges(kind, inputs.kinds[place]))
            elif isinstance(module, SeparateCodes):
                module.own(fold, facts)


def _edges(common: Any, own: Any) -> list[tuple[float, ...]]:
    """Bin edges of a fold's own kind for every number of an example; marks, that it may lack, have none."""
    found = dict(zip(own.field().columns, own.field().edges, strict=True))
    return [found.get(name, ()) for name in common.field().columns]

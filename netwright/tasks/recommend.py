"""What a user takes next: all items ranked after a history, those already taken left out."""

# K = members, B = examples, N = rows, I = items, M = neighbours

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, Choice, Finding, Shape
from netwright.data import ratings
from netwright.data.kinds.item import BEGIN, FIRST, MOST, Item
from netwright.data.kinds.numerals import numbers
from netwright.data.packed import Packed, gather
from netwright.objectives import ease, metrics, rankings
from netwright.tasks import ranking
from netwright.tasks.ranking import MOMENT, SEEN, Clock, Ranker
from netwright.tasks.settings import make
from netwright.tasks.task import AbstractTask, Claim, Rival

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.columns import Inputs
    from netwright.data.table import Rows, Table

RIDGES = (30.0, 100.0, 300.0, 1_000.0)
"""Penalties of the linear item-to-item model that are tried on validation rows."""
NEIGHBOURS = 64
"""Weights of that model that are kept for each item: the largest."""
MIXES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How much those weights may add to the network's scores; chosen on validation rows."""
SELECT = 2_000
"""Validation examples that penalty and mix are chosen on, at most."""
AT_ONCE = 512
SOLVED = 1e-10
"""Seconds that a penalty takes for each item, to the third power."""
HELD = 20
"""Bytes that are held at once for each pair of items."""


class Recommend(AbstractTask):
    """The next item of a history by softmax over all items; measured by the full ranking."""

    name = "recommend"
    rowwise = False
    calibrates = False
    compares = True
    blind_words = ("popular", "the most popular items")

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """What `--set task.NAME=VALUE` may change."""

        metric: str = ""
        """The headline metric; empty: ndcg@10."""
        linear: int = 8_000
        """Items, the most frequent, that the linear item-to-item model knows, 0-20,000; cost: the cube.
        Fewer where the minutes or the memory hold fewer."""
        ridge: float = 0.0
        """Penalty of that model; 0: chosen on validation rows."""
        least: float | None = None
        """Rating from which an interaction is one to recommend; None: all. Lower ones are taken, not wished."""

        def __post_init__(self) -> None:
            """Checks the settings.

            Raises:
                RecipeError: If one is out of range.
            """
            if not 0 <= self.linear <= 20_000:
                raise RecipeError(f"task.linear is {self.linear}.", hint="give 0 to 20,000 items.")
            if not 0 <= self.ridge < math.inf:
                raise RecipeError(f"task.ridge is {self.ridge}.", hint="give a penalty such as 100, or 0.")
            if self.least is not None and not math.isfinite(self.least):
                raise RecipeError(f"task.least is {self.least}.", hint="give a rating, such as 4.")

    def __init__(self, settings: Any) -> None:
        self.columns = ()
        self.settings = settings
        self.outputs = 0
        self.count_I = torch.zeros(0)
        self.clock: Clock | None = None
        self.near: tuple[Tensor, Tensor] | None = None
        self.weights_II: Tensor | None = None
        self.pairs: tuple[Tensor, Tensor] | None = None

    @classmethod
    def claims(cls, target: pl.DataFrame, shape: Shape) -> Claim | None:
        """Users and items."""
        return Claim(strength=90, why="users and items") if shape == "ratings" else None

    @classmethod
    def fit(cls, target: pl.DataFrame, settings: Mapping[str, JSON]) -> Self:
        """An empty task: the items come in `bind`."""
        return cls(make(cls.Settings, settings, "task"))

    def bind(self, inputs: Inputs) -> None:
        """Takes over the items.

        Raises:
            RecipeError: If there is anything but users and items.
        """
        kind = interactions(inputs)
        self.outputs = len(kind.items)
        self.columns = (kind.names["item"],)
        times = " with their times" if "time" in kind.names else ""
        what = (
            f"the model file will hold the identities of {len(kind.items):,} items{times}, and what "
            f"{len(kind.known):,} users took under hashes of their names; short names can be guessed from them"
        )
        done = "items and users with fewer than three training rows are not stored"
        self.findings = (Finding(name="stored", what=what, count=len(kind.known), done=done),)

    def survey(self, table: Table, rows: Rows, inputs: Inputs) -> Sequence[Finding]:
        """Training rows whose item is too rare.

        Raises:
            DataError: If too few rows are to be learned from.
            RecipeError: If ratings are asked for that are not there.
        """
        if self.settings.least is not None and ratings.rating_column(table) is None:
            raise RecipeError(
                f"task.least is {self.settings.least:g}, and {table.source} has no column of ratings.",
                hint="call that column rating, or leave out the setting.",
            )
        known_N = interactions(inputs).codes(table.frame(list(inputs.kinds[0].reads()), rows)) > 0
        left = int((known_N & self._wished(table)[rows]).sum())
        if left < ratings.ENOUGH:
            raise DataError(
                f"{table.source} has {left:,} training rows of items that come three times, rated high enough.",
                hint=f"recommending needs {ratings.ENOUGH} or more: give more, or a lower task.least.",
            )
        rare = int((~known_N).sum())
        what = (
            f"{rare:,} training rows have one of the items that come fewer than three times, or are beyond the "
        )
        what += f"{MOST:,} most frequent"
        done = "such an item is never recommended"
        return (
            (Finding(name="rare items", what=what, where=self.columns[0], count=rare, done=done),)
            if rare
            else ()
        )

    def _wished(self, table: Table) -> npt.NDArray[np.bool_]:
        """(N,) whether a row's item is one to recommend: its rating is high enough, where that was asked."""
        rating = ratings.rating_column(table)
        if self.settings.least is None or rating is None:
            return np.ones(table.height, dtype=np.bool_)
        found: npt.NDArray[np.bool_] = numbers(table.column(rating), comma=False) >= self.settings.least
        return found

    def measurable(self, table: Table, rows: Rows, inputs: Inputs) -> tuple[Rows, Sequence[Finding]]:
        """Leaves out what lacks user, item or time, repeats an earlier row, or is rated below `task.least`."""
        kind, columns = interactions(inputs), list(inputs.kinds[0].reads())
        whole_N, wished_N = kind.usable(table.frame(columns))[rows], self._wished(table)[rows]
        kept = rows[whole_N & wished_N]
        odd, low = int((~whole_N).sum()), int((whole_N & ~wished_N).sum())
        unseen = int((kind.codes(table.frame(columns, kept)) == 0).sum())
        said = (
            ("unusable", odd, "rows lack user, item or time, or repeat a user and item", "not measured"),
            ("low ratings", low, "rows are rated below task.least", "not measured"),
            ("unseen items", unseen, "rows have an item that the model does not know", "they count as errors"),
        )
        return kept, [
            Finding(name=name, what=f"{count:,} {what}", where=self.columns[0], count=count, done=done)
            for name, count, what, done in said
            if count
        ]

    @property
    def metrics(self) -> Sequence[metrics.Metric]:
        """NDCG@10 first."""
        return metrics.lead_by(rankings.RECOMMEND, self.settings.metric or "ndcg@10")

    def examples(
        self, table: Table, rows: Rows, inputs: Inputs, *, learn: bool
    ) -> tuple[Mapping[str, Packed], Packed]:
        """For each row the user's items before it, the moment, and the item: 0 to I - 1, or -1 if not known.

        Rows to learn from look back on one another only, and those whose item is not known are left out. Rows
        to be measured look back on all that the user took earlier.
        """
        kind = interactions(inputs)
        read = rows if learn else np.arange(table.height, dtype=np.int64)
        block = table.frame(list(kind.columns), read)
        code_N, user_N, day_N = kind.codes(block), kind.users(block), kind.days(block)
        wished_N = code_N > 0
        if learn:
            wished_N &= self._wished(table)[rows]
            self._remember(code_N[wished_N], user_N[wished_N], day_N[wished_N], timed="time" in kind.names)
        before = (code_N[:0], code_N[:0]) if learn else kind.recalled(user_N, code_N)
        spans = ranking.histories(
            np.concatenate([before[0], user_N]),
            np.concatenate([np.full(len(before[0]), -np.inf), day_N]),
            np.concatenate([before[1], code_N]),
            kind.longest,
            BEGIN,
        )
        flat, (history_N2, seen_N2) = spans[0], (each[len(before[0]) :] for each in spans[1:])
        chosen = torch.from_numpy(np.flatnonzero(wished_N) if learn else np.asarray(rows, dtype=np.int64))
        made = {
            kind.field().key: Packed(flat, history_N2[chosen]),
            SEEN: Packed(flat, seen_N2[chosen]),
        }
        if self.clock:
            made[MOMENT] = Packed(self.clock.at(day_N[chosen.numpy()]))
        target_N = torch.from_numpy(code_N)[chosen]
        return made, Packed(torch.where(target_N > 0, target_N - FIRST, -1))

    def _remember(self, code_N: Any, user_N: Any, day_N: Any, *, timed: bool) -> None:
        """Counts, clock and pairs of the training rows to learn from."""
        item_E = code_N - FIRST
        self.count_I = torch.from_numpy(np.bincount(item_E, minlength=self.outputs)).float()
        self.clock = Clock(item_E, day_N, self.outputs) if timed else None
        self.pairs = torch.from_numpy(user_N), torch.from_numpy(item_E)

    def head(self, width: int, members: int) -> nn.Module:
        """From features (K, B, D) to scores (K, B, I)."""
        return Ranker(members, width, torch.log1p(self.count_I), self.clock, self.near)

    def study(
        self, inputs: Mapping[str, Packed], target: Packed, *, seconds: float, memory: int
    ) -> Mapping[str, Choice]:
        """Solves the linear item-to-item model, its penalty chosen on validation rows; keeps large weights."""
        most = min(self.outputs, self.settings.linear)
        size = int(min(most, (seconds / SOLVED) ** (1 / 3), (memory / HELD) ** 0.5))
        why = "the minutes and the memory hold no more"
        chosen = {"task.linear": Choice(value=size, why=why)} if size < most else {}
        ridges = (self.settings.ridge,) if self.settings.ridge else RIDGES
        if len(ridges) * SOLVED * size**3 > seconds and len(ridges) > 1:
            ridges = RIDGES[1:2]
            chosen["task.ridge"] = Choice(value=ridges[0], why="the minutes do not hold a choice among several")
        if self.pairs is None or not size:
            return chosen
        users, items = self.pairs
        gram_II = ease.gram(users[items < size], items[items < size], size)
        inputs, target = _some(inputs, target)
        best = -1.0
        for ridge in ridges if len(target) else ridges[:2][-1:]:
            weights_II = ease.weights(gram_II, ridge)
            score = self._score(
                self._ranks(inputs, target, lambda given, w=weights_II: linear(given, w, self.outputs))
            )
            if score > best or self.weights_II is None:
                best, self.weights_II = score, weights_II
        assert self.weights_II is not None
        says, near = self.weights_II.topk(min(NEIGHBOURS, size), dim=1)
        rest = (0, 0, 0, self.outputs - size)  # rarer items say nothing
        self.near = nn.functional.pad(near, rest), nn.functional.pad(says, rest)
        return chosen

    def settle(self, network: nn.Module, inputs: Mapping[str, Packed], target: Packed) -> Mapping[str, Choice]:
        """Lets the linear item-to-item weights add to the scores, as much as helps on validation rows."""
        head: Any = network.head
        if self.near is None or not len(target):
            return {}
        network.eval()
        inputs, target = _some(inputs, target)
        scores = []
        with torch.inference_mode():
            for mix in MIXES:
                head.mix.fill_(mix)
                scores.append(self._score(self._ranks(inputs, target, lambda given: network(given).mean(0))))
            best = max(range(len(MIXES)), key=lambda place: (scores[place], -place))
            head.mix.fill_(MIXES[best])
        why = f"{self.metrics[0].name} on validation rows: {scores[best]:.4g}, without {scores[0]:.4g}"
        return {"neighbours": Choice(value=MIXES[best], why=why, by="measured")}

    def loss(self, output_KBO: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy over all items of each member, averaged over members: (B,)."""
        members = output_KBO.shape[0]
        nats = nn.functional.cross_entropy(
            output_KBO.flatten(0, 1), target.repeat(members), reduction="none", ignore_index=-1
        )
        return nats.view(members, -1).mean(0)

    def condense(self, output: Tensor, target: Tensor) -> Tensor:
        """(1, B, 2) nats of the item that came, and its rank."""
        rank_B = ranking.rank(output.mean(0), target)
        return torch.stack([self.loss(output, target).double(), rank_B], dim=1).unsqueeze(0)

    def watch(self, output_KBO: Tensor, target: Tensor) -> dict[str, float]:
        """Nats an item that is known, and the headline."""
        known = target >= 0
        loss = float(output_KBO[0, known.cpu(), 0].mean()) if bool(known.any()) else 0.0
        return {"loss": loss, "score": self.metrics[0].reduce(self.statistics(output_KBO, target))}

    def calibrate(self, output_KBO: Tensor, target: Tensor) -> Self:
        """The task as it is: a softmax over all items is calibrated as it stands."""
        return self

    def answer(
        self,
        output_KBO: Tensor,
        *,
        top: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> pl.DataFrame:
        """Nats and rank of each example."""
        return self.statistics(output_KBO, output_KBO)

    def statistics(self, output_KBO: Tensor, target: Tensor) -> pl.DataFrame:
        """Columns `nats` and `rank`, a row an example."""
        import polars as pl

        values = output_KBO[0].double().cpu().numpy()
        return pl.DataFrame({"nats": values[:, 0], "rank": values[:, 1]})

    def encode(self, target: pl.DataFrame) -> Tensor:
        """Nothing: the items are read with the histories."""
        return torch.zeros(target.height)

    def simplest(self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs) -> Rival:
        """The most popular items."""
        return self.beside(seen, target)[0]

    def beside(self, inputs: Mapping[str, Packed], target: Packed) -> list[Rival]:
        """The most popular items, the linear item-to-item model, and what was popular in the week before."""
        count_I = self.count_I

        def popular(given: Mapping[str, Tensor]) -> Tensor:
            return count_I.expand(len(given[SEEN]), -1).masked_fill(
                ranking.taken(given[SEEN], self.outputs), -1.0
            )

        found = [Rival(*self.blind_words, self._frame(self._ranks(inputs, target, popular)))]
        weights_II, clock = self.weights_II, self.clock
        if weights_II is not None:
            ranks_N = self._ranks(inputs, target, lambda given: linear(given, weights_II, self.outputs))
            found.append(Rival("ease", "items by the items taken, linearly (EASE)", self._frame(ranks_N)))
        if clock is not None:

            def recent(given: Mapping[str, Tensor]) -> Tensor:
                heat_BI = clock.heat_SWI[given[MOMENT], ranking.WEEK].float()
                return heat_BI.masked_fill(ranking.taken(given[SEEN], self.outputs), -1.0)

            words = "the most popular items of the 7 days before"
            found.append(Rival("recent", words, self._frame(self._ranks(inputs, target, recent))))
        return found

    def _ranks(self, inputs: Mapping[str, Packed], target: Packed, score: Any) -> Tensor:
        """(N,) rank of each target by a function from a batch's inputs to scores."""
        found = [torch.zeros(0, dtype=torch.float64)]
        for rows_B in torch.split(torch.arange(len(target)), AT_ONCE):
            found.append(ranking.rank(score(gather(inputs, rows_B)), target.take(rows_B)))
        return torch.cat(found)

    def _frame(self, ranks_N: Tensor) -> pl.DataFrame:
        import polars as pl

        return pl.DataFrame({"rank": ranks_N.numpy()})

    def _score(self, ranks_N: Tensor) -> float:
        return float(self.metrics[0].reduce(self._frame(ranks_N)))

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Settings; counts, the events that the clock counts, and the linear weights that are kept."""
        tensors = {"counts": self.count_I}
        if self.clock:
            tensors["items"] = torch.from_numpy(self.clock.item_E.astype(np.int32))
            tensors["days"] = torch.from_numpy(self.clock.day_E)
        if self.near:
            tensors["near"], tensors["says"] = self.near[0].to(torch.int32), self.near[1]
        return {"settings": asdict(self.settings), "columns": list(self.columns)}, tensors

    @classmethod
    def restore(cls, facts: Any, tensors: Mapping[str, Tensor]) -> Self:
        """The fitted task again.

        Raises:
            BundleError: If the facts are not what `state` writes.
        """
        try:
            task = cls(make(cls.Settings, facts["settings"], "task"))
            task.columns = tuple(str(name) for name in facts["columns"])
            task.count_I = tensors["counts"]
            task.outputs = len(task.count_I)
            if "days" in tensors:
                items, days = _items(tensors["items"], task.outputs), _finite(tensors["days"])
                if items.ndim != 1 or items.shape != days.shape:
                    raise ValueError("its events have no moment each")
                task.clock = Clock(items.numpy(), days.numpy(), task.outputs)
            if "near" in tensors:
                task.near = _items(tensors["near"], task.outputs), _finite(tensors["says"])
        except (KeyError, TypeError, ValueError, RecipeError, RuntimeError, IndexError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        _check(task)
        return task


def linear(given: Mapping[str, Tensor], weights_II: Tensor, items: int) -> Tensor:
    """(B, items) what a linear item-to-item model says to histories; items already taken come last."""
    taken_BI = ranking.taken(given[SEEN], items)
    there_2N = taken_BI[:, : len(weights_II)].nonzero().T
    size, ones = (len(taken_BI), len(weights_II)), torch.ones(there_2N.shape[1])
    x_BI = torch.sparse_coo_tensor(there_2N, ones, size, check_invariants=True)
    scores_BI = torch.sparse.mm(x_BI, weights_II)
    rarer = (0, items - len(weights_II))
    return nn.functional.pad(scores_BI, rarer).masked_fill(taken_BI, ranking.BEFORE)


def interactions(inputs: Inputs) -> Item:
    """The one kind that recommending works on.

    Raises:
        RecipeError: If there is anything else.
    """
    kinds = inputs.kinds
    if len(kinds) != 1 or not isinstance(kinds[0], Item):
        raise RecipeError(
            "recommending learns from users, items and times, and nothing beside them.",
            hint="give a table with columns user, item and, if there is one, time.",
        )
    return kinds[0]


def _some(inputs: Mapping[str, Packed], target: Packed) -> tuple[Mapping[str, Packed], Packed]:
    """So many examples, evenly spaced, as choices are made on."""
    rows = torch.linspace(0, len(target) - 1, min(SELECT, len(target))).long()
    return {key: packed.some(rows) for key, packed in inputs.items()}, target.some(rows)


def _items(found: Tensor, count: int) -> Tensor:
    """Items within bounds, as int64."""
    if found.dtype != torch.int32 or not len(found) or int(found.min()) < 0 or int(found.max()) >= count:
        raise ValueError("an item is out of bounds")
    return found.long()


def _finite(found: Tensor) -> Tensor:
    if not found.is_floating_point() or not bool(torch.isfinite(found).all()):
        raise ValueError("a number is not finite")
    return found


def _check(task: Recommend) -> None:
    good = task.count_I.ndim == 1 and task.count_I.dtype == torch.float32 and task.outputs >= 1
    good = good and bool(((task.count_I >= 0) & (task.count_I < torch.inf)).all())
    if task.near:
        good = good and task.near[0].ndim == 2 and task.near[0].shape == task.near[1].shape
        good = good and len(task.near[0]) == task.outputs and task.near[0].shape[1] <= NEIGHBOURS
    if not good:
        raise BundleError("the model's counts and weights do not fit together.")

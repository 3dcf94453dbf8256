"""What a user takes next: all items ranked after a history, those already taken left out."""

# K = members, B = examples, N = rows, I = items, M = neighbours

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import JSON, LENGTHS, Choice, Finding, Shape
from netwright.data import ratings
from netwright.data.kinds.item import BEGIN, FIRST, MOST, interactions, usable
from netwright.data.kinds.numerals import numbers
from netwright.data.packed import Packed
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
PULLS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How much the demand of the week may add to them beyond what was learned; chosen there too."""
SOLVED = 1e-10
"""Seconds that a penalty takes for each item, to the third power."""
HELD = 20
"""Bytes that are held at once for each pair of items."""


class Recommend(AbstractTask):
    """The next item of a history by softmax over all items; measured by the full ranking."""

    name = "recommend"
    rowwise = False
    calibrates = False
    linear = False
    seconds_an_answer = 1.5e-3
    takes = ("top",)

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
        timed = ", when each was taken," if "time" in kind.names else ""
        what = f"the model file will hold the identities of {len(kind.items):,} items{timed} and what "
        what += f"{len(kind.known):,} users took, under hashes of their names: short names can be guessed"
        done = "items and users with fewer than three training rows are not stored"
        self.findings = (Finding(name="stored", what=what, count=len(kind.known), done=done),)

    def fits(self, inputs: Inputs) -> bool:
        """Whether there is an output an item."""
        return len(interactions(inputs).items) == self.outputs

    def trial(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """One who has taken the last item, at the first moment."""
        seen = {SEEN: torch.tensor([[BEGIN, FIRST + self.outputs - 1]]), SEEN + LENGTHS: torch.tensor([2])}
        return {**inputs, **seen, **({MOMENT: torch.zeros(1, dtype=torch.int64)} if self.clock else {})}

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
        known_N = interactions(inputs).codes(table.frame(inputs.kinds[0].reads(), rows)) > 0
        left = int((known_N & self._wished(table)[rows]).sum())
        if left < ratings.ENOUGH:
            raise DataError(
                f"{table.source} has {left:,} training rows of known items that are rated high enough.",
                hint=f"recommending needs {ratings.ENOUGH} or more: give more, or a lower task.least.",
            )
        said: list[Finding] = []
        words = (f"training rows have an item that is rare, or not of the first {MOST:,}", "not learned")
        ratings.say(said, self.columns[0], "rare items", int((~known_N).sum()), words)
        return said

    def measurable(self, table: Table, rows: Rows, inputs: Inputs) -> tuple[Rows, Sequence[Finding]]:
        """Leaves out what lacks user, item or time, repeats an earlier row, or is rated below `task.least`."""
        kind, columns = interactions(inputs), inputs.kinds[0].reads()
        whole_N, wished_N = usable(kind, table.frame(columns))[rows], self._wished(table)[rows]
        kept = rows[whole_N & wished_N]
        unseen = int((kind.codes(table.frame(columns, kept)) == 0).sum())
        said: list[Finding] = []
        for name, count, *words in (
            ("unusable", (~whole_N).sum(), "rows lack user, item or time, or repeat a pair", "not measured"),
            ("low ratings", (whole_N & ~wished_N).sum(), "rows are rated below task.least", "not measured"),
            (
                "unseen items",
                unseen,
                "measured rows have an item the model does not know",
                "they count as errors",
            ),
        ):
            ratings.say(said, self.columns[0], name, int(count), words)
        return kept, said

    def _wished(self, table: Table) -> npt.NDArray[np.bool_]:
        """(N,) whether a row's item is one to recommend: its rating is high enough, where that was asked."""
        rating = ratings.rating_column(table)
        if self.settings.least is None or rating is None:
            return np.ones(table.height, dtype=np.bool_)
        return np.asarray(numbers(table.column(rating), comma=False) >= self.settings.least)

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
        earlier = np.full(len(before[0]), -np.inf)
        known = zip((before[0], earlier, before[1]), (user_N, day_N, code_N), strict=True)
        users, days, codes = (np.concatenate(each) for each in known)
        spans = ranking.histories(users, days, codes, kind.longest, BEGIN)
        flat, (history_N2, seen_N2) = spans[0], (each[len(before[0]) :] for each in spans[1:])
        chosen = torch.from_numpy(np.flatnonzero(wished_N) if learn else np.asarray(rows, dtype=np.int64))
        made = {kind.field().key: Packed(flat, history_N2[chosen]), SEEN: Packed(flat, seen_N2[chosen])}
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
        inputs, target = ranking.some(inputs, target)
        best = -1.0
        for ridge in ridges if len(target) else ridges[:2][-1:]:
            weights_II = ease.weights(gram_II, ridge)
            score = self._score(ranking.ranks(inputs, target, self._linear(weights_II), self.outputs))
            if score > best or self.weights_II is None:
                best, self.weights_II = score, weights_II
        assert self.weights_II is not None
        says, near = self.weights_II.topk(min(NEIGHBOURS, size), dim=1)
        rest = (0, 0, 0, self.outputs - size)  # rarer items say nothing
        self.near = nn.functional.pad(near, rest), nn.functional.pad(says, rest)
        return chosen

    def settle(self, network: nn.Module, inputs: Mapping[str, Packed], target: Packed) -> Mapping[str, Choice]:
        """Lets linear item-to-item weights and the week's demand add as much as helps on validation rows."""
        if not len(target):
            return {}
        head: Any = network.head
        network.eval()
        rows, judge = ranking.some(inputs, target), (self.metrics[0].name, self._score)
        chosen, clock = {}, self.clock
        if self.near is not None:
            chosen["neighbours"] = ranking.settled(
                network, head.mix, head.neighbours, values=MIXES, rows=rows, judge=judge
            )
        if clock is not None:
            chosen["demand"] = ranking.settled(
                network, head.pull, clock.week, values=PULLS, rows=rows, judge=judge
            )
        return chosen

    def take_in(self, network: nn.Module, table: Table, rows: Rows, inputs: Inputs) -> Mapping[str, Choice]:
        """Counts what was taken in the validation rows too: demand is of the days before, and they are late."""
        if self.clock is None or not len(rows):
            return {}
        kind, head = interactions(inputs), network.get_submodule("head")
        block = table.frame(list(kind.columns), rows)
        code_N, day_N = kind.codes(block), kind.days(block)
        counted_N = (code_N > 0) & self._wished(table)[rows]
        self.clock = self.clock.going_on(code_N[counted_N] - FIRST, day_N[counted_N])
        head.register_buffer("heat_SWI", self.clock.heat_SWI, persistent=False)
        why = "interactions of validation rows are demand too, for what came after each of them"
        return {"counted": Choice(value=int(counted_N.sum()), why=why, by="measured")}

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
        loss = float(output_KBO[0, known.cpu(), 0].mean()) if bool(known.any()) else metrics.NAN
        return {"loss": loss, "score": self.metrics[0].reduce(self.statistics(output_KBO, Packed(target)))}

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
        return self.statistics(output_KBO, Packed(output_KBO[0]))

    def statistics(self, output_KBO: Tensor, target: Packed) -> pl.DataFrame:
        """Columns `nats` and `rank`, a row an example."""
        import polars as pl

        values = output_KBO[0].double().cpu().numpy()
        return pl.DataFrame({"nats": values[:, 0], "rank": values[:, 1]})

    def encode(self, target: pl.DataFrame) -> Tensor:
        """Nothing: the items are read with the histories."""
        return torch.zeros(target.height)

    def rivals(
        self, train: Packed, target: Packed, seen: Mapping[str, Packed], inputs: Inputs
    ) -> Iterator[Rival]:
        """The most popular items, the linear item-to-item model, and what was popular in the week before."""
        count_I, weights_II, clock = self.count_I, self.weights_II, self.clock

        def ranked(name: str, words: str, score: ranking.Score) -> Rival:
            return Rival(name, words, self._frame(ranking.ranks(seen, target, score, self.outputs)))

        yield ranked("popular", "the most popular items", lambda given: count_I.expand(len(given[SEEN]), -1))
        if weights_II is not None:
            yield ranked("ease", "items by the items taken, linearly (EASE)", self._linear(weights_II))
        if clock is not None:
            words = "the most popular items of the 7 days before"
            yield ranked("recent", words, clock.week)

    def _linear(self, weights_II: Tensor) -> ranking.Score:
        return lambda given: ranking.linear(given[SEEN], weights_II, self.outputs)

    def _frame(self, ranks_N: Tensor) -> pl.DataFrame:
        import polars as pl

        return pl.DataFrame({"rank": ranks_N.numpy()})

    def _score(self, ranks_N: Tensor) -> float:
        return float(self.metrics[0].reduce(self._frame(ranks_N)))

    def state(self) -> tuple[JSON, Mapping[str, Tensor]]:
        """Settings; counts, the events that the clock counts, and the linear weights that are kept."""
        tensors = {"counts": self.count_I, **(self.clock.tensors() if self.clock else {})}
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
            task.clock = Clock.restore(tensors, task.outputs) if "days" in tensors else None
            if "near" in tensors:
                near = ranking.items_within(tensors["near"], task.outputs)
                task.near = near, ranking.finite(tensors["says"])
        except (KeyError, TypeError, ValueError, RecipeError, RuntimeError, IndexError) as error:
            raise BundleError(f"the model's task cannot be read: {error}.") from error
        if not task._agrees():
            raise BundleError("the model's counts and weights do not fit together.")
        return task

    def _agrees(self) -> bool:
        """Whether counts and weights are of one shape, and none is out of range."""
        good = self.count_I.ndim == 1 and self.count_I.dtype == torch.float32 and self.outputs >= 1
        good = good and bool(((self.count_I >= 0) & (self.count_I < torch.inf)).all())
        if not self.near:
            return good
        near, says = self.near
        good = good and near.ndim == 2 and near.shape == says.shape and len(near) == self.outputs
        return good and near.shape[1] <= NEIGHBOURS

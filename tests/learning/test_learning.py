"""What must be true of learning: plans, schedules, exact resume, roll-back, halving, replay."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.base.errors import LearningError
from netwright.base.schema import Event, Plan
from netwright.data.batches import TensorFeed
from netwright.data.packed import Packed
from netwright.learning import checkpoint, machine, planning, schedules
from netwright.learning.loop import learn
from netwright.learning.optimizers import AdamW, Muon, Optimizers, clip, orthogonal
from netwright.learning.sharing import may_draw
from netwright.learning.stopping import History
from netwright.learning.trainee import Settings
from netwright.modules import ModuleTrainee

SETTINGS = Settings(batch=32, epochs=6, lr=0.01, evaluations=10, patience=100)


def problem(rows: int = 320) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 4, generator=generator)
    return x, torch.randn(rows, 1, generator=generator)  # noise: learning must end by overfitting


def rowwise(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean(1)


def make_trainee() -> ModuleTrainee:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    x, y = problem()
    return ModuleTrainee(module, rowwise, x[:64], y[:64])


def make_feed() -> TensorFeed:
    x, y = problem()
    return TensorFeed(inputs={"x": Packed(x[64:])}, target=Packed(y[64:]), seed=3)


def run(
    settings: Settings = SETTINGS,
    *,
    trainee: ModuleTrainee | None = None,
    planner: planning.Planner | None = None,
    plan: Plan | None = None,
    resume: checkpoint.Checkpoint | None = None,
    folder: Path | None = None,
    stop_at: int | None = None,
) -> tuple[ModuleTrainee, list[Event]]:
    trainee = trainee or make_trainee()
    feed = make_feed()
    plan = plan or planning.first(settings, feed.steps_per_epoch(settings.batch))
    planner = planner or planning.Measured(settings, None, plan.steps)
    events = []
    with machine.arithmetic(1):
        for event in learn(
            trainee, feed, planner, plan, settings=settings, seed=5, resume=resume, folder=folder
        ):
            events.append(event)
            if stop_at is not None and event.step >= stop_at:
                break
    return trainee, events


class Plain(nn.Sequential):
    """Nothing in it is drawn at random."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))


def plain() -> ModuleTrainee:
    torch.manual_seed(1)
    x, y = problem()
    return ModuleTrainee(Plain(), rowwise, x[:64], y[:64])


def test_two_shares_learn_what_the_whole_batch_teaches_and_the_same_bits_again() -> None:
    whole, _ = run(trainee=plain())
    parts, again = (run(replace(SETTINGS, shares=2), trainee=plain())[0] for _ in range(2))
    assert same(parts.module, again.module)
    for a, b in zip(whole.module.parameters(), parts.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_what_draws_at_random_is_learned_as_a_whole() -> None:
    assert same(run()[0].module, run(replace(SETTINGS, shares=2))[0].module)


def bits(module: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in module.state_dict().values()]


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(bits(first), bits(second), strict=True))


def test_the_same_seed_gives_the_same_bits() -> None:
    assert same(run()[0].module, run()[0].module)


@pytest.mark.parametrize("stop_at", [5, 17, 30, 44])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(
    stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run()
    monkeypatch.setattr("netwright.learning.checkpoint.Saver.offer", lambda s, now: s.save(now()))
    run(folder=tmp_path, stop_at=stop_at)
    found = checkpoint.load(tmp_path)
    assert found is not None and 0 < found.step <= stop_at
    resumed, events = run(resume=found, plan=found.plan)
    assert same(whole.module, resumed.module)
    assert events[0].step > found.step


def test_a_table_that_no_file_keeps_is_neither_averaged_nor_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.learning.checkpoint.Saver.offer", lambda s, now: s.save(now()))
    trainee = make_trainee()
    trainee.module.register_buffer("table", torch.ones(77), persistent=False)
    run(trainee=trainee, folder=tmp_path, stop_at=17)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert not [name for name, tensor in found.tensors.items() if tensor.shape == (77,)]


def test_replayed_plans_give_the_bits_of_the_run_that_made_them() -> None:
    settings = replace(SETTINGS, epochs=100, patience=4, evaluations=50)
    first, events = run(settings)
    plans = [checkpoint.plan_from(dict(each.data)) for each in events if each.type == "plan"]
    assert len(plans) > 1, "patience must have revised the plan"
    second, _ = run(settings, plan=plans[0], planner=planning.Replay(plans[1:]))
    assert same(first.module, second.module)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    plan = planning.first(replace(SETTINGS, epochs=100, warmup=0.1, decay=0.5), 10)
    rates = [schedules.rate(step, plan) for step in range(plan.steps + 1)]
    assert rates[0] == pytest.approx(1 / plan.warmup)
    assert max(rates) == 1.0
    assert rates[-1] == 0.0
    assert all(a >= b for a, b in itertools.pairwise(rates[plan.decay_from :]))


def test_time_shortens_a_plan_and_never_makes_it_longer_than_enough() -> None:
    plan = planning.first(replace(SETTINGS, epochs=100), 10)
    planner = planning.Measured(replace(SETTINGS, epochs=100), 1.0, plan.steps)
    seen = [plan]
    for step in range(1, 200):
        revised = planner.next(seen[-1], planning.Progress(step, step * 0.01, History()))
        seen += [revised] if revised else []
    assert 90 <= seen[-1].steps <= 110, "a second holds a hundred steps of 10 ms"
    assert all(each.steps <= plan.steps for each in seen)


def test_a_loss_that_draws_is_the_same_again_beside_a_network_that_does_not() -> None:
    def loss(out: Tensor, target: Tensor) -> Tensor:
        return rowwise(out + torch.rand(1), target)

    def learned(drawn_before: int) -> nn.Module:
        torch.manual_seed(1)
        module, (x, y) = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1)), problem()
        assert not may_draw(module)
        torch.rand(drawn_before)
        return run(trainee=ModuleTrainee(module, loss, x[:64], y[:64]))[0].module

    assert same(learned(0), learned(3))


def test_arithmetic_gives_back_what_it_changes() -> None:
    deterministic: Any = torch.utils.deterministic
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with machine.arithmetic(1):
        assert torch.get_deterministic_debug_mode() == 2
        assert not deterministic.fill_uninitialized_memory, "results would be written twice"
        torch.rand(3)
    assert deterministic.fill_uninitialized_memory
    assert torch.get_deterministic_debug_mode() == 0
    assert torch.equal(before, torch.get_rng_state())


def test_the_clock_is_looked_at_by_time_and_not_by_steps() -> None:
    settings = replace(SETTINGS, epochs=10_000)
    plan = planning.first(settings, 10)
    planner, asked = planning.Measured(settings, 10.0, plan.steps), 0
    for step in range(1, 10_000):
        if planner.due(step):
            asked += 1
            plan = planner.next(plan, planning.Progress(step, step * 1e-3, History())) or plan
    assert 9_500 <= plan.steps <= 10_500
    assert asked < 1_000, "ten seconds, of which each fiftieth part is looked at a few times"
    assert not planning.Measured(settings, None, plan.steps).due(5), "no clock"


def test_where_enough_is_less_than_the_minutes_no_plan_is_made() -> None:
    plan = planning.first(replace(SETTINGS, epochs=10), 10)
    planner = planning.Measured(SETTINGS, 1e6, plan.steps)
    progress = (planning.Progress(step, step * 0.01, History()) for step in range(1, 100))
    assert all(planner.next(plan, each) is None for each in progress)


def test_patience_cools_down_and_stops() -> None:
    _, events = run(replace(SETTINGS, epochs=200, patience=3, evaluations=100))
    assert events[-1].type == "stop"
    assert events[-1].step < 200 * make_feed().steps_per_epoch(32)


def test_a_loss_that_is_not_finite_rolls_back_and_halves_the_rate() -> None:
    trainee = make_trainee()
    calls = itertools.count()
    plain = trainee.loss

    def poisoned(batch: object) -> Tensor:
        loss = plain(batch)  # type: ignore[arg-type]
        return loss * math.nan if next(calls) == 10 else loss

    trainee.loss = poisoned  # type: ignore[method-assign]
    _, events = run(trainee=trainee)
    plans = [event for event in events if event.type == "plan"]
    assert [event.type for event in events].count("trouble") == 1
    assert plans[-1].data["segment"]["rate"] == 0.5
    assert all(torch.isfinite(tensor).all() for tensor in bits(trainee.module))


def test_a_loss_that_is_never_finite_ends_with_advice() -> None:
    trainee = make_trainee()
    plain = trainee.loss
    trainee.loss = lambda batch: plain(batch) * math.nan  # type: ignore[method-assign]
    with pytest.raises(LearningError, match="not finite"):
        run(trainee=trainee)


def test_out_of_memory_halves_what_is_taken_at_once_and_learns_the_same() -> None:
    trainee = make_trainee()
    trainee.module[2] = nn.Dropout(0.0)  # type: ignore[index]
    whole = make_trainee()
    whole.module[2] = nn.Dropout(0.0)  # type: ignore[index]
    plain = trainee.loss

    def scarce(batch: object) -> Tensor:
        if len(batch.example_B) > 16:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return plain(batch)  # type: ignore[arg-type]

    trainee.loss = scarce  # type: ignore[method-assign]
    run(trainee=trainee)
    run(trainee=whole)
    for a, b in zip(bits(trainee.module), bits(whole.module), strict=True):
        # sums in another order: float32 rounding, amplified by 48 steps of Adam
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


def test_a_warm_up_is_shortened_with_its_plan() -> None:
    settings = replace(SETTINGS, epochs=1000, warmup=0.02)
    plan = planning.first(settings, 10)
    assert plan.warmup == 200
    shorter = planning.stretch(plan, settings, 10, 500, why="the clock")
    assert shorter.warmup == 20, "the rate may jump to half, and no further"
    assert planning.stretch(plan, settings, 2, 500, why="the clock").warmup == 10
    assert planning.stretch(shorter, settings, 50, 1000, why="the clock").warmup == 20, "what is over is over"


def test_maps_in_one_matrix_are_stepped_as_if_they_were_apart() -> None:
    torch.manual_seed(0)
    whole, gradient = nn.Parameter(torch.randn(12, 5)), torch.randn(12, 5)
    apart = [nn.Parameter(each.clone()) for each in whole.detach().chunk(3)]
    whole.grad = gradient
    for each, own in zip(apart, gradient.chunk(3), strict=True):
        each.grad = own.clone()
    Muon([whole], lr=0.1, parts={id(whole): 3}).step()
    Muon(apart, lr=0.1).step()
    torch.testing.assert_close(whole, torch.cat(apart))


def test_embeddings_have_a_rate_of_their_own() -> None:
    module = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4))
    optimizers = Optimizers(module, replace(SETTINGS, embedding_lr=0.5, lr=0.01))
    before = bits(module)
    module(torch.arange(7)).square().sum().backward()
    optimizers.step(1.0)
    moved = [float((a - b).abs().max()) for a, b in zip(bits(module), before, strict=True)]
    assert moved[0] == pytest.approx(0.5, rel=1e-2), "the first step of Adam is the rate"
    assert max(moved[1:]) < 0.02


def test_a_muon_direction_has_singular_values_near_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 20), steps=6))
    # the quintic of Jordan et al. brings them to 0.7-1.2, not to 1
    assert values.min() > 0.5
    assert values.max() < 1.3


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_optimizer_state_survives_its_tensors(kind: str) -> None:
    settings = replace(SETTINGS, optimizer=kind)
    module = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))

    def step(optimizers: Optimizers) -> None:
        torch.manual_seed(7)
        module(torch.randn(4, 3)).square().sum().backward()
        optimizers.step(1.0)

    first = Optimizers(module, settings)
    step(first)
    weights, tensors = bits(module), {k: v.clone() for k, v in first.tensors().items()}
    step(first)
    expected = bits(module)
    for tensor, before in zip(module.state_dict().values(), weights, strict=True):
        tensor.copy_(before)
    second = Optimizers(module, settings)
    second.load(tensors)
    step(second)
    assert all(torch.equal(a, b) for a, b in zip(bits(module), expected, strict=True))
    assert any(isinstance(each, Muon) for each in second.each) == (kind == "muon")


def test_order_is_a_function_of_seed_and_epoch_and_covers_every_row() -> None:
    feed = make_feed()
    first, again, other = (torch.cat(list(feed.order(e, 32))) for e in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert sorted(first.tolist()) == list(range(256))


def test_memory_is_measured_on_the_longest_examples() -> None:
    lengths = torch.tensor([1] * 50 + [400] * 50)  # sorted by length, as word lists often are
    spans = torch.stack([torch.zeros(100, dtype=torch.int64), lengths], dim=1)
    feed = TensorFeed(inputs={"text": Packed(torch.ones(400, 1), spans)})
    batch = feed.take(feed.longest(8))
    assert batch.inputs["text"].shape == (8, 400, 1)
    assert TensorFeed(inputs={"x": Packed(torch.ones(5, 2))}).longest(8).tolist() == [0, 1, 2, 3, 4]


def test_what_is_measured_after_learning_shortens_it_by_what_an_evaluation_took() -> None:
    settings = replace(SETTINGS, epochs=100, evaluations=4)
    plan = planning.first(settings, 10)
    after = planning.After(guess=0.1, examples=300, watched=100, most=0.8)

    def fits(look: float) -> int:
        planner = planning.Measured(settings, 2.0, plan.steps, after)
        seen = [plan]
        for step in range(1, 110):
            looks = int(step > 20)
            seconds = step * 0.01 + looks * look
            revised = planner.next(
                seen[-1], planning.Progress(step, seconds, History(), looks=looks, looking=look * looks)
            )
            seen += [revised] if revised else []
        return seen[-1].steps

    assert 185 <= fits(0.0) <= 195, "a guess of .1 s is kept of 2 s"
    assert 140 <= fits(0.1) <= 165, "three evaluations' worth of .1 s, and up to .2 s of evaluations"
    assert 65 <= fits(0.4) <= 85, "never more than .8 s is kept"


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_takes_the_steps_of_torch_bit_for_bit(decay: float) -> None:
    torch.manual_seed(0)
    ours, theirs = ([torch.randn(4, 3, requires_grad=True) for _ in range(2)] for _ in range(2))
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            b.copy_(a)
    rate, betas = 0.01, (0.8, 0.95)
    mine = AdamW([{"params": ours, "weight_decay": decay}], lr=rate, betas=betas)
    torchs = torch.optim.AdamW([{"params": theirs, "weight_decay": decay}], lr=rate, betas=betas, fused=True)
    for _ in range(20):
        slopes = [torch.randn(4, 3), torch.randn(4, 3)]
        for params in (ours, theirs):
            for param, slope in zip(params, slopes, strict=True):
                param.grad = slope.clone()
        for optimizer in (mine, torchs):
            optimizer.step()
            optimizer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_learning_does_not_import_the_compiler() -> None:
    code = "import sys; from netwright import build; "
    code += "build.fit({'a': [.1, .7, .3] * 20, 'y': [0, 1] * 30}, target='y', set={'learning.epochs': 1}); "
    code += "sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def sparse(rows: list[int], values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, shape, check_invariants=True)


def test_of_a_sparse_slope_its_rows_alone_move_and_as_adam_moves_them() -> None:
    table = torch.nn.Parameter(torch.randn(6, 3))
    some, before = torch.nn.Parameter(table.detach()[[1, 4]].clone()), table.detach().clone()
    settings: dict[str, Any] = {"lr": 0.1, "betas": (0.9, 0.95)}
    ours = AdamW([{"params": [table], "weight_decay": 0.2}], **settings)
    theirs = torch.optim.AdamW([{"params": [some], "weight_decay": 0.2}], fused=True, **settings)
    for step in range(4):
        slope = torch.randn(2, 3)
        table.grad = sparse([4, 1], slope.flip(0), (6, 3))
        some.grad = slope
        ours.step()
        theirs.step()
        torch.testing.assert_close(table[[1, 4]], some, msg=f"step {step}")
    rest = [0, 2, 3, 5]
    assert torch.equal(table[rest], before[rest])
    again = AdamW([{"params": [table], "weight_decay": 0.2}], **settings)
    again.load_state_dict(ours.state_dict())
    table.grad, some.grad = sparse([1, 4], slope, (6, 3)), slope
    again.step()
    theirs.step()
    torch.testing.assert_close(table[[1, 4]], some)


def test_clipping_counts_sparse_slopes_and_is_torchs() -> None:
    slopes = [torch.randn(5, 2), torch.randn(3)]
    ours, theirs = ([torch.nn.Parameter(torch.zeros_like(each)) for each in slopes] for _ in range(2))
    for params in (ours, theirs):
        for param, slope in zip(params, slopes, strict=True):
            param.grad = slope.clone()
    twice = torch.cat([0.25 * slopes[0], 0.75 * slopes[0]])  # rows that stand twice are summed first
    ours[0].grad = sparse([*range(5), *range(5)], twice, (5, 2))
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    torch.testing.assert_close(clip([*ours, torch.nn.Parameter(torch.zeros(2))], 0.5), norm)
    for one, other in zip(ours, theirs, strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad.to_dense(), other.grad)


def test_torchs_own_optimizer_takes_sparse_slopes_too() -> None:
    class Double(torch.nn.Module):
        looked_up = "table"

        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Parameter(torch.ones(4, 2))
            self.other = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))

    module = Double()
    optimizers = Optimizers(module, SETTINGS)
    module.table.grad = sparse([2], torch.ones(1, 2), (4, 2))
    module.other.grad = torch.ones(2, dtype=torch.float64)
    optimizers.step(1.0)
    assert (module.table[2] < module.table[0]).all()

"""Fields as steps: what tokens in a row say is known where the last of them stands."""

from __future__ import annotations

import torch
from torch import Tensor

from netwright.base.schema import LENGTHS, Field
from netwright.learning.optimizers import Optimizers
from netwright.learning.trainee import Settings
from netwright.networks.inputs.steps import Steps

TEXT = Field(key="text", columns=("text",), layout="tokens", shape=(9,), sizes=(11,))


def steps(grams: int) -> Steps:
    torch.manual_seed(0)
    made = Steps(TEXT, 8, grams=grams, places=10_007).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight)
    return made


def read(made: Steps, code_BT: Tensor) -> Tensor:
    found: Tensor = made({"text": code_BT, "text" + LENGTHS: torch.full((len(code_BT),), code_BT.shape[1])})[0]
    return found


def test_a_step_knows_as_many_tokens_as_have_vectors_together() -> None:
    code_BT = torch.arange(1, 10).unsqueeze(0)
    other_BT = code_BT.clone()
    other_BT[0, 4] = 10
    for grams in (1, 2, 4):
        made = steps(grams)
        differs_T = (read(made, code_BT) != read(made, other_BT)).any(2)[0]
        assert differs_T.nonzero().flatten().tolist() == list(range(4, 4 + grams))


def test_the_order_of_tokens_in_a_row_matters_and_their_place_does_not() -> None:
    made = steps(3)
    there = read(made, torch.tensor([[1, 2, 3, 1, 2, 3]]))
    assert torch.equal(there[0, 2], there[0, 5])
    assert not torch.allclose(there[0, 2], read(made, torch.tensor([[2, 1, 3]]))[0, 2])


def test_vectors_are_shared_where_there_are_fewer_of_them() -> None:
    made = Steps(TEXT, 8, grams=4, places=5)
    assert read(made, torch.randint(1, 11, (3, 9))).isfinite().all()
    assert [len(each.weight) for each in made.grams] == [5, 5, 5]  # type: ignore[arg-type]


def test_vectors_of_tokens_in_a_row_learn_at_the_common_rate() -> None:
    made = steps(3)
    optimizer = Optimizers(made, Settings(lr=0.001, embedding_lr=0.1)).each[-1]
    rates = {id(param): group["lr"] for group in optimizer.param_groups for param in group["params"]}
    assert rates[id(made.table.weight)] == 0.1
    assert {rates[id(each.weight)] for each in made.grams} == {0.001}


def test_vectors_of_tokens_in_a_row_fade_where_they_are_not_seen_again() -> None:
    made = steps(3)
    optimizers = Optimizers(made, Settings(lr=0.01, rare_decay=2.0, weight_decay=0.0))
    tables = [each for each in made.modules() if isinstance(each, torch.nn.Embedding)]
    before = [each.weight.detach().clone() for each in tables]
    for param in made.parameters():
        param.grad = torch.zeros_like(param)
    optimizers.step(1.0)
    for table, whole in zip(tables, before, strict=True):
        left = 1.0 if table is made.table else 1 - 0.01 * 2.0
        torch.testing.assert_close(table.weight, whole * left)
    assert len(tables) == 3

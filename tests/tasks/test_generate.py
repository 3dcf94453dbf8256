"""Language models, and the counts that stand beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netwright import build
from netwright.base.errors import BundleError, RecipeError
from netwright.base.schema import LENGTHS
from netwright.data.packed import Packed
from netwright.objectives.ngrams import Counts
from netwright.serving.predict import load
from netwright.tasks import recall

WORDS = ("carpet", "lantern", "orchard", "pillow", "whistle", "thunder", "basket", "copper", "velvet", "marble")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words in any order: after two letters counting knows the rest."""
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(" ".join(np.random.default_rng(0).choice(WORDS, 3_000)))
    return path


@pytest.fixture(scope="module")
def found(text: Path) -> build.Run:
    """A network that hardly learned."""
    return build.fit(text, network="recurrent", minutes=2, set={"learning.epochs": 0.05, "network.width": 16})


def powers(run: build.Run) -> list[float]:
    """Those of network and counts, where counts say anything."""
    head = run.model.network.head
    return list(head.powers.tolist()) if head.counts is not None else []


def test_what_was_counted_is_told_where_the_network_knows_little(found: build.Run, text: Path) -> None:
    plain = {"learning.epochs": 0.05, "network.width": 16, "task.counted": 0}
    alone = build.fit(text, network="recurrent", minutes=2, set=plain)
    assert found.card["metric"]["value"] < 0.5 * alone.card["metric"]["value"]
    assert found.card["metric"]["value"] < 1.05 * found.card["baselines"]["n-gram"]["value"]
    assert powers(found) and not powers(alone)
    assert "stored" in {each.name for each in build.check(text)}


def test_it_writes_words_that_it_counted_also_from_a_file(found: build.Run, tmp_path: Path) -> None:
    written = "".join(found.model.generate("", length=400, temperature=0.3))
    whole = written.split()[1:-1]
    assert sum(word in WORDS for word in whole) > 0.9 * len(whole)
    found.model.save(tmp_path / "m.safetensors")
    assert "".join(load(tmp_path / "m.safetensors").generate("", length=400, temperature=0.3)) == written


def test_a_token_at_a_time_has_the_scores_of_the_whole_text(found: build.Run) -> None:
    network, kind = found.model.network.eval(), found.model.inputs.kinds[0]
    (code_T,) = kind.tokenizer.encode(["velvet marble copper"])  # type: ignore[attr-defined]
    code_BT, key = torch.tensor(np.array([code_T])), kind.field().key  # type: ignore[attr-defined]
    with torch.inference_mode():
        whole = network({key: code_BT, key + LENGTHS: torch.tensor([code_BT.shape[1]])})
        features = network.family.encode({key: code_BT, key + LENGTHS: torch.tensor([code_BT.shape[1]])})
        last = network.head(features.steps_KBTD[:, :, -1:], {key: code_BT[:, -recall.LONG + 1 :]})
    torch.testing.assert_close(last[:, :, 0], whole[:, :, -1], rtol=1e-4, atol=1e-4)


def test_no_other_powers_predict_the_same_text_better() -> None:
    draw = np.random.default_rng(3)
    train, after = draw.zipf(1.4, 3_000) % 9 + 4, draw.zipf(1.4, 640) % 9 + 4
    counts = Counts.of(train, 13, 3)

    class Some(torch.nn.Module):
        """Scores that depend on the token, no matter how."""

        weight = torch.from_numpy(draw.normal(size=(13, 13))).float()

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.weight[batch["t"]].unsqueeze(0)

    spans = torch.tensor([[start, 64] for start in range(0, 576, 64)])
    inputs = {"t": Packed(torch.from_numpy(after), spans)}
    target = Packed(torch.from_numpy(after), spans + torch.tensor([1, 0]))
    (own, counted), (before, best) = recall.chosen_powers(Some(), counts, inputs, target)

    def nats(own: float, counted: float) -> float:
        code_BT = torch.from_numpy(after[:576].reshape(9, 64))
        scores = own * Some.weight[code_BT] + counted * torch.from_numpy(counts.chances(code_BT.numpy())).log()
        wanted = torch.from_numpy(after[1:577].reshape(9, 64))
        return float(torch.nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten()))

    assert best == pytest.approx(nats(own, counted), rel=1e-4)
    assert before == pytest.approx(nats(1.0, 0.0), rel=1e-4)
    for more, other in ((0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02)):
        assert best <= nats(own + more, counted + other) + 1e-6


def test_a_file_whose_counts_are_damaged_is_refused(found: build.Run) -> None:
    facts, tensors = found.model.task.state()
    assert any(name.startswith("token_E") for name in tensors)
    damaged = {**tensors, "token_E.1": tensors["token_E.1"] + 1_000}
    with pytest.raises(BundleError, match="counts"):
        type(found.model.task).restore(facts, damaged)


def test_tokens_to_count_are_checked(text: Path) -> None:
    with pytest.raises(RecipeError, match="counted"):
        build.fit(text, minutes=1, set={"task.counted": -1})

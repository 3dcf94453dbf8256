"""A model file holds data only, gives the same bytes each time, and comes back as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch

from netwright.base import files
from netwright.base.errors import BundleError, LearningError
from netwright.serving import bundle as bundles
from netwright.serving.predict import Model, load
from tests.serving.models import bundle, frame


@pytest.mark.parametrize("task", ["classify", "numbered", "regress", "tag"])
def test_a_model_comes_back_with_the_same_bytes_and_the_same_answers(task: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = Model(bundle(task))
    model.save(path)
    again = load(path)
    again.save(tmp_path / "again.safetensors")
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    assert model.predict(frame(task)).equals(again.predict(frame(task)))
    assert again.recipe == model.recipe
    assert again.columns == model.columns
    assert again.card == model.card


def test_the_order_of_names_and_tensors_changes_no_byte() -> None:
    first = bundle()
    second = replace(
        first,
        weights=dict(reversed(list(first.weights.items()))),
        card=dict(reversed(list({**first.card, "a": 1}.items()))),
    )
    first = replace(first, card={"a": 1, **first.card})
    assert bundles.to_bytes(first) == bundles.to_bytes(second)


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    bundles.save(bundle(), path)
    program = (
        "import sys; from netwright.serving.bundle import load, to_bytes; "
        "sys.stdout.buffer.write(to_bytes(load(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, check=True, timeout=60
    )
    assert done.stdout == path.read_bytes()


def test_the_file_is_safetensors_with_one_entry_of_sorted_json(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    bundles.save(bundle(), path)
    with safetensors.safe_open(path, "pt") as opened:
        metadata = opened.metadata()
    assert set(metadata) == {"netwright"}
    facts = json.loads(metadata["netwright"])
    assert json.dumps(facts, sort_keys=True, separators=(",", ":")) == metadata["netwright"]
    assert facts["format_version"] == 1


def test_a_large_piece_is_a_tensor_and_not_a_part_of_the_header(tmp_path: Path) -> None:
    large = replace(bundle(), card={"rows": ["word"] * 200_000})
    path = tmp_path / "model.safetensors"
    bundles.save(large, path)
    assert int.from_bytes(path.read_bytes()[:8], "little") < 100_000
    assert bundles.load(path).card == large.card
    assert bundles.to_bytes(bundles.load(path)) == path.read_bytes()


def test_numbers_that_json_cannot_hold_are_refused_when_saving() -> None:
    with pytest.raises(ValueError):
        bundles.to_bytes(replace(bundle(), card={"value": float("nan")}))


def test_words_of_any_language_come_back() -> None:
    strange = replace(bundle(), card={"größe\u2028": '"\\\x00\x1b[31m🦆'})
    assert bundles.from_bytes(bundles.to_bytes(strange), "m").card == strange.card


def test_a_disk_that_is_full_leaves_the_old_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    bundles.save(bundle(), path)
    before = path.read_bytes()
    files.faults.calls, files.faults.fail_at = 0, 2
    try:
        with pytest.raises(LearningError):
            bundles.save(bundle("regress"), path)
    finally:
        files.faults.fail_at = None
    assert path.read_bytes() == before


def test_opening_draws_no_random_number() -> None:
    content = bundles.to_bytes(bundle())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Model(bundles.from_bytes(content, "m"))
    assert torch.equal(torch.rand(3), expected)


def test_a_path_that_is_wrong_is_an_error_that_guesses(tmp_path: Path) -> None:
    run = tmp_path / "houses"
    run.mkdir()
    bundles.save(bundle(), run / "model.safetensors")
    with pytest.raises(BundleError, match="did you mean"):
        load(run / "modle.safetensors")
    with pytest.raises(BundleError, match="did you mean"):
        load(tmp_path / "house" / "model.safetensors")
    with pytest.raises(BundleError, match="is a folder"):
        load(run)
    with pytest.raises(BundleError, match=r"no model file|cannot be read"):
        load("a\0b")
    with pytest.raises(BundleError):
        load("x" * 5000)


def test_a_file_larger_than_memory_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    bundles.save(bundle(), path)
    monkeypatch.setattr(bundles, "free_memory", lambda: 100)
    with pytest.raises(BundleError, match="memory"):
        load(path)

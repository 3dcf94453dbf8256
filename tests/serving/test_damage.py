"""Whatever a stranger hands over as a model is a BundleError in words, never anything else."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from netwright.base import strict
from netwright.base.errors import BundleError
from netwright.serving import bundle as bundles
from netwright.serving import header
from netwright.serving.predict import Model, load
from tests.serving.models import bundle, frame

WHOLE = bundles.to_bytes(bundle())


def refused(content: bytes, *, like: str | None = None) -> BundleError:
    """The one error these bytes must give."""
    with pytest.raises(BundleError, match=like) as caught:
        Model(bundles.from_bytes(content, "m.safetensors"))
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("place", range(50))
def test_a_file_cut_short_anywhere_is_refused(place: int) -> None:
    size = len(WHOLE) * place // 50
    refused(WHOLE[:size], like="empty" if size == 0 else "cut short")


def test_a_flipped_bit_anywhere_is_found() -> None:
    chance = random.Random(0)
    for place in [*range(8 * 120), *(chance.randrange(8 * len(WHOLE)) for _ in range(600))]:
        content = bytearray(WHOLE)
        content[place // 8] ^= 1 << place % 8
        refused(bytes(content))


def test_changed_inserted_and_doubled_bytes_are_found() -> None:
    chance = random.Random(1)
    for _ in range(300):
        place, byte = chance.randrange(len(WHOLE)), chance.randrange(256)
        if WHOLE[place] != byte:
            refused(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
        refused(WHOLE[:place] + bytes([byte]) + WHOLE[place:])
        refused(WHOLE[:place] + WHOLE[place + 1 :])
        refused(WHOLE[:place] + WHOLE[place : place + 16] + WHOLE[place:])
    refused(WHOLE + b"\0")
    refused(WHOLE + WHOLE)


def test_a_pickle_is_named_as_what_it_is_and_never_opened(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    opcodes = b"cos\nsystem\n(S'touch %s'\ntR." % str(ran).encode()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", opcodes)
    saved = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, saved)
    older = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, older, _use_new_zipfile_serialization=False)
    contents = [opcodes, zipped.getvalue(), saved.getvalue(), older.getvalue()]
    for protocol in range(1, 6):
        contents.append(b"\x80" + bytes([protocol]) + opcodes)
    for content in contents:
        error = refused(content, like="is a pickle, which can run code; netwright never opens those")
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(BundleError, match="is a pickle"):
            load(path)
        assert "pickle" in str(error)
    assert not ran.exists()


def test_a_header_whose_length_looks_like_a_pickle_is_still_read() -> None:
    facts, tensors = {"format_version": 1}, {"a": torch.ones(2)}
    for size in range(3000):
        content = header.pack({**facts, "card": "x" * size}, tensors)
        if content[:2] == b"\x80\x04":
            assert header.unpack(content, "m")[0]["card"] == "x" * size
            return
    raise AssertionError("no header had that length")


@pytest.mark.parametrize(
    ("content", "like"),
    [
        (b"", "is empty"),
        (b"{}", "cut short|not a netwright model"),
        (b"a,b\n1,2\n" * 9, "not a netwright model"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "not a netwright model"),
        (b"\xff" * 200, "not a netwright model"),
        (struct.pack("<Q", 60_000_000) + b"{" + b" " * 99, "cut short"),
        (struct.pack("<Q", 1 << 62) + b"{" + b" " * 99, "not a netwright model"),
        (struct.pack("<Q", 2) + b"{}", "no description"),
        (safetensors.torch.save({"w": torch.ones(3)}), "no description"),
        (safetensors.torch.save({"w": torch.ones(3)}, {"format": "pt"}), "no description"),
        (safetensors.torch.save({"w": torch.ones(3)}, {"netwright": "no"}), "not JSON"),
        (safetensors.torch.save({"w": torch.ones(3)}, {"netwright": "[]"}), "no object"),
        (safetensors.torch.save({"w": torch.ones(3)}, {"netwright": "{}"}), "checksum"),
        (safetensors.torch.save({}, {"netwright": "[" * 40_000}), "deep"),
        (safetensors.torch.save({}, {"netwright": '{"a":1,"a":2}'}), "not JSON"),
        (safetensors.torch.save({}, {"netwright": '{"a":NaN}'}), "not JSON"),
        (safetensors.torch.save({}, {"netwright": '{"a":1e999}'}), "not JSON"),
        (safetensors.torch.save({}, {"netwright": '{"a":"\\ud800"}'}), "not JSON"),
    ],
)
def test_what_was_never_a_model_is_said_so(content: bytes, like: str) -> None:
    refused(content, like=like)


def test_a_small_text_that_would_become_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "MAX_VALUES", 1000)
    many = "[" + "[]," * 1000 + "0]"
    refused(safetensors.torch.save({}, {"netwright": many}), like="values")


def test_a_newer_format_asks_for_an_update() -> None:
    error = refused(signed(lambda facts: facts.update(format_version=3)), like="format 3; this one reads 1")
    assert "update netwright" in str(error)
    newer = safetensors.torch.save({}, {"netwright": '{"format_version":3,"other":1}'})
    refused(newer, like="written by a newer netwright")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(BundleError):
            load(path)
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(BundleError, match="is empty"):
        load(tmp_path / "empty.safetensors")


def signed(
    change: Callable[[dict[str, Any]], object] | None = None,
    tensors: Callable[[dict[str, torch.Tensor]], object] | None = None,
    content: bytes = WHOLE,
) -> bytes:
    """The model with something changed in it and a checksum that fits: an attacker's file."""
    facts, found = header.unpack(content, "m")
    if change:
        change(facts)
    if tensors:
        tensors(found)
    return header.pack(facts, found)


@pytest.mark.parametrize(
    ("change", "like"),
    [
        (lambda f: f.update(extra=1), "unknown here"),
        (lambda f: f.pop("card"), "lacks 'card'"),
        (lambda f: f.update(card=[]), "card"),
        (lambda f: f.update(format_version="1"), "format"),
        (lambda f: f.update(format_version=True), "format"),
        (lambda f: f.update(format_version=0), "format"),
        (lambda f: f.update(large=["card"]), "lacks|unknown"),
        (lambda f: f.update(large=[["card"]]), "large"),
        (lambda f: f["task"].update(name="os:system"), "the task 'os:system'"),
        (lambda f: f["task"].update(name=["classify"]), "the task"),
        (lambda f: f["task"].update(extra=1), "unknown here"),
        (lambda f: f["kinds"][0].update(name="pickle"), "the kind 'pickle'"),
        (lambda f: f["kinds"][0].update(name="text"), "damaged"),
        (lambda f: f["kinds"][0].update(facts=None), "damaged"),
        (lambda f: f["kinds"].append(f["kinds"][0]), "damaged"),
        (lambda f: f.update(kinds=[]), "belongs to nothing|damaged"),
        (lambda f: f["network"].update(name="feedfoward"), "did you mean 'feedforward'"),
        (lambda f: f["network"]["config"].update(depth=10**9), "damaged"),
        (lambda f: f["network"]["config"].update(depth=100), "parameters"),
        (lambda f: f["network"]["config"].update(width=10**5), "damaged"),
        (lambda f: f["network"]["config"].update(members=3), "float32"),
        (lambda f: f["network"]["config"].update(layers=3), "layers"),
        (lambda f: f["network"].update(config=[]), "settings"),
        (lambda f: f["network"]["spec"].update(outputs=3), "does not give what its task takes"),
        (
            lambda f: f["network"]["spec"].update(task="regress"),
            "does not give what its task takes",
        ),
        (lambda f: f["network"]["spec"].update(needs="magic"), "is none of"),
        (lambda f: f["network"]["spec"].update(causal=1), "causal"),
        (lambda f: f["network"]["spec"]["inputs"][0].update(shape=[10**12]), "damaged"),
        (lambda f: f["network"]["spec"]["inputs"][0].update(shape=["3"]), "shape"),
        (lambda f: f["network"]["spec"]["inputs"][0].update(key="image"), "does not take"),
        (lambda f: f["columns"][0].update(role="admin"), "role"),
        (lambda f: f["columns"][0].update(path="/etc"), "path"),
        (lambda f: f["columns"].append(dict(f["columns"][0])), "one name"),
        (lambda f: f["columns"].pop(), "target|damaged"),
        (lambda f: f["recipe"].update(seed="0"), "seed"),
        (lambda f: f["recipe"]["choices"].update(a=1), "choices"),
        (lambda f: f["options"].update(header="maybe"), "header"),
        (lambda f: f["options"].update(missing="NA"), "missing"),
    ],
)
def test_a_signed_file_with_a_wrong_description_is_refused(change: Any, like: str) -> None:
    refused(signed(change), like=like)


def _rename(found: dict[str, torch.Tensor], old: str, new: str) -> None:
    found[new] = found.pop(old)


BIAS = "weights/head.bias_KO"


@pytest.mark.parametrize(
    ("change", "like"),
    [
        (lambda t: t.pop(BIAS), "parameters|lacks"),
        (lambda t: t.update({"weights/more": torch.ones(2)}), "over"),
        (lambda t: t.update({"else": torch.ones(2)}), "belongs to nothing"),
        (lambda t: t.update({"kinds/7/mean": torch.ones(2)}), "belongs to nothing"),
        (lambda t: t.update({"kinds/../mean": torch.ones(2)}), "belongs to nothing"),
        (lambda t: t.update({"json/card": torch.ones(2, dtype=torch.uint8)}), "belongs to nothing"),
        (lambda t: _rename(t, BIAS, BIAS + "2"), "lacks"),
        (lambda t: t.update({BIAS: torch.ones(2, 3)}), "float32 \\[2, 3\\]"),
        (lambda t: t.update({BIAS: t[BIAS].double()}), "float64"),
        (lambda t: t.update({BIAS: t[BIAS] * float("nan")}), "not finite"),
        (lambda t: t.update({BIAS: t[BIAS] + float("inf")}), "not finite"),
        (lambda t: t.update({BIAS: torch.ones(2, 2, dtype=torch.uint16)}), "no model has"),
    ],
)
def test_a_signed_file_with_wrong_tensors_is_refused(change: Any, like: str) -> None:
    refused(signed(tensors=change), like=like)


def test_a_signed_file_with_any_field_changed_is_refused_or_works() -> None:
    """Leaves of the description become one of a few nasty values each."""
    facts, _ = header.unpack(WHOLE, "m")
    nasty: list[Any] = [None, -1, 10**18, 0.5, "", "../x", [], {}, [[]], True, 1e308]
    cases = [(path, value) for path in leaves(facts) for value in nasty]
    refusals = works = 0
    for path, value in random.Random(2).sample(cases, 150):
        changed = copy.deepcopy(facts)
        put(changed, path, value)
        try:
            content = header.pack(changed, header.unpack(WHOLE, "m")[1])
            Model(bundles.from_bytes(content, "m")).predict(frame()[:2])
            works += 1
        except BundleError:
            refusals += 1
    assert refusals > works > 0


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Paths to everything in a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Sets what lies at the path."""
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def test_the_checksum_covers_every_byte_but_its_own() -> None:
    place = WHOLE.index(b"_sha256") + len(b'_sha256\\":\\"')
    blank = WHOLE[:place] + b"0" * 64 + WHOLE[place + 64 :]
    assert hashlib.sha256(blank).hexdigest().encode() == WHOLE[place : place + 64]
    assert json.loads(
        json.loads(WHOLE[8 : 8 + int.from_bytes(WHOLE[:8], "little")])["__metadata__"]["netwright"]
    )

"""The model as plain data, and its one file. Bytes in, data out: nothing here builds a network."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from netwright.base import files
from netwright.base.errors import BundleError, did_you_mean
from netwright.base.registry import Registry
from netwright.base.schema import JSON, Column, InputSpec, Recipe
from netwright.data.kinds import KINDS
from netwright.data.table import ReadOptions
from netwright.learning.machine import free_memory
from netwright.networks import FAMILIES
from netwright.serving import header
from netwright.serving.header import FORMAT, damaged
from netwright.serving.plain import Unfit, from_plain, to_plain
from netwright.tasks import TASKS

LARGE = 1_000_000
"""A piece of JSON of more bytes is a uint8 tensor, not a part of the header."""
COPIES = 3
"""How often the file lies in memory while it is opened: bytes, tensors, network."""
_KIND_TENSOR = re.compile(r"kinds/(0|[1-9]\d{0,5})/(.+)", re.DOTALL)


class Part(NamedTuple):
    """A fitted kind or task: its registered name, and its state."""

    name: str
    facts: JSON
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Everything that a trained model is.

    Attributes:
        format_version: Format of the file.
        recipe: JSON of `base.schema.Recipe`.
        columns: All columns of the training table, in order.
        kinds: The fitted kinds: (name, facts, tensors) each.
        task: The fitted task: (name, facts, tensors).
        network: {"name": the family, "config": its settings, "spec": JSON of `InputSpec`}.
        card: What was measured.
        options: JSON of `ReadOptions`: how the training data were read.
        weights: State of the network by name.
    """

    format_version: int = FORMAT
    recipe: Mapping[str, JSON]
    columns: tuple[Column, ...]
    kinds: Sequence[tuple[str, JSON, Mapping[str, Tensor]]]
    task: tuple[str, JSON, Mapping[str, Tensor]]
    network: Mapping[str, JSON]
    card: Mapping[str, JSON]
    options: Mapping[str, JSON]
    weights: Mapping[str, Tensor]


def to_bytes(bundle: Bundle) -> bytes:
    """The file; the same model gives the same bytes."""
    tensors = {f"weights/{name}": tensor for name, tensor in bundle.weights.items()}
    tensors |= {f"task/{name}": tensor for name, tensor in bundle.task[2].items()}
    for index, (_, _, found) in enumerate(bundle.kinds):
        tensors |= {f"kinds/{index}/{name}": tensor for name, tensor in found.items()}
    pieces = {
        "recipe": bundle.recipe,
        "columns": [to_plain(column) for column in bundle.columns],
        "kinds": [{"name": name, "facts": facts} for name, facts, _ in bundle.kinds],
        "task": {"name": bundle.task[0], "facts": bundle.task[1]},
        "network": bundle.network,
        "card": bundle.card,
        "options": bundle.options,
    }
    facts: dict[str, JSON] = {"format_version": bundle.format_version, "large": []}
    for name, piece in sorted(pieces.items()):
        text = header.dump(to_plain(piece))
        if len(text) <= LARGE:
            facts[name] = to_plain(piece)
        else:
            facts["large"].append(name)
            tensors[f"json/{name}"] = torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())
    return header.pack(facts, tensors)


def save(bundle: Bundle, path: str | Path) -> None:
    """Writes the file whole, or not at all.

    Raises:
        LearningError: If it cannot be written.
    """
    files.write_bytes(Path(path), to_bytes(bundle))


def load(path: str | Path) -> Bundle:
    """The model of a file. The file may come from anybody.

    Raises:
        BundleError: If it is not there, or is not a whole model of this format.
    """
    name = str(path)
    return from_bytes(_read(name), name)


def from_bytes(data: bytes, name: str) -> Bundle:
    """The model in these bytes, every field of it checked.

    Args:
        data: What `to_bytes` wrote, or anything else.
        name: What to call it in a message.

    Raises:
        BundleError: If it is not a whole model of this format.
    """
    facts, tensors = header.unpack(data, name)
    pieces = _pieces(facts, tensors, name)
    try:
        return _bundle(facts["format_version"], pieces, tensors, name)
    except Unfit as error:
        raise damaged(name, str(error)) from error


def checked_name(registry: Registry, asked: JSON, name: str) -> str:
    """The name, if the registry has it.

    Raises:
        BundleError: If not.
    """
    if isinstance(asked, str) and asked in registry:
        return asked
    shown = str(asked)[:80]
    raise BundleError(
        f"the model file '{name}' needs the {registry.what} {shown!r}, which this version does not have.",
        hint=f"update netwright; {did_you_mean(shown, registry)}",
    )


_PIECES = ("card", "columns", "kinds", "network", "options", "recipe", "task")


def _pieces(facts: Mapping[str, Any], tensors: dict[str, Tensor], name: str) -> dict[str, Any]:
    """The pieces of JSON, from the header or from the tensors that hold the large ones."""
    large = facts.get("large")
    if not isinstance(large, list) or not all(each in _PIECES for each in large):
        raise damaged(name, "its list of large pieces is not one")
    _expect_keys(facts, {"format_version", "large", *_PIECES} - set(large), "the model", name)
    pieces = {each: facts[each] for each in _PIECES if each not in large}
    for each in large:
        tensor = tensors.pop(f"json/{each}", None)
        if tensor is None or tensor.dtype != torch.uint8 or tensor.dim() != 1:
            raise damaged(name, f"it lacks its {each}")
        try:
            text = tensor.numpy().tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(name, f"its {each} is not text") from error
        pieces[each] = header.parse(text, name)
    return pieces


def _bundle(version: int, pieces: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> Bundle:
    from_plain(Recipe, pieces["recipe"], "its recipe")
    from_plain(ReadOptions, pieces["options"], "its options")
    if not isinstance(pieces["card"], dict):
        raise Unfit("its card is no object")
    weights, task_tensors, kind_tensors = _sorted(tensors, len(_listed(pieces["kinds"], "kinds")), name)
    kinds = [_part(KINDS, piece, kind_tensors[index], name) for index, piece in enumerate(pieces["kinds"])]
    return Bundle(
        format_version=version,
        recipe=pieces["recipe"],
        columns=_columns(pieces["columns"], name),
        kinds=kinds,
        task=_part(TASKS, pieces["task"], task_tensors, name),
        network=_network(pieces["network"], name),
        card=pieces["card"],
        options=pieces["options"],
        weights=weights,
    )


def _columns(piece: JSON, name: str) -> tuple[Column, ...]:
    found = tuple(
        from_plain(Column, each, f"its column {index + 1}")
        for index, each in enumerate(_listed(piece, "columns"))
    )
    if len({column.name for column in found}) != len(found):
        raise damaged(name, "two of its columns have one name")
    return found


def _part(registry: Registry, piece: JSON, tensors: Mapping[str, Tensor], name: str) -> Part:
    _expect_keys(piece, {"name", "facts"}, f"a {registry.what}", name)
    return Part(checked_name(registry, piece["name"], name), piece["facts"], tensors)


def _network(piece: JSON, name: str) -> dict[str, JSON]:
    _expect_keys(piece, {"name", "config", "spec"}, "the network", name)
    checked_name(FAMILIES, piece["name"], name)
    if not isinstance(piece["config"], dict):
        raise Unfit("the settings of its network are no object")
    from_plain(InputSpec, piece["spec"], "its inputs")
    return dict(piece)


def _sorted(
    tensors: Mapping[str, Tensor], kinds: int, name: str
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Tensor]]]:
    """The tensors of the network, of the task and of each kind."""
    weights: dict[str, Tensor] = {}
    task: dict[str, Tensor] = {}
    each: list[dict[str, Tensor]] = [{} for _ in range(kinds)]
    for key, tensor in tensors.items():
        match = _KIND_TENSOR.fullmatch(key)
        if key.startswith("weights/"):
            weights[key.removeprefix("weights/")] = tensor
        elif key.startswith("task/"):
            task[key.removeprefix("task/")] = tensor
        elif match and int(match[1]) < kinds:
            each[int(match[1])][match[2]] = tensor
        else:
            raise damaged(name, f"tensor {key[:80]!r} belongs to nothing")
    return weights, task, each


def _listed(value: JSON, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit(f"its {what} are no list")
    return value


def _expect_keys(value: JSON, keys: Iterable[str], what: str, name: str) -> None:
    expected = set(keys)
    if not isinstance(value, dict):
        raise damaged(name, f"{what} is no object")
    for key in value:
        if key not in expected:
            raise damaged(name, f"{what} has {key[:80]!r}, which is unknown here")
    lacking = sorted(expected - set(value))
    if lacking:
        raise damaged(name, f"{what} lacks '{lacking[0]}'")


def _read(name: str) -> bytes:
    """The content of the file, after its size was looked at."""
    try:
        path = Path(name)
        if path.is_dir():
            raise BundleError(f"'{name}' is a folder, not a model file.", hint=_inside(path))
        if not path.exists():
            raise BundleError(f"there is no model file '{name}'.", hint=_near(path))
        if not path.is_file():
            raise header.not_ours(name, "it is no file")
        with path.open("rb") as stream:
            size = path.stat().st_size
            header.header_length(stream.read(512), size, name)
            _check_size(size, name)
            stream.seek(0)
            return stream.read(size)
    except (OSError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(
            f"the model file '{name[:200]}' cannot be read: {reason}.",
            hint="check path and permissions.",
        ) from error


def _check_size(size: int, name: str) -> None:
    free = free_memory()
    if size * COPIES > free:
        raise BundleError(
            f"the model file '{name}' has {size / 1e6:,.0f} MB; opening it needs {COPIES} times as much "
            f"memory and {free / 1e6:,.0f} MB are free.",
            hint="close other programs, or use a machine with more memory.",
        )


def _inside(folder: Path) -> str:
    usual = folder / "model.safetensors"
    return f"did you mean '{usual}'?" if usual.is_file() else "give the model.safetensors of a run."


def _near(path: Path) -> str:
    """A guess at what was meant: a file beside it, or a run folder beside its folder."""
    folder = path.parent
    beside = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{folder / close[0]}'?"
    above = folder.parent
    runs = [each.name for each in above.iterdir() if (each / path.name).is_file()] if above.is_dir() else []
    close = difflib.get_close_matches(folder.name, runs, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{above / close[0] / path.name}'?"
    return "models lie in the run folders: runs/NAME/model.safetensors."

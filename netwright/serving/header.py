"""The frame of a model file: one safetensors file, one metadata entry, and a digest over all of it.

The entry `netwright` is JSON with sorted keys and begins with the SHA-256 of the whole file, taken with
sixty-four zeros in its own place; so the same model gives the same bytes, and one changed bit is found.
A file comes from a stranger: sizes are checked before anything is parsed, and nothing is believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from netwright.base import strict
from netwright.base.errors import BundleError
from netwright.base.schema import JSON

ENTRY = "netwright"
FORMAT = 1
"""The format this version writes, and the newest it reads."""

MAX_HEADER = 64_000_000
"""Bytes of the header; safetensors itself stops at 100 MB."""

_PREFIX = b'{"__metadata__":{"netwright":"{\\"_sha256\\":\\"'
_PLACE = 8 + len(_PREFIX)
_BLANK = b"0" * 64
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(1, 6))
_DTYPES = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    }
)  # fmt: skip
AGAIN = "copy the file again from where it was made, or train anew."


def dump(value: JSON) -> str:
    """The value as JSON text: keys sorted, no spaces, ASCII only; the same value gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse(text: str, name: str) -> Any:
    """The value of a JSON text from a stranger.

    Raises:
        BundleError: If it is too large, too deep, holds a key twice or a number that is not finite.
    """
    try:
        return strict.parse(text)
    except ValueError as error:
        raise damaged(name, str(error)) from error


def pack(facts: Mapping[str, JSON], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a model file; the same facts and tensors give the same bytes."""
    text = dump({**facts, "_sha256": _BLANK.decode()})
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = bytearray(safetensors.torch.save(ready, {ENTRY: text}))
    if content[8:_PLACE] != _PREFIX:
        raise AssertionError("safetensors no longer writes the metadata first")
    content[_PLACE : _PLACE + 64] = hashlib.sha256(content).hexdigest().encode()
    return bytes(content)


def unpack(data: bytes, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors of a model file, after every check that needs no knowledge of models.

    Args:
        data: The file.
        name: What to call it in a message.

    Raises:
        BundleError: If it is empty, a pickle, not ours, cut short, changed, or of a newer format.
    """
    header = _header(data, name)
    facts = _facts(header, name)
    version = facts.get("format_version")
    if type(version) is int and version > FORMAT:
        raise _newer(name, version)
    if data[8:_PLACE] != _PREFIX or facts.get("_sha256") != _digest(data):
        raise damaged(name, "its content is not what its checksum says")
    if type(version) is not int or version < 1:
        raise damaged(name, f"its format is {str(version)[:20]!r}")
    del facts["_sha256"]
    return facts, _tensors(data, name)


def header_length(start: bytes, size: int, name: str) -> int:
    """Bytes of the header, from the first bytes of a file; nothing was allocated for it yet.

    Args:
        start: The first bytes, 512 or the whole file.
        size: Bytes of the file.
        name: What to call it in a message.

    Raises:
        BundleError: If the file is empty, a pickle, not safetensors, or cut short.
    """
    if size == 0:
        raise BundleError(f"the model file '{name}' is empty.", hint=AGAIN)
    length = int.from_bytes(start[:8], "little")
    if len(start) > 8 and start[8:9] == b"{" and length <= MAX_HEADER:
        if 8 + length > size:
            raise short(name, size)
        return length
    if start.startswith((*_PICKLES, b"PK\x03\x04")) or _is_text_pickle(start):
        raise BundleError(
            f"'{name}' is a pickle, which can run code; netwright never opens those.",
            hint="give the model.safetensors that netwright train wrote.",
        )
    if size < 16 and length <= MAX_HEADER:
        raise short(name, size)
    raise not_ours(name, "it is no safetensors file")


def damaged(name: str, why: str) -> BundleError:
    """The error for a file that is not as it was written."""
    return BundleError(f"the model file '{name}' is damaged: {why}.", hint=AGAIN)


def short(name: str, size: int) -> BundleError:
    """The error for a file whose end is not there."""
    return BundleError(f"the model file '{name}' is cut short: it ends after {size:,} bytes.", hint=AGAIN)


def not_ours(name: str, why: str) -> BundleError:
    """The error for a file that was never a model of ours."""
    return BundleError(
        f"'{name}' is not a netwright model: {why}.",
        hint="give the model.safetensors that netwright train wrote into its run folder.",
    )


def _newer(name: str, version: int) -> BundleError:
    return BundleError(
        f"'{name}' was written by a newer netwright (format {version}; this one reads {FORMAT}): "
        "update netwright.",
        hint="pip install --upgrade netwright",
    )


def _is_text_pickle(start: bytes) -> bool:
    """Protocol 0: lines of ASCII opcodes, of which a global or a build of one is the dangerous kind."""
    return re.match(rb"(c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|\([dlit]p\d+\n|I\d+\n\.)", start) is not None


def _header(data: bytes, name: str) -> dict[str, Any]:
    length = header_length(data[:512], len(data), name)
    try:
        text = data[8 : 8 + length].decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(name, "its header is not text") from error
    header = parse(text, name)
    if not isinstance(header, dict):
        raise not_ours(name, "its header is no object")
    if 8 + length + _end(header) > len(data):
        raise short(name, len(data))
    return header


def _end(header: Mapping[str, Any]) -> int:
    """Where the last tensor ends, as far as the header can be understood."""
    ends = [0]
    for fields in header.values():
        place = fields.get("data_offsets") if isinstance(fields, dict) else None
        if isinstance(place, list) and len(place) == 2 and type(place[1]) is int:
            ends.append(place[1])
    return max(ends)


def _facts(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(ENTRY), str):
        raise not_ours(name, "it holds tensors, but no description of a model of ours")
    if set(metadata) != {ENTRY}:
        raise damaged(name, "it holds more than one description")
    facts = parse(metadata[ENTRY], name)
    if not isinstance(facts, dict):
        raise damaged(name, "its description is no object")
    return facts


def _tensors(data: bytes, name: str) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise damaged(name, "its tensors do not fit the file") from error
    unlike = [key for key, tensor in tensors.items() if tensor.dtype not in _DTYPES]
    if unlike:
        raise damaged(name, f"tensor {unlike[0][:80]!r} is of a type that no model has")
    return tensors


def _digest(data: bytes) -> str:
    view = memoryview(data)
    digest = hashlib.sha256(view[:_PLACE])
    digest.update(_BLANK)
    digest.update(view[_PLACE + 64 :])
    return digest.hexdigest()

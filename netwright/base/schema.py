"""Plain frozen data that every room may import: what two rooms must both know, and nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["input", "target", "time", "group", "user", "item", "series", "weight", "split", "ignore"]
Layout = Literal["numbers", "codes", "tokens", "image", "frames"]
"""(B, F) f32 | (B, F) i64 | (B, T) i64 | (B, C, H, W) u8 | (B, T, D) f32."""
LENGTHS = ":length"
"""What the key of a ragged field ends with under which its lengths, (B,) i64, stand beside it."""
Needs = Literal["pooled", "steps", "decoder"]
"""What a task asks a family for."""
Shape = Literal["rows", "corpus", "pairs", "series", "ratings"]
By = Literal["derived", "measured", "user"]
JSON = Any
"""A value that `json.dumps` takes."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision, why it was taken, and by whom."""

    value: JSON
    why: str
    by: By = "derived"


@dataclass(frozen=True, kw_only=True)
class Column:
    """What was decided about one column, from training rows only."""

    name: str
    kind: str
    role: Role
    why: str
    settings: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One block of same-kind columns as a network sees it: all it may know of them.

    Attributes:
        key: Name of the block in `Batch.inputs`.
        columns: Names of what lies along the last axis (or of the one media column).
        layout: How the tensor is laid out.
        shape: Shape of one example: (F,) for numbers and codes, (C, H, W) for an image, (T,) for tokens and
            (T, D) for frames, T being the longest that is taken.
        sizes: Codes and tokens: number of codes of each column; token 0 is padding.
        center: Media only: value to subtract, one a channel, in the units of the tensor.
        scale: Media only: value to divide by, one a channel.
        edges: Numbers only: ascending bin edges of each column for piecewise-linear embedding;
            empty for a column that has none.
        tokens: Tokens only: what the last codes stand for, one each; empty where characters are tokens.
        even: Frames only: all examples are of the same length, so that each step has its place.
        anchored: Even frames only: a network sees them relative to their last step.
    """

    key: str
    columns: tuple[str, ...]
    layout: Layout
    shape: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    edges: tuple[tuple[float, ...], ...] = ()
    tokens: tuple[str, ...] = ()
    even: bool = False
    anchored: bool = False


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a family must know to refuse, derive its settings, or be built.

    Attributes:
        inputs: The blocks of input columns.
        outputs: Numbers the head gives for one example: classes, labels, or 1.
        task: Name of the task; for the words of a refusal and for recipes that differ by it.
        needs: What the task asks the family for.
        causal: Whether a step may look at later steps.
        examples: Number of training examples.
        prefix: What a decoder has said so far: tokens that stand in the batch beside the inputs; or None.
        stride: Frames that an answer a step is given for: features have a step for so many of them.
    """

    inputs: tuple[Field, ...]
    outputs: int
    task: str
    needs: Needs = "pooled"
    causal: bool = False
    examples: int = 0
    prefix: Field | None = None
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Segment:
    """How steps are taken from `from_step` on."""

    from_step: int
    batch: int
    accumulate: int = 1
    rate: float = 1.0
    """Factor on the learning rate; halved by each roll-back."""
    threads: int = 0
    """Threads for arithmetic; 0: those of the settings."""
    shares: int = 0
    """Parts of a batch side by side, which divide the threads among them; 0: those of the settings."""
    trial: bool = False
    """Whether it is measured how long these steps take, beside others."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How far and how to train; a later revision replaces an earlier one from `at_step` on."""

    revision: int
    at_step: int
    steps: int
    warmup: int
    decay_from: int
    evaluate_every: int
    segment: Segment
    augment: Mapping[str, JSON] = field(default_factory=dict)
    """Switches of augmentation decided while training, such as {"flip": True}."""
    watched: int = 0
    """Validation examples that are looked at, evenly spaced; 0: all of them."""
    why: str = ""
    by: By = "derived"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every decision of a run, enough to repeat it: `choices` by dotted name, plans in order."""

    version: str
    seed: int
    choices: Mapping[str, Choice]
    plans: tuple[Plan, ...] = ()
    data: Mapping[str, JSON] = field(default_factory=dict)
    machine: Mapping[str, JSON] = field(default_factory=dict)

    def value(self, name: str, default: JSON = None) -> JSON:
        """The value of the choice called `name`, or `default`."""
        return self.choices[name].value if name in self.choices else default

    def part(self, part: str) -> dict[str, JSON]:
        """The choices of one part without its prefix: `part("network")["depth"]`."""
        prefix = part + "."
        return {
            name.removeprefix(prefix): choice.value
            for name, choice in self.choices.items()
            if name.startswith(prefix)
        }


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a run: one JSON line.

    Types: "start", "finding", "choice", "plan", "step", "evaluate", "trouble", "stop", "done".
    """

    type: str
    step: int = 0
    seconds: float = 0.0
    data: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something the reader or the checks saw: what, where, how many, and what was done about it.

    Attributes:
        name: Short name of the check, such as "duplicates".
        what: What was found, a sentence.
        where: Column, file or rows it is about; "" for the whole.
        count: How many rows, files or columns.
        done: What netwright did about it, or what the user can do.
        severity: "note" is information, "warning" may change what the numbers mean.
    """

    name: str
    what: str
    where: str = ""
    count: int = 0
    done: str = ""
    severity: Literal["note", "warning"] = "note"
    columns: Sequence[str] = ()

"""What a user asks for: the flags of the command line and the arguments of Python, as one plain thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import monotonic
from typing import Any

from netwright.base.errors import RecipeError, did_you_mean

RULES = ("random", "time", "group")
DEVICES = ("auto", "cpu", "cuda")
LISTS = ("target", "drop", "keep", "missing", "known")
"""Fields that hold several names."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that may be asked of one training run; each field is a flag of `netwright train`."""

    target: tuple[str, ...] = ()
    task: str = ""
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    header: str = "auto"
    missing: tuple[str, ...] = ()
    test: Any = None
    validation: Any = None
    folds: int | None = 0
    """Parts that are tested in turn; 0: one part of the rows is tested; None: as suits few rows."""
    split: str = "random"
    group: str | None = None
    time: str | None = None
    horizon: int | None = None
    known: tuple[str, ...] = ()
    weight: str | None = None
    metric: str = ""
    network: str = "auto"
    minutes: float = 5.0
    memory: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    recipe: Any = None
    from_: Any = None
    seed: int = 0
    device: str = "auto"
    out: Any = None
    force: bool = False
    allow_outside: bool = False
    started: float = field(default_factory=monotonic)
    """When the command began, by the monotonic clock: minutes count from here."""

    def __post_init__(self) -> None:
        """Checks what can be checked without the data.

        Raises:
            RecipeError: If a value is out of range or belongs to a later version.
        """
        _choice("--split", self.split, RULES)
        _choice("--device", self.device, DEVICES)
        _choice("--header", self.header, ("auto", "none"))
        if not 0 < self.minutes <= 100_000:
            raise RecipeError(
                f"--minutes is {self.minutes:g}.", hint="give a number of minutes above 0, such as 5."
            )
        if not 0 <= self.seed < 2**62:
            raise RecipeError(f"--seed is {self.seed}.", hint="give a whole number from 0 on.")
        if self.horizon is not None and not 1 <= self.horizon <= 100_000:
            raise RecipeError(f"--horizon is {self.horizon}.", hint="give a number of steps from 1 on.")
        if self.folds:
            self._check_folds(self.folds)
        if self.from_ is not None:
            raise RecipeError(
                "--from is given, but it has no effect yet.",
                hint="it arrives in a later version; leave it out.",
            )

    def _check_folds(self, count: int) -> None:
        if not 3 <= count <= 100:
            raise RecipeError(
                f"--folds is {count}: one part is tested, one says when to stop, others are learned from.",
                hint="give a whole number from 3 to 100, such as 5 or 8.",
            )
        beside = {"--test": self.test, "--validation": self.validation, "--horizon": self.horizon}
        beside = {name: value for name, value in beside.items() if value not in (None, "none")}
        if beside or self.split == "time":
            name = next(iter(beside), "--split time")
            raise RecipeError(
                f"--folds and {name} exclude each other: with folds every row is tested in its turn.",
                hint=f"leave out one of them; {name} says by itself what is measured.",
            )

    @property
    def bytes(self) -> int | None:
        """`--memory` in bytes, or None where nothing was asked.

        Raises:
            RecipeError: If it is not a size.
        """
        return None if self.memory is None else _bytes(self.memory)


def make(settings: Mapping[str, Any]) -> Request:
    """The request that Python arguments mean; lone words become tuples.

    Raises:
        RecipeError: If an argument is unknown.
    """
    known = {each.name for each in fields(Request)}
    ready = dict(settings)
    for name in ready:
        if name not in known:
            raise RecipeError(f"no setting is called '{name}'.", hint=did_you_mean(name, sorted(known)))
    for name in LISTS:
        value = ready.get(name)
        if isinstance(value, str):
            ready[name] = (value,)
        elif value is not None:
            ready[name] = tuple(str(each) for each in value)
        elif name in ready:
            ready[name] = ()
    for name in ("task", "metric"):
        ready[name] = ready.get(name) or ""
    ready["network"] = ready.get("network") or "auto"
    return Request(**ready)


def _choice(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RecipeError(f"{flag} is '{value}'.", hint=did_you_mean(value, known))


def _bytes(size: str) -> int:
    units = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    text = str(size).strip().upper().removesuffix("B")
    unit = units.get(text[-1:], 1)
    try:
        value = float(text.rstrip("KMGT")) * unit
    except ValueError:
        value = 0.0
    if value < 50e6:
        raise RecipeError(f"--memory is '{size}'.", hint="give a size of at least 50M, such as 500M or 8G.")
    return int(value)


def is_path(value: Any) -> bool:
    """Whether a `--test` or `--validation` names rows of its own: a path or Python data."""
    return isinstance(value, Path) or not isinstance(value, str | int | float | None)

"""What users hold on to: public names, flags, exit codes, keys of --json. A change here is on purpose."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import typing
from typing import Any

import pytest

import netwright
from netwright.base import errors
from netwright.cli import results
from netwright.cli.main import COMMANDS, run

NAMES = {
    "__version__", "train", "resume", "check", "fit", "load", "Classifier", "Regressor", "Run", "Model",
    "NetwrightError", "DataError", "RecipeError", "UnknownName", "LearningError", "BundleError",
}  # fmt: skip
READING = {
    "--target", "--task", "--drop", "--keep", "--kind", "--header", "--missing", "--test", "--validation",
    "--split", "--group", "--time", "--horizon", "--known", "--weight", "--set", "--allow-outside",
}  # fmt: skip
FLAGS = {
    "train": READING | {
        "--metric", "--network", "--minutes", "--memory", "--recipe", "--from", "--seed", "--device", "--out",
        "--force", "--quiet", "--json", "--resume", "--folds",
    },
    "predict": {"--out", "--top", "--threshold", "--probabilities", "--allow-outside"},
    "evaluate": {"--json", "--allow-outside"},
    "generate": {"--prompt", "--length", "--temperature", "--top-k", "--top-p", "--seed"},
    "show": set(),
    "check": READING,
    "demo": set(),
}  # fmt: skip
KEYS = (
    "task", "target", "network", "rows", "examples", "metric", "metrics", "baseline", "seconds", "minutes",
    "limited_by", "steps", "epochs", "parameters", "threads", "seed", "version", "findings", "run", "model",
)  # fmt: skip
HEAVY = ("torch", "polars", "sklearn", "pydantic", "numpy", "rich", "pandas", "PIL")


def options(command: str) -> list[Any]:
    """What typer was told about each flag of a command."""
    flags = importlib.import_module(COMMANDS[command]).Flags
    hints = typing.get_type_hints(flags, include_extras=True)
    return [hints[each.name].__metadata__[0] for each in dataclasses.fields(flags)]


def written(option: Any) -> list[str]:
    """How a flag is written; nothing for an argument."""
    words = (option.default, *(option.param_decls or ()))
    return [word for word in words if isinstance(word, str) and word.startswith("--")]


def test_the_public_names_are_these() -> None:
    assert set(netwright.__all__) == NAMES
    assert set(dir(netwright)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(netwright, name) is not None


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="nope"):
        netwright.nope  # noqa: B018 - the access is the test


def test_the_commands_are_these() -> None:
    assert list(COMMANDS) == list(FLAGS)


@pytest.mark.parametrize("command", list(FLAGS))
def test_the_flags_of_a_command_are_these(command: str) -> None:
    assert {flag for option in options(command) for flag in written(option)} == FLAGS[command]


@pytest.mark.parametrize("command", list(FLAGS))
def test_every_flag_has_help_and_names_its_default(command: str) -> None:
    for option in options(command):
        assert option.help, option
        if written(option):
            assert isinstance(option.show_default, str), written(option)


@pytest.mark.parametrize("command", list(FLAGS))
def test_help_is_printed_and_names_every_flag(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert all(flag in said for flag in FLAGS[command])


def test_the_keys_of_json_are_these() -> None:
    assert results.KEYS == KEYS


def test_errors_are_one_tree() -> None:
    assert issubclass(errors.UnknownName, errors.RecipeError)
    for kind in (errors.DataError, errors.RecipeError, errors.LearningError, errors.BundleError):
        assert issubclass(kind, errors.NetwrightError)
    assert issubclass(errors.RecipeError, ValueError)
    assert str(errors.DataError("it is so", hint="do this.")) == "it is so\n  hint: do this."


def test_help_and_import_load_nothing_heavy() -> None:
    code = (
        "import sys, netwright; from netwright.cli.main import run; "
        "codes = [run(['--help']), run(['train', '--help']), run(['--version'])]; "
        f"sys.exit(str([codes, [name for name in {HEAVY} if name in sys.modules]]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == "[[0, 0, 0], []]"

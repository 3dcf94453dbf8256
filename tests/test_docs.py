"""What README and docs show is run, or at least understood by the command line."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
import typing
from pathlib import Path

import pytest

from netwright.cli.main import COMMANDS, run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
HOSTS = ("pypi" + ".org", "python" + "hosted", "download.py" + "torch", "conda." + "anaconda")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """What stands behind a prompt, cut into words; comments are left out."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


def flags(command: str) -> set[str]:
    """The flags that a command has."""
    known = importlib.import_module(COMMANDS[command]).Flags
    hints = typing.get_type_hints(known, include_extras=True)
    said = [hints[each.name].__metadata__[0] for each in dataclasses.fields(known)]
    words = [word for each in said for word in (each.default, *(each.param_decls or ()))]
    return {word for word in words if isinstance(word, str) and word.startswith("--")} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(page):
        if words[0] == "netwright":
            assert words[1] in COMMANDS, words
            assert {word for word in words if word.startswith("--")} <= flags(words[1]), words
        if words[0] == "make":
            assert f"\n{words[1]}:" in makefile, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_flag_that_is_named_in_the_text_is_there(page: Path) -> None:
    known = set().union(*(flags(command) for command in COMMANDS)) | {"--index-url", "--extra-index-url"}
    named = set(re.findall(r"`(?:netwright \w+ )?(--[a-z-]+)", page.read_text(encoding="utf-8")))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [each for each in targets if "://" not in each and not (page.parent / each).exists()]


def test_the_readme_begins_with_a_sentence_and_code() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines.index("```console") < 20
    assert lines[2].startswith("Netwright turns data into a trained neural network")


def test_the_readme_names_every_room() -> None:
    text = README.read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (ROOT / "netwright").glob("*/__init__.py")]
    assert not [room for room in rooms if f"`netwright/{room}/`" not in text]


def test_no_page_and_no_setting_names_the_host_of_a_registry() -> None:
    files = [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "constraints.txt", ROOT / ".ci" / "run"]
    assert not [
        (path, host) for path in files for host in HOSTS if host in path.read_text(encoding="utf-8").lower()
    ]


def test_the_constraints_pin_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert not [each for each in asked if re.split(r"[<>=!~\[; ]", each)[0].lower() not in pins]
    assert "torch==2.13.0" in lines  # no local suffix: the CPU and the CUDA build both fit


def test_the_commands_and_the_python_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netwright.cli import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "MINUTES", 0.02)
    monkeypatch.setattr(demo, "NEW", 1597)  # 200 pictures are left to train on: quick
    shown = blocks(README, "console")[0].splitlines()
    for words in [shlex.split(line[2:]) for line in shown if line.startswith("$ netwright ")]:
        shorter = [
            "0.02" if before == "--minutes" else word for before, word in zip(["", *words], words, strict=False)
        ]
        assert run(shorter[1:]) == 0, (words, capsys.readouterr().err)
    assert (tmp_path / "netwright-demo" / "answers.csv").exists()
    code = blocks(README, "python")[0]
    scope: dict[str, object] = {}
    exec(compile(re.sub(r"minutes=[0-9.]+", "minutes=0.02", code), "README.md", "exec"), scope)
    assert scope["answers"].height == 200  # type: ignore[attr-defined]

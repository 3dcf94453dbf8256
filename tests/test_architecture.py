"""The shape of the house: imports point down, files and functions stay small, one module writes."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "netwright"
FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS: list[set[str]] = [  # top to bottom: a room may import only rooms on lower lines, and itself
    {"cli", "live", "estimators"},
    {"build"},
    {"recipe"},
    {"insight"},
    {"serving"},
    {"learning"},
    {"tasks"},
    {"data", "networks"},
    {"objectives"},
    {"base"},
]
LEVEL = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
CHAPTERS = {
    "prepare", "sources", "training", "trainees", "outcome", "finishing", "modules", "request", "linear",
    "larger", "folds", "abreast", "unseen", "shrinkage",
}  # fmt: skip
"""Files beside build.py that tell parts of the same story: one room with it."""
MOST_LINES, MOST_CODE, MOST_PARAMETERS, MOST_METHODS = 400, 60, 8, 12
MOST_IN_BUILD, MOST_IN_PACKAGE = 200, 29_900
"""The package: eight tasks on nine kinds of data in four families are in it; more asks for a second look."""
NO_IMPORT = {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle", "yaml", "torchvision"}
"""Each runs code out of a file, or brings something that does."""


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind in the package, with where it stands."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, kind):
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", node


def room_of(module: str) -> str:
    """The room of `netwright.x.y`; "" for the package itself."""
    parts = module.split(".")
    room = parts[1] if len(parts) > 1 else ""
    return "build" if room in CHAPTERS else room


def imported(tree: ast.Module) -> Iterator[str]:
    """Modules imported anywhere in the file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def name_of(function: ast.expr) -> str:
    """`a.b.c` of a call's function, or "" where it is no such thing."""
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute):
        return f"{name_of(function.value)}.{function.attr}"
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room_of(".".join(("netwright", *path.relative_to(PACKAGE).with_suffix("").parts)))
    rooms = {room_of(name) for name in imported(tree_of(path)) if name.startswith("netwright.")}
    unlike = rooms - {here, "__version__", ""}
    assert not unlike - set(LEVEL), f"rooms that no layer names: {unlike - set(LEVEL)}"
    above = [room for room in unlike if here in LEVEL and LEVEL[room] <= LEVEL[here]]
    assert not above, f"{path.name} in {here!r} imports {above}, which is not below it"


def test_learning_knows_no_kind_no_family_and_no_task() -> None:
    rooms = {room_of(name) for path in (PACKAGE / "learning").glob("*.py") for name in imported(tree_of(path))
             if name.startswith("netwright.")}  # fmt: skip
    assert rooms <= {"learning", "base"}


def test_files_are_short() -> None:
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {path: lines for path, lines in long.items() if lines > MOST_LINES}
    assert long[str(PACKAGE / "build.py")] <= MOST_IN_BUILD
    assert sum(long.values()) <= MOST_IN_PACKAGE


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    found = {
        f"{where} {node.name}": code_lines(node)
        for where, node in nodes(ast.FunctionDef)
        if isinstance(node, ast.FunctionDef)
    }
    assert not {where: lines for where, lines in found.items() if lines > MOST_CODE}


def test_functions_take_few_parameters() -> None:
    found = {}
    for where, node in nodes(ast.FunctionDef):
        assert isinstance(node, ast.FunctionDef)
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found[f"{where} {node.name}"] = len([each for each in named if each.arg not in ("self", "cls")])
    assert not {where: count for where, count in found.items() if count > MOST_PARAMETERS}


def test_classes_have_few_public_methods() -> None:
    found = {}
    for where, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        own = [each.name for each in methods if "property" not in map(name_of, each.decorator_list)]
        found[f"{where} {node.name}"] = len([name for name in own if not name.startswith("_")])
    most = {
        "AbstractTask": 29,
        "AbstractKind": 13,
        "Classify": 13,
        "Regress": 14,
        "Recommend": 22,
        "Generate": 17,
        "Translate": 16,
        "Forecast": 16,
        "Transcribe": 18,
    }  # from cells to answers: all that families must not know
    assert not {each: n for each, n in found.items() if n > most.get(each.split()[-1], MOST_METHODS)}


def writes(call: ast.Call) -> bool:
    """Whether a call changes the disk by itself."""
    name = name_of(call.func)
    last = name.rpartition(".")[2]
    if last in ("write_text", "write_bytes"):
        return not name.startswith("files.")
    if last in ("mkdir", "unlink", "rmtree", "touch", "makedirs", "symlink_to", "truncate"):
        return name not in ("faults.touch",)
    if name in ("os.remove", "os.rename", "os.replace", "shutil.copy", "shutil.move", "shutil.copytree"):
        return True
    if last != "open":
        return False
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)


def test_one_module_writes() -> None:
    found = [where for where, node in nodes(ast.Call) if isinstance(node, ast.Call) and writes(node)]
    assert not [where for where in found if not where.startswith("base/files.py")]


def forbidden(call: ast.Call) -> bool:
    """Whether a call can run code that is in a file."""
    name = name_of(call.func)
    if name in ("eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load"):
        return True
    return any(
        each.arg == "allow_pickle" and not (isinstance(each.value, ast.Constant) and each.value.value is False)
        for each in call.keywords
    )


def test_nothing_runs_code_from_a_file() -> None:
    assert not [where for where, node in nodes(ast.Call) if isinstance(node, ast.Call) and forbidden(node)]
    for path in FILES:
        assert not {name.split(".")[0] for name in imported(tree_of(path))} & NO_IMPORT, path


def test_only_the_command_line_prints() -> None:
    found = [
        where for where, node in nodes(ast.Call) if isinstance(node, ast.Call) and name_of(node.func) == "print"
    ]
    assert not [where for where in found if not where.startswith("cli/")]


@pytest.mark.parametrize("words", ["/work/", "NETWRIGHT_DATA", "TODO", "FIXME", "breakpoint("])
def test_the_package_knows_nothing_of_where_it_was_made(words: str) -> None:
    assert not [str(path) for path in FILES if words in path.read_text(encoding="utf-8")]


def test_every_module_says_what_it_is() -> None:
    assert not [str(path) for path in FILES if not ast.get_docstring(tree_of(path))]


@pytest.mark.parametrize(
    ("folder", "registry", "shared"),
    [
        ("networks", "netwright.networks:FAMILIES", {"family"}),
        (
            "tasks",
            "netwright.tasks:TASKS",
            {"task", "network", "labels", "settings", "ranking", "recall", "search"},
        ),
        ("data/readers", "netwright.data.readers:READERS", {"cells", "media", "pieces", "text"}),
    ],
)
def test_every_file_of_a_room_is_in_its_list(folder: str, registry: str, shared: set[str]) -> None:
    module, name = registry.split(":")
    listed = set(getattr(importlib.import_module(module), name))
    files = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"} - shared
    assert files == listed, "add the file to the list in __init__.py, or to what the room shares, on purpose"


def test_every_command_is_in_the_table() -> None:
    from netwright.cli.main import COMMANDS

    commands = {
        path.stem
        for path in (PACKAGE / "cli").glob("*.py")
        if any(isinstance(node, ast.ClassDef) and node.name == "Flags" for node in tree_of(path).body)
    }
    assert commands == set(COMMANDS)

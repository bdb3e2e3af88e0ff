"""The house as DESIGN drew it: imports point down, reports know no torch, and the README explains every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deo_bench"

FLOORS = {
    0: "bands declarations draws errors features files levels libraries normalisation registry schedules score weights",
    1: "backbone data",
    2: "teachers students losses heads targets balance tasks probes",
    3: "recipe store",
    4: "engine",
    5: "doctor experiments reports",
    6: "cli __main__",
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}
NO_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "base", "core", "wrapper", "wrappers"}
LONGEST = 400


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(module: str, lazy: bool) -> frozenset[str]:
    """What a module imports, as dotted names; `lazy` counts what is imported inside functions and for types, too."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return frozenset(name for node in _statements(tree, lazy) for name in _named(node))


def _statements(node: ast.AST, lazy: bool) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        skipped = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        if lazy or not skipped:
            yield from _statements(child, lazy)


def _named(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: str, lazy: bool) -> set[str]:
    """The modules of the project that a module imports."""
    return {name for name in imports(module, lazy) if name in MODULES and name != module}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def reached(module: str) -> set[str]:
    """Everything that importing a module imports, packages above it included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        above = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        for found in (name, *above):
            if found in MODULES and found not in seen:
                seen.add(found)
                todo.extend(ours(found, lazy=False))
    return {name for found in seen for name in imports(found, lazy=False)} | seen


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    if module == "deo_bench":
        assert not ours(module, lazy=False), "importing the package imports nothing of it"
        return
    assert room(module) in FLOOR_OF, f"{module} is on no floor"
    floor = FLOOR_OF[room(module)]
    for other in sorted(ours(module, lazy=True) - {"deo_bench"}):
        assert FLOOR_OF[room(other)] <= floor, f"{module} (floor {floor}) imports {other} from above"
        if floor == FLOOR_OF[room(other)] == 2:
            assert room(module) == room(other), f"{module} imports {other}: parts never import one another"


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "reports"])
def test_reports_never_import_torch(module: str) -> None:
    heavy = {name for name in reached(module) if name.split(".")[0] in ("torch", "timm", "lightning")}
    assert not heavy, f"{module} reaches {sorted(heavy)}"
    lazy = {name for name in imports(module, lazy=True) if name.split(".")[0] == "torch"}
    assert not lazy, f"{module} imports torch inside a function"


LIGHT = [
    name
    for name in MODULES
    if (room(name) in ("data", "tasks", "recipe") and name != "deo_bench.data.crops") or name == "deo_bench.cli.app"
]


@pytest.mark.parametrize("module", LIGHT)
def test_planning_and_listing_load_no_torch(module: str) -> None:
    heavy = {name for name in reached(module) if name.split(".")[0] in ("torch", "timm", "lightning")}
    assert not heavy, f"{module} reaches {sorted(heavy)}"


@pytest.mark.parametrize("path", [*MODULES.values(), *sorted((ROOT / "tests").rglob("*.py"))], ids=str)
def test_files_have_a_name_and_an_end(path: Path) -> None:
    assert path.stem.strip("_") not in NO_NAMES, f"{path}: if it has no name it has no place"
    assert not re.search(r"(_|^)v\d+$", path.stem), f"{path}: say what differs instead of a number"
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{path} has {lines} lines, at most {LONGEST}"


def listed() -> set[str]:
    """The files of the checkout that are the project's, whether added yet or not."""
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if told.returncode:
        pytest.skip("not a git checkout")
    return {line for line in told.stdout.splitlines() if (ROOT / line).exists()}


def tree() -> dict[str, str]:
    """Paths and remarks of the README's annotated tree."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- tree -->\n```\n(.*?)```", text, re.DOTALL)
    assert block, "the README has no block after <!-- tree -->"
    told, folders = {}, [""]
    for line in block[1].splitlines():
        if not line.strip():
            continue
        indent, name, remark = re.fullmatch(r"( *)(\S+) *(.*)", line).groups()  # type: ignore[union-attr]
        folders[len(indent) // 2 + 1 :] = [name]
        told["".join(folders[: len(indent) // 2 + 2])] = remark
    return told


def test_the_readmes_tree_is_the_checkout() -> None:
    files, told = listed(), tree()
    folders = {"/".join(file.split("/")[:depth]) + "/" for file in files for depth in range(1, file.count("/") + 1)}
    gone = [path for path in told if path not in files and path not in folders]
    assert not gone, f"the README's tree names {gone}, which are not there"
    visible = {path for path in files | folders if not path.startswith(".")}
    at_root = {path for path in visible if path.rstrip("/").count("/") == 0}
    in_package = {path for path in visible if re.fullmatch(r"deo_bench/[^/]+/?", path)}
    unsaid = sorted(
        at_root
        | {path for path in in_package if not path.endswith(("__init__.py", "__main__.py", "py.typed"))} - set(told)
    )
    unsaid = [path for path in unsaid if path not in told]
    assert not unsaid, f"the README's tree does not explain {unsaid}"
    bare = [path for path, remark in told.items() if not remark]
    assert not bare, f"the README's tree says nothing of {bare}"


def test_a_folders_readme_says_where_its_code_is() -> None:
    for folder in ("teachers", "students", "losses"):
        first = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()[0]
        assert first == f"Code: `deo_bench/{folder}/`. Here: the catalogue, and your own."


def declared_in(lines: list[str]) -> set[str]:
    """The names of requirements, without versions."""
    return {re.split(r"[^\w.-]", line)[0].lower() for line in lines}


def third_party(paths: Iterable[Path]) -> set[str]:
    """Distributions that files import, by their usual name."""
    called = {
        "PIL": "pillow",
        "sklearn": "scikit-learn",
        "open_clip": "open-clip-torch",
        "annotated_types": "annotated-types",
        "huggingface_hub": "huggingface-hub",
    }
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    tops = {name.split(".")[0] for tree in trees for node in _statements(tree, True) for name in _named(node)}
    return {called.get(top, top) for top in tops - set(sys.stdlib_module_names) - {"deo_bench", "tests"}}


def test_every_third_party_import_is_declared_and_every_dependency_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared, used = declared_in(project["dependencies"]), third_party(MODULES.values())
    assert used - declared == set(), "imported, but not declared"
    assert declared - used == set(), "declared, but not imported"


def test_what_the_tests_import_comes_with_the_extra_test() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]  # `test` brings `clip` and `geo`
    known = declared_in([*project["dependencies"], *extras["test"], *extras["clip"], *extras["geo"]])
    used = third_party([*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
    # The real library writes fixtures in an environment of its own, and a peer is timed where it is there.
    own = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert used - known - own - {"geobench", "faiss"} == set()

"""`deo-bench new`: a part file and its test, to fill in."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from deo_bench.cli.names import kind_of
from deo_bench.declarations import KINDS
from deo_bench.errors import UserError
from deo_bench.registry import Registry

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WITH_CONTRACT = ("loss", "head", "target", "balance", "stem", "student", "teacher")


def new(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(help="In snake_case; it is also the file's name.")],
    into: Annotated[
        Path | None,
        typer.Option(
            help="A folder for a part of your own; else the package in a checkout, ./losses and so on outside."
        ),
    ] = None,
) -> None:
    """Write a part file and its test to fill in. Nothing is overwritten."""
    kind = kind_of(kind)
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a part: lower case, digits and _ only, a letter first")
    known = Registry().all(kind)
    if name in known:
        raise UserError(f"there is a {kind} {name!r} already: {known[name].origin}")
    part, test = _places(kind, name, into)
    for path in (part, test):
        if path.exists():
            raise UserError(f"{path} is there already; nothing was written")
    for path, text in ((part, _part(kind, name)), (test, _test(kind, name, part, test))):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = (error.strerror or str(error)).lower()
            raise UserError(f"{path.parent}: no folder can be made there ({told}); say --into another one") from None
        path.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {path}")
    if _is_in_package(part):
        typer.echo(f"next: fill it in, `deo-bench check {name}`, `deo-bench catalogue`, `python -m pytest {test}`")
    else:
        typer.echo(f"next: fill it in, `deo-bench check {part}`, and name it in an experiment: parts = [{str(part)!r}]")


def _places(kind: str, name: str, into: Path | None) -> tuple[Path, Path]:
    package = KINDS[kind]
    if into is None and Path("deo_bench/registry.py").is_file():
        return Path("deo_bench") / package / f"{name}.py", Path("tests") / package / f"test_{name}.py"
    folder = into or Path(package)
    return folder / f"{name}.py", folder / f"test_{name}.py"


def _is_in_package(part: Path) -> bool:
    return part.parts[0] == "deo_bench"


def _part(kind: str, name: str) -> str:
    words = [word.capitalize() for word in name.split("_") if word]
    return _template(kind).substitute({"name": name, "Class": "".join(words)})


def _test(kind: str, name: str, part: Path, test: Path) -> str:
    own = not _is_in_package(part)
    return (
        _template("test_contract" if kind in _WITH_CONTRACT else "test_part")
        .substitute(
            kind=kind,
            name=name,
            imports="from pathlib import Path\n" if own else "",
            parts=f'PARTS = [Path(__file__).with_name("{part.name}")]\n' if own else "",
            given="PARTS" if own else "",
        )
        .replace("\n\n\n\n", "\n\n\n")
        .replace("annotations\n\n\nfrom", "annotations\n\nfrom")
    )


def _template(name: str) -> Template:
    folder = resources.files("deo_bench.cli") / "templates"
    return Template((folder / f"{name}.txt").read_text(encoding="utf-8"))

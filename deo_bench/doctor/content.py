"""What there is to work with: the folder of data, the data of every task, and presets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deo_bench.data import Places
from deo_bench.declarations import REQUIRED, Declaration
from deo_bench.doctor.findings import Finding, State
from deo_bench.errors import MissingInput, UserError
from deo_bench.recipe import presets_root
from deo_bench.registry import Registry

_VARIABLES = ("DEO_BENCH_DATA", "GEO_BENCH_DIR")


def data(places: Places, given: Path | None, registry: Registry) -> Iterator[Finding]:
    """The folder of data, and of every task and source of images whether its data are there."""
    origin = "--data" if given else next((name for name in _VARIABLES if os.environ.get(name)), "")
    if places.root is None:
        remedy = f"say --data FOLDER, or set {' or '.join(_VARIABLES)}"
        yield Finding("folder", "missing", "none given; `scenes` needs none", remedy, facts={"path": None})
    elif not places.root.is_dir():
        text = f"{places.root} ({origin}) is no folder"
        yield Finding("folder", "problem", text, "point it elsewhere", facts={"path": str(places.root)})
    else:
        yield Finding("folder", "ok", f"{places.root} ({origin})", facts={"path": str(places.root)})
    for kind in ("task", "data"):
        yield from _sources(kind, registry, places)


def _sources(kind: str, registry: Registry, places: Places) -> Iterator[Finding]:
    """What is there line by line; what is generated, or waits for a folder that nobody named, in one line each."""
    states: dict[str, list[str]] = {"generated": [], "waiting": []}
    for name, declared in registry.all(kind).items():
        if any(option.default is REQUIRED for option in declared.options.values()):
            continue
        state, text, remedy = _source(registry, declared, places)
        if text == "generated" or (state == "missing" and places.root is None):
            states["generated" if text == "generated" else "waiting"].append(name)
        else:
            yield Finding(name, state, text, remedy)
    plural = "tasks" if kind == "task" else "images to pre-train on"
    if states["generated"]:
        named = ", ".join(states["generated"])
        yield Finding(plural, "ok", f"generated when they are needed: {named}", facts={"names": states["generated"]})
    if states["waiting"]:
        named = ", ".join(states["waiting"])
        yield Finding(plural, "missing", f"need the folder: {named}", facts={"names": states["waiting"]})


def _source(registry: Registry, declared: Declaration, places: Places) -> tuple[State, str, str]:
    try:
        found = registry.build(declared.kind, declared.name).inputs(places)
    except MissingInput as error:
        return "missing", str(error).removesuffix(f"; {error.remedy}"), error.remedy
    except UserError as error:
        return "problem", str(error), ""
    return "ok", ", ".join(map(str, found)) if found else "generated", ""


def presets() -> Iterator[Finding]:
    """The experiments, recipes and reports that ship with the project."""
    root = presets_root()
    for name, folder in (("experiments", "experiments"), ("recipes", "experiments/recipes"), ("reports", "reports")):
        found = sorted(
            path.relative_to(root / folder).with_suffix("").as_posix()
            for path in (root / folder).rglob("*.toml")
            if name != "experiments" or "recipes" not in path.relative_to(root / folder).parts[:1]
        )
        facts = {"folder": str(root / folder), "names": found}
        if found:
            text = f"{len(found)} in {root / folder}: {', '.join(found)}"
            yield Finding(name, "ok", text, is_needed=True, facts=facts)
        else:
            yield Finding(name, "problem", f"none in {root / folder}", "install deo-bench again", True, facts)

"""Which libraries are there, which are too old, and which would be of use."""

from __future__ import annotations

import contextlib
import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from deo_bench import __version__
from deo_bench.doctor.findings import Finding
from deo_bench.recipe import presets_root

PROJECT = "deo-bench"
OLDEST = (3, 11)
"""The oldest Python that the project runs on."""

USEFUL = {
    "geobench": (
        "GEO-Bench's own library: downloads its data sets, and is what our reader is held against",
        "pip install --no-deps geobench (by itself: what it pins cannot be installed beside the rest)",
    ),
    "torchgeo": ("torchgeo's data sets and multispectral weights", "pip install torchgeo requests"),
    "open-clip-torch": ("teachers of the CLIP and SigLIP families", "pip install open-clip-torch"),
    "optuna": ("sweeps that search instead of trying every cell", "pip install optuna"),
}
"""Libraries that no dependency brings: what each is for, and how to get it."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*(.*))?")


@dataclass(frozen=True)
class Requirement:
    """A dependency as the installed project declares it; `extra` is empty for what it always needs."""

    name: str
    specifier: str
    extra: str = ""


def packages() -> Iterator[Finding]:
    """Python, the project, its dependencies, and what would be of use beside them."""
    yield _python()
    needed = {one.name: one for one in requirements()}
    yield _project(bool(needed))
    yield from (_dependency(one) for _, one in sorted(needed.items()) if not one.extra)
    for name, (purpose, remedy) in USEFUL.items():
        if name not in needed or needed[name].extra:
            extra = needed[name].extra if name in needed else ""
            yield _useful(name, purpose, f"pip install '{PROJECT}[{extra}]'" if extra else remedy)


def requirements() -> list[Requirement]:
    """What the project declares, installed or in its checkout; extras first, so that what is always needed is last."""
    found = []
    for line in _declared():
        match = _REQUIREMENT.match(line)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", (match and match[3]) or "")
        if match and (extra or not match[3]):
            found.append(Requirement(match[1].lower(), match[2].strip(), extra[1] if extra else ""))
    return sorted(found, key=lambda one: not one.extra)


def _declared() -> list[str]:
    """Lines of requirements, those of an extra marked as such; none where nothing declares them."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.requires(PROJECT) or []
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError, KeyError):
        project = tomllib.loads((presets_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {}).items()
        return [*project["dependencies"], *(f"{line}; extra == '{extra}'" for extra, lines in extras for line in lines)]
    return []


def _is_installed() -> bool:
    try:
        return bool(metadata.version(PROJECT))
    except metadata.PackageNotFoundError:
        return False


def _python() -> Finding:
    facts = {"version": platform.python_version(), "executable": sys.executable}
    text = f"{facts['version']} ({sys.executable})"
    if sys.version_info[:2] < OLDEST:
        return Finding("python", "problem", text, f"needs {'.'.join(map(str, OLDEST))} or newer", True, facts)
    return Finding("python", "ok", text, is_needed=True, facts=facts)


def _project(is_declared: bool) -> Finding:
    if not _is_installed():
        untold = "" if is_declared else ": what it needs is not declared, so it is not looked at"
        text, remedy = f"{__version__}, run from a folder{untold}", "pip install -e . in the checkout"
        return Finding(PROJECT, "missing", text, remedy, facts={"version": __version__})
    return Finding(PROJECT, "ok", __version__, is_needed=True, facts={"version": __version__})


def _dependency(one: Requirement) -> Finding:
    wanted = f"{one.name}{one.specifier}"
    remedy = f"pip install '{wanted}'"
    try:
        version = metadata.version(one.name)
    except metadata.PackageNotFoundError:
        return Finding(one.name, "problem", f"not installed, {wanted} is needed", remedy, True, {"version": None})
    if not satisfies(version, one.specifier):
        return Finding(one.name, "problem", f"{version}, {wanted} is needed", remedy, True, {"version": version})
    return Finding(one.name, "ok", version, is_needed=True, facts={"version": version})


def _useful(name: str, purpose: str, remedy: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", f"not installed; for {purpose}", remedy, facts={"version": None})
    return Finding(name, "ok", version, facts={"version": version})


def satisfies(version: str, specifier: str) -> bool:
    """Whether a version is within `>=1.2,<3`: by its numbers alone, which is what we declare."""
    have = _numbers(version)
    for sign, bound in re.findall(r"(>=|<=|==|<|>)\s*([\w.]+)", specifier):
        wanted = _numbers(bound)
        mine, other = _padded(have, wanted), _padded(wanted, have)
        kept = {">=": mine >= other, "<=": mine <= other, "==": mine == other, "<": mine < other, ">": mine > other}
        if not kept[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return numbers + (0,) * (len(other) - len(numbers))

"""The words that name kinds of things on the command line."""

from __future__ import annotations

from pathlib import Path

from deo_bench.declarations import KINDS
from deo_bench.errors import unknown

PRESETS = {"experiments": "experiments", "recipes": "experiments/recipes", "reports": "reports"}
"""What ships as TOML files, and the folder that it is in."""

_PLURALS = {kind: kind if kind in ("balance", "data") else f"{kind}s" for kind in KINDS} | {"loss": "losses"}


def plural(kind: str) -> str:
    """The word for many parts of a kind."""
    return _PLURALS[kind]


def kind_of(word: str) -> str:
    """The kind that a word means, in either number; or an error with the nearest."""
    for kind, many in _PLURALS.items():
        if word in (kind, many):
            return kind
    raise unknown("kind of part", word, [*KINDS, *_PLURALS.values()])


def preset_files(word: str) -> dict[str, Path]:
    """The TOML files of a kind of preset by name; one of the working folder hides the one that ships."""
    from deo_bench.recipe.presets import presets_root

    folder = PRESETS[word]
    found: dict[str, Path] = {}
    for base in (Path(folder), presets_root() / folder):
        for path in sorted(base.rglob("*.toml")):
            name = path.relative_to(base).with_suffix("").as_posix()
            if word != "experiments" or not name.startswith("recipes/"):
                found.setdefault(name, path)
    return dict(sorted(found.items()))


def headline(path: Path) -> str:
    """The first comment line of a TOML file: the question it asks."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#") and line.strip("# "):
            return line.strip("# ")
    return ""

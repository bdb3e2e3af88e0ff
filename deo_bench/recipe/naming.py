"""How settings are said in a few words: in labels of cells, and in tables of what a setting does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def short_names(paths: Collection[str]) -> dict[str, str]:
    """The shortest unambiguous way to say each dotted path: `teachers.optical.use` is `optical`."""
    trimmed = {path: path.removesuffix(".use").removesuffix(".loss").split(".") for path in paths}
    names = {}
    for path, words in trimmed.items():
        for length in range(1, len(words) + 1):
            tail = words[-length:]
            if sum(other[-length:] == tail for other in trimmed.values()) == 1:
                names[path] = ".".join(tail)
                break
        else:
            names[path] = path
    return names


def value_text(value: Any) -> str:
    """A value in a few words: of a part its name, of a list its items joined by `+`."""
    if isinstance(value, Mapping):
        return str(value.get("use", value.get("loss", dict(value))))
    if isinstance(value, list):
        return "+".join(value_text(item) for item in value)
    return str(value)

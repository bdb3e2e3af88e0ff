"""How settings are said in a few words: in labels of cells, and in tables of what a setting does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

NAMING = ("use", "loss", "from")
"""Keys by which a table says what it is: the part, or what a student starts from."""


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
        return str(next((value[key] for key in NAMING if key in value), dict(value)))
    if isinstance(value, list):
        return "+".join(value_text(item) for item in value)
    return str(value)


def full_text(value: Any, among: Collection[Any] = ()) -> str:
    """A value with its options, `timm (model=resnet50)`; among: others, and options that it has with them go unsaid."""
    if not isinstance(value, Mapping) or not set(NAMING) & value.keys():
        return value_text(value)
    alike = [other for other in among if isinstance(other, Mapping) and value_text(other) == value_text(value)]
    own = {key: item for key, item in value.items() if key not in NAMING}
    differing = {key: item for key, item in own.items() if any(other.get(key) != item for other in alike)}
    told = ", ".join(f"{key}={full_text(item)}" for key, item in (differing or own).items())
    return f"{value_text(value)} ({told})" if told else value_text(value)


def json_text(value: Any) -> str:
    """A value as a key: equal ones are one, whatever the order of their options."""
    return json.dumps(value, sort_keys=True, default=str)


def value_texts(values: Collection[Any]) -> dict[str, str]:
    """How each of an axis's values is said, by its JSON: in full where two would be said alike."""
    distinct = {json_text(value): value for value in values}
    short = Counter(value_text(value) for value in distinct.values())
    return {
        key: value_text(value) if short[value_text(value)] == 1 else full_text(value, list(distinct.values()))
        for key, value in distinct.items()
    }

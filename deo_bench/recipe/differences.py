"""In what two runs differ: options by dotted path, versions of parts, data and weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deo_bench.recipe.models import INIT

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()
"""What stands for a value that a recipe does not have, since none is a value."""


@dataclass(frozen=True)
class Difference:
    """One place where two recipes differ; `path` is what `--set` takes, or says in brackets what it is."""

    path: str
    a: Any
    b: Any


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Where the contents of two digests differ (as `Identifier.contents` and `recipe.json` have them).

    A table that only one of them has (a term, a teacher) is one difference; versions and weights count where both
    have the part. What is not known (None for the data or for weights) is no difference.
    """
    found = list(_within("", a["recipe"], b["recipe"]))
    found += _versions(a.get("parts", {}), b.get("parts", {}))
    weights = _both(a.get("weights") or {}, b.get("weights") or {})
    place = {"student": "student.teacher", INIT: INIT}
    found += [Difference(f"{place.get(r, f'teachers.{r}')} (weights)", mine, other) for r, mine, other in weights]
    for key, told in (("data", "data (fingerprint)"), ("engine", "engine (version)")):
        found += [Difference(told, mine, other) for name, mine, other in _both(a, b) if name == key]
    return found


def written(value: Any) -> str:
    """A value in a few words: as TOML has it, and of a table which part it names."""
    if value is ABSENT:
        return "—"
    if isinstance(value, Mapping) and "loss" in value:
        toward = value.get("toward") or ()
        return f"{value['loss']} toward {'+'.join(toward)}" if toward else str(value["loss"])
    if isinstance(value, Mapping) and "use" in value:
        return str(value["use"])
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _within(path: str, a: Any, b: Any) -> Iterator[Difference]:
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)):
        if a != b:
            yield Difference(path, a, b)
        return
    a, b = _open(a), _open(b)
    for key in dict.fromkeys([*a, *b]):
        yield from _within(f"{path}.{key}" if path else key, a.get(key, ABSENT), b.get(key, ABSENT))


def _open(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the options of its part beside its own keys, as people write it; the part's name first."""
    own = {key: value for key, value in table.items() if key != "options"}
    options = table.get("options")
    opened = {**own, **options} if isinstance(options, Mapping) else dict(table)
    return dict(sorted(opened.items(), key=lambda item: item[0] not in ("use", "loss")))


def _versions(a: Mapping[str, str], b: Mapping[str, str]) -> list[Difference]:
    return [Difference(f"{part} (version)", mine, other) for part, mine, other in _both(a, b)]


def _both(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Keys that both have, known on both sides, with values that differ."""
    return [(k, a[k], b[k]) for k in a if k in b and None not in (a[k], b[k]) and a[k] != b[k]]

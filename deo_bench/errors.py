"""What users are told: one line that says what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class UserError(ValueError):
    """A mistake of the user's; the command line prints it as one line and exits with status 2."""


class MissingInput(UserError):
    """Data or weights that are not here; `remedy` is the command or the setting that gets them."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.remedy = remedy


class StoreError(UserError):
    """Something in the store that is torn, foreign or taken by another process."""


class CannotWrite(StoreError):
    """A write that the disk refused (full, read-only, no permission): the next would be refused too, so work stops."""


def nearest(given: str, known: Iterable[str], beside: Iterable[str] = ()) -> str:
    """The hint `, did you mean 'x'?`, or the known names where none is near.

    beside: names that may have been meant, too, and are not among those that there are.
    """
    names = sorted(known)
    close = difflib.get_close_matches(given, sorted({*names, *beside}), n=1, cutoff=0.6)
    if close:
        return f", did you mean {close[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; there are: {shown}" if names else ""


def unknown(what: str, given: object, known: Iterable[str], where: str = "") -> UserError:
    """An error for a name that does not exist, with the nearest that does."""
    place = f"{where}: " if where else ""
    return UserError(f"{place}unknown {what} {shown(given)}{nearest(str(given), known)}")


LONGEST = 100
"""Characters of a value that an error shows."""

_WANTED = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "string": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "path": "a path",
}


def shown(value: object) -> str:
    """A value as an error shows it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def wanted(error: Mapping[str, Any]) -> str:
    """What a value has to be, in words, from one entry of a pydantic `ValidationError.errors()`."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "missing":
        # A place that is a number is in a list of a fixed length.
        return "lacks a value" if isinstance(error["loc"][-1], int) else "is missing"
    if kind == "too_short":
        return f"has to have {context['min_length']} or more values"
    if kind == "too_long":
        return f"has to have {context['max_length']} values or fewer"
    if kind == "string_too_short":
        return "is empty"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"has to be {context['expected']}"
    if kind.partition("_")[0] in _WANTED:
        return f"has to be {_WANTED[kind.partition('_')[0]]}"
    text = str(error["msg"])
    return text.lower().replace("input should be", "has to be").replace("value should", "has to")


def place(error: Mapping[str, Any], given: object) -> tuple[str, ...]:
    """Where in what was given an entry of `ValidationError.errors()` is, without the names of alternatives in types."""
    found, here = [], given
    for item in error["loc"]:
        if isinstance(here, Mapping):
            is_there = item in here
        else:
            is_there = isinstance(here, list | tuple) and isinstance(item, int) and item < len(here)
        if is_there:
            here = here[item]  # type: ignore[index]
        elif error["type"] not in ("missing", "extra_forbidden"):
            continue
        found.append(str(item))
    return tuple(found)

"""How what was found is told: ok, missing or a problem, each with what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "missing", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: `missing` is what may be absent and is, `problem` what is broken; text: what was found; remedy: what mends
    it, empty where nothing is to be mended; is_needed: whether the quickstart cannot do without; facts: the same for
    a machine.
    """

    name: str
    state: State
    text: str
    remedy: str = ""
    is_needed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_in_the_way(self) -> bool:
        """Whether the quickstart cannot run because of it."""
        return self.is_needed and self.state != "ok"


@dataclass(frozen=True)
class Section:
    """Findings under one heading."""

    title: str
    findings: tuple[Finding, ...]


def looked_at(title: str, look: Callable[[], Iterable[Finding]], is_needed: bool = False) -> Section:
    """A section, whatever looking runs into: a doctor does not fall ill of the patient."""
    return Section(title, tuple(_guarded(title, look, is_needed)))


def _guarded(title: str, look: Callable[[], Iterable[Finding]], is_needed: bool) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:
        yield Finding(title, "problem", f"cannot be looked at: {first_line(error)}", is_needed=is_needed)


def first_line(error: BaseException) -> str:
    """What an exception says, in one line with its kind."""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

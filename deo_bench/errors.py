"""What users are told: one line that says what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user's; the command line prints it as one line and exits with status 2."""


class MissingInput(UserError):
    """Data or weights that are not here; `remedy` is the command or the setting that gets them."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.remedy = remedy


class StoreError(UserError):
    """Something in the store that is torn, foreign or taken by another process."""


def nearest(given: str, known: Iterable[str]) -> str:
    """The hint `, did you mean 'x'?`, or the known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return f", did you mean {close[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; there are: {shown}" if names else ""


def unknown(what: str, given: str, known: Iterable[str], where: str = "") -> UserError:
    """An error for a name that does not exist, with the nearest that does."""
    place = f"{where}: " if where else ""
    return UserError(f"{place}unknown {what} {given!r}{nearest(given, known)}")

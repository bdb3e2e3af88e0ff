"""One colour a teacher, the same in every figure, told apart by colour-blind readers too (Okabe and Ito, 2008)."""

from __future__ import annotations

from collections.abc import Sequence

_BLUE, _ORANGE, _GREEN, _PURPLE, _SKY, _RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
UNTAUGHT = "#767676"
"""The colour of what has no teacher."""

_STEMS = {
    "ema": _BLUE,
    "tiny_optical": _ORANGE,
    "run": _ORANGE,
    "descriptors": _ORANGE,
    "dinov3": _RED,
    "dinov2": _GREEN,
    "clip": _PURPLE,
    "siglip": _PURPLE,
    "random": _SKY,
}
"""By the beginning of a teacher's name, its family; a family keeps its colour everywhere."""


def colour(teacher: str) -> str:
    """A teacher's colour; one of an unknown family has a colour by its name's letters, the same in every report."""
    for stem, found in _STEMS.items():
        if teacher.startswith(stem):
            return found
    spare = (_GREEN, _PURPLE, _SKY, _RED)
    return spare[sum(map(ord, teacher)) % len(spare)]


def colours(teachers: Sequence[str]) -> tuple[str, str]:
    """The two halves of a row's dot: its teacher's colour twice, or its two teachers'."""
    found = [colour(teacher) for teacher in teachers] or [UNTAUGHT]
    return found[0], found[1] if len(found) > 1 else found[0]

"""One colour a teacher, the same in every figure, told apart by colour-blind readers too (Okabe and Ito, 2008)."""

from __future__ import annotations

from collections.abc import Sequence

_BLUE, _ORANGE, _GREEN, _PURPLE, _SKY, _RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
_YELLOW, _BLACK = "#F0E442", "#000000"
UNTAUGHT = "#767676"
"""The colour of what has no teacher."""
IGNORED = ("#DDDDDD", "#A6A6A6")
"""Of stripes where there is nothing to be said."""
TRIED, AS_IT_STANDS, PRUNED, FAILED = _BLUE, _ORANGE, "#8A8A8A", _RED
"""The colours of a sweep's trials: finished, the recipe as it stands, stopped early, failed."""

_CLASSES = (_BLUE, _ORANGE, _GREEN, _YELLOW, _SKY, _RED, _PURPLE, _BLACK)
_NAMED = {
    "wetland": _PURPLE, "water": _BLUE, "flood": _BLUE, "river": _BLUE, "tree": _GREEN, "forest": _GREEN,
    "crop": _YELLOW, "field": _YELLOW, "built": _RED, "building": _RED, "urban": _RED, "bare": _ORANGE,
    "soil": _ORANGE, "snow": _SKY, "cloud": _SKY,
}  # fmt: skip
"""By what a class's name holds."""
_TINTS = (0.6, -0.5)
"""How far towards white, or below zero towards black, each further round of classes lies."""

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


def class_colours(names: Sequence[str]) -> list[str]:
    """A colour a class: eight that colour-blind readers tell apart, then lighter and darker ones; 23, then again.

    Where its name says what a class is it has the colour that maps give such a class, the first of several.
    """
    spare = list(_CLASSES)
    found: dict[int, str] = {}
    for place, name in enumerate(names):
        words = [stem for stem in _NAMED if stem in name.lower()]
        if words and _NAMED[words[0]] in spare:
            found[place] = _NAMED[words[0]]
            spare.remove(found[place])
    spare += [_tinted(colour, tint) for tint in _TINTS for colour in _CLASSES if colour != _BLACK or tint > 0]
    rest = [place for place in range(len(names)) if place not in found]
    found |= {place: spare[number % len(spare)] for number, place in enumerate(rest)}
    return [found[place] for place in range(len(names))]


def _tinted(colour: str, towards: float) -> str:
    end = 255 if towards > 0 else 0
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(part + abs(towards) * (end - part)):02X}" for part in parts)

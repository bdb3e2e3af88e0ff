"""Levels by name and by number: `mid`, `block_8`, `stage_2`; one reading for every family of backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deo_bench.errors import UserError

NAMED = ("early", "mid", "late")
"""The levels that every backbone with maps has, shallow to deep; `late` is the last block or stage."""


def level_number(level: str, named: Mapping[str, int], unit: str, numbers: range) -> int | None:
    """The block or stage that a level means, or none where there is no such level.

    named: the family's own numbers of its named levels; unit: `block` or `stage`; numbers: those that exist.
    """
    if level in named:
        return named[level]
    word, _, digits = level.rpartition("_")
    if word != unit or not digits.isdecimal() or int(digits) not in numbers:
        return None
    return int(digits)


def named_levels(given: Sequence[int] | None, usual: Sequence[int], numbers: range) -> dict[str, int]:
    """The numbers of early, mid and late: as given in an option, else the family's usual ones."""
    chosen = list(usual if given is None else given)
    if len(chosen) != len(NAMED) or any(number not in numbers for number in chosen) or chosen != sorted(chosen):
        raise UserError(
            f"levels: expected three numbers from {numbers.start} to {numbers.stop - 1}, shallow to deep, got {chosen}"
        )
    return dict(zip(NAMED, chosen, strict=True))

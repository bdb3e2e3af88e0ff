"""The table of what a sweep's finalists set, path by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deo_bench.recipe.naming import value_text
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.rows import has_final, rows_of
from deo_bench.reports.searched import Axis, Searched, Tried
from deo_bench.reports.wording import begun

_NO_TRIAL = "the recipe as it stands is no trial of the study: its file says what it sets"
_NOT_IN_FORCE = "not in force with what another path chose"


def grids(studies: Sequence[Searched]) -> list[Grid]:
    """A table for all studies that share their space, in a block each; of those that have rows to show."""
    alike: dict[tuple[Axis, ...], list[Searched]] = {}
    for study in studies:
        if study.trials and study.axes:
            alike.setdefault(study.axes, []).append(study)
    return [made for axes, members in alike.items() if (made := _grid(axes, members)).lines]


def _grid(axes: Sequence[Axis], studies: Sequence[Searched]) -> Grid:
    notes = Footnotes()
    blocks = tuple((study.cell, tuple(_lines(study, axes, notes))) for study in studies)
    is_final = any(has_final(study) for study in studies)
    title = "Settings of the finalists" if is_final else "Settings of the best so far"
    return Grid(
        "settings", title, _caption(axes, studies), tuple(Heading(axis.name) for axis in axes), blocks,
        tuple(notes.notes),
    )  # fmt: skip


def _lines(study: Searched, axes: Sequence[Axis], notes: Footnotes) -> list[Line]:
    return [Line(label, None, tuple(_slot(axis, trial, notes) for axis in axes)) for label, trial in rows_of(study)]


def _slot(axis: Axis, trial: Tried | None, notes: Footnotes) -> Slot:
    if trial is None:
        return Slot(HOLE, notes=notes([_NO_TRIAL]))
    if axis.path not in trial.settings:
        return Slot(HOLE, notes=notes([_NOT_IN_FORCE]))
    return Slot(text(trial.settings[axis.path]))


def text(value: Any) -> str:
    """A setting in a few letters: four digits of a real number, a choice by its text."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


def _caption(axes: Sequence[Axis], studies: Sequence[Searched]) -> str:
    paths: Mapping[str, str] = {axis.name: axis.path for axis in axes if axis.name != axis.path}
    told = [f"{'; '.join(f'{name}: {path}' for name, path in paths.items())}."] if paths else []
    searches = dict.fromkeys(study.told for study in studies)
    told += [f"{begun('; '.join(words))}." for words in searches if words]
    return " ".join([*told, "All digits: settings.csv."])

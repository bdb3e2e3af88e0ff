"""Feature maps: what each row's backbone sees in a few test images, beside the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from deo_bench.errors import StoreError
from deo_bench.reports.answer import Answer
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.maps import MOST_ACROSS, Column, maps_figure
from deo_bench.reports.section import Drawing, Section
from deo_bench.store.maps import FeatureMaps, read_maps

_RGB = "B04, B03, B02"


@dataclass(frozen=True)
class _Shown:
    """Maps of one row on one task, with what tells them from the row's other ones."""

    title: str
    task: str
    bands: str
    weights: str
    maps: FeatureMaps

    @property
    def group(self) -> tuple[object, ...]:
        """What maps must share to stand in one figure: the same images, seen in the same way."""
        return self.maps.view, self.maps.shown, tuple(self.maps.images.tolist())


def sections(answer: Answer) -> list[Section]:
    """The three components as colours, and folded away the first alone; nothing where the plan asks for no maps."""
    if not answer.scope.maps:
        return []
    notes: dict[str, list[str]] = {}
    found = list(_read(answer, notes))
    if not found:
        answer.problems.append("maps of features: none is there; `deo-bench run` makes them")
        return []
    told = tuple(
        f"Not shown ({why.removeprefix('it has ')}): {', '.join(dict.fromkeys(labels))}."
        for why, labels in notes.items()
    )
    colours = Section("Feature maps", tuple(_drawings(answer, found, False)), told, "page")
    single = Section("Feature maps, first component alone", tuple(_drawings(answer, found, True)), (), "folded")
    return [colours, single]


def _read(answer: Answer, notes: dict[str, list[str]]) -> Iterator[_Shown]:
    """The maps on disk in the order of the rows; a torn file is a problem, a row without maps a note."""
    scope, rows = answer.scope, {entry.label: entry for entry in answer.entries}
    for entry in (rows[label] for label in answer.spec.pick(list(rows))):
        for stem in scope.maps.get(_first(entry), ()):
            task, bands, weights, _ = stem.rsplit(".", 3)
            if task not in scope.tasks or bands not in scope.bands or weights not in (*scope.weights, "file"):
                continue
            path = answer.store / _first(entry) / "maps" / f"{stem}.npz"
            if not path.exists():
                notes.setdefault("not made yet", []).append(entry.title)
                continue
            try:
                maps = read_maps(path)
            except StoreError as error:
                answer.problems.append(f"{_first(entry)}/maps/{stem}.npz: not used, {error}")
                continue
            if maps.reason:
                notes.setdefault(maps.reason, []).append(entry.title)
                continue
            yield _Shown(entry.title, task, bands, weights, maps)


def _first(entry: Entry) -> str:
    return entry.subjects[0][1] if entry.subjects else ""


def _drawings(answer: Answer, found: list[_Shown], first_only: bool) -> Iterator[Drawing]:
    """A figure for each task and way of seeing it; more where there are more columns than fit."""
    for task in answer.scope.tasks:
        groups: dict[tuple[object, ...], list[_Shown]] = {}
        for shown in found:
            if shown.task == task:
                groups.setdefault(shown.group, []).append(shown)
        parts = [part for group in groups.values() for part in _parts(_labelled(group))]
        for number, part in enumerate(parts, 1):
            # The number stands before the task, whose name may end in one.
            name = f"{'component' if first_only else 'maps'}{number if len(parts) > 1 else ''}-{task}"
            columns = {label: Column(shown.maps.maps, shown.maps.explained) for label, shown in part.items()}
            of = next(iter(part.values()))
            shares = [100 * column.share(first_only) for column in columns.values()]
            draw = partial(maps_figure, of.maps.pictures, columns, first_only)
            yield Drawing(name, draw, _caption(of, shares, first_only))


def _labelled(group: list[_Shown]) -> dict[str, _Shown]:
    """Each one's title, with its bands and its weights where the group has several."""
    several = {name for name in ("bands", "weights") if len({getattr(one, name) for one in group} - {"file"}) > 1}
    found = {}
    for one in group:
        told = [getattr(one, name) for name in ("bands", "weights") if name in several and one.weights != "file"]
        told = told or ([one.bands] if "bands" in several else [])
        found[", ".join([one.title, *told])] = one
    return found


def _parts(columns: dict[str, _Shown]) -> Iterator[dict[str, _Shown]]:
    """Columns in as few figures as they fit in, as evenly as may be."""
    labels = list(columns)
    for part in np.array_split(np.arange(len(labels)), -(-len(labels) // MOST_ACROSS)):
        yield {labels[place]: columns[labels[place]] for place in part}


def _caption(one: _Shown, shares: list[float], first_only: bool) -> str:
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    span = low if low == high else f"{low} to {high}"
    what = (
        "the first principal component of each backbone's own features, from dark to light"
        if first_only
        else "three principal components of each backbone's own features as red, green and blue"
    )
    lacks = "" if one.maps.shown == _RGB else ", the first that this task has, since it has no red, green and blue"
    return (
        f"Maps of the level {one.maps.level} on {len(one.maps.images)} test images of {one.task} ({one.maps.view}), "
        f"first seed of each row: {what}, so colours are not comparable across columns. Above each column the share "
        f"of the features' variance that is shown ({span} %). First column: the images, bands {one.maps.shown}{lacks}."
    )

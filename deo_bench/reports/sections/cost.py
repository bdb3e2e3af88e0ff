"""What scores cost: parameters, arithmetic and seconds, with the front of what nothing else beats in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

from deo_bench.errors import StoreError
from deo_bench.reports.answer import Answer
from deo_bench.reports.entries import Entry
from deo_bench.reports.figures.pareto import Panel, Point, pareto_figure
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.places import Place, places_of, rows_of
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.statistics import mean_over_seeds
from deo_bench.store import Store

_NOT_RECORDED = "its runs do not say: they were made by an earlier version"
_DECLARED = "as declared, not counted"
_BACKBONE = "no run: nothing was trained here"


@dataclass(frozen=True)
class Cost:
    """What a row costs, as the mean over its runs, none where nobody knows.

    parameters: millions, of the student; gmacs: of one image of the global crops' size; pflops, seconds: of training;
    size: of that image in pixels; images: seen in training; devices: that it was trained on; is_declared: whether the
    parameters are what the part's file says.
    """

    parameters: float | None = None
    gmacs: float | None = None
    pflops: float | None = None
    seconds: float | None = None
    size: int | None = None
    images: float | None = None
    devices: tuple[str, ...] = ()
    is_declared: bool = False


@dataclass(frozen=True)
class _Axis:
    """A kind of cost: its figure's name, what the axis says, and how it is read; is_of_training: not of one image."""

    name: str
    label: str
    of: Callable[[Cost], float | None]
    is_of_training: bool = False


_AXES = (
    _Axis("parameters", "parameters of the backbone, millions", lambda cost: cost.parameters),
    _Axis("gmacs", "GMACs an image", lambda cost: cost.gmacs),
    _Axis("compute", "PFLOPs of training", lambda cost: cost.pflops, True),
    _Axis("seconds", "seconds of training", lambda cost: cost.seconds, True),
)


def sections(answer: Answer) -> list[Section]:
    """A small table, and a figure for each kind of cost in which cells differ; nothing before anything is trained."""
    rows = rows_of(answer, "cell", "baseline")
    costs = {entry.label: cost_of(answer, entry) for entry in rows}
    rows = [entry for entry in rows if any(axis.of(costs[entry.label]) is not None for axis in _AXES)]
    if not any(entry.kind == "cell" for entry in rows):
        return []
    drawings = [
        drawing for place in places_of(answer) for axis in _AXES for drawing in _drawing(place, axis, rows, costs)
    ]
    return [Section("Cost", (*drawings, _grid(rows, costs)), shown="page")]


def cost_of(answer: Answer, entry: Entry) -> Cost:
    """A row's cost as its runs recorded it; of what is no run, the parameters that its part declares."""
    infos = [info for _, subject in entry.subjects if (info := _info(answer, subject))]
    told = [compute for info in infos if isinstance(compute := info.get("compute"), dict)]
    bands = next(iter(answer.scope.bands), "")
    parameters = _mean([compute.get("parameters") for compute in told])
    is_declared = parameters is None and entry.parameters is not None
    return Cost(
        parameters=entry.parameters if parameters is None else parameters / 1e6,
        gmacs=_mean([_gmacs(compute, bands)[0] for compute in told]),
        pflops=_mean([compute.get("train_pflops") for compute in told]),
        seconds=_mean([info.get("seconds") for info in infos]),
        size=next((_gmacs(compute, bands)[1] for compute in told), None),
        images=_mean([compute.get("images") for compute in told]),
        devices=tuple(dict.fromkeys(str(info["device"]) for info in infos if info.get("device"))),
        is_declared=is_declared,
    )


def _info(answer: Answer, subject: str) -> dict[str, Any]:
    """What a run says of itself; nothing of what is no run, or not done, or torn (which other sections tell)."""
    if subject.startswith("backbones/"):
        return {}
    try:
        info = Store(answer.store).run(subject).info
    except StoreError:
        return {}
    return info if info.get("state") == "done" else {}


def _gmacs(compute: dict[str, Any], bands: str) -> tuple[float | None, int | None]:
    """GMACs of the largest image that the student was shown, fed these bands or its first, and that size."""
    by_bands = compute.get("student_gmacs")
    if not isinstance(by_bands, dict) or not by_bands:
        return None, None
    by_size = by_bands.get(bands) or next(iter(by_bands.values()))
    largest = max(by_size, key=int)
    return by_size[largest], int(largest)


def _mean(values: Sequence[Any]) -> float | None:
    numbers = [float(value) for value in values if isinstance(value, int | float) and isfinite(value)]
    return sum(numbers) / len(numbers) if numbers else None


def _drawing(place: Place, axis: _Axis, rows: Sequence[Entry], costs: dict[str, Cost]) -> list[Drawing]:
    """The figure of one kind of cost; none where all cells cost the same, or nobody knows."""
    cells = [costs[entry.label] for entry in rows if entry.kind == "cell"]
    of_cells = {axis.of(cost) for cost in cells if _counts(axis, cost)} - {None}
    if len(of_cells) < 2:
        return []
    weights = place.answer.scope.weights[0]
    panels = []
    for task in place.answer.scope.tasks:
        points = []
        for number, entry in enumerate(rows, 1):
            cost, found = axis.of(costs[entry.label]), place.find(entry, task, weights)
            if cost is not None and found.scores and _counts(axis, costs[entry.label]):
                estimate, is_cell = mean_over_seeds(found.scores), entry.kind == "cell"
                points.append(Point(number, entry.title, tuple(entry.teachers), cost, estimate, is_cell))
        if points:
            panels.append(Panel(place.heading(task, weights), tuple(points), place.column(task, weights).sign))
    if not panels:
        return []
    draw = partial(pareto_figure, tuple(panels), axis.label, f"{place.brief}, {weights} weights")
    return [Drawing(place.name(f"cost-{axis.name}"), draw, _caption(axis, costs, place))]


def _counts(axis: _Axis, cost: Cost) -> bool:
    """Whether a row has a place in a figure: what was not trained has none where training is what costs."""
    return not axis.is_of_training or bool(cost.pflops or cost.images)


def _caption(axis: _Axis, costs: dict[str, Cost], place: Place) -> str:
    return (
        f"Percent on test images against {axis.label}; 95 % intervals over seeds and test images, each by itself. The "
        f"stepped line joins the rows that no other row beats in both, by their means alone. {_what(axis, costs)} Of "
        f"{place.told}."
    )


def _what(axis: _Axis, costs: dict[str, Cost]) -> str:
    sizes = sorted({cost.size for cost in costs.values() if cost.size})
    if axis.name == "parameters":
        return "Stems and all experts are counted, heads and teachers are not."
    if axis.name == "gmacs":
        return f"Multiply-adds of one image of {' or '.join(map(str, sizes))} pixels, the size of the global crops."
    if axis.name == "compute":
        return _OF_TRAINING
    return _of_seconds(costs)


_OF_TRAINING = (
    "Training: every view through the student, forward and twice that backward, and the global views through every "
    "teacher as if the run had been trained alone; heads, losses and the optimiser are left out. 1 PFLOP is 10^15 "
    "additions and multiplications."
)


def _of_seconds(costs: dict[str, Cost]) -> str:
    devices = sorted({device for cost in costs.values() for device in cost.devices})
    on = f" ({', '.join(devices)})" if devices else ""
    return (
        f"Seconds are of this machine{on} and of runs trained together, which share images and frozen teachers: not "
        "comparable across machines."
    )


def _grid(rows: Sequence[Entry], costs: dict[str, Cost]) -> Grid:
    number = Footnotes()
    sizes = sorted({cost.size for cost in costs.values() if cost.size})
    headings = (
        Heading("parameters", "M"),
        Heading("GMACs", "an image", f"{' or '.join(map(str, sizes))} px" if sizes else ""),
        Heading("images", "seen"),
        Heading("PFLOPs", "of training"),
        Heading("seconds", "of training"),
    )
    blocks = []
    for name, kind in (("", "cell"), ("not trained here", "baseline")):
        lines = [
            Line(entry.title, len(entry.subjects), tuple(_slots(entry, costs[entry.label], number)))
            for entry in rows
            if entry.kind == kind
        ]
        if lines:
            blocks.append((name, tuple(lines)))
    caption = f"Means over runs. {_OF_TRAINING} {_of_seconds(costs)}"
    return Grid("cost", "", caption, headings, tuple(blocks), tuple(number.notes))


def _slots(entry: Entry, cost: Cost, number: Footnotes) -> list[Slot]:
    values = (cost.parameters, cost.gmacs, cost.images, cost.pflops, cost.seconds)
    is_run = any(not subject.startswith("backbones/") for _, subject in entry.subjects)
    slots = []
    for place, value in enumerate(values):
        if value is None:
            slots.append(Slot(HOLE, notes=number([_NOT_RECORDED if is_run else _BACKBONE])))
            continue
        declared = number([_DECLARED]) if place == 0 and cost.is_declared else ()
        slots.append(Slot(f"{value:,.0f}" if place in (2, 4) else _rounded(value), notes=declared))
    return slots


def _rounded(value: float) -> str:
    """Three digits that count, without an exponent where a reader can do without."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"

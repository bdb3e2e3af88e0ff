"""What scores cost: parameters, arithmetic and seconds, with the front of what nothing else beats in both."""

from __future__ import annotations

from collections import Counter
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
from deo_bench.reports.wording import begun
from deo_bench.store import Store

_NOT_RECORDED = "its runs do not say: they were made by an earlier version, or are not done"
_DECLARED = "as declared, not counted"
_ANOTHER_SIZE = "not counted at this size of image"
_BACKBONE = "no run: nothing was trained here"
_SAME = 1.02
"""Costs within this factor are one: a figure of them would make noise look like a choice."""
_UNITS = (("EFLOPs", 1e18), ("PFLOPs", 1e15), ("TFLOPs", 1e12), ("GFLOPs", 1e9))
_OF_TRAINING = (
    "Training: every view through the student, forward and twice that backward, and the global views through every "
    "teacher as if the run had been trained alone; heads, losses and the optimiser are left out. FLOPs are additions "
    "and multiplications, two a multiply-add."
)


@dataclass(frozen=True)
class Cost:
    """What a row costs, as the mean over its runs, none where nobody knows.

    parameters: millions, of the student; gmacs: of one image of the size that all rows of a report are told at;
    flops, seconds: of training; images: seen in training; devices: that it was trained on; is_declared: whether the
    parameters are what the part's file says.
    """

    parameters: float | None = None
    gmacs: float | None = None
    flops: float | None = None
    seconds: float | None = None
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

    def counts(self, cost: Cost) -> bool:
        """Whether a row has a place in the figure: what was not trained has none where training is what costs."""
        return not self.is_of_training or bool(cost.flops or cost.images)


@dataclass(frozen=True)
class Costs:
    """The costs of rows by label; size: of the image that GMACs are of, in pixels; unit, factor: of FLOPs."""

    of: dict[str, Cost]
    size: int | None
    unit: str
    factor: float

    @property
    def axes(self) -> tuple[_Axis, ...]:
        """The kinds of cost."""
        return (
            _Axis("parameters", "parameters of the backbone, millions", lambda cost: cost.parameters),
            _Axis("gmacs", f"GMACs an image of {self.size} px", lambda cost: cost.gmacs),
            _Axis("compute", f"{self.unit} of training", self.flops, True),
            _Axis("seconds", "seconds of training", lambda cost: cost.seconds, True),
        )

    def flops(self, cost: Cost) -> float | None:
        """In the unit."""
        return None if cost.flops is None else cost.flops / self.factor


def sections(answer: Answer) -> list[Section]:
    """A small table, and a figure for each kind of cost in which cells differ; nothing before anything is trained."""
    rows = rows_of(answer, "cell", "baseline")
    costs = costs_of(answer, rows)
    rows = [entry for entry in rows if any(axis.of(costs.of[entry.label]) is not None for axis in costs.axes)]
    if not any(entry.kind == "cell" and costs.of[entry.label].seconds is not None for entry in rows):
        return []
    drawings = [
        drawing for place in places_of(answer) for axis in costs.axes for drawing in _drawing(place, axis, rows, costs)
    ]
    return [Section("Cost", (*drawings, _grid(rows, costs)), shown="page")]


def costs_of(answer: Answer, rows: Sequence[Entry]) -> Costs:
    """Rows' costs as their runs recorded them; of what is no run, the parameters that its part declares."""
    infos = {entry.label: [info for _, name in entry.subjects if (info := _info(answer, name))] for entry in rows}
    bands = next(iter(answer.scope.bands), "")
    sizes = Counter(max(known) for found in infos.values() for info in found if (known := _gmacs(info, bands)))
    # Untrained students have the usual crops, not the experiment's: the size is that of most runs.
    size = min(sizes, key=lambda one: (-sizes[one], one), default=None)
    costs = {entry.label: _cost(entry, infos[entry.label], bands, size) for entry in rows}
    most = max((cost.flops or 0.0 for cost in costs.values()), default=0.0)
    unit, factor = next((pair for pair in _UNITS if most >= pair[1]), _UNITS[-1])
    return Costs(costs, size, unit, factor)


def _cost(entry: Entry, infos: Sequence[dict[str, Any]], bands: str, size: int | None) -> Cost:
    told = [compute for info in infos if isinstance(compute := info.get("compute"), dict)]
    parameters = _mean([compute.get("parameters") for compute in told])
    flops = _mean([compute.get("train_pflops") for compute in told])
    return Cost(
        parameters=entry.parameters if parameters is None else parameters / 1e6,
        gmacs=_mean([_gmacs(info, bands).get(size or 0) for info in infos]),
        flops=None if flops is None else 1e15 * flops,
        seconds=_mean([info.get("seconds") for info in infos]),
        images=_mean([compute.get("images") for compute in told]),
        devices=tuple(dict.fromkeys(str(info["device"]) for info in infos if info.get("device"))),
        is_declared=parameters is None and entry.parameters is not None,
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


def _gmacs(info: dict[str, Any], bands: str) -> dict[int, float]:
    """GMACs of one image by its size, fed these bands or the student's first; nothing where it was not counted."""
    compute = info.get("compute")
    by_bands = compute.get("student_gmacs") if isinstance(compute, dict) else None
    if not isinstance(by_bands, dict) or not by_bands:
        return {}
    by_size = by_bands.get(bands) or next(iter(by_bands.values()))
    if not isinstance(by_size, dict):
        return {}
    return {int(size): float(value) for size, value in by_size.items()}


def _mean(values: Sequence[Any]) -> float | None:
    numbers = [float(value) for value in values if isinstance(value, int | float) and isfinite(value)]
    return sum(numbers) / len(numbers) if numbers else None


def _drawing(place: Place, axis: _Axis, rows: Sequence[Entry], costs: Costs) -> list[Drawing]:
    """The figure of one kind of cost; none where all cells cost about the same, or nobody knows."""
    cells = [costs.of[entry.label] for entry in rows if entry.kind == "cell"]
    known = [value for cost in cells if axis.counts(cost) and (value := axis.of(cost)) is not None]
    if not known or max(known) <= _SAME * min(known):
        return []
    weights = place.answer.scope.weights[0]
    panels = []
    for task in place.answer.scope.tasks:
        points = []
        for number, entry in enumerate(rows, 1):
            cost, found = axis.of(costs.of[entry.label]), place.find(entry, task, weights)
            if cost is not None and found.scores and axis.counts(costs.of[entry.label]):
                estimate, is_cell = mean_over_seeds(found.scores), entry.kind == "cell"
                points.append(Point(number, entry.title, tuple(entry.teachers), cost, estimate, is_cell))
        if points:
            panels.append(Panel(place.heading(task, weights), tuple(points), place.column(task, weights).sign))
    if not panels:
        return []
    draw = partial(pareto_figure, tuple(panels), axis.label, f"{place.brief}, {weights} weights")
    return [Drawing(place.name(f"cost-{axis.name}"), draw, _caption(place, axis, costs))]


def _caption(place: Place, axis: _Axis, costs: Costs) -> str:
    what = {
        "parameters": "Stems and all experts are counted, heads and teachers are not.",
        "gmacs": f"Multiply-adds of one image of {costs.size} pixels, the largest crop that most runs were trained on.",
        "compute": _OF_TRAINING,
        "seconds": _of_seconds(costs),
    }[axis.name]
    return (
        f"{begun(place.scale)} on test images against {axis.label}; 95 % intervals over seeds and test images, each by "
        "itself. The "
        f"stepped line joins the rows that no other row beats in both, by their means alone. {what} Of {place.told}."
    )


def _of_seconds(costs: Costs) -> str:
    devices = sorted({device for cost in costs.of.values() for device in cost.devices})
    on = f" ({', '.join(devices)})" if devices else ""
    return (
        f"Seconds are of this machine{on} and of runs trained together, which share images and frozen teachers: not "
        "comparable across machines."
    )


def _grid(rows: Sequence[Entry], costs: Costs) -> Grid:
    number = Footnotes()
    headings = (
        Heading("parameters", "millions"),
        Heading("GMACs", "an image", f"{costs.size} px" if costs.size else ""),
        Heading("images", "seen"),
        Heading(costs.unit, "of training"),
        Heading("seconds", "of training"),
    )
    blocks = []
    for name, kind in (("", "cell"), ("not trained here", "baseline")):
        shown = [entry for entry in rows if entry.kind == kind]
        lines = [Line(entry.title, len(entry.subjects), tuple(_slots(entry, costs, number))) for entry in shown]
        if lines:
            blocks.append((name, tuple(lines)))
    caption = f"Means over runs. {_OF_TRAINING} {_of_seconds(costs)}"
    return Grid("cost", "", caption, headings, tuple(blocks), tuple(number.notes))


def _slots(entry: Entry, costs: Costs, number: Footnotes) -> list[Slot]:
    cost = costs.of[entry.label]
    small, whole = (cost.parameters, cost.gmacs, costs.flops(cost)), (cost.images, cost.seconds)
    texts = [None if value is None else _rounded(value) for value in small]
    images, seconds = (None if value is None else f"{value:,.0f}" for value in whole)
    texts = [*texts[:2], images, texts[2], seconds]
    slots = []
    for place, text in enumerate(texts):
        if text is None:
            slots.append(Slot(HOLE, notes=number([_reason(entry, cost, place)])))
        else:
            slots.append(Slot(text, notes=number([_DECLARED]) if place == 0 and cost.is_declared else ()))
    return slots


def _reason(entry: Entry, cost: Cost, place: int) -> str:
    if all(subject.startswith("backbones/") for _, subject in entry.subjects):
        return _BACKBONE
    return _ANOTHER_SIZE if place == 1 and cost.images is not None else _NOT_RECORDED


def _rounded(value: float) -> str:
    """Three digits that count, without an exponent where a reader can do without."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"

"""What each factor of a grid does, averaged over the others, and what two of them do together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column
from deo_bench.reports.entries import Entry
from deo_bench.reports.factors import Grid as Cells
from deo_bench.reports.factors import Place, grid_of
from deo_bench.reports.figures.heat import Panel, heat_map, most_panels
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.sections.scores import figure_name
from deo_bench.reports.statistics import LEVEL, Effect, Measured, contrast, effects, holm, mean_over_seeds
from deo_bench.reports.table import Table
from deo_bench.reports.wording import (
    UNRESOLVED,
    begun,
    difference_text,
    measured_under,
    metric_name,
    scale,
    size,
    title,
    where,
)

MOST_CELLS = 200
"""A grid of more cells has more effects than anybody reads: they are left out, and said to be."""
_LEAST_SHARE = 0.5
"""A heat map with fewer of its cells filled says less than the table of scores."""

Scored = Mapping[str, Sequence[Measured]]
"""A column's scores by the entry's label."""


def sections(answer: Answer) -> list[Section]:
    """Main effects, interactions of two factors and heat maps of each main table; nothing where no two factors vary.

    With one factor the effects would be the differences of the table over again.
    """
    parts: list[Grid | Drawing] = []
    notes: dict[str, None] = {}
    for table in answer.main:
        shown = _shown(answer, table)
        count = sum(bool(entry.settings) for entry in shown)
        if count > MOST_CELLS:
            notes[f"Left out: {count:,} cells have too many effects to read; choose some."] = None
            continue
        cells = grid_of(shown)
        if cells is None:
            continue
        scored = [_scores(answer, column, cells) for column in table.columns]
        grid = _effects(table, cells, scored)
        if grid is None and any(scored):
            notes[_why(cells)] = None
        parts += [*_heat_maps(answer, table, cells, scored), *([grid] if grid else [])]
    if not parts and not notes:
        return []
    return [Section("Effects of the factors", tuple(parts), tuple(notes), "page")]


def heading(column: Column, table: Table) -> Heading:
    """A column's heading, with whatever else than its task tells it from the table's others."""
    return Heading(column.task, metric_name(column), size(column), where(column, table.varying))


def _shown(answer: Answer, table: Table) -> list[Entry]:
    rows = {row.label for row in table.rows}
    return [entry for entry in answer.entries if entry.kind == "cell" and entry.title in rows]


def _scores(answer: Answer, column: Column, cells: Cells) -> Scored:
    wanted = set(cells.labels.values())
    found = {e.label: answer.finder.find(e, column).scores for e in answer.entries if e.label in wanted}
    return {label: scores for label, scores in found.items() if scores}


def _why(cells: Cells) -> str:
    names = ", ".join(factor.name for factor in cells.factors)
    return f"The cells with scores are no full product of two factors ({names}), so effects are not shown."


@dataclass(frozen=True)
class _Made:
    """The effects of one column, or why there are none."""

    effects: tuple[Effect, ...] = ()
    reason: str = ""


def _effects(table: Table, cells: Cells, scored: Sequence[Scored]) -> Grid | None:
    full = cells.full({label for scores in scored for label in scores})
    if full is None:
        return None
    made = [_of_column(full, scores) for scores in scored]
    some = next((one.effects for one in made if one.effects), ())
    if not some:
        return None
    number = Footnotes()
    most = max(len(scores[label]) for scores in scored for label in full.labels.values() if label in scores)
    p = [[effect.difference.p for effect in one.effects] for one in made]
    corrected = iter(holm([each for column in p for each in column]))
    resolved = [[next(corrected) < 1 - LEVEL for _ in column] for column in p]
    lines = [
        Line(
            _label(effect), None,
            tuple(_slot(one, place, found, number) for one, found in zip(made, resolved, strict=True)),
            number(_pairing(made, place, most)),
        )
        for place, effect in enumerate(some)
    ]  # fmt: skip
    split = sum(not effect.is_interaction for effect in some)
    blocks = (("main effects", tuple(lines[:split])), ("interactions", tuple(lines[split:])))
    headings = tuple(heading(column, table) for column in table.columns)
    words = _caption(table, full, sum(map(len, p)))
    return Grid("effects", title(table), words, headings, blocks, tuple(number.notes), "level against the first")


def _of_column(full: Cells, scores: Scored) -> _Made:
    missing = [label for label in full.labels.values() if label not in scores]
    if missing:
        return _Made(reason=f"no score here of: {'; '.join(missing)}")
    names = [factor.name for factor in full.factors]
    levels = [
        ({n: (at, full.factors[axis].levels[at]) for axis, (n, at) in enumerate(zip(names, place, strict=True))}, label)
        for place, label in full.labels.items()
    ]
    return _Made(tuple(effects([(settings, scores[label]) for settings, label in levels])))


def _label(effect: Effect) -> str:
    """`optical: none → tiny_optical`; of an interaction the two levels that meet."""
    steps = zip(effect.factors, effect.firsts, effect.levels, strict=True)
    if effect.is_interaction:
        return " × ".join(f"{name}: {level[1]}" for name, _, level in steps)
    return ", ".join(f"{name}: {first[1]} → {level[1]}" for name, first, level in steps)


def _slot(made: _Made, place: int, resolved: Sequence[bool], number: Footnotes) -> Slot:
    if not made.effects:
        return Slot(HOLE, notes=number([made.reason]))
    return Slot(difference_text(made.effects[place].difference), is_unresolved=not resolved[place])


def _pairing(made: Sequence[_Made], place: int, most: int) -> tuple[str, ...]:
    gains = [one.effects[place].difference for one in made if one.effects]
    if any(gain.pairing == "unpaired" for gain in gains):
        return ("no seed in common: unpaired by seed, paired by test image",)
    if any(gain.seeds == 1 for gain in gains):
        return ("one seed: the interval is over test images only",)
    fewer = [gain.seeds for gain in gains if gain.seeds < most]
    return (f"over {min(fewer)} of {most} seeds: not every cell has the others",) if fewer else ()


def _caption(table: Table, full: Cells, comparisons: int) -> str:
    sentences = [
        f"Effects of the factors, in {scale(table.columns, 'points')}. A main effect is what a level changes "
        "against the first level of its factor, the mean over all levels "
        "of the other factors. An interaction is how much more two levels change together than both do apart: below "
        "zero, each helps less where the other is there already; where one is resolved, the main effects of its "
        "factors are no rule, and the cells are to be read one by one.",
        f"95 % t intervals over seeds and test images, each by itself; {UNRESOLVED}: p ≥ .05 after Holm's correction "
        f"over the {comparisons} comparisons of this table.",
    ]
    if any(column.direction == "min" for column in table.columns):
        sentences.append("Where less is better, a minus is a gain.")
    if full.outside:
        sentences.append(f"Not in it: {'; '.join(full.outside)}.")
    sentences.append(measured_under(table))
    return " ".join(sentences)


def _heat_maps(answer: Answer, table: Table, cells: Cells, scored: Sequence[Scored]) -> list[Drawing]:
    """One map, or several where the tasks do not fit on a page; the factor with more levels goes down."""
    down, across = cells.pair(answer.spec.pair)
    if len(cells.factors[down].levels) < len(cells.factors[across].levels):
        down, across = across, down
    factors = cells.factors[down], cells.factors[across]
    headings = [tuple(heading(column, table).lines) for column in table.columns]
    panels = [
        _panel(lines, column, cells, (down, across), scores)
        for lines, column, scores in zip(headings, table.columns, scored, strict=True)
    ]
    panels = [panel for panel in panels if np.isfinite(panel.values).mean() > _LEAST_SHARE]
    levels = factors[0].levels, factors[1].levels
    most = most_panels(levels)
    drawings = []
    for start in range(0, len(panels), most):
        name = figure_name("heat", table, answer.main) + (f"-{start // most + 1}" if len(panels) > most else "")
        names = factors[0].name, factors[1].name
        draw = partial(heat_map, tuple(panels[start : start + most]), names, levels)
        drawings.append(Drawing(name, draw, _heat_caption(table, cells, (down, across))))
    return drawings


def _panel(lines: tuple[str, ...], column: Column, cells: Cells, axes: tuple[int, int], scored: Scored) -> Panel:
    shape = len(cells.factors[axes[0]].levels), len(cells.factors[axes[1]].levels)
    values, halves, differences = (np.full(shape, np.nan) for _ in range(3))
    first = _sides(cells, axes, (0, 0), scored)
    for at in np.ndindex(shape):
        sides = _sides(cells, axes, (at[0], at[1]), scored)
        if not sides:
            continue
        if len(sides) == 1:
            estimate = mean_over_seeds(sides[0][1])
            values[at], halves[at] = estimate.value, (estimate.high - estimate.low) / 2
        else:
            mean = contrast(sides)
            values[at], halves[at] = mean.value, (mean.high - mean.low) / 2
        if first and at != (0, 0):
            differences[at] = contrast([*sides, *((-weight, scores) for weight, scores in first)]).value
    return Panel(lines, values, halves, differences, column.sign, column.is_share)


def _sides(cells: Cells, axes: tuple[int, int], at: Place, scored: Scored) -> list[tuple[float, Sequence[Measured]]]:
    """The cells at two levels with equal weights over the other factors; nothing where one lacks scores."""
    places = [place for place in cells.places if (place[axes[0]], place[axes[1]]) == at]
    labels = [cells.labels.get(place, "") for place in places]
    if not all(label in scored for label in labels):
        return []
    return [(1 / len(labels), scored[label]) for label in labels]


def _heat_caption(table: Table, cells: Cells, axes: tuple[int, int]) -> str:
    rest = [factor.name for axis, factor in enumerate(cells.factors) if axis not in axes]
    sentences = [
        f"{begun(scale(table.columns))} ± half of a 95 % interval, below it the difference to the first cell.",
        "The brighter the better; each panel has a scale of its own, at least as wide as its widest interval.",
    ]
    if rest:
        sentences.append(f"The mean over all levels of {' and '.join(rest)}.")
    sentences.append(measured_under(table))
    return " ".join(sentences)

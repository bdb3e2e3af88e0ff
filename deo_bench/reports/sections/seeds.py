"""How many seeds would resolve the differences that are not: for planning, and no evidence of anything."""

from __future__ import annotations

from math import ceil

from deo_bench.reports.answer import Answer
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Line, Slot
from deo_bench.reports.section import Section
from deo_bench.reports.sections.effects import heading
from deo_bench.reports.statistics import LEVEL, Needed, seeds_needed
from deo_bench.reports.table import Cell, Row, Table
from deo_bench.reports.wording import blocks_of, measured_under, pairing_note, title

MOST_COMPARISONS = 120
"""Each takes a tenth of a second, and more of them are no plan."""
MOST_SEEDS = 1000
_POWER = 0.8


def sections(answer: Answer) -> list[Section]:
    """A table for each main one with a difference that is not resolved."""
    grids, notes = [], dict[str, None]()
    for table in answer.main:
        count = sum(cell.corrected is not None for row in table.rows for cell in row.cells)
        if count > MOST_COMPARISONS:
            notes[f"Left out: of {count:,} comparisons nobody plans one by one; choose rows or tasks."] = None
        elif grid := _grid(table, count):
            grids.append(grid)
    if not grids and not notes:
        return []
    return [Section("How many seeds would resolve it", tuple(grids), tuple(notes), "page")]


def _grid(table: Table, comparisons: int) -> Grid | None:
    rows = [row for row in table.block("cell") if any(cell.difference for cell in row.cells)]
    if all(cell.is_resolved for row in rows for cell in row.cells if cell.difference):
        return None
    number = Footnotes()
    level = (1 - LEVEL) / comparisons

    def line(row: Row) -> Line:
        marks = number(pairing_note(row, table.against))
        return Line(row.label, row.runs, tuple(_slot(cell, level, number) for cell in row.cells), marks)

    blocks = tuple((block, tuple(map(line, members))) for block, members in blocks_of(rows))
    headings = tuple(heading(column, table) for column in table.columns)
    return Grid("seeds", title(table), _caption(table, comparisons), headings, blocks, tuple(number.notes))


def _slot(cell: Cell, level: float, number: Footnotes) -> Slot:
    if cell.difference is None:
        return Slot(HOLE, notes=number([cell.reason or "the baseline row has no score here"]))
    if cell.is_resolved:
        return Slot("resolved")
    needed = seeds_needed(cell.difference, level, _POWER, MOST_SEEDS)
    if needed.seeds is None and needed.images_factor is None:
        return Slot(HOLE, notes=number([needed.reason]))
    return Slot(_needed(needed))


def _needed(needed: Needed) -> str:
    """Seeds in total, or how many times the test images where seeds alone will never do."""
    if needed.seeds is not None:
        return str(needed.seeds)
    factor = needed.images_factor or 0.0
    told = f"{ceil(factor):,}" if factor >= 10 else f"{ceil(10 * factor) / 10:.1f}"
    return f"images × {told}"


def _caption(table: Table, comparisons: int) -> str:
    return (
        "Seeds in total (of each side, where seeds are not paired) that would resolve a difference to "
        f"{table.against!r} with {100 * _POWER:.0f} % power, if its observed size and spread were the true ones: a p "
        f"value below .05 / {comparisons}, the least that one of {comparisons} corrected comparisons needs. "
        f"images × 3: no number of seeds up to {MOST_SEEDS:,} does, since the choice of test images "
        "varies more than that; it takes at least so many times as many test images, and independent ones. For "
        "planning, and no evidence: observed differences flatter where they were picked for being large, and the "
        "spread of a few seeds is itself uncertain, so plan for more. "
        f"{measured_under(table)}"
    )

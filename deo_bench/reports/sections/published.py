"""Published numbers beside ours: in our columns where everything is the same, else in tables of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deo_bench.reports.answer import Answer
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Line, Slot, score_grid
from deo_bench.reports.published import EVERY, Companion, beside, published_sections, source_title
from deo_bench.reports.published.tables import value_text
from deo_bench.reports.section import Section
from deo_bench.reports.table import Table
from deo_bench.reports.wording import title

BLOCK = "published, same protocol"


def sections(answer: Answer) -> list[Section]:
    """What was published on the report's tasks, of the sources that the report names; nothing where it names none.

    A table of ours comes again with published rows below it, where there are any of the same protocol, probe, metric,
    bands and partition. All others on the same tasks follow as tables of their own.
    """
    if not answer.spec.published:
        return []
    sources = None if answer.spec.published == (EVERY,) else list(answer.spec.published)
    made = []
    columns = [column for table in answer.tables for column in table.columns]
    found = beside(columns, sources)
    first = 0
    for table in answer.tables:
        places = range(first, first := first + len(table.columns))
        companions = [replace(one, place=one.place - places[0]) for one in found.same if one.place in places]
        if companions:
            grid = with_companions(table, companions)
            made.append(Section(f"Published beside ours: {title(table)}", (grid,), shown="page"))
    for section in published_sections(found.others):
        name = f"Published, other protocols: {section.title}"
        made.append(replace(section, title=name, shown="folded"))
    if not made:
        answer.problems.append("published numbers were asked for, and none is on a task of this report")
    return made


def with_companions(table: Table, companions: Sequence[Companion]) -> Grid:
    """A table of ours with a block of published rows, which are in no mean, no comparison and no ranking of it."""
    ours = score_grid(table)
    number = Footnotes()
    number(ours.footnotes)
    rows: dict[tuple[str, str], dict[int, Companion]] = {}
    for one in companions:
        rows.setdefault((one.source, one.model), {})[one.place] = one
    lines = []
    for (source, model), found in rows.items():
        letters = "".join(sorted({one.confidence for one in found.values()}))
        marks = number([f"published: {source_title(source)}; confidence {letters}"])
        slots = [_slot(found.get(place), number) for place in range(len(table.columns))]
        lines.append(Line(f"{model} (published)", None, tuple(slots), marks))
    words = "Published rows: ± half of the interval that the source states; they are in no comparison."
    return replace(
        ours, name="published", title="with published numbers", caption=f"{ours.caption} {words}",
        blocks=(*ours.blocks, (BLOCK, tuple(lines))), footnotes=tuple(number.notes),
    )  # fmt: skip


def _slot(one: Companion | None, number: Footnotes) -> Slot:
    if one is None or one.value is None:
        return Slot(HOLE, notes=number(one.notes) if one else ())
    return Slot(value_text(one.value, one.half, 1), notes=number(one.notes))

"""Published numbers in a report: below ours in our columns where they may stand there, else by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.grid import HOLE, score_grid
from deo_bench.reports.sections.published import BLOCK, sections
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore

TASKS = ("m-eurosat", "cover")


def answer(
    fake: FakeStore, protocol: str = "tgb-v0.4", bands: str = "rgb", sources: tuple[str, ...] = ("all",)
) -> Answer:
    entries: list[Entry] = []
    for label, share in (("a", 0.5), ("b", 0.7)):
        for task in TASKS:
            entry = fake.cell(label, [share, share + 0.01], task, protocol=protocol, bands=bands)
        entries.append(entry)
    scope = Scope(TASKS, {protocol: ("knn5_l2",)}, (bands,), experiment="own.toml")
    return make_answer(ReportSpec(published=sources), entries, scope, fake.root)


def test_published_rows_stand_below_ours_and_ours_stay_as_they_are(fake: FakeStore) -> None:
    made = answer(fake)
    (grid,) = sections(made)[0].grids
    ours = score_grid(made.tables[0])
    assert grid.blocks[:-1] == ours.blocks and grid.headings == ours.headings
    name, lines = grid.blocks[-1]
    assert name == BLOCK and [line.label for line in lines] == [
        "DINOv3-L web (published)", "DINOv3-L SAT (published)", "DOFA-L (published)",
    ]  # fmt: skip
    assert [slot.text for slot in lines[2].slots] == ["93.6 ±1.6", HOLE]
    assert not any(slot.is_best or slot.is_second for line in lines for slot in line.slots)
    assert "confidence C" in grid.footnotes[lines[0].notes[0] - 1]
    assert grid.footnotes[: len(ours.footnotes)] == ours.footnotes


@pytest.mark.parametrize("fields", [{"protocol": "scenes-v1"}, {"bands": "s2_13"}], ids=str)
def test_under_another_protocol_or_bands_nothing_stands_in_our_columns(fields: dict[str, str], fake: FakeStore) -> None:
    made = sections(answer(fake, **fields))
    assert made and not any(BLOCK in [name for name, _ in grid.blocks] for part in made for grid in part.grids)
    assert all(part.title.startswith("Published, other protocols: ") for part in made)


def test_the_others_are_folded_and_only_of_our_tasks(fake: FakeStore) -> None:
    first, *others = sections(answer(fake))
    assert first.shown == "page" and {part.shown for part in others} == {"folded"}
    told = {heading.task for part in others for grid in part.grids for heading in grid.headings}
    assert told == {"m-eurosat"}


def test_sources_can_be_named(fake: FakeStore, tmp_path: Path) -> None:
    (made,) = sections(answer(fake, sources=("terrafm",)))
    assert made.title == "Published, other protocols: TerraFM: tables of its repository"


def test_nothing_is_shown_unasked(fake: FakeStore) -> None:
    assert sections(answer(fake, sources=())) == []

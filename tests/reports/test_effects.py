"""Factors of a grid, and their effects: worked out by hand, and silent where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.errors import UserError
from deo_bench.reports.answer import Answer, make_answer
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.factors import Factor, check_pair, grid_of
from deo_bench.reports.grid import HOLE, Grid
from deo_bench.reports.section import Section
from deo_bench.reports.sections import effects
from deo_bench.reports.sections.effects import sections
from deo_bench.reports.spec import ReportSpec
from tests.reports.conftest import FakeStore

SPECTRAL, OPTICAL = "teachers.spectral.use", "teachers.optical.use"
SHARES = {("none", "none"): 0.40, ("none", "tiny"): 0.50, ("ema", "none"): 0.60, ("ema", "tiny"): 0.95}


def answer(fake: FakeStore, entries: Sequence[Entry], scope: Scope, **keys: Any) -> Answer:
    return make_answer(ReportSpec(**keys), entries, scope, fake.root)


def cell(label: str, **settings: Any) -> Entry:
    return Entry(label, "cell", (), settings=settings)


def square(fake: FakeStore, tasks: Sequence[str] = ("cover",)) -> list[Entry]:
    """Two by two cells with the shares above, three seeds that agree."""
    made = []
    for (spectral, optical), share in SHARES.items():
        for task in tasks:
            entry = fake.cell(f"spectral={spectral}, optical={optical}", [share] * 3, task)
        made.append(replace(entry, settings={SPECTRAL: spectral, OPTICAL: optical}))
    return made


def only(found: list[Section]) -> Grid:
    assert len(found) == 1 and len(found[0].grids) == 1
    return found[0].grids[0]


def texts(grid: Grid) -> dict[str, list[str]]:
    return {line.label: [slot.text.split(" ")[0] for slot in line.slots] for line in grid.lines}


def test_effects_are_what_the_hand_works_out(fake: FakeStore, scope: Scope) -> None:
    found = sections(answer(fake, square(fake), scope))
    assert texts(only(found)) == {
        "spectral: none → ema": ["+32.5"],  # the mean of .60 - .40 and .95 - .50
        "optical: none → tiny": ["+22.5"],  # of .50 - .40 and .95 - .60
        "spectral: ema × optical: tiny": ["+25.0"],  # (.95 - .60) - (.50 - .40)
    }
    assert [name for name, _ in only(found).blocks] == ["main effects", "interactions"]
    assert found[0].shown == "page"


def test_effects_are_corrected_over_the_whole_table(fake: FakeStore, scope: Scope) -> None:
    tasks = ("cover", "uses")
    # on `uses` the cells differ by nothing but a coin's toss a seed
    entries = square(fake)
    draws = np.random.default_rng(0)
    for entry in entries:
        fake.cell(entry.label, list(0.5 + draws.integers(-3, 4, 3) / 120), "uses")
    grid = only(sections(answer(fake, entries, replace(scope, tasks=tasks))))
    assert [[slot.is_unresolved for slot in line.slots] for line in grid.lines] == [[False, True]] * 3
    assert "over the 6 comparisons of this table" in grid.caption


def test_a_comparison_that_stands_alone_may_fall_among_many(fake: FakeStore, scope: Scope) -> None:
    """The optical effect has p = .010 by itself: resolved among three comparisons, not among nine."""
    gains = {"none": [0.0, 0.0, 0.0], "tiny": [7 / 120, 8 / 120, 7 / 120]}
    entries, tasks = [], ("cover", "uses", "parcels")
    for spectral in ("none", "ema"):
        for optical, gain in gains.items():
            label = f"{spectral} {optical}"
            for task in tasks:
                rises = gain if task == "cover" else [0.0] * 3
                entry = fake.cell(label, [0.5 + rise for rise in rises], task)
            entries.append(replace(entry, settings={SPECTRAL: spectral, OPTICAL: optical}))

    def unresolved(count: int) -> bool:
        grid = only(sections(answer(fake, entries, replace(scope, tasks=tasks[:count]))))
        return next(line for line in grid.lines if line.label == "optical: none → tiny").slots[0].is_unresolved

    assert [unresolved(1), unresolved(3)] == [False, True]


def test_a_task_without_a_cells_score_has_a_hole_that_says_whose(fake: FakeStore, scope: Scope) -> None:
    entries = square(fake)
    for entry in entries[:3]:
        fake.cell(entry.label, [0.5] * 3, "uses")
    grid = only(sections(answer(fake, entries, replace(scope, tasks=("cover", "uses")))))
    assert [[slot.text == HOLE for slot in line.slots] for line in grid.lines] == [[False, True]] * 3
    assert grid.footnotes == ("no score here of: spectral=ema, optical=tiny",)


def test_a_level_with_a_missing_cell_is_left_out(fake: FakeStore, scope: Scope) -> None:
    entries = square(fake)
    extra = replace(fake.cell("more", [0.9] * 3), settings={SPECTRAL: "run", OPTICAL: "tiny"})
    grid = only(sections(answer(fake, [*entries, extra], scope)))
    assert list(texts(grid)) == ["spectral: none → ema", "optical: none → tiny", "spectral: ema × optical: tiny"]
    assert "Not in it: more." in grid.caption


def test_a_grid_with_too_many_holes_says_so_and_nothing_else(fake: FakeStore, scope: Scope) -> None:
    found = sections(answer(fake, square(fake)[:3], scope))
    assert not found[0].grids
    assert found[0].notes == (
        "The cells with scores are no full product of two factors (spectral, optical), so effects are not shown.",
    )
    assert len(found[0].drawings) == 1, "the map shows what there is, and hatches the rest"


def test_nothing_is_said_of_one_factor_of_named_cells_or_of_no_scores(fake: FakeStore, scope: Scope) -> None:
    one = [replace(fake.cell(name, [0.5] * 3), settings={OPTICAL: name}) for name in ("none", "tiny", "run")]
    assert not sections(answer(fake, one, scope))
    named = [replace(one[0], settings={OPTICAL: "none"}), replace(one[1], settings={"student.stem": "single"}), one[2]]
    assert not sections(answer(fake, named, scope))
    unscored = [cell(f"{a}{b}", **{SPECTRAL: a, OPTICAL: b}) for a in "ab" for b in "ab"]
    assert not sections(answer(fake, unscored, scope))


def test_too_large_a_grid_is_left_out(fake: FakeStore, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "MOST_CELLS", 3)
    found = sections(answer(fake, square(fake), scope))
    assert not found[0].parts and "4 cells" in found[0].notes[0]


def test_a_pair_is_named_and_the_rest_averaged(fake: FakeStore, scope: Scope) -> None:
    entries = []
    for place, (a, b, c) in enumerate(np.ndindex(2, 2, 2)):
        entry = fake.cell(f"cell {place}", [(40 + 10 * a + 20 * b + 4 * c) / 120] * 2)
        entries.append(replace(entry, settings={"m.a": a, "m.b": b, "m.c": c}))
    found = sections(answer(fake, entries, scope, pair=["c", "b"]))
    assert found[0].drawings[0].caption.count("The mean over all levels of a.") == 1
    panels, names, levels = found[0].drawings[0].draw.args  # type: ignore[attr-defined]
    assert (names, levels) == (("c", "b"), (("0", "1"), ("0", "1")))
    expected = np.array([[45, 65], [49, 69]]) / 120
    np.testing.assert_allclose(panels[0].values, expected)
    np.testing.assert_allclose(panels[0].differences[1, 1], 24 / 120)
    assert np.isnan(panels[0].differences[0, 0])


def test_a_pair_that_the_grid_does_not_vary_is_a_mistake() -> None:
    grid = [cell(f"{a}{b}", **{SPECTRAL: a, OPTICAL: b}) for a in "ab" for b in "ab"]
    check_pair(("optical", "spectral"), grid)
    check_pair(None, [])
    with pytest.raises(UserError, match="pair: the grid has no factor 'optcal'.*did you mean 'optical'"):
        check_pair(("optcal", "spectral"), grid)
    with pytest.raises(UserError, match="'optical' twice"):
        check_pair(("optical", "optical"), grid)
    with pytest.raises(UserError, match="vary no two settings"):
        check_pair(("optical", "spectral"), grid[:2])


def test_settings_that_go_together_are_one_factor() -> None:
    zipped = [
        cell(f"{w}{o}", **{"objective.a.weight": w, "objective.b.weight": w, "heads.a.width": 64 * w, OPTICAL: o})
        for w in (1, 2, 3)
        for o in ("none", "tiny")
    ]
    grid = grid_of(zipped)
    assert grid is not None
    assert [factor.name for factor in grid.factors] == ["a.weight + b.weight + width", "optical"]
    assert grid.factors[0].levels == ("1, 64", "2, 128", "3, 192")
    same = grid_of([replace(e, settings={k: v for k, v in e.settings.items() if k != "heads.a.width"}) for e in zipped])
    assert same is not None and same.factors[0] == Factor("weight", ("1", "2", "3"))


def test_levels_that_would_read_alike_say_what_they_set() -> None:
    stems: list[Any] = ["dual", {"use": "dual", "norm": True}]
    grid = grid_of([cell(f"{s}{o}", **{"student.stem": s, OPTICAL: o}) for s in stems for o in ("none", "tiny")])
    assert grid is not None and grid.factors[0] == Factor("stem", ("dual", "dual (norm=True)"))


def test_the_emptiest_level_goes_first() -> None:
    """Of three by three without two corners of one row, that row goes and nothing else."""
    cells = [
        cell(f"{a}{b}", **{"m.a": a, "m.b": b}) for a in range(3) for b in range(3) if (a, b) not in ((1, 0), (1, 2))
    ]
    grid = grid_of(cells)
    assert grid is not None
    full = grid.full({entry.label for entry in cells})
    assert full is not None
    assert [factor.levels for factor in full.factors] == [("0", "2"), ("0", "1", "2")]
    assert full.outside == ("11",)
    assert full.labels[(1, 2)] == "22"

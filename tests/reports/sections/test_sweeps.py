"""The sections of a sweep: what stands in the table, which figures there are, and every format of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deo_bench.reports.entries import Scope
from deo_bench.reports.figures.style import styled
from deo_bench.reports.render_latex import latex
from deo_bench.reports.render_markdown import markdown
from deo_bench.reports.render_terminal import terminal
from deo_bench.reports.report import Report, make_report
from deo_bench.reports.searched import Finalist, Searched, Tried
from deo_bench.reports.section import Section
from deo_bench.reports.sections.sweeps import FOUND, HOW, chosen
from deo_bench.reports.short import in_short
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.write import render, stale_files, write_report
from tests.reports import studies
from tests.reports.conftest import FakeStore
from tests.reports.test_latex import compiled, needs_latex, text_of
from tests.reports.test_write import Outline

TOO_WIDE = r"Overfull \\hbox \(\d{2,}\.|Float too large|Missing character"


def reported(fake: FakeStore, scope: Scope, *searched: Searched, **spec: Any) -> Report:
    """A report whose rows are the studies' finalists."""
    rows = [finalist for study in searched for finalist in study.finalists]
    entries = [fake.cell(one.row, [0.5, 0.52, 0.54] if one.number is None else [0.6, 0.63, 0.63]) for one in rows]
    entries = entries or [fake.cell("default", [0.5, 0.52, 0.54])]
    return make_report(ReportSpec(**spec), entries, scope, fake.root, searched=searched)


def sections(report: Report) -> dict[str, Section]:
    return {section.title: section for section in report.sections if section.title in (FOUND, HOW)}


def table(report: Report) -> dict[str, list[str]]:
    """Row -> what its slots say, of the first table."""
    return {line.label: [slot.text for slot in line.slots] for line in sections(report)[FOUND].grids[0].lines}


def test_finalists_stand_with_both_values_and_the_gap(fake: FakeStore, scope: Scope) -> None:
    study = studies.study(40)
    made = reported(fake, scope, study)
    grid = sections(made)[FOUND].grids[0]
    assert [heading.metric for heading in grid.headings] == [
        "own seed", "fresh", "gap", "fresh", "to default",
    ]  # fmt: skip
    best = study.finalists[1]
    seeds = list(best.fresh[0].values())
    told = table(made)[best.row]
    assert told[0] == f"{100 * float(best.searched[0] or 0):.1f}" and told[1].startswith(
        f"{100 * sum(seeds) / 3:.1f} ±"
    )
    assert told[2].split(",")[0] == f"{100 * (sum(seeds) / 3 - float(best.searched[0] or 0)):+.1f}"
    assert told[3].startswith("62.2 ±") and told[4].startswith("+10.3 [")
    assert table(made)["default"][4] == "–" and [line.runs for line in grid.lines] == [3] * 4
    notes = " ".join(sections(made)[FOUND].notes)
    for words in ("40 of 40 trials made (30 finished, 8 pruned, 2 failed; 1 cost nothing", "winner's luck", "Holm"):
        assert words in notes
    assert "Sampler TPE (seed 0); pruner median; budget 2,000 steps" in sections(made)[FOUND].grids[1].caption
    assert "over seeds and test images." in " ".join(grid.caption.split("only").pop().split()), grid.caption
    assert made.sections.index(sections(made)[FOUND]) == 1, "right after the scores"


def test_no_difference_is_explained_where_none_is_shown(fake: FakeStore, scope: Scope) -> None:
    study = studies.study(12)
    alone = make_report(ReportSpec(), [fake.cell("default", [0.5, 0.52])], scope, fake.root, searched=(study,))
    for made, is_there in ((alone, False), (reported(fake, scope, study), True)):
        found = sections(made)[FOUND]
        grid, notes = found.grids[0], " ".join(found.notes)
        assert ("to default" in [heading.metric for heading in grid.headings]) is is_there
        assert ("To default: paired." in grid.caption) is is_there
        assert ("Differences on report" in notes) is is_there
        assert "Report: test images" in grid.caption and "Protocol scenes-v1, bands s2_10" in notes


def test_a_gap_beyond_the_seeds_spread_is_called_so(fake: FakeStore, scope: Scope) -> None:
    study = studies.study(12)
    best = study.finalists[1]
    far = replace(best, searched=(0.8,), fresh=({0: 0.6, 1: 0.601, 2: 0.599},))
    near = replace(best, row="trial near", fresh=({0: 0.6, 1: 0.7, 2: 0.65},))
    made = reported(fake, scope, replace(study, finalists=(study.finalists[0], far, near)))
    grid = sections(made)[FOUND].grids[0]
    gaps = {line.label: line.slots[2] for line in grid.lines}
    assert gaps[far.row].text == "-20.0" and not gaps["trial near"].notes
    assert [grid.footnotes[note - 1].split(":")[0] for note in gaps[far.row].notes] == [
        "beyond the spread of its seeds"
    ]
    lucky = reported(fake, scope, replace(study, finalists=(study.finalists[0], far)))
    assert "gap -20.0, beyond the spread of its seeds" in in_short(lucky.answer)[0]


def test_one_seed_is_called_one_seed(fake: FakeStore, scope: Scope) -> None:
    rows = (Finalist("default", None, (0.58,), ({0: 0.57},)), Finalist("trial 7", 7, (0.66,), ({0: 0.62},)))
    entries = [fake.cell("default", [0.5]), fake.cell("trial 7", [0.6])]
    study = studies.study(12, finalists=rows)
    made = make_report(ReportSpec(), entries, scope, fake.root, searched=(study,))
    found = sections(made)[FOUND]
    grid = found.grids[0]
    assert "over test images only (one run a row)" in grid.caption and "seeds and test images" not in grid.caption
    assert "one a row: how much seeds vary is not known" in grid.caption
    notes = [grid.footnotes[note - 1] for note in grid.lines[1].slots[4].notes]
    assert notes == ["one seed: the interval is over test images only"]
    assert "what the one fresh seed gave" in found.drawings[0].caption


def test_seeds_that_agree_show_no_interval(fake: FakeStore, scope: Scope) -> None:
    rows = (
        Finalist("default", None, (0.58,), ({0: 0.083, 1: 0.083, 2: 0.083},)),
        Finalist("trial 7", 7, (0.1,), ({},)),
    )
    grid = sections(reported(fake, scope, studies.study(12, finalists=rows)))[FOUND].grids[0]
    slot = grid.lines[0].slots[1]
    assert slot.text == "8.3" and [grid.footnotes[note - 1][:27] for note in slot.notes] == [
        "the seeds agree to the digit"[:27]
    ]


def test_the_table_of_finalists_fits_eighty_columns(fake: FakeStore, scope: Scope, tmp_path: Path) -> None:
    made = reported(fake, scope, studies.study(40))
    grid = sections(made)[FOUND].grids[0]
    console = Console(width=80, record=True, file=(tmp_path / "said").open("w"))
    console.print(terminal(replace(made, sections=(Section(FOUND, (grid,)),)), False, 80))
    said = console.export_text().splitlines()
    assert sum(line.strip().startswith("default") for line in said) == 1, "the table is cut in two"
    assert [line.split()[:2] for line in said if line.strip().startswith("trial")] == [
        ["trial", str(one.number)] for one in studies.study(40).finalists[1:]
    ], "a label is broken"
    assert len(said[next(n for n, line in enumerate(said) if line.startswith("Percent.")) :]) <= 6
    assert studies.KNN.name not in [line for heading in grid.headings for line in heading.lines]


def of_two(default: float, tried: float, **fields: Any) -> Searched:
    """A study whose default and whose trial 2 had these means with fresh seeds."""
    rows = [
        Finalist(row, number, (value,), ({0: value - 0.01, 1: value + 0.01},))
        for row, number, value in (("default", None, default), ("trial 2", 2, tried))
    ]
    return studies.study(12, finalists=tuple(rows), **fields)


@pytest.mark.parametrize(
    ("default", "tried", "direction", "words"),
    [
        (0.917, 0.875, "max", "no trial beats the recipe as it stands (91.7 on select with fresh seeds); the best "
         "trial, 2, has 87.5 on select (87.5 at the trial's seed, gap 0.0)"),
        (0.875, 0.917, "max", "best by fresh seeds is trial 2 with 91.7 on select"),
        (0.875, 0.917, "min", "no trial beats the recipe as it stands (87.5 on select"),
        (0.875, 0.875, "max", "(87.5 on select with fresh seeds); the best trial, 2, equals it"),
    ],
)  # fmt: skip
def test_the_headline_says_whether_the_search_won(
    fake: FakeStore, scope: Scope, default: float, tried: float, direction: Any, words: str
) -> None:
    study = of_two(default, tried, aims=(replace(studies.KNN, direction=direction),))
    assert words in in_short(reported(fake, scope, study).answer)[0]


def test_before_the_finalists_the_default_may_be_the_best_so_far(fake: FakeStore, scope: Scope) -> None:
    made = [
        Tried(n, "complete", (each,), studies.DEFAULT, is_default=n == 0) for n, each in enumerate((0.9, 0.8, 0.85))
    ]
    study = studies.study(9, made=made, has_finalists=False)
    words = (
        "best so far is the recipe as it stands with 90.0 on select at the trials' seed; no trial beats it: "
        "the best other, 2, has 85.0."
    )
    assert in_short(reported(fake, scope, study).answer)[0].endswith(words)


def test_figures_are_named_once_and_drawn(fake: FakeStore, scope: Scope) -> None:
    cells = ("optical=tiny_optical", "optical=none", "optical=dinov3_vitb16")
    made = reported(fake, scope, *(studies.study(14, cell=cell, seed=n) for n, cell in enumerate(cells)))
    found = sections(made)
    names = [drawing.name for section in found.values() for drawing in section.drawings]
    kinds = ("history", "importances", "parallel", "slices")
    assert sorted(names) == sorted(f"{kind}-{place}" for kind in kinds for place in (1, 2, 3))
    grid = found[FOUND].grids[0]
    assert [name for name, _ in grid.blocks] == list(cells)
    assert grid.blocks[0][1][0].label == "default", "the cell stands above it already"
    with styled():
        titles = [drawing.draw().get_suptitle() for drawing in found[HOW].drawings]
    assert titles == [cell for cell in cells for _ in kinds[1:]]
    assert [heading.task for heading in found[HOW].grids[0].headings] == list(cells)
    told = in_short(made.answer)
    assert [sentence.split(":")[0] for sentence in told[:3]] == [f"Sweep of {cell}" for cell in cells]


def lacking(state: Any) -> Searched:
    made = [replace(trial, state=state, values=(None,)) for trial in studies.trials(12, has_pruning=False)]
    return studies.study(12, made=made, has_finalists=False)


@pytest.mark.parametrize(
    ("state", "word"), [("pruned", "was pruned"), ("failed", "failed"), ("running", "is under way")]
)
def test_a_study_without_any_value_says_so(fake: FakeStore, scope: Scope, state: Any, word: str) -> None:
    made = reported(fake, scope, lacking(state))
    found = sections(made)
    assert table(made) == {"default": ["–"]} and f"its trial {word}" in found[FOUND].grids[0].footnotes
    assert [drawing.name for section in found.values() for drawing in section.drawings] == ["history"]
    assert any("it takes 10" in note for note in found[HOW].notes)
    assert "none has a value" in in_short(made.answer)[0]


def test_a_sweep_under_way_shows_the_best_so_far_and_claims_nothing(fake: FakeStore, scope: Scope) -> None:
    made_so_far = studies.trials(18)
    study = studies.study(40, made=made_so_far, has_finalists=False, wanted=40)
    made = reported(fake, scope, study)
    rows = table(made)
    assert len(rows) == 4 and all(len(slots) == 1 for slots in rows.values())
    assert "nothing was run with fresh seeds yet" in sections(made)[FOUND].grids[0].caption
    assert any("under way" in note for note in sections(made)[HOW].notes)
    assert in_short(made.answer)[0].startswith("Sweep, under way: 18 of 40 trials made (")
    assert "best so far is trial" in in_short(made.answer)[0]


def test_the_recipe_as_it_stands_is_planned_before_anything_was_chosen(fake: FakeStore, scope: Scope) -> None:
    study = studies.study(40, made=studies.trials(18), has_finalists=False, wanted=40)
    default = Finalist("default", None, study.trials[0].values, ({},))
    made = reported(fake, scope, replace(study, finalists=(default,)))
    rows = table(made)
    assert len(rows) == 4 and all(len(slots) == 1 for slots in rows.values()), "the best so far beside it"
    early = replace(default, fresh=({0: 0.61, 1: 0.62},))
    rows = table(reported(fake, scope, replace(study, finalists=(early,))))
    assert [row.split(" ")[0] for row in rows] == ["default", *["trial"] * 3]
    assert rows["default"][1].startswith("61.5 ±") and rows["trial 13"][1] == "–"


def test_two_aims_stand_side_by_side(fake: FakeStore, scope: Scope) -> None:
    made = reported(fake, scope, studies.two_aims())
    grid = sections(made)[FOUND].grids[0]
    assert [h.task for h in grid.headings] == [studies.KNN.name] * 5 + ["parameters"] * 3
    assert [h.remark for h in grid.headings[5:]] == ["less is better"] * 3, "and no report split for a cost"
    slots = table(made)["default"]
    assert slots[5] == slots[6] and slots[7] == "0" and "," in slots[5]
    names = [drawing.name for drawing in sections(made)[HOW].drawings]
    assert names == ["importances", "parallel", "slices-a", "slices-b"]


def test_many_paths_are_cut_to_the_most_important_and_it_is_said(fake: FakeStore, scope: Scope) -> None:
    study = studies.wide(60, 15)
    made = reported(fake, scope, study)
    captions = {drawing.name: drawing.caption for drawing in sections(made)[HOW].drawings}
    assert "Shown: the 12 most important of 15 paths." in captions["slices"]
    assert "Shown: the 8 most important of 15 paths." in captions["parallel"]
    axes, words = chosen(study.axes, (), 4)
    assert axes == list(study.axes[:4]) and words == " Shown: the first 4 of 15 paths."


def test_captions_say_what_is_not_drawn_and_what_lies_aside(fake: FakeStore, scope: Scope) -> None:
    captions = {one.name: one.caption for one in sections(reported(fake, scope, studies.study(40)))[HOW].drawings}
    assert "Finished trials alone; left out: 8 pruned, 2 failed." in captions["slices"]
    assert all("Within a choice trials stand a little apart" in captions[name] for name in ("slices", "parallel"))


def test_one_trial_is_no_comparison(fake: FakeStore, scope: Scope) -> None:
    made = reported(fake, scope, studies.study(1))
    assert [drawing.name for section in sections(made).values() for drawing in section.drawings] == ["history"]
    assert any("nothing to compare" in note for note in sections(made)[HOW].notes)


def test_without_a_sweep_there_is_no_section(fake: FakeStore, scope: Scope) -> None:
    empty = replace(studies.study(1), trials=(), finalists=())
    for made in (reported(fake, scope), reported(fake, scope, empty)):
        assert (
            not sections(made) and "trials.csv" not in render(made) and "Sweep" not in " ".join(in_short(made.answer))
        )


def test_every_format_shows_it_and_the_bytes_are_the_same(fake: FakeStore, scope: Scope, tmp_path: Path) -> None:
    study = studies.study(16, told=("sampler $x_1$ & <b>",))
    forms = ("markdown", "latex", "csv", "html", "png")
    made = reported(fake, scope, study, title="Sweep", formats=forms)
    write_report(made, tmp_path / "out")
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert {"trials.csv", "history.png", "importances.png", "parallel.png", "slices.png"} <= set(files)
    assert files["trials.csv"].read_text().count("\n") == 17
    best = study.finalists[1].row
    for name in ("index.html", "table.md", "table.tex"):
        text = files[name].read_text()
        assert "fresh seeds" in text and best in text and "compress" in text, name
    assert "&lt;b&gt;" in files["index.html"].read_text() and r"\$x\_1\$ \&" in files["table.tex"].read_text()
    assert "![" in files["table.md"].read_text() and "(slices.png)" in files["table.md"].read_text()
    plain: dict[str, Any] = {"title": "Sweep", "formats": forms[:3]}
    write_report(reported(fake, scope, study, **plain), tmp_path / "plain")
    assert stale_files(reported(fake, scope, study, **plain), tmp_path / "plain") == []
    outline = Outline()
    outline.feed(files["index.html"].read_text())
    assert outline.open == [] and len(outline.ids) == len(set(outline.ids)), "an id of one figure is another's"
    assert all(len(widths) == 1 for widths in outline.widths), "a row is shorter than its table"
    console = Console(width=100, record=True, file=(tmp_path / "said").open("w"))
    console.print(terminal(made, False, 100, in_short(made.answer)))
    said = console.export_text()
    assert FOUND in said and "Also there" in said and HOW in said and best in said
    assert "## What was found" in markdown(made) and "![" not in markdown(made)
    assert "begin{table*}" in latex(made)


@needs_latex
@pytest.mark.system
def test_the_tables_compile_and_fit_the_page(fake: FakeStore, scope: Scope, tmp_path: Path) -> None:
    cells = [studies.study(14, cell=f"optical={name}", seed=n) for n, name in enumerate(studies.TEACHERS)]
    made = reported(fake, scope, *cells)
    (tmp_path / "table.tex").write_text(latex(made), encoding="ascii")
    said = compiled(tmp_path, "table")
    assert not re.findall(TOO_WIDE, said) and "trial" in text_of(tmp_path / "table.pdf")
    (tmp_path / "table.tex").write_text(latex(reported(fake, scope, studies.two_aims())), encoding="ascii")
    assert not re.findall(TOO_WIDE, compiled(tmp_path, "table"))


def test_a_value_that_is_no_number_breaks_nothing(fake: FakeStore, scope: Scope) -> None:
    odd = [
        replace(trial, values=(float("nan"),), settings={**trial.settings, studies.WEIGHT.path: None}) if n % 4 == 1
        else trial
        for n, trial in enumerate(studies.trials(16))
    ]  # fmt: skip
    odd.append(Tried(16, "complete", (), {}))
    files = render(reported(fake, scope, studies.study(17, made=odd, has_finalists=False), formats=("png", "markdown")))
    assert {"history.png", "parallel.png", "slices.png", "trials.csv"} <= set(files)

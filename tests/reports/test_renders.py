"""One small table in every format, to the letter."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column, Scores
from deo_bench.reports.entries import Scope
from deo_bench.reports.frame import COLUMNS
from deo_bench.reports.grid import Grid, difference_grid, score_grid
from deo_bench.reports.render_csv import FIELDS, comma_separated
from deo_bench.reports.render_latex import latex
from deo_bench.reports.render_markdown import markdown
from deo_bench.reports.render_terminal import terminal
from deo_bench.reports.report import Report
from deo_bench.reports.sections import scores
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.statistics import Difference, Estimate
from deo_bench.reports.table import ABOVE_STUDENTS, Cell, Row, Table
from deo_bench.reports.wording import difference_text, number, pairing_note

TASKS = ("cover", "uses")


def column(task: str) -> Column:
    metric = "micro_map" if task == "uses" else "accuracy"
    groups = 44 if task == "uses" else None
    return Column(task, "knn5_l2", "scenes-v1", "s2_10", "student", metric, "max", 1000, groups, "c", "published")


def three(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, 3, 2.5)


def gain(value: float, half: float) -> Difference:
    return Difference(value, value - half, value + half, 0.01, 2.5, 3, "paired")


def reported(tables: Sequence[Table], problems: Sequence[str] = ()) -> Report:
    """A report of ready tables: their sections, and no other."""
    scope = Scope(TASKS, {"scenes-v1": ("knn5_l2", "linear")}, ("s2_10",))
    frame = pd.DataFrame([], columns=COLUMNS)
    answer = Answer(
        ReportSpec(), (), scope, tuple(tables), frame, Scores(frame, [], scope), Path("runs"), list(problems)
    )
    return Report(answer, (*scores.main(answer), *scores.other_probes(answer)))


def grids(table: Table) -> list[Grid]:
    gains = difference_grid(table)
    return [score_grid(table), *([gains] if gains else [])]


def made() -> list[Table]:
    one = Estimate(0.84, 0.81, 0.86, 1, None)
    rows = (
        Row("untrained", "cell", 3, (Cell(three(0.54, 0.01)), Cell(three(0.33, 0.02)))),
        Row("optical=tiny_optical", "cell", 3,
            (Cell(three(0.42, 0.02), gain(-0.118, 0.035), corrected=0.02),
             Cell(three(0.35, 0.03), gain(0.021, 0.03), True, corrected=0.3)),
            ("10-band stem got no gradient",), ("tiny_optical",)),
        Row("pixel_bag", "baseline", 1,
            (Cell(one, gain(0.3, 0.02), notes=(ABOVE_STUDENTS,)), Cell(reason="not evaluated"))),
        Row("majority", "reference", 1, (Cell(Estimate(0.12, 0.1, 0.14, 1, None), gain(-0.42, 0.02)),
                                         Cell(Estimate(0.2, 0.18, 0.22, 1, None), gain(-0.13, 0.02)))),
    )  # fmt: skip
    table = Table(
        "scenes-v1", "knn5_l2", "s2_10", "student", tuple(map(column, TASKS)), rows, "untrained", "experiments/x_y.toml"
    )
    return [table, replace(table, probe="linear")]


def report() -> Report:
    return reported(made(), ["runs/a|b.json: not used, it is torn"])


MARKDOWN = """\
## scenes-v1, probe knn5\\_l2, bands s2\\_10, student weights

|  | runs | cover<br>accuracy<br>n = 1,000 | uses<br>micro-mAP<br>n = 1,000 in 44 groups |
| --- | ---: | ---: | ---: |
| untrained | 3 | 54.0 ±1.0 | 33.0 ±2.0 |
| optical=tiny\\_optical<sup>1</sup> | 3 | 42.0 ±2.0 | **35.0 ±3.0** |
| *not trained here* |  |  |  |
| pixel\\_bag | 1 | 84.0 ±2.5<sup>2</sup> | –<sup>3</sup> |
| *references* |  |  |  |
| majority | 1 | 12.0 ±2.0 | 20.0 ±2.0 |

<sup>1</sup> 10-band stem got no gradient<br>
<sup>2</sup> above every student<br>
<sup>3</sup> not evaluated
"""
DIFFERENCES = """\
| optical=tiny\\_optical<sup>1</sup> | 3 | -11.8 [-15.3, -8.3] | +2.1 [-0.9, 5.1] *unresolved, p = .30* |

<sup>1</sup> 10-band stem got no gradient
"""


def test_markdown_to_the_letter() -> None:
    text = markdown(report())
    assert text.startswith(MARKDOWN)
    assert DIFFERENCES in text
    assert "- runs/a\\|b.json: not used, it is torn" in text
    assert "## scenes-v1, probe linear" in text and text.count("### Differences to untrained") == 2


def test_the_caption_names_generated_scenes_by_the_tasks_and_not_by_the_protocol() -> None:
    table = made()[0]
    first, *others = table.columns
    on_scenes = replace(table, columns=(replace(first, task="scenes-cover"), *others))
    assert "generated scenes" not in grids(table)[0].caption
    assert "scenes-cover on generated scenes" in grids(on_scenes)[0].caption


def test_the_caption_says_what_is_needed_to_read_it() -> None:
    scores, differences = (grid.caption for grid in grids(made()[0]))
    wanted = ("protocol scenes-v1", "bands s2_10", "Mean over 3 seeds", "experiments/x_y.toml", "Bold", "2 columns")
    for words in wanted:
        assert words in scores
    wanted = ("against 'untrained'", "each by itself", "Holm's correction over the 2 comparisons", "exploratory")
    for words in wanted:
        assert words in differences
    single = replace(made()[0], rows=tuple(replace(row, runs=1) for row in made()[0].rows))
    assert "how much seeds vary is not known" in grids(single)[0].caption


def test_a_caption_explains_what_is_there_and_nothing_else() -> None:
    table = made()[0]
    scores, differences = (grid.caption for grid in grids(table))
    assert "rows of one run" in scores and "One of the 2 differences is resolved." in differences
    plain = [replace(cell, is_best=False, is_second=False, corrected=0.9) for cell in table.rows[1].cells]
    cells = [tuple(replace(c, is_best=False, is_second=False) for c in row.cells) for row in table.rows]
    cells[1] = tuple(plain)
    rows = tuple(replace(row, runs=3, cells=each) for row, each in zip(table.rows, cells, strict=True))
    scores, differences = (grid.caption for grid in grids(replace(table, rows=rows)))
    assert "rows of one run" not in scores and "underlined" not in scores and "Nothing is bold" in scores
    assert "None of the 2 differences is resolved." in differences and "single run" not in differences
    lone = replace(table, rows=tuple(replace(row, runs=1) if row.label == table.against else row for row in rows))
    assert "single run" in grids(lone)[1].caption


def test_unpaired_differences_are_said() -> None:
    table = made()[0]
    row = table.rows[1]
    cells = tuple(replace(cell, difference=replace(gain(0.1, 0.2), pairing="unpaired")) for cell in row.cells)
    changed = replace(table, rows=(table.rows[0], replace(row, cells=cells)))
    assert any("no seed in common with 'untrained'" in note for note in grids(changed)[1].footnotes)


@pytest.mark.parametrize(("half", "corrected", "is_unresolved"), [(0.05, 0.2, True), (0.2, 0.01, False)])
def test_what_is_resolved_is_the_corrected_p_values_to_say(half: float, corrected: float, is_unresolved: bool) -> None:
    table = made()[0]
    cells = tuple(replace(cell, difference=gain(0.1, half), corrected=corrected) for cell in table.rows[1].cells)
    shown = grids(replace(table, rows=(table.rows[0], replace(table.rows[1], cells=cells))))[1].lines[0].slots
    assert [slot.is_unresolved for slot in shown] == [is_unresolved] * 2


def test_without_a_baseline_row_there_is_one_view() -> None:
    table = made()[0]
    rows = tuple(replace(row, cells=tuple(replace(cell, difference=None) for cell in row.cells)) for row in table.rows)
    assert [grid.name for grid in grids(replace(table, rows=rows, against=None))] == ["scores"]


@pytest.mark.parametrize(("value", "text"), [(0.09, "+9.0"), (-0.0221, "-2.2"), (-0.0001, "0.0"), (0.0001, "0.0")])
def test_signs(value: float, text: str) -> None:
    assert number(value, signed=True) == text


def test_a_difference_shows_gain_and_loss_alike() -> None:
    assert difference_text(gain(0.09, 0.035)) == "+9.0 [5.5, 12.5]"
    assert difference_text(gain(-0.022, 0.01)) == "-2.2 [-3.2, -1.2]"


def test_the_terminal_shows_the_first_probe_and_names_the_others() -> None:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(terminal(report(), width=100))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "84.0 ±2.5 ²" in text
    assert "unresolved" in text
    assert "Also there: scenes-v1, probe linear, bands s2_10, student weights (--all shows them)." in text
    assert "Look at: runs/a|b.json" in text
    assert text.count("probe linear") == 1
    console.print(terminal(report(), show_all=True, width=100))
    assert console.file.getvalue().count("probe linear") > 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_wide_table_is_cut_not_squeezed(width: int) -> None:
    table = made()[0]
    tasks = tuple(column(f"task-{place}") for place in range(7))
    rows = tuple(replace(row, cells=(row.cells[0],) * 7) for row in table.rows)
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal(reported([replace(table, columns=tasks, rows=rows)]), width=width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert all(f"task-{place}" in text for place in range(7))
    assert "…" not in text
    assert text.count("-11.8 [-15.3, -8.3]") == 7


def test_csv_holds_tidy_numbers_and_empties_not_zeros() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(made()))))
    assert tuple(rows[0]) == FIELDS
    assert len(rows) == 2 * 4 * 2
    found = {name: value for name, value in rows[2].items() if value}
    assert found == {
        "label": "optical=tiny_optical", "kind": "cell", "task": "cover", "probe": "knn5_l2", "protocol": "scenes-v1",
        "metric": "accuracy", "direction": "max", "bands": "s2_10", "band_labels": "published", "weights": "student",
        "partition": "default", "step": "last",
        "n": "1000", "runs": "3", "value": "0.42", "low": "0.4", "high": "0.44", "df": "2.5",
        "interval": "seeds and images",
        "best": "False", "second": "False", "against": "untrained", "difference": "-0.118", "difference_low": "-0.153",
        "difference_high": "-0.083", "difference_p": "0.01", "difference_p_holm": "0.02",
        "resolved": "True", "difference_df": "2.5", "difference_runs": "3",
        "pairing": "paired", "notes": "10-band stem got no gradient",
    }  # fmt: skip
    hole = rows[5]
    assert (hole["label"], hole["value"], hole["missing"]) == ("pixel_bag", "", "not evaluated")


def environments(text: str) -> Iterator[str]:
    for part in text.split(r"\begin{table*}")[1:]:
        yield part.split(r"\end{table*}")[0]


def test_latex_has_booktabs_and_the_same_words() -> None:
    text = latex(report())
    tables = list(environments(text))
    assert len(tables) == 4
    for table in tables:
        assert [table.count(rule) for rule in (r"\toprule", r"\bottomrule")] == [1, 1]
        body = table.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\") and not line.startswith(r"\multicolumn")]
        assert {line.count("&") for line in rows} == {3}
    assert r"\textbf{35.0 \ensuremath{\pm}3.0}" in tables[0]
    assert r"optical=tiny\_optical\textsuperscript{1} & 3 & 42.0 \ensuremath{\pm}2.0" in tables[0]
    assert r"+2.1 {[}\ensuremath{-}0.9, 5.1{]}\textsuperscript{\ensuremath{\circ}}" in tables[1]
    assert r"\textsuperscript{\ensuremath{\circ}} unresolved." in tables[1] and "circ" not in tables[0]
    assert r"experiments/x\_y.toml" in text
    assert text.isascii()


@pytest.mark.parametrize("width", [80, 120])
def test_twenty_rows_of_twelve_tasks_fit_a_terminal_with_every_number_whole(width: int) -> None:
    table = made()[0]
    tasks = tuple(replace(column("cover"), task=f"m-bigearthnet-{place:02}") for place in range(12))
    label = "teachers.optical.use=dinov3_vitb16, objective.optical_maps.on=early+mid+late, weight="
    rows = tuple(
        replace(table.rows[1], label=f"{label}{place}", cells=(table.rows[1].cells[0],) * 12) for place in range(20)
    )
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal(reported([replace(table, columns=tasks, rows=rows)]), width=width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(cell_len, text.splitlines())) <= width and "…" not in text
    assert text.count("42.0 ±2.0") == text.count("-11.8 [-15.3, -8.3]") == 20 * 12
    parts = text.count("m-bigearthnet-00") and len(re.findall(r"weight=\s*19", re.sub(r"\s+", "", text)))
    assert parts == {80: 12, 120: 8}[width], "as few parts as will do, each with its rows"


@pytest.mark.parametrize(
    ("runs", "seeds", "told"),
    [
        (1, 1, "one seed: the interval is over test images only"),
        (3, 1, "one seed in common: the interval is over test images only"),
        (3, 2, "over 2 of 3 seeds in one column at the least: those that both sides have"),
        (3, 3, ""),
    ],
)
def test_a_difference_of_fewer_seeds_than_were_run_says_so(runs: int, seeds: int, told: str) -> None:
    cells = (Cell(difference=replace(gain(0.1, 0.2), seeds=seeds)),)
    assert pairing_note(Row("a", "cell", runs, cells), "untrained") == ((told,) if told else ())

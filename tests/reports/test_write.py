"""A whole report in files: what is there, that it stands alone, and that the same scores give the same bytes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

from deo_bench.errors import UserError
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.figures.dots import dots, has_dots
from deo_bench.reports.figures.style import encode
from deo_bench.reports.palette import UNTAUGHT, colour, colours
from deo_bench.reports.render_markdown import markdown
from deo_bench.reports.report import Report, make_report
from deo_bench.reports.spec import ReportSpec, check_spec, read_spec
from deo_bench.reports.wording import resolved
from deo_bench.reports.write import render, stale_files, write_report
from tests.reports.conftest import FakeStore, run_name

ROOT = Path(__file__).parents[2]
SPEC = ReportSpec(title="Which <teachers>?", question="Both & neither?", baseline="untrained", notes=("Made up.",))


@pytest.fixture
def rows(fake: FakeStore) -> list[Entry]:
    """Three cells, a baseline above them, and a torn score."""
    found = [
        replace(fake.cell("none", [0.5, 0.51, 0.49]), is_untrained=True),
        replace(fake.cell("ema", [0.6, 0.62, 0.61]), teachers=("ema",), marks=("collapsed",)),
        replace(fake.cell("both", [0.5, 0.51, 0.52]), teachers=("ema", "tiny_optical")),
        fake.single("pixel_bag", 0.8),
    ]
    (fake.root / run_name("none", 0) / "scores" / "torn.json").write_text("{")
    return found


@pytest.fixture
def made(fake: FakeStore, rows: list[Entry], scope: Scope) -> Report:
    return make_report(SPEC, rows, scope, fake.root)


def test_every_format_is_written_and_the_scores_beside_it(made: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = write_report(made, out)
    names = {path.name for path in paths}
    assert {"scores.csv", "table.md", "table.tex", "table.csv", "index.html"} <= names
    assert {f"{view}.{form}" for view in ("scores", "differences") for form in ("png", "pdf", "svg")} <= names
    assert sorted(out.iterdir()) == sorted(paths)
    text = (out / "scores.csv").read_text()
    assert text.startswith("label,kind,subject,task,probe,") and text.count("\n") == 11
    assert str(tmp_path) not in text
    assert "torn.json: not used" in (out / "table.md").read_text().replace("\\", "")


def test_the_same_scores_give_the_same_bytes(
    fake: FakeStore, rows: list[Entry], scope: Scope, made: Report, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_report(made, out)
    assert stale_files(make_report(SPEC, rows, scope, fake.root), out) == []
    (out / "table.md").write_text("old")
    (out / "scores.png").unlink()
    (out / "scores.svg").write_bytes(b"<svg/>")
    assert [path.name for path in stale_files(made, out)] == ["table.md", "scores.png", "scores.svg"]


def test_only_what_is_asked_for_is_written(fake: FakeStore, rows: list[Entry], scope: Scope, tmp_path: Path) -> None:
    made = make_report(SPEC.model_copy(update={"formats": ("csv",)}), rows, scope, fake.root)
    assert [path.name for path in write_report(made, tmp_path)] == ["scores.csv", "table.csv", "files.txt"]


def test_what_an_earlier_report_left_goes_and_what_is_not_the_reports_stays(
    fake: FakeStore, rows: list[Entry], scope: Scope, tmp_path: Path
) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside.png"
    outside.write_bytes(b"")
    write_report(make_report(SPEC, rows, scope, fake.root), out)
    (out / "mine.png").write_bytes(b"")
    (out / "files.txt").write_text((out / "files.txt").read_text() + "../outside.png\nnever.png\n")
    bare = make_report(SPEC.model_copy(update={"formats": ("csv",)}), rows, scope, fake.root)
    assert out / "scores.png" in stale_files(bare, out)
    write_report(bare, out)
    assert sorted(path.name for path in out.iterdir()) == ["files.txt", "mine.png", "scores.csv", "table.csv"]
    assert outside.exists() and stale_files(bare, out) == []


def test_the_page_stands_alone(made: Report) -> None:
    text = render(made)["index.html"].decode()
    outside = [link for link in re.findall(r'(?:src|href)="([^"]*)"', text) if not link.startswith(("#", "data:"))]
    assert not outside
    assert "Which &lt;teachers&gt;?" in text and "Both &amp; neither?" in text
    assert text.count("<svg") == len([drawing for section in made.sections for drawing in section.drawings]) >= 2
    assert "above every student" in text
    assert "torn.json: not used" in text
    assert "<b>60.8" in text, "ema leads with a resolved difference"


def test_the_answer_stands_before_every_table(made: Report) -> None:
    files = {name: content.decode() for name, content in render(made).items() if name in ("index.html", "table.md")}
    for text, table in ((files["index.html"], "<table>"), (files["table.md"], "| ---")):
        answer, count = text[: text.index(table)], len(resolved(made.answer.main[0]))
        assert count and f"to {made.answer.main[0].against} " in answer, "which differences, and to what"
        assert answer.count(" points.") == 1 and answer.count(" on cover") >= 1


def test_a_figure_has_no_panel_for_what_is_not_there(made: Report, fake: FakeStore, scope: Scope) -> None:
    table = made.answer.tables[0]
    assert encode(partial(dots, table, "scores"), "png").startswith(b"\x89PNG")
    bare = replace(table, rows=tuple(row for row in table.rows if row.kind == "baseline"))
    assert has_dots(table, "differences") and not has_dots(bare, "differences")
    assert not has_dots(replace(table, rows=()), "scores")


def test_panels_of_one_task_have_one_range(made: Report) -> None:
    table = made.answer.tables[0]
    lower = [
        replace(cell, estimate=replace(e, value=e.value / 2, low=e.low / 2, high=e.high / 2))
        for cell in (row.cells[0] for row in table.rows)
        if (e := cell.estimate)
    ]
    rows = [row for row in table.rows if row.cells[0].estimate]
    rows = [replace(row, cells=(row.cells[0], cell)) for row, cell in zip(rows, lower, strict=True)]
    both = replace(table, columns=(replace(table.columns[0], step=10), table.columns[0]), rows=tuple(rows))
    ranges = [axes.get_xlim() for axes in dots(both, "scores").axes]
    assert ranges[0] == ranges[1] and ranges[0][0] < 100 * min(row.cells[1].estimate.low for row in rows)
    other = replace(both, columns=(both.columns[0], replace(both.columns[1], task="another")))
    ranges = [axes.get_xlim() for axes in dots(other, "scores").axes]
    assert ranges[0] != ranges[1]


def test_several_band_sets_have_figures_of_their_own(
    fake: FakeStore, rows: list[Entry], scope: Scope, tmp_path: Path
) -> None:
    for label in ("none", "ema", "both"):
        fake.cell(label, [0.4, 0.5, 0.45], bands="rgb")
    spec = SPEC.model_copy(update={"formats": ("png",)})
    made = make_report(spec, rows, replace(scope, bands=("s2_10", "rgb")), fake.root)
    names = {path.name for path in write_report(made, tmp_path / "out")}
    wanted = {f"{view}-{bands}.png" for view in ("scores", "differences") for bands in ("s2_10", "rgb")}
    assert {"scores.csv", *wanted} <= names and not {"table.md", "scores.png", "scores-rgb.svg"} & names


def test_a_teacher_keeps_its_colour_and_two_share_a_dot() -> None:
    assert colour("dinov3_vitb16") == colour("dinov3_vitl16") != colour("dinov2_vitb14")
    assert colours(("ema", "tiny_optical")) == (colour("ema"), colour("tiny_optical"))
    assert colours(("ema",)) == (colour("ema"), colour("ema"))
    assert colours(()) == (UNTAUGHT, UNTAUGHT)
    assert colour("something_else") == colour("something_else")


def test_a_report_narrows_the_columns(scope: Scope) -> None:
    wide = Scope(("a", "b"), {"p": ("knn", "linear"), "q": ("linear",)}, ("s2_10", "rgb"))
    narrow = ReportSpec(tasks=("b",), probes=("linear", "knn"), bands=("rgb",)).narrow(wide)
    assert (narrow.tasks, narrow.bands, narrow.protocols) == (
        ("b",),
        ("rgb",),
        {"p": ("linear", "knn"), "q": ("linear",)},
    )
    assert ReportSpec().narrow(scope) == scope
    with pytest.raises(UserError, match="task 'cuver', which the experiment lacks, did you mean 'cover'"):
        ReportSpec(tasks=("cuver",)).narrow(scope)


def test_mistakes_in_a_report_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.toml: unknown key 'titel', did you mean 'title'"):
        check_spec({"titel": "a"}, "x.toml")
    with pytest.raises(UserError, match=r'x\.toml: is an experiment; .*experiment = "x\.toml"'):
        check_spec({"seeds": [0], "recipe": "r.toml"}, "x.toml")
    with pytest.raises(UserError, match=r"x\.toml: formats\.0: .*'markdown'.*got 'word'"):
        check_spec({"formats": ["word"]}, "x.toml")
    path = tmp_path / "x.toml"
    path.write_text("title = ")
    with pytest.raises(UserError, match=r"x\.toml: not valid TOML: Invalid value"):
        read_spec(path)
    with pytest.raises(UserError, match=r"none\.toml: there is no such file"):
        read_spec(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "reports").glob("*.toml")), ids=lambda path: path.stem)
def test_a_preset_names_an_experiment_that_is_there(path: Path) -> None:
    spec = read_spec(path)
    assert spec.title and spec.question and spec.experiment
    assert (path.parent / spec.experiment).is_file()


LIGHT = """
import sys
from pathlib import Path
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.report import make_report
from deo_bench.reports.spec import ReportSpec
from deo_bench.reports.write import render, write_report
store, out, name = sys.argv[1:]
entries = [Entry("a", "cell", [(seed, f"{name}-s{seed}") for seed in range(3)])]
spec = ReportSpec(baseline="a")
made = make_report(spec, entries, Scope(("cover",), {"scenes-v1": ("knn5_l2",)}, ("s2_10",)), Path(store))
assert len(write_report(made, Path(out))) >= 8 and len(made.answer.used()) == 3
sys.exit("loaded torch" if "torch" in sys.modules else 0)
"""


def test_a_report_loads_no_torch(fake: FakeStore, tmp_path: Path) -> None:
    fake.cell("a", [0.4, 0.5, 0.6])
    command = [sys.executable, "-c", LIGHT, str(fake.root), str(tmp_path / "out"), run_name("a", 0)[:12]]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert told.returncode == 0, told.stderr


class Outline(HTMLParser):
    """Every element closed in its order, and ids that are one each."""

    VOID = ("meta", "br", "img", "link", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.cells: list[int] = []
        self.widths: list[set[int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "table":
            self.widths.append(set())
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += int(dict(attrs).get("colspan") or 1)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag == "tr":
            self.widths[-1].add(self.cells[-1])


def test_the_pages_markup_is_right(made: Report) -> None:
    text = render(made)["index.html"].decode()
    outline = Outline()
    outline.feed(text)
    outline.close()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids)) > 20, "an id of one figure is another's"
    referred = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text))
    assert {one or other for one, other in referred} <= set(outline.ids)
    assert outline.widths and all(len(widths) == 1 for widths in outline.widths), "a row is shorter than its table"


def test_markdown_links_the_figures_that_are_beside_it(made: Report, tmp_path: Path) -> None:
    write_report(made, tmp_path)
    linked = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (tmp_path / "table.md").read_text())
    assert {"scores.png", "differences.png"} <= set(linked) and all((tmp_path / name).is_file() for name in linked)
    assert "![" not in markdown(made), "a text without files has no links to them"


def test_two_figures_of_one_name_are_a_mistake_of_ours(made: Report) -> None:
    with pytest.raises(ValueError, match="one name"):
        render(replace(made, sections=(*made.sections, *made.sections)))

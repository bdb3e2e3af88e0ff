"""A report in files: tables, page, figures, and the tidy scores that anybody can make them from again."""

from __future__ import annotations

import json
from pathlib import Path

from deo_bench.files import write_bytes
from deo_bench.reports.answer import Answer
from deo_bench.reports.figures.style import Format, encode
from deo_bench.reports.page import page
from deo_bench.reports.render_csv import comma_separated
from deo_bench.reports.render_latex import latex
from deo_bench.reports.render_markdown import markdown
from deo_bench.reports.report import Report
from deo_bench.reports.sections import expectations

_IMAGES: tuple[Format, ...] = ("png", "pdf", "svg")


def render(report: Report) -> dict[str, bytes]:
    """Every file of a report by name. The same scores give the same bytes: no time or host is in them."""
    spec = report.spec
    files: dict[str, str | bytes] = {"scores.csv": _scores(report.answer)}
    if report.answer.answered:
        files["expectations.csv"] = expectations.comma_separated(report.answer.answered)
    if "markdown" in spec.formats:
        heading = f"# {spec.title}\n\n" if spec.title else ""
        heading += f"{spec.question}\n\n" if spec.question else ""
        files["table.md"] = heading + markdown(report, has_figures="png" in spec.formats)
    if "latex" in spec.formats:
        files["table.tex"] = latex(report)
    if "csv" in spec.formats:
        files["table.csv"] = comma_separated(report.answer.tables)
    if "html" in spec.formats:
        files["index.html"] = page(report)
    drawings = [drawing for section in report.sections for drawing in section.drawings]
    names = [drawing.name for drawing in drawings]
    if len(set(names)) < len(names):
        raise ValueError(f"two figures of a report have one name: {sorted(names)}")
    for form in _IMAGES:
        if form in spec.formats:
            files |= {f"{drawing.name}.{form}": encode(drawing.draw, form) for drawing in drawings}
    return {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def write_report(report: Report, out: Path) -> list[Path]:
    """Write every file of a report into a folder; the paths, in order."""
    paths = []
    for name, content in render(report).items():
        write_bytes(out / name, content)
        paths.append(out / name)
    return paths


def stale_files(report: Report, out: Path) -> list[Path]:
    """Files of a report that are missing or differ from what would be written."""
    expected = {out / name: content for name, content in render(report).items()}
    return [path for path, content in expected.items() if not path.is_file() or path.read_bytes() != content]


def _scores(answer: Answer) -> str:
    """The scores behind the tables; the predictions' path is left out, which is another on every machine."""
    table = answer.used().drop(columns=["path"])
    table["chosen"] = [json.dumps(chosen, sort_keys=True) for chosen in table["chosen"]]
    text: str = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return text

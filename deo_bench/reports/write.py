"""A report in files: tables, page, figures, and the tidy scores that anybody can make them from again."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from deo_bench.files import write_bytes
from deo_bench.reports import best, trials
from deo_bench.reports.answer import Answer
from deo_bench.reports.figures.style import Format, encode
from deo_bench.reports.page import page
from deo_bench.reports.render_csv import comma_separated
from deo_bench.reports.render_latex import latex
from deo_bench.reports.render_markdown import escape, markdown
from deo_bench.reports.report import Report
from deo_bench.reports.sections import expectations
from deo_bench.reports.short import in_short

WRITTEN = "files.txt"
"""Lists what a report has written, so that what it no longer writes does not stay beside it as if it did."""
_IMAGES: tuple[Format, ...] = ("png", "pdf", "svg")
_ENDINGS = (*_IMAGES, "md", "tex", "csv", "html", "toml")


def render(report: Report) -> dict[str, bytes]:
    """Every file of a report by name. The same scores give the same bytes: no time or host is in them."""
    spec = report.spec
    files: dict[str, str | bytes] = {"scores.csv": _scores(report.answer)}
    if report.answer.answered:
        files["expectations.csv"] = expectations.comma_separated(report.answer.answered)
    if any(study.trials for study in report.answer.searched):
        files["trials.csv"] = trials.comma_separated(report.answer.searched)
        files["settings.csv"] = best.comma_separated(report.answer.searched)
        files |= best.best_settings(report.answer)
    if "markdown" in spec.formats:
        heading = f"# {spec.title}\n\n" if spec.title else ""
        heading += f"{spec.question}\n\n" if spec.question else ""
        heading += "".join(f"- {escape(sentence)}\n" for sentence in in_short(report.answer)) + "\n"
        files["table.md"] = heading + markdown(report, has_figures="png" in spec.formats)
    if "latex" in spec.formats:
        files["table.tex"] = latex(report)
    if "csv" in spec.formats:
        files["table.csv"] = comma_separated(report.answer.tables)
    pictures = _pictures(report)
    if "html" in spec.formats:
        files["index.html"] = page(report, {name[:-4]: svg for name, svg in pictures.items() if name.endswith(".svg")})
    files |= {name: content for name, content in pictures.items() if name.rpartition(".")[2] in spec.formats}
    files[WRITTEN] = "".join(f"{name}\n" for name in sorted(files))
    return {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def _pictures(report: Report) -> dict[str, bytes]:
    """The figures by file name, in every form that is asked for or that the page needs."""
    drawings = [drawing for section in report.sections for drawing in section.drawings]
    names = [drawing.name for drawing in drawings]
    if len(set(names)) < len(names):
        raise ValueError(f"two figures of a report have one name: {sorted(names)}")
    wanted = {*report.spec.formats, *({"svg"} if "html" in report.spec.formats else ())}
    forms = [form for form in _IMAGES if form in wanted]
    return {f"{drawing.name}.{form}": encode(drawing.draw, form) for form in forms for drawing in drawings}


def write_report(report: Report, out: Path) -> list[Path]:
    """Write every file of a report into a folder, and remove what an earlier writing left; the paths, in order."""
    files = render(report)
    old = leftovers(files, out)
    for name, content in files.items():
        write_bytes(out / name, content)
    for path in old:
        path.unlink(missing_ok=True)
    return [out / name for name in files]


def leftovers(names: Collection[str], out: Path) -> list[Path]:
    """What an earlier writing of a report left in its folder and none of these files replaces."""
    try:
        listed = (out / WRITTEN).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return []
    # a list that somebody else wrote must not name anything outside the folder
    known = [name for name in listed if Path(name).suffix[1:] in _ENDINGS and Path(name).name == name]
    return [out / name for name in known if name not in names and (out / name).is_file()]


def stale_files(report: Report, out: Path) -> list[Path]:
    """Files of a report that are missing, differ from what would be written, or would no longer be written."""
    files = render(report)
    changed = [out / name for name, content in files.items() if not _holds(out / name, content)]
    return [*changed, *leftovers(files, out)]


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _scores(answer: Answer) -> str:
    """The scores behind the tables; the predictions' path is left out, which is another on every machine."""
    table = answer.used().drop(columns=["path"])
    table["chosen"] = [json.dumps(chosen, sort_keys=True) for chosen in table["chosen"]]
    text: str = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    return text

"""One self-contained page: the question, the tables, the figures and how they were made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from deo_bench import __version__
from deo_bench.reports.report import Report
from deo_bench.reports.resample import RESAMPLES
from deo_bench.reports.section import Drawing
from deo_bench.reports.short import in_short

_TEMPLATE = Path(__file__).parent / "templates" / "page.html"


def page(report: Report, figures: Mapping[str, bytes]) -> str:
    """The page as HTML; figures: every drawing as SVG, by name."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        spec=report.spec,
        short=in_short(report.answer),
        shown=[section for section in report.sections if section.shown != "folded"],
        folded=[section for section in report.sections if section.shown == "folded"],
        svg=lambda drawing: _svg(drawing, figures[drawing.name]),
        problems=report.problems,
        num_scores=report.answer.used()["path"].nunique(),
        experiment=report.answer.scope.experiment,
        resamples=RESAMPLES,
        version=__version__,
    )


def _svg(drawing: Drawing, encoded: bytes) -> str:
    """A figure as an element of the page, without the prolog of a file; its ids are its own on the page."""
    text = encoded.decode()
    text = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{drawing.name}-", text[text.index("<svg") :])
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(drawing.caption or drawing.name)}" ', 1)

"""The report file: which answer is asked for, in TOML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deo_bench.errors import UserError, nearest, shown, wanted
from deo_bench.recipe import read_toml
from deo_bench.recipe.checking import plain
from deo_bench.reports.entries import Scope

Form = Literal["markdown", "latex", "csv", "html", "png", "pdf"]
ALL_FORMS: tuple[Form, ...] = ("markdown", "latex", "csv", "html", "png", "pdf")


class ReportSpec(BaseModel):
    """One report.

    experiment: the file it answers, relative to this one; tasks, probes, bands, weights: in this order, or all of
    the experiment's; baseline: label of the row that differences are to, or `untrained`; sort: `plan`, or a task to
    sort by; notes: paragraphs for the page; formats: what `write_report` writes beside the tidy scores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    question: str = ""
    experiment: str | None = None
    tasks: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    baseline: str | None = None
    sort: str = "plan"
    notes: tuple[str, ...] = ()
    formats: tuple[Form, ...] = Field(default=ALL_FORMS, min_length=1)

    def narrow(self, scope: Scope) -> Scope:
        """The columns of an experiment that this report asks for; a name that it lacks is an error with the nearest."""
        known = dict.fromkeys(probe for probes in scope.protocols.values() for probe in probes)
        wanted = _chosen("probe", self.probes, tuple(known))
        protocols = {
            protocol: tuple(probe for probe in wanted if probe in probes)
            for protocol, probes in scope.protocols.items()
        }
        return Scope(
            tasks=_chosen("task", self.tasks, scope.tasks),
            protocols=protocols,
            bands=_chosen("band set", self.bands, scope.bands),
            weights=_chosen("kind of weights", self.weights, scope.weights),
            digests=scope.digests,
            experiment=scope.experiment,
        )


def read_spec(path: Path) -> ReportSpec:
    """A report file; a mistake in it is one line that names file, key and what would be right."""
    return check_spec(plain(read_toml(path)), str(path))


def check_spec(table: dict[str, Any], where: str) -> ReportSpec:
    """A report from a table as read."""
    for key in table:
        if key not in ReportSpec.model_fields:
            raise UserError(f"{where}: unknown key {key!r}{nearest(key, ReportSpec.model_fields)}")
    try:
        return ReportSpec(**table)
    except ValidationError as error:
        first = error.errors()[0]
        way = ".".join(str(item) for item in first["loc"])
        raise UserError(f"{where}: {way}: {wanted(first)}, got {shown(first['input'])}") from None


def _chosen(what: str, asked: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in asked:
        if name not in known:
            told = f"the report asks for {what} {shown(name)}, which the experiment lacks"
            raise UserError(f"{told}{nearest(name, known)}")
    return tuple(asked) or tuple(known)

"""The report file: which answer is asked for, in TOML."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from deo_bench.errors import UserError, nearest, place, shown, wanted
from deo_bench.probes.metrics import METRICS
from deo_bench.recipe import read_toml
from deo_bench.recipe.checking import plain
from deo_bench.recipe.naming import short_names
from deo_bench.reports.entries import Axis, Scope
from deo_bench.reports.normaliser import NORMALISERS, bounds_of, read_normaliser

Form = Literal["markdown", "latex", "csv", "html", "png", "pdf", "svg"]
ALL_FORMS: tuple[Form, ...] = ("markdown", "latex", "csv", "html", "png", "pdf", "svg")
LAST = "last"
DEFAULT = "default"

Step = Annotated[StrictInt, Gt(0)] | Literal["last"]
Name = TypeVar("Name", bound=str | int | None)


class ReportSpec(BaseModel):
    """One report.

    experiment: the file it answers, relative to this one; tasks, probes, bands, weights: in this order, or all of the
    experiment's; partitions, steps: likewise where `columns` has them side by side, else the default partition and the
    last weights. rows: labels, or patterns such as `optical=*`, of the rows of the tables, in this order; columns: what
    stands side by side in a table, the slowest first; whatever is not in it has tables of its own. metric: another than
    the protocol's, computed anew from the predictions. group: a setting of the grid, whose values make blocks of rows.
    baseline: label of the row that differences are to, or `untrained`; sort: `plan`, or a task to sort by; notes:
    paragraphs for the page; published: `all`, or sources of published numbers and CSV files (relative to this one), to
    stand beside ours; confusion: labels of the rows whose confusion matrices are drawn; segmentation: labels or
    patterns of those whose predicted maps are; formats: what `write_report` writes beside the tidy scores; bounds: task
    -> the scores, as shares (of a metric that is none: in its unit), that become 0 and 1 in inter-quartile means, else
    what the normaliser says (`geobench-2`, or a `normalizer.json` of GEO-Bench's, relative to this file), else the
    least and the greatest of the table; pair: the two factors of a heat map.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    question: str = ""
    experiment: str | None = None
    tasks: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[Axis, ...] = Field(default=("task",), min_length=1)
    metric: str | None = None
    group: str | None = None
    baseline: str | None = None
    sort: str = "plan"
    notes: tuple[str, ...] = ()
    confusion: tuple[str, ...] = ()
    segmentation: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    formats: tuple[Form, ...] = Field(default=ALL_FORMS, min_length=1)
    bounds: dict[str, tuple[float, float]] = {}
    normaliser: str | None = None
    pair: tuple[str, str] | None = None

    @field_validator(
        "tasks",
        "probes",
        "bands",
        "weights",
        "partitions",
        "steps",
        "rows",
        "columns",
        "formats",
        "confusion",
        "segmentation",
        "published",
    )
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"says {shown(value)} twice; say it once")
        return values

    @field_validator("bounds")
    @classmethod
    def _ascending(cls, bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for task, (low, high) in bounds.items():
            if not low < high:
                raise ValueError(f"of {task} have to ascend")
        return bounds

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str | None) -> str | None:
        if name is not None and name not in METRICS:
            raise ValueError(f"is no metric{nearest(name, METRICS)}")
        return name

    def scale(self, tasks: Collection[str]) -> dict[str, tuple[float, float]]:
        """The scores that become 0 and 1, of those of the tasks for which this report says them."""
        shipped = read_normaliser(self.normaliser) if self.normaliser else {}
        found = {task: self.bounds.get(task, bounds_of(task, shipped)) for task in tasks}
        return {task: ends for task, ends in found.items() if ends is not None}

    def narrow(self, scope: Scope) -> Scope:
        """The columns of an experiment that this report asks for; a name that it lacks is an error with the nearest."""
        for task in self.bounds:
            if task not in scope.tasks:
                raise UserError(f"bounds: the experiment has no task {shown(task)}{nearest(task, scope.tasks)}")
        known = dict.fromkeys(probe for probes in scope.protocols.values() for probe in probes)
        wanted = _chosen("probe", self.probes, tuple(known))
        protocols = {
            protocol: tuple(probe for probe in wanted if probe in probes)
            for protocol, probes in scope.protocols.items()
        }
        partitions = _chosen("partition", self.partitions, scope.partitions)
        if not self.partitions and "partition" not in self.columns and DEFAULT in partitions:
            partitions = (DEFAULT,)
        asked = [step if isinstance(step, int) else None for step in self.steps]
        steps = _chosen("step", asked, scope.steps)
        if not self.steps and "step" not in self.columns:
            steps = (None,)
        return replace(
            scope,
            tasks=_chosen("task", self.tasks, scope.tasks),
            protocols=protocols,
            bands=_chosen("band set", self.bands, scope.bands),
            weights=_chosen("kind of weights", self.weights, scope.weights),
            partitions=partitions,
            steps=steps,
        )

    def pick(self, labels: Sequence[str], key: Literal["rows", "segmentation"] = "rows") -> list[str]:
        """The labels of the rows that this report shows, in its order; a pattern that meets none is an error."""
        found: dict[str, None] = {}
        for pattern in getattr(self, key) or labels:
            meets = [pattern] if pattern in labels else [label for label in labels if fnmatchcase(label, pattern)]
            if not meets:
                raise UserError(f"{key}: no row is called {shown(pattern)}{nearest(pattern, labels)}")
            found |= dict.fromkeys(meets)
        return list(found)

    def group_path(self, paths: Collection[str]) -> str | None:
        """The dotted path that rows are grouped by, of those that a grid sets; said in full or by its short name."""
        if self.group is None:
            return None
        names = {name: path for path, name in short_names(paths).items()} | {path: path for path in paths}
        if self.group not in names:
            raise UserError(f"group: the grid sets no {shown(self.group)}{nearest(self.group, names)}")
        return names[self.group]


def read_spec(path: Path) -> ReportSpec:
    """A report file; a mistake in it is one line that names file, key and what would be right."""
    spec = check_spec(plain(read_toml(path)), str(path))
    sources = [str(path.parent / name) if name.endswith(".csv") else name for name in spec.published]
    spec = spec.model_copy(update={"published": tuple(sources)})
    if spec.normaliser is None or spec.normaliser in NORMALISERS:
        return spec
    spec = spec.model_copy(update={"normaliser": str(path.parent / spec.normaliser)})
    spec.scale(())
    return spec


def check_spec(table: dict[str, Any], where: str) -> ReportSpec:
    """A report from a table as read."""
    if "experiment" not in table and {"recipe", "seeds", "sweep", "grid", "cells", "zip"} & table.keys():
        told = f'a report is a file of its own that says experiment = "{Path(where).name}", relative to itself'
        raise UserError(f"{where}: is an experiment; {told}")
    for key in table:
        if key not in ReportSpec.model_fields:
            raise UserError(f"{where}: unknown key {key!r}{nearest(key, ReportSpec.model_fields)}")
    try:
        return ReportSpec(**table)
    except ValidationError as error:
        first = error.errors()[0]
        told = wanted(first).removesuffix("?")
        if first["type"] == "literal_error":
            hint = nearest(str(first["input"]), re.findall(r"'([^']*)'", told))
            told += "" if hint.startswith(";") else hint.rstrip("?")
        if first["loc"][0] == "steps" and len(first["loc"]) > 1:
            told = "has to be a step, a whole number above zero, or 'last'"
        way = ".".join(place(first, table))
        raise UserError(f"{where}: {way}: {told}, got {shown(first['input'])}") from None


def _chosen(what: str, asked: Sequence[Name], known: Sequence[Name]) -> tuple[Name, ...]:
    for name in asked:
        if name not in known:
            names = [LAST if one is None else str(one) for one in known]
            given = LAST if name is None else str(name)
            told = f"the report asks for {what} {shown(given)}, which the experiment lacks"
            raise UserError(f"{told}{nearest(given, names)}")
    return tuple(asked) or tuple(known)

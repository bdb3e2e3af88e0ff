"""A plan's rows and columns as a report takes them: labels, subjects, marks, and why something is not there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from deo_bench.errors import StoreError, UserError, nearest, shown
from deo_bench.experiments.events import NO_GRADIENT
from deo_bench.experiments.expectations import UNTRAINED, expectations_of
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.experiments.seen import seen_by_rows
from deo_bench.experiments.subjects import Row, run_behind
from deo_bench.reports.declared import Expectation
from deo_bench.reports.entries import Entry, Scope
from deo_bench.reports.factors import check_pair
from deo_bench.reports.published import check_sources
from deo_bench.reports.searched import Searched
from deo_bench.reports.spec import ReportSpec, read_spec


def answer_of(
    experiment: Experiment, store: Path, data: Path | None = None, storage: str | None = None
) -> tuple[Plan, list[Searched]]:
    """What a report is made of, whether or not all of it is there: the plan, and of a sweep its studies.

    storage: URL of the studies, in place of the one that the experiment names.
    """
    if experiment.settings.sweep is None:
        return make_plan(experiment, store, data, skip_missing=True), []
    from deo_bench.experiments.sweep.final import final_plan, searched_of
    from deo_bench.experiments.sweep.plan import make_sweep

    sweep = make_sweep(experiment, store, data, storage, skip_missing=True)
    studies = sweep.studies_looked_for()
    plan = final_plan(sweep, studies)
    return plan, searched_of(sweep, studies, plan)


def entries_of(plan: Plan) -> list[Entry]:
    """A report's rows, with what is worth a footnote of the runs behind each."""
    seen = seen_by_rows(plan)
    return [replace(_entry(plan, row), seen=seen.get(row.label, {})) for row in plan.rows]


def scope_of(plan: Plan) -> Scope:
    """A report's columns: every task under every probe that was asked for, for each band set and kind of weights."""
    wanted = [request for request in plan.requests if request.role == "report"]
    requests = [request for request in wanted if request.step is None]
    references = {row.part.use for row in plan.rows if row.kind == "reference" and row.part is not None}
    weights = dict.fromkeys(request.weights for request in requests if request.weights != "file")
    return Scope(
        tasks=list(dict.fromkeys(request.task for request in requests)),
        protocols={
            protocol.id: [name for name in protocol.probes if name not in references]
            for protocol in plan.experiment.protocols
        },
        bands=list(dict.fromkeys(request.bands for request in requests)),
        weights=list(weights) or ["student"],
        digests=frozenset(request.digest for request in wanted),
        experiment=plan.experiment.name,
        maps=_maps(plan),
        partitions=list(dict.fromkeys(request.partition for request in requests)) or ["default"],
        steps=[*sorted({request.step for request in wanted if request.step is not None}), None],
        classes=plan.classes,
        labelled=plan.labelled,
    )


def expected_of(plan: Plan) -> list[Expectation]:
    """What the experiment declares that it expects of a report's rows."""
    return expectations_of(plan, untrained_label(plan)) if plan.experiment.settings.expect else []


def report_of(plan: Plan) -> ReportSpec:
    """The report that the experiment names, or a plain one."""
    settings = plan.experiment.settings
    spec = ReportSpec(title=settings.title or plan.experiment.name)
    if settings.report:
        spec = read_spec((plan.experiment.path.parent / settings.report).resolve())
    return with_baseline(spec, plan)


def check_report(spec: ReportSpec, plan: Plan, where: str) -> None:
    """Refuse a report that could not be made of the plan, before anything is trained for it."""
    try:
        scope = spec.narrow(scope_of(plan))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    labels = [row.label for row in plan.rows]
    try:
        spec.pick(labels)
        spec.pick(labels, "segmentation")
        spec.group_path({path for row in plan.rows if row.kind == "cell" for path, _ in row.settings})
        if spec.pair is not None:
            # Entries look into every run of the store, which most reports need not wait for twice.
            check_pair(spec.pair, entries_of(plan))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if spec.baseline is not None and spec.baseline not in [*labels, UNTRAINED]:
        raise UserError(f"{where}: baseline: no row is called {shown(spec.baseline)}{nearest(spec.baseline, labels)}")
    check_sources(spec.published, f"{where}: published")
    for label in spec.confusion:
        if label not in labels:
            raise UserError(f"{where}: confusion: no row is called {shown(label)}{nearest(label, labels)}")
    if spec.sort != "plan" and spec.sort not in scope.tasks:
        known = ["plan", *scope.tasks]
        raise UserError(f"{where}: sort: {shown(spec.sort)} is no task of the report{nearest(spec.sort, known)}")


def check_own_report(plan: Plan) -> None:
    """`check_report` of the report that the experiment names."""
    if plan.requests:
        named = plan.experiment.settings.report
        where = str(plan.experiment.path.parent / named) if named else str(plan.experiment.path)
        check_report(report_of(plan), plan, where)
    expected_of(plan)


def with_baseline(spec: ReportSpec, plan: Plan) -> ReportSpec:
    """The report with the row that differences are to: what it says, else the untrained student."""
    if spec.baseline is not None and spec.baseline != UNTRAINED:
        return spec
    return spec.model_copy(update={"baseline": untrained_label(plan)})


def untrained_label(plan: Plan) -> str | None:
    """The row of the untrained student: a cell without terms, or the baseline; none where several are or none is."""
    rows = [row for row in plan.rows if row.kind in ("cell", "baseline")]
    found = [row.label for row in rows if row.recipe is not None and row.recipe.is_untrained]
    return found[0] if len(found) == 1 else None


def _entry(plan: Plan, row: Row) -> Entry:
    marks: Counter[str] = Counter()
    reasons = {}
    runs = [name for _, subject in row.subjects if (name := run_behind(subject)) in plan.runs]
    for name in runs:
        try:
            info = plan.store.run(name).info
        except StoreError as error:
            reasons[name] = str(error)
            continue
        if info.get("state") == "failed":
            reasons[name] = f"failed: {info.get('reason', '')}"
        elif not info:
            reasons[name] = "not trained"
        marks.update(mark for mark in info.get("marks", ()) if _concerns(mark, plan))
    told = [mark if count == len(runs) else f"{mark} ({count} of {len(runs)} runs)" for mark, count in marks.items()]
    is_cell = row.kind == "cell" and row.recipe is not None
    teachers = [table.use for table in row.recipe.teachers.values()] if is_cell and row.recipe is not None else []
    is_untrained = row.recipe is not None and row.kind in ("cell", "baseline") and row.recipe.is_untrained
    if row.kind == "bound":
        reasons = {name: reasons[run] for _, name in row.subjects if (run := run_behind(name)) in reasons}
    settings = dict(row.settings) if is_cell else {}
    given = (told, teachers, reasons, is_untrained, settings, _parameters(plan, row))
    return Entry(row.label, row.kind, row.subjects, *given)


def _parameters(plan: Plan, row: Row) -> float | None:
    """Millions of parameters as the row's part declares them, of a student without options of its own; none else."""
    registry = plan.experiment.registry
    if row.kind == "baseline" and row.part is not None:
        found = registry.get("teacher", row.part.use).facts.get("parameters")
    elif row.kind in ("cell", "baseline") and row.recipe is not None:
        student = row.recipe.student
        usual = registry.options("student", student.use, {}, "student")
        found = registry.get("student", student.use).facts.get("parameters") if student.options == usual else None
    else:
        return None
    return None if found is None else float(found)


def _maps(plan: Plan) -> dict[str, list[str]]:
    """Names of the files of maps by subject."""
    found: dict[str, list[str]] = {}
    for wanted in plan.maps:
        found.setdefault(wanted.subject, []).append(wanted.stem)
    return found


def _concerns(mark: str, plan: Plan) -> bool:
    """Whether a mark is about what the table shows: a stem that no score was fed through is no loss here."""
    fed = {request.bands for request in plan.requests}
    return not mark.endswith(NO_GRADIENT) or mark.split()[1] in fed

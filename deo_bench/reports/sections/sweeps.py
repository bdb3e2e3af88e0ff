"""What a sweep found, what fresh seeds say of it, and how it was searched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from deo_bench.reports.answer import Answer
from deo_bench.reports.best import best_settings
from deo_bench.reports.figures.history import history_figure
from deo_bench.reports.figures.importances import MOST_ROWS, importances_figure
from deo_bench.reports.figures.parallel import MOST_PATHS as MOST_PARALLEL
from deo_bench.reports.figures.parallel import parallel_figure
from deo_bench.reports.figures.slices import MOST_PATHS as MOST_SLICES
from deo_bench.reports.figures.slices import slices_figure
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.importances import Importances, importances
from deo_bench.reports.searched import Aim, Axis, Searched
from deo_bench.reports.section import Drawing, Section
from deo_bench.reports.sections import finalists, settings
from deo_bench.reports.trials import is_over, reached, states_of
from deo_bench.reports.wording import begun

FOUND = "What was found, and what fresh seeds say of it"
HOW = "How it was searched"
_LEAST_DRAWN = 2
_FIGURES = "abcdefghijklmnopqrstuvwxyz"

Measured = tuple[Searched, tuple[Importances, ...], str]
"""A study, the importances of each aim, and what its figures' names end with."""


def sections(answer: Answer) -> list[Section]:
    """The finalists with their history, then what the trials show; nothing without a trial."""
    studies: list[Measured] = [
        (
            study,
            tuple(importances(study, aim) for aim in range(len(study.aims))),
            f"-{place}" * (len(answer.searched) > 1),
        )
        for place, study in enumerate(answer.searched, 1)
        if study.trials
    ]
    if not studies:
        return []
    histories = [Drawing(f"history{end}", partial(history_figure, it), _history_caption(it)) for it, _, end in studies]
    tables = (*finalists.grids(answer), *settings.grids(answer.searched))
    found = Section(
        FOUND, (*tables, *histories), finalists.notes_of(answer), texts=tuple(best_settings(answer).values())
    )
    notes = tuple(dict.fromkeys(note for one in studies for note in _notes(one)))
    parts: list[Drawing | Grid] = [drawing for one in studies for drawing in _drawings(one)]
    parts += _importance_grids(studies)
    return [found, *([Section(HOW, tuple(parts), notes, "page")] if parts or notes else [])]


def _of(study: Searched) -> str:
    return f"{study.cell}: " if study.cell else ""


def _history_caption(study: Searched) -> str:
    told = [f"{_of(study)}What each trial reached on select with its one seed, in the order in which trials began."]
    if any(reached(study, place) for place in range(len(study.aims))):
        told.append(
            "The line is the best so far: it improves with the number of trials alone, and is as lucky as they are."
        )
    if states_of(study)["pruned"] and len(study.aims) == 1:
        told.append(
            "Pruned trials stand at their last measurement on the way, by nearest neighbours on select: less trained, "
            "and not the aim itself where another probe reads that."
        )
    if any(seeds for finalist in study.finalists for seeds in finalist.fresh):
        most = max(len(seeds) for finalist in study.finalists for seeds in finalist.fresh)
        mean = "the mean of these" if most > 1 else "what the one fresh seed gave"
        told.append(f"Rings: trials that were run with fresh seeds, on a line to {mean}.")
    if len(study.aims) == 2:
        told.append("The front is of the values at the trial's seed, too.")
    return " ".join(told)


def _drawings(one: Measured) -> list[Drawing]:
    """The figures of a study that has trials to draw."""
    study, measured, end = one
    made = []
    if any(each.shares for each in measured):
        draw = partial(importances_figure, study.aims, measured, study.axes, study.cell)
        made.append(Drawing(f"importances{end}", draw, f"{_of(study)}{_bars_told(measured)}"))
    if (count := len(reached(study, 0))) < _LEAST_DRAWN:
        return made
    axes, left = chosen(study.axes, measured, MOST_PARALLEL)
    caption = (
        f"{_of(study)}A line a finished trial ({count}), over the values that were tried to what it reached on select "
        "with its one seed, the better the higher. Lines bunch where the sampler went: few others are no evidence "
        f"against them.{_ASIDE * any(axis.choices for axis in axes)}{left}"
    )
    return [*made, Drawing(f"parallel{end}", partial(parallel_figure, study, axes), caption), *_slices(one)]


def _slices(one: Measured) -> list[Drawing]:
    """A figure an aim that has something to compare."""
    study, measured, end = one
    axes, left = chosen(study.axes, measured, MOST_SLICES)
    made = []
    for place, aim in enumerate(study.aims):
        if len(reached(study, place)) < _LEAST_DRAWN:
            continue
        caption = (
            f"{_of(study)}{begun(aim.name)}{' on select' * bool(aim.tasks)}, at the trial's seed, against each path's "
            f"values. Points lie where the sampler went, and other paths move along: a slope is no effect of one."
            f"{_left_out(study)}{_ASIDE * any(axis.choices for axis in axes)}{left}"
        )
        name = f"slices{end}-{_FIGURES[place % len(_FIGURES)]}" if len(study.aims) > 1 else f"slices{end}"
        made.append(Drawing(name, partial(slices_figure, study, place, axes), caption))
    return made


_ASIDE = " Within a choice trials stand a little apart, so that they can be seen: that means nothing."


def _left_out(study: Searched) -> str:
    """Which trials slices do not show."""
    count = states_of(study)
    told = [f"{count[state]} {word}" for state, word in finalists.WORDS.items() if count[state]]
    return f" Finished trials alone; left out: {', '.join(told)}." if told else ""


def chosen(axes: Sequence[Axis], measured: Sequence[Importances], most: int) -> tuple[list[Axis], str]:
    """As many paths as a figure has room for, in their order; and where some are left out which are shown, in words."""
    if len(axes) <= most:
        return list(axes), ""
    shares = next((one.shares for one in measured if one.shares), None)
    if shares is None:
        return list(axes[:most]), f" Shown: the first {most} of {len(axes)} paths."
    ranked = sorted(axes, key=lambda axis: -shares.get(axis.path, -1.0))[:most]
    return [axis for axis in axes if axis in ranked], f" Shown: the {most} most important of {len(axes)} paths."


def _bars_told(measured: Sequence[Importances]) -> str:
    told = [
        "How far the paths' values in the best trials differ from those in all finished ones, as a share of the sum: "
        "of this space and these trials alone, no sizes of effects, and nothing is significant by it."
    ]
    if any(one.conditional for one in measured):
        told.append("Hatched: not in force in every trial, and measured on those in which it was.")
    many = max(len(one.shares) for one in measured)
    return " ".join(told + ([f"Shown: the first {MOST_ROWS} of {many} paths."] if many > MOST_ROWS else []))


_IMPORTANCES = (
    "PED-ANOVA (Watanabe, Bansal and Hutter, 2023; Optuna's): how far the distribution of a path's values in the best "
    "trials (a tenth of them, five at the least) differs from that in all finished trials, as a percentage of the sum "
    "over paths. It speaks of the space that was searched and of the trials that were made: another space, sampler or "
    "seed gives others, few trials give unsteady ones, and a percentage is no size of an effect and no significance."
)


def _importance_grids(studies: Sequence[Measured]) -> list[Grid]:
    """The importances of every study as numbers, side by side."""
    shown = [
        (study, aim, one)
        for study, measured, _ in studies
        for aim, one in zip(study.aims, measured, strict=True)
        if one.shares
    ]
    if not shown:
        return []
    notes = Footnotes()
    paths = dict.fromkeys(path for _, _, one in shown for path in one.shares)
    lines = tuple(Line(path, None, tuple(_share(one, path, notes) for *_, one in shown)) for path in paths)
    headings = tuple(_importance_heading(*each) for each in shown)
    return [Grid("importances", "Importances", _IMPORTANCES, headings, (("", lines),), tuple(notes.notes))]


def _importance_heading(study: Searched, aim: Aim, one: Importances) -> Heading:
    return Heading(study.cell or aim.name, "percent", f"best {one.top} of {one.trials}", aim.name if study.cell else "")


def _share(one: Importances, path: str, notes: Footnotes) -> Slot:
    if path not in one.shares:
        return Slot(HOLE, notes=notes(["in force in too few trials, or of one value alone"]))
    count = one.conditional.get(path)
    words = [] if count is None else [f"in force in {count} of {one.trials} trials, and measured on those"]
    return Slot(f"{100 * one.shares[path]:.0f}", notes=notes(words))


def _notes(one: Measured) -> list[str]:
    """What is not drawn, and why."""
    study, measured, _ = one
    told = []
    for aim, found in zip(study.aims, measured, strict=True):
        if found.reason:
            of = f" of {aim.name}" if len(study.aims) > 1 else ""
            told.append(f"{_of(study)}No importances{of}: {found.reason}.")
    if len(reached(study, 0)) < _LEAST_DRAWN:
        told.append(f"{_of(study)}Fewer than {_LEAST_DRAWN} trials are finished: nothing to compare.")
    if not is_over(study):
        told.append(f"{_of(study)}The sweep is under way: what is shown will change.")
    return told

"""Slices and importances: what is drawn against the trials."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deo_bench.reports.figures.importances import importances_figure
from deo_bench.reports.figures.slices import slices_figure
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.figures.trials import set_numbers
from deo_bench.reports.importances import importances
from deo_bench.reports.searched import Axis
from tests.reports import studies


def test_points_lie_at_values_in_the_spaces_scale() -> None:
    study = studies.study(40)
    done = [trial for trial in study.trials if trial.state == "complete"]
    with styled():
        panels = [axes for axes in slices_figure(study, 0, study.axes).axes if axes.get_label() != "<colorbar>"]
    assert [axes.get_xscale() for axes in panels] == ["log", "log", "linear", "linear", "linear", "log"]
    for axes, axis in zip(panels, study.axes, strict=True):
        (dots,) = axes.collections
        default = next(line for line in axes.lines if line.get_label() == "default")
        told = [*default.get_xydata(), *dots.get_offsets()]
        there = [trial for trial in done if axis.path in trial.settings]
        assert [y for _, y in told] == pytest.approx([100 * float(trial.values[0] or 0) for trial in there])
        xs = [x for x, _ in told]
        if axis.choices:
            assert np.round(xs).tolist() == [axis.choices.index(trial.settings[axis.path]) for trial in there]
            assert len({round(x, 6) for x in xs}) > 2, "points of one choice do not hide one another"
        else:
            assert xs == pytest.approx([trial.settings[axis.path] for trial in there])
        low, high = axes.get_xlim()
        assert all(low < x < high for x in xs)
    assert "in force in" in panels[4].get_title(loc="left") and "in force" not in panels[0].get_title(loc="left")
    rings = {line.get_label(): len(line.get_xdata()) for line in panels[0].lines}
    assert rings == {"default": 1, "finalist": 3}


@pytest.mark.parametrize("at", [(-1.5, -10), (0, 0), (2, -9), (-3, -7)], ids=str)
def test_numbers_of_neighbours_do_not_lie_on_one_another(at: tuple[float, float]) -> None:
    """Three rings a few points of a page apart, as finalists are in a narrow panel."""
    figure = Figure(figsize=(67 / 72, 103 / 72), dpi=72)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 67), ylim=(0, 103))
    axes.set_autoscale_on(False)
    spots = {9: (30.0, 70.0), 11: (33.0, 62.0), 19: (33.0 + at[0], 62.0 + at[1])}
    set_numbers(axes, spots)
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent().shrunk(0.8, 0.8) for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == sorted(map(str, spots), key=lambda name: -spots[int(name)][1])
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_choice_that_only_pruned_trials_had_is_said_and_colours_run_over_what_is_drawn() -> None:
    study = studies.categories()
    axis = study.axes[2]
    trials = tuple(
        replace(trial, state="pruned", values=(None,)) if trial.settings[axis.path] == "none" or trial.number > 20
        else trial
        for trial in study.trials
    )  # fmt: skip
    drawn = [trial.number for trial in trials if trial.state == "complete"]
    with styled():
        figure = slices_figure(replace(study, trials=trials), 0, study.axes)
    told = [[text.get_text() for text in axes.texts if not text.get_text().isdigit()] for axes in figure.axes]
    assert told[:3] == [[], [], ["only pruned"]]
    assert figure.axes[2].texts[0].get_position()[0] == axis.choices.index("none")
    bar = next(axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    assert bar.get_ylim() == (min(drawn), max(drawn))
    rings = {text.get_text() for text in figure.axes[0].texts}
    assert rings == {str(one.number) for one in study.finalists if one.number in drawn}


def test_a_wide_but_even_axis_stays_linear() -> None:
    axis = Axis("a", "a", False, 0.0, 1000.0)
    study = studies.study(4, axes=(axis,))
    study = replace(study, trials=tuple(replace(t, settings={"a": 10.0**t.number}) for t in study.trials))
    with styled():
        assert slices_figure(study, 0, study.axes).axes[0].get_xscale() == "linear"


def test_bars_are_the_shares_and_hatched_where_conditional() -> None:
    study = studies.two_aims(30)
    found = [importances(study, place) for place in range(2)]
    with styled():
        first, second = importances_figure(study.aims, found, study.axes, "").axes
    assert [bar.get_width() for bar in first.patches] == pytest.approx([100 * x for x in found[0].shares.values()])
    labels = [label.get_text() for label in first.get_yticklabels()]
    names = {axis.path: axis.name for axis in study.axes}
    assert labels == [names[path] for path in found[0].shares]
    hatched = [names[path] for path, bar in zip(found[0].shares, first.patches, strict=True) if bar.get_hatch()]
    assert hatched == ["beta"]
    assert [bar.get_width() for bar in second.patches] == pytest.approx(
        [100 * found[1].shares[path] for path in found[0].shares]
    )


def test_the_same_bytes_every_time() -> None:
    study = studies.categories()
    assert encode(lambda: slices_figure(study, 0, study.axes), "svg") == encode(
        lambda: slices_figure(study, 0, study.axes), "svg"
    )

"""What the history of a sweep shows against its trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.reports.figures.history import history_figure
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.searched import Finalist, Searched, Tried
from tests.reports import studies

Lines = dict[str, list[list[float]]]

MADE = (
    Tried(0, "complete", (0.50,), {}, is_default=True),
    Tried(1, "complete", (0.40,), {}),
    Tried(2, "pruned", (None,), {}, measured={0.1: 0.2, 0.3: 0.35}),
    Tried(3, "failed", (None,), {}),
    Tried(4, "complete", (0.60,), {}),
    Tried(5, "pruned", (None,), {}),
    Tried(6, "running", (None,), {}),
)
FINAL = (
    Finalist("default", None, (0.5,), ({0: 0.51, 1: 0.49},)),
    Finalist("trial 4", 4, (0.6,), ({0: 0.55, 1: 0.57},)),
)


def made(**fields: Any) -> Searched:
    return replace(studies.study(1, finalists=FINAL, wanted=7), trials=MADE, **fields)


def lines(searched: Searched) -> list[Lines]:
    """The points of every panel by what they are."""
    with styled():
        panels = [axes for axes in history_figure(searched).axes if axes.get_visible()]
    found: list[Lines] = []
    for axes in panels:
        told: Lines = {}
        for line in axes.lines:
            told.setdefault(str(line.get_label()), []).extend(np.round(line.get_xydata(), 6).tolist())
        found.append({label: points for label, points in told.items() if points and not label.startswith("_")})
    return found


def test_every_trial_stands_at_its_number_and_value() -> None:
    (told,) = lines(made())
    assert told["finished"] == [[0, 50], [1, 40], [4, 60]]
    assert told["best so far"] == [[0, 50], [4, 60], [6, 60]]
    assert told["default"] == [[0, 50]] and told["finalist"] == [[4, 60]]
    assert told["fresh"] == [[0, 50], [0, 50], [4, 60], [4, 56]]
    assert told["pruned"] == [[2, 35], [5, 0.03]], "at its last measurement, or at the bottom without any"
    assert told["failed"] == [[3, 0.03]] and told["running"] == [[6, 0.03]]


def test_where_less_is_better_the_best_goes_down() -> None:
    aims = (replace(studies.KNN, direction="min", is_share=False),)
    (told,) = lines(made(aims=aims))
    assert told["best so far"] == [[0, 0.5], [1, 0.4], [6, 0.4]]
    with styled():
        axes = history_figure(made(aims=aims)).axes[0]
    assert axes.get_ylabel() == aims[0].name and "less is better" in axes.get_title(loc="left")
    assert (
        axes.get_lines()[-1]
        and next(x for x in axes.lines if x.get_label() == "best so far").get_drawstyle() == "steps-post"
    )


def test_two_aims_have_a_panel_each_and_one_against_the_other() -> None:
    values = [(0.5, 10.0), (0.4, 5.0), (0.6, 30.0), (0.55, 40.0), (None, None)]
    trials = tuple(
        Tried(n, "failed" if each[0] is None else "complete", each, {}, is_default=n == 0)
        for n, each in enumerate(values)
    )
    searched = made()
    searched = replace(searched, trials=trials, aims=(studies.KNN, studies.PARAMETERS), finalists=())
    first, second, front = lines(searched)
    assert first["best so far"][-2:] == [[2, 60], [4, 60]] and second["best so far"] == [[0, 10], [1, 5], [4, 5]]
    assert front["front"] == [[60, 30], [50, 30], [50, 10], [40, 10], [40, 5]]
    assert sorted(front["finished"]) == [[40, 5], [50, 10], [55, 40], [60, 30]]
    three = replace(searched, aims=(*searched.aims, replace(studies.KNN, name="third")))
    assert len(lines(replace(three, trials=tuple(replace(t, values=(*t.values, None)) for t in trials)))) == 3


def test_a_front_of_one_point_is_no_line_and_fresh_means_stand_in_both_aims() -> None:
    trials = (
        Tried(0, "complete", (0.5, 10.0), {}, is_default=True),
        Tried(1, "complete", (0.6, 5.0), {}),
    )
    final = (Finalist("trial 1", 1, (0.6, 5.0), ({0: 0.55, 1: 0.57}, {0: 6.0, 1: 6.0})),)
    searched = replace(made(), trials=trials, aims=(studies.KNN, studies.PARAMETERS), finalists=final)
    *_, front = lines(searched)
    assert "front" not in front and front["fresh"] == [[60, 5], [56, 6]] and front["mean"] == [[56, 6]]
    with styled():
        figure = history_figure(searched)
    (legend,) = figure.legends
    assert not any("front" in text.get_text() for text in legend.get_texts())
    assert [axes.get_ylabel() for axes in figure.axes] == ["percent", "parameters", "parameters, less is better"]


@pytest.mark.parametrize("state", ["pruned", "failed", "running"])
def test_without_any_value_it_says_so(state: Any) -> None:
    trials = tuple(replace(trial, state=state, values=(None,), measured={}) for trial in MADE)
    searched = replace(made(), trials=trials, finalists=())
    with styled():
        (axes,) = history_figure(searched).axes
    assert [text.get_text() for text in axes.texts] == ["no trial has a value"] and len(axes.get_yticks()) == 0
    assert len(lines(searched)[0][state]) == len(MADE)


def test_the_cell_is_said_and_the_bytes_are_the_same() -> None:
    searched = made(cell="optical=$x_1$")
    with styled():
        assert history_figure(searched).get_suptitle() == "optical=$x_1$"
    assert encode(lambda: history_figure(searched), "svg") == encode(lambda: history_figure(searched), "svg")

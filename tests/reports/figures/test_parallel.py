"""Parallel coordinates: where lines cross, and how they pass what is not in force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deo_bench.reports.figures.parallel import heights, parallel_figure
from deo_bench.reports.figures.style import encode, styled
from deo_bench.reports.searched import Axis, Searched, Tried
from tests.reports import studies

LOG = Axis("a", "a", True, 0.01, 1.0)
EVEN = Axis("b", "b", False, 0.0, 10.0)
ONE_OF = Axis("c", "c", choices=("x", "y"))
MADE = (
    Tried(0, "complete", (0.5, 4.0), {"a": 0.1, "b": 2.5, "c": "x"}, is_default=True),
    Tried(1, "complete", (0.6, 8.0), {"a": 1.0, "c": "y"}),
    Tried(2, "pruned", (None, None), {"a": 0.01, "b": 0.0, "c": "x"}),
    Tried(3, "complete", (0.7, 6.0), {"a": 0.01, "b": 10.0, "c": "y"}),
)


def searched() -> Searched:
    made = studies.study(4, aims=(studies.KNN, studies.PARAMETERS), axes=(LOG, EVEN, ONE_OF), has_finalists=False)
    return replace(made, trials=MADE)


def test_lines_cross_where_the_values_are() -> None:
    done = [trial for trial in MADE if trial.state == "complete"]
    found = heights(searched(), done, searched().axes)
    assert found[:, 0] == pytest.approx([0.5, 1.0, 0.0]), "in the logarithm"
    assert found[[0, 2], 1] == pytest.approx([0.25, 1.0]) and np.isnan(found[1, 1])
    assert abs(found[:, 2] - [0.25, 0.75, 0.75]).max() <= 0.11, "in the half of its choice"
    assert found[:, 3] == pytest.approx([0, 0.5, 1.0])
    assert found[:, 4] == pytest.approx([1.0, 0.0, 0.5]), "less is better, and the better is the higher"


def test_a_path_that_is_not_in_force_is_passed_below_by_a_broken_line() -> None:
    with styled():
        axes = parallel_figure(searched(), searched().axes).axes[0]
    parts = [
        (np.asarray(part), each.get_linestyle()[0][1]) for each in axes.collections for part in each.get_segments()
    ]
    past = [part for part, dashes in parts if dashes is not None]
    assert len(past) == 2 and all(part[:, 1].min() < 0 for part in past)
    assert all(part[:, 1].min() >= 0 for part, dashes in parts if dashes is None) and len(parts) > 10
    assert [text.get_text() for text in axes.texts].count("not in force") == 1
    assert axes.get_ylim()[0] < -0.16


def test_labels_cover_no_line_and_what_is_thick_has_its_number() -> None:
    study = studies.study(20)
    for is_run in (True, False):
        final = study.finalists if is_run else study.finalists[1:]
        with styled():
            (axes,) = parallel_figure(replace(study, finalists=final), study.axes).axes
        assert not any(text.get_bbox_patch() for text in axes.texts)
        numbers = {one.number for one in final if one.number is not None} | ({0} if is_run else set())
        assert numbers <= {int(text.get_text()) for text in axes.texts if text.get_text().isdigit()}
        thick = {each.get_linewidth()[0] for each in axes.collections if each.get_zorder() == 4.1}
        assert thick == {1.9 if is_run else 0.9}, "the default is thick only with a number"


def test_one_finished_trial_of_one_value_is_a_line_in_the_middle() -> None:
    made = replace(searched(), trials=MADE[:1])
    assert heights(made, MADE[:1], made.axes)[0, 3:].tolist() == [0.5, 0.5]
    with styled():
        parallel_figure(made, made.axes).draw_without_rendering()


def test_the_same_bytes_every_time() -> None:
    study = studies.study(12, cell="a=b")
    assert encode(lambda: parallel_figure(study, study.axes), "svg") == encode(
        lambda: parallel_figure(study, study.axes), "svg"
    )

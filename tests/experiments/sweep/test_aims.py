"""What trials are judged by: what it resolves to, and what is refused in one line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from deo_bench.data import Places
from deo_bench.errors import UserError
from deo_bench.experiments.sweep.aims import aims_of
from deo_bench.reports.searched import Aim
from tests.experiments.conftest import Place
from tests.experiments.sweep.told import swept

TASKS = 'tasks = [{ use = "npz", path = "tiny.npz", name = "tiny", unit = "dn", groups = "place" }'
SECOND = '{ use = "npz", path = "tiny.npz", name = "second", unit = "dn" }'
PROTOCOL = 'protocols = ["scenes-v1"]'


def aims(place: Place, *objectives: dict[str, Any], pruner: Any = "none") -> tuple[Aim, ...]:
    return aims_of(swept(place, objectives=objectives or ({},), pruner=pruner), Places.of(place.store, place.data))


def rewrite(place: Place, old: str, new: str) -> None:
    text = place.file.read_text()
    assert old in text
    place.file.write_text(text.replace(old, new))


def test_by_default_the_first_probe_of_the_first_protocol_on_all_tasks(place: Place) -> None:
    rewrite(place, TASKS, f"{TASKS}, {SECOND}")
    assert aims(place) == (Aim("knn5_l2", "max", True, ("tiny", "second"), "knn5_l2"),)
    assert aims(place, {"tasks": ["second"]}) == (Aim("second knn5_l2", "max", True, ("second",), "knn5_l2"),)
    both = aims(place, {"probe": "linear", "name": "mine"}, {"cost": "train_pflops"})
    assert both == (
        Aim("mine", "max", True, ("tiny", "second"), "linear"),
        Aim("PFLOPs of the training", "min", False),
    )


OWN = (
    'protocols = [{ use = "scenes-v1", probes = { ece = { use = "calibration" }, cost = { use = "profile_gmacs" } } }]'
)


@pytest.mark.parametrize(
    ("objectives", "pruner", "told"),
    [
        (
            [{"tasks": ["tiny", "secnod"]}],
            "none",
            "sweep.objectives[0].tasks: unknown task 'secnod', did you mean",
        ),
        ([{}, {"probe": "knn5"}], "none", "sweep.objectives[1].probe: unknown probe 'knn5', did you mean 'knn5_l2'"),
        ([{"cost": "parameters", "probe": "linear"}], "none", "sweep.objectives[0]: cost stands in the place of probe"),
        ([{}, {}], "none", "sweep.objectives[1]: a second one is called 'knn5_l2'"),
        ([{"probe": "cost"}], "none", "sweep.objectives[0]: a mean over tasks would mix units"),
        ([{}, {"cost": "parameters"}], "median", "sweep.pruner: trials of 2 objectives cannot be pruned"),
        ([{"cost": "parameters"}], "hyperband", "sweep.pruner: nearest neighbours on *select* say nothing of a cost"),
        ([{"probe": "ece"}], {"use": "median"}, "sweep.pruner: nearest neighbours are judged by accuracy, and 'ece'"),
    ],
)
def test_what_cannot_be_is_one_line(place: Place, objectives: list[dict[str, Any]], pruner: Any, told: str) -> None:
    rewrite(place, TASKS, f"{TASKS}, {SECOND}")
    rewrite(place, PROTOCOL, OWN)
    with pytest.raises(UserError, match=re.escape(f"{place.file}: {told}")) as caught:
        aims(place, *objectives, pruner=pruner)
    assert "\n" not in str(caught.value)


def test_labels_that_a_probe_is_not_fitted_on_and_that_neighbours_cannot_be_measured_on(place: Place) -> None:
    rewrite(place, TASKS, 'tasks = ["scenes-land"')
    rewrite(place, PROTOCOL, 'protocols = ["scenes-v1", "scenes-dense-v1"]')
    with pytest.raises(UserError, match="has segmentation labels, and probe 'knn5_l2' is not .*: seg_linear, seg_conv"):
        aims(place)
    assert aims(place, {"probe": "seg_linear"})[0].direction == "max"
    with pytest.raises(UserError, match=r"sweep\.pruner: task .* has segmentation labels, which nearest neighbours"):
        aims(place, {"probe": "seg_linear"}, pruner="median")


def test_a_file_without_a_sweep_or_tasks(place: Place) -> None:
    experiment = swept(place)
    places = Places.of(place.store, place.data)
    with pytest.raises(UserError, match=r"there is no \[sweep\] in it"):
        aims_of(replace(experiment, settings=experiment.settings.model_copy(update={"sweep": None})), places)
    with pytest.raises(UserError, match="the experiment has no tasks to judge trials on"):
        aims_of(replace(experiment, tasks=()), places)

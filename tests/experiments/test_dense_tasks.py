"""Segmentation and change detection as an experiment: rows, scores, predictions and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import binary_f1_score, multiclass_jaccard_index

from deo_bench import scores
from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.experiments.answer import report_of
from deo_bench.experiments.events import Scored
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan, make_plan
from deo_bench.experiments.single import plan_of_one
from deo_bench.reports.predictions import read_predictions
from deo_bench.tasks import Task

FILE = """
title = "Maps"
seeds = [0, 1]
tasks = [
    { use = "scenes-land", fit = 12, select = 6, report = 10 },
    { use = "scenes-change", fit = 12, select = 6, report = 10 },
]
baselines = [{ use = "random_conv", features = 8 }, "image_stats", "pixels", "majority"]

[[protocols]]
use = "scenes-dense-v1"
probes.seg_linear = { steps = 6, batch = 4 }
probes.seg_conv = { steps = 2, batch = 4, hidden = 8 }

[data]
use = "scenes"
count = 8

[views]
global = { count = 2, size = 32, scale = [0.4, 1.0] }

[student]
use = "vit_nano"
bands = ["s2_10"]
width = 16
depth = 2
heads = 2
size = 64

[train]
steps = 1
batch = 4
"""


def plan_of(folder: Path, file: str = FILE) -> Plan:
    (folder / "maps.toml").write_text(file)
    return make_plan(read_experiment(str(folder / "maps.toml")), folder / "runs")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = plan_of(tmp_path_factory.mktemp("maps"))
    launch = Launch(plan, "cpu")
    events = list(launch.events())
    assert not launch.outcome.failed
    assert sum(isinstance(event, Scored) for event in events) == len(plan.requests)
    return plan


def task_of(plan: Plan, name: str) -> Task:
    part = next(task.part for task in plan.experiment.tasks if task.name == name)
    built: Task = plan.experiment.registry.build("task", part.use, options=part.options)
    return built


def test_rows_are_those_that_give_maps(made: Plan) -> None:
    assert [row.label for row in made.rows if row.kind != "cell"] == ["random_conv", "pixels", "majority class"]
    by_subject = {request.subject.rpartition("-")[0]: request.probe for request in made.requests}
    assert by_subject["backbones/majority"] == "majority"
    probes = {request.probe for request in made.requests if request.subject.startswith("backbones/pixels")}
    assert probes == {"seg_linear", "seg_conv"}


@pytest.mark.parametrize(("task", "metric"), [("scenes-land", "miou"), ("scenes-change", "change_f1")])
def test_scores_are_of_the_predictions(made: Plan, task: str, metric: str) -> None:
    pack = task_of(made, task).pack(made.places)
    assert pack.labels is not None
    labels = pack.labels[pack.splits["report"]]
    frame = scores(made.store.root)
    rows = frame[frame.task == task]
    assert len(rows) == len([request for request in made.requests if request.task == task]) and set(rows.metric) == {
        metric
    }
    for row in rows.itertuples():
        assert row.n == 10 and row.low <= row.value <= row.high
        found = read_predictions(row.path)
        assert found.scores.shape == (10, len(pack.classes), len(pack.classes))
        for place, counts in enumerate(found.truth):
            known = labels[place][labels[place] != pack.ignore]
            assert counts.tolist() == np.bincount(known, minlength=len(pack.classes)).tolist()
        assert found.shown is not None and found.shown_images is not None and found.shown_truth is not None
        for said, truth, place in zip(found.shown, found.shown_truth, found.shown_images, strict=True):
            assert (truth == labels[place]).all()
            known = truth != pack.ignore
            pairs = truth[known].astype(int) * len(pack.classes) + said[known]
            assert np.bincount(pairs, minlength=len(pack.classes) ** 2).tolist() == found.scores[place].ravel().tolist()


def test_the_majority_is_counted_by_hand(made: Plan) -> None:
    pack = task_of(made, "scenes-land").pack(made.places)
    assert pack.labels is not None
    fit, report = (pack.labels[pack.splits[role]] for role in ("fit", "report"))
    usual = np.bincount(fit[fit != 255]).argmax()
    truth = torch.from_numpy(report.astype(np.int64))
    expected = multiclass_jaccard_index(torch.full_like(truth, usual), truth, len(pack.classes), ignore_index=255)
    frame = scores(made.store.root)
    (value,) = frame[(frame.task == "scenes-land") & (frame.probe == "majority")].value
    assert value == pytest.approx(expected.item(), abs=1e-6)


def test_change_is_seen_from_the_difference_of_dates(made: Plan) -> None:
    """Maps of one date twice say no change whatever the head: so both dates reach it."""
    frame = scores(made.store.root)
    rows = frame[(frame.task == "scenes-change") & (frame.probe == "seg_linear")]
    found = read_predictions(next(row.path for row in rows.itertuples() if "pixels" in row.subject))
    pack = task_of(made, "scenes-change").pack(made.places)
    truth = torch.from_numpy(np.repeat([0, 0, 1, 1], found.scores.sum(0).ravel()))
    said = torch.from_numpy(np.repeat([0, 1, 0, 1], found.scores.sum(0).ravel()))
    (value,) = [row.value for row in rows.itertuples() if "pixels" in row.subject]
    assert value == pytest.approx(binary_f1_score(said, truth).item(), abs=1e-6) and len(pack.classes) == 2


def test_again_nothing_is_done_and_the_table_has_every_column(made: Plan) -> None:
    again = plan_of(made.experiment.path.parent)
    assert not again.runs_to_do() and not again.scores_to_do()
    report = report_of(again)
    assert report is not None


def test_seeds_repeat_to_the_byte(made: Plan, tmp_path: Path) -> None:
    other = plan_of(tmp_path, FILE.replace("seeds = [0, 1]", "seeds = [1]"))
    list(Launch(other, "cpu").events())
    for path in sorted(tmp_path.rglob("*-s1/scores/*.*")):
        if path.suffix in (".json", ".npz"):
            assert path.read_bytes() == (made.store.root / path.relative_to(tmp_path / "runs")).read_bytes()


def test_a_protocol_without_a_probe_of_maps_is_told(tmp_path: Path) -> None:
    file = FILE.replace('use = "scenes-dense-v1"', 'use = "scenes-v1"')
    file = "\n".join(line for line in file.splitlines() if not line.startswith("probes."))
    wanted = (
        "task 'scenes-land' has segmentation labels, and no probe of scenes-v1 is fitted on such; .*scenes-dense-v1"
    )
    with pytest.raises(UserError, match=wanted):
        plan_of(tmp_path, file)


def test_the_frame_is_of_pandas(made: Plan) -> None:
    assert isinstance(scores(made.store.root), pd.DataFrame)


def test_bands_are_taken_from_maps_of_the_report_split_alone(made: Plan) -> None:
    """A classifier of pixels that was fitted on all bands says something else without them, and learns as before."""
    given = ([{"use": "scenes-land", "fit": 12, "select": 6, "report": 10}], made.store.root)
    told = {"use": "scenes-dense-v1", "probes": {"seg_linear": {"steps": 6, "batch": 4}}}
    values = {}
    for absent in ([], ["B08"], list(BAND_SETS["s2_10"][:-1])):
        plan = plan_of_one("pixels", given[0], [{**told, "absent": absent}], given[1])  # type: ignore[list-item]
        plan.requests = [request for request in plan.requests if request.probe == "seg_linear"]
        launch = Launch(plan, "cpu")
        done = [event for event in launch.events() if isinstance(event, Scored)]
        assert not launch.outcome.failed and len(done) <= 1
        (request,) = plan.requests
        frame = scores(given[1])
        (path,) = frame[frame.path.str.contains(request.stem, regex=False)].path
        values[len(absent)] = read_predictions(path).scores
    (own,) = [
        made.store.subject(request.subject).path / "scores" / f"{request.stem}.npz"
        for request in made.requests
        if request.subject.startswith("backbones/pixels")
        and (request.task, request.probe) == ("scenes-land", "seg_linear")
    ]
    assert (values[0] == read_predictions(own).scores).all()
    moved = [np.abs(values[count] - values[0]).sum() for count in (1, 9)]
    assert 0 < moved[0] < moved[1]

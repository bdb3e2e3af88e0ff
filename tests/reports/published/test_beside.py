"""What may stand in a column of ours: only what shares protocol, probe, metric, bands and partition with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deo_bench.errors import UserError
from deo_bench.reports.cells import Column
from deo_bench.reports.published import beside
from tests.reports.published.conftest import TORCHGEO, Write

OURS = Column("m-eurosat", "knn5_l2", "tgb-v0.4", "rgb", "student", metric="accuracy", band_labels="published")


def test_numbers_of_the_same_protocol_may_stand_in_the_column() -> None:
    found = {one.model: one for one in beside([OURS]).same}
    assert set(found) == {"DINOv3-L web", "DINOv3-L SAT", "DOFA-L"}
    assert found["DOFA-L"].value == pytest.approx(0.936) and found["DOFA-L"].half == pytest.approx(0.016, abs=0.001)
    assert {one.source for one in found.values()} == {"torchgeo-bench"}


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "custom-12345678"},
        {"probe": "linear"},
        {"metric": "macro_f1"},
        {"bands": "s2_13"},
        {"bands": ""},
        {"partition": "0.10x_train"},
        {"band_labels": "corrected"},
        {"task": "scenes-cover"},
    ],
    ids=str,
)
def test_whatever_differs_stands_in_no_column_of_ours(fields: dict[str, str]) -> None:
    assert beside([replace(OURS, **fields)]).same == ()  # type: ignore[arg-type]


def test_the_others_are_on_the_same_tasks_and_not_what_is_in_the_columns() -> None:
    made = beside([OURS])
    assert set(made.others["task"]) == {"m-eurosat"}
    assert not (
        (made.others["protocol"] == "tgb-v0.4") & (made.others["probe"] == "knn5_l2") & (made.others["bands"] == "rgb")
    ).any()
    assert {"deo", "terrafm", "dinov3-card", "torchgeo-bench"} <= set(made.others["source"])
    assert 0.97 in made.others["value"].tolist(), "the authors' number of DEO"
    assert "deo-conflicting" not in set(made.others["source"])


def test_places_are_those_of_the_columns_given() -> None:
    columns = [replace(OURS, task="scenes-cover"), OURS, replace(OURS, task="m-bigearthnet", metric="micro_map")]
    assert {(one.place, one.task) for one in beside(columns).same} == {(1, "m-eurosat"), (2, "m-bigearthnet")}


def test_a_source_is_named_and_the_contradicting_one_too() -> None:
    assert set(beside([OURS], ["deo-conflicting"]).others["source"]) == {"deo-conflicting"}
    assert beside([OURS], ["terrafm"]).same == ()
    with pytest.raises(UserError, match="did you mean 'deo'"):
        beside([OURS], ["deos"])


def test_a_result_file_is_a_source_too(write: Write) -> None:
    path = write(TORCHGEO, [{}, {"image_size": "128"}, {"name": "torn"}, {"name": "torn", "metric_value": "0.5"}])
    made = beside([OURS], [str(path)])
    assert [(one.model, one.value) for one in made.same] == [("dofa", 0.9), ("torn", None)]
    assert "50.0, 90.0" in made.same[1].notes[0]
    assert made.others["image_size"].tolist() == [128]


def test_no_columns_no_numbers(tmp_path: Path) -> None:
    made = beside([])
    assert made.same == () and made.others.empty

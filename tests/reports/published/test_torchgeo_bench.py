"""torchgeo-bench's CSV: a protocol of ours only where every field is the record's, and nothing merged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from deo_bench.errors import UserError
from deo_bench.reports.published import COLUMNS, read_published, read_torchgeo_bench
from deo_bench.reports.published.torchgeo_bench import TWICE
from tests.reports.published.conftest import TORCHGEO, Write

TWELVE = "blue,green,red,nir,red_edge_1,red_edge_2,red_edge_3,red_edge_4,swir_1,swir_2,coastal_aerosol,water_vapour"


def test_a_row_of_our_protocol_keeps_what_it_says(write: Write) -> None:
    frame = read_torchgeo_bench(write(TORCHGEO, [{}, {"method": "linear", "metric_value": "0.95"}]))
    assert list(frame.columns) == list(COLUMNS)
    knn, linear = frame.to_dict("records")
    assert (knn["protocol"], knn["probe"], knn["metric"]) == ("tgb-v0.4", "knn5_l2", "accuracy")
    assert (knn["value"], knn["low"], knn["high"], knn["n_test"]) == (0.9, 0.88, 0.92, 1000)
    assert (knn["bands"], knn["band_set"], knn["image_size"], knn["seed"]) == ("rgb", "rgb", 224, 0)
    assert (linear["protocol"], linear["probe"], linear["value"]) == ("tgb-v0.4", "linear_lbfgs", 0.95)


OTHERS = {
    "128 px": {"image_size": "128.0"},
    "own size": {"image_size": ""},
    "bicubic": {"interpolation": "bicubic"},
    "native": {"normalization": "model_native"},
    "unmerged": {"merge_val": "False"},
    "more resamples": {"bootstrap": "1000"},
    "another grid": {"c_range_stop": "5", "c_range_num": "60"},
    "more values of C": {"c_range_num": "60"},
    "larger values of C": {"c_range_stop": "5"},
    "smaller values of C": {"c_range_start": "-7"},
    "the class token": {"name": "dofa_cls"},
    "another method": {"method": "linear_sgd"},
    "another metric": {"metric_name": "macro_f1"},
}


@pytest.mark.parametrize("case", OTHERS)
def test_whatever_differs_from_our_record_is_a_protocol_of_its_own(case: str, write: Write) -> None:
    row = {"method": "linear", **OTHERS[case]}
    frame = read_torchgeo_bench(write(TORCHGEO, [{"method": "linear"}, row]))
    assert len(frame) == 2 and frame["protocol"].nunique() == 2
    assert frame["protocol"].iloc[1].startswith("published:torchgeo-bench")


def test_all_of_these_differ_from_one_another_too(write: Write) -> None:
    rows = [
        {"method": "linear", **row} for case, row in OTHERS.items() if case not in ("another method", "another metric")
    ]
    assert read_torchgeo_bench(write(TORCHGEO, rows))["protocol"].nunique() == len(rows)


def test_the_grid_of_c_is_none_of_knns_business(write: Write) -> None:
    frame = read_torchgeo_bench(write(TORCHGEO, [{"c_range_stop": "5", "c_range_num": "60"}]))
    assert frame["protocol"].tolist() == ["tgb-v0.4"]


def test_bands_are_ours_only_where_they_are_certain(write: Write) -> None:
    rows = [
        {"bands": "all"},
        {"bands": TWELVE},
        {"bands": TWELVE, "dataset": "m-forestnet"},
        {"bands": "blue,green,red,nir"},
        {"bands": "red,green,blue,vh_real", "dataset": "m-so2sat"},
    ]
    frame = read_torchgeo_bench(write(TORCHGEO, [{**row, "image_size": ""} for row in rows]))
    assert frame["band_set"].tolist() == ["", "s2_12", "", "", ""]
    assert frame["protocol"].iloc[3] != frame["protocol"].iloc[4], "two lists of four bands are two protocols"


def test_profiles_are_no_scores(write: Write) -> None:
    rows = [{"method": "profile", "metric_name": "gflops", "metric_value": "61.6"}, {}]
    assert len(read_torchgeo_bench(write(TORCHGEO, rows))) == 1
    with pytest.raises(UserError, match="has no scores"):
        read_torchgeo_bench(write(TORCHGEO, rows[:1]))


def test_the_same_number_twice_is_one_and_two_different_ones_say_so(write: Write) -> None:
    frame = read_torchgeo_bench(write(TORCHGEO, [{}, {}]))
    assert len(frame) == 1 and frame["note"].tolist() == [""]
    frame = read_torchgeo_bench(write(TORCHGEO, [{}, {"metric_value": "0.91"}]))
    assert frame["value"].tolist() == [0.9, 0.91]
    assert (frame["note"] == f"{TWICE}: 90.0, 91.0").all()


def test_an_interval_of_zeros_was_not_computed(write: Write) -> None:
    frame = read_torchgeo_bench(
        write(TORCHGEO, [{"ci_lower": "0.0", "ci_upper": "0.0"}, {"seed": "1", "ci_lower": "", "ci_upper": ""}])
    )
    assert frame["low"].isna().all() and frame["high"].isna().all()


def test_the_real_file(torchgeo_file: Path) -> None:
    """Against pandas by itself: which rows have every field of our record, and that no number got lost or merged."""
    raw = pd.read_csv(torchgeo_file)
    raw = raw[raw["method"].isin(["knn5", "linear"])]
    frame = read_published(torchgeo_file)
    key = ["dataset", "method", "name", "normalization", "image_size", "bands", "c_range_num", "metric_value"]
    # the grid of C is none of kNN's business, so two runs of kNN that differ in it are the same one
    raw.loc[raw["method"] == "knn5", "c_range_num"] = 40
    unique = raw.drop_duplicates(key)
    assert len(frame) == len(unique)
    assert frame["value"].sum() == pytest.approx(unique["metric_value"].sum())
    ours = unique[
        (unique["image_size"] == 224)
        & (unique["normalization"] == "bandspec_zscore")
        & (unique["c_range_num"] == 40)
        & ~unique["name"].str.endswith("_cls")
    ]
    assert (frame["protocol"] == "tgb-v0.4").sum() == len(ours)
    per_protocol = frame.groupby("protocol")[["image_size", "normalisation"]].nunique(dropna=False)
    assert (per_protocol == 1).all().all()
    lists = frame[frame["protocol"] != "tgb-v0.4"].groupby("protocol")["bands"].nunique()
    assert (lists == 1).all(), "different bands are different protocols"
    dinov3 = frame[(frame["model"] == "vit_large_patch16_dinov3sat") & (frame["protocol"] == "tgb-v0.4")]
    rgb = dinov3[(dinov3["bands"] == "rgb") & (dinov3["probe"] == "linear_lbfgs")].set_index("task")["value"]
    assert {task: round(100 * value, 1) for task, value in rgb.items()} == {
        "m-eurosat": 96.9, "m-bigearthnet": 74.1, "m-so2sat": 65.0, "m-brick-kiln": 97.5, "m-forestnet": 58.2,
        "m-pv4ger": 95.3,
    }  # fmt: skip

"""What ships: every number is a share with a source, and the sources' own arithmetic comes out of the files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from deo_bench.errors import UserError
from deo_bench.probes.record import resolve
from deo_bench.registry import Registry
from deo_bench.reports.published import COLUMNS, CONFIDENCE, numbers_of, read_source, source_names
from deo_bench.reports.published.frame import MEANS, OTHER_TASKS
from deo_bench.reports.published.sources import check_source, preferred_sources, shipped
from deo_bench.reports.published.tables import METRICS

ALL = shipped(source_names())


def number(model: str, task: str, source: str = "deo", partition: str = "default") -> float:
    rows = numbers_of(read_source(source))
    found = rows[(rows["model"] == model) & (rows["task"] == task) & (rows["partition"] == partition)]
    assert len(found) == 1, f"{model}, {task}: {len(found)} numbers"
    return 100 * float(found.iloc[0]["value"])


def mean(model: str, task: str, source: str = "deo") -> float:
    return sum(number(model, part, source) for part in MEANS[task]) / len(MEANS[task])


@pytest.mark.parametrize("name", source_names())
def test_every_number_is_a_share_with_all_that_is_known_of_it(name: str) -> None:
    frame = numbers_of(read_source(name))
    assert list(frame.columns) == list(COLUMNS) and len(frame) > 10
    assert frame["value"].between(0, 1).all()
    assert set(frame["confidence"]) <= set(CONFIDENCE) - {"?"}
    assert set(frame["metric"]) <= set(METRICS)
    for column in ("model", "task", "probe", "protocol", "metric", "bands", "partition", "measured", "what"):
        assert (frame[column] != "").all(), column
    assert not frame.duplicated(["model", "task", "probe", "protocol", "metric", "bands", "partition"]).any()


def test_every_task_is_ours_or_listed_as_none_of_ours() -> None:
    ours = set(Registry().all("task"))
    assert set(ALL["task"]) <= ours | set(OTHER_TASKS) | set(MEANS)
    assert not ours & set(OTHER_TASKS), "a task that is ours by now is no other's"


def test_a_protocol_of_ours_is_claimed_only_as_its_record_is() -> None:
    record = resolve("tgb-v0.4")
    claimed = ALL[~ALL["protocol"].str.startswith("published:")]
    assert set(claimed["protocol"]) == {record.id}
    assert set(claimed["probe"]) == set(record.probes)
    assert (claimed["image_size"] == record.size).all() and (claimed["partition"] == "default").all()
    assert set(claimed["normalisation"]) == {"bandspec_zscore"}
    assert set(claimed["band_set"]) == {"rgb", ""}, "all bands are offered, not fed: no band set of ours is claimed"
    for task, metric in zip(claimed["task"], claimed["metric"], strict=True):
        assert metric == record.metric("multi" if task == "m-bigearthnet" else "single")


@pytest.mark.parametrize(
    ("model", "task", "printed"),
    [
        ("DEO Swin-B", "mean-classification", 69.22),
        ("DEO Swin-B", "mean-optical-segmentation", 81.98),
        ("DEO Swin-B", "mean-multispectral-segmentation", 57.45),
        ("DEO Swin-B", "mean-change-detection", 75.9),
        ("DINOv3-B", "mean-optical-segmentation", 77.61),
        ("Copernicus-FM", "mean-optical-segmentation", 73.43),
        ("Copernicus-FM", "mean-multispectral-segmentation", 51.11),
        ("TerraFM", "mean-multispectral-segmentation", 50.70),
        ("DINOv3-L SAT-493M", "mean-change-detection", 74.5),
        ("TerraFM", "mean-change-detection", 73.5),
    ],
)
def test_the_printed_means_are_those_of_the_numbers(model: str, task: str, printed: float) -> None:
    assert number(model, task) == pytest.approx(printed, abs=1e-9)
    assert mean(model, task) == pytest.approx(printed, abs=0.006)


@pytest.mark.parametrize(
    ("model", "task", "value"),
    [("DEO Swin-B", "pastis", 28.96), ("DEO Swin-B", "oscd", 60.5), ("Copernicus-FM", "m-SA-crop-type", 34.66)],
)
def test_what_was_derived_says_so_and_is_a_secondary_number(model: str, task: str, value: float) -> None:
    assert number(model, task) == pytest.approx(value)
    row = ALL[(ALL["source"] == "deo") & (ALL["model"] == model) & (ALL["task"] == task)].iloc[0]
    assert row["note"].startswith("derived") and row["confidence"] == "S"


def test_the_means_on_the_dinov3_card_are_those_of_its_numbers() -> None:
    for model in ("DINOv3-L SAT-493M", "DINOv3-7B SAT-493M"):
        for task in ("mean-geobench-classification", "mean-geobench-segmentation"):
            # of rounded numbers, so that a mean of them can be off by one in the last digit
            assert mean(model, task, "dinov3-card") == pytest.approx(number(model, task, "dinov3-card"), abs=0.051)


def test_the_ablations_overall_is_the_mean_of_its_two_columns() -> None:
    frame = numbers_of(read_source("deo-ablation"))
    assert frame["model"].nunique() == 6
    for model in frame["model"].unique():
        assert mean(model, "mean-ablation-overall", "deo-ablation") == pytest.approx(
            number(model, "mean-ablation-overall", "deo-ablation"), abs=0.0051
        )


def test_numbers_at_a_tenth_of_the_labels_are_not_those_of_all() -> None:
    assert number("DEO Swin-B", "m-bigearthnet", partition="0.10x") == pytest.approx(51.89)
    assert number("DEO Swin-B", "m-bigearthnet") == pytest.approx(58.43)


def test_the_set_that_contradicts_is_shown_only_by_name() -> None:
    assert "deo-conflicting" in source_names() and "deo-conflicting" not in preferred_sources()
    assert number("DEO Swin-B", "m-eurosat", "deo-conflicting") == pytest.approx(93.8)
    assert mean("DEO Swin-B", "mean-multispectral-segmentation", "deo-conflicting") == pytest.approx(54.64, abs=0.01)


def test_cashew_of_six_classes_says_that_it_is_not_comparable() -> None:
    rows = ALL[(ALL["source"] == "dinov3-card") & (ALL["task"] == "m-cashew-plant")]
    assert len(rows) == 2 and rows["note"].str.contains("not comparable").all()


def test_the_baselines_of_geobench_are_those_of_its_file(geobench_file: Path) -> None:
    runs = pd.read_csv(geobench_file)
    runs = runs[runs["partition name"] == "1.00x train"].groupby(["model", "dataset"])["test metric"]
    rows = ALL[ALL["source"] == "geobench-v1"].set_index(["model", "task"])
    assert len(rows) == len(runs) == 36
    for key, values in runs:
        assert rows.loc[key, "value"] == pytest.approx(values.mean(), abs=1e-6)
        assert rows.loc[key, "spread"] == pytest.approx(values.std(), abs=1e-6)
        assert rows.loc[key, "runs"] == len(values)


CALLED = {
    "DINOv3-L web": "vit_large_patch16_dinov3", "DINOv3-L SAT": "vit_large_patch16_dinov3sat",
    "DOFA-L": "tgeo_dofa_large", "DOFA-B": "tgeo_dofa_base", "Panopticon": "tgeo_panopticon",
    "TerraMind-B": "tt_terramind_v1_base", "TerraMind-L": "tt_terramind_v1_large", "CROMA-B": "tgeo_croma_base",
    "ImageStats": "imagestats", "RCF": "rcf", "Clay": "tt_clay_v1_5_base", "Prithvi-v2-600": "tt_prithvi_eo_v2_600",
    "OlmoEarth v1 base": "olmoearth_v1_base", "OlmoEarth v1.1 base": "olmoearth_v1_1_base",
}  # fmt: skip
"""Our names of models -> the file's."""


def test_the_probes_of_torchgeo_bench_are_rows_of_its_file(torchgeo_file: Path) -> None:
    """Size, bands and grid of C that a table claims are those of a row with this very number."""
    file = pd.read_csv(torchgeo_file)
    file = file[file["normalization"] == "bandspec_zscore"]
    numbers = ALL[(ALL["source"] == "torchgeo-bench") & (ALL["model"] != "DEO Swin")]
    assert len(numbers) == 130
    for row in numbers.itertuples():
        same = file[(file["dataset"] == row.task) & ((file["metric_value"] - row.value).abs() < 1e-6)]
        same = same[same["name"] == CALLED[row.model]]
        same = same[same["method"] == ("knn5" if "knn" in row.probe else "linear")]
        same = same[same["ci_lower"].sub(row.low).abs() < 1e-6]
        if row.protocol == "tgb-v0.4":
            same = same[(same["image_size"] == 224) & ((same["c_range_num"] == 40) | (same["method"] == "knn5"))]
            same = same[(same["bands"] == row.bands)]
        elif "60" in row.protocol:
            same = same[same["c_range_num"] == 60]
        else:
            same = same[same["image_size"].isna()]
        assert len(same) >= 1, f"{row.model}, {row.task}, {row.protocol}"


BROKEN = {
    "a row is too short": ('rows = [["m", 0.5]]', "a row is a model and 2 cells"),
    "a percent": ('rows = [["m", 58.4, 0.5]]', "table"),
    "a text": ('rows = [["m", "-", 0.5]]', "is a text"),
    "a strange key": ('rows = [["m", { value = 0.5, std = 0.1 }, 0.5]]', "table"),
    "a metric of another task": ('metrics = { x = "f1" }\nrows = [["m", 0.5, 0.5]]', "metrics names a task"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_source_is_one_line_with_its_file(case: str, tmp_path: Path) -> None:
    rows, said = BROKEN[case]
    path = tmp_path / "own.toml"
    path.write_text(
        '[source]\ntitle = "t"\nurl = "u"\nversion = "v"\nconfidence = "A"\n[[table]]\nwhat = "w"\nprotocol = "p"\n'
        f'probe = "x"\nmeasured = "h"\nmetric = "accuracy"\nbands = "rgb"\ntasks = ["a", "b"]\n{rows}\n'
    )
    with pytest.raises(UserError) as caught:
        check_source(path)
    assert str(path) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'terrafm'"):
        read_source("terafm")

"""GEO-Bench's CSV and what is computed from it: means, intervals, normalised inter-quartile means, marked cells."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from deo_bench.reports.published import cells_of, normalised_means, published_tables, read_geobench, read_published
from deo_bench.reports.statistics import by_each_task
from tests.reports.published.conftest import GEOBENCH, Write

MEANS = {
    "ResNet101 DeepLabV3-timm": (53.86, 30.41, 48.55, 62.10, 67.62, 93.37),
    "ResNet101-U-Net-timm": (56.59, 29.91, 46.50, 70.79, 80.53, 94.08),
    "ResNet18 DeepLabV3-timm": (46.11, 27.01, 38.63, 56.52, 65.98, 93.17),
    "ResNet18-U-Net-timm": (56.46, 27.53, 40.91, 68.66, 81.01, 94.08),
    "ResNet50 DeepLabV3-timm": (58.22, 29.89, 44.66, 63.38, 67.17, 93.68),
    "ResNet50-U-Net-timm": (56.46, 29.45, 48.73, 71.12, 81.07, 94.03),
}
TASKS = ("m-NeonTree", "m-SA-crop-type", "m-cashew-plant", "m-chesapeake", "m-nz-cattle", "m-pv4ger-seg")


def runs(values: list[float], **fields: str) -> list[dict[str, str]]:
    return [{**fields, "seed": str(seed), "test metric": str(value)} for seed, value in enumerate(values)]


def test_every_run_is_a_row(write: Write) -> None:
    frame = read_geobench(write(GEOBENCH, runs([0.8, 0.7])))
    assert frame["value"].tolist() == [0.8, 0.7] and frame["seed"].tolist() == [0, 1]
    first = frame.iloc[0]
    assert (first["metric"], first["partition"], first["band_set"]) == ("miou", "1.00x", "rgb")
    assert first["protocol"].startswith("published:")


def test_a_mean_has_a_t_interval_over_its_runs(write: Write) -> None:
    cell = cells_of(read_geobench(write(GEOBENCH, runs([0.70, 0.72, 0.74]))))["unet", "m-nz-cattle", "miou"]
    assert cell.value == pytest.approx(0.72) and cell.runs == cell.seeds == 3 and not cell.notes
    assert cell.half == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6), "t of 2 degrees of freedom"


def test_fewer_seeds_runs_of_one_seed_and_mixed_settings_are_marked(write: Write) -> None:
    rows = runs([0.7, 0.71, 0.72])
    rows += [{**row, "seed": "0", "model": "few"} for row in runs([0.6, 0.61, 0.62])]
    rows += [{**row, "model": "mixed", "lr head": str(place)} for place, row in enumerate(runs([0.5, 0.51, 0.52]))]
    cells = cells_of(read_geobench(write(GEOBENCH, rows)))
    notes = {model: cell.notes for (model, _, _), cell in cells.items()}
    assert notes["unet"] == ()
    assert notes["few"] == ("1 seed (3 runs: some seeds ran again), other cells up to 3",)
    assert notes["mixed"] == ("runs of 3 different settings",)


def test_a_model_that_lacks_a_task_has_no_normalised_mean(write: Write) -> None:
    rows = runs([0.1, 0.2]) + runs([0.3, 0.4], dataset="m-chesapeake") + runs([0.2, 0.3], model="other")
    assert list(normalised_means(read_geobench(write(GEOBENCH, rows)))) == ["unet"]


def test_runs_that_are_all_alike_cannot_be_normalised(write: Write) -> None:
    assert normalised_means(read_geobench(write(GEOBENCH, runs([0.5, 0.5, 0.5])))) == {}


def test_the_normalised_mean_by_hand(write: Write) -> None:
    """Scaled values 0, .25, .5, .75 and 1 on the one task, twice: the middle six of ten are .25 .25 .5 .5 .75 .75."""
    rows = runs([0.2, 0.3, 0.4, 0.5, 0.6]) + runs([0.02, 0.03, 0.04, 0.05, 0.06], dataset="m-chesapeake")
    mean = normalised_means(read_geobench(write(GEOBENCH, rows)))["unet"]
    assert mean.value == pytest.approx(0.5) and mean.kept == 6
    assert 0 < mean.low < mean.value < mean.high < 1


def plain(path: Path, partition: str) -> dict[str, dict[str, list[float]]]:
    """Model -> task -> values, without any code of the project."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["partition name"] == f"{partition} train":
                found[row["model"]][row["dataset"]].append(float(row["test metric"]))
    return found


@pytest.mark.parametrize("partition", ["0.01x", "0.10x", "1.00x"])
def test_normalised_means_of_the_real_file_equal_an_independent_computation(
    partition: str, geobench_file: Path
) -> None:
    found = plain(geobench_file, partition)
    least = {task: min(min(of[task]) for of in found.values()) for task in TASKS}
    most = {task: max(max(of[task]) for of in found.values()) for task in TASKS}
    frame = read_published(geobench_file)
    made = normalised_means(frame[frame["partition"] == partition])
    assert made.keys() == found.keys() == MEANS.keys()
    for model, tasks in found.items():
        scaled = sorted((value - least[t]) / (most[t] - least[t]) for t, values in tasks.items() for value in values)
        cut = len(scaled) // 4
        kept = scaled[cut : len(scaled) - cut]
        assert made[model].value == pytest.approx(math.fsum(kept) / len(kept), abs=1e-12)
        assert made[model].low < made[model].value < made[model].high


def test_each_data_set_of_the_real_file_is_trimmed_and_resampled_by_itself(geobench_file: Path) -> None:
    """12 runs -> the middle 6; the interval is that of resamples drawn by another hand."""
    found = plain(geobench_file, "1.00x")
    least = {task: min(min(of[task]) for of in found.values()) for task in TASKS}
    most = {task: max(max(of[task]) for of in found.values()) for task in TASKS}
    bounds = {task: (least[task], most[task]) for task in TASKS}
    draws = np.random.default_rng(0)
    for tasks in found.values():
        for task, made in by_each_task(tasks, bounds, repeats=4000).items():
            scaled = sorted((value - least[task]) / (most[task] - least[task]) for value in tasks[task])
            cut = len(scaled) // 4
            assert (made.count, made.kept) == (len(scaled), len(scaled) - 2 * cut)
            assert made.value == pytest.approx(math.fsum(scaled[cut : len(scaled) - cut]) / made.kept, abs=1e-12)
            drawn = np.sort(draws.choice(scaled, (4000, len(scaled))), axis=1)[:, cut : len(scaled) - cut].mean(1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            assert (made.low, made.high) == pytest.approx((low, high), abs=0.1 * (high - low) + 1e-6)
    counts = [len(values) for tasks in found.values() for values in tasks.values()]
    assert 12 in counts and min(counts) >= 4, "none is a plain mean"


def test_means_of_the_real_file(geobench_file: Path) -> None:
    """To a hundredth of a point, as computed elsewhere from the same file."""
    frame = read_published(geobench_file)
    assert len(frame) == 3000
    cells = cells_of(frame[frame["partition"] == "1.00x"])
    for model, means in MEANS.items():
        for task, mean in zip(TASKS, means, strict=True):
            assert round(100 * (cells[model, task, "miou"].value or 0), 2) == mean, f"{model}, {task}"


def test_cells_with_fewer_seeds_are_marked_in_the_real_file(geobench_file: Path) -> None:
    """Counted by hand from the file: 12 seeds are the most; 15 of 36 cells have fewer, some with runs again."""
    frame = read_published(geobench_file)
    (grid,) = published_tables(frame[frame["partition"] == "1.00x"])
    marked = {
        (line.label, heading.task): [grid.footnotes[note - 1] for note in slot.notes]
        for line in grid.lines
        for heading, slot in zip(grid.headings, line.slots, strict=True)
        if slot.notes
    }
    counts: dict[tuple[str, str], set[str]] = defaultdict(set)
    with geobench_file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["partition name"] == "1.00x train":
                counts[row["model"], row["dataset"]].add(row["seed"])
    assert marked.keys() == {key for key, seeds in counts.items() if len(seeds) < 12}
    for key, notes in marked.items():
        assert notes[0].startswith(f"{len(counts[key])} seeds")
    assert "runs of 2 different settings" in marked["ResNet101 DeepLabV3-timm", "m-nz-cattle"]

"""Small result files in the two formats, written by the tests, and the real ones where they are."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

TORCHGEO = {
    "dataset": "m-eurosat", "method": "knn5", "metric_name": "accuracy", "metric_value": "0.9", "ci_lower": "0.88",
    "ci_upper": "0.92", "feature_dim": "768", "best_c": "", "n_train": "2000", "n_val": "1000", "n_test": "1000",
    "seed": "0", "model": "bench.Model", "name": "dofa", "normalization": "bandspec_zscore", "image_size": "224.0",
    "interpolation": "bilinear", "partition": "default", "bands": "rgb", "c_range_start": "-6", "c_range_stop": "4",
    "c_range_num": "40", "merge_val": "True", "bootstrap": "200",
}  # fmt: skip
GEOBENCH = {
    "model": "unet", "encoder type": "resnet", "decoder type": "Unet", "in chans": "3", "partition name": "1.00x train",
    "dataset": "m-nz-cattle", "seed": "0", "lr backbone": "0.001", "lr head": "0.002", "batch size": "32",
    "test metric": "0.8",
}  # fmt: skip

Write = Callable[[Mapping[str, str], Sequence[Mapping[str, Any]]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a CSV of rows that differ from a base row, and gives its path."""

    def written(base: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / "results.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(base))
            writer.writeheader()
            writer.writerows({**base, **row} for row in rows)
        return path

    return written


@pytest.fixture(scope="session")
def published_data() -> Path:
    """The folder of real result files; the test is skipped where there is none."""
    given = os.environ.get("DEO_BENCH_TEST_DATA")
    if not given or not (Path(given) / "published").is_dir():
        pytest.skip("needs result files: set DEO_BENCH_TEST_DATA to a folder that holds published/")
    return Path(given) / "published"


@pytest.fixture(scope="session")
def torchgeo_file(published_data: Path) -> Path:
    return published_data / "torchgeo_bench_v0.4_geobench_v1_classification.csv"


@pytest.fixture(scope="session")
def geobench_file(published_data: Path) -> Path:
    return published_data / "geobench_v1_segmentation.csv"

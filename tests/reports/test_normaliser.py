"""Bounds of a benchmark or of a `normalizer.json`, and what a report makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deo_bench.errors import UserError
from deo_bench.reports.normaliser import GEOBENCH2, bounds_of, read_normaliser
from deo_bench.reports.spec import ReportSpec, read_spec


def test_geobench_2s_bounds() -> None:
    """19 data sets; four of them as its leaderboard rounds them."""
    assert len(GEOBENCH2) == 19 and all(0 < low < high < 1 for low, high in GEOBENCH2.values())
    rounded = {name: tuple(round(end, 4) for end in GEOBENCH2[name]) for name in ("benv2", "so2sat", "pastis_r")}
    assert rounded == {"benv2": (0.7139, 0.7665), "so2sat": (0.5112, 0.6542), "pastis_r": (0.0848, 0.1661)}
    assert bounds_of("gb2-benv2", GEOBENCH2) == GEOBENCH2["benv2"] == bounds_of("benv2", GEOBENCH2)
    assert bounds_of("m-so2sat", GEOBENCH2) is None, "GEO-Bench v1's is another data set"


def test_a_report_takes_a_file_beside_it_and_its_own_bounds_first(tmp_path: Path) -> None:
    (tmp_path / "normalizer.json").write_text('{"m-eurosat": [0.7, 0.97], "m-forestnet": [0.4, 0.6]}')
    (tmp_path / "report.toml").write_text('normaliser = "normalizer.json"\nbounds = { m-eurosat = [0.5, 0.9] }\n')
    spec = read_spec(tmp_path / "report.toml")
    assert spec.scale(["m-eurosat", "m-forestnet", "m-so2sat"]) == {"m-eurosat": (0.5, 0.9), "m-forestnet": (0.4, 0.6)}
    assert ReportSpec().scale(["m-eurosat"]) == {}
    (tmp_path / "report.toml").write_text('normaliser = "geobench-2"\n')
    assert read_spec(tmp_path / "report.toml").scale(["so2sat"]) == {"so2sat": GEOBENCH2["so2sat"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "torn or foreign"),
        ("[1, 2]", "expected a table of data sets"),
        ('{"m-eurosat": [0.7]}', "m-eurosat: expected a least and a greatest score"),
        ('{"m-eurosat": [0.7, "a"]}', "m-eurosat: expected a least and a greatest score"),
        ('{"m-eurosat": [0.7, 0.7]}', "m-eurosat: the bounds have to ascend"),
        (json.dumps({"a": [0.0, float("nan")]}), "a: the bounds have to ascend"),
    ],
)
def test_a_file_that_holds_no_bounds_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "normalizer.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as told:
        read_normaliser(str(path))
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_a_missing_file_names_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "report.toml").write_text('normaliser = "geobench-3"\n')
    message = rf"{re.escape(str(tmp_path))}/geobench-3 is no file, did you mean 'geobench-2'\?; say a normalizer.json"
    with pytest.raises(UserError, match=message):
        read_spec(tmp_path / "report.toml")

"""Tables of published numbers: each says that it is published, where from and how far to trust it; nothing is mixed."""

from __future__ import annotations

import pytest

from deo_bench.reports.grid import HOLE, Grid
from deo_bench.reports.published import published_sections, published_tables, read_torchgeo_bench, source_names
from deo_bench.reports.published.frame import CONFIDENCE
from deo_bench.reports.published.sources import numbers_of, read_source, shipped
from deo_bench.reports.published.tables import IQM, parts_of
from tests.reports.published.conftest import TORCHGEO, Write

ALL = shipped(source_names())


def texts(grid: Grid, label: str) -> list[str]:
    return [slot.text for slot in next(line for line in grid.lines if line.label == label).slots]


def notes(grid: Grid, label: str, task: str) -> list[str]:
    place = [heading.task for heading in grid.headings].index(task)
    slot = next(line for line in grid.lines if line.label == label).slots[place]
    return [grid.footnotes[note - 1] for note in slot.notes]


def test_every_table_says_published_its_source_protocol_and_confidence() -> None:
    for grid, rows in zip(published_tables(ALL), parts_of(ALL), strict=True):
        first = rows.iloc[0]
        assert grid.title.startswith("published: ") and first["protocol"] in grid.title
        assert grid.caption.startswith("Published") and read_source(first["source"]).title in grid.caption
        assert all(CONFIDENCE[letter] in grid.caption for letter in rows["confidence"])
        assert first["protocol"] in grid.caption and first["measured"] in grid.caption
        assert all(len(line.slots) == len(grid.headings) for line in grid.lines)


def test_every_number_stands_in_one_table_and_no_table_mixes() -> None:
    parts = parts_of(ALL)
    assert sum(map(len, parts)) == len(ALL)
    shown = sum(slot.text != HOLE for grid in published_tables(ALL) for line in grid.lines for slot in line.slots)
    assert shown == len(ALL)
    for rows in parts:
        for name in ("source", "protocol", "probe", "bands", "partition", "normalisation", "measured"):
            assert rows[name].nunique() == 1


def test_deos_own_numbers_are_not_those_of_secondary_sources() -> None:
    optical = published_tables(numbers_of(read_source("deo")))[1]
    assert texts(optical, "DEO Swin-B") == ["80.83", "80.21", "94.41", "72.47", "81.98"]
    assert notes(optical, "DEO Swin-B", "m-nz-cattle") == []
    assert notes(optical, "DEO Swin-B", "spacenet-v1") == ["confidence S", "an aggregator's"]
    assert notes(optical, "DINOv3-B", "m-nz-cattle") == ["confidence S"]


def test_single_numbers_have_no_interval_and_no_aggregate() -> None:
    for grid in published_tables(numbers_of(read_source("terrafm"))):
        assert all("±" not in slot.text for line in grid.lines for slot in line.slots)
        assert IQM not in [heading.task for heading in grid.headings]


def test_a_mean_that_ships_has_the_t_interval_of_its_spread() -> None:
    (grid,) = published_tables(numbers_of(read_source("geobench-v1")))
    # 12 runs with a standard deviation of .305 points: t of 11 degrees of freedom is 2.200985
    assert texts(grid, "ResNet50-U-Net-timm")[0] == f"56.46 ±{2.200985 * 0.3054 / 12**0.5:.2f}"


def test_probes_show_their_own_interval_and_size(write: Write) -> None:
    (grid,) = published_tables(read_torchgeo_bench(write(TORCHGEO, [{}, {"name": "other", "metric_value": "0.8"}])))
    assert texts(grid, "dofa") == ["90.0 ±2.0"] and grid.headings[0].size == "n = 1,000"
    assert "test images" in grid.caption and "results.csv" in grid.caption


def test_a_source_that_contradicts_itself_has_a_hole_that_says_so(write: Write) -> None:
    rows = [{}, {"metric_value": "0.91"}, {"name": "other"}]
    (grid,) = published_tables(read_torchgeo_bench(write(TORCHGEO, rows)))
    assert texts(grid, "dofa") == [HOLE] and "90.0, 91.0" in notes(grid, "dofa", "m-eurosat")[0]
    assert texts(grid, "other") == ["90.0 ±2.0"]


@pytest.mark.parametrize(
    "row",
    [
        {"bands": "all"},
        {"normalization": "model_native"},
        {"image_size": "128"},
        {"image_size": ""},
        {"partition": "0.10x"},
        {"method": "linear"},
        {"bands": "blue,green,red,nir"},
    ],
    ids=str,
)
def test_bands_sizes_and_normalisations_never_share_a_table(row: dict[str, str], write: Write) -> None:
    assert len(published_tables(read_torchgeo_bench(write(TORCHGEO, [{}, {"name": "other", **row}])))) == 2


def test_two_lists_of_bands_never_share_a_table(write: Write) -> None:
    rows = [{"bands": "blue,green,red,nir"}, {"bands": "blue,green,red,swir_1", "name": "other"}]
    assert len(published_tables(read_torchgeo_bench(write(TORCHGEO, rows)))) == 2


def test_a_section_a_source() -> None:
    titles = [section.title for section in published_sections(shipped(["deo", "terrafm"]))]
    assert titles == [read_source("deo").title, read_source("terrafm").title]

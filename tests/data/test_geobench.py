"""Data sets in GEO-Bench's format: what our writer writes our reader reads, and what is damaged is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.data.geobench_bands import SPELLINGS, UNITS, corrected_names, published_name
from deo_bench.data.geobench_writer import write_dataset
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry

IDS = [f"id_{number:03d}" for number in range(8)]
PARTITION = {"train": IDS[:5], "valid": IDS[5:6], "test": IDS[6:]}
CLASSES = ("field", "forest", "water")


def pixels(bands: int, kind: str = "int16", size: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 200, (len(IDS), bands, size, size)).astype(kind)


def label(kind: str, row: int, size: int = 6) -> Any:
    if kind == "single":
        return row % 3
    return np.eye(3, dtype=int)[row % 3] if kind == "multi" else np.full((size, size), row % 3, np.uint8)


def samples(kind: str, images: np.ndarray) -> Iterator[tuple[str, np.ndarray, Any]]:
    for row, name in enumerate(IDS):
        yield name, images[row], label(kind, row, images.shape[-1])


def written(root: Path, name: str = "m-own", kind: str = "single", **changed: Any) -> Path:
    bands = changed.pop("bands", BAND_SETS["hls_6"])
    images = changed.pop("images", pixels(len(bands)))
    given: dict[str, Any] = {
        "dataset_name": name,
        "benchmark_name": "own_v1.0",
        "bands": bands,
        "label_type": kind,
        "class_names": CLASSES,
        "samples": samples(kind, images),
        "partition": PARTITION,
        "partitions": {"0.40x_train": {**PARTITION, "train": IDS[1:3]}},
        **changed,
    }
    return write_dataset(root / "own_v1.0" / name, **given)


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize("kind", ["single", "multi", "segmentation"])
def test_round_trip(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "data", kind=kind)
    pack = pack_data_set(places(tmp_path), "m-own")
    np.testing.assert_array_equal(pack.images, pixels(6))
    np.testing.assert_array_equal(pack.labels, [label(kind, row) for row in range(len(IDS))])
    assert pack.label_kind == kind and pack.classes == CLASSES and pack.name == "m-own"
    assert pack.bands == BAND_SETS["hls_6"] and pack.unit == "dn"
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        "fit": [0, 1, 2, 3, 4],
        "select": [5],
        "report": [6, 7],
    }
    assert pack.partitions["0.40x_train"].tolist() == [1, 2]
    assert sorted(path.name for path in (tmp_path / "data" / "own_v1.0").iterdir()) == ["m-own"]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_number_types_are_kept(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "data", images=pixels(6, kind))
    pack = pack_data_set(places(tmp_path), "m-own", unit="reflectance")
    assert pack.images.dtype == kind
    np.testing.assert_array_equal(pack.images, pixels(6, kind))


def test_every_band_of_the_catalogue_survives_the_format(tmp_path: Path) -> None:
    for names in (BAND_SETS["s2_13"], ("L1", "L2", "L3", "L4", "L5", "L6", "L7"), ("VV", "VH"), ("R", "G", "B")):
        name = "m-" + names[0]
        written(tmp_path / "data", name, bands=names, images=pixels(len(names)))
        assert pack_data_set(places(tmp_path), name, unit="dn").bands == names
    assert set(SPELLINGS) == {*BAND_SETS["s2_13"], "L1", "L2", "L3", "L4", "L5", "L6", "L7", "VV", "VH", "R", "G", "B"}


def test_the_class_of_a_band_decides_what_its_label_means() -> None:
    assert published_name("Sentinel2", "02 - Blue") == "B02" and published_name("Landsat8", "02 - Blue") == "L2"
    assert published_name("SpectralBand", "Red") == "R" and published_name("Sentinel1", "05 - VH.LEE Filtered") == "VH"
    assert published_name("Sentinel1", "01 - VH.Real") == "01 - VH.Real"
    assert published_name("ElevationBand", "CHM") == "CHM"


def test_classes_are_of_the_specifications_not_of_the_labels_seen(tmp_path: Path) -> None:
    names = ("a", "b", "c", "never seen")
    written(tmp_path / "data", class_names=names)
    assert pack_data_set(places(tmp_path), "m-own").classes == names


def test_content_does_not_depend_on_the_path(tmp_path: Path) -> None:
    written(tmp_path / "data")
    first = pack_data_set(places(tmp_path), "m-own")
    shutil.copytree(tmp_path / "data" / "own_v1.0" / "m-own", tmp_path / "other" / "m-own")
    second = pack_data_set(Places(tmp_path / "other", tmp_path / "cache"), "m-own")
    assert second.content == first.content and second.pixels == first.pixels


def test_a_second_look_reads_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "data")
    first = pack_data_set(places(tmp_path), "m-own")
    monkeypatch.setattr("deo_bench.data.geobench.read_sample", None)
    assert pack_data_set(places(tmp_path), "m-own").content == first.content
    os.utime(folder / f"{IDS[0]}.hdf5", (1, 1))
    with pytest.raises(TypeError):
        pack_data_set(places(tmp_path), "m-own")


def test_a_data_set_is_found_in_the_root_or_in_a_benchmark(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    assert find_data_set(places(tmp_path), "m-own") == folder
    assert find_data_set(places(tmp_path), "own_v1.0/m-own") == folder
    assert find_data_set(places(tmp_path), str(folder)) == folder
    assert find_data_set(Places(tmp_path / "data" / "own_v1.0", tmp_path), "m-own") == folder
    shutil.copytree(folder, tmp_path / "data" / "m-own")
    with pytest.raises(UserError, match="there twice"):
        find_data_set(places(tmp_path), "m-own")


def test_data_that_are_not_there_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no folder of data is given; say --data"):
        find_data_set(Places(None, tmp_path), "m-own")
    with pytest.raises(MissingInput, match="no m-own/task_specs.pkl under"):
        find_data_set(Places(tmp_path, tmp_path), "m-own")


def test_published_band_labels_are_the_default_and_corrected_ones_a_choice(tmp_path: Path) -> None:
    images = pixels(13)
    written(tmp_path / "data", "m-eurosat", bands=BAND_SETS["s2_13"], images=images)
    published = pack_data_set(places(tmp_path), "m-eurosat")
    corrected = pack_data_set(places(tmp_path), "m-eurosat", band_labels="corrected")
    assert published.bands == BAND_SETS["s2_13"] and published.band_labels == "published"
    assert corrected.bands == (*BAND_SETS["s2_13"][:8], "B09", "B10", "B11", "B12", "B8A")
    assert corrected.band_labels == "corrected" and corrected.content != published.content
    np.testing.assert_array_equal(corrected.images, images)


def test_the_renderings_of_brick_kiln_are_no_bands(tmp_path: Path) -> None:
    images = pixels(13)
    written(tmp_path / "data", "m-brick-kiln", bands=BAND_SETS["s2_13"], images=images)
    corrected = pack_data_set(places(tmp_path), "m-brick-kiln", band_labels="corrected")
    assert corrected.bands == ("B01", "B02", "B03", "B04", "B05", "B07", "B8A", "B08", "B11", "B12")
    np.testing.assert_array_equal(corrected.images, images[:, :10])
    assert corrected_names("m-so2sat", ["B02", "x"]) == ["B02", "x"]


def test_units_are_known_given_or_beyond_doubt(tmp_path: Path) -> None:
    assert UNITS["m-so2sat"] == "reflectance" and UNITS["m-SA-crop-type"] == "uint8" and UNITS["m-eurosat"] == "dn"
    written(tmp_path / "data", images=pixels(6, "float32"))
    with pytest.raises(UserError, match="m-own: no unit is given; say unit = one of dn"):
        pack_data_set(places(tmp_path), "m-own")
    assert pack_data_set(places(tmp_path), "m-own", unit="reflectance").unit == "reflectance"
    written(tmp_path / "data", "m-bytes", images=pixels(6, "uint8"))
    assert pack_data_set(places(tmp_path), "m-bytes").unit == "uint8"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bands": ("B02", "B99"), "images": pixels(2)}, "band 'B99' has no spelling"),
        ({"images": pixels(5)}, "expected \\(6, 6, 6\\)"),
        ({"partition": {**PARTITION, "test": ["id_999"]}}, "ids without a sample, such as 'id_999'"),
        ({"partition": {"fit": []}}, "splits \\['fit'\\]"),
        ({"class_names": ("a",)}, "has class 1, there are 1"),
        ({"samples": iter([])}, "no samples"),
        ({"samples": iter([("a/b", pixels(6)[0], 0)])}, "has a slash"),
    ],
)
def test_the_writer_names_mistakes_and_leaves_nothing(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        written(tmp_path / "data", **changed)
    assert not list((tmp_path / "data" / "own_v1.0").glob("*")) and not list(tmp_path.rglob("*.tmp"))


def test_the_writer_overwrites_nothing(tmp_path: Path) -> None:
    written(tmp_path / "data")
    with pytest.raises(UserError, match="exists already"):
        written(tmp_path / "data")


def test_statistics_beside_the_samples(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    stats = json.loads((folder / "band_stats.json").read_text())
    blue = pixels(6)[:, 0]
    assert list(stats) == [*(SPELLINGS[name].label for name in BAND_SETS["hls_6"]), "label"]
    assert stats["02 - Blue"]["mean"] == pytest.approx(blue.mean()) and stats["02 - Blue"]["max"] == blue.max()
    assert set(stats["label"]) == {
        *("min", "max", "mean", "std", "median", "percentile_0_1", "percentile_1"),
        *("percentile_5", "percentile_95", "percentile_99", "percentile_99_9"),
    }
    assert json.loads((folder / "label_map.json").read_text())["1"] == [IDS[1], IDS[4], IDS[7]]


def test_train_splits_are_images_to_train_on(tmp_path: Path) -> None:
    written(tmp_path / "data")
    written(tmp_path / "data", "m-more", bands=("B04", "B03", "B02"), images=pixels(3, size=9))
    registry = Registry()
    one = registry.build("data", "geobench", options={"names": ["m-own"]}).pack(places(tmp_path))
    np.testing.assert_array_equal(one.images, pixels(6)[:5])
    assert one.label_kind == "none" and list(one.splits) == ["fit"] and one.bands == BAND_SETS["hls_6"]
    both = registry.build("data", "geobench", options={"names": ["m-own", "m-more"], "patch": 3}).pack(places(tmp_path))
    assert both.bands == ("B02", "B03", "B04") and both.images.shape == (5 * 4 + 5 * 9, 3, 3, 3)
    np.testing.assert_array_equal(both.images[1], pixels(6)[0, :3, :3, 3:])
    np.testing.assert_array_equal(both.images[-1], pixels(3, size=9)[4, ::-1, 6:, 6:])
    for options, said in (
        ({"names": ["m-own", "m-more"]}, "say patch ="),
        ({"names": ["m-own"], "patch": 7}, "larger than its images"),
        ({"names": []}, "names is empty"),
    ):
        with pytest.raises(UserError, match=said):
            registry.build("data", "geobench", options=options).pack(places(tmp_path))

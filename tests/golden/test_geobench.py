"""Our reader against files that the real `geobench` library wrote, and against what it reads from them itself."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS, select
from deo_bench.data import Pack, Places
from deo_bench.data.band_order import doubts_about_order
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.data.geobench_files import read_specifications
from deo_bench.errors import UserError

S2 = BAND_SETS["s2_13"]


@dataclass(frozen=True)
class Known:
    """What there is to know of a data set of the archive."""

    kind: str
    bands: tuple[str, ...]
    unit: str
    classes: int
    dtype: str = "int16"
    given: str | None = None
    rgb: tuple[str, ...] = BAND_SETS["rgb"]


RADAR = ("01 - VH.Real", "02 - VH.Imaginary", "03 - VV.Real", "04 - VV.Imaginary", "VH", "VV")
RADAR += ("07 - VH.LEE Filtered.Real", "08 - VV.LEE Filtered.Imaginary")
BY_TURNS = tuple(name for pair in zip(RADAR, BAND_SETS["s2_10"], strict=False) for name in pair)
NEON = ("R", "G", "B", "CHM", *(f"Neon {plane:03d}" for plane in range(4)))
SETS = {
    "m-classes": Known("single", ("B02", "B04", "B05", "B8A"), "dn", 3),
    "m-labels": Known("multi", ("R", "G", "B"), "uint8", 4, "uint8"),
    "m-maps": Known("segmentation", ("L2", "L3"), "reflectance", 2, "float32", "reflectance"),
    "m-eurosat": Known("single", S2, "dn", 3),
    "m-brick-kiln": Known("single", S2, "dn", 2),
    "m-so2sat": Known("single", (*BY_TURNS, "B11", "B12"), "reflectance", 17, "float32"),
    "m-forestnet": Known("single", ("L2", "L3", "L4", "L5", "L6", "L7"), "uint8", 12, "uint8", rgb=("L4", "L3", "L2")),
    "m-bigearthnet": Known("multi", BAND_SETS["s2_12"], "dn", 5),
    "m-cashew-plant": Known("segmentation", S2, "dn", 7),
    "m-SA-crop-type": Known("segmentation", S2, "uint8", 10),
    "m-chesapeake": Known("segmentation", ("R", "G", "B", "B08"), "uint8", 7, "uint8"),
    "m-NeonTree": Known("segmentation", NEON, "uint8", 2, "float32"),
    "m-old": Known("single", ("B02", "B03", "B04"), "dn", 3),
    "m-semantic": Known("segmentation", ("R", "G", "B"), "uint8", 3, "uint8"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("geobench")
    with tarfile.open(Path(__file__).parent / "geobench.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def expected(root: Path) -> Mapping[str, np.ndarray]:
    with np.load(root / "expected.npz") as found:
        return dict(found)


def packed(root: Path, cache: Path, name: str, **options: str) -> Pack:
    given = SETS[name].given if name in SETS else None
    return pack_data_set(Places(root, cache), name, unit=given, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETS)
def test_read_alike(root: Path, expected: Mapping[str, np.ndarray], tmp_path: Path, name: str) -> None:
    pack, known = packed(root, tmp_path, name), SETS[name]
    np.testing.assert_allclose(pack.images, expected[f"{name}/images"], rtol=1e-6)
    np.testing.assert_array_equal(pack.labels, expected[f"{name}/labels"])
    assert pack.bands == known.bands and len(pack.bands) == pack.images.shape[1]
    assert (pack.label_kind, pack.unit, len(pack.classes)) == (known.kind, known.unit, known.classes)
    assert pack.images.dtype == known.dtype
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {"fit": [0, 1], "select": [2], "report": [3]}
    assert pack.partitions["0.50x_train"].tolist() == [0]


@pytest.mark.parametrize(
    "name", ["m-eurosat", "m-so2sat", "m-forestnet", "m-bigearthnet", "m-cashew-plant", "m-labels"]
)
def test_red_green_and_blue_are_found_by_name_among_any_number_of_bands(
    root: Path, expected: Mapping[str, np.ndarray], tmp_path: Path, name: str
) -> None:
    pack = packed(root, tmp_path, name)
    places = select(pack.bands, SETS[name].rgb)
    np.testing.assert_allclose(pack.images[:, places], expected[f"{name}/rgb"], rtol=1e-6)


def test_ten_bands_are_found_among_thirteen_twelve_and_eighteen(root: Path, tmp_path: Path) -> None:
    places = {
        name: select(packed(root, tmp_path, name).bands, BAND_SETS["s2_10"])
        for name in ("m-eurosat", "m-bigearthnet", "m-so2sat")
    }
    assert places["m-eurosat"] == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    assert places["m-bigearthnet"] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert places["m-so2sat"] == [1, 3, 5, 7, 9, 11, 13, 15, 16, 17]
    with pytest.raises(UserError, match="lack band B10; they have B01"):
        select(packed(root, tmp_path, "m-bigearthnet").bands, S2)


def test_statistics_of_the_library_are_those_of_the_pack(
    root: Path, expected: Mapping[str, np.ndarray], tmp_path: Path
) -> None:
    """The library takes all splits together; band_stats.json is what it wrote."""
    pack = packed(root, tmp_path, "m-eurosat")
    pixels = np.asarray(pack.images, dtype=np.float64)
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), expected["m-eurosat/mean"], rtol=1e-6)
    np.testing.assert_allclose(pixels.std((0, 2, 3)), expected["m-eurosat/std"], rtol=1e-6)
    stored = json.loads((find_data_set(Places(root, tmp_path), "m-eurosat") / "band_stats.json").read_text())
    assert len(stored) == 14 and {"02 - Blue", "label"} <= set(stored)


def test_every_partition_is_a_smaller_fit(root: Path, tmp_path: Path) -> None:
    found = packed(root, tmp_path, "m-eurosat").partitions
    assert list(found) == [f"{share}x_train" for share in ("0.01", "0.02", "0.05", "0.10", "0.20", "0.50", "1.00")]
    assert found["0.01x_train"].tolist() == [0] and found["1.00x_train"].tolist() == [0, 1]


def test_eurosat_published_and_corrected(root: Path, tmp_path: Path) -> None:
    """As published, 8A has the mean of water vapour, 09 of cirrus, 10 and 11 of the infrared, and 12 is 8A."""
    published = packed(root, tmp_path, "m-eurosat")
    corrected = packed(root, tmp_path, "m-eurosat", band_labels="corrected")
    means = {pack.band_labels: dict(zip(pack.bands, pack.mean, strict=True)) for pack in (published, corrected)}
    for name, mean in (("B8A", 2600), ("B09", 732), ("B10", 12), ("B11", 1821), ("B12", 1119)):
        assert means["corrected"][name] == pytest.approx(mean, rel=0.15)
    for name, mean in (("B8A", 732), ("B09", 12), ("B10", 1821), ("B11", 1119), ("B12", 2600)):
        assert means["published"][name] == pytest.approx(mean, rel=0.15)
    rows = np.arange(4)
    assert (
        "look as if they were in another order" in doubts_about_order("x", published.bands, published.images, rows)[0]
    )
    assert doubts_about_order("x", corrected.bands, corrected.images, rows) == ()
    assert published.notes == corrected.notes == () and published.content != corrected.content


def test_brick_kiln_published_and_corrected(root: Path, tmp_path: Path) -> None:
    """Ten real bands, the last three an 8-bit rendering that is left out."""
    published = packed(root, tmp_path, "m-brick-kiln")
    corrected = packed(root, tmp_path, "m-brick-kiln", band_labels="corrected")
    assert corrected.bands == ("B01", "B02", "B03", "B04", "B05", "B07", "B8A", "B08", "B11", "B12")
    assert dict(zip(corrected.bands, corrected.mean, strict=True))["B8A"] == pytest.approx(2600, rel=0.15)
    assert max(published.mean[10:]) < 255 < min(corrected.mean)
    assert doubts_about_order("x", published.bands, published.images, np.arange(4))
    assert doubts_about_order("x", corrected.bands, corrected.images, np.arange(4)) == ()


def test_the_eight_bit_sets_and_so2sat_say_their_scale(root: Path, tmp_path: Path) -> None:
    assert (
        packed(root, tmp_path, "m-SA-crop-type").unit == "uint8"
        and packed(root, tmp_path, "m-forestnet").unit == "uint8"
    )
    so2sat = packed(root, tmp_path, "m-so2sat")
    assert so2sat.unit == "reflectance" and len(so2sat.bands) == 18 and so2sat.images.max() < 2.8
    assert packed(root, tmp_path, "m-cashew-plant").unit == "dn"


def test_a_class_that_is_never_seen_keeps_its_number(root: Path, tmp_path: Path) -> None:
    pack = packed(root, tmp_path, "m-cashew-plant")
    assert pack.labels is not None and pack.labels.min() == 1 and pack.labels.max() == 6
    assert pack.classes == tuple("0123456") and pack.ignore == 255


def test_coarse_bands_are_on_the_grid_of_the_finest(root: Path, tmp_path: Path) -> None:
    pack = packed(root, tmp_path, "m-classes")
    assert pack.images.shape == (4, 4, 8, 8) and len(np.unique(pack.images[0, 2])) > 16
    assert packed(root, tmp_path, "m-bigearthnet").images.shape == (4, 12, 6, 6)


def test_the_package_that_it_was_before_is_read_too(root: Path, tmp_path: Path) -> None:
    folder = find_data_set(Places(root, tmp_path), "m-old")
    assert b"ccb.io.dataset" in (folder / "task_specs.pkl").read_bytes()
    assert b"geobench" not in (folder / "task_specs.pkl").read_bytes() + (folder / "id_0.hdf5").read_bytes()
    assert read_specifications(folder).names == ("B02", "B03", "B04")


def test_time_series_are_refused_by_name(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"m-series/id_0.hdf5: band '02 - Blue' at 2 dates; time series are not read"):
        packed(root, tmp_path, "m-series")

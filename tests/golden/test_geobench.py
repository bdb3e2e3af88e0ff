"""Our reader against files that the real `geobench` library wrote, and against what it reads from them itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.geobench import pack_data_set
from deo_bench.data.geobench_files import read_specifications

FOLDER = Path(__file__).parent / "geobench"
KINDS = {"m-classes": "single", "m-labels": "multi", "m-maps": "segmentation"}
BANDS = {"m-classes": ("B02", "B04", "B05", "B8A"), "m-labels": ("R", "G", "B"), "m-maps": ("L2", "L3")}
UNITS = {"m-classes": "dn", "m-labels": "uint8", "m-maps": "reflectance"}
CLASSES = {
    "m-classes": ("field", "forest", "water"),
    "m-labels": ("road", "roof", "tree", "pool"),
    "m-maps": ("background", "cattle"),
}


def packed(name: str, cache: Path) -> Pack:
    unit = UNITS[name] if name == "m-maps" else None
    return pack_data_set(Places(FOLDER, cache), name, unit=unit)


@pytest.mark.parametrize("name", KINDS)
def test_read_alike(name: str, tmp_path: Path) -> None:
    pack = packed(name, tmp_path)
    with np.load(FOLDER / "expected.npz") as expected:
        images, labels = expected[f"{name}/images"], expected[f"{name}/labels"]
    np.testing.assert_allclose(pack.images, images, rtol=1e-6)
    np.testing.assert_array_equal(pack.labels, labels)
    assert pack.label_kind == KINDS[name] and pack.classes == CLASSES[name]
    assert pack.bands == BANDS[name] and pack.unit == UNITS[name]
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {"fit": [0, 1], "select": [2], "report": [3]}
    assert pack.partitions["0.50x_train"].tolist() == [0]


def test_coarse_bands_are_on_the_grid_of_the_finest(tmp_path: Path) -> None:
    pack = packed("m-classes", tmp_path)
    assert pack.images.shape == (4, 4, 8, 8) and pack.images.dtype == np.int16
    assert len(np.unique(pack.images[0, 2])) > 16


def test_types_are_kept_and_doubles_become_singles(tmp_path: Path) -> None:
    assert packed("m-labels", tmp_path).images.dtype == np.uint8
    assert packed("m-maps", tmp_path).images.dtype == np.float32


def test_specifications_say_the_classes(tmp_path: Path) -> None:
    specs = read_specifications(FOLDER / "classification_v1.0" / "m-labels")
    assert specs.names == ("R", "G", "B") and specs.label_kind == "multi" and len(specs.classes) == 4

"""GEO-Bench-2's adapter against a stand-in of its library.

The stand-in has the interface that geobenchv2 0.9 documents (constructor, `classes`, samples, its `-1` and `2`), and no
code of it: these tests hold what the adapter asks for and makes of the answer, not how the library reads its files.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack, Places
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry
from deo_bench.tasks.geobench2 import GEOBENCH2, GeoBench2Task

COUNTS = {"train": 3, "validation": 2, "test": 2}


def pixels(split: str, index: int, name: str) -> np.ndarray:
    """A band [4, 4] of a sample, whole numbers of 8 bits."""
    return np.random.default_rng([*f"{split}{index}{name}".encode()]).integers(0, 256, (4, 4)).astype(np.float32)


class Library:
    """Stands in for `geobench_v2.datasets`; what was asked of it is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict[str, Any]] = []
        module = types.ModuleType("geobench_v2.datasets")
        package = types.ModuleType("geobench_v2")
        package.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec("geobench_v2", None)
        for path, of in {"geobench_v2": package, "geobench_v2.datasets": module}.items():
            monkeypatch.setitem(sys.modules, path, of)
        self.module = module

    def set(self, of: str, classes: tuple[str, ...], label: Callable[[str, int], dict[str, Any]]) -> None:
        """Give the module a class with these classes and labels."""
        library = self

        class Set:
            def __init__(
                self, root: str, split: str, band_order: Any, data_normalizer: Any, download: bool = False
            ) -> None:
                assert not download
                library.asked.append({"root": root, "split": split, "band_order": band_order})
                sys.stdout.write("Using provided pre-initialized normalizer instance\n")
                self.split, self.band_order, self.normalise = split, band_order, data_normalizer
                self.classes = classes

            def __len__(self) -> int:
                return COUNTS[self.split]

            def __getitem__(self, index: int) -> dict[str, Any]:
                orders = self.band_order if isinstance(self.band_order, dict) else {"": self.band_order}
                images = {
                    f"image_{sensor}" if sensor else "image": np.stack(
                        [pixels(self.split, index, name) for name in order]
                    )
                    for sensor, order in orders.items()
                }
                return {**self.normalise(images), **label(self.split, index)}

        setattr(self.module, of, Set)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    return Library(monkeypatch)


def packed(root: Path, name: str) -> Pack:
    task, places = GeoBench2Task(name), Places(root, root / "cache")
    (root / "geobench2").mkdir(exist_ok=True)
    (root / task.file).write_bytes(b"a file of the library's")
    pack = task.pack(places)
    assert task.label_kind(places) == pack.label_kind and task.bands(places) == pack.bands
    assert [len(pack.splits[role]) for role in ("fit", "select", "report")] == [3, 2, 2]
    return pack


def test_several_labels(tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    classes = tuple(f"class {number}" for number in range(19))
    ones = np.eye(19, dtype=np.float32)
    library.set("GeoBenchBENV2", classes, lambda split, index: {"label": ones[index] + ones[18]})
    pack = packed(tmp_path, "gb2-benv2")
    assert pack.classes == classes and pack.bands == BAND_SETS["s2_12"] and pack.unit == "dn"
    expected = [
        [pixels(split, index, band) for band in pack.bands] for split, count in COUNTS.items() for index in range(count)
    ]
    np.testing.assert_array_equal(pack.images, expected)
    assert pack.labels is not None and [np.flatnonzero(row).tolist() for row in pack.labels[:2]] == [[0, 18], [1, 18]]
    assert [asked["split"] for asked in library.asked] == ["train", "validation", "test"]
    assert library.asked[0]["band_order"] == {"s2": list(BAND_SETS["s2_12"])}
    assert capsys.readouterr().out == "", "what the library prints is not ours to say"


@pytest.mark.parametrize("by_name", [True, False])
def test_a_label_by_number_or_by_name(tmp_path: Path, library: Library, by_name: bool) -> None:
    classes = ("a", "b", "c")
    library.set("GeoBenchForestnet", classes, lambda split, index: {"label": classes[index] if by_name else index})
    pack = packed(tmp_path, "gb2-forestnet")
    assert pack.labels is not None and pack.labels.tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert pack.images.dtype == np.uint8 and pack.unit == "uint8" and pack.bands == BAND_SETS["hls_6"]


@pytest.mark.parametrize(
    ("name", "of", "none"), [("gb2-burn_scars", "GeoBenchBurnScars", 2), ("gb2-flair2", "GeoBenchFLAIR2", -1)]
)
def test_pixels_without_a_class_are_ignored(tmp_path: Path, library: Library, name: str, of: str, none: int) -> None:
    mask = np.array([[0, 1, none, 0]] * 4)
    library.set(of, ("first", "second"), lambda split, index: {"mask": mask})
    pack = packed(tmp_path, name)
    assert pack.ignore == 255 and pack.labels is not None
    np.testing.assert_array_equal(pack.labels[0, 0], [0, 1, 255, 0])


@pytest.mark.parametrize("name", sorted(GEOBENCH2))
def test_every_set_is_asked_for_bands_that_it_then_has(tmp_path: Path, library: Library, name: str) -> None:
    facts = GEOBENCH2[name]
    label: dict[str, dict[str, Any]] = {
        "single": {"label": 1}, "multi": {"label": np.array([1, 0])}, "segmentation": {"mask": np.eye(4, dtype=int)}
    }  # fmt: skip
    library.set(facts["of"], ("no", "yes"), lambda split, index: label[facts["labels"]])
    pack = packed(tmp_path, name)
    order = library.asked[0]["band_order"]
    names = order[facts["modality"]] if facts["modality"] else order
    np.testing.assert_array_equal(pack.images[0], [pixels("train", 0, band) for band in names])
    assert len(set(pack.bands)) == len(pack.bands) and pack.label_kind == facts["labels"]


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deo_bench.tasks.geobench2.find_spec", lambda name: None)
    told = r"task gb2-so2sat: needs geobenchv2, which is not installed; pip install geobenchv2"
    with pytest.raises(MissingInput, match=told):
        packed(tmp_path, "gb2-so2sat")


def test_without_the_files(tmp_path: Path) -> None:
    task = Registry().build("task", "gb2-so2sat")
    with pytest.raises(
        MissingInput, match=r"geobench_so2sat.tortilla is not there.*deo-bench data download gb2-so2sat"
    ):
        task.pack(Places(tmp_path, tmp_path / "cache"))


def test_what_the_library_raises_is_one_line(tmp_path: Path, library: Library) -> None:
    def torn(split: str, index: int) -> dict[str, Any]:
        raise RuntimeError("HDF5\nerror")

    library.set("GeoBenchSo2Sat", ("a",), torn)
    with pytest.raises(UserError, match=r"geobenchv2's GeoBenchSo2Sat, .*geobench2: RuntimeError: HDF5 error"):
        packed(tmp_path, "gb2-so2sat")
    library.set(
        "GeoBenchBENV2", ("a",), lambda split, index: {"image_s2": np.full((12, 4, 4), 0.5), "label": np.ones(1)}
    )
    with pytest.raises(UserError, match=r"gb2-benv2: pixels from 0.5 to 0.5 are no uint16"):
        packed(tmp_path, "gb2-benv2")


def test_downloads_are_held_against_the_librarys_sums(tmp_path: Path) -> None:
    for name in GEOBENCH2:
        task = GeoBench2Task(name)
        (download,) = task.downloads(Places(tmp_path, tmp_path / "cache"))
        assert download.to == task.file and download.url.endswith(f"/resolve/main/{Path(task.file).name}")
        assert len(download.sha256) == 64 and f"/datasets/aialliance/{name.removeprefix('gb2-')}/" in download.url


def test_bands_are_ours_in_the_librarys_order(tmp_path: Path, library: Library) -> None:
    library.set(
        "GeoBenchSpaceNet2", ("background", "no-building", "building"), lambda *_: {"mask": np.ones((4, 4), int)}
    )
    library.set("GeoBenchTreeSatAI", ("Abies",), lambda *_: {"label": np.ones(1)})
    for name, ours, its in (("gb2-spacenet2", "WV5", "red"), ("gb2-treesatai", "B08", "nir")):
        pack = packed(tmp_path, name)
        np.testing.assert_array_equal(pack.images[0, pack.bands.index(ours)], pixels("train", 0, its))

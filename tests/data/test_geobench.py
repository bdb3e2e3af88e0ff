"""Data sets in GEO-Bench's format: what our writer writes our reader reads, and what is damaged is named."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.data.geobench_bands import SPELLINGS, UNITS, corrected_names, published_name
from deo_bench.data.geobench_files import read_sample, read_specifications
from deo_bench.data.geobench_writer import Made, pickled, write_dataset
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


def rewritten(path: Path, **described: Any) -> None:
    """Replace entries of a sample's description."""
    with h5py.File(path, "a") as file:
        file.attrs["pickle"] = str(pickled({"bands_order": [key for key in file if key != "label"], **described}))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def undescribed(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs["pickle"]


def coded(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["pickle"] = str(pickle.dumps(os.system))


def band(put: Callable[[h5py.File, str], Any]) -> Callable[[Path], None]:
    """Puts something else where the blue band was."""

    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file["02 - Blue"]
            put(file, "02 - Blue")

    return change


def array(value: Any) -> Callable[[Path], None]:
    return band(lambda file, key: file.__setitem__(key, value))


def claimed(side: int, **how: Any) -> Callable[[Path], None]:
    return band(lambda file, key: file.create_dataset(key, (side, side), dtype="i2", **how))


def written_zeros(file: h5py.File, key: str) -> None:
    """Four gigabytes of zeros that are really there, in four megabytes."""
    stored = file.create_dataset(key, (40_000, 50_000), dtype="i2", chunks=(4000, 5000), compression="gzip")
    packed = zlib.compress(bytes(4000 * 5000 * 2))
    for row, column in itertools.product(range(10), range(10)):
        stored.id.write_direct_chunk((row * 4000, column * 5000), packed)


def virtual(file: h5py.File, key: str) -> None:
    layout = h5py.VirtualLayout((6, 6), "i2")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (6, 6))
    file.create_virtual_dataset(key, layout)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (cut, "truncated, or not an HDF5 file"),
    "empty": (lambda path: path.write_bytes(b""), "truncated, or not an HDF5 file"),
    "gone": (Path.unlink, "it is not there"),
    "label": (lambda path: rewritten(path, label=3), "its label is 3, expected a class from 0 to 2"),
    "code": (coded, "refused, it asks for posix.system"),
    "no description": (undescribed, "has no description"),
    "band": (band(lambda file, key: None), "'02 - Blue' is missing"),
    "nan": (array(np.full((6, 6), np.nan)), "36 of 216 pixels are NaN or infinite"),
    "shape": (array(np.zeros((3, 5), np.int16)), "does not fit the grid"),
    "planes": (array(np.zeros((6, 6, 2), np.int16)), "expected 1 plane"),
    "group": (band(lambda file, key: file.create_group(key)), "is no array"),
    "text": (array("text"), "refused"),
    "unwritten": (claimed(10**6), "claims 2000000000000 bytes and stores 0"),
    "made up": (claimed(10**6, chunks=(1000, 1000), compression="gzip"), "claims 2000000000000 bytes and stores 0"),
    "bomb": (band(written_zeros), "4000000000 bytes, more than a band has"),
    "external": (claimed(6, external=[("/etc/hostname", 0, 72)]), "points outside its file"),
    "virtual": (band(virtual), "points outside its file"),
    "link": (array(h5py.ExternalLink("other.hdf5", "/x")), "a link to elsewhere"),
}


def damage(folder: Path, what: str) -> str:
    """Damage the second sample; the words that the error must have."""
    change, said = DAMAGE[what]
    change(folder / f"{IDS[1]}.hdf5")
    return said


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_sample_is_named(tmp_path: Path, what: str) -> None:
    folder = written(tmp_path / "data", kind="single")
    said = damage(folder, what)
    with pytest.raises(UserError, match=said) as error:
        pack_data_set(places(tmp_path), "m-own", unit="dn")
    assert f"{IDS[1]}.hdf5" in str(error.value) and "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "cache" / "packs").iterdir() if path.suffix != ".lock"]


def test_damaged_samples_are_skipped_and_counted_if_asked(tmp_path: Path) -> None:
    damage(written(tmp_path / "data"), "truncated")
    with pytest.warns(UserWarning, match="1 of 8 samples skipped; the first: .*id_001"):
        pack = pack_data_set(places(tmp_path), "m-own", unreadable="skip")
    np.testing.assert_array_equal(pack.images, np.delete(pixels(6), 1, axis=0))
    assert pack.splits["fit"].tolist() == [0, 1, 2, 3] and pack.partitions["0.40x_train"].tolist() == [1]


def test_a_sample_of_another_size_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    other = written(tmp_path / "elsewhere", images=pixels(6, size=8))
    shutil.copy(other / f"{IDS[2]}.hdf5", folder)
    with pytest.raises(UserError, match=f"{IDS[2]}.hdf5: .*the samples before it"):
        pack_data_set(places(tmp_path), "m-own")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not a readable partition"),
        (b"[" * 100_000, "not a readable partition"),
        (b"[]", "split 'train' must be"),
        (b'{"train": ["../../etc/passwd"], "valid": [], "test": []}', "split 'train' must be"),
        (b'{"train": ["id_000", "id_000"], "valid": [], "test": []}', "names a sample twice"),
        (b'{"train": [], "valid": [], "test": []}', "no samples to read"),
        (b'{"train": [3], "valid": [], "test": []}', "split 'train' must be"),
    ],
)
def test_wrong_partitions_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    folder = written(tmp_path / "data", partitions={})
    (folder / "default_partition.json").write_bytes(content)
    with pytest.raises(UserError, match=said):
        pack_data_set(places(tmp_path), "m-own")


def test_a_partition_that_trains_on_the_test_split_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "data", partitions={"0.10x_train": {"train": [IDS[0], IDS[7]], "valid": [], "test": []}})
    with pytest.raises(UserError, match="0.10x_train_partition.json: its train split"):
        pack_data_set(places(tmp_path), "m-own")


def test_without_a_default_partition_the_others_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    (folder / "default_partition.json").unlink()
    with pytest.raises(UserError, match="no default_partition.json; there are 0.40x_train"):
        pack_data_set(places(tmp_path), "m-own")


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (b"junk", "cannot be read"),
        (pickle.dumps(os.system), "refused, it asks for posix.system"),
        (pickle.dumps({}), "describes no task"),
        (
            pickled(Made("geobench.task", "T", label_type=Made("geobench.label", "Detection"))),
            "'Detection' are not read",
        ),
        (
            pickled(
                Made(
                    "geobench.task",
                    "T",
                    label_type=Made("geobench.label", "Classification", n_classes=2),
                    bands_info=[],
                )
            ),
            "lists no bands",
        ),
        (
            pickled(
                Made(
                    "geobench.task",
                    "T",
                    label_type=Made("geobench.label", "Classification", n_classes=2, _class_names=["a"]),
                    bands_info=[Made("geobench.dataset", "Sentinel2", name="02 - Blue")],
                )
            ),
            "2 classes, but 1 names",
        ),
    ],
)
def test_wrong_specifications_are_named(tmp_path: Path, specs: bytes, said: str) -> None:
    folder = written(tmp_path / "data")
    (folder / "task_specs.pkl").write_bytes(specs)
    with pytest.raises(UserError, match=f"task_specs.pkl: .*{said}"):
        pack_data_set(places(tmp_path), "m-own")


def test_old_specifications_of_the_ccb_package_are_read(tmp_path: Path) -> None:
    bands = [Made("ccb.io.dataset", "Sentinel2", name="04 - Red")]
    kind = Made("ccb.io.label", "Classification", n_classes=2)
    specs = Made("ccb.io.task", "TaskSpecifications", label_type=kind, bands_info=bands, eval_loss=Made("ccb.x", "Y"))
    (tmp_path / "task_specs.pkl").write_bytes(pickled(specs))
    read = read_specifications(tmp_path)
    assert read.names == ("B04",) and read.classes == ("0", "1") and read.label_kind == "single"


def test_dated_bands_are_read_and_time_series_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "data", bands=("B02",), images=pixels(1))
    specs, path = read_specifications(folder), folder / f"{IDS[0]}.hdf5"
    with h5py.File(path, "a") as file:
        file.move("02 - Blue", "02 - Blue_2020-05-17")
    rewritten(path, label=1)
    image, found = read_sample(path, specs, [True])
    assert found == 1 and (image == pixels(1)[0]).all()
    with h5py.File(path, "a") as file:
        file["02 - Blue_2020-06-17"] = pixels(1)[0, 0]
    rewritten(path, label=1)
    with pytest.raises(UserError, match="at 2 dates"):
        read_sample(path, specs, [True])


def test_planes_of_a_hyperspectral_band_are_numbered(tmp_path: Path) -> None:
    wide = Made("geobench.dataset", "HyperSpectralBands", name="Neon", n_bands=3)
    kind = Made("geobench.label", "Classification", n_classes=2)
    specs = Made("geobench.task", "T", label_type=kind, bands_info=[wide])
    (tmp_path / "task_specs.pkl").write_bytes(pickled(specs))
    cube = np.random.default_rng(0).integers(0, 9, (4, 4, 3)).astype("int16")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["Neon"] = cube
        file.attrs["pickle"] = str(pickled({"label": 1, "bands_order": ["Neon"]}))
    read = read_specifications(tmp_path)
    assert read.names == ("Neon 000", "Neon 001", "Neon 002")
    image, _ = read_sample(tmp_path / "a.hdf5", read, [True, False, True])
    np.testing.assert_array_equal(image, np.moveaxis(cube, 2, 0)[[0, 2]])


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

"""The files of a data set: what is damaged, made up or malicious is named, and nothing of it runs or fills memory."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.geobench import pack_data_set
from deo_bench.data.geobench_files import read_sample, read_specifications
from deo_bench.data.geobench_writer import write_dataset
from deo_bench.data.pickle_writer import Made, pickled
from deo_bench.errors import UserError

IDS = [f"id_{number:03d}" for number in range(8)]
PARTITION = {"train": IDS[:5], "valid": IDS[5:6], "test": IDS[6:]}


def pixels(bands: int, size: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 200, (len(IDS), bands, size, size)).astype("int16")


def written(root: Path, **changed: Any) -> Path:
    bands = changed.pop("bands", BAND_SETS["hls_6"])
    images = changed.pop("images", pixels(len(bands)))
    given: dict[str, Any] = {
        "dataset_name": "m-own",
        "benchmark_name": "own_v1.0",
        "bands": bands,
        "label_type": "single",
        "class_names": ("field", "forest", "water"),
        "samples": ((name, images[row], row % 3) for row, name in enumerate(IDS)),
        "partition": PARTITION,
        "partitions": {"0.40x_train": {**PARTITION, "train": IDS[1:3]}},
        **changed,
    }
    return write_dataset(root / "own_v1.0" / "m-own", **given)


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data", tmp_path / "cache")


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
    folder = written(tmp_path / "data")
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


def test_what_was_skipped_is_said_again_and_all_of_it_is_an_error(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    other = written(tmp_path / "elsewhere", images=pixels(6, size=8))
    shutil.copy(other / f"{IDS[4]}.hdf5", folder)
    damage(folder, "nan")
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"2 of 8 samples skipped; .*id_001.*id_004.hdf5: .6, 8, 8., most are .6, 6"
        ):
            pack = pack_data_set(places(tmp_path), "m-own", unit="dn", unreadable="skip")
    np.testing.assert_array_equal(pack.images, np.delete(pixels(6), [1, 4], axis=0))
    for name in IDS:
        cut(folder / f"{name}.hdf5")
    with pytest.raises(UserError, match="none of 8 samples can be read; the first: .*id_000"):
        pack_data_set(places(tmp_path), "m-own", unreadable="skip")


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

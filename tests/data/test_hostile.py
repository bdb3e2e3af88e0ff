"""Files by strangers are refused in one line, run nothing, and take no memory: measured in a child with a limit."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.lib import format as npy

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.geobench import pack_data_set
from deo_bench.data.geobench_writer import write_dataset
from deo_bench.data.hdf5 import Hdf5Images
from deo_bench.data.npz import NpzImages, pack_npz
from deo_bench.errors import UserError

HEADROOM = 150 << 20
"""Bytes that the child may take beyond what the test already has; every bomb here is larger."""

CANARY = "canary"


class Evil:
    """Writes the canary when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {CANARY}",)


def _child(read: Callable[[], Any], out: Any, headroom: int = HEADROOM) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + headroom, pages + headroom))
    try:
        read()
        out.put("read")
    except UserError as error:
        out.put(f"refused: {error}")
    except BaseException as error:
        out.put(f"{type(error).__name__}: {error}")


def refusal(read: Callable[[], Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a file is refused with, by a child of little memory; nothing may have run meanwhile."""
    monkeypatch.chdir(folder)
    context = get_context("fork")
    out = context.Queue()
    child = context.Process(target=_child, args=(read, out), daemon=True)
    child.start()
    said = str(out.get(timeout=60))
    child.join()
    assert not list(folder.rglob(CANARY)), "code in a file was run"
    assert said.startswith("refused: ") and "\n" not in said, said
    return said.removeprefix("refused: ")


def deo(folder: Path, **options: Any) -> Callable[[], Any]:
    given = {"path": "bad.h5", "bands": ["s2_13"], "unit": "dn", **options}
    return lambda: Hdf5Images(**given).pack(Places(folder, folder / "cache"))


def empty_chunks(file: h5py.File) -> None:
    file.create_dataset("images", (10**6, 13, 512, 512), "u2", chunks=(1, 13, 64, 64), compression="gzip")


def never_written(file: h5py.File) -> None:
    file.create_dataset("images", (10**6, 13, 512, 512), "u2")


def huge_chunk(file: h5py.File) -> None:
    """One chunk of 3 GB of zeros in 3 MB."""
    shape = (1, 13, 11_000, 11_000)
    stored = file.create_dataset("images", shape, "u2", chunks=shape, compression="gzip")
    stored.id.write_direct_chunk((0, 0, 0, 0), deflated_zeros(int(np.prod(shape)) * 2))


def deflated_zeros(size: int) -> bytes:
    """So many zeros as zlib packs them: one block again and again, and the sum of nothing but zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = packer.compress(bytes(size % (1 << 20))) + packer.flush()
    return b"\x78\xda" + block * (size >> 20) + rest + struct.pack(">I", (size % 65521 << 16) | 1)


def few_chunks(file: h5py.File) -> None:
    """A hundred thousand images, of which one is there."""
    stored = file.create_dataset("images", (100_000, 13, 64, 64), "u2", chunks=(1, 13, 64, 64), compression="gzip")
    stored[7] = 1


def huge_image(file: h5py.File) -> None:
    """Images of 1.3 GB each that are really there, as zeros."""
    stored = file.create_dataset("images", (2, 13, 7000, 7000), "u2", chunks=(1, 1, 7000, 7000), compression="gzip")
    packed = zlib.compress(bytes(7000 * 7000 * 2), 9)
    for row in range(2):
        for band in range(13):
            stored.id.write_direct_chunk((row, band, 0, 0), packed)


def outside(file: h5py.File) -> None:
    file.create_dataset("images", (1, 13, 1, 1), "u1", external=[("/etc/hostname", 0, 13)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 13, 4, 4), "u2")
    layout[:] = h5py.VirtualSource("secret.h5", "images", (2, 13, 4, 4))
    file.create_virtual_dataset("images", layout)


def linked(file: h5py.File) -> None:
    file["images"] = h5py.ExternalLink("secret.h5", "/images")


def soft(file: h5py.File) -> None:
    file["real"] = np.zeros((2, 13, 4, 4), "u2")
    file["images"] = h5py.SoftLink("/real")


def fine_elsewhere(file: h5py.File) -> None:
    file["images"] = np.zeros((2, 13, 4, 4), "u2")
    file["fine"] = h5py.ExternalLink("secret.h5", "/images")


def objects(file: h5py.File) -> None:
    file.create_dataset("images", (2, 13, 4, 4), h5py.string_dtype())


def group(file: h5py.File) -> None:
    file.create_group("images")["x"] = 1


HDF5 = {
    empty_chunks: "claims 6815744000000 bytes and stores 0",
    never_written: "claims 6815744000000 bytes and stores 0",
    few_chunks: "claims 10649600000 bytes and stores",
    huge_chunk: "has chunks of 3146000000 bytes",
    huge_image: "one image is 1274000000 bytes",
    outside: "points outside its file",
    virtual: "points outside its file",
    linked: "missing, or a link to elsewhere",
    soft: "missing, or a link to elsewhere",
    fine_elsewhere: "'fine' is missing, or a link to elsewhere",
    objects: "holds object",
    group: "'images' is no array",
}


@pytest.mark.parametrize("how", HDF5, ids=lambda how: how.__name__)
def test_an_hdf5_file_of_a_stranger(tmp_path: Path, monkeypatch: Any, how: Callable[[h5py.File], None]) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["images"] = np.ones((2, 13, 4, 4), "u2")
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        how(file)
    assert (tmp_path / "bad.h5").stat().st_size < 5e6
    said = refusal(deo(tmp_path), tmp_path, monkeypatch)
    assert "bad.h5" in said and HDF5[how] in said


def test_an_attribute_that_is_no_text(tmp_path: Path, monkeypatch: Any) -> None:
    for values in (np.zeros(3), np.zeros(9000, "S7")):
        with h5py.File(tmp_path / "bad.h5", "w") as file:
            file["images"] = np.zeros((2, 13, 4, 4), "u2")
            file["images"].attrs["bands"] = values
        said = refusal(deo(tmp_path, bands=None), tmp_path, monkeypatch)
        assert "bad.h5" in said and ("attribute 'bands'" in said or "nothing says which band is which" in said)


def test_packing_much_takes_little_memory(tmp_path: Path, monkeypatch: Any) -> None:
    """600 MB of zeros are packed within the child's limit, in whatever chunks they come."""
    context = get_context("fork")
    monkeypatch.chdir(tmp_path)
    for chunks in ((40, 13, 64, 64), (1400, 1, 16, 16)):
        with h5py.File(tmp_path / "bad.h5", "w") as file:
            stored = file.create_dataset("images", (5640, 13, 64, 64), "u2", chunks=chunks, compression="gzip")
            packed = zlib.compress(bytes(int(np.prod(chunks)) * 2))
            for index in np.ndindex(*(-(-side // length) for side, length in zip(stored.shape, chunks, strict=True))):
                stored.id.write_direct_chunk(tuple(np.multiply(index, chunks)), packed)
        out = context.Queue()
        child = context.Process(target=_child, args=(_digest(tmp_path), out, 400 << 20), daemon=True)
        child.start()
        assert out.get(timeout=100) == "read"
        child.join()


def _digest(folder: Path) -> Callable[[], Any]:
    def read() -> None:
        from deo_bench.data.hdf5 import read_hdf5

        file = read_hdf5(folder / "bad.h5", bands=["s2_13"], unit="dn")
        assert sum(not isinstance(found, str) for _, found in file.images(np.arange(file.shape[0]))) == 5640

    return read


def npz(path: Path, **arrays: Any) -> Path:
    given = {
        "images": np.zeros((6, 3, 4, 4), np.uint16),
        "bands": np.array(BAND_SETS["rgb"]),
        "labels": np.arange(6) % 2,
        "split": np.array([0, 0, 1, 1, 2, 2]),
        **arrays,
    }
    np.savez(path, allow_pickle=True, **given)
    return path


@pytest.mark.parametrize("name", ["images", "labels", "split", "bands", "unit", "fine"])
def test_objects_in_an_npz_file(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    npz(tmp_path / "bad.npz", **{name: np.array([Evil()] * 6, dtype=object)})
    places = Places(tmp_path, tmp_path / "cache")
    said = refusal(lambda: NpzImages(paths=["bad.npz"], unit="dn").pack(places), tmp_path, monkeypatch)
    assert "bad.npz" in said and "holds Python objects, which are never loaded" in said


def zipped(path: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
    """The usual file with one array of zeros that is really there, packed a thousandfold."""
    npz(path)
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    kept = {}
    with zipfile.ZipFile(path) as file:
        kept = {info.filename: file.read(info) for info in file.infolist() if info.filename != f"{name}.npy"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in kept.items():
            file.writestr(member, content)
        with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
            stream.write(header.getvalue())
            left, block = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize, bytes(1 << 24)
            while left > 0:
                left -= stream.write(block[:left])


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("images", (1, 3, 8000, 8000), "one image of (3, 8000, 8000) is more than"),
        ("labels", (6, 30_000_000), "too large here"),
        ("bands", (180_000_000,), "too large here"),
        ("fine", (6, 3, 4000, 2000), "must be 2, 3, 4"),
        ("fine", (6, 3, 6000, 6000), "one image is more than"),
    ],
)
def test_an_npz_bomb(tmp_path: Path, monkeypatch: Any, name: str, shape: tuple[int, ...], said: str) -> None:
    zipped(tmp_path / "bad.npz", name, shape, "|u1")
    monkeypatch.setattr("deo_bench.data.npz.LARGEST_IMAGE", 100 << 20)
    places = Places(tmp_path, tmp_path / "cache")
    found = refusal(lambda: NpzImages(paths=["bad.npz"], unit="dn").pack(places), tmp_path, monkeypatch)
    assert "bad.npz" in found and said in found


def data_set(root: Path) -> Path:
    images = np.random.default_rng(0).integers(1, 99, (4, 3, 4, 4)).astype("int16")
    return write_dataset(
        root / "own_v1.0" / "m-own",
        dataset_name="m-own",
        benchmark_name="own_v1.0",
        bands=BAND_SETS["rgb"],
        label_type="single",
        class_names=("a", "b"),
        samples=((f"id_{row}", image, row % 2) for row, image in enumerate(images)),
        partition={"train": ["id_0", "id_1"], "valid": ["id_2"], "test": ["id_3"]},
    )


def code_in_a_sample(folder: Path) -> None:
    with h5py.File(folder / "id_1.hdf5", "a") as file:
        file.attrs["pickle"] = str(pickle.dumps({"label": Evil(), "bands_order": ["04 - Red"]}))


def code_as_text(folder: Path) -> None:
    with h5py.File(folder / "id_1.hdf5", "a") as file:
        file.attrs["pickle"] = f"__import__('os').system('touch {CANARY}')"


def code_in_the_specifications(folder: Path) -> None:
    (folder / "task_specs.pkl").write_bytes(pickle.dumps({"label_type": Evil()}))


def band_of_zeros(folder: Path) -> None:
    with h5py.File(folder / "id_1.hdf5", "a") as file:
        del file["04 - Red"]
        stored = file.create_dataset("04 - Red", (40_000, 50_000), "i2", chunks=(4000, 5000), compression="gzip")
        packed = zlib.compress(bytes(4000 * 5000 * 2))
        for row, column in np.ndindex(10, 10):
            stored.id.write_direct_chunk((row * 4000, column * 5000), packed)


def pickle_bomb(folder: Path) -> None:
    """One long text, asked for a hundred thousand times."""
    text = b"X" + struct.pack("<I", 50_000) + b"x" * 50_000
    bomb = b"c_codecs\nencode\np0\n0" + text + b"p1\n0(" + b"g0\n(g1\ntR" * 100_000 + b"l."
    (folder / "task_specs.pkl").write_bytes(bomb)


def endless_partition(folder: Path) -> None:
    (folder / "default_partition.json").write_text(
        json.dumps({"train": ["../../../etc/passwd"], "valid": [], "test": []})
    )


GEOBENCH = {
    code_in_a_sample: "id_1.hdf5: refused, it asks for posix.system",
    code_as_text: "id_1.hdf5: its description cannot be read",
    code_in_the_specifications: "task_specs.pkl: refused, it asks for posix.system",
    band_of_zeros: "4000000000 bytes, more than a band has",
    pickle_bomb: "task_specs.pkl: refused, it asks for far more memory",
    endless_partition: "default_partition.json: split 'train' must be",
}


@pytest.mark.parametrize("how", GEOBENCH, ids=lambda how: how.__name__)
def test_a_data_set_of_a_stranger(tmp_path: Path, monkeypatch: Any, how: Callable[[Path], None]) -> None:
    how(data_set(tmp_path))
    places = Places(tmp_path, tmp_path / "cache")
    assert GEOBENCH[how] in refusal(lambda: pack_data_set(places, "m-own"), tmp_path, monkeypatch)


def test_a_task_of_objects(tmp_path: Path, monkeypatch: Any) -> None:
    npz(tmp_path / "bad.npz", labels=np.array([Evil()] * 6, dtype=object))
    places = Places(tmp_path, tmp_path / "cache")
    said = refusal(lambda: pack_npz(places, "bad.npz", unit="dn"), tmp_path, monkeypatch)
    assert "array 'labels': holds Python objects" in said


def test_the_canary_sings(tmp_path: Path, monkeypatch: Any) -> None:
    """Were such a pickle loaded, the tests above would see it; and a child that takes too much is no refusal."""
    with pytest.raises(AssertionError, match="code in a file was run"):
        refusal(lambda: pickle.loads(pickle.dumps(Evil())), tmp_path, monkeypatch)
    (tmp_path / CANARY).unlink()
    with pytest.raises(AssertionError, match="Memory"):
        refusal(lambda: np.ones(4 * HEADROOM, np.uint8).sum(), tmp_path, monkeypatch)
    shutil.rmtree(tmp_path)

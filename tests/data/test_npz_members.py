"""The arrays inside `.npz` files: claims that lie, damage and other compressions are refused by name."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from deo_bench.data.npz import pack_npz, read_npz
from deo_bench.errors import UserError
from tests.data.test_npz import images, places, saved


def member(shape: tuple[int, ...], dtype: str = "<u2", body: bytes = b"") -> bytes:
    """An `.npy` that claims a shape."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + body


def with_member(tmp_path: Path, name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> Path:
    """The usual file with one array replaced by other bytes."""
    path, source = tmp_path / "bad.npz", saved(tmp_path)
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(path, "w", how) as made:
        for info in given.infolist():
            made.writestr(info.filename, content if info.filename == f"{name}.npy" else given.read(info))
    return path


@pytest.mark.parametrize("name", ["images", "labels", "bands", "split"])
@pytest.mark.parametrize("shape", [(10**9, 3, 4, 4), (10**30,), (0,), (-5,)])
def test_a_header_that_claims_too_much_is_refused(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    path = with_member(tmp_path, name, member(shape, body=b"abcd"))
    with pytest.raises(UserError, match=f"bad.npz, array '{name}'"):
        read_npz(path)


def test_a_size_that_no_compression_gives_is_refused(tmp_path: Path) -> None:
    path = with_member(tmp_path, "images", member((9, 3, 4, 4), body=images().tobytes()))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02")
    while b"images" not in raw[at + 46 : at + 60]:
        at = raw.index(b"PK\x01\x02", at + 4)
    raw[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(raw)
    with pytest.raises(UserError, match="array 'images': claims 4294967294 bytes of [0-9]+; made up"):
        read_npz(path)


def test_an_array_larger_than_memory_should_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    monkeypatch.setattr("deo_bench.data.npz.LARGEST_IMAGE", 95)
    with pytest.raises(UserError, match=r"one image of \(3, 4, 4\) is more than 95 bytes"):
        read_npz(tmp_path / "set.npz")
    path = with_member(tmp_path, "labels", member((9, 200_000), "|u1", bytes(9 * 200_000)))
    monkeypatch.setattr("deo_bench.data.npz.LARGEST_IMAGE", 96)
    with pytest.raises(UserError, match="array 'labels': uint8 of .* is too large here, more than 1048576 bytes"):
        read_npz(path)


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    path = with_member(tmp_path, "labels", member((9,), "|u1", bytes(9)), zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="a compression that numpy does not write"):
        read_npz(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(UserError, match=r"set.npz: truncated, or no .npz file"):
        pack_npz(places(tmp_path), "set.npz")


def test_a_wrong_sum_is_seen(tmp_path: Path) -> None:
    path = saved(tmp_path, packed=False)
    raw = bytearray(path.read_bytes())
    at = raw.index(images()[4].tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="array 'images'.*: damaged: Bad CRC"):
        pack_npz(places(tmp_path), "set.npz")


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["images", "labels", "bands", "split", "unit", "classes"]),
    header=st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda text: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text,
            st.one_of(
                st.binary(max_size=80),
                st.builds(
                    lambda descr, order, shape: repr({"descr": descr, "fortran_order": order, "shape": shape}).encode(),
                    st.sampled_from(["<u2", "|O", "<f8", "|V8", "<U9999999", "|S0", [("a", "<i2")], "junk", None]),
                    st.booleans(),
                    st.one_of(st.tuples(st.integers(-3, 2**70)), st.just((9, 3, 4, 4)), st.none()),
                ),
            ),
        ),
    ),
)
def test_any_header_is_read_or_refused(tmp_path_factory: Any, name: str, header: bytes) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        path = with_member(folder, name, header)
        try:
            pack_npz(places(folder), str(path))
        except UserError as error:
            assert "bad.npz" in str(error)
    finally:
        shutil.rmtree(folder)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_wrong_byte_is_a_pack_or_a_user_error(tmp_path_factory: Any, at: int, byte: int) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        path = saved(folder)
        raw = bytearray(path.read_bytes())
        raw[at % len(raw)] = byte
        path.write_bytes(raw)
        try:
            pack_npz(places(folder), "set.npz")
        except UserError as error:
            assert "set.npz" in str(error) or "set" in str(error)
    finally:
        shutil.rmtree(folder)

"""Single images and label maps of users: the numbers that were written come back, and damage is said in one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deo_bench.data.image_files import read_image, read_label_map
from deo_bench.errors import UserError
from tests.data.test_tiff import saved, scene

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def test_a_picture_is_red_green_blue(tmp_path: Path) -> None:
    Image.fromarray(np.moveaxis(PIXELS, 0, -1)).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert found.bands == ("R", "G", "B")
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert read_image(tmp_path / "a.png", ("B08", "B04", "B03")).bands == ("B08", "B04", "B03")


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(PIXELS.astype(np.float64)))
    found = read_image(tmp_path / "a.npy", ("B02", "B03", "B04"))
    assert found.pixels.dtype == np.float32
    np.testing.assert_array_equal(found.pixels, PIXELS)
    np.savez(tmp_path / "b.npz", image=PIXELS, bands=np.array(["red", "02 - Blue", "NIR"]))
    assert read_image(tmp_path / "b.npz").bands == ("B04", "B02", "B08")


def test_missing_pixels_of_a_geotiff_become_0_and_are_counted(tmp_path: Path) -> None:
    pixels = scene(4, 5)
    pixels[1, 2, 3] = 65535
    pixels[:, 0, 0] = 65535
    found = read_image(saved(tmp_path / "a.tif", pixels, nodata=65535))
    np.testing.assert_array_equal(found.pixels, np.where((pixels == 65535).any(axis=0), 0, pixels))
    assert found.missing == 2 and found.bands == ("B02", "B03", "B04")


def test_nan_that_no_nodata_explains_is_refused(tmp_path: Path) -> None:
    pixels = scene(4, 5, kind="float32")
    pixels[0, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"a.tif: 1 of 60 pixels are NaN"):
        read_image(saved(tmp_path / "a.tif", pixels))
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(UserError, match=r"a.npy: 1 of 60 pixels are NaN"):
        read_image(tmp_path / "a.npy", ("R", "G", "B"))


def test_label_maps(tmp_path: Path) -> None:
    classes = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    Image.fromarray(classes).save(tmp_path / "grey.png")
    palette = Image.fromarray(classes, mode="P")
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(tmp_path / "palette.png")
    np.save(tmp_path / "a.npy", classes.astype(np.float32))
    np.savez(tmp_path / "b.npz", mask=classes[None])
    saved(tmp_path / "c.tif", classes[None], None)
    for name in ("grey.png", "palette.png", "a.npy", "b.npz", "c.tif"):
        np.testing.assert_array_equal(read_label_map(tmp_path / name), classes, err_msg=name)
    np.save(tmp_path / "a.npy", classes + 0.5)
    with pytest.raises(UserError, match=r"a.npy: is float64 of \(2, 3\), expected classes \[H, W\]"):
        read_label_map(tmp_path / "a.npy")


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 px in some bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def lying() -> bytes:
    """An `.npy` that ends before the last of its numbers."""
    stream = io.BytesIO()
    np.save(stream, PIXELS)
    return stream.getvalue()[:-1]


def picture(format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.moveaxis(np.tile(PIXELS, (1, 8, 8)), 0, -1)).save(stream, format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.png", b"", "truncated, or no PNG or JPEG"),
        ("a.png", picture("PNG")[:-40], "truncated, or no PNG or JPEG"),
        ("a.jpg", picture("JPEG")[:200], "truncated, or no PNG or JPEG"),
        ("a.png", picture("GIF"), "truncated, or no PNG or JPEG"),
        ("a.png", bomb(), "more than|exceeds limit"),
        ("a.npy", b"\x93NUMPY\x01\x00", "not a readable array"),
        ("a.npy", lying(), r"claims 60 bytes \(uint8 of \(3, 4, 5\)\), has 59"),
        ("a.npz", b"PK\x03\x04", "truncated, or no .npz file"),
        ("a.tif", b"II*\x00", "truncated, or no GeoTIFF"),
        ("a.gif", picture("GIF"), "is no image that is read here"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (lambda path: read_image(path, ("R", "G", "B")), read_label_map):
        with pytest.raises(UserError, match=rf"{name}.*({told})") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_bands_that_nobody_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    with pytest.raises(UserError, match=r"a.npy: is \(3, 4, 5\) and has no bands named; say bands ="):
        read_image(tmp_path / "a.npy")
    with pytest.raises(UserError, match=r"has B02, B03 named"):
        read_image(tmp_path / "a.npy", ("B02", "B03"))
    np.savez(tmp_path / "b.npz", images=PIXELS)
    with pytest.raises(UserError, match=r"b.npz: has no array 'image', did you mean 'images'"):
        read_image(tmp_path / "b.npz")

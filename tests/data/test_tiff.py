"""Folders of GeoTIFF files: bands by name, patches without holes, damage named."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.tiff import FolderImages, read_scene
from deo_bench.errors import MissingInput, UserError

rasterio = pytest.importorskip("rasterio")
BANDS = ("B02", "B03", "B04")


def scene(height: int = 20, width: int = 30, bands: int = 3, kind: str = "uint16", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 3000, (bands, height, width)).astype(kind)


def saved(path: Path, pixels: np.ndarray, names: tuple[str, ...] | None = BANDS, **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "driver": "GTiff"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **shape, **profile) as file:
            file.write(pixels)
            if names:
                file.descriptions = names
    return path


def packed(tmp_path: Path, **options: Any) -> Pack:
    given = {"path": "tiles", "unit": "dn", "patch": 8, **options}
    return FolderImages(**given).pack(Places(tmp_path, tmp_path / "cache"))


def test_files_are_cut_into_whole_patches(tmp_path: Path) -> None:
    first, second = scene(), scene(seed=1)
    saved(tmp_path / "tiles" / "a.tif", first)
    saved(tmp_path / "tiles" / "deep" / "b.tiff", second[[2, 1, 0]], ("red", "03 - Green", "B02"))
    (tmp_path / "tiles" / "notes.txt").write_text("no image")
    pack = packed(tmp_path)
    assert pack.images.shape == (2 * 2 * 3, 3, 8, 8) and pack.bands == BANDS and pack.images.dtype == np.uint16
    assert pack.unit == "dn" and list(pack.splits) == ["fit"] and pack.name == "tiles"
    np.testing.assert_array_equal(pack.images[5], first[:, 8:16, 16:24])
    np.testing.assert_array_equal(pack.images[6], second[:, :8, :8])
    assert pack.groups is not None and pack.groups.tolist() == [0] * 6 + [1] * 6


def test_patches_may_overlap(tmp_path: Path) -> None:
    saved(tmp_path / "tiles" / "a.tif", scene())
    pack = packed(tmp_path, stride=4)
    assert len(pack) == 4 * 6
    np.testing.assert_array_equal(pack.images[7], scene()[:, 4:12, 4:12])


@pytest.mark.parametrize("how", ["file", "option", "nan"])
def test_patches_with_missing_pixels_are_dropped_and_counted(tmp_path: Path, how: str) -> None:
    pixels = scene(kind="float32" if how == "nan" else "uint16")
    pixels[1, 3, 3] = np.nan if how == "nan" else 0
    saved(tmp_path / "tiles" / "a.tif", pixels, nodata=0 if how == "file" else None)
    options = {"nodata": 0.0} if how == "option" else {}
    with pytest.warns(UserWarning, match="1 of 6 patches dropped for missing pixels"):
        pack = packed(tmp_path, **options)
    assert len(pack) == 5
    np.testing.assert_array_equal(pack.images[0], pixels[:, :8, 8:16])


def test_a_few_missing_pixels_may_be_allowed(tmp_path: Path) -> None:
    pixels = scene(kind="float32")
    pixels[1, 3, 3], pixels[:, :8, 8:16] = np.nan, np.nan
    saved(tmp_path / "tiles" / "a.tif", pixels)
    with pytest.warns(UserWarning, match="1 of 6 patches dropped"):
        pack = packed(tmp_path, missing=0.02)
    assert len(pack) == 5 and pack.images[0, :, 3, 3].tolist() == [0, 0, 0]


def test_files_without_descriptions_need_the_bands_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "tiles" / "a.tif", scene(), None)
    with pytest.raises(UserError, match=r"a.tif: its 3 bands have no descriptions; say bands ="):
        packed(tmp_path)
    assert packed(tmp_path, bands=["B04", "B03", "B02"]).bands == ("B04", "B03", "B02")
    assert packed(tmp_path, bands=["rgb"]).bands == ("B04", "B03", "B02")
    with pytest.raises(UserError, match="has 3 bands, 2 are named"):
        read_scene(path, ["B02", "B03"])
    with pytest.raises(UserError, match="a band is there twice"):
        read_scene(path, ["B02", "blue", "B03"])
    with pytest.raises(UserError, match=r"a.tif: unknown band 'B20'"):
        read_scene(path, ["B02", "B20", "B03"])


def test_files_with_other_bands_share_what_both_have(tmp_path: Path) -> None:
    saved(tmp_path / "tiles" / "a.tif", scene())
    saved(tmp_path / "tiles" / "b.tif", scene(bands=2, kind="int16"), ("B04", "B02"))
    pack = packed(tmp_path)
    assert pack.bands == ("B02", "B04") and pack.images.dtype == np.int32
    np.testing.assert_array_equal(pack.images[6], scene(bands=2)[::-1, :8, :8])


def test_a_missing_unit_is_an_error_that_says_so(tmp_path: Path) -> None:
    saved(tmp_path / "tiles" / "a.tif", scene())
    with pytest.raises(UserError, match="tiles: no unit is given; say unit ="):
        packed(tmp_path, unit=None)


def test_content_does_not_depend_on_the_path(tmp_path: Path) -> None:
    saved(tmp_path / "tiles" / "a.tif", scene())
    first = packed(tmp_path)
    shutil.copytree(tmp_path / "tiles", tmp_path / "moved")
    assert packed(tmp_path, path="moved").content == first.content
    saved(tmp_path / "tiles" / "b.tif", scene(seed=3))
    assert packed(tmp_path).content != first.content


def test_damaged_files_are_named_or_skipped(tmp_path: Path) -> None:
    saved(tmp_path / "tiles" / "a.tif", scene())
    bad = saved(tmp_path / "tiles" / "b.tif", scene(200, 200))
    os.truncate(bad, bad.stat().st_size // 2)
    (tmp_path / "tiles" / "c.tif").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"tiles/(b|c).tif: truncated") as error:
        packed(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.warns(UserWarning, match="2 of 3 files skipped; the first: .*b.tif: truncated.*; .*c.tif: truncated"):
        assert len(packed(tmp_path, unreadable="skip")) == 6


def test_only_geotiff_is_opened_whatever_the_name(tmp_path: Path) -> None:
    saved(tmp_path / "secret.tif", scene())
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.tif").write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">../secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(UserError, match="no GeoTIFF"):
        packed(tmp_path)


def test_a_claim_of_far_more_than_is_stored_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiles" / "a.tif"
    path.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = {"count": 3, "height": 50_000, "width": 50_000, "dtype": "uint16", "driver": "GTiff"}
        with rasterio.open(path, "w", tiled=True, blockxsize=4096, blockysize=4096, SPARSE_OK="TRUE", **shape) as file:
            file.descriptions = BANDS
    with pytest.raises(UserError, match="claims 15000000000 bytes"):
        packed(tmp_path)


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="tiles is not there"):
        packed(tmp_path)
    (tmp_path / "tiles").mkdir()
    with pytest.raises(MissingInput, match="no file matches"):
        packed(tmp_path)
    saved(tmp_path / "tiles" / "a.tif", scene(4, 4))
    with pytest.raises(UserError, match="no whole patch of 8 pixels is left"):
        packed(tmp_path)

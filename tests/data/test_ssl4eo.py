"""SSL4EO-S12 as it lies on disk, held against torchgeo's own reading of the same files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack, Places
from deo_bench.data.ssl4eo import Ssl4EoS12
from deo_bench.errors import MissingInput, UserError
from tests.data.test_tiff import saved

torchgeo = pytest.importorskip("torchgeo.datasets")
DATES = ("20200613T105031", "20200301T105031", "20201212T105031", "20200925T105031")


def write(root: Path, level: str, locations: tuple[int, ...]) -> None:
    """Bands of 264, 132 and 44 px, slopes that begin at another number in each."""
    names = torchgeo.SSL4EOS12.metadata[level]["bands"]
    for location in locations:
        for place, date in enumerate(DATES):
            for number, name in enumerate(names):
                step = {"B1": 6, "B9": 6, "B10": 6}.get(name, 1 if name in ("B2", "B3", "B4", "B8") else 2)
                first = location * 100 + place * 20 + number
                slope = 0 if name == "B10" else 1  # cirrus is nearly 0 everywhere
                pixels = (slope * (200 * np.arange(264)[::step, None] + np.arange(264)[::step]) + first).astype(
                    "uint16"
                )
                saved(root / level / f"{location:07}" / f"{date}_T31TCJ" / f"{name}.tif", pixels[None], None)


def packed(root: Path, **options: Any) -> Pack:
    return Ssl4EoS12(**options).pack(Places(root, root / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write(root / "ssl4eo_s12", "s2a", (0, 1, 5))
    return root


def test_all_seasons_are_what_torchgeo_reads_in_the_order_of_time(root: Path) -> None:
    pack = packed(root, level="s2a")
    assert pack.bands == BAND_SETS["s2_12"] and pack.unit == "dn" and pack.images.dtype == np.uint16
    assert pack.groups is not None and pack.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert pack.splits["fit"].tolist() == list(range(12)) and pack.labels is None
    sample = torchgeo.SSL4EOS12(str(root / "ssl4eo_s12"), split="s2a", seasons=4)[1]  # four dates in any order
    expected = sample["image"].numpy().reshape(4, 12, 264, 264)[np.argsort(sample["t"].numpy())]
    np.testing.assert_array_equal(pack.images[4:8], expected)


@pytest.mark.parametrize("season", [1, 2, 3, 4])
def test_one_season(root: Path, season: int) -> None:
    whole, pack = packed(root, level="s2a"), packed(root, level="s2a", season=season, count=2)
    np.testing.assert_array_equal(pack.images, whole.images[[season - 1, 4 + season - 1]])


def test_patches(root: Path) -> None:
    whole, pack = packed(root, level="s2a"), packed(root, level="s2a", season=2, patch=100)
    assert len(pack) == 3 * 4 and pack.groups is not None and pack.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(pack.images[6], whole.images[5][:, 100:200, :100])


def test_top_of_atmosphere_has_13_bands(tmp_path: Path) -> None:
    write(tmp_path / "ssl4eo_s12", "s2c", (0,))
    pack = packed(tmp_path, season=1)
    assert pack.bands == BAND_SETS["s2_13"]
    assert pack.images[0, :, 0, 0].tolist() == [20 + number for number in range(13)], "the date of March, band by band"


def test_fewer_locations_than_asked_for_are_said(root: Path) -> None:
    with pytest.warns(UserWarning, match=r"s2a: has 3 locations, 7 were asked for"):
        packed(root, level="s2a", season=3, count=7)


def test_what_is_missing(tmp_path: Path, root: Path) -> None:
    told = r"\(torchgeo's SSL4EOS12\): .* get it: python -c .*SSL4EOS12\('.*ssl4eo_s12', split='s2c', download=True"
    with pytest.raises(MissingInput, match=told):
        packed(tmp_path)
    with pytest.raises(MissingInput, match=r"has no s2c"):
        packed(root)


def test_a_broken_location_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "ssl4eo_s12"
    write(folder, "s2a", (0,))
    date = folder / "s2a" / "0000000" / f"{DATES[0]}_T31TCJ"
    (date / "B8A.tif").write_bytes(b"II*\0")
    with pytest.raises(UserError, match=r"B8A.tif: truncated, or no GeoTIFF"):
        packed(tmp_path, level="s2a")
    shutil.rmtree(date)
    with pytest.raises(UserError, match=r"0000000: has 3 dates, expected 4"):
        packed(tmp_path, level="s2a")

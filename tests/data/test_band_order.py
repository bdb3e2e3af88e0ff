"""The order of bands shows in the pixels: on real scenes every wrong order is told, and no right one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Places
from deo_bench.data.band_order import doubts_about_order
from deo_bench.data.pack import pack_once, write_pack

TEN = BAND_SETS["s2_10"]
WRONG = {
    "reversed": TEN[::-1],
    "red and blue": ("B04", "B03", "B02", *TEN[3:]),
    "8A last": (*TEN[:7], "B11", "B12", "B8A"),
    "ten metres first": ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12"),
    "short waves first": ("B11", "B12", *TEN[:8]),
}


@pytest.mark.parametrize("name", ["s2_pretrain", "eurosat_scene", "hls_worldcover_seg"])
def test_real_scenes(real_data: Path, name: str) -> None:
    with np.load(real_data / f"{name}.npz") as file:
        images, bands = file["images"], tuple(map(str, file["bands"]))
    swapped = [{"B02": "B04", "B04": "B02"}.get(band, band) for band in bands]
    for rows in (np.arange(start, start + 100) for start in range(0, len(images) - 100, 50)):
        assert doubts_about_order(name, bands, images, rows) == ()
        (doubt,) = doubts_about_order(name, swapped, images, rows)
        assert "are they blue, green, red rather than red, green, blue" in doubt
    for what, wrong in WRONG.items() if bands == TEN else ():
        assert len(doubts_about_order(name, wrong, images, np.arange(len(images)))) == 1, what


def test_few_images_may_all_show_red_soil() -> None:
    draws = np.random.default_rng(0)
    soil, other = draws.normal(0, 1, (2, 64, 1, 8, 8))
    images = 1000 + 100 * np.concatenate([soil + other, soil + 0.5 * other, soil, soil], axis=1)
    order = ("B04", "B03", "B02", "B05")
    assert doubts_about_order("x", order, images, np.arange(63)) == ()
    assert len(doubts_about_order("x", order, images, np.arange(64))) == 1


def test_noise_and_what_is_no_sentinel_2_are_not_judged() -> None:
    draws = np.random.default_rng(0)
    rows = np.arange(20)
    noise = draws.integers(0, 3000, (20, 13, 8, 8))
    assert doubts_about_order("x", BAND_SETS["s2_13"], noise, rows) == ()
    alike = draws.normal(100, 10, (20, 1, 8, 8)) * np.ones((1, 3, 1, 1))
    assert doubts_about_order("x", ("R", "G", "B"), alike, rows) == ()
    assert doubts_about_order("x", ("VV", "VH"), alike[:, :2], rows) == ()
    assert doubts_about_order("x", ("B02", "B03", "B04"), np.zeros((20, 3, 8, 8)), rows) == ()


def test_cirrus_that_is_bright_is_told_with_both_causes() -> None:
    shade = np.random.default_rng(0).normal(1, 0.2, (20, 1, 8, 8))
    means = np.array([1117.0, 1050, 940, 1011, 1821])[:, None, None]
    bands = ("B02", "B03", "B04", "B10", "B11")
    (doubt,) = doubts_about_order("set", bands, shade * means, np.arange(20))
    assert "B10 is 1" in doubt and "unless its offset of 1,000 was left in" in doubt
    means[3] = 12
    assert doubts_about_order("set", bands, shade * means, np.arange(20)) == ()


def test_what_is_said_is_kept_with_the_pack_and_no_part_of_its_content(tmp_path: Path) -> None:
    shade = np.random.default_rng(0).normal(1, 0.2, (9, 1, 8, 8)) * np.array([1.0, 1, 1, 5, 1])[:, None, None]

    def written(folder: Path, **more: object) -> object:
        given = {"bands": ("B02", "B03", "B04", "B09", "B8A"), "unit": "dn", "splits": {"fit": range(9)}, **more}
        return write_pack(folder, name="set", images=iter(shade), count=9, **given)  # type: ignore[arg-type]

    quiet = written(tmp_path / "quiet", look_at_order=False)
    for _ in range(2):
        with pytest.warns(UserWarning) as caught:
            pack = pack_once(Places(None, tmp_path), "key", lambda folder: written(folder, notes=["3 skipped"]))  # type: ignore[arg-type, return-value]
        assert [str(one.message) for one in caught] == list(pack.notes) and pack.notes[0] == "3 skipped"
        assert "B09 is 4.993" in pack.notes[1]
    assert pack.content == quiet.content and quiet.notes == ()  # type: ignore[attr-defined]

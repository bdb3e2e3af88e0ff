"""The pack of pairs: both dates and their labels, the same bytes wherever they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.scenes import change
from deo_bench.data.scenes.change import change_pair, pack_change
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.write import Sizes, benchmark_scene

SMALL = Sizes(3, 1, 2)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(None, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pack(places: Places) -> Pack:
    return pack_change(places, SMALL)


def test_it_holds_what_was_rendered(pack: Pack) -> None:
    made = [change_pair(index) for index in range(SMALL.total)]
    assert pack.later is not None and pack.labels is not None
    np.testing.assert_array_equal(pack.images, np.stack([pair.image for pair in made]))
    np.testing.assert_array_equal(pack.later, np.stack([pair.later for pair in made]))
    np.testing.assert_array_equal(pack.labels, np.stack([pair.changed for pair in made]))
    assert (pack.name, pack.bands, pack.unit, pack.ignore) == ("scenes-change", BANDS, "dn", 255)
    assert pack.label_kind == "change" and pack.classes == ("unchanged", "changed")
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        "fit": [0, 1, 2],
        "select": [3],
        "report": [4, 5],
    }


def test_made_again_elsewhere_it_is_the_same_to_the_byte(pack: Pack, tmp_path: Path) -> None:
    again = pack_change(Places(None, tmp_path), SMALL)
    assert (again.content, again.pixels, again.later_pixels) == (pack.content, pack.pixels, pack.later_pixels)


def test_a_pair_does_not_depend_on_how_many_are_made(pack: Pack, tmp_path: Path) -> None:
    more = pack_change(Places(None, tmp_path), Sizes(5, 1, 2))
    np.testing.assert_array_equal(more.images[: SMALL.total], pack.images)


def test_what_is_packed_is_not_made_again(places: Places, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "render_pair", lambda *_: pytest.fail("rendered again"))
    assert pack_change(places, SMALL).content == pack.content


def test_no_image_is_one_of_the_benchmark(pack: Pack) -> None:
    assert pack.later is not None
    images = [benchmark_scene(index).image.tobytes() for index in range(8)]
    images += [image.tobytes() for image in (*pack.images, *pack.later)]
    assert len(set(images)) == len(images)

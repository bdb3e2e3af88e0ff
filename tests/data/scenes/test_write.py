"""The benchmark on disk: the reader finds what was rendered, and numbers that change need a new version."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from deo_bench.data import Places
from deo_bench.data.scenes import write
from deo_bench.data.scenes.render import MOISTURE, PARCELS
from deo_bench.data.scenes.spectra import BANDS, MATERIALS
from deo_bench.data.scenes.uses import USES
from deo_bench.data.scenes.write import (
    LABELLINGS,
    Sizes,
    benchmark_fingerprint,
    benchmark_scene,
    pack_benchmark,
    pretraining_pair,
    pretraining_scene,
    write_benchmark,
)

SMALL = Sizes(5, 2, 3)
DIGEST = "3f518ff738b2d2be"
"""Of the first 12 benchmark scenes of generator 1."""
PRETRAINING = "4f2603e76fbf3c43"
"""Of the first 12 scenes to pre-train on, of seed 0."""
FINER = {2: "a57fba4a950f2080", 4: "b6f077fedc5c428a"}
"""Of the first 6 of them in RGB, by how many times finer."""
PIXELS = "df584102f9a1b20310a703f54ba06ee1c6d37a6ffbad097251d84d3eab665f7b"
"""Of the images of 5, 2 and 3 scenes, which every task on them shares."""
CONTENTS = {
    "scenes-cover": "eee9ae3d298827741fb95486aa4dc96409ee36ad7eb407ac00adad843ae2112a",
    "scenes-moisture": "c2e1f44e7f65cdd8408fb0265527c41ce9d13ff5f8669f20105e50463e75062d",
    "scenes-parcels": "c0e7c4e59259e5b44d21184deaa641903825dbedd17d3fe64585f8714605deb0",
    "scenes-uses": "78248f6cfef6908a8a10bb997157be1e37fcce774117888b157d41eef9911ca3",
    "scenes-land": "ea63961046f3e35f4b0cc5b4ca456669ffe174dd9d112d4228b533a26150b270",
}
"""Of the packs of so many scenes: images, labels, splits and all that is said of them."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(None, tmp_path_factory.mktemp("cache"))


def test_numbers_that_change_need_a_new_generator_version() -> None:
    digest = hashlib.sha256()
    for index in range(12):
        scene = benchmark_scene(index)
        digest.update(scene.image.astype("<i2").tobytes())
        digest.update(repr((scene.factors, scene.uses)).encode())
    assert (write.GENERATOR, digest.hexdigest()[:16]) == (1, DIGEST), "bump GENERATOR, and pin the new digest here"


@pytest.mark.parametrize("name", CONTENTS)
def test_packs_keep_every_byte_that_they_had(places: Places, name: str) -> None:
    pack = pack_benchmark(places, name, SMALL)
    assert (pack.pixels, pack.content) == (PIXELS, CONTENTS[name])
    assert benchmark_fingerprint(name, SMALL) == f"{name} generator 1, 5+2+3 images"


def test_finer_pictures_do_not_change_the_images_beside_them() -> None:
    digest = hashlib.sha256()
    for index in range(12):
        image, _ = pretraining_pair(0, index, 2)
        digest.update(image.astype("<i2").tobytes())
    assert digest.hexdigest()[:16] == PRETRAINING


@pytest.mark.parametrize("fine", FINER)
def test_finer_numbers_that_change_need_a_new_generator_version(fine: int) -> None:
    digest = hashlib.sha256()
    for index in range(6):
        _, finer = pretraining_pair(0, index, fine)
        digest.update(finer.astype("<i2").tobytes())
    assert (write.GENERATOR, digest.hexdigest()[:16]) == (1, FINER[fine]), "bump GENERATOR, and pin the new digest here"


@pytest.mark.parametrize("name", LABELLINGS)
def test_the_reader_finds_what_was_rendered(places: Places, name: str) -> None:
    pack = pack_benchmark(places, name, SMALL)
    scenes = [benchmark_scene(index) for index in range(SMALL.total)]
    np.testing.assert_array_equal(pack.images, np.stack([scene.image for scene in scenes]))
    assert pack.labels is not None
    np.testing.assert_array_equal(pack.labels, np.stack([LABELLINGS[name].label(scene) for scene in scenes]))
    assert pack.bands == BANDS and pack.unit == "dn" and pack.images.dtype == np.int16
    assert pack.classes == LABELLINGS[name].classes
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        "fit": [0, 1, 2, 3, 4],
        "select": [5, 6],
        "report": [7, 8, 9],
    }


def test_the_tasks_share_their_images_and_differ_in_their_labels(places: Places) -> None:
    packs = [pack_benchmark(places, name, SMALL) for name in LABELLINGS]
    assert len({pack.pixels for pack in packs}) == 1
    assert len({pack.content for pack in packs}) == 5
    assert [pack.label_kind for pack in packs] == ["single", "single", "single", "multi", "segmentation"]
    assert [pack.ignore for pack in packs] == [None, None, None, None, 255]
    assert [len(pack.classes) for pack in packs] == [len(MATERIALS), len(MOISTURE), len(PARCELS), len(USES), 12]


def test_made_again_elsewhere_the_content_is_the_same(places: Places, tmp_path: Path) -> None:
    here = pack_benchmark(places, "scenes-uses", SMALL)
    there = pack_benchmark(Places(None, tmp_path), "scenes-uses", SMALL)
    assert (here.content, here.pixels) == (there.content, there.pixels)


def test_a_scene_does_not_depend_on_how_many_are_made(places: Places, tmp_path: Path) -> None:
    few = pack_benchmark(places, "scenes-cover", SMALL)
    more = pack_benchmark(Places(None, tmp_path), "scenes-cover", Sizes(7, 3, 4))
    np.testing.assert_array_equal(more.images[: SMALL.total], few.images)


def test_what_is_written_is_not_written_again(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_benchmark(places, "scenes-cover", SMALL)
    monkeypatch.setattr(write, "render", lambda *_: pytest.fail("rendered again"))
    assert len(pack_benchmark(places, "scenes-moisture", SMALL)) == SMALL.total


def test_a_folder_is_written_when_one_of_its_tasks_is_asked_for(tmp_path: Path) -> None:
    pack_benchmark(Places(None, tmp_path), "scenes-land", SMALL)
    written = {path.relative_to(tmp_path / "scenes" / "v1-5-2-3") for path in tmp_path.glob("scenes/*/*/scenes-*")}
    assert written == {Path("segmentation_v1.0/scenes-land")}


def test_a_killed_writing_is_taken_up(tmp_path: Path) -> None:
    write_benchmark(tmp_path, SMALL)
    folder = tmp_path / "classification_v1.0"
    (folder / "scenes-parcels").rename(folder / ".scenes-parcels.0123.tmp")
    write_benchmark(tmp_path, SMALL)
    assert sorted(path.name for path in folder.iterdir()) == sorted(set(LABELLINGS) - {"scenes-land"})


def test_streams_to_train_on_are_disjoint_from_the_benchmark() -> None:
    images = [benchmark_scene(index).image.tobytes() for index in range(8)]
    images += [pretraining_scene(seed, index).image.tobytes() for seed in (0, 1, 2) for index in range(8)]
    assert len(set(images)) == len(images)

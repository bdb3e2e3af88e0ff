"""Packed `.npz` files: images, labels and splits by name; objects, bombs and missing units are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.npz import NpzImages, pack_npz
from deo_bench.errors import MissingInput, UserError

BANDS = ("B02", "B04", "B08")
COUNT = 9


def images(bands: int = 3, kind: str = "uint16", size: int = 4) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 999, (COUNT, bands, size, size)).astype(kind)


def arrays(**changed: Any) -> dict[str, Any]:
    given = {
        "images": images(),
        "labels": np.arange(COUNT, dtype=np.uint8) % 3,
        "split": np.array([0, 0, 0, 0, 1, 1, 2, 2, 255], np.uint8),
        "bands": np.array(BANDS),
        "tile": np.arange(COUNT) // 2 + 100,
        "classes": np.array(["a", "b", "c"]),
        "unit": np.array("dn"),
        **changed,
    }
    return {key: value for key, value in given.items() if value is not None}


def saved(folder: Path, name: str = "set.npz", packed: bool = True, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if packed else np.savez)(folder / name, **arrays(**changed))
    return folder / name


def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "cache")


def trained_on(tmp_path: Path, *paths: str, **options: Any) -> Pack:
    return NpzImages(paths=list(paths or ("set.npz",)), **options).pack(places(tmp_path))


@pytest.mark.parametrize("packed", [True, False])
def test_a_task_of_a_file(tmp_path: Path, packed: bool) -> None:
    saved(tmp_path, packed=packed)
    pack = pack_npz(places(tmp_path), "set.npz", groups="tile")
    np.testing.assert_array_equal(pack.images, images())
    np.testing.assert_array_equal(pack.labels, arrays()["labels"])
    assert pack.bands == BANDS and pack.unit == "dn" and pack.classes == ("a", "b", "c") and pack.name == "set"
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        "fit": [0, 1, 2, 3],
        "select": [4, 5],
        "report": [6, 7],
    }
    assert pack.groups is not None and pack.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]


def test_what_is_trained_on_is_never_validated_or_tested_on(tmp_path: Path) -> None:
    saved(tmp_path)
    pack = trained_on(tmp_path)
    np.testing.assert_array_equal(pack.images, images()[[0, 1, 2, 3, 8]])
    assert pack.label_kind == "none" and list(pack.splits) == ["fit"]


def test_unlabelled_files_are_trained_on_whole(tmp_path: Path) -> None:
    saved(tmp_path, labels=None, split=None)
    assert len(trained_on(tmp_path)) == COUNT
    saved(tmp_path, "none.npz", labels=np.full(COUNT, 255, np.uint8), split=np.full(COUNT, 255, np.uint8))
    assert len(trained_on(tmp_path, "none.npz")) == COUNT


def test_splits_may_be_words(tmp_path: Path) -> None:
    words = np.array(["train"] * 4 + ["val", "validation", "test", "test", ""])
    saved(tmp_path, split=words)
    assert pack_npz(places(tmp_path), "set.npz").splits["select"].tolist() == [4, 5]
    assert len(trained_on(tmp_path)) == 5


def test_several_files_share_the_bands_that_all_have(tmp_path: Path) -> None:
    saved(tmp_path, "a.npz")
    other = images(4, "int16", 6)
    saved(tmp_path, "b.npz", images=other, bands=np.array(["nir", "B11", "04 - Red", "B8A"]), split=None)
    pack = trained_on(tmp_path, "a.npz", "b.npz", patch=2)
    assert pack.bands == ("B04", "B08") and pack.images.shape == (5 * 4 + COUNT * 9, 2, 2, 2)
    np.testing.assert_array_equal(pack.images[0], images()[0, 1:, :2, :2])
    np.testing.assert_array_equal(pack.images[-1], other[-1, [2, 0], 4:, 4:])
    with pytest.raises(UserError, match=r"images of \(6, 6\) and \(4, 4\); say patch ="):
        trained_on(tmp_path, "a.npz", "b.npz")
    saved(tmp_path, "c.npz", unit=np.array("reflectance"))
    with pytest.raises(UserError, match=r"c.npz is in reflectance, .*a.npz in dn"):
        trained_on(tmp_path, "a.npz", "c.npz")
    saved(tmp_path, "d.npz", bands=np.array(["B05", "B06", "B07"]))
    with pytest.raises(UserError, match="no band in common"):
        trained_on(tmp_path, "a.npz", "d.npz")


def test_a_missing_unit_is_an_error_that_says_so(tmp_path: Path) -> None:
    saved(tmp_path, unit=None)
    for read in (lambda: trained_on(tmp_path), lambda: pack_npz(places(tmp_path), "set.npz")):
        with pytest.raises(UserError, match="set.npz: no unit is given; say unit = one of dn, reflectance"):
            read()
    assert trained_on(tmp_path, unit="uint8").unit == "uint8"
    with pytest.raises(UserError, match="unknown unit 'lux'"):
        trained_on(tmp_path, unit="lux")


def test_what_the_file_says_gives_way_to_what_is_said(tmp_path: Path) -> None:
    saved(tmp_path, ignore=np.array(2), groups=np.arange(COUNT))
    assert pack_npz(places(tmp_path), "set.npz").ignore == 2
    changed = pack_npz(places(tmp_path), "set.npz", unit="uint8", groups="tile", ignore=9)
    assert changed.unit == "uint8" and changed.ignore == 9 and changed.groups is not None and changed.groups[1] == 0


def test_images_without_a_label_are_in_no_role(tmp_path: Path) -> None:
    saved(tmp_path, labels=np.array([0, 255, 2, 0, 1, 1, 0, 2, 1], np.uint8))
    assert pack_npz(places(tmp_path), "set.npz", ignore=255).splits["fit"].tolist() == [0, 2, 3]
    with pytest.raises(UserError, match="labels \\[255\\] are none of 3 classes; say ignore = 255"):
        pack_npz(places(tmp_path), "set.npz")
    assert len(trained_on(tmp_path)) == 5


@pytest.mark.parametrize(
    ("labels", "kind"), [(np.ones((COUNT, 3), int), "multi"), (np.zeros((COUNT, 4, 4), np.uint8), "segmentation")]
)
def test_every_kind_of_label(tmp_path: Path, labels: np.ndarray, kind: str) -> None:
    saved(tmp_path, labels=labels)
    pack = pack_npz(places(tmp_path), "set.npz")
    assert pack.label_kind == kind
    np.testing.assert_array_equal(pack.labels, labels)


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    saved(tmp_path, classes=None)
    assert pack_npz(places(tmp_path), "set.npz").classes == ("0", "1", "2")


def test_content_does_not_depend_on_path_or_compression(tmp_path: Path) -> None:
    saved(tmp_path)
    first, trained = pack_npz(places(tmp_path), "set.npz"), trained_on(tmp_path)
    saved(tmp_path / "deep", "other.npz", packed=False)
    assert pack_npz(places(tmp_path), "deep/other.npz").content == first.content
    assert trained_on(tmp_path, str(tmp_path / "deep" / "other.npz")).content == trained.content
    saved(tmp_path, "more.npz", images=images() + 1)
    assert trained_on(tmp_path, "more.npz").content != trained.content


def test_other_splits_are_no_part_of_what_is_trained_on(tmp_path: Path) -> None:
    saved(tmp_path)
    trained = trained_on(tmp_path)
    changed = images()
    changed[6] += 1
    saved(tmp_path, "other.npz", images=changed)
    assert trained_on(tmp_path, "other.npz").content == trained.content


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"images": None}, "has no array 'images'"),
        ({"bands": None, "band": np.array(BANDS)}, "has no array 'bands', did you mean 'band'"),
        ({"bands": np.array(["B02", "B04", "B99"])}, "array 'bands': unknown band 'B99'"),
        ({"bands": np.array(["B02", "B04"])}, "3 bands of images, but the names B02, B04"),
        ({"bands": np.array(["B02", "blue", "B04"])}, "3 bands of images, but the names"),
        ({"images": images()[0]}, "expected numbers \\[N, C, H, W\\]"),
        ({"images": np.array([{}] * COUNT, object)}, "array 'images': holds Python objects"),
        ({"labels": np.array([{}] * COUNT, object)}, "array 'labels': holds Python objects"),
        ({"labels": np.zeros(COUNT - 1, int)}, "array 'labels': \\(8,\\), expected one entry for each of 9"),
        ({"labels": None}, "has no array 'labels'"),
        ({"split": None}, "no images to fit or select or report"),
        ({"split": np.zeros(COUNT, int)}, "no images to select or report"),
        ({"split": np.arange(COUNT)}, "array 'split': \\[3, 4, 5\\]"),
        ({"split": np.array([b"train"] * COUNT)}, "array 'split'"),
        ({"images": np.full((COUNT, 3, 4, 4), np.nan)}, "image 0: 48 of 48 pixels are NaN"),
        ({"images": np.asfortranarray(images())}, "column by column"),
        ({"images": np.zeros((COUNT, 3, 0, 4), "i2")}, "expected numbers"),
        ({"images": np.zeros((COUNT, 3, 4, 4), [("a", "i2")])}, "records of several fields"),
        ({"ignore": np.array("none")}, "is no whole number"),
        ({"classes": np.zeros((2, 2), int)}, "expected names"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    saved(tmp_path, **changed)
    with pytest.raises(UserError, match=said) as error:
        pack_npz(places(tmp_path), "set.npz")
    assert "set.npz" in str(error.value) and "\n" not in str(error.value)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(UserError, match="groups = 'tiles' names no array, did you mean 'tile'"):
        pack_npz(places(tmp_path), "set.npz", groups="tiles")
    with pytest.raises(MissingInput, match=r"gone.npz is not there"):
        trained_on(tmp_path, "gone.npz")
    with pytest.raises(UserError, match="paths is empty"):
        NpzImages(paths=[])


def test_images_that_are_not_finite_are_named_or_skipped(tmp_path: Path) -> None:
    bad = images(kind="float32")
    bad[2, 1, 0, 0], bad[7] = np.nan, np.inf
    saved(tmp_path, images=bad)
    with pytest.raises(UserError, match=r'set.npz, image 2: 1 of 48 pixels are NaN .* unreadable = "skip"'):
        trained_on(tmp_path)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"set.npz: 1 of 5 images skipped; the first: set.npz, image 2: 1 of 48"):
            pack = trained_on(tmp_path, unreadable="skip")
    np.testing.assert_array_equal(pack.images, bad[[0, 1, 3, 8]])
    saved(tmp_path, images=np.full_like(bad, np.nan))
    with pytest.raises(UserError, match="no image is left to train on; the first reason: set.npz, image 0"):
        trained_on(tmp_path, unreadable="skip")


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_damaged_files_are_skipped_if_asked(tmp_path: Path, share: float) -> None:
    saved(tmp_path, "a.npz")
    raw = saved(tmp_path, "b.npz", packed=False).read_bytes()
    (tmp_path / "b.npz").write_bytes(raw[: int(len(raw) * share)])
    saved(tmp_path, "c.npz", bands=np.array(["B02", "B04"]))
    damaged = bytearray(saved(tmp_path, "d.npz", packed=False).read_bytes())
    damaged[damaged.index(images()[4].tobytes())] ^= 1
    (tmp_path / "d.npz").write_bytes(damaged)
    with pytest.raises(UserError, match=r"b.npz: truncated"):
        trained_on(tmp_path, "a.npz", "b.npz")
    with pytest.warns(
        UserWarning, match=r"3 of 4 files skipped; the first: .*b.npz: trunc.*c.npz: 3 bands.*d.npz.*CRC"
    ):
        pack = trained_on(tmp_path, "a.npz", "b.npz", "c.npz", "d.npz", unreadable="skip")
    assert pack.content == trained_on(tmp_path, "a.npz").content
    with pytest.raises(UserError, match="no image is left to train on; the first reason: .*b.npz: truncated"):
        trained_on(tmp_path, "b.npz", unreadable="skip")


def test_finer_images_come_along(tmp_path: Path) -> None:
    finer = np.random.default_rng(0).integers(0, 255, (COUNT, 3, 12, 12)).astype(np.uint8)
    saved(tmp_path, fine=finer)
    pack = trained_on(tmp_path)
    np.testing.assert_array_equal(pack.fine, finer[[0, 1, 2, 3, 8]])
    cut = trained_on(tmp_path, patch=2)
    assert cut.fine is not None
    np.testing.assert_array_equal(cut.fine[5], finer[1, :, :6, 6:])
    assert trained_on(tmp_path, fine="").fine is None and pack_npz(places(tmp_path), "set.npz").fine is None
    saved(tmp_path, "other.npz")
    assert trained_on(tmp_path, "set.npz", "other.npz").fine is None
    with pytest.raises(UserError, match=r"other.npz, array 'fine': cannot be read"):
        trained_on(tmp_path, "set.npz", "other.npz", fine="fine")
    for wrong, said in ((finer[:, :2], "expected RGB .9, 3, sH, sW."), (finer[..., :10], "must be 2, 3, 4")):
        saved(tmp_path, fine=wrong)
        with pytest.raises(UserError, match=f"set.npz, array 'fine'.*{said}"):
            trained_on(tmp_path)


def test_real_patches(real_data: Path, tmp_path: Path) -> None:
    where = Places(real_data, tmp_path)
    both = NpzImages(paths=["s2_pretrain.npz", "eurosat_scene.npz"], unit="dn").pack(where)
    assert both.images.shape == (1494 + 508, 10, 32, 32) and both.images.dtype == np.uint16
    task = pack_npz(where, "eurosat_scene.npz", unit="dn", groups="tile")
    assert [len(task.splits[role]) for role in ("fit", "select", "report")] == [508, 116, 176]
    assert len(task.classes) == 10 and task.groups is not None and len(np.unique(task.groups)) == 143
    assert not {*task.groups[task.splits["fit"]]} & {*task.groups[task.splits["report"]]}
    published = [1104, 1032, 928, 1194, 2021, 2401, 2333, 2630, 1828, 1119]
    np.testing.assert_allclose(task.images.mean((0, 2, 3)), published, rtol=0.001)


def test_real_maps(real_data: Path, tmp_path: Path) -> None:
    pack = pack_npz(Places(real_data, tmp_path), "hls_worldcover_seg.npz", unit="dn", groups="tile")
    assert pack.label_kind == "segmentation" and pack.ignore == 255 and len(pack.classes) == 7
    assert [len(pack.splits[role]) for role in ("fit", "select", "report")] == [365, 108, 232]
    with pytest.raises(UserError, match=r"hls_worldcover_seg.npz: no unit is given"):
        pack_npz(Places(real_data, tmp_path), "hls_worldcover_seg.npz")

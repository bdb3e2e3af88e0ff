"""HDF5 in DEO's layout: the order of bands is said and looked at, rows are read where they lie, damage is named."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack, Places
from deo_bench.data.hdf5 import Hdf5Images, read_hdf5
from deo_bench.errors import MissingInput, UserError

S2 = BAND_SETS["s2_13"]
COUNT = 20
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chunks": {"chunks": (3, 13, 4, 2)},
    "packed": {"chunks": (7, 2, 8, 8), "compression": "gzip", "shuffle": True},
    "big endian": {"dtype": ">u2"},
    "user block": {},
}


def pixels(count: int = COUNT, size: int = 8, kind: str = "uint16", bands: int = 13) -> np.ndarray:
    return np.random.default_rng(3).integers(1, 9999, (count, bands, size, size)).astype(kind)


def saved(path: Path, images: np.ndarray | None = None, attributes: dict[str, Any] | None = None, **how: Any) -> Path:
    given, key, others = pixels() if images is None else images, how.pop("key", "images"), how.pop("others", {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512 if how.pop("block", False) else 0) as file:
        stored = file.create_dataset(key, data=given, **how)
        for name, value in (attributes or {}).items():
            stored.attrs[name] = value
        for name, value in others.items():
            file[name] = value
    return path


def packed(tmp_path: Path, **options: Any) -> Pack:
    given = {"path": "set.h5", "bands": ["s2_13"], "unit": "dn", **options}
    return Hdf5Images(**given).pack(Places(tmp_path, tmp_path / "cache"))


def copied(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "cache" / "packs").glob("*/*.bin")]


@pytest.mark.parametrize("way", WAYS)
def test_every_layout_gives_the_same_pack_and_plain_ones_no_copy(tmp_path: Path, way: str) -> None:
    saved(tmp_path / "set.h5", block=way == "user block", **WAYS[way])
    pack = packed(tmp_path)
    np.testing.assert_array_equal(pack.images, pixels())
    assert pack.bands == S2 and pack.unit == "dn" and pack.name == "set" and pack.label_kind == "none"
    assert pack.splits["fit"].tolist() == list(range(COUNT)) and pack.images.dtype == np.uint16
    np.testing.assert_allclose(pack.mean, pixels().mean((0, 2, 3), dtype=np.float64))
    assert bool(copied(tmp_path)) == (way not in ("plain", "user block"))
    saved(tmp_path / "elsewhere" / "set.h5")
    plain = packed(tmp_path / "elsewhere")
    assert (pack.content, pack.pixels) == (plain.content, plain.pixels)


def test_numbers_that_numpy_lacks_are_packed_not_mapped(tmp_path: Path) -> None:
    """Twelve bits in the upper part of two bytes: what lies in the file is not the number."""
    kind = h5py.h5t.NATIVE_UINT16.copy()
    kind.set_precision(12)
    kind.set_offset(4)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        space = h5py.h5s.create_simple(pixels().shape)
        stored = h5py.h5d.create(file.id, b"images", kind, space)
        stored.write(h5py.h5s.ALL, h5py.h5s.ALL, pixels() % 4096)
    np.testing.assert_array_equal(packed(tmp_path).images, pixels() % 4096)


def test_the_bands_must_be_said_by_somebody(tmp_path: Path) -> None:
    saved(tmp_path / "set.h5")
    with pytest.raises(
        UserError, match=r"set.h5, 'images': nothing says which band is which; say bands = \[\"s2_13\"\]"
    ):
        packed(tmp_path, bands=None)
    for said in (list(S2), ",".join(S2), "s2_13", [f"{name}".encode() for name in S2]):
        saved(tmp_path / "set.h5", attributes={"bands": said, "unit": "dn"})
        assert packed(tmp_path, bands=None, unit=None).bands == S2
    saved(tmp_path / "set.h5", others={"x": 1})
    with h5py.File(tmp_path / "set.h5", "a") as file:
        file.attrs["bands"] = list(S2)
    assert packed(tmp_path, bands=None).bands == S2
    with pytest.raises(UserError, match="set.h5: no unit is given"):
        packed(tmp_path, unit=None)


@pytest.mark.parametrize(
    ("bands", "said"),
    [
        (["s2_10"], "has 13 bands a record, 10 are named: B02, "),
        (["s2_12"], "has 13 bands a record, 12 are named"),
        ([*S2[:12], "B99"], "unknown band 'B99'"),
        ([*S2[:12], "blue"], "a band is named twice"),
        ([*S2[:12]], "has 13 bands a record, 12 are named"),
    ],
)
def test_bands_that_do_not_fit_are_named(tmp_path: Path, bands: list[str], said: str) -> None:
    saved(tmp_path / "set.h5")
    with pytest.raises(UserError, match=f"set.h5, 'images'.*{said}"):
        packed(tmp_path, bands=bands)


def test_two_who_say_different_orders_are_an_error(tmp_path: Path) -> None:
    saved(tmp_path / "set.h5", pixels(bands=3), {"bands": ["B02", "B03", "B04"]})
    with pytest.raises(UserError, match="you say bands B04, B03, B02, the file says B02, B03, B04; correct one"):
        packed(tmp_path, bands=["rgb"])
    assert packed(tmp_path, bands=["blue", "green", "red"]).bands == ("B02", "B03", "B04")


def test_channels_last_are_refused_with_the_remedy(tmp_path: Path) -> None:
    saved(tmp_path / "set.h5", np.moveaxis(pixels(), 1, 3))
    with pytest.raises(UserError, match=r"is \[N, H, W, C\]; write it as \[N, C, H, W\] \(numpy: moveaxis"):
        packed(tmp_path)


def scene(count: int = 64, size: int = 8) -> np.ndarray:
    """13 bands that go together as they do over land, and have the means of fMoW-Sentinel."""
    means = [1370, 1184, 1121, 1136, 1264, 1645, 1847, 1763, 1973, 583, 15, 1732, 1248]
    shares = [0.0, 0.0, 0.15, 0.3, 0.45, 0.9, 1.0, 1.0, 1.0, 0.9, 0.4, 0.5, 0.4]
    draws = np.random.default_rng(0)
    bright, green, noise = (draws.normal(0, 1, (count, 1, size, size)) for _ in range(3))
    share = np.array(shares)[:, None, None]
    mixed = (1 - share) * bright + share * green + 0.6 * share * (1 - share) * noise
    return np.clip(np.array(means)[:, None, None] * (1 + 0.2 * mixed), 0, None).round().astype(np.uint16)


def test_blue_green_red_read_as_red_green_blue_is_told(tmp_path: Path) -> None:
    images = scene()
    saved(tmp_path / "set.h5", images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert packed(tmp_path).notes == ()
    order = [0, 3, 2, 1, *range(4, 13)]
    saved(tmp_path / "set.h5", images[:, order])
    with pytest.warns(UserWarning, match=r"another order: B02 .blue. goes with B05, B11, B12 more closely than B04"):
        pack = packed(tmp_path)
    assert len(pack.notes) == 1
    with pytest.warns(UserWarning, match="blue, green, red rather than red, green, blue"):
        packed(tmp_path)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([*range(8), 9, 10, 11, 12, 8], r"B10 is 17\d\d on average and B11 1\d\d\d; cirrus is nearly 0"),
        ([*range(9), 11, 12, 9, 10], "B10 is 12.* cirrus is nearly 0"),
        ([*range(8), 11, 9, 10, 8, 12], "B07 and B8A are neighbours and have 0"),
    ],
)
def test_a_band_in_anothers_place_is_told(tmp_path: Path, order: list[int], said: str) -> None:
    saved(tmp_path / "set.h5", scene()[:, order])
    with pytest.warns(UserWarning, match=f"set: the bands .* look as if they were in another order: {said}"):
        packed(tmp_path)


def test_a_subset_is_of_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "set.h5", chunks=(3, 13, 8, 8))
    first = packed(tmp_path, count=7, seed=1)
    rows = [int(np.flatnonzero((pixels() == image).all((1, 2, 3)))[0]) for image in first.images]
    assert rows == sorted(set(rows)) and len(rows) == 7 and rows != list(range(7))
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    np.random.seed(5)  # noqa: NPY002 (whoever draws from the global generator must not matter)
    saved(tmp_path / "other" / "set.h5")
    assert packed(tmp_path / "other", count=7, seed=1).content == first.content
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_content, (str(tmp_path / "other"), str(tmp_path / "third"))) == first.content
    assert packed(tmp_path, count=7, seed=2).content != first.content
    with pytest.raises(UserError, match="count = 21, but 'images' has 20 images"):
        packed(tmp_path, count=21)


def _content(root: str, cache: str) -> str:
    data = Hdf5Images(path="set.h5", bands=["s2_13"], unit="dn", count=7, seed=1)
    return data.pack(Places(Path(root), Path(cache))).content


def test_images_are_cut_into_squares(tmp_path: Path) -> None:
    saved(tmp_path / "set.h5", others={"fine": np.arange(COUNT * 3 * 16 * 16, dtype="u2").reshape(COUNT, 3, 16, 16)})
    pack = packed(tmp_path, patch=4)
    assert pack.images.shape == (COUNT * 4, 13, 4, 4) and pack.fine is not None
    np.testing.assert_array_equal(pack.images[5], pixels()[1, :, :4, 4:])
    with h5py.File(tmp_path / "set.h5") as file:
        np.testing.assert_array_equal(pack.fine[5], file["fine"][1, :, :8, 8:])


@pytest.mark.parametrize("plain", [True, False])
def test_finer_images_come_along(tmp_path: Path, plain: bool) -> None:
    finer = np.random.default_rng(0).integers(0, 255, (COUNT, 3, 24, 24)).astype(np.uint8)
    saved(tmp_path / "set.h5", others={"fine": finer, "hr": finer + 1}, chunks=None if plain else (2, 13, 8, 8))
    pack = packed(tmp_path)
    np.testing.assert_array_equal(pack.fine, finer)
    assert bool(copied(tmp_path)) != plain
    np.testing.assert_array_equal(packed(tmp_path, fine="hr").fine, finer + 1)
    assert packed(tmp_path, fine="").fine is None
    with pytest.raises(UserError, match="'sharp' is missing"):
        packed(tmp_path, fine="sharp")
    for wrong, said in ((finer[:, :2], "expected .20, 3, sH, sW., RGB"), (finer[..., :20], "must be 2, 3, 4")):
        saved(tmp_path / "set.h5", others={"fine": wrong})
        with pytest.raises(UserError, match=f"set.h5, 'fine'.*{said}"):
            packed(tmp_path)


@pytest.mark.parametrize("way", ["plain", "packed"])
def test_a_changed_file_is_another_pack(tmp_path: Path, way: str) -> None:
    path = saved(tmp_path / "set.h5", **WAYS[way])
    first = packed(tmp_path)
    again = saved(tmp_path / "new.h5", pixels() + 1, **WAYS[way])
    shutil.copy(again, path)
    second = packed(tmp_path)
    assert second.content != first.content
    np.testing.assert_array_equal(second.images, pixels() + 1)


def test_a_file_whose_place_was_recorded_and_is_another_now_is_never_mapped(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.h5")
    first = packed(tmp_path)
    stamp = path.stat().st_mtime_ns
    with path.open("r+b") as stream:
        stream.seek(4000)
        stream.write(b"\0\0\0\0")
    with pytest.MonkeyPatch.context() as patch:
        (folder,) = (path for path in (tmp_path / "cache" / "packs").iterdir() if path.is_dir())
        patch.setattr("deo_bench.data.hdf5.input_key", lambda *_: folder.name)
        with pytest.warns(UserWarning, match=r"packing again: .*set.h5: changed since its images were digested"):
            assert packed(tmp_path).content != first.content
    assert path.stat().st_mtime_ns != stamp


def test_damaged_rows_are_named_or_skipped_and_kept_in_mind(tmp_path: Path) -> None:
    images = pixels(kind="float32")
    images[4, 2, 1, 1], images[9, 0] = np.nan, np.inf
    saved(tmp_path / "set.h5", images)
    with pytest.raises(UserError, match=r'set.h5, image 4: 1 of 832 pixels are NaN or infinite; unreadable = "skip"'):
        packed(tmp_path)
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"set.h5: 2 of 20 images skipped; the first: image 4: 1 of .*; image 9: 64"
        ):
            pack = packed(tmp_path, unreadable="skip")
    np.testing.assert_array_equal(pack.images, np.delete(images, [4, 9], axis=0))
    clean = saved(tmp_path / "clean" / "set.h5", np.delete(images, [4, 9], axis=0))
    assert packed(clean.parent).content == pack.content
    saved(tmp_path / "set.h5", np.full_like(images, np.nan))
    with pytest.raises(UserError, match="set.h5: none of 20 images can be read; image 0: 832 of 832"):
        packed(tmp_path, unreadable="skip")


def test_a_damaged_chunk_loses_its_rows_only(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.h5", chunks=(1, 13, 8, 8), compression="gzip", fletcher32=True)
    with h5py.File(path) as file:
        where = file["images"].id.get_chunk_info(6).byte_offset
    with path.open("r+b") as stream:
        stream.seek(where + 100)
        stream.write(b"\xff" * 50)
    with pytest.raises(UserError, match="set.h5, image 6: damaged"):
        packed(tmp_path)
    with pytest.warns(UserWarning, match="1 of 20 images skipped; the first: image 6: damaged"):
        pack = packed(tmp_path, unreadable="skip")
    np.testing.assert_array_equal(pack.images, np.delete(pixels(), 6, axis=0))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path / "set.h5")
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(UserError, match="set.h5: truncated, or not an HDF5 file") as error:
        packed(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        (None, {"key": "image"}, "'image' is missing"),
        (pixels()[0], {}, "expected numbers \\[N, C, H, W\\]"),
        (pixels() > 5, {}, "expected numbers"),
        (pixels().astype(complex), {}, "refused"),
        (None, {"patch": 9}, "patch = 9 is larger than its images"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, images: Any, options: dict[str, Any], said: str) -> None:
    saved(tmp_path / "set.h5", images)
    with pytest.raises(UserError, match=f"set.h5.*{said}"):
        packed(tmp_path, **options)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="set.h5 is not there"):
        packed(tmp_path)


def test_blocks_end_where_chunks_do_and_the_file_is_opened_once(tmp_path: Path, monkeypatch: Any) -> None:
    path = saved(tmp_path / "set.h5", chunks=(3, 13, 8, 8), compression="gzip")
    file, read, opened = read_hdf5(path, bands=["s2_13"], unit="dn"), [], []
    kept, kept_open = h5py.Dataset.__getitem__, h5py.File.__init__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, rows: (read.append(rows), kept(self, rows))[1])
    monkeypatch.setattr(h5py.File, "__init__", lambda self, *a, **k: (opened.append(a), kept_open(self, *a, **k))[1])
    monkeypatch.setattr("deo_bench.data.hdf5._BLOCK", 7 * pixels()[0].nbytes)
    found = [row for row, _ in file.images(np.arange(COUNT))]
    assert found == list(range(COUNT)) and len(opened) == 1
    assert [(rows.start, rows.stop) for rows in read] == [(0, 6), (6, 12), (12, 18), (18, 20)]


def _reader(pack: Pack, rows: list[int], where: str, out: Any) -> None:
    """Reads rows in a child, and counts how often it opens anything under `where`."""
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    kept = h5py.h5f.open
    h5py.h5f.open = lambda name, *more, **named: (opened.append(os.fsdecode(name)), kept(name, *more, **named))[1]
    sums = [int(np.asarray(pack.images[rows[at : at + 2]]).sum()) for at in range(0, len(rows), 2)]
    count = sum(name.startswith(where) for name in opened)
    h5py.File(f"{where}/set.h5").close()
    Path(f"{where}/set.h5").open("rb").close()
    out.put((rows, sums, count, sum(name.startswith(where) for name in opened)))


@pytest.mark.parametrize("way", ["plain", "packed"])
def test_several_processes_read_different_rows_without_opening_the_file_again(tmp_path: Path, way: str) -> None:
    saved(tmp_path / "set.h5", **WAYS[way])
    pack, context = packed(tmp_path), get_context("fork")
    out = context.Queue()
    shares = [list(range(start, COUNT, 3)) for start in range(3)]
    readers = [context.Process(target=_reader, args=(pack, rows, str(tmp_path), out)) for rows in shares]
    for reader in readers:
        reader.start()
    answers = [out.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert sorted(rows for rows, *_ in answers) == sorted(shares)
    for rows, sums, count, counted_too in answers:
        assert sums == [int(pixels()[rows[at : at + 2]].sum()) for at in range(0, len(rows), 2)]
        assert count <= 1 and counted_too == count + 2

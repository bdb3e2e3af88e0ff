"""Images and their finer twins in a pack: one pass, one factor, and no change to packs without."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.pack import open_pack, pack_once, write_pack
from deo_bench.errors import StoreError, UserError

COUNT = 6
CONTENT = "681a63a6be1b952f1ba848e375bfcc3727ed3dcb4571dea39f6572bd274840e6"
PIXELS = "ff5fd84ac215eb034b3d962b10396120d55d9d0b32e38265b9a0ae488420ff2e"
"""Of the pack below without finer images, as packs were before there were any."""


def images() -> np.ndarray:
    return np.arange(COUNT * 3 * 4 * 4, dtype="<i2").reshape(COUNT, 3, 4, 4)


def finer(factor: int = 2, kind: str = "int16") -> np.ndarray:
    draw = np.random.default_rng(1)
    return draw.integers(0, 3000, (COUNT, 3, 4 * factor, 4 * factor)).astype(kind)


def written(folder: Path, samples: Any, **changed: Any) -> Pack:
    given: dict[str, Any] = {
        "name": "set",
        "images": samples,
        "count": COUNT,
        "bands": ("B02", "B03", "B04"),
        "unit": "dn",
        "labels": np.arange(COUNT) % 2,
        "classes": ("a", "b"),
        "splits": {"fit": range(4), "select": [4], "report": [5]},
    }
    return write_pack(folder, **{**given, **changed})


def pairs(fine: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return zip(images(), fine, strict=True)


def test_packs_without_finer_images_are_named_as_they_were(tmp_path: Path) -> None:
    pack = written(tmp_path / "p", iter(images()))
    assert (pack.content, pack.pixels, pack.fine) == (CONTENT, PIXELS, None)
    assert "fine" not in json.loads((tmp_path / "p" / "pack.json").read_text())
    assert not (tmp_path / "p" / "fine.bin").exists()


@pytest.mark.parametrize(("factor", "kind"), [(2, "int16"), (3, "float32"), (4, "uint8"), (2, ">i2")])
def test_finer_images_come_in_the_same_pass(tmp_path: Path, factor: int, kind: str) -> None:
    fine = finer(factor, kind)
    written(tmp_path / "p", pairs(fine))
    pack = open_pack(tmp_path / "p")
    np.testing.assert_array_equal(pack.images, images())
    assert pack.fine is not None and pack.fine.dtype == np.dtype(kind).newbyteorder("<")
    np.testing.assert_array_equal(pack.fine, fine)
    with pytest.raises(ValueError):
        pack.fine[0, 0, 0, 0] = 1


def test_they_are_content_and_move_nothing_that_is_of_the_images_alone(tmp_path: Path) -> None:
    bare = written(tmp_path / "bare", iter(images()))
    first, again = (written(tmp_path / name, pairs(finer())) for name in ("first", "again"))
    changed = finer()
    changed[5, 2, 7, 7] += 1
    other, wider = written(tmp_path / "other", pairs(changed)), written(tmp_path / "wider", pairs(finer(4)))
    assert first.content == again.content
    assert len({bare.content, first.content, other.content, wider.content}) == 4
    assert {pack.pixels for pack in (bare, first, other, wider)} == {bare.pixels}
    for pack in (first, other, wider):
        np.testing.assert_array_equal((pack.mean, pack.std), (bare.mean, bare.std))


def test_blocks_do_not_change_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(tmp_path / "a", pairs(finer()))
    monkeypatch.setattr("deo_bench.data.pack_images._BLOCK", finer()[0].nbytes * 2)
    assert written(tmp_path / "b", pairs(finer())).content == whole.content


def _not_finite() -> np.ndarray:
    fine = finer(kind="float32")
    fine[3, 1, 2, 2] = np.inf
    return fine


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (lambda: pairs(finer(1)), r"finer image 0 is \(4, 4\) pixels; beside \(4, 4\) it must be 2, 3, 4"),
        (lambda: pairs(finer(3)[:, :, :10]), r"finer image 0 is \(10, 12\) pixels"),
        (lambda: pairs(finer(3)[..., :8]), r"finer image 0 is \(12, 8\) pixels"),
        (lambda: pairs(finer()[:, :2]), r"finer image 0 is \(2, 8, 8\) of int16, expected \[3, H, W\]"),
        (lambda: pairs(finer().astype(complex)), r"finer image 0 is .* of complex128, expected"),
        (
            lambda: [*islice(pairs(finer()), 2), (images()[2], finer(4)[2])],
            r"finer image 2 is .*, the first \(3, 8",
        ),
        (lambda: [*islice(pairs(finer()), 2), images()[2]], "image 2 has no finer image, unlike the first"),
        (lambda: [images()[0], *pairs(finer())], "image 1 has a finer image, unlike the first"),
        (lambda: islice(pairs(finer()), 4), "4 images, 6 were announced"),
        (lambda: pairs(_not_finite()), "set: finer images 0 to 5: 1 of 1152 pixels are NaN or infinite"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path: Path, samples: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        written(tmp_path / "p", samples())
    assert not list(tmp_path.iterdir())


def test_the_disk_must_hold_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Room for the images and a half; the finer ones are four times as large.
    free = int(images().nbytes * 1.5)
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("deo_bench.data.pack_images.shutil.disk_usage", lambda _: usage)
    assert len(written(tmp_path / "bare", iter(images()))) == COUNT
    with pytest.raises(StoreError, match="GB left"):
        written(tmp_path / "p", pairs(finer()))


def _damage(folder: Path, what: str) -> None:
    described = json.loads((folder / "pack.json").read_text())
    fine = described["fine"]
    if what == "short":
        os.truncate(folder / "fine.bin", 100)
    elif what == "longer":
        with (folder / "fine.bin").open("ab") as stream:
            stream.write(b"more")
    elif what == "gone":
        (folder / "fine.bin").unlink()
    elif what == "foreign":
        described["fine"] = [1, 2]
    elif what == "fewer":
        os.truncate(folder / "fine.bin", finer()[: COUNT // 2].nbytes)
        described["fine"] = {**fine, "shape": [COUNT // 2, 3, 8, 8]}
    elif what == "factor":
        described["fine"] = {**fine, "shape": [COUNT, 3, 4, 16]}
    elif what == "objects":
        described["fine"] = {**fine, "dtype": "|O"}
    (folder / "pack.json").write_text(json.dumps(described))


@pytest.mark.parametrize("what", ["short", "longer", "gone", "foreign", "fewer", "factor", "objects"])
def test_torn_finer_images_are_noticed_and_made_again(tmp_path: Path, what: str) -> None:
    places = Places(None, tmp_path)
    first = pack_once(places, "key", lambda folder: written(folder, pairs(finer())))
    _damage(tmp_path / "packs" / "key", what)
    with pytest.raises(StoreError, match="not a whole pack"):
        open_pack(tmp_path / "packs" / "key")
    with pytest.warns(UserWarning, match="packing again"):
        again = pack_once(places, "key", lambda folder: written(folder, pairs(finer())))
    assert again.content == first.content and again.fine is not None

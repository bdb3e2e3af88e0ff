"""Packs: whole or not at all, named by content, mapped only when their sizes are true."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deo_bench.data import Pack, Places
from deo_bench.data.pack import input_key, open_pack, pack_once, write_pack
from deo_bench.errors import StoreError, UserError

BANDS = ("B02", "B03", "B04")


def images(count: int = 6, kind: str = "int16", size: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3000, (count, len(BANDS), size, size)).astype(kind)


def written(folder: Path, pixels: np.ndarray, **changed: Any) -> Pack:
    count = len(pixels)
    given = {
        "name": "set",
        "images": iter(pixels),
        "count": count,
        "bands": BANDS,
        "unit": "dn",
        "labels": np.arange(count) % 2,
        "classes": ("a", "b"),
        "splits": {"fit": range(count - 2), "select": [count - 2], "report": [count - 1]},
        **changed,
    }
    return write_pack(folder, **given)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    pixels = images()
    pack = written(tmp_path / "p", pixels, partitions={"0.50x_train": [1, 3]}, groups=np.array(list("xxyyzz")))
    again = open_pack(tmp_path / "p")
    np.testing.assert_array_equal(again.images, pixels)
    np.testing.assert_array_equal(again.labels, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(again.groups, [0, 0, 1, 1, 2, 2])
    assert again.bands == BANDS and again.unit == "dn" and again.classes == ("a", "b") and len(again) == 6
    assert again.label_kind == "single" and again.ignore is None and again.band_labels == "published"
    assert {role: rows.tolist() for role, rows in again.splits.items()} == {
        "fit": [0, 1, 2, 3],
        "select": [4],
        "report": [5],
    }
    assert again.partitions["0.50x_train"].tolist() == [1, 3]
    assert again.content == pack.content
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    with pytest.raises(ValueError):
        again.images[0, 0, 0, 0] = 1


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32", ">i2"])
def test_moments_are_of_the_fit_split_in_float64(tmp_path: Path, kind: str) -> None:
    pixels = images(40, kind, 16) + np.array(20, kind)
    pack = written(tmp_path / "p", pixels)
    fit = pixels[:38].astype(np.float64)
    np.testing.assert_allclose(pack.mean, fit.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(pack.std, fit.std((0, 2, 3)), rtol=1e-12)
    assert pack.images.dtype == np.dtype(kind).newbyteorder("<")


def test_moments_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = images(40)
    whole = written(tmp_path / "a", pixels)
    monkeypatch.setattr("deo_bench.data.pack_images._BLOCK", pixels[0].nbytes * 3)
    parts = written(tmp_path / "b", pixels)
    assert whole.content == parts.content and whole.pixels == parts.pixels
    np.testing.assert_allclose(whole.std, parts.std, rtol=1e-12)


def test_content_is_of_the_content_and_pixels_of_the_images(tmp_path: Path) -> None:
    pixels = images()
    first = written(tmp_path / "a" / "deep", pixels)
    assert written(tmp_path / "b", pixels, name="other name").content == first.content
    for number, changed in enumerate(
        [
            {"labels": np.zeros(6, int)},
            {"splits": {"fit": [0, 1], "select": [2], "report": [3]}},
            {"partitions": {"half": [0]}},
            {"groups": np.arange(6)},
            {"classes": ("a", "c")},
            {"ignore": 255},
            {"band_labels": "corrected"},
        ]
    ):
        other = written(tmp_path / f"c{number}", pixels, **changed)
        assert other.content != first.content and other.pixels == first.pixels, changed
    for number, changed in enumerate([{"unit": "reflectance"}, {"bands": ("B02", "B03", "B05")}]):
        assert written(tmp_path / f"d{number}", pixels, **changed).pixels != first.pixels
    brighter = pixels.copy()
    brighter[5, 2, 3, 3] += 1
    assert written(tmp_path / "e", brighter).pixels != first.pixels


def test_labels_may_be_filled_while_the_images_stream(tmp_path: Path) -> None:
    labels, pixels = np.zeros((6, 4, 4), np.uint8), images()

    def stream() -> Iterator[np.ndarray]:
        for row, image in enumerate(pixels):
            labels[row] = row % 2
            yield image

    pack = written(tmp_path / "p", pixels, images=stream(), labels=labels)
    assert pack.label_kind == "segmentation" and pack.labels is not None
    assert pack.labels[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": 7}, "7 were announced"),
        ({"count": 5, "labels": None, "splits": {"fit": [0]}}, "more than the 5"),
        ({"bands": ("B02", "B03")}, "expected \\[2, H, W\\]"),
        ({"bands": ("B02", "B03", "B03")}, "each must be there once"),
        ({"unit": "lux"}, "unknown unit 'lux'"),
        ({"labels": np.array([0, 1, 2, 0, 1, 0])}, "labels \\[2\\] are none of 2 classes"),
        ({"labels": np.arange(5) % 2}, "labels are \\(5,\\)"),
        ({"labels": np.zeros((6, 3), int)}, "zeros and ones for 2 classes"),
        ({"labels": np.zeros((6, 4, 5), int)}, "label maps"),
        ({"labels": np.zeros(6)}, "whole numbers"),
        ({"splits": {"fit": [0, 1], "report": [1]}}, "in two splits"),
        ({"splits": {"fit": [0, 0]}}, "twice"),
        ({"splits": {"fit": [6]}}, "beyond the 6"),
        ({"partitions": {"half": [5]}}, "outside the fit split"),
        ({"groups": np.arange(5)}, "one id for each"),
        ({"images": iter([images()[0], images(size=5)[0]])}, "image 1 is"),
        ({"images": iter([images()[0].astype(complex)])}, "expected"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        written(tmp_path / "p", images(), **changed)
    assert not list(tmp_path.iterdir())


def test_pixels_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    pixels = images(kind="float32")
    pixels[3, 1, 2, 2] = np.nan
    with pytest.raises(UserError, match="set: images 0 to 5: 1 of 288 pixels are NaN"):
        written(tmp_path / "p", pixels)


def test_a_label_to_ignore_is_no_class(tmp_path: Path) -> None:
    labels = np.array([0, 1, 255, 0, 1, 0])
    assert written(tmp_path / "p", images(), labels=labels, ignore=255).ignore == 255


def torn(folder: Path, what: str) -> None:
    """Damage a pack in one of the ways that disks and people do."""
    described = json.loads((folder / "pack.json").read_text())
    if what == "json":
        (folder / "pack.json").write_text('{"format": 1, "sha')
    elif what == "images":
        os.truncate(folder / "images.bin", 100)
    elif what == "longer":
        with (folder / "images.bin").open("ab") as stream:
            stream.write(b"more")
    elif what == "labels":
        os.truncate(folder / "labels.npy", 140)
    elif what == "gone":
        (folder / "split-fit.npy").unlink()
    elif what == "claim":
        (folder / "pack.json").write_text(json.dumps({**described, "shape": [10**12, 3, 4, 4]}))
    elif what == "format":
        (folder / "pack.json").write_text(json.dumps({**described, "format": 99}))
    elif what == "foreign":
        (folder / "pack.json").write_text("[]")
    elif what == "objects":
        np.save(folder / "labels.npy", np.array([{}] * 6, dtype=object), allow_pickle=True)


DAMAGE = ["json", "images", "longer", "labels", "gone", "claim", "format", "foreign", "objects"]


@pytest.mark.parametrize("what", DAMAGE)
def test_a_torn_pack_is_named_and_never_used(tmp_path: Path, what: str) -> None:
    written(tmp_path / "p", images())
    torn(tmp_path / "p", what)
    with pytest.raises(StoreError, match=str(tmp_path / "p")):
        open_pack(tmp_path / "p")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_wrong_byte_in_pack_json_is_a_pack_or_a_store_error(tmp_path_factory: Any, at: int, byte: int) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "p"
    written(folder, images(3))
    raw = bytearray((folder / "pack.json").read_bytes())
    raw[at % len(raw)] = byte
    (folder / "pack.json").write_bytes(raw)
    with contextlib.suppress(StoreError):
        open_pack(folder)


def test_once_means_once(tmp_path: Path) -> None:
    places, built = Places(None, tmp_path), []

    def build(folder: Path) -> Pack:
        built.append(folder)
        return written(folder, images())

    first, second = pack_once(places, "key", build), pack_once(places, "key", build)
    assert built == [tmp_path / "packs" / "key"] and first.content == second.content


@pytest.mark.parametrize("what", DAMAGE)
def test_a_torn_pack_in_the_cache_is_reported_and_made_again(tmp_path: Path, what: str) -> None:
    places = Places(None, tmp_path)
    first = pack_once(places, "key", lambda folder: written(folder, images()))
    torn(tmp_path / "packs" / "key", what)
    with pytest.warns(UserWarning, match="packing again"):
        again = pack_once(places, "key", lambda folder: written(folder, images()))
    assert again.content == first.content
    np.testing.assert_array_equal(again.images, images())


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "packs" / ".key.0123456789ab.tmp"
    left.mkdir(parents=True)
    (left / "images.bin").write_bytes(b"half")
    other = tmp_path / "packs" / ".other.0123456789ab.tmp"
    other.mkdir()
    pack_once(Places(None, tmp_path), "key", lambda folder: written(folder, images()))
    assert not left.exists() and other.exists()


def _race(cache: str, out: Any) -> None:
    warnings.simplefilter("ignore")
    pack = pack_once(Places(None, Path(cache)), "key", lambda folder: written(folder, images(40)))
    out.put((pack.content, int(np.asarray(pack.images).sum())))


def test_two_processes_that_race_both_have_a_whole_pack(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), out)) for _ in range(3)]
    for racer in racers:
        racer.start()
    results = {out.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join()
    assert results == {(open_pack(tmp_path / "packs" / "key").content, int(images(40).sum()))}


def test_a_pack_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    first = written(tmp_path / "p", images())
    other = written(tmp_path / "p", images() + 1)
    assert other.content == first.content


def test_the_key_is_of_the_inputs_and_reads_none(tmp_path: Path) -> None:
    path = tmp_path / "in.bin"
    path.write_bytes(b"12345678")
    key = input_key("my set/1", [path], {"unit": "dn"}, 1)
    assert key.startswith("my-set-1-") and key == input_key("my set/1", [path], {"unit": "dn"}, 1)
    assert key != input_key("my set/1", [path], {"unit": "uint8"}, 1)
    assert key != input_key("my set/1", [path], {"unit": "dn"}, 2)
    os.utime(path, (1, 1))
    assert key != input_key("my set/1", [path], {"unit": "dn"}, 1)
    with pytest.raises(UserError, match="gone"):
        input_key("x", [tmp_path / "gone"], {}, 1)


def test_a_full_disk_is_said_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("deo_bench.data.pack_images.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="GB left"):
        written(tmp_path / "p", images())
    assert not list(tmp_path.iterdir())

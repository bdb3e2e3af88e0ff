"""torchgeo's data sets, written as they lie on disk and read by torchgeo's own classes: the same numbers come back."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack, Places
from deo_bench.data.download import fetch
from deo_bench.data.scene_set import drawn
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry
from tests.data.offering import publisher
from tests.tasks import torchgeo_folders as write

pytest.importorskip("torchgeo")
NAMES = ("eurosat", "eurosat-spatial", "bigearthnet", "oscd", "levircd", "spacenet1", "pastis", "sen1floods11")
REGISTRY = Registry()


def packed(root: Path, name: str, **options: Any) -> Pack:
    task = REGISTRY.build("task", name, options=options)
    places = Places(root, root / "cache")
    pack: Pack = task.pack(places)
    assert task.label_kind(places) == pack.label_kind and task.bands(places) == pack.bands
    assert task.class_names(places) == pack.classes and pack.name == name
    assert len(np.unique(np.concatenate(list(pack.splits.values())))) == len(pack)
    return pack


def labels(pack: Pack) -> np.ndarray:
    assert pack.labels is not None
    return pack.labels


@pytest.mark.parametrize("name", ["eurosat", "eurosat-spatial"])
def test_eurosat_has_its_bands_in_order(tmp_path: Path, name: str) -> None:
    written = write.write_eurosat(tmp_path / "eurosat", name)
    pack = packed(tmp_path, name)
    assert pack.bands == BAND_SETS["s2_13"] and pack.unit == "dn" and pack.images.dtype == np.uint16
    assert pack.classes == ("Forest", "River") and labels(pack).tolist() == [0, 0, 1, 1] * 3
    assert [rows.tolist() for rows in pack.splits.values()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    river, _ = written["River_20"]
    np.testing.assert_array_equal(pack.images[10, :8], river[:8])
    np.testing.assert_array_equal(pack.images[10, 8], river[12], err_msg="B8A, the last band of the file")
    np.testing.assert_array_equal(pack.images[10, 9:], river[8:12])


def test_bigearthnet_with_19_and_43_labels(tmp_path: Path) -> None:
    names = {"train": [["Pastures", "Estuaries"], ["Burnt areas"]], "val": [[*write.CORINE]], "test": [["Pastures"]]}
    written = write.write_bigearthnet(tmp_path / "bigearthnet", names)
    for number, place in ((43, 0), (19, 1)):
        pack = packed(tmp_path, "bigearthnet", labels=number)
        assert pack.bands == BAND_SETS["s2_12"] and len(pack.classes) == number
        rows = zip(labels(pack), [row for split in names.values() for row in split], strict=True)
        for label, expected in rows:
            numbers = {write.CORINE[name][place] for name in expected} - {None}
            assert set(np.flatnonzero(label).tolist()) == numbers
    np.testing.assert_array_equal(pack.images, [patch for split in written.values() for patch in split])
    assert pack.classes[4] == "Pastures" and pack.classes[18] == "Marine waters"


def test_bigearthnet_in_part(tmp_path: Path) -> None:
    names = {"train": [["Pastures"]] * 3, "val": [["Pastures"]], "test": [["Pastures"]] * 2}
    write.write_bigearthnet(tmp_path / "bigearthnet", names)
    pack = packed(tmp_path, "bigearthnet", count=2)
    assert [len(rows) for rows in pack.splits.values()] == [2, 1, 2]
    assert pack.images[:2, 0, 0, 0].tolist() == sorted(np.random.default_rng(0).permutation(3)[:2].tolist())


def test_oscd_is_cut_into_squares_that_are_a_group_a_city(tmp_path: Path) -> None:
    cities = {
        "Train": {"paris": (5, 4), "abudhabi": (4, 4), "nantes": (4, 7)},
        "Test": {"rio": (3, 5), "milano": (2, 2)},
    }
    written = write.write_oscd(tmp_path / "oscd", cities)
    pack = packed(tmp_path, "oscd", patch=2, select=0.3)
    order, counts = ["abudhabi", "nantes", "paris", "milano", "rio"], [4, 6, 4, 1, 2]
    assert pack.groups is not None and np.bincount(pack.groups).tolist() == counts
    assert pack.later is not None and pack.bands == BAND_SETS["s2_13"] and pack.classes == ("no change", "change")
    at = 0
    for city in order:
        dates, change = written[city]
        for top in range(0, change.shape[0] - 1, 2):
            for left in range(0, change.shape[1] - 1, 2):
                here = np.s_[..., top : top + 2, left : left + 2]
                np.testing.assert_array_equal(pack.images[at], dates[0][here])
                np.testing.assert_array_equal(pack.later[at], dates[1][here])
                np.testing.assert_array_equal(labels(pack)[at], change[here])
                at += 1
    chosen = int(np.random.default_rng(0).permutation(3)[0])
    assert set(pack.groups[pack.splits["select"]].tolist()) == {chosen}
    assert set(pack.groups[pack.splits["report"]].tolist()) == {3, 4}


def test_levircd(tmp_path: Path) -> None:
    written = write.write_levircd(tmp_path / "levircd")
    pack = packed(tmp_path, "levircd", patch=4)
    assert pack.unit == "uint8" and pack.images.dtype == np.uint8 and pack.bands == ("R", "G", "B")
    dates = np.array([dates for dates, _ in written.values()])
    np.testing.assert_array_equal(pack.images, dates[:, 0])
    np.testing.assert_array_equal(pack.later, dates[:, 1])
    np.testing.assert_array_equal(labels(pack), [change for _, change in written.values()])
    assert [rows.tolist() for rows in pack.splits.values()] == [[0, 1], [2, 3], [4, 5]]


def test_spacenet1_is_split_by_a_fixed_seed(tmp_path: Path) -> None:
    written = write.write_spacenet1(tmp_path / "spacenet1")
    pack = packed(tmp_path, "spacenet1", image="8band", select=0.25, report=0.25)
    np.testing.assert_array_equal(pack.images, [pixels for pixels, _ in written.values()])
    np.testing.assert_array_equal(labels(pack), [buildings for _, buildings in written.values()])
    order = np.random.default_rng(0).permutation(8).tolist()
    expected = {"fit": order[4:], "select": order[:2], "report": order[2:4]}
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        role: sorted(places) for role, places in expected.items()
    }
    assert pack.bands == tuple(f"WV{number}" for number in range(1, 9)) and pack.classes == ("background", "building")
    cut = packed(tmp_path, "spacenet1", image="8band", patch=50)
    assert len(cut) == 8 * 4 and cut.groups is not None and np.bincount(cut.groups).tolist() == [4] * 8


@pytest.mark.parametrize(("fold", "reported"), [(1, 5), (3, 2)])
def test_pastis_of_the_median_date(tmp_path: Path, fold: int, reported: int) -> None:
    written = write.write_pastis(tmp_path / "pastis")
    pack = packed(tmp_path, "pastis", fold=fold)
    places = {"fit": [0, 1, 2, 3, 4, 5], "select": [6, 7], "report": [8, 9]}
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == places
    rotated = [(step + fold - 1) % 5 + 1 for step in range(5)]
    assert rotated[-1] == reported
    role_of = dict(zip(rotated, ("fit", "fit", "fit", "select", "report"), strict=True))
    expected: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"fit": [], "select": [], "report": []}
    for its_fold, series, classes in written.values():
        middle = np.sort(series.astype(float), axis=0)
        low, high = (len(series) - 1) // 2, len(series) // 2
        expected[role_of[its_fold]].append((np.rint((middle[low] + middle[high]) / 2), classes))
    for role, rows in pack.splits.items():
        np.testing.assert_array_equal(pack.images[rows], [image for image, _ in expected[role]])
        np.testing.assert_array_equal(labels(pack)[rows], [classes for _, classes in expected[role]])
    assert pack.ignore == 19 and len(pack.classes) == 19 and pack.classes[2] == "soft winter wheat"


def test_pastis_of_one_date(tmp_path: Path) -> None:
    written = write.write_pastis(tmp_path / "pastis")
    pack = packed(tmp_path, "pastis", temporal=2)
    reported = [series[2] for fold, series, _ in written.values() if fold == 5]
    np.testing.assert_array_equal(pack.images[pack.splits["report"]], reported)
    with pytest.raises(UserError, match=r"pastis, patch 10000: has dates 0 to 2, not 3"):
        packed(tmp_path, "pastis", temporal=3)
    with pytest.raises(UserError, match=r"temporal = 'mean'; there are \"median\" and the number of a date"):
        packed(tmp_path, "pastis", temporal="mean")


def test_sen1floods11_ignores_what_is_not_labelled(tmp_path: Path) -> None:
    written = write.write_sen1floods11(tmp_path / "sen1floods11")
    pack = packed(tmp_path, "sen1floods11")
    names = ["Ghana_1", "India_2", "India_7", "Spain_3"]
    np.testing.assert_array_equal(pack.images, [written[name][0] for name in names])
    np.testing.assert_array_equal(labels(pack).astype(int), [written[name][1] % 256 for name in names])
    assert pack.ignore == 255 and [rows.tolist() for rows in pack.splits.values()] == [[0, 1], [2], [3]]


GET = {
    "levircd": r"python -c .*LEVIRCD\('.*levircd', download=True, checksum=True\)",
    "sen1floods11": "gsutil -m rsync -r gs://sen1floods11/v1.1 .*sen1floods11",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_says_torchgeos_class_and_the_command(tmp_path: Path, name: str) -> None:
    told = GET.get(name, f"deo-bench data download {name}")
    known = "" if name == "sen1floods11" else r" \(torchgeo's \w+\)"
    with pytest.raises(MissingInput, match=rf"task {name}{known}: .* get it: {told}"):
        packed(tmp_path, name)
    (tmp_path / name.removesuffix("-spatial")).mkdir()
    with pytest.raises(MissingInput, match=rf"task {name}{known}: .* has no .* get it: {told}"):
        packed(tmp_path, name)
    offered = REGISTRY.build("task", name).downloads(Places(tmp_path, tmp_path / "cache"))
    assert bool(offered) is (name not in GET), "the command brings what it says"


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def other_size(path: Path) -> None:
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(path)


TIFS = "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
ONERA = "Onera Satellite Change Detection dataset -"
FLOODS = "data/flood_events/HandLabeled"
FAULTS: list[tuple[str, str, Callable[[Path], Any], str]] = [
    ("eurosat", "eurosat-val.txt", lambda path: path.write_text("Sea_9.jpg"), "FileNotFoundError: Found no valid"),
    ("eurosat", f"{TIFS}/River/River_10.tif", lambda path: path.write_bytes(b"II*"), "River_10.tif"),
    ("levircd", "B/val_1.png", other_size, "RuntimeError: stack expects each tensor to be equal size"),
    ("levircd", "label/test_0.png", other_size, r"levircd, scene 4: image and label are .* expected \(4, 4\)"),
    ("levircd", "A/train_0.png", lambda path: path.write_bytes(b""), "UnidentifiedImageError"),
    ("levircd", "B/train_0.png", lambda path: path.unlink(), "LEVIRCD: train_0.png is not in all of A, B and label"),
    ("oscd", f"{ONERA} Images/b/imgs_2_rect/B8A.tif", remove, "IndexError"),
    ("oscd", f"{ONERA} Test Labels", remove, "has no Onera .* Test Labels"),
    ("pastis", "PASTIS-R/ANNOTATIONS/TARGET_10003.npy", remove, "FileNotFoundError.*TARGET_10003"),
    ("pastis", "PASTIS-R/DATA_S2/S2_10001.npy", lambda path: path.write_bytes(b"\x93NUMPY"), "ValueError|EOFError"),
    (
        "sen1floods11",
        "splits/flood_handlabeled/flood_valid_data.csv",
        lambda path: path.write_text("a,b,c"),
        "row 1: expected NAME_S1Hand.tif,NAME_LabelHand.tif",
    ),
    ("sen1floods11", f"{FLOODS}/S2Hand/India_7_S2Hand.tif", remove, "India_7_S2Hand.tif"),
]


@pytest.mark.parametrize(("name", "where", "spoil", "told"), FAULTS)
def test_a_wrong_layout_is_one_line(
    tmp_path: Path, name: str, where: str, spoil: Callable[[Path], Any], told: str
) -> None:
    if name == "oscd":
        write.write_oscd(tmp_path / "oscd", {"Train": {"a": (2, 2), "b": (2, 2)}, "Test": {"c": (2, 2)}})
    else:
        getattr(write, f"write_{name}")(tmp_path / name)
    spoil(tmp_path / name / where)
    options = {"oscd": {"patch": 2}, "levircd": {"patch": 4}}.get(name, {})
    with pytest.raises(UserError, match=told) as caught:
        packed(tmp_path, name, **options)
    assert "\n" not in str(caught.value) and name in str(caught.value).lower()
    assert not list((tmp_path / "cache").rglob("pack.json"))


def test_labels_that_torchgeo_does_not_know(tmp_path: Path) -> None:
    write.write_bigearthnet(
        tmp_path / "bigearthnet", {"train": [["Moon"]], "val": [["Pastures"]], "test": [["Pastures"]]}
    )
    with pytest.raises(UserError, match=r"torchgeo's BigEarthNet, .*: KeyError: 'Moon'"):
        packed(tmp_path, "bigearthnet")


def test_a_split_deals_out_every_place_once() -> None:
    first, second, rest = drawn(10, [0.2, 0.3])
    assert sorted([*first, *second, *rest]) == list(range(10)) and (len(first), len(second)) == (2, 3)
    again = drawn(10, [0.2, 0.3])
    assert all(np.array_equal(one, two) for one, two in zip((first, second, rest), again, strict=True))
    with pytest.raises(UserError, match="2 scenes are too few to be split into 3"):
        drawn(2, [0.2, 0.3])


def stated(of: str) -> dict[str, str]:
    """md5 -> address of what torchgeo's class downloads."""
    import torchgeo.datasets

    found = getattr(torchgeo.datasets, of)
    if of.startswith("EuroSAT"):
        lists = {found.split_md5s[split]: found.url + found.split_filenames[split] for split in found.splits}
        return {**lists, found.md5: found.url + found.filename}
    if of == "BigEarthNet":
        return {each["md5"]: each["url"] for each in (found.metadata["s2"], *found.splits_metadata.values())}
    if of == "OSCD":
        return {found.md5s[name]: url for name, url in found.urls.items()}
    if of == "PASTIS":
        return {found.md5: found.url}
    return dict(zip(found.md5s["train"][1], found.tarballs["train"][1], strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GET])
def test_downloads_are_where_torchgeo_says_with_its_checksums(tmp_path: Path, name: str) -> None:
    task, places = REGISTRY.build("task", name), Places(tmp_path, tmp_path / "cache")
    offered, known = task.downloads(places), stated(task.of)
    for each in offered:
        address = known[each.md5].replace("https://hf.co/", "https://huggingface.co/")
        assert each.url.endswith(address) and (each.url == address or "//" not in address)
    assert len({each.md5 for each in offered}) == len(offered) >= 1
    became = {str(each.place(tmp_path).relative_to(tmp_path / task.folder)) for each in offered}
    assert all(any(part == place or part.startswith(f"{place}/") for place in became) for part in task.parts)


def test_an_archive_becomes_what_is_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    origin = tmp_path / "origin"
    written = write.write_eurosat(origin)
    archive = shutil.make_archive(str(tmp_path / "EuroSATallBands"), "zip", origin, "ds")
    task, places = REGISTRY.build("task", "eurosat"), Places(tmp_path / "data", tmp_path / "cache")
    with publisher() as offers:
        for each in task.downloads(places):
            name = each.url.rpartition("/")[2]
            path = Path(archive) if name.endswith(".zip") else origin / name
            offers.files[f"/{name}"] = path.read_bytes()
            here = replace(each, url=offers.url(f"/{name}"), md5=hashlib.md5(path.read_bytes()).hexdigest())
            list(fetch(here, tmp_path / "data"))
    assert len(task.pack(places)) == len(written)

"""Names that mean one data set are one, and names that only sound alike are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.data.geobench import GeoBenchImages
from deo_bench.data.hdf5 import Hdf5Images
from deo_bench.data.npz import NpzImages
from deo_bench.data.same import is_same_data_set, known_as
from deo_bench.data.scenes.source import Scenes
from deo_bench.data.tiff import FolderImages


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("EuroSAT", "m-eurosat"),
        ("Sentinel-2 EuroSAT", "eurosat"),
        ("EuroSAT (RGB, train split)", "EuroSAT_MS"),
        ("BigEarthNet-S2", "m-bigearthnet"),
        ("BigEarthNet v2.0", "bigearthnet"),
        ("fMoW", "fMoW-Sentinel (train split)"),
        ("Functional Map of the World", "fmow"),
        ("So2Sat LCZ42", "m-so2sat"),
        ("brick kiln", "m-brick-kiln"),
        ("fields", "Fields"),
        ("scenes", "scenes"),
    ],
)
def test_one_data_set(one: str, other: str) -> None:
    assert is_same_data_set(one, other) and is_same_data_set(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("EuroSAT", "eurosat-like patches"),
        ("LVD-142M", "m-eurosat"),
        ("SSL4EO-S12", "m-so2sat"),
        ("scenes (renderings of another seed, no labels)", "scenes"),
        ("", ""),
        ("(no labels)", "(published)"),
        ("pv4ger", "m-brick-kiln"),
    ],
)
def test_two_data_sets(one: str, other: str) -> None:
    assert not is_same_data_set(one, other) and not is_same_data_set(other, one)


def test_a_name_known_is_itself() -> None:
    for name in ("eurosat", "fmow", "bigearthnet", "so2sat"):
        assert known_as(known_as(name)) == name


def test_images_say_what_they_come_from(tmp_path: Path) -> None:
    assert GeoBenchImages(names=["m-eurosat", "classification_v1.0/m-so2sat"]).data_sets == ("m-eurosat", "m-so2sat")
    assert NpzImages(paths=["a/fields.npz", "/b/more.npz"]).data_sets == ("fields", "more")
    assert Hdf5Images(path="x/fmow.h5").data_sets == ("fmow",)
    assert "EuroSAT_MS" in FolderImages(path="EuroSAT_MS/Forest", unit="dn").data_sets
    assert Scenes().data_sets == (), "no seed meets the benchmark"

"""Writes torchgeo's data sets as they lie on disk, with few and small images, and gives what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deo_bench.bands import BAND_SETS
from tests.data.test_tiff import saved

Written = dict[str, Any]
"""What the images and labels of a scene are, by the scene's name."""


def draw(seed: int, *shape: int, high: int = 5000) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape)


def write_eurosat(root: Path, lists: str = "eurosat") -> Written:
    """Two classes with two images a split; the files' bands are B01 … B09, B10, B11, B12, B8A."""
    written: Written = {}
    for number, split in enumerate(("train", "val", "test")):
        names = [f"{name}_{number}{copy}" for name in ("Forest", "River") for copy in range(2)]
        for name in names:
            pixels = draw(len(written), 13, 4, 4).astype(np.uint16)
            tif = root / "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
            saved(tif / name.split("_")[0] / f"{name}.tif", pixels, None)
            written[name] = (pixels, split)
        (root / f"{lists}-{split}.txt").write_text("\n".join(f"{name}.jpg" for name in reversed(names)) + "\n")
    return written


CORINE = {"Pastures": (17, 4), "Continuous urban fabric": (0, 0), "Burnt areas": (32, None), "Estuaries": (41, 18)}
"""Labels, and their numbers among the 43 and the 19 of torchgeo's documentation."""


def write_bigearthnet(root: Path, labels: dict[str, list[list[str]]]) -> dict[str, list[np.ndarray]]:
    """A patch a list of labels; B02 at 10 m is noise, every other band of its own size and one value."""
    written: dict[str, list[np.ndarray]] = {}
    for split, of in labels.items():
        rows = []
        for number, names in enumerate(of):
            patch = f"S2A_MSIL2A_{split}_{number}"
            bands = np.arange(12)[:, None, None] * 100 + number + np.zeros((12, 120, 120), int)
            bands[1] = draw(number, 120, 120)
            for name, pixels in zip(BAND_SETS["s2_12"], bands, strict=True):
                step = 6 if name in ("B01", "B09") else 1 if name in ("B02", "B03", "B04", "B08") else 2
                path = root / "BigEarthNet-v1.0" / patch / f"{patch}_{name}.tif"
                saved(path, pixels[None, ::step, ::step].astype(np.uint16), None)
            (path.parent / f"{patch}_labels_metadata.json").write_text(json.dumps({"labels": names}))
            rows.append(f"{patch},S1A_{number}")
            written.setdefault(split, []).append(bands)
        (root / f"bigearthnet-{split}.csv").write_text("\n".join(rows) + "\n")
    return written


def write_oscd(root: Path, sizes: dict[str, dict[str, tuple[int, int]]]) -> Written:
    """Cities of any size: the 13 bands of two dates as files, change as 0 and 255 in a picture."""
    written: Written = {}
    for split, cities in sizes.items():
        for city, size in cities.items():
            dates = draw(len(written), 2, 13, *size).astype(np.uint16)
            change = draw(len(written), *size, high=2).astype(np.uint8)
            scene = root / "Onera Satellite Change Detection dataset - Images" / city
            for number, date in enumerate(dates, 1):
                for name, pixels in zip(BAND_SETS["s2_13"], date, strict=True):
                    saved(scene / f"imgs_{number}_rect" / f"{name}.tif", pixels[None], None)
            (scene / "dates.txt").write_text("date_1: 20160101\ndate_2: 20180101\n")
            mask = root / f"Onera Satellite Change Detection dataset - {split} Labels" / city / "cm" / "cm.png"
            mask.parent.mkdir(parents=True)
            Image.fromarray(change * 255).save(mask)
            written[city] = (dates, change)
    return written


def write_levircd(root: Path, size: int = 4) -> Written:
    written: Written = {}
    for split in ("train", "val", "test"):
        for number in range(2):
            dates = draw(len(written), 2, size, size, 3, high=256).astype(np.uint8)
            change = draw(len(written), size, size, high=2).astype(np.uint8)
            layers = {"A": dates[0], "B": dates[1], "label": change * 255}
            for folder, pixels in layers.items():
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / folder / f"{split}_{number}.png")
            written[f"{split}_{number}"] = (np.moveaxis(dates, -1, 1), change)
    return written


def write_spacenet1(root: Path, count: int = 8) -> Written:
    """Chips of 102 x 110 px at (0, 0) of a grid of 1e-5 degrees, with a building each; the last has none."""
    from rasterio import Affine

    written: Written = {}
    for number in range(count):
        pixels = draw(number, 8, 102, 110, high=2048).astype(np.uint16)
        train = root / "SN1_buildings" / "train"
        profile = {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 0, 0, -1e-5, 0)}
        saved(train / "8band" / f"8band_AOI_1_RIO_img{number}.tif", pixels, None, **profile)
        top, left = 2 + number, 5
        ring = [
            [x * 1e-5, -y * 1e-5]
            for x, y in ((left, top), (left + 4, top), (left + 4, top + 3), (left, top + 3), (left, top))
        ]
        shape = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        there = number < count - 1
        path = train / "geojson" / f"Geo_AOI_1_RIO_img{number}.geojson"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [shape] if there else []}))
        buildings = np.zeros((102, 110), np.uint8)
        if there:
            buildings[top : top + 3, left : left + 4] = 1
        written[str(number)] = (pixels, buildings)
    return written


def write_pastis(root: Path) -> Written:
    """Two patches a fold, of 3 or 4 dates."""
    written: Written = {}
    features = []
    for number in range(10):
        name, fold = f"1000{number}", number % 5 + 1
        series = draw(number, 3 + number % 2, 10, 4, 4).astype(np.int16) - 100
        classes = draw(number, 3, 4, 4, high=20).astype(np.uint8)
        for folder, kind, array in (("DATA_S2", "S2", series), ("ANNOTATIONS", "TARGET", classes)):
            (root / "PASTIS-R" / folder).mkdir(parents=True, exist_ok=True)
            np.save(root / "PASTIS-R" / folder / f"{kind}_{name}.npy", array)
        point = {"type": "Point", "coordinates": [float(number), 0.0]}
        features.append({"type": "Feature", "properties": {"ID_PATCH": int(name), "Fold": fold}, "geometry": point})
        written[name] = (fold, series, classes[0])
    listed = {"type": "FeatureCollection", "features": features}
    (root / "PASTIS-R" / "metadata.geojson").write_text(json.dumps(listed))
    return written


def write_sen1floods11(root: Path) -> Written:
    written: Written = {}
    lists = {"train": ["Ghana_1", "India_2"], "valid": ["India_7"], "test": ["Spain_3"], "bolivia": ["Bolivia_9"]}
    for split, names in lists.items():
        for name in names:
            pixels = draw(len(written), 13, 6, 6).astype(np.int16)
            label = draw(len(written), 1, 6, 6, high=3).astype(np.int16) - 1
            chips = root / "data" / "flood_events" / "HandLabeled"
            saved(chips / "S2Hand" / f"{name}_S2Hand.tif", pixels, None)
            saved(chips / "LabelHand" / f"{name}_LabelHand.tif", label, None)
            written[name] = (pixels, label[0])
        path = root / "splits" / "flood_handlabeled" / f"flood_{split}_data.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}_S1Hand.tif,{name}_LabelHand.tif\n" for name in names))
    return written

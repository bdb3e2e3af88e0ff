"""Frozen maps for dense tasks: kept ones equal fresh ones, windows tile an image, pairs of dates stay pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack
from deo_bench.data.pack import write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.engine.dense import KeptMaps, WindowMaps, kept_maps
from deo_bench.engine.embed import Evaluated
from deo_bench.engine.view import View
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.probes._pixel_loss import class_weights
from deo_bench.probes.record import resolve
from deo_bench.registry import Registry
from deo_bench.store.embeddings import Embeddings

CPU = torch.device("cpu")
RGB = BAND_SETS["rgb"]
SIDE = 12


class Pixels(Backbone):
    """Its maps are its pixels, and their negatives in cells of two."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"rgb": RGB}
        self.normalisations = {"rgb": Normalisation("uint8", (0.0,) * 3, (1.0,) * 3)}
        self.pooled_dims, self.levels = {"mean": 3}, {"early": 0, "late": 1}
        self.seen = 0

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        self.seen += len(pixels)
        maps = {"early": pixels, "late": -torch.nn.functional.avg_pool2d(pixels, 2)}
        return Features({"mean": pixels.mean((2, 3))}, {level: maps[level] for level in levels})

    def map_width(self, level: str) -> int:
        return 3

    def stride(self, level: str) -> int:
        if level not in self.levels:
            raise self.no_level(level)
        return 1 + self.levels[level]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Twelve pairs of images whose label is whether red is above 100 in the earlier one; a frame is ignored."""
    draws = np.random.default_rng(0)
    before, after = draws.integers(0, 200, (2, 12, 3, SIDE, SIDE), dtype=np.uint8)
    labels = (before[:, 0] > 100).astype(np.uint8)
    labels[:, 0] = 255
    return write_pack(
        tmp_path_factory.mktemp("pairs") / "pack",
        name="pairs",
        images=[Dated(*pair) for pair in zip(before, after, strict=True)],
        count=12,
        bands=RGB,
        unit="uint8",
        labels=labels,
        classes=["no", "yes"],
        ignore=255,
        splits={"fit": range(6), "select": range(6, 8), "report": [11, 8, 9, 10]},
    )


def test_a_pack_of_two_dates(pack: Pack) -> None:
    assert pack.label_kind == "change" and pack.later is not None
    later = pack.at_later()
    assert later.pixels != pack.pixels and later.label_kind == "segmentation"
    assert not np.array_equal(later.images, pack.images)
    assert_array_equal(later.mean, pack.mean)


def sources(pack: Pack, tmp_path: Path) -> tuple[KeptMaps, Backbone]:
    backbone, view = Pixels(), View(resolve("scenes-v1", Registry()), "rgb")
    subject, kept = Evaluated("weights", lambda _: backbone), Embeddings(tmp_path)
    arrays = []
    for date in (pack, pack.at_later()):
        maps, encoded = kept_maps(subject, date, view, ("early", "late"), kept, CPU)
        assert encoded == 12
        arrays.append(maps)
        again, encoded = kept_maps(subject, date, view, ("early", "late"), kept, CPU)
        assert encoded == 0
        assert_array_equal(again[1], maps[1])
    return KeptMaps(arrays, pack.splits["report"], pack.labels, (SIDE, SIDE), CPU), backbone


def test_kept_maps_are_the_backbones(pack: Pack, tmp_path: Path) -> None:
    source, backbone = sources(pack, tmp_path)
    assert backbone.seen == 24  # two dates, one pass each for both levels
    assert source.shapes == ((3, SIDE, SIDE), (3, SIDE // 2, SIDE // 2)) and source.dates == 2
    (early, late), labels = source.batch(np.array([0, 2]))
    assert early.shape == (2, 2, 3, SIDE, SIDE) and late.shape == (2, 2, 3, SIDE // 2, SIDE // 2)
    assert_array_equal(early[0, 0], pack.images[11])  # whole numbers up to 2048 are halves
    assert_array_equal(early[1, 1], pack.later[9])  # type: ignore[index]
    assert labels is not None
    assert_array_equal(labels, pack.labels[[11, 9]])  # type: ignore[index]
    assert_array_equal(source.whole_labels(np.array([0, 2])), labels)


def perfect(maps: Sequence[Tensor]) -> Tensor:
    red = maps[0][:, 0, :1]
    return torch.cat([100.5 - red, red - 100.5], 1)


@pytest.mark.parametrize("is_windowed", [False, True])
def test_a_perfect_classifier_is_perfect(pack: Pack, tmp_path: Path, is_windowed: bool) -> None:
    source, backbone = sources(pack, tmp_path)
    if is_windowed:
        dates = [pack, pack.at_later()]
        source = WindowMaps(backbone, dates, source_view(), ("early",), source.rows, None, 5, CPU)  # type: ignore
    said = np.concatenate(list(source.predicted(perfect)))
    assert_array_equal(said, pack.images[[11, 8, 9, 10], 0] > 100)


def source_view() -> View:
    return View(resolve("scenes-v1", Registry()), "rgb")


def test_windows_are_cut_alike_from_images_and_labels(pack: Pack) -> None:
    given = (Pixels(), [pack, pack.at_later()], source_view(), ("early",), pack.splits["fit"], pack.labels, 5, CPU)
    source = WindowMaps(*given)
    assert source.size == (SIDE, SIDE) and source.shapes == ((3, 5, 5),)
    corners = set()
    for seed in range(20):
        (maps,), labels = source.batch(np.array([4, 1]), torch.Generator().manual_seed(seed))
        assert maps.shape == (2, 2, 3, 5, 5) and labels is not None and labels.shape == (2, 5, 5)
        known = labels != 255
        assert_array_equal(labels[known], (maps[:, 0, 0] > 100)[known].long())
        corners.add(tuple(maps[0, 0, 0].flatten().tolist()))
    assert len(corners) > 10
    (middle,), _ = source.batch(np.array([0]))
    assert_array_equal(middle[0, 0], pack.images[0][:, 3:8, 3:8])


def test_windows_cover_every_pixel(pack: Pack) -> None:
    for side in (3, 5, 7, 11, 12, 40):
        source = WindowMaps(Pixels(), [pack], source_view(), ("early",), np.arange(2), None, side, CPU)
        seen = np.zeros((SIDE, SIDE), dtype=int)
        for corner in source._corners():
            assert min(corner) >= 0
            source._cut(seen, corner)[...] += 1
        assert seen.min() >= 1


def test_a_map_beyond_half_precision_is_brought_to_its_edge(pack: Pack, tmp_path: Path) -> None:
    class Loud(Pixels):
        def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
            found = super().extract(pixels, sees, levels)
            return replace(found, maps={level: 1e4 * each for level, each in found.maps.items()})

    subject = Evaluated("loud", lambda _: Loud())
    (maps,), _ = kept_maps(subject, pack, source_view(), ("early",), Embeddings(tmp_path), CPU)
    assert maps.dtype == np.float16 and maps.max() == np.finfo(np.float16).max


def test_under_a_window_classes_weigh_by_whole_images(pack: Pack) -> None:
    labels = np.zeros((12, SIDE, SIDE), np.uint8)
    labels[:, 0], labels[:, 4:8] = 2, 1  # class 2 is outside the middle crop of every image
    backbone, rows = Pixels(), pack.splits["fit"]
    source = WindowMaps(backbone, [pack], source_view(), ("early",), rows, labels, 5, CPU)
    began = backbone.seen
    assert_array_equal(source.whole_labels(np.array([2, 0])), labels[rows[[2, 0]]])
    assert WindowMaps(backbone, [pack], source_view(), ("early",), rows, None, 5, CPU).whole_labels(rows) is None
    found = class_weights(source, 3, None, 4)
    assert_array_equal(found, torch.tensor([12 / (3 * 7), 12 / (3 * 4), 12 / 3]))
    assert backbone.seen == began + 1, "an image was encoded to read labels"

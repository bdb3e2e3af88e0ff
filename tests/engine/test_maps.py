"""Maps of features: known components, scikit-learn's components, signs, flat maps, images and their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from torch import Tensor

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack
from deo_bench.engine.build import Statistics
from deo_bench.engine.maps import encode_maps, evenly, feature_maps, pictures, principal
from deo_bench.engine.request import MapRequest, Request
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.probes.record import ProtocolRecord, resolve
from deo_bench.recipe import PartTable
from deo_bench.registry import Registry
from deo_bench.store.maps import read_maps, write_maps
from tests.tiny import encode

CPU = torch.device("cpu")
S2 = BAND_SETS["s2_10"]


def test_maps_of_three_directions_are_told_by_their_coordinates() -> None:
    draws = np.random.default_rng(0)
    coordinates = draws.normal(size=(2, 5, 4, 3))
    coordinates -= coordinates.mean((0, 1, 2))
    coordinates = np.linalg.qr(coordinates.reshape(-1, 3))[0].reshape(2, 5, 4, 3) * [3.0, 2.0, 1.0]
    directions = np.array([[0.8, 0.6, 0, 0, 0], [0, 0, -1.0, 0, 0], [0, 0, 0, 0.28, -0.96]])
    maps = (coordinates @ directions + [5.0, -2, 0, 1, 9]).transpose(0, 3, 1, 2)
    made, explained = principal(maps)
    # Each direction as it is with its largest weight positive: the second and the third point the other way.
    assert_allclose(made, coordinates * [1, -1, -1], atol=1e-6)
    assert_allclose(explained, np.array([9, 4, 1]) / 14, atol=1e-12)
    assert made.dtype == np.float32


def test_components_are_scikit_learns_up_to_sign() -> None:
    maps = np.random.default_rng(1).normal(size=(3, 20, 6, 7)) * np.linspace(1, 3, 20)[:, None, None] + 4
    made, explained = principal(maps.astype(np.float32))
    theirs = PCA(3).fit(cells := maps.astype(np.float32).transpose(0, 2, 3, 1).reshape(-1, 20).astype(np.float64))
    assert_allclose(np.abs(made.reshape(-1, 3)), np.abs(theirs.transform(cells)), atol=1e-5)
    assert_allclose(explained, theirs.explained_variance_ratio_, rtol=1e-9)
    loadings = cells.T @ made.reshape(-1, 3)
    assert (loadings[np.abs(loadings).argmax(0), range(3)] > 0).all()


def test_components_that_there_are_not_are_zero() -> None:
    draws = np.random.default_rng(2)
    line = draws.normal(size=(2, 1, 4, 4)) * np.array([1.0, 2, 3, 4])[:, None, None]
    made, explained = principal(line.astype(np.float32).astype(np.float64))
    assert explained[0] == pytest.approx(1) and not explained[1:].any() and not made[..., 1:].any()
    two, share = principal(draws.normal(size=(1, 2, 4, 4)))
    assert share[:2].sum() == pytest.approx(1) and share[2] == 0 and two.shape == (1, 4, 4, 3)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_flat_maps_have_no_components(value: float) -> None:
    rounding = 1 + 1e-7 * np.random.default_rng(3).normal(size=(2, 6, 4, 4))
    made, explained = principal((value * rounding).astype(np.float32))
    assert not made.any() and not explained.any()


def test_maps_that_are_not_finite_are_said() -> None:
    maps = np.ones((1, 4, 2, 2))
    maps[0, 0, 0, 0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        principal(maps)


def test_images_are_spread_over_the_split() -> None:
    rows = np.arange(100, 200)
    assert_array_equal(evenly(rows, 4), [112, 137, 162, 187])
    assert_array_equal(evenly(rows[:3], 5), rows[:3])
    assert evenly(rows[:0], 4).shape == (0,)


class Pixels(Backbone):
    """Its late map is its normalised pixels, its pooled vector their mean."""

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        self.band_sets = {"s2_10": S2}
        self.normalisations = {"s2_10": statistics.normalisation(S2)}
        self.pooled_dims = {"mean": len(S2)}
        self.levels = {"late": 0}

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        return Features({"mean": pixels.mean((2, 3))}, dict.fromkeys(levels, pixels))


@pytest.fixture
def tiny(pack: Pack) -> Pack:
    """The tiny images as a task's: the last third is reported."""
    return replace(pack, splits={"fit": np.arange(16), "report": np.arange(32, len(pack))})


def protocol(**fields: object) -> ProtocolRecord:
    return resolve("scenes-v1").model_copy(update=fields)


def request(told: ProtocolRecord, count: int = 3, **fields: object) -> MapRequest:
    use = PartTable(use="npz")
    score = Request("run-s0", "tiny", use, "content", told, "knn5_l2", use, "knn", "s2_10")
    return MapRequest(replace(score, **fields), count)  # type: ignore[arg-type]


@pytest.mark.parametrize("normalise", ["native", "dataset"])
@pytest.mark.parametrize("size", [None, 8])
def test_a_map_is_of_what_the_embedding_is_of(tiny: Pack, size: int | None, normalise: str) -> None:
    elsewhere = Statistics(tiny.bands, tiny.unit, tiny.mean + 300, 2 * tiny.std)
    told, backbone = protocol(size=size, normalise=normalise), Pixels(elsewhere)
    chosen = tiny.splits["report"][[1, 7]]
    maps = encode_maps(backbone, tiny, chosen, "s2_10", told, CPU)
    assert maps.shape == (2, 10, size or 16, size or 16)
    assert_allclose(maps.mean((2, 3)), encode(backbone, tiny, "s2_10", told, CPU)[chosen], atol=1e-5)


def test_the_file_s_bytes_are_the_same_every_time_and_its_images_those_of_the_split(tiny: Pack, tmp_path: Path) -> None:
    written = []
    for name in ("one.npz", "two.npz"):
        made = feature_maps(lambda given: Pixels(Statistics.of(given)), tiny, request(protocol()), CPU)
        write_maps(tmp_path / name, made)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    kept = read_maps(tmp_path / "one.npz")
    assert set(kept.images) <= set(tiny.splits["report"]) and len(kept.images) == 3
    assert kept.maps.shape == (3, 16, 16, 3) and kept.pictures.shape == (3, 16, 16, 3) and not kept.reason
    assert (kept.shown, kept.view, kept.level) == ("B04, B03, B02", "native size, native normalisation", "late")


def test_a_backbone_without_maps_says_so(tiny: Pack, tmp_path: Path) -> None:
    statistics = Statistics.of(tiny)
    given = ("s2_10", S2, statistics.normalisation(S2))
    load = lambda _: Registry().build("teacher", "image_stats", *given)  # noqa: E731
    write_maps(tmp_path / "none.npz", feature_maps(load, tiny, request(protocol()), CPU))
    assert read_maps(tmp_path / "none.npz").reason == "it has pooled vectors alone"


def test_a_task_without_a_report_split_is_said(tiny: Pack) -> None:
    with pytest.raises(UserError, match="'tiny' has no report split"):
        feature_maps(lambda given: Pixels(Statistics.of(given)), replace(tiny, splits={}), request(protocol()), CPU)


def test_the_name_says_what_the_maps_are_of_and_not_which_probe() -> None:
    mine = request(protocol())
    assert mine.stem == f"tiny.s2_10.student.{mine.digest}" and len(mine.digest) == 8
    assert request(protocol(bootstrap=7, merge=True), probe="linear", subject="other-s0").digest == mine.digest
    others = [
        request(protocol(), 4), request(protocol(size=8)), request(protocol(normalise="dataset")),
        request(protocol(), task_content="other"), request(protocol(), bands="rgb"), request(protocol(), weights="ema"),
    ]  # fmt: skip
    assert len({mine.digest, *(other.digest for other in others)}) == 7


def test_a_picture_shows_red_green_and_blue_between_two_percentiles(tiny: Pack) -> None:
    shown, names = pictures(tiny, tiny.splits["report"][:4])
    assert names == "B04, B03, B02" and shown.dtype == np.uint8
    assert (shown.min((0, 1, 2)) == 0).all() and (shown.max((0, 1, 2)) == 255).all()
    red = np.asarray(tiny.images[tiny.splits["report"][:4], S2.index("B04")], dtype=float)
    dark, bright = red < np.percentile(red, 2), red > np.percentile(red, 98)
    assert not shown[..., 0][dark].any() and (shown[..., 0][bright] == 255).all()
    assert (np.diff(shown[..., 0].ravel()[np.argsort(red.ravel())].astype(int)) >= 0).all()


def test_a_task_without_red_green_and_blue_shows_its_first_bands(tiny: Pack) -> None:
    radar = replace(tiny, images=np.asarray(tiny.images[:, :2]), bands=("VV", "VH"))
    shown, names = pictures(radar, np.arange(2))
    assert names == "VV, VH, VH" and (shown[..., 1] == shown[..., 2]).all()


def test_what_was_made_for_the_eye_is_left_and_what_is_large_is_made_small(tiny: Pack) -> None:
    images = np.full((2, 3, 600, 300), 51, dtype=np.uint8)
    images[:, 0] = 255
    photo = replace(tiny, images=images, bands=("R", "G", "B"), unit="uint8")
    shown, _ = pictures(photo, np.arange(2))
    assert shown.shape == (2, 256, 128, 3)
    assert (shown == np.array([255, 51, 51])).all()

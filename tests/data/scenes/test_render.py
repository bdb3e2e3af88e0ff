"""Scenes: independent factors, true labels, pictures that RGB alone or pixels alone cannot answer for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from deo_bench.data.scenes import sensor
from deo_bench.data.scenes.render import CLASSES, MOISTURE, PARCELS, Factors, Scene, draw_factors, render
from deo_bench.data.scenes.spectra import MATERIALS
from deo_bench.data.scenes.uses import USES
from deo_bench.draws import numpy_generator


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render(numpy_generator("test", index)) for index in range(60)]


def _factors(count: int) -> np.ndarray:
    drawn = [draw_factors(numpy_generator("factors", index)) for index in range(count)]
    return np.array([(one.material, one.moisture, one.layout, *one.uses) for one in drawn])


def test_factors_are_uniform_and_independent_of_one_another() -> None:
    table = _factors(3000)
    for column, classes in zip(table.T[:3], (MATERIALS, MOISTURE, PARCELS), strict=True):
        assert chisquare(np.bincount(column, minlength=len(classes))).pvalue > 1e-4
    for first, second in itertools.combinations(table.T, 2):
        counts = np.zeros((first.max() + 1, second.max() + 1))
        np.add.at(counts, (first, second), 1)
        assert chi2_contingency(counts).pvalue > 1e-4


def test_a_scene_is_digital_numbers_of_plausible_reflectance(scenes: list[Scene]) -> None:
    images = np.stack([scene.image for scene in scenes])
    assert images.shape == (60, 10, 64, 64) and images.dtype == np.int16
    assert images.min() >= 1 and images.max() <= 16_000
    means = images.mean(axis=(0, 2, 3))
    assert (means > 400).all() and (means < 4500).all()
    assert means[6] > 1.3 * means[2], "land is brighter in near infrared than in red"


def test_the_same_generator_gives_the_same_scene() -> None:
    first, second = render(numpy_generator("same", 7)), render(numpy_generator("same", 7))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.classes, second.classes)
    assert first.factors == second.factors
    assert (render(numpy_generator("same", 8)).image != first.image).mean() > 0.9


def test_the_theme_is_the_commonest_cover_by_far(scenes: list[Scene]) -> None:
    for scene in scenes:
        covers = np.bincount(scene.classes.ravel(), minlength=len(CLASSES))[: len(MATERIALS)]
        assert covers.argmax() == scene.factors.material
        assert np.sort(covers)[-2] < 0.9 * covers.max()
        assert np.count_nonzero(covers) >= 3


def test_uses_are_what_is_seen(scenes: list[Scene]) -> None:
    agree = np.array([np.array(scene.uses) == np.array(scene.factors.uses) for scene in scenes])
    assert agree.mean() > 0.97, "what is drawn is nearly always to be seen"
    for scene in scenes:
        for number, seen in enumerate(scene.uses):
            assert not seen or (scene.classes == len(MATERIALS) + number).sum() >= 8
        assert not (np.array(scene.uses) & ~np.array(scene.factors.uses)).any()
    assert len(USES) == 6


def _with(factors: Factors, seed: int = 3) -> np.ndarray:
    return render(numpy_generator("controlled", seed), factors).image.astype(float)


def test_moisture_is_seen_in_short_wave_infrared_alone() -> None:
    bare = (False,) * 6
    dry, moist = _with(Factors(0, 0, 0, bare)), _with(Factors(0, 4, 0, bare))
    np.testing.assert_array_equal(dry[:3], moist[:3])
    assert np.abs(dry[3:8] / moist[3:8] - 1).mean() < 0.01
    assert (moist[8] / dry[8]).mean() < 0.95 and (moist[9] / dry[9]).mean() < 0.85


def test_partners_look_alike_in_rgb() -> None:
    bare = (False,) * 6
    for pair in range(5):
        # the filler covers differ by the theme's absence alone, so compare the theme's own pixels
        images = []
        for material in (2 * pair, 2 * pair + 1):
            scene = render(numpy_generator("partners", pair), Factors(material, 0, 0, bare))
            images.append(scene.image[:, scene.classes == material].astype(float).mean(axis=1))
        first, second = images
        assert np.abs(np.log(first / second))[:3].max() < 0.12
        assert np.abs(np.log(first / second))[3:].max() > 0.2


def test_light_varies_within_a_scene_more_than_noise() -> None:
    scene = render(numpy_generator("light", 0), Factors(0, 0, 0, (False,) * 6))
    theme = np.log(scene.image[6].astype(float))[scene.classes == 0]
    assert theme.std() > 0.15


def _noiseless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "NOISE", 0.0)


def _pair(stream: int, scale: int, factors: Factors | None = None) -> tuple[Scene, Scene]:
    """A scene at 10 m and, in the visible, `scale` times finer."""
    coarse, fine = (numpy_generator("fine", stream) for _ in range(2))
    return render(coarse, factors), render(fine, factors, scale, visible=True)


@pytest.mark.parametrize("layout", range(len(PARCELS)), ids=PARCELS)
def test_a_finer_picture_is_of_the_same_ground(layout: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times finer, every third pixel has its centre on a 10 m pixel's: there the two must be the same."""
    _noiseless(monkeypatch)
    soft = (False, True, True, False, False, True)
    for stream in range(3):
        coarse, fine = _pair(stream, 3, Factors((3 * layout + stream) % 10, stream, layout, soft))
        assert fine.image.shape == (3, 192, 192) and fine.factors == coarse.factors
        np.testing.assert_allclose(fine.image[:, 1::3, 1::3], coarse.image[:3], atol=1)
        np.testing.assert_array_equal(fine.classes[1::3, 1::3], coarse.classes)


def test_edges_of_water_roofs_and_roads_are_sharper_and_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    _noiseless(monkeypatch)
    for use in (0, 3, 4):
        coarse, fine = _pair(5, 3, Factors(2, 0, 0, tuple(use == other for other in range(6))))
        apart = np.abs(fine.image[:, 1::3, 1::3].astype(int) - coarse.image[:3]).max(axis=0) > 1
        assert 0.001 < apart.mean() < 0.08, "edges alone"
        np.testing.assert_array_equal(fine.classes[1::3, 1::3], coarse.classes)
        average = fine.image.reshape(3, 64, 3, 64, 3).mean(axis=(2, 4))
        # A 10 m pixel half under a roof is half a roof: what the finer pixels within it are on average.
        assert np.corrcoef(average[:, apart].ravel(), coarse.image[:3, apart].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("scale", [2, 4])
def test_the_average_of_finer_pixels_is_the_coarse_one(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly exactly within a field; at its borders the 10 m sensor reads one place, so the two differ."""
    _noiseless(monkeypatch)
    everywhere = []
    for stream in range(20):
        coarse, fine = _pair(stream, scale)
        cells = fine.image.reshape(3, 64, scale, 64, scale).astype(float)
        average = cells.mean(axis=(2, 4))
        within = (np.ptp(cells, axis=(2, 4)) < 0.05 * average).all(axis=0)
        assert within.mean() > 0.1
        for band in range(3):
            assert np.corrcoef(average[band][within], coarse.image[band][within])[0, 1] > 0.999
        everywhere.append(np.corrcoef(average.ravel(), coarse.image[:3].ravel())[0, 1])
    assert np.mean(everywhere) > 0.98 and min(everywhere) > 0.95


def test_the_noise_of_a_finer_picture_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = _pair(1, 2)
    _noiseless(monkeypatch)
    clean = _pair(1, 2)
    coarse, fine = ((one.image[:3].astype(float) - other.image[:3]) for one, other in zip(noisy, clean, strict=True))
    assert fine.std() == pytest.approx(60, rel=0.05), "of a pixel's, whatever its size"
    first = fine.reshape(3, -1)[:, : 64 * 64]
    assert abs(np.corrcoef(first.ravel(), coarse.ravel())[0, 1]) < 0.05


def test_the_visible_alone_is_what_it_is_among_all_bands() -> None:
    whole, visible = (render(numpy_generator("visible", 0), scale=2, visible=only) for only in (False, True))
    assert whole.image.shape == (10, 128, 128)
    np.testing.assert_allclose(visible.image, whole.image[:3], atol=1)
    np.testing.assert_array_equal(visible.classes, whole.classes)


def test_bands_of_20_m_are_blocks_and_bands_of_10_m_are_not(scenes: list[Scene]) -> None:
    images = np.stack([scene.image for scene in scenes]).astype(float)
    within = np.abs(images[..., ::2] - images[..., 1::2]).mean(axis=(0, 2, 3)) / images.mean(axis=(0, 2, 3))
    coarse, fine = [3, 4, 5, 7, 8, 9], [0, 1, 2, 6]
    assert within[coarse].max() < within[fine].min()

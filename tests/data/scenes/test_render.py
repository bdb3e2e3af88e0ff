"""Scenes: independent factors, true labels, pictures that RGB alone or pixels alone cannot answer for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

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


def test_a_finer_picture_is_of_the_same_ground() -> None:
    coarse = render(numpy_generator("fine", 1))
    fine = render(numpy_generator("fine", 1), scale=2)
    assert fine.image.shape == (10, 128, 128) and fine.factors == coarse.factors
    assert (fine.classes[::2, ::2] == coarse.classes).mean() > 0.9
    again = fine.image.reshape(10, 64, 2, 64, 2).mean(axis=(2, 4))
    for band in range(10):
        assert np.corrcoef(again[band].ravel(), coarse.image[band].ravel())[0, 1] > 0.9


def test_bands_of_20_m_are_blocks_and_bands_of_10_m_are_not(scenes: list[Scene]) -> None:
    images = np.stack([scene.image for scene in scenes]).astype(float)
    within = np.abs(images[..., ::2] - images[..., 1::2]).mean(axis=(0, 2, 3)) / images.mean(axis=(0, 2, 3))
    coarse, fine = [3, 4, 5, 7, 8, 9], [0, 1, 2, 6]
    assert within[coarse].max() < within[fine].min()

"""Land cover: labels that the pixels bear out, which neither RGB alone nor a pixel alone can tell."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import jaccard_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deo_bench.data.scenes.land import GROUPS, IGNORED, LAND, land_cover
from deo_bench.data.scenes.render import CLASSES
from deo_bench.data.scenes.spectra import MATERIALS, PAIRS, covers
from deo_bench.data.scenes.write import benchmark_scene

TRAIN = 50
SHAPES = [LAND.index(name) for name in ("orchard", "buildings", "road")]


@pytest.fixture(scope="module")
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of images [N, C, H, W] and label maps [N, H, W]."""
    made = [benchmark_scene(index) for index in range(TRAIN + 30)]
    images = np.stack([np.log(scene.image.astype(np.float32)) for scene in made])
    return images, np.stack([land_cover(scene.classes) for scene in made])


def test_every_class_of_the_map_has_one_label_but_clouds() -> None:
    members = [member for group in GROUPS.values() for member in group]
    assert sorted([*members, "cloud"]) == sorted(CLASSES)
    lone = {name: land_cover(np.full((4, 4), number)) for number, name in enumerate(CLASSES)}
    for number, group in enumerate(GROUPS.values()):
        assert all((lone[member] == number).all() for member in group)
    assert (lone["cloud"] == IGNORED).all() and len(LAND) == 12


def test_partners_never_share_a_class() -> None:
    for first, second, _ in PAIRS:
        assert all({first, second} - set(group) for group in GROUPS.values())


def test_a_cell_of_20_m_in_which_partners_meet_is_undecidable() -> None:
    lawn, hyacinth, asphalt = (MATERIALS.index(name) for name in ("lawn", "hyacinth", "asphalt"))
    classes = np.full((6, 6), lawn)
    classes[2:, 3:] = hyacinth
    classes[4:, :3] = asphalt
    torn = land_cover(classes) == IGNORED
    expected = np.zeros((6, 6), dtype=bool)
    expected[2:4, 2:4] = True  # columns 2 and 3 are one cell; below, it is asphalt and hyacinth, which RGB tells apart
    np.testing.assert_array_equal(torn, expected)


def test_little_is_ignored_and_no_class_is_missing(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    counts = np.bincount(scenes[1].ravel(), minlength=256) / scenes[1].size
    assert 0.01 < counts[IGNORED] < 0.08
    assert counts[: len(LAND)].min() > 0.005 and counts[: len(LAND)].max() < 0.35
    assert counts[len(LAND) : IGNORED].sum() == 0


def test_the_nearest_spectrum_tells_much_and_not_all(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    """By the spectral angle (Kruse et al. 1993), which light does not change; over the fields alone."""
    pixels, labels = np.exp(scenes[0][TRAIN:, :, ::3, ::3]), scenes[1][TRAIN:, ::3, ::3]
    field = labels < LAND.index("water")
    spectra = covers() / np.linalg.norm(covers(), axis=1, keepdims=True)
    alike = np.einsum("kc,nchw->nkhw", spectra, pixels / np.linalg.norm(pixels, axis=1, keepdims=True))
    number = land_cover(np.arange(10).repeat(4).reshape(10, 2, 2).transpose(1, 0, 2).reshape(2, 20))[0, ::2]
    right = number[alike.argmax(axis=1)][field] == labels[field]
    commonest = np.bincount(labels[field]).max() / field.sum()
    assert commonest + 0.2 < right.mean() < 0.85


def _with_context(images: np.ndarray) -> np.ndarray:
    """Each pixel, and how it stands out of its surroundings of three sizes and how rough they are [N, 7 C, H, W]."""
    found = [images]
    for width in (3, 7, 15):
        around = (0, 0, width, width)
        mean = uniform_filter(images, around)
        spread = np.sqrt(np.maximum(uniform_filter(images**2, around) - mean**2, 0))
        found += [mean - images, np.log(0.01 + spread)]
    return np.concatenate(found, axis=1)


@pytest.fixture(scope="module")
def ious(scenes: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """IoU of each class on other scenes: a small network on RGB with surroundings, on a pixel's bands, and on both."""
    images, labels = scenes
    inputs = {"rgb": _with_context(images[:, :3]), "pixel": images, "context": _with_context(images)}
    return {name: _iou(kept, labels) for name, kept in inputs.items()}


def _iou(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    model = make_pipeline(
        StandardScaler(),
        MLPClassifier((64,), max_iter=5, batch_size=256, learning_rate_init=3e-3, tol=0, random_state=0),
    )
    rows = inputs[:, :, ::3, ::3].transpose(0, 2, 3, 1)
    maps = labels[:, ::3, ::3]
    fit, test = (maps[part] != IGNORED for part in (slice(TRAIN), slice(TRAIN, None)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows[:TRAIN][fit], maps[:TRAIN][fit])
    truth, found = maps[TRAIN:][test], model.predict(rows[TRAIN:][test])
    return np.asarray(jaccard_score(truth, found, labels=range(len(LAND)), average=None, zero_division=0))


def test_rgb_is_far_below_all_bands_even_with_its_surroundings(ious: dict[str, np.ndarray]) -> None:
    assert ious["rgb"].mean() + 0.15 < ious["pixel"].mean()


def test_a_pixel_is_below_its_surroundings_where_shape_decides(ious: dict[str, np.ndarray]) -> None:
    assert ious["pixel"].mean() + 0.05 < ious["context"].mean() < 0.9
    assert ious["pixel"][SHAPES].mean() + 0.12 < ious["context"][SHAPES].mean()

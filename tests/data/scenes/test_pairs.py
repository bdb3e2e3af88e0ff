"""Pairs of dates: the weather is everywhere and no change, changes are where the labels say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deo_bench.data.scenes import pairs, write
from deo_bench.data.scenes.change import change_pair
from deo_bench.data.scenes.land import IGNORED
from deo_bench.data.scenes.pairs import CHANGES, PairOfDates, render_pair
from deo_bench.data.scenes.uses import Layer, cloud

DIGEST = "70dee1c95f4faea9"
"""Of the first 8 pairs of the task."""


@pytest.fixture(scope="module")
def made() -> list[PairOfDates]:
    return [change_pair(index) for index in range(120)]


def _stacked(made: list[PairOfDates]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both dates [N, C, H, W] in reflectance and the labels [N, H, W]."""
    first, later = (np.stack([getattr(pair, date) for pair in made]) / 1e4 for date in ("image", "later"))
    return first, later, np.stack([pair.changed for pair in made])


def test_numbers_that_change_need_a_new_version() -> None:
    digest = hashlib.sha256()
    for index in range(8):
        pair = change_pair(index)
        for array in (pair.image.astype("<i2"), pair.later.astype("<i2"), pair.changed):
            digest.update(array.tobytes())
    told = (write.GENERATOR, pairs.PAIRS, digest.hexdigest()[:16])
    assert told == (1, 1, DIGEST), "bump PAIRS, and pin the new digest here"


def test_both_dates_are_digital_numbers_of_plausible_reflectance(made: list[PairOfDates]) -> None:
    for pair in made:
        for image in (pair.image, pair.later):
            assert image.shape == (10, 64, 64) and image.dtype == np.int16 and image.min() >= 1
        assert pair.changed.shape == (64, 64) and set(np.unique(pair.changed)) <= {0, 1, IGNORED}


def test_a_pair_in_which_nothing_happened_has_no_changed_pixels_though_all_differ() -> None:
    for index in range(12):
        pair = render_pair("nothing", index, happened=())
        assert not (pair.changed == 1).any()
        assert (pair.image != pair.later).mean() > 0.95
        apart = np.abs(np.log(pair.later / pair.image))
        assert np.median(apart) > 0.05, "light alone moves a pixel by more than noise does"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_where_the_label_says_and_nowhere_else(change: str) -> None:
    """Against the same stream with nothing done: the second date is the same under the same sky, but for the change."""
    seen, unseen, shares = [], [], []
    for index in range(16):
        still, pair = (render_pair("one", index, happened=happened) for happened in ((), (change,)))
        np.testing.assert_array_equal(pair.changed == IGNORED, still.changed == IGNORED)
        date = "image" if change in ("drained", "felled") else "later"
        moved = np.abs(getattr(pair, date).astype(int) - getattr(still, date)) > 60
        in_10_m = moved[[0, 1, 2, 6]].any(axis=0)
        seen.append(in_10_m[pair.changed == 1])
        unseen.append(in_10_m[pair.changed == 0])
        shares.append((pair.changed == 1).mean())
    assert np.concatenate(seen).mean() > 0.9 and np.concatenate(unseen).mean() < 0.05
    assert 0.01 < np.mean(shares) < 0.15


def test_how_much_changes(made: list[PairOfDates]) -> None:
    _, _, labels = _stacked(made)
    still = np.array([not pair.happened for pair in made])
    shares = (labels == 1).mean(axis=(1, 2))
    assert 0.15 < still.mean() < 0.4 and not shares[still].any()
    assert 0.05 < (labels == 1).sum() / (labels != IGNORED).sum() < 0.15
    assert shares.max() < 0.45 and (shares[~still] > 0).all()
    assert 0 < (labels == IGNORED).mean() < 0.06
    assert {change for pair in made for change in pair.happened} == set(CHANGES)


def test_what_a_cloud_hides_on_either_date_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = []

    def kept(draw: np.random.Generator, size: int) -> tuple[Layer, np.ndarray]:
        layers.append(cloud(draw, size))
        return layers[-1]

    monkeypatch.setattr(pairs, "cloud", kept)
    monkeypatch.setattr(pairs, "PRESENT", 1.0)
    ignored = np.stack([change_pair(index).changed == IGNORED for index in range(8)])
    covers = np.stack([layer.cover for layer, _ in layers]).reshape(8, 2, 64, 64)
    np.testing.assert_array_equal(ignored, (covers > 0.5).any(axis=1))
    assert (covers > 0.5).any(axis=(2, 3)).sum(axis=0).min() > 4, "each date has its own"


def _best(score: np.ndarray, labels: np.ndarray) -> float:
    """IoU of the changed pixels of the second half, by the threshold that is best on the first."""
    half = len(labels) // 2

    def iou(part: slice, threshold: float) -> float:
        decided = labels[part] != IGNORED
        found, truth = score[part][decided] > threshold, labels[part][decided] == 1
        return float((found & truth).sum() / (found | truth).sum())

    thresholds = np.quantile(score[:half], np.linspace(0.5, 0.995, 40))
    return iou(slice(half, None), max(thresholds, key=lambda threshold: iou(slice(half), threshold)))


def test_the_difference_of_pixels_tells_something_and_far_from_all(made: list[PairOfDates]) -> None:
    first, later, labels = _stacked(made)
    apart = np.abs(later - first).mean(axis=1)
    decided = labels != IGNORED
    chance = (labels[decided] == 1).mean()
    assert chance + 0.08 < _best(apart, labels) < 0.5
    assert 0.7 < roc_auc_score(labels[decided], apart[decided]) < 0.93


def test_colour_tells_more_than_brightness_and_ten_bands_more_than_three(made: list[PairOfDates]) -> None:
    """Light and shadow move all bands together: what is left of a ratio of dates is the ground's, and no cloud's."""
    first, later, labels = _stacked(made)
    ratio = np.log(later / first)
    colour, visible = (
        _best(np.abs(part - part.mean(axis=1, keepdims=True)).mean(axis=1), labels) for part in (ratio, ratio[:, :3])
    )
    assert _best(np.abs(later - first).mean(axis=1), labels) + 0.15 < colour < 0.8
    assert visible + 0.1 < colour

"""The supervised reference learns what there is to learn, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.draws import global_seed, torch_generator
from deo_bench.errors import UserError
from deo_bench.features import Features, Images
from deo_bench.normalisation import Normalisation
from deo_bench.probes import Fit, Select, _training
from deo_bench.probes._training import augmented
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.supervised import Supervised

BANDS = ("B04", "B03", "B02")


class Tiny(Backbone):
    """One strided convolution and a mean."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.band_sets = {"rgb": BANDS}
        self.normalisations = {"rgb": Normalisation("dn", (1000.0,) * 3, (500.0,) * 3)}
        self.pooled_dims = {"mean": 16}
        self.convolution = nn.Conv2d(3, 16, 4, 4)
        self.dropout = nn.Dropout(dropout)

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        maps = self.dropout(torch.relu(self.convolution(pixels)))
        return Features({"mean": maps.mean((2, 3))})


def student(dropout: float = 0.0) -> Tiny:
    with global_seed("tiny"):
        return Tiny(dropout)


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Images in digital numbers whose class is the brightest band."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 180)
    images = generator.normal(1000, 300, (180, 3, 16, 16))
    images[np.arange(180), labels] += 500
    return images.clip(0).astype(np.uint16), labels


def split(images: np.ndarray, labels: np.ndarray) -> tuple[LabelledImages, LabelledImages, ImageSource]:
    sources = [ImageSource(images, BANDS, "dn", np.arange(at, at + 60)) for at in (0, 60, 120)]
    return LabelledImages(sources[0], labels[:60]), LabelledImages(sources[1], labels[60:120]), sources[2]


@pytest.fixture
def probe() -> Supervised:
    return Supervised(steps=40, batch=32, learning_rate=1e-2, look_every=10)


def test_learns_a_toy_problem_and_repeats_to_the_bit(probe, pixels):
    images, labels = pixels
    before = torch.get_rng_state()
    found = [probe.predict_images(student(0.1), *split(images, labels), 3, "rgb", seed=1) for _ in range(2)]
    assert (found[0].labels == labels[120:]).mean() > 0.9
    assert np.array_equal(found[0].scores, found[1].scores)
    assert torch.equal(before, torch.get_rng_state())
    assert 0 < found[0].chosen["step"] <= 40
    np.testing.assert_allclose(found[0].scores.sum(1), 1)


def test_seeds_differ(probe, pixels):
    one, two = (probe.predict_images(student(), *split(*pixels), 3, seed=seed) for seed in (1, 2))
    assert not np.array_equal(one.scores, two.scores)


def test_constant_labels_stay_the_majority(probe, pixels):
    images, labels = pixels
    found = probe.predict_images(student(), *split(images, np.full_like(labels, 2)), 3)
    assert (found.labels == 2).all()


def test_several_labels(probe, pixels):
    images, labels = pixels
    several = np.stack([labels == 0, labels != 1], 1).astype(np.uint8)
    found = probe.predict_images(student(), *split(images, several), 2)
    assert found.labels is None
    assert ((found.scores > 0.5) == several[120:]).mean() > 0.85


def test_keeps_the_best_on_select_not_the_last(pixels, monkeypatch):
    # Labels of select are another task's: training makes them worse, so patience ends it.
    images, labels = pixels
    probe = Supervised(steps=400, batch=32, learning_rate=1e-2, look_every=5, patience=3)
    fit, select, report = split(images, labels)
    looks: dict[int, np.ndarray] = {}
    real = _training.Best.against

    def look(best, classifier, split, step):
        looks[step] = classifier.probabilities(report)
        return real(best, classifier, split, step)

    monkeypatch.setattr(_training.Best, "against", look)
    found = probe.predict_images(student(), fit, LabelledImages(select.images, (select.labels + 1) % 3), report, 3)
    assert max(looks) == found.chosen["step"] + 15
    assert np.array_equal(found.scores, looks[found.chosen["step"]])
    assert found.chosen["on_edge"] is False


def test_augmentation_moves_and_flips_each_image_alone():
    ramp = torch.arange(8.0).expand(64, 1, 8, 8)
    images = Images(ramp + 10 * torch.arange(8.0)[None, None, :, None], ("B04",), "dn")
    moved = augmented(images, True, 0.25, torch_generator("t")).pixels
    assert moved.shape == images.pixels.shape
    assert len({tuple(each.flatten().tolist()) for each in moved}) > 30
    assert set(moved.unique().tolist()) <= set(images.pixels.unique().tolist())
    still = augmented(images, False, 0.0, torch_generator("t")).pixels
    assert torch.equal(still, images.pixels)
    flipped = augmented(images, True, 0.0, torch_generator("t")).pixels
    variants = {tuple(each.flatten().tolist()) for each in flipped}
    expected = [images.pixels[0].flip(axes) for axes in ((), (1,), (2,), (1, 2))]
    assert variants == {tuple(each.flatten().tolist()) for each in expected}


def test_mistakes_are_one_line(probe, pixels):
    fit, select, report = split(*pixels)
    with pytest.raises(UserError, match="the fit split's label 2"):
        probe.predict_images(student(), fit, select, report, 2)
    with pytest.raises(UserError, match="the loss is not finite at step 0"):
        broken = student()
        nn.init.constant_(broken.convolution.weight, torch.nan)
        probe.predict_images(broken, fit, select, report, 3)
    with pytest.raises(UserError, match="works on images"):
        probe.predict(
            Fit(np.zeros((1, 1)), np.zeros(1)), Select(np.zeros((1, 1)), np.zeros(1)), np.zeros((1, 1)), 2, True
        )

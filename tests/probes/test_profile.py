"""Costs as scores: one value where it is counted, several where it is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.probes import Fit, Select, profile
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.metrics import METRICS
from deo_bench.registry import Registry

BANDS = ("B04", "B03", "B02")
NAMES = ("profile_parameters", "profile_gmacs", "profile_images_per_second", "profile_peak_memory")


class Tiny(Backbone):
    """One strided convolution and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"rgb": BANDS}
        self.normalisations = {"rgb": Normalisation("dn", (0.0,) * 3, (1.0,) * 3)}
        self.pooled_dims = {"mean": 8}
        self.convolution = nn.Conv2d(3, 8, 4, 4)

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        return Features({"mean": self.convolution(pixels).mean((2, 3))})


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def measured(registry: Registry, name: str, size: int = 16, **options) -> np.ndarray:
    source = ImageSource(np.zeros((3, 3, size, size), np.uint16), BANDS, "dn", np.arange(3))
    labelled = LabelledImages(source, np.zeros(3, int))
    found = registry.build("probe", name, options=options).predict_images(Tiny(), labelled, labelled, source, 1)
    assert found.labels is None and found.scores.ndim == 2 and found.scores.shape[1] == 1
    return found.scores[:, 0]


def test_what_is_counted_is_exact(registry: Registry) -> None:
    assert measured(registry, "profile_parameters") == [(8 * 48 + 8) / 1e6]
    assert measured(registry, "profile_gmacs") == [16 * 8 * 48 / 1e9]
    assert measured(registry, "profile_gmacs", size=32) == [4 * 16 * 8 * 48 / 1e9]


def test_images_per_second_are_of_the_batch(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def seconds(backbone, images, sees, normalise, dtype, rounds):
        seen.append((len(images.pixels), sees, normalise, dtype, rounds))
        return [0.5, 0.25]

    monkeypatch.setattr(profile, "seconds", seconds)
    found = measured(registry, "profile_images_per_second", batch=8, rounds=2, precision="bfloat16")
    assert found.tolist() == [16, 32]
    assert seen == [(8, "rgb", "native", torch.bfloat16, 2)]


def test_what_is_measured_has_a_value_a_round(registry: Registry) -> None:
    speed = measured(registry, "profile_images_per_second", rounds=4)
    assert len(speed) == 4 and (speed > 0).all()
    memory = measured(registry, "profile_peak_memory", rounds=2)
    assert memory[0] == memory[1] > 4 * (8 * 48 + 8) / 2**20


def test_each_says_which_way_is_better(registry: Registry) -> None:
    assert set(NAMES) == set(profile.PROFILES)
    directions = {name: METRICS[registry.get("probe", name).facts["metric"]].direction for name in NAMES}
    assert directions == {name: "max" if "second" in name else "min" for name in NAMES}
    assert all(registry.get("probe", name).summary == profile.PROFILES[name]["summary"] for name in NAMES)


def test_mistakes_are_one_line(registry: Registry) -> None:
    nothing = np.zeros((1, 1)), np.zeros(1)
    with pytest.raises(UserError, match="probe 'profile' works on images"):
        registry.build("probe", "profile_gmacs").predict(Fit(*nothing), Select(*nothing), nothing[0], 1, True)
    empty = ImageSource(np.zeros((0, 3, 16, 16), np.uint16), BANDS, "dn", np.arange(0))
    labelled = LabelledImages(empty, np.zeros(0, int))
    with pytest.raises(UserError, match="the report split is empty"):
        registry.build("probe", "profile_gmacs").predict_images(Tiny(), labelled, labelled, empty, 1)

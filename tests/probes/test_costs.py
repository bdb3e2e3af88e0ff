"""Costs against closed forms and a clock that stands still."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.features import Features, Images
from deo_bench.normalisation import Normalisation
from deo_bench.probes import costs

BANDS = ("B04", "B03", "B02")


class Chain(Backbone):
    """A convolution with 4 x 4 cells, then two tensors of known size, of which one is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"rgb": BANDS}
        self.normalisations = {"rgb": Normalisation("dn", (0.0,) * 3, (1.0,) * 3)}
        self.pooled_dims = {"mean": 8}
        self.convolution = nn.Conv2d(3, 8, 4, 4)
        self.passes = 0

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        self.passes += 1
        cells = self.convolution(pixels)
        large = cells.repeat(1, 10, 1, 1)
        small = large[:, :8] * 2
        del large
        return Features({"mean": (small + cells).mean((2, 3))})


def images(size: int = 16, batch: int = 2) -> Images:
    return Images(torch.zeros(batch, 3, size, size), BANDS, "dn")


def test_multiply_adds_of_a_convolution_with_and_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, pixels = Chain().train(), torch.zeros(1, 3, 16, 16)
    # 16 cells, 8 channels, 48 numbers each.
    assert costs.multiply_adds(backbone, pixels, "rgb") == 16 * 8 * 48
    monkeypatch.setattr(costs, "_without_values", lambda module: (_ for _ in ()).throw(NotImplementedError()))
    assert costs.multiply_adds(backbone, pixels, "rgb") == 16 * 8 * 48
    assert backbone.training and backbone.passes == 0


def test_peak_memory_is_weights_images_and_what_is_alive_at_once() -> None:
    backbone = Chain().eval()
    found = costs.peak_bytes(backbone, images(), None, rounds=3)
    weights = 4 * (8 * 48 + 8)
    given, cells = 4 * 2 * 3 * 16 * 16, 4 * 2 * 8 * 16
    # The normalised images, the cells, ten times the cells and their part doubled are alive together.
    others = found[0] - (weights + given + given + cells + 10 * cells + cells)
    # The rest is what normalising needs: a few numbers a band.
    assert 0 <= others <= 200
    assert found == [found[0]] * 3
    assert backbone.passes == 4
    assert costs.peak_bytes(backbone, images(batch=4), None)[0] - found[0] == 2 * (given // 2) * 2 + 12 * cells


def test_seconds_are_those_of_each_pass_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each pass takes as long as its number.
    clock = itertools.accumulate(n // 2 if n % 2 else 1000 for n in range(1, 20))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(clock))
    backbone = Chain().eval()
    took = costs.seconds(backbone, images(), "rgb", rounds=3)
    assert backbone.passes == 4 and len(took) == 3
    assert took == [1000.0] * 3


def test_a_lower_precision_takes_less_memory() -> None:
    backbone = Chain().eval()
    assert (
        costs.peak_bytes(backbone, images(), None, dtype=torch.bfloat16)[0]
        < costs.peak_bytes(backbone, images(), None)[0]
    )

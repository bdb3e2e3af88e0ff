"""SimDINOv2's patch term against a loop over images and masked cells."""

from __future__ import annotations

import math

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.simdinov2_patch import SimDinoV2Patch
from tests.losses.test_ibot import PAIRS, B, K, cells, given


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.dist(a, [0] * K) / math.dist(b, [0] * K)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_equals_its_equation(dtype, tolerance):
    student, target, batch = given(0, dtype)
    total = 0.0
    for v, u in PAIRS:
        for b in range(B):
            places = cells(batch, v, b)
            for y, x in places:
                total -= cosine(student[v, b, :, y, x].tolist(), target[u, b, :, y, x].tolist()) / len(places)
    value = SimDinoV2Patch()(student, target, batch).item()
    assert value == pytest.approx(total / len(PAIRS) / B, rel=tolerance)


def test_agreement_gives_minus_the_share_of_images_with_masked_cells():
    _, target, batch = given(1)
    assert batch.mask.flatten(2).any(2).sum() == 6
    assert SimDinoV2Patch()(3 * target, target, batch).item() == pytest.approx(-6 / 8, rel=1e-12)


def test_lengths_and_cells_that_were_shown_do_not_count():
    student, target, batch = given(2)
    loss, shown = SimDinoV2Patch(), ~batch.mask[:, :, None]
    moved = 7 * student + shown * torch.randn_like(student)
    torch.testing.assert_close(loss(moved, target / 3, batch), loss(student, target, batch))


def test_a_mask_on_another_grid_is_refused():
    student, target, batch = given(3)
    with pytest.raises(UserError, match=r"simdinov2_patch: cells are masked on a grid of 3 x 2 .* 3 x 1"):
        SimDinoV2Patch()(student[..., :1], target[..., :1], Batch(batch.index, PAIRS, mask=batch.mask))

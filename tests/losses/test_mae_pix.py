"""`mae_pix`: masked cells alone, each cell's target of mean 0 and variance 1."""

from __future__ import annotations

import statistics

import pytest
import torch

from deo_bench.losses import Batch
from deo_bench.registry import Registry

REGISTRY = Registry()
PAIRS = [(0, 0), (1, 1)]


def case(dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 6, 2, 4, generator=draw, dtype=torch.float64).to(dtype)
    target = (3 * torch.randn(2, 3, 6, 2, 4, generator=draw, dtype=torch.float64) + 2).to(dtype)
    mask = torch.rand(2, 3, 2, 4, generator=draw) < 0.6
    mask[0, 1] = False
    return student, target, Batch(torch.arange(3), PAIRS, mask=mask)


def by_hand(student, target, mask, normalise=True):
    images = []
    for v, u in PAIRS:
        for b in range(3):
            errors = []
            for row in range(2):
                for column in range(4):
                    if not mask[v, b, row, column]:
                        continue
                    said = student[v, b, :, row, column].tolist()
                    wanted = target[u, b, :, row, column].tolist()
                    if normalise:
                        middle, spread = statistics.fmean(wanted), statistics.variance(wanted)
                        wanted = [(each - middle) / (spread + 1e-6) ** 0.5 for each in wanted]
                    errors.append(statistics.fmean((x - y) ** 2 for x, y in zip(said, wanted, strict=True)))
            images.append(statistics.fmean(errors) if errors else 0.0)
    return statistics.fmean(images)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["64", "32"])
def test_equals_its_loop(normalise, dtype, tolerance):
    student, target, batch = case(dtype)
    loss = REGISTRY.build("loss", "mae_pix", options={"normalise": normalise})
    expected = by_hand(student, target, batch.mask, normalise)
    assert loss(student, target, batch).item() == pytest.approx(expected, rel=tolerance)


def test_cells_that_are_shown_do_not_count():
    student, target, batch = case()
    loss = REGISTRY.build("loss", "mae_pix")
    shown = ~batch.mask[:, :, None]
    before = loss(student, target, batch)
    assert loss(student + 7 * shown, target - 5 * shown, batch).equal(before)
    assert not loss(student + ~shown, target, batch).equal(before)


def test_brightness_and_contrast_of_a_cell_change_nothing():
    student, target, batch = case()
    loss = REGISTRY.build("loss", "mae_pix")
    cells = torch.rand(2, 3, 1, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    torch.testing.assert_close(
        loss(student, target * cells + 9 * cells, batch), loss(student, target, batch), rtol=1e-5, atol=0
    )


def test_a_flat_cell_and_a_cell_of_one_number_are_finite():
    student, _, batch = case(torch.float32)
    loss = REGISTRY.build("loss", "mae_pix")
    flat = loss(student, torch.ones_like(student), batch)
    torch.testing.assert_close(
        flat, REGISTRY.build("loss", "mae_pix", options={"normalise": False})(student, 0 * student, batch)
    )
    assert loss(student[:, :, :1], student[:, :, 1:2], batch).isfinite()

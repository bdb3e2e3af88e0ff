"""`nst`: the double sums of the paper, whichever way it is worked out; what channels' order and scale change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deo_bench.losses import Batch, _pairwise
from deo_bench.registry import Registry

LOSS = Registry().build("loss", "nst")


def kernel(x, y):
    return float(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y))) ** 2


def mmd(s, t):
    """Of channels [C, N] and [E, N] of one image: three double sums."""
    inner = sum(kernel(a, b) for a in s for b in s) / len(s) ** 2
    outer = sum(kernel(a, b) for a in t for b in t) / len(t) ** 2
    return inner + outer - 2 * sum(kernel(a, b) for a in s for b in t) / (len(s) * len(t))


def case(channels, others, grid, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, channels, *grid, generator=draw, dtype=torch.float64)
    return student.to(dtype), torch.randn(2, 3, others, *grid, generator=draw, dtype=torch.float64).to(dtype)


BATCH = Batch(torch.arange(3), [(0, 0), (1, 1)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["64", "32"])
@pytest.mark.parametrize("grid", [(2, 2), (3, 4)], ids=["over cells", "over channels"])
@pytest.mark.parametrize(("channels", "others"), [(5, 7), (7, 5), (6, 6)])
def test_equals_the_double_sums(channels, others, grid, dtype, tolerance):
    student, target = case(channels, others, grid, dtype)
    flat = [values.flatten(3).double().numpy() for values in (student, target)]
    expected = np.mean([mmd(flat[0][v, b], flat[1][v, b]) for v in range(2) for b in range(3)])
    assert LOSS(student, target, BATCH).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("grid", [(2, 2), (4, 4)], ids=["over cells", "over channels"])
def test_order_sign_and_scale_of_channels_change_nothing(grid):
    student, target = case(6, 9, grid)
    scales = torch.tensor([2.0, -1.0, 0.1, -30.0, 1.0, 5.0], dtype=torch.float64).view(-1, 1, 1)
    moved = (student * scales)[:, :, [3, 1, 5, 0, 4, 2]]
    torch.testing.assert_close(LOSS(moved, target, BATCH), LOSS(student, target, BATCH))
    rolled = student.roll(1, -1)
    assert not torch.allclose(LOSS(rolled, target, BATCH), LOSS(student, target, BATCH))


def test_twice_every_channel_is_the_same_set():
    student, target = case(4, 4, (3, 3))
    torch.testing.assert_close(LOSS(torch.cat([student, student], 2), target, BATCH), LOSS(student, target, BATCH))


def test_channels_on_cells_of_their_own():
    """C student and E teacher channels, orthogonal all: 1/C + 1/E."""
    eye = torch.eye(9, dtype=torch.float64).view(1, 1, 9, 3, 3)
    value = LOSS(eye[:, :, :4], eye[:, :, 4:9], Batch(torch.arange(1), [(0, 0)]))
    assert value.item() == pytest.approx(1 / 4 + 1 / 5, rel=1e-12)


def test_blocks_of_images_change_neither_value_nor_gradient(monkeypatch):
    student, target = case(5, 7, (2, 2))
    found = []
    for block in (2**21, 16):
        monkeypatch.setattr(_pairwise, "BLOCK", block)
        given = student.clone().requires_grad_()
        value = LOSS(given, target, BATCH)
        value.backward()
        found.append((value.detach(), given.grad))
    torch.testing.assert_close(found[0], found[1])

"""The coding rate against FACTS' closed forms and an independent computation from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.coding_rate import CodingRate, coding_rate, collapsed_rate
from deo_bench.losses.compression import Compression


def by_definition(rows, eps=0.05, devices=1):
    """Straight from the equation, in numpy: the determinant of the p x p matrix, no Cholesky, no smaller side."""
    batch, width = rows.shape
    matrix = np.eye(width)
    for row in np.asarray(rows, dtype=np.float64):
        matrix += width / (batch * devices * eps) * np.outer(row, row)
    gamma = (width + devices * batch) / (width * devices * batch)
    return gamma * np.linalg.slogdet(matrix)[1] / 2


def unit_rows(batch, width=256, seed=0):
    rows = torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=1)


def orthonormal(batch, width=256):
    return torch.linalg.qr(torch.randn(width, width, dtype=torch.float64)).Q[:batch]


def test_of_equal_rows():
    rows = unit_rows(1).expand(64, -1)
    assert coding_rate(rows).item() == pytest.approx(0.0834092, abs=5e-8)
    assert collapsed_rate(256, 64) == pytest.approx(0.0834092, abs=5e-8)


def test_of_as_many_orthonormal_rows_as_channels():
    assert coding_rate(orthonormal(256)).item() == pytest.approx(math.log(21), abs=1e-9)
    assert math.log(21) == pytest.approx(3.0445224, abs=5e-8)


def test_of_fewer_orthonormal_rows():
    assert coding_rate(orthonormal(64)).item() == pytest.approx(2.7465307, abs=5e-8)


@pytest.mark.parametrize(
    ("eps", "batch", "value"),
    [
        (0.05, 8, 3.3243),
        (0.05, 64, 2.6620),
        (0.05, 256, 2.4184),
        (0.5, 8, 2.1444),
        (0.5, 64, 1.3075),
        (0.5, 256, 0.8863),
    ],
)
def test_of_random_rows(eps, batch, value):
    assert coding_rate(unit_rows(batch), eps).item() == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(("devices", "value"), [(4, 0.730), (16, 0.267)])
def test_more_devices_in_the_denominators_weaken_it(devices, value):
    assert coding_rate(unit_rows(64), 0.05, devices).item() == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(("batch", "devices", "value"), [(64, 16, 0.014), (1024, 1, 0.021)])
def test_of_a_collapsed_batch(batch, devices, value):
    assert collapsed_rate(256, batch, 0.05, devices) == pytest.approx(value, abs=5e-4)
    loss = CodingRate(eps=0.05, virtual_world_size=devices)
    assert loss.collapsed(256, batch * devices) == collapsed_rate(256, batch, 0.05, devices)
    one = torch.ones(batch * devices, 256, dtype=torch.float64)
    assert -loss.pair(one, one).item() == pytest.approx(loss.collapsed(256, batch * devices), rel=1e-9)


@pytest.mark.parametrize(
    ("devices", "reduce_cov", "value"),
    [(4, False, 0.730), (16, False, 0.267), (4, True, 2.417), (16, True, 1.827)],
)
def test_a_batch_of_several_devices_gives_what_they_give(devices, reduce_cov, value):
    """FACTS 1.5: 64 random images on each of N devices, with and without adding up the covariances."""
    rows = unit_rows(64 * devices)
    loss = CodingRate(virtual_world_size=devices, reduce_cov=reduce_cov)
    assert -loss.pair(rows, rows).item() == pytest.approx(value, rel=0.01)
    parts = [by_definition(part, 0.05, devices) for part in rows.view(devices, 64, 256)] if devices == 4 else []
    if parts and not reduce_cov:
        assert -loss.pair(rows, rows).item() == pytest.approx(np.mean(parts), rel=1e-11)


@pytest.mark.parametrize(("devices", "norm"), [(1, 1.41), (4, 0.53), (16, 0.27)])
def test_devices_weaken_its_gradient_as_measured(devices, norm):
    """FACTS 1.5: the norm of a sample's gradient (of the rate, in W) times B = 64."""
    rows = unit_rows(64).requires_grad_()
    coding_rate(rows, 0.05, devices).backward()
    assert (rows.grad.norm(dim=1).mean() * 64).item() == pytest.approx(norm, rel=0.015)


def test_devices_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(UserError, match="virtual_world_size = 4 does not divide a batch of 6"):
        CodingRate(virtual_world_size=4).pair(unit_rows(6), unit_rows(6))


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (7, 7), (1, 4)])
@pytest.mark.parametrize("devices", [1, 3])
def test_equals_its_definition_on_either_side_of_the_gram_matrix(shape, devices):
    rows = unit_rows(*shape, seed=2)
    assert coding_rate(rows, 0.3, devices).item() == pytest.approx(by_definition(rows, 0.3, devices), rel=1e-11)


def test_rises_from_collapsed_to_random_to_orthonormal():
    collapsed, random, orthogonal = collapsed_rate(256, 64), coding_rate(unit_rows(64)), coding_rate(orthonormal(64))
    assert 3 * collapsed < random < orthogonal


@pytest.mark.parametrize("mix", ["average", "student"])
def test_is_the_mean_over_the_pairs(mix):
    student, target = (torch.randn(2, 6, 9, dtype=torch.float64) for _ in range(2))
    expected = []
    for view in range(2):
        s = student[view] / student[view].norm(dim=1, keepdim=True)
        t = target[view] / target[view].norm(dim=1, keepdim=True)
        expected.append(by_definition((s + t) / 2 if mix == "average" else s, 0.2))
    value = CodingRate(eps=0.2, mix=mix)(student, target, Batch(torch.arange(6), [(0, 0), (1, 1)]))
    assert value.item() == pytest.approx(-np.mean(expected), rel=1e-11)


def test_the_student_alone_is_rated_where_told_so():
    student, target = torch.randn(1, 6, 9), torch.randn(1, 6, 9)
    batch = Batch(torch.arange(6), [(0, 0)])
    alone, mixed = CodingRate(mix="student"), CodingRate(mix="average")
    assert alone(student, target, batch).equal(alone(student, -target, batch))
    assert not mixed(student, target, batch).equal(mixed(student, -target, batch))


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_lengths_do_not_matter(scale):
    student = torch.randn(1, 6, 9)
    batch = Batch(torch.arange(6), [(0, 0)])
    value = CodingRate()(student, student, batch)
    torch.testing.assert_close(CodingRate()(student * scale, student, batch), value, rtol=1e-5, atol=0)


def test_a_collapsed_batch_stays_accurate_in_float32():
    rows = torch.ones(64, 256)
    value = CodingRate(eps=1e-4)(rows[None], rows[None], Batch(torch.arange(64), [(0, 0)]))
    assert -value.item() == pytest.approx(collapsed_rate(256, 64, 1e-4), rel=1e-5)


def test_the_whole_loss_of_a_collapsed_run():
    """Compression and expansion with weight 1 each: FACTS' -1.0834."""
    one = torch.ones(2, 64, 256, dtype=torch.float64)
    index = torch.arange(64)
    compressed = Compression()(one, one, Batch(index, [(0, 1), (1, 0)]))
    expanded = CodingRate()(one, one, Batch(index, [(0, 0), (1, 1)]))
    assert (compressed + expanded).item() == pytest.approx(-1.0834, abs=5e-5)

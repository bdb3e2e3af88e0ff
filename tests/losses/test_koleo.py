"""KoLeo against a search through all pairs, against lightly's, and its closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.koleo import CHUNK, KoLeo

V, B, D = 2, 9, 6


def features(seed, dtype=torch.float64, batch=B):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(V, batch, D, generator=generator, dtype=torch.float64).to(dtype)


def koleo(student, **options):
    views = [(view, view) for view in range(len(student))]
    return KoLeo(**options)(student, None, Batch(torch.arange(student.shape[1]), views))


def by_definition(student, eps=1e-8):
    """The least distance over all other images, of points on the sphere; no products, no argmax."""
    total = 0.0
    for view in student.tolist():
        points = [[x / math.dist(row, [0] * D) for x in row] for row in view]
        for i, point in enumerate(points):
            total -= math.log(min(math.dist(point, other) for j, other in enumerate(points) if j != i) + eps)
    return total / student.shape[0] / student.shape[1]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_equals_its_equation(dtype, tolerance, eps):
    student = features(0, dtype)
    assert koleo(student, eps=eps).item() == pytest.approx(by_definition(student, eps), rel=tolerance)


def test_gives_the_value_of_lightly():
    """lightly (as DINOv2) adds 1e-8 to each coordinate of a difference, too: seen only where neighbours are as near."""
    theirs = pytest.importorskip("lightly.loss").KoLeoLoss()
    student = features(1)
    expected = torch.stack([theirs(view) for view in student]).mean()
    torch.testing.assert_close(koleo(student), expected, rtol=1e-6, atol=0)


def test_duplicates():
    one = features(2)[:, :1].expand(V, B, D).clone().requires_grad_()
    value = koleo(one)
    value.backward()
    assert value.item() == pytest.approx(-math.log(1e-8), abs=1e-9)
    assert value.item() == pytest.approx(18.4207, abs=5e-5)
    assert not one.grad.any()


def test_orthonormal_features():
    value = koleo(torch.linalg.qr(features(3, batch=D)).Q).item()
    assert value == pytest.approx(-math.log(2) / 2, abs=1e-7)
    assert value == pytest.approx(-0.3466, abs=5e-5)


def test_lengths_and_rotations_do_not_matter():
    student = features(4)
    turn = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    lengths = torch.rand(V, B, 1, dtype=torch.float64) + 0.1
    torch.testing.assert_close(koleo(lengths * student @ turn), koleo(student))


def test_views_do_not_see_one_another():
    student = features(5)
    apart = torch.stack([koleo(student[:1]), koleo(student[1:])]).mean()
    torch.testing.assert_close(koleo(student), apart)
    twice = student[:1].expand(2, -1, -1)
    torch.testing.assert_close(koleo(twice), koleo(student[:1]))


def test_the_nearest_of_very_near_rows_is_found_in_float32():
    """1e-5 and 3e-5 apart: their products differ by 1e-10, less than float32 tells apart."""
    base = torch.zeros(3, D)
    base[:, 0] = 1.0
    base[1, 1], base[2, 1] = 1e-5, 4e-5
    expected = -(2 * math.log(1e-5 + 1e-8) + math.log(3e-5 + 1e-8)) / 3
    assert koleo(base[None]).item() == pytest.approx(expected, rel=1e-4)


def test_a_step_against_it_moves_neighbours_apart():
    student = features(6).requires_grad_()
    value = koleo(student)
    value.backward()
    assert koleo((student - 1e-3 * student.grad).detach()) < value


def test_an_image_alone_is_refused():
    with pytest.raises(UserError, match=r"koleo: .* at least 2"):
        koleo(features(7, batch=1))


class Largest(TorchDispatchMode):
    """Notes the largest tensor that an operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.elements = max(self.elements, out.numel())
        return out


def test_memory_of_a_large_batch_is_a_chunks():
    student = torch.randn(1, 4096, 64, requires_grad=True)
    with Largest() as largest:
        koleo(student).backward()
    assert largest.elements == CHUNK * 4096
    assert student.grad.isfinite().all()


def test_chunks_find_the_same_neighbours(monkeypatch):
    student = features(8)
    whole = koleo(student)
    monkeypatch.setattr("deo_bench.losses.koleo.CHUNK", 4)
    torch.testing.assert_close(koleo(student), whole, rtol=1e-12, atol=0)

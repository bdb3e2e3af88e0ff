"""`vicreg`, `barlow`, `mmcr` and `sigreg` against their equations in numpy, closed forms and lightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.barlow import BarlowTwins
from deo_bench.losses.mmcr import MaximumManifoldCapacity
from deo_bench.losses.mse import MeanSquaredError
from deo_bench.losses.sigreg import SIGReg
from deo_bench.losses.vicreg import VICReg

B, D = 7, 5
CROSS = [(1, 0), (0, 1)]


def features(seed=0, views=2, batch=B, width=D):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(views, batch, width, generator=generator, dtype=torch.float64) for _ in range(2)]


def batch_of(student, pairs=((0, 0),), seed=0):
    return Batch(torch.arange(student.shape[1]), pairs, generator=torch.Generator().manual_seed(seed))


def close(dtype):
    return 1e-9 if dtype == torch.float64 else 1e-5


def vicreg(s, t, weights=(25, 25, 1), eps=1e-4):
    mean_squared = sum((s[b, d] - t[b, d]) ** 2 for b in range(len(s)) for d in range(s.shape[1])) / s.size
    spread = shared = 0.0
    for z in (s, t):
        covariance = np.cov(z.T)
        for d in range(z.shape[1]):
            spread += max(0, 1 - math.sqrt(covariance[d, d] + eps)) / z.shape[1] / 2
            shared += sum(covariance[d, e] ** 2 for e in range(z.shape[1]) if e != d) / z.shape[1]
    return weights[0] * mean_squared + weights[1] * spread + weights[2] * shared


def barlow(s, t, redundancy=5e-3):
    norm = [(z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (s, t)]
    total = 0.0
    for d in range(s.shape[1]):
        for e in range(s.shape[1]):
            c = sum(norm[0][b, d] * norm[1][b, e] for b in range(len(s))) / len(s)
            total += (1 - c) ** 2 if d == e else redundancy * c**2
    return total


def nuclear(matrix):
    """The sum of singular values by the eigenvalues of the smaller Gram matrix."""
    matrix = matrix if len(matrix) < matrix.shape[1] else matrix.T
    return np.sqrt(np.linalg.eigvalsh(matrix @ matrix.T)).sum()


def mmcr(views, local=5e-3):
    views = views / np.linalg.norm(views, axis=2, keepdims=True)
    centroids = np.array([sum(views[k, b] for k in range(len(views))) / len(views) for b in range(views.shape[1])])
    return -nuclear(centroids) + local * np.mean([nuclear(views[:, b]) for b in range(views.shape[1])])


def sigreg(z, directions, knots=17, reach=3.0):
    points = np.linspace(0, reach, knots)
    total = 0.0
    for a in directions:
        heights = []
        for x in points:
            empirical = np.mean(np.exp(1j * x * (z @ a)))
            heights.append(abs(empirical - math.exp(-(x**2) / 2)) ** 2 * math.exp(-(x**2) / 2))
        area = sum((heights[k] + heights[k + 1]) / 2 * (points[k + 1] - points[k]) for k in range(knots - 1))
        total += len(z) * 2 * area
    return total / len(directions)


def drawn(slices, width, seed=0):
    rows = torch.randn(slices, width, generator=torch.Generator().manual_seed(seed)).double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("loss", "equation", "options"),
    [
        (VICReg(), vicreg, {}),
        (
            VICReg(invariance=1.0, variance=2.0, covariance=3.0, eps=0.1),
            vicreg,
            {"weights": (1, 2, 3), "eps": 0.1},
        ),
        (BarlowTwins(), barlow, {}),
        (BarlowTwins(redundancy=0.5), barlow, {"redundancy": 0.5}),
    ],
)
def test_equals_its_equation(loss, equation, options, dtype):
    student, target = features(1)
    expected = np.mean([equation(student[v].numpy(), target[u].numpy(), **options) for v, u in CROSS])
    value = loss(student.to(dtype), target.to(dtype), batch_of(student, CROSS))
    assert value.item() == pytest.approx(expected, rel=close(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_mmcr_equals_its_equation_over_the_views_that_the_pairs_name(dtype):
    student, target = features(2, views=3)
    pairs = [(0, 1), (2, 1), (2, 0)]
    expected = mmcr(np.concatenate([student[[0, 2]], target[[0, 1]]]), local=0.3)
    value = MaximumManifoldCapacity(local=0.3)(student.to(dtype), target.to(dtype), batch_of(student, pairs))
    assert value.item() == pytest.approx(expected, rel=close(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_sigreg_equals_its_equation(dtype):
    student = features(3, views=3)[0]
    expected = np.mean([sigreg(student[v].numpy(), drawn(8, D), 9, 2.0) for v in (0, 2)])
    loss = SIGReg(slices=8, knots=9, reach=2.0)
    value = loss(student.to(dtype), None, batch_of(student, [(0, 0), (2, 2)]))
    assert value.item() == pytest.approx(expected, rel=close(dtype))


def test_vicreg_of_constant_features():
    rows = torch.full((1, B, D), 3.0, dtype=torch.float64)
    assert VICReg()(rows, rows, batch_of(rows)).item() == pytest.approx(24.75, rel=1e-12)
    assert VICReg(variance=1.0)(rows, rows, batch_of(rows)).item() == pytest.approx(0.99, rel=1e-12)


def test_barlow_of_whitened_equal_views_and_of_constant_ones():
    rows = torch.linalg.qr(torch.randn(64, 8, dtype=torch.float64) - 0.1).Q
    rows = torch.linalg.qr(rows - rows.mean(0)).Q[None] * 1e3
    assert BarlowTwins()(rows, rows, batch_of(rows)).item() == pytest.approx(0, abs=1e-12)
    constant = torch.ones(1, B, D, dtype=torch.float64)
    assert BarlowTwins()(constant, constant, batch_of(constant)).item() == D


def test_barlow_does_not_mind_scale_and_shift_of_a_channel():
    student, target = features(4)
    scale, shift = torch.rand(D, dtype=torch.float64) + 0.5, torch.randn(D, dtype=torch.float64)
    loss, batch = BarlowTwins(), batch_of(student)
    torch.testing.assert_close(
        loss(student * scale + shift, target, batch), loss(student, target, batch), rtol=1e-4, atol=0
    )


def test_mmcr_of_agreeing_views_of_orthonormal_images():
    rows = torch.eye(4, dtype=torch.float64).expand(2, -1, -1) * torch.tensor([2.0, 7.0]).view(2, 1, 1)
    value = MaximumManifoldCapacity(local=0.1)(rows, rows, batch_of(rows, CROSS))
    assert value.item() == pytest.approx(-4 + 0.1 * math.sqrt(4), rel=1e-12)


@pytest.mark.parametrize("part", [VICReg, MaximumManifoldCapacity])
def test_one_rotation_of_both_sides_changes_nothing_but_vicregs_channels(part):
    student, target = features(5)
    rotation = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    loss = part(variance=0.0, covariance=0.0) if part is VICReg else part()
    batch = batch_of(student, CROSS)
    turned = loss(student @ rotation, target @ rotation, batch)
    torch.testing.assert_close(turned, loss(student, target, batch), rtol=1e-9, atol=0)


def test_sigreg_of_gaussian_features_is_the_expected_statistic():
    """E |phi_B - phi|^2 = (1 - e^(-x^2)) / B, so the statistic of Gaussian samples does not depend on B."""
    points = np.linspace(-3, 3, 2001)
    expected = np.trapezoid((1 - np.exp(-(points**2))) * np.exp(-(points**2) / 2), points)
    for batch in (128, 512):
        rows = torch.randn(1, batch, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        value = SIGReg()(rows, None, batch_of(rows)).item()
        assert value == pytest.approx(expected, rel=0.1)
        assert SIGReg()(rows * 2, None, batch_of(rows)).item() > 3 * value
        assert SIGReg()(torch.zeros_like(rows), None, batch_of(rows)).item() > 3 * value


def test_sigreg_draws_other_directions_from_another_generator():
    student = features(6)[0]
    values = [SIGReg(slices=4)(student, None, batch_of(student, seed=seed)).item() for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize(
    ("ours", "theirs"), [(VICReg(), "VICRegLoss"), (BarlowTwins(), "BarlowTwinsLoss")], ids=["vicreg", "barlow"]
)
def test_lightly_has_the_same_value(ours, theirs):
    library = pytest.importorskip("lightly.loss")
    student, target = features(7)
    expected = getattr(library, theirs)()(student[0].clone(), target[0].clone())
    torch.testing.assert_close(ours(student, target, batch_of(student)), expected, rtol=1e-9, atol=0)


def test_lightly_has_the_same_mmcr_of_unit_vectors():
    library = pytest.importorskip("lightly.loss")
    student, target = (torch.nn.functional.normalize(values, dim=2) for values in features(8))
    expected = library.MMCRLoss()(student.transpose(0, 1), target.transpose(0, 1))
    value = MaximumManifoldCapacity()(student, target, batch_of(student, CROSS))
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)


def test_lightly_has_the_same_sigreg_along_the_same_directions(monkeypatch):
    theirs = pytest.importorskip("lightly.loss.lejepa_loss").SIGReg().double()
    student = features(9)[0]
    monkeypatch.setattr(theirs, "_generate_unit_vectors", lambda *_: torch.as_tensor(drawn(1024, D).T))
    value = SIGReg()(student, None, batch_of(student, [(0, 0), (1, 1)]))
    # Its window is kept in float32.
    torch.testing.assert_close(value, theirs(student), rtol=1e-6, atol=0)


@pytest.mark.parametrize("local", [0, 3])
def test_the_terms_that_sigreg_names_make_lejepas_invariance(local):
    """MSE over all pairs with a global view = the invariance + the global views' spread about their mean."""
    library = pytest.importorskip("lightly.loss.lejepa_loss")
    views = features(10, views=2 + local)[0]
    pairs = [(v, u) for v in range(2 + local) for u in range(2)]
    squares = MeanSquaredError()(views, views[:2], batch_of(views, pairs))
    invariance = library.lejepa_invariance_loss(all_proj=views, global_proj=views[:2])
    spread = views[:2].var(0, unbiased=False).mean()
    torch.testing.assert_close(squares, invariance + spread, rtol=1e-9, atol=0)
    if local == 0:
        torch.testing.assert_close(squares, 2 * invariance, rtol=1e-9, atol=0)


@pytest.mark.parametrize("part", [VICReg, BarlowTwins, MaximumManifoldCapacity])
def test_a_target_with_gradients_gets_its_own(part):
    student, target = features(11)
    student.requires_grad_(), target.requires_grad_()
    part()(student, target, batch_of(student)).backward()
    assert student.grad[0].abs().min() > 0 and target.grad[0].abs().min() > 0


@pytest.mark.parametrize(("part", "name"), [(VICReg, "vicreg"), (BarlowTwins, "barlow")])
def test_a_batch_of_one_is_refused_by_name(part, name):
    student, target = features(12, batch=1)
    with pytest.raises(UserError, match=rf"{name}.*needs 2.*got 1"):
        part()(student, target, batch_of(student))


def test_a_rule_of_one_point_is_refused():
    with pytest.raises(UserError, match=r"sigreg\.knots.*at least 2"):
        SIGReg(knots=1)

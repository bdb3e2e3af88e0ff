"""Losses on the relations of a batch: each against loops straight from its equation, and what it must not depend on."""

from __future__ import annotations

import itertools
import math
from statistics import fmean, median, stdev

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch, _pairwise
from deo_bench.registry import Registry

REGISTRY = Registry()
B = 7
FREE = ("rkd_distance", "rkd_angle", "arkd", "sp", "pkt", "cc", "cka")
NAMES = (*FREE, "reciprocal")


def loss_of(name, student, target, seed=3, **options):
    """The loss of one pair of views."""
    batch = Batch(torch.arange(len(student)), [(0, 0)], generator=torch.Generator().manual_seed(seed))
    return REGISTRY.build("loss", name, options=options)(student[None], target[None], batch)


def features(rows=B, widths=(5, 4), seed=0, dtype=torch.float64):
    """A student and a target, one image of the student far from the others, so that errors above 1 are met."""
    generator = torch.Generator().manual_seed(seed)
    student, target = (torch.randn(rows, width, generator=generator, dtype=torch.float64) for width in widths)
    student[0] *= 15
    return student.to(dtype), target.to(dtype)


def rotation(width, seed=5):
    return torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)).double()).Q


def smooth(x):
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def minus(x, y):
    return [a - b for a, b in zip(x, y, strict=True)]


def cosine(x, y):
    return dot(x, y) / math.sqrt(dot(x, x) * dot(y, y))


def table(rows, relation):
    return [[relation(x, y) for y in rows] for x in rows]


def off_diagonal(relations):
    return [value for i, row in enumerate(relations) for j, value in enumerate(row) if i != j]


def rkd_distance(s, t):
    here, there = (table(rows, math.dist) for rows in (s, t))
    one, other = fmean(off_diagonal(here)), fmean(off_diagonal(there))
    cells = itertools.product(range(len(s)), repeat=2)
    return fmean(smooth(here[i][j] / one - there[i][j] / other) for i, j in cells)


def rkd_angle(s, t):
    total = 0.0
    for i, j, k in itertools.permutations(range(len(s)), 3):
        sides = [(minus(rows[i], rows[j]), minus(rows[k], rows[j])) for rows in (s, t)]
        angles = [cosine(x, y) if any(x) and any(y) else 0.0 for x, y in sides]
        total += smooth(angles[0] - angles[1])
    return total / len(s) ** 3


def arkd(s, t):
    mean = fmean(off_diagonal(table(t, math.dist)))
    here, there = ([d / mean for d in off_diagonal(table(rows, math.dist))] for rows in (s, t))
    split = median(there)
    shrink = [max(a - b, 0) * (b < split) for a, b in zip(here, there, strict=True)]
    expand = [max(b - a, 0) * (b >= split) for a, b in zip(here, there, strict=True)]
    return fmean(smooth(x) for x in shrink) + fmean(smooth(x) for x in expand)


def sp(s, t):
    def normalised(rows):
        gram = np.array(rows) @ np.array(rows).T
        return gram / np.sqrt((gram**2).sum(1))[:, None]

    return np.linalg.norm(normalised(s) - normalised(t)) ** 2 / len(s) ** 2


def pkt(s, t):
    def neighbours(rows):
        kernels = table(rows, lambda x, y: (1 + cosine(x, y)) / 2)
        return [[value / sum(row) for value in row] for row in kernels]

    here, there = neighbours(s), neighbours(t)
    cells = itertools.product(range(len(s)), repeat=2)
    return fmean(there[i][j] * math.log((there[i][j] + 1e-7) / (here[i][j] + 1e-7)) for i, j in cells)


def cc(s, t, kernel=lambda c: math.exp(-0.8) * (1 + 0.8 * c + 0.32 * c * c)):
    here, there = (table(rows, lambda x, y: kernel(cosine(x, y))) for rows in (s, t))
    cells = itertools.product(range(len(s)), repeat=2)
    return fmean((here[i][j] - there[i][j]) ** 2 for i, j in cells)


def cka(s, t):
    """From the centred kernels and their traces, not from the features' products."""
    centring = np.eye(len(s)) - 1 / len(s)
    k, m = (centring @ np.array(rows) @ np.array(rows).T @ centring for rows in (s, t))
    return 1 - np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))


def reciprocal(s, t):
    def toward(some, others):
        weights = [[math.exp(cosine(x, y) / 0.07) for y in others] for x in some]
        return [[weight / sum(row) for weight in row] for row in weights]

    def divergence(p, q):
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    pairs = zip(toward(s, t), toward(t, s), strict=True)
    return fmean((divergence(p, q) + divergence(q, p)) / 2 for p, q in pairs)


@pytest.mark.parametrize("widths", [(5, 4), (9, 12)], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_loop(name, widths):
    widths = (widths[0], widths[0]) if name == "reciprocal" else widths
    student, target = features(widths=widths)
    expected = globals()[name](student.tolist(), target.tolist())
    assert expected > 1e-4
    assert loss_of(name, student, target).item() == pytest.approx(expected, rel=1e-9)
    student, target = student.float(), target.float()
    expected = globals()[name](student.double().tolist(), target.double().tolist())
    assert loss_of(name, student, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["rkd_distance", "rkd_angle", "arkd"])
def test_small_differences_of_long_vectors_are_not_lost(name):
    student, target = ((values.float() + 2000) for values in features())
    expected = globals()[name](student.double().tolist(), target.double().tolist())
    assert loss_of(name, student, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["rkd_distance", "rkd_angle", "sp", "cka"])
def test_maps_are_flattened(name):
    student, target = features(widths=(8, 12))
    maps = [rows.view(B, -1, 2, 2) for rows in (student, target)]
    assert loss_of(name, *maps).equal(loss_of(name, student, target))


CHANGES = {
    "rotation": (lambda x: x @ rotation(x.shape[1]), FREE),
    "scale": (lambda x: x * 3, ("rkd_distance", "rkd_angle", "sp", "pkt", "cc", "cka", "reciprocal")),
    "shift": (lambda x: x + torch.arange(x.shape[1]), ("rkd_distance", "rkd_angle", "arkd", "cka")),
    "lengths": (lambda x: x * torch.arange(1, B + 1)[:, None], ("pkt", "cc", "reciprocal")),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_change_of_the_student_does(name, change):
    """Nothing to those that are listed, something to all others; the same for the target, but for ARKD's mean of it."""
    changed, unmoved = CHANGES[change]
    student, target = features(widths=(4, 4))
    before, after = loss_of(name, student, target), loss_of(name, changed(student), target)
    assert after.isclose(before, rtol=1e-9) == (name in unmoved)
    assert loss_of(name, student, changed(target)).isclose(before, rtol=1e-9) == (name in unmoved)


def test_arkd_is_measured_by_the_teacher():
    student, target = features()
    torch.testing.assert_close(loss_of("arkd", 2 * student, 2 * target), loss_of("arkd", student, target))


def test_arkd_asks_for_no_more():
    """Three near each other and one far off cost nothing in a student that has them nearer and farther."""
    teacher, better = (torch.tensor([at], dtype=torch.float64).T for at in ([0, 1, 2, 10], [0, 0.5, 1, 20]))
    assert loss_of("arkd", better, teacher) == 0
    assert loss_of("arkd", teacher, better) > 0.01
    assert loss_of("rkd_distance", better, teacher) > 0


@pytest.mark.parametrize("name", FREE)
def test_a_rotated_copy_is_the_target(name):
    _, target = features()
    assert abs(loss_of(name, target @ rotation(4), target)) < 1e-12


def test_cc_of_a_long_series_is_the_gaussian_kernel():
    student, target = features()
    expected = cc(student.tolist(), target.tolist(), lambda c: math.exp(-0.7 * (2 - 2 * c)))
    assert loss_of("cc", student, target, gamma=0.7, order=25).item() == pytest.approx(expected, rel=1e-9)
    bilinear = cc(student.tolist(), target.tolist(), lambda c: c)
    assert loss_of("cc", student, target, kernel="bilinear").item() == pytest.approx(bilinear, rel=1e-9)


@pytest.mark.parametrize("images", [3, 5])
def test_sampled_angles_are_the_whole_on_average(images):
    student, target = features(rows=8)
    whole = rkd_angle(student.tolist(), target.tolist())
    draws = [loss_of("rkd_angle", student, target, seed, images=images).item() for seed in range(600)]
    assert stdev(draws) > 0.02 * whole
    assert abs(fmean(draws) - whole) < 4 * stdev(draws) / math.sqrt(len(draws))
    assert stdev(draws) / math.sqrt(len(draws)) < 0.05 * whole


def test_images_that_coincide_count_as_right_angles_and_make_no_triplet_of_two():
    student, target = features()
    student[1] = student[2]
    expected = rkd_angle(student.tolist(), target.tolist())
    assert loss_of("rkd_angle", student, target).item() == pytest.approx(expected, rel=1e-9)


def test_every_pair_of_views_draws_triplets_of_its_own():
    student, target = features(rows=9)
    drawing = torch.Generator().manual_seed(0)
    views = (student.expand(2, -1, -1), target.expand(2, -1, -1))
    loss = REGISTRY.build("loss", "rkd_angle", options={"images": 4})
    batch = Batch(torch.arange(9), [(0, 0), (1, 1)], generator=drawing)
    first = loss_of("rkd_angle", student, target, seed=0, images=4)
    assert not loss(*views, batch).isclose(first)


def unbiased(k, m):
    """HSIC_1 as the mean of its kernel over all ordered sets of four rows: O(n^4), from its definition."""
    fours = itertools.permutations(range(len(k)), 4)
    return fmean(k[i][j] * (m[i][j] + m[q][r] - 2 * m[i][q]) for i, j, q, r in fours)


@pytest.mark.parametrize("widths", [(3, 2), (8, 9)], ids=["narrow", "wide"])
def test_debiased_cka_is_the_mean_over_fours(widths):
    student, target = features(6, widths)
    k, m = (table(rows.tolist(), dot) for rows in (student, target))
    expected = 1 - unbiased(k, m) / math.sqrt(unbiased(k, k) * unbiased(m, m))
    assert loss_of("cka", student, target, debiased=True).item() == pytest.approx(expected, rel=1e-9)


def test_few_images_bias_cka():
    def of(images, **options):
        generator = torch.Generator().manual_seed(images)
        sets = [torch.randn(images, 20, generator=generator, dtype=torch.float64) for _ in range(2)]
        return 1 - loss_of("cka", *sets, **options).item()

    assert of(50) == pytest.approx(0.29, abs=0.03)
    assert of(5000) == pytest.approx(0.004, abs=0.001)
    assert of(50, debiased=True) == pytest.approx(0, abs=0.06)
    _, target = features(widths=(2, 20), rows=50)
    assert loss_of("cka", 3 * target @ rotation(20), target, debiased=True).item() == pytest.approx(0, abs=1e-12)


def test_reciprocal_has_gradients_on_both_sides_and_is_zero_where_similarities_are_symmetric():
    student, target = (values.requires_grad_() for values in features(widths=(4, 4)))
    loss_of("reciprocal", student, target).backward()
    assert student.grad.abs().sum() > 0 and target.grad.abs().sum() > 0
    assert loss_of("reciprocal", -target, target).item() == pytest.approx(0, abs=1e-12)
    assert loss_of("reciprocal", torch.ones(B, 4), torch.ones(B, 4) * 2) == 0
    assert loss_of("reciprocal", torch.ones(B, 4).double(), target) > 0.1


def test_distances_are_those_of_pytorch_metric_learning():
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    measure = distances.LpDistance(normalize_embeddings=False)
    student, target = features()
    tables = [measure(rows) for rows in (student, target)]
    ratios = [values / values.sum() * B * (B - 1) for values in tables]
    expected = torch.nn.functional.smooth_l1_loss(*ratios)
    torch.testing.assert_close(loss_of("rkd_distance", student, target), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "least"), [*((name, 2) for name in NAMES if name != "rkd_angle"), ("rkd_angle", 3)])
def test_a_batch_without_relations_is_refused(name, least):
    student, target = features(least, (4, 4))
    assert loss_of(name, student, target).isfinite()
    with pytest.raises(UserError, match=f"loss '{name}'.* needs {least} of them, got {least - 1}; raise train.batch"):
        loss_of(name, student[1:], target[1:])


def test_debiased_cka_needs_four():
    with pytest.raises(UserError, match="needs 4 of them, got 3"):
        loss_of("cka", *features(3), debiased=True)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_stay_moderate_where_some_images_coincide_or_are_zero(name):
    student, target = features(widths=(4, 4), dtype=torch.float32)
    student[1], student[2], student[3] = student[4], 0, 0
    loss_of(name, student.requires_grad_(), target).backward()
    assert student.grad.isfinite().all() and student.grad.abs().max() < 100


@pytest.mark.parametrize("name", NAMES)
def test_blocks_change_nothing(name, monkeypatch):
    student, target = features(11, (4, 4))
    student.requires_grad_()
    whole = loss_of(name, student, target)
    (gradient,) = torch.autograd.grad(whole, student)
    monkeypatch.setattr(_pairwise, "BLOCK", 40)
    parts = loss_of(name, student, target)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(parts, student)[0], gradient, rtol=1e-9, atol=1e-12)

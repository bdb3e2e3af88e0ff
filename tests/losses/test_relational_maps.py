"""Losses on the relations of an image's cells: each against loops straight from its equation, and its invariances."""

from __future__ import annotations

import itertools
import math
from statistics import fmean

import numpy as np
import pytest
import torch

from deo_bench.losses import Batch, _pairwise
from deo_bench.registry import Registry

REGISTRY = Registry()
B, GRID = 3, (3, 4)
NAMES = ("at", "gram", "token_kl", "patch_cka")


def loss_of(name, student, target, seed=3, **options):
    """The loss of one pair of views."""
    batch = Batch(torch.arange(len(student)), [(0, 0)], generator=torch.Generator().manual_seed(seed))
    return REGISTRY.build("loss", name, options=options)(student[None], target[None], batch)


def maps(widths=(5, 6), seed=0, grid=GRID):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(B, width, *grid, generator=generator, dtype=torch.float64) for width in widths]


def rotated(values, seed=5):
    width = values.shape[1]
    turn = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)).double()).Q
    return torch.einsum("bdhw,de->behw", values, turn)


def tokens(values):
    """The cells of each image, row by row of its grid."""
    return [[image[:, y, x].tolist() for y in range(image.shape[1]) for x in range(image.shape[2])] for image in values]


def cosines(rows):
    def cosine(x, y):
        return sum(a * b for a, b in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y)

    return [[cosine(x, y) for y in rows] for x in rows]


def at(s, t):
    def attention(rows):
        energy = [fmean(value * value for value in row) for row in rows]
        return [value / math.hypot(*energy) for value in energy]

    return fmean((a - b) ** 2 for a, b in zip(attention(s), attention(t), strict=True))


def gram(s, t, keep=lambda a, b: (a, b)):
    here, there = cosines(s), cosines(t)
    values = []
    for x, y in itertools.product(range(len(s)), repeat=2):
        a, b = keep(here[x][y], there[x][y])
        values.append((a - b) ** 2)
    return fmean(values)


def token_kl(s, t, temperature=0.07):
    def likeness(rows):
        weights = [[math.exp(value / temperature) for value in row] for row in cosines(rows)]
        return [[weight / sum(row) for weight in row] for row in weights]

    rows = zip(likeness(s), likeness(t), strict=True)
    return fmean(sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)) for p, q in rows)


def patch_cka(s, t):
    centring = np.eye(len(s)) - 1 / len(s)
    k, m = (centring @ np.array(rows) @ np.array(rows).T @ centring for rows in (s, t))
    return 1 - (k * m).sum() / (np.linalg.norm(k) * np.linalg.norm(m))


def looped(name, student, target, *given):
    return fmean(globals()[name](s, t, *given) for s, t in zip(tokens(student), tokens(target), strict=True))


@pytest.mark.parametrize("widths", [(5, 6), (15, 13)], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_loop(name, widths):
    student, target = maps(widths)
    expected = looped(name, student, target)
    assert expected > 1e-4
    assert loss_of(name, student, target).item() == pytest.approx(expected, rel=1e-9)
    student, target = student.float(), target.float()
    expected = looped(name, student.double(), target.double())
    assert loss_of(name, student, target).item() == pytest.approx(expected, rel=1e-5)


GRAM = {
    "both": lambda a, b: (max(a, 0), max(b, 0)),
    "target": lambda a, b: (0 if a < 0 and b < 0 else a, max(b, 0)),
}


@pytest.mark.parametrize("removed", GRAM)
def test_gram_without_negative_cosines(removed):
    student, target = maps()
    expected = looped("gram", student, target, GRAM[removed])
    assert loss_of("gram", student, target, remove_negatives=removed).item() == pytest.approx(expected, rel=1e-9)


def test_the_temperature_of_token_kl():
    student, target = maps()
    expected = looped("token_kl", student, target, 0.5)
    assert loss_of("token_kl", student, target, temperature=0.5).item() == pytest.approx(expected, rel=1e-9)


CHANGES = {
    "rotation": (rotated, NAMES),
    "scale": (lambda x: x * 3e-5, NAMES),
    "sign": (lambda x: -x, NAMES),
    "shift": (lambda x: x + 1, ("patch_cka",)),
    "lengths": (lambda x: x * torch.arange(1, 13).view(GRID), ("gram", "token_kl")),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_change_does(name, change):
    """Nothing to those that are listed, something to all others: of the student, and of the target."""
    changed, unmoved = CHANGES[change]
    student, target = maps()
    before = loss_of(name, student, target)
    assert loss_of(name, changed(student), target).isclose(before, rtol=1e-9) == (name in unmoved)
    assert loss_of(name, student, changed(target)).isclose(before, rtol=1e-9) == (name in unmoved)


@pytest.mark.parametrize("name", NAMES)
def test_a_rotated_copy_is_the_target(name):
    _, target = maps()
    assert abs(loss_of(name, rotated(target), target)) < 1e-12


@pytest.mark.parametrize("tiles", [1, 100], ids=["few cells", "more cells than channels"])
def test_patch_cka_is_that_of_lightly(tiles):
    lightly = pytest.importorskip("lightly.loss")
    student, target = (values.float() for values in maps((6, 6), grid=(3, tiles)))
    rows = [values.flatten(2).transpose(1, 2).contiguous() for values in (student, target)]
    theirs = lightly.PatchKernelAlignmentLoss()(*rows)
    torch.testing.assert_close(loss_of("patch_cka", student, target), theirs, rtol=1e-5, atol=1e-6)
    # Their clamp depends on scale, so that small features have no alignment: not followed.
    small = lightly.PatchKernelAlignmentLoss()(*(values * 1e-4 for values in rows))
    assert small > 0.99
    torch.testing.assert_close(loss_of("patch_cka", student * 1e-4, target * 1e-4), theirs, rtol=1e-5, atol=1e-6)


def test_patch_cka_of_some_cells():
    student, target = maps()
    places = torch.randperm(12, generator=torch.Generator().manual_seed(8))[:5]
    few = [values.flatten(2)[:, :, places, None] for values in (student, target)]
    expected = looped("patch_cka", *few)
    assert loss_of("patch_cka", student, target, seed=8, max_tokens=5).item() == pytest.approx(expected, rel=1e-9)
    assert loss_of("patch_cka", student, target, max_tokens=12).isclose(loss_of("patch_cka", student, target))


@pytest.mark.parametrize("name", NAMES)
def test_values_of_an_image_are_its_own(name):
    student, target = maps()
    batch = Batch(torch.arange(B), [(0, 0)])
    values = REGISTRY.build("loss", name).per_image(student[None], target[None], batch)
    alone = [loss_of(name, student[[b]], target[[b]]) for b in range(B)]
    torch.testing.assert_close(values, torch.stack(alone))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_stay_moderate_where_some_cells_coincide_or_are_zero(name):
    student, target = (values.float() for values in maps())
    student[0, :, 0, 0], student[0, :, 1, 1], student[1] = student[0, :, 0, 1], 0, 0
    loss_of(name, student.requires_grad_(), target).backward()
    assert student.grad.isfinite().all() and student.grad.abs().max() < 100


@pytest.mark.parametrize("name", ["gram", "token_kl", "patch_cka"])
def test_blocks_change_nothing(name, monkeypatch):
    student, target = maps()
    student.requires_grad_()
    whole = loss_of(name, student, target)
    (gradient,) = torch.autograd.grad(whole, student)
    monkeypatch.setattr(_pairwise, "BLOCK", 80)
    parts = loss_of(name, student, target)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(parts, student)[0], gradient, rtol=1e-9, atol=1e-12)

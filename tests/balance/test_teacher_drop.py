"""UNIC's teacher dropping: who is kept, with which chance, and what share everyone comes to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from deo_bench.balance import Moment
from deo_bench.errors import UserError
from deo_bench.registry import Registry

REGISTRY = Registry()
TOWARD = {"easy_cls": ("easy",), "hard": ("hard",), "easy_maps": ("easy",), "free": (), "own": ("student",)}


def built(toward=None, **options):
    return REGISTRY.build("balance", "teacher_drop", TOWARD if toward is None else toward, options=options)


def shares(parts, steps, **options):
    balance, found = built(**options), []
    for step in range(steps):
        balance.moment = Moment(step, torch.Generator().manual_seed(step))
        found.append(balance.shares(parts))
    return torch.stack(found)


def within(found, expected, variance, n):
    """Four standard errors of a mean of n independent draws."""
    assert abs(found - expected) < 4 * math.sqrt(variance / n)


@pytest.mark.parametrize(("normalise", "expected"), [("batch", 1 / 3), ("image", 1 / 4)])
def test_the_easier_of_two_teachers_comes_to_the_share_that_is_expected(normalise, expected):
    """FACTS: (1/2) / (3/2) with the code's normalisation over a large batch, 1/4 image by image; p = 0.5."""
    parts = torch.stack([torch.ones(4096), torch.full((4096,), 2.0)])
    found = shares(parts, 50, by="image", normalise=normalise)
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(50))
    easy = found[:, 0].sum(1)
    # Kept or not is binomial; the share's slope in that count is 1/2 image by image, 1 / 1.5^2 over the batch.
    slope = 0.5 if normalise == "image" else 1 / 2.25
    within(easy.mean().item(), expected, slope**2 * 0.25, 50 * 4096)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_the_teacher_furthest_away_always_teaches_and_others_with_their_chance(p):
    parts = torch.tensor([[1.0, 5.0, 0.0], [2.0, 1.0, -1.0], [3.0, 2.0, -2.0]])
    kept = shares(parts, 3000, by="image", p=p, normalise="image") > 0
    furthest = parts.argmax(0)
    assert kept[:, furthest, torch.arange(3)].all()
    others = torch.ones(3, 3, dtype=torch.bool)
    others[furthest, torch.arange(3)] = False
    within(kept[:, others].double().mean().item(), 1 - p, max(p * (1 - p), 1e-12), 3000 * 6)
    if 0 < p < 1:
        apart = kept[:, others].double()
        correlations = torch.corrcoef(apart.T) - torch.eye(6)
        assert correlations.abs().max() < 5 / math.sqrt(3000), "images or teachers are dropped together"


@pytest.mark.parametrize("normalise", ["batch", "image"])
def test_by_batch_one_draw_is_for_all_images(normalise):
    parts = torch.tensor([[1.0], [2.0]])
    found = shares(parts, 4000, by="batch", normalise=normalise)[:, :, 0]
    assert {tuple(row) for row in found.tolist()} == {(0.0, 1.0), (0.5, 0.5)}
    within(found[:, 0].mean().item(), 1 / 4, 0.25**2, 4000)


class Terms:
    """Losses an image by a shared number, drawn from a seed."""

    def __init__(self, names, seed=0):
        draws = np.random.default_rng(seed)
        self.x = nn.Parameter(torch.tensor(1.5).double())
        self.a = {name: torch.from_numpy(draws.normal(size=6) + 2 * (name == "hard")) for name in names}
        self.images = {name: a * self.x.square() for name, a in self.a.items()}
        self.losses = {name: values.mean() for name, values in self.images.items()}


@pytest.mark.parametrize("normalise", ["batch", "image"])
@pytest.mark.parametrize("by", ["batch", "image"])
def test_a_step_is_the_sum_by_shares_written_as_loops(by, normalise):
    terms, weights = Terms(TOWARD), dict(zip(TOWARD, (1.0, 0.5, 2.0, 0.25, 3.0), strict=True))
    balance = built(by=by, normalise=normalise)
    balance.moment = Moment(7, torch.Generator().manual_seed(7), images=terms.images)
    total = balance.backward(terms.losses, weights, [terms.x], lambda loss: loss.backward())

    a = {name: values.numpy() for name, values in terms.a.items()}
    if by == "batch":
        a = {name: values.mean(keepdims=True) for name, values in a.items()}
    easy, hard = 1.0 * a["easy_cls"] + 2.0 * a["easy_maps"], 0.5 * a["hard"]
    drawn = torch.rand(2, len(easy), generator=torch.Generator().manual_seed(7)).numpy()
    kept = []
    for image in range(len(easy)):
        row = [float(drawn[0, image] >= 0.5), float(drawn[1, image] >= 0.5)]
        row[0 if easy[image] * 1.5**2 > hard[image] * 1.5**2 else 1] = 1.0
        kept.append(row)
    expected = 0.0
    for image, (first, second) in enumerate(kept):
        whole = np.sum(kept) if normalise == "batch" else (first + second) * len(kept)
        expected += (first * easy[image] + second * hard[image]) / whole
    expected += 0.25 * terms.a["free"].mean().item() + 3.0 * terms.a["own"].mean().item()
    assert total.item() == pytest.approx(expected * 1.5**2, rel=1e-12)
    assert terms.x.grad.item() == pytest.approx(expected * 2 * 1.5, rel=1e-12)


@pytest.mark.parametrize("by", ["batch", "image"])
def test_with_one_teacher_left_it_is_the_weighted_sum(by):
    """By its roles, or because the other's terms weigh nothing at this step."""
    for names, weights in (
        (("easy_cls", "easy_maps", "free"), {"easy_cls": 1.0, "easy_maps": 2.0, "free": 0.5}),
        (("easy_cls", "hard"), {"easy_cls": 1.0, "hard": 0.0}),
    ):
        terms = Terms(names)
        for step in range(5):
            balance = built({name: TOWARD[name] for name in names}, by=by)
            balance.moment = Moment(step, torch.Generator().manual_seed(step), images=terms.images)
            total = balance.backward(terms.losses, weights, [terms.x], lambda _: None)
            expected = sum(weights[name] * terms.losses[name] for name in names)
            assert total.item() == pytest.approx(expected.item(), rel=1e-12)


def test_it_asks_for_images_of_the_terms_toward_teachers_alone():
    assert set(built(by="image").needs_images) == {"easy_cls", "easy_maps", "hard"}
    assert built(by="batch").needs_images == ()


def test_a_term_toward_several_teachers_is_refused_by_name():
    with pytest.raises(UserError, match=r"objective.both goes toward a and b together; write a term for each"):
        built({"both": ("a", "b")})

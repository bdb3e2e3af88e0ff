"""Losses of one vector to another (`l1` to `vid`) against loops over every number, their closed forms, invariances."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from deo_bench.losses import Batch
from deo_bench.registry import Registry

REGISTRY = Registry()
PAIRS = [(0, 1), (1, 0), (2, 0), (2, 1)]
B, D = 3, 5


def absolute(s, t):
    return sum(abs(x - y) for x, y in zip(s, t, strict=True)) / len(s)


def smooth(s, t, beta=1.0):
    errors = [abs(x - y) for x, y in zip(s, t, strict=True)]
    return sum(e * e / (2 * beta) if e < beta else e - beta / 2 for e in errors) / len(errors)


def squared(s, t):
    return sum((x - y) ** 2 for x, y in zip(s, t, strict=True)) / len(s)


def away(s, t):
    lengths = math.sqrt(sum(x * x for x in s)) * math.sqrt(sum(y * y for y in t))
    return 1 - sum(x * y for x, y in zip(s, t, strict=True)) / lengths


def hybrid(share, beta=1.0):
    return lambda s, t: share * away(s, t) + (1 - share) * smooth(s, t, beta)


CELLS = {
    "l1": ({}, absolute),
    "smooth_l1": ({}, smooth),
    "smooth_l1 of beta 0.3": ({"beta": 0.3}, lambda s, t: smooth(s, t, 0.3)),
    "radio_hybrid": ({}, hybrid(0.9)),
    "radio_hybrid of 0.6 and 2": ({"share": 0.6, "beta": 2.0}, hybrid(0.6, 2.0)),
    "unic": ({}, hybrid(0.5)),
    "fitnet": ({}, squared),
}


def loop(cell, student, target):
    """The mean over pairs, images and cells of what one cell gives."""
    values = []
    for v, u in PAIRS:
        s, t = student[v].reshape(B, D, -1), target[u].reshape(B, D, -1)
        for b, x in itertools.product(range(B), range(s.shape[2])):
            values.append(cell(s[b, :, x].tolist(), t[b, :, x].tolist()))
    return sum(values) / len(values)


def case(grid, dtype=torch.float64, seed=0):
    draw = torch.Generator().manual_seed(seed)
    student = torch.randn(3, B, D, *grid, generator=draw, dtype=torch.float64)
    return student.to(dtype), torch.randn(2, B, D, *grid, generator=draw, dtype=torch.float64).to(dtype)


def build(name, *widths, **options):
    return REGISTRY.build("loss", name, *widths, options=options)


BATCH = Batch(torch.arange(B), PAIRS)


@pytest.mark.parametrize("grid", [(), (2, 3)], ids=["vectors", "maps"])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["64", "32"])
def test_equals_its_loop(name, grid, dtype, tolerance):
    options, cell = CELLS[name]
    if name == "fitnet" and not grid:
        pytest.skip("takes maps")
    student, target = case(grid, dtype)
    value = build(name.split()[0], **options)(student, target, BATCH)
    assert value.item() == pytest.approx(loop(cell, student, target), rel=tolerance)


@pytest.mark.parametrize("name", ["l1", "smooth_l1", "radio_hybrid", "unic", "fitnet", "vid"])
def test_values_of_an_image_are_its_own(name):
    student, target = case((2, 2))
    loss = build(name, *([D, D] if name == "vid" else []))
    values = loss.per_image(student, target, BATCH)
    alone = [loss(student[:, [b]], target[:, [b]], BATCH) for b in range(B)]
    torch.testing.assert_close(values, torch.stack(alone))


def test_smooth_l1_is_a_parabola_within_beta_and_a_line_of_slope_one_beyond():
    loss, zero = build("smooth_l1"), torch.zeros(1, 1, 1, dtype=torch.float64)
    one = Batch(torch.arange(1), [(0, 0)])
    values = [loss(zero + error, zero, one).item() for error in (0.5, -0.5, 1.0, 3.0, -4.0)]
    assert values == pytest.approx([0.125, 0.125, 0.5, 2.5, 3.5], abs=1e-12)


@pytest.mark.parametrize(("name", "share"), [("radio_hybrid", 0.9), ("unic", 0.5)])
def test_a_longer_student_of_the_right_direction_pays_only_the_smooth_l1(name, share):
    _, target = case((2, 3))
    student, same = 1.7 * target, Batch(torch.arange(B), [(0, 0), (1, 1)])
    expected = (1 - share) * build("smooth_l1")(student, target, same)
    torch.testing.assert_close(build(name)(student, target, same), expected)
    assert expected > 0.01


def vid_loop(student, target, alpha):
    values = []
    for v, u in PAIRS:
        s, t = student[v].reshape(B, D, -1), target[u].reshape(B, D, -1)
        for b, d, x in itertools.product(range(B), range(D), range(s.shape[2])):
            variance = math.log1p(math.exp(alpha[d])) + 1e-5
            values.append(((t[b, d, x] - s[b, d, x]).item() ** 2 / variance + math.log(variance)) / 2)
    return sum(values) / len(values)


@pytest.mark.parametrize("grid", [(), (2, 3)], ids=["vectors", "maps"])
def test_vid_is_the_likelihood_of_each_channel(grid):
    student, target = case(grid)
    loss = build("vid", D, D).double()
    with torch.no_grad():
        loss.alpha.copy_(torch.tensor([-2.0, -0.5, 0.0, 1.5, 4.0]))
    assert loss(student, target, BATCH).item() == pytest.approx(
        vid_loop(student, target, [-2.0, -0.5, 0.0, 1.5, 4.0]), rel=1e-9
    )


@pytest.mark.parametrize("initial", [5.0, 0.01, 200.0])
def test_vid_starts_at_its_initial_variance(initial):
    loss = build("vid", 4, 4, **({} if initial == 5.0 else {"initial": initial}))
    assert loss.variance().tolist() == pytest.approx([initial] * 4, rel=1e-4)
    same = torch.randn(1, 2, 4)
    value = loss(same, same, Batch(torch.arange(2), [(0, 0)]))
    assert value.item() == pytest.approx(math.log(initial) / 2, rel=1e-4)


def test_vid_learns_how_well_each_channel_can_be_said():
    """At its least, each variance is the channel's mean squared error, and L half of 1 + the mean log of them."""
    loss = build("vid", 3, 3).double()
    draw = torch.Generator().manual_seed(0)
    errors = torch.randn(1, 400, 3, generator=draw, dtype=torch.float64) * torch.tensor([0.1, 1.0, 3.0])
    student, batch = torch.zeros_like(errors), Batch(torch.arange(400), [(0, 0)])
    optimiser = torch.optim.LBFGS(loss.parameters(), max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def close():
        optimiser.zero_grad()
        value = loss(student, errors, batch)
        value.backward()
        return value

    optimiser.step(close)
    mean_squares = errors.square().mean((0, 1))
    torch.testing.assert_close(loss.variance().detach(), mean_squares, rtol=1e-4, atol=1e-6)
    assert loss(student, errors, batch).item() == pytest.approx((1 + mean_squares.log().mean().item()) / 2, abs=1e-6)


def test_vid_refuses_a_variance_below_the_least():
    from deo_bench.errors import UserError

    with pytest.raises(UserError, match="initial = 1e-06 has to be above 1e-05"):
        build("vid", 4, 4, initial=1e-6)

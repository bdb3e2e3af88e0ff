"""iBOT's loss against loops over images and masked cells, and against lightly's."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import deo_bench.losses as losses
from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.ibot import Ibot
from tests.losses.test_dino import published_sinkhorn, softmax

V, B, K, GRID = 2, 4, 5, (3, 2)
PAIRS = [(0, 0), (1, 1)]


def given(seed, dtype=torch.float64):
    """Logits of maps, and a mask with an image that has no masked cell and one that has nothing else."""
    generator = torch.Generator().manual_seed(seed)
    student, target = (
        (0.2 * torch.randn(V, B, K, *GRID, generator=generator, dtype=torch.float64)).to(dtype) for _ in range(2)
    )
    mask = torch.rand(V, B, *GRID, generator=generator) < 0.4
    mask[0, 1], mask[1, 2] = False, True
    return student, target, Batch(torch.arange(B), PAIRS, mask=mask)


def cells(batch, v, b):
    return [(y, x) for y in range(GRID[0]) for x in range(GRID[1]) if batch.mask[v, b, y, x]]


def masked(target, batch):
    return [target[u, b, :, y, x].tolist() for v, u in PAIRS for b in range(B) for y, x in cells(batch, v, b)]


def by_definition(student, goals, batch, tau_s=0.1):
    """goals: a distribution for each masked cell, in the order of `masked`."""
    total, goals = 0.0, iter(goals)
    for v, _ in PAIRS:
        for b in range(B):
            places = cells(batch, v, b)
            for y, x in places:
                said = softmax(student[v, b, :, y, x].tolist(), tau_s)
                total -= sum(p * math.log(q) for p, q in zip(next(goals), said, strict=True)) / len(places)
    return total / len(PAIRS) / B


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_equals_its_equation_while_the_centre_moves(dtype, tolerance):
    loss, centre = Ibot(tau_t=0.06, momentum=0.8).to(dtype), [0.0] * K
    for step in range(3):
        student, target, batch = given(step, dtype)
        rows = masked(target, batch)
        goals = [softmax([t - c for t, c in zip(row, centre, strict=True)], 0.06) for row in rows]
        assert loss(student, target, batch).item() == pytest.approx(by_definition(student, goals, batch), rel=tolerance)
        loss.remember(student, target, batch)
        centre = [0.8 * c + 0.2 * sum(row[k] for row in rows) / len(rows) for k, c in enumerate(centre)]
        assert loss.assignment.centre.mean.tolist() == pytest.approx(centre, rel=tolerance)


def test_gives_the_value_and_the_centre_of_lightly():
    """lightly is given the masked tokens of all views and one mask; images without any count in its mean, too."""
    lightly = pytest.importorskip("lightly.loss")
    theirs, loss = lightly.IBOTPatchLoss(output_dim=K).double(), Ibot().double()
    for step in range(3):
        student, target, batch = given(step)
        chosen = batch.mask.flatten(0, 1)
        tokens = [values.flatten(0, 1).permute(0, 2, 3, 1)[chosen] for values in (target, student)]
        torch.testing.assert_close(loss(student, target, batch), theirs(*tokens, mask=chosen), rtol=1e-7, atol=0)
        loss.remember(student, target, batch)
        torch.testing.assert_close(loss.assignment.centre.mean, theirs.center.value[0], rtol=1e-9, atol=1e-12)


def test_sinkhorn_is_the_published_iteration_over_all_masked_cells():
    student, target, batch = given(5)
    goals = published_sinkhorn(masked(target, batch), 0.04).tolist()
    value = Ibot(centring="sinkhorn")(student, target, batch).item()
    assert value == pytest.approx(by_definition(student, goals, batch), rel=1e-9)


def test_uniform_distributions_give_the_logarithm_of_the_prototypes_where_anything_is_masked():
    flat, mask = torch.zeros(2, 2, 4096, 2, 2, dtype=torch.float64), torch.zeros(2, 2, 2, 2, dtype=torch.bool)
    mask[:, :, 0, 1] = True
    batch = Batch(torch.arange(2), PAIRS, mask=mask)
    assert Ibot()(flat, flat, batch).item() == pytest.approx(math.log(4096), abs=1e-9)
    mask[:, 1] = False
    assert Ibot()(flat, flat, batch).item() == pytest.approx(math.log(4096) / 2, abs=1e-9)


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_cells_that_were_shown_do_not_count(centring):
    student, target, batch = given(6)
    loss = Ibot(centring=centring).double()
    shown = ~batch.mask[:, :, None]
    moved = (values + shown * torch.randn_like(values) for values in (student, target))
    assert loss(*moved, batch).equal(loss(student, target, batch))
    assert not loss(student, target + 0.1 * torch.randn_like(target), batch).isclose(loss(student, target, batch))


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_a_batch_without_masked_cells_gives_zero_and_leaves_the_centre(centring):
    student, target, batch = given(7)
    loss = Ibot(centring=centring).double()
    loss.remember(student, target, batch)
    before = loss.assignment.centre.mean.clone()
    batch = replace(batch, mask=torch.zeros_like(batch.mask))
    value = loss(student.requires_grad_(), target, batch)
    value.backward()
    loss.remember(student, target, batch)
    assert value == 0 and not student.grad.any() and loss.assignment.centre.mean.equal(before)


def test_values_of_images_hold_their_own_cells_only():
    student, target, batch = given(8)
    loss = Ibot().double()
    values = loss.per_image(student, target, batch)
    student[:, 2] += torch.randn(K, *GRID)
    changed = loss.per_image(student, target, batch) != values
    assert changed.tolist() == [False, False, True, False]


@pytest.mark.parametrize(("centring", "whole"), [("mean", False), ("sinkhorn", True)])
def test_only_sinkhorn_is_given_the_batch_of_all_ranks(monkeypatch, centring, whole):
    student, target, batch = given(9)
    half = replace(batch, index=batch.index[:2], mask=batch.mask[:, :2])
    monkeypatch.setattr(losses, "is_split", lambda: True)
    monkeypatch.setattr(losses, "joined", lambda *_: (student, target, batch))
    value = Ibot(centring=centring)(student[:, :2], target[:, :2], half)
    monkeypatch.undo()
    loss = Ibot(centring=centring)
    everything, part = loss(student, target, batch), loss(student[:, :2], target[:, :2], half)
    assert value.equal(everything if whole else part) and not everything.isclose(part)


def test_the_targets_temperature_follows_the_progress():
    student, target, batch = given(10)
    value = Ibot(tau_t_end=0.08, warmup=0.4)(student, target, replace(batch, progress=0.2))
    torch.testing.assert_close(value, Ibot(tau_t=0.06)(student, target, batch))


def test_no_gradient_flows_to_a_target_that_is_the_student():
    student, target, batch = given(11)
    target.requires_grad_()
    Ibot()(student.requires_grad_(), target, batch).backward()
    assert student.grad.any() and target.grad is None


def test_a_mask_on_another_grid_is_refused():
    student, target, batch = given(12)
    with pytest.raises(UserError, match=r"ibot: cells are masked on a grid of 3 x 2 and compared on one of 2 x 2"):
        Ibot()(student[:, :, :, :2], target[:, :, :, :2], batch)

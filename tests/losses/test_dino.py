"""DINO's loss against the sums of its equation and against lightly's; its centre, its temperatures, its assignments."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import deo_bench.losses as losses
from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses._prototypes import sinkhorn
from deo_bench.losses.dino import Dino

CROPS, TARGETS, B, K = 4, 2, 5, 7
PAIRS = [(v, u) for u in range(TARGETS) for v in range(CROPS) if v != u]
BATCH = Batch(torch.arange(B), PAIRS)


def logits(seed, dtype=torch.float64, batch=B, scale=0.2):
    generator = torch.Generator().manual_seed(seed)
    made = (torch.randn(n, batch, K, generator=generator, dtype=torch.float64) for n in (CROPS, TARGETS))
    return [(scale * values).to(dtype) for values in made]


def softmax(values, temperature):
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def by_definition(student, goals, tau_s=0.1):
    """A sum a pair, an image and a prototype; goals [U, B, K] are lists."""
    total = 0.0
    for v, u in PAIRS:
        for b in range(len(goals[0])):
            said = softmax(student[v, b].tolist(), tau_s)
            total -= sum(p * math.log(q) for p, q in zip(goals[u][b], said, strict=True))
    return total / len(PAIRS) / len(goals[0])


def centred(target, centre, tau_t):
    return [[softmax([t - c for t, c in zip(row.tolist(), centre, strict=True)], tau_t) for row in v] for v in target]


def published_sinkhorn(scores, temperature, iterations=3):
    """Q [K, N] as published: exponentials, rows to 1 / K, columns to 1 / N, at last columns to 1."""
    q = np.exp(np.asarray(scores, dtype=np.float64) / temperature).T
    k, n = q.shape
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(axis=1, keepdims=True) * k
        q /= q.sum(axis=0, keepdims=True) * n
    return (q * n).T


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_equals_its_equation_while_the_centre_moves(dtype, tolerance):
    loss, centre = Dino(tau_s=0.2, tau_t=0.05, momentum=0.7).to(dtype), [0.0] * K
    for step in range(3):
        student, target = logits(step, dtype)
        value = loss(student, target, BATCH).item()
        assert value == pytest.approx(by_definition(student, centred(target, centre, 0.05), 0.2), rel=tolerance)
        loss.remember(student, target, BATCH)
        for k in range(K):
            mean = sum(target[u, b, k].item() for u in range(TARGETS) for b in range(B)) / TARGETS / B
            centre[k] = 0.7 * centre[k] + 0.3 * mean
        assert loss.assignment.centre.mean.tolist() == pytest.approx(centre, rel=tolerance)


def test_gives_the_value_and_the_centre_of_lightly():
    """lightly moves its centre within `forward`, once the value is computed: the same, when ours moves after the step.

    Its temperature is given by hand: its own warm-up counts epochs, ours the share of training.
    """
    lightly = pytest.importorskip("lightly.loss")
    theirs = lightly.DINOLoss(output_dim=K).double()
    loss = Dino(tau_t_end=0.07, warmup=0.5).double()
    for step in range(4):
        student, target = logits(step)
        batch = replace(BATCH, progress=step / 4)
        temperature = [0.04, 0.055, 0.07, 0.07][step]
        expected = theirs(list(target), list(student), teacher_temp=temperature)
        torch.testing.assert_close(loss(student, target, batch), expected, rtol=1e-7, atol=0)
        loss.remember(student, target, batch)
        torch.testing.assert_close(loss.assignment.centre.mean, theirs.center[0, 0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_uniform_distributions_give_the_logarithm_of_the_prototypes(centring):
    flat = torch.zeros(2, 2, 65536, dtype=torch.float64)
    value = Dino(centring=centring)(flat, flat, Batch(torch.arange(2), [(0, 1), (1, 0)]))
    assert value.item() == pytest.approx(math.log(65536), abs=1e-9)
    assert value.item() == pytest.approx(11.0904, abs=5e-5)


def test_sinkhorn_is_the_published_iteration_over_all_target_views():
    student, target = logits(3)
    goals = published_sinkhorn(target.flatten(0, 1), 0.04).reshape(TARGETS, B, K).tolist()
    value = Dino(centring="sinkhorn")(student, target, BATCH).item()
    assert value == pytest.approx(by_definition(student, goals), rel=1e-9)
    apart = [published_sinkhorn(view, 0.04).tolist() for view in target]
    assert value != pytest.approx(by_definition(student, apart), rel=1e-3)


def test_sinkhorn_balances_the_prototypes():
    scores = torch.randn(60, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    goals = sinkhorn(scores, 0.5, 200)
    torch.testing.assert_close(goals.sum(1), torch.ones(60, dtype=torch.float64))
    torch.testing.assert_close(goals.sum(0), torch.full((K,), 60 / K, dtype=torch.float64))
    assert goals.std(0).min() > 0.05


def test_sinkhorn_of_logits_far_beyond_what_an_exponential_holds():
    scores = 1e4 * torch.randn(8, K, generator=torch.Generator().manual_seed(0))
    goals = sinkhorn(scores, 0.04, 3)
    assert goals.isfinite().all()
    torch.testing.assert_close(goals.sum(1), torch.ones(8))


def test_sinkhorn_does_not_see_what_all_images_have_in_common():
    student, target = logits(4)
    loss, shift = Dino(centring="sinkhorn"), torch.randn(K, dtype=torch.float64)
    torch.testing.assert_close(loss(student, target + shift, BATCH), loss(student, target, BATCH))
    assert not torch.isclose(Dino()(student, target + shift, BATCH), Dino()(student, target, BATCH))


def test_a_centre_without_memory_takes_away_what_all_images_have_in_common():
    student, target = logits(5)
    shift, values = torch.randn(K, dtype=torch.float64), []
    for given in (target, target + shift):
        loss = Dino(momentum=0.0).double()
        loss.remember(student, given, BATCH)
        values.append(loss(student, given, BATCH))
    torch.testing.assert_close(*values)


def test_a_constant_added_to_all_logits_of_an_image_changes_nothing():
    student, target = logits(6)
    moved = student + torch.randn(CROPS, B, 1), target + torch.randn(TARGETS, B, 1)
    torch.testing.assert_close(Dino()(*moved, BATCH), Dino()(student, target, BATCH))


@pytest.mark.parametrize(
    ("options", "progress", "temperature"),
    [
        ({}, 0.9, 0.04),
        ({"tau_t_end": 0.07, "warmup": 0.3}, 0.0, 0.04),
        ({"tau_t_end": 0.07, "warmup": 0.3}, 0.1, 0.05),
        ({"tau_t_end": 0.07, "warmup": 0.3}, 0.9, 0.07),
        ({"tau_t_end": 0.07, "warmup": 0.0}, 0.0, 0.07),
    ],
)
@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_the_targets_temperature_follows_the_progress(options, progress, temperature, centring):
    student, target = logits(7)
    value = Dino(**options, centring=centring)(student, target, replace(BATCH, progress=progress))
    torch.testing.assert_close(value, Dino(tau_t=temperature, centring=centring)(student, target, BATCH))


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_no_gradient_flows_to_a_target_that_is_the_student(centring):
    student, target = (values.requires_grad_() for values in logits(8))
    Dino(centring=centring)(student, target, BATCH).backward()
    assert student.grad.abs().sum() > 0 and target.grad is None


@pytest.mark.parametrize("centring", ["mean", "sinkhorn"])
def test_gradients_are_those_of_the_value_once_there_is_a_centre(centring):
    student, target = logits(9)
    loss = Dino(centring=centring).double()
    loss.remember(student, target, BATCH)
    assert torch.autograd.gradcheck(lambda s: loss(s, target, BATCH), student.requires_grad_())


@pytest.mark.parametrize(("centring", "whole"), [("mean", False), ("sinkhorn", True)])
def test_only_sinkhorn_is_given_the_batch_of_all_ranks(monkeypatch, centring, whole):
    student, target = logits(10)
    half = replace(BATCH, index=BATCH.index[:2])
    monkeypatch.setattr(losses, "is_split", lambda: True)
    monkeypatch.setattr(losses, "joined", lambda *given: (student, target, BATCH))
    value = Dino(centring=centring)(student[:, :2], target[:, :2], half)
    monkeypatch.undo()
    loss = Dino(centring=centring)
    everything, part = loss(student, target, BATCH), loss(student[:, :2], target[:, :2], half)
    assert value.equal(everything if whole else part) and not everything.isclose(part)


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_fresh_loss_goes_on_from_a_saved_state_to_the_bit(tmp_path, stop):
    def steps(loss, first, last):
        values = []
        for step in range(first, last):
            student, target = logits(step, torch.float32)
            values.append(loss(student, target, BATCH).item())
            loss.remember(student, target, BATCH)
        return values

    whole, stopped, resumed = Dino(), Dino(), Dino()
    expected = steps(whole, 0, 5)
    before = steps(stopped, 0, stop)
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    steps(resumed, 7, 7 + (stop == 0))  # what it had seen is forgotten
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert before + steps(resumed, stop, 5) == expected
    assert resumed.assignment.centre.mean.equal(whole.assignment.centre.mean)
    assert resumed.assignment.centre.mean.shape == (K,)


def test_a_state_of_other_parts_is_not_taken():
    with pytest.raises(RuntimeError, match="Missing key"):
        Dino().load_state_dict({})


def test_places_of_different_widths_have_no_common_centre():
    loss = Dino()
    student, target = logits(0, torch.float32)
    loss.remember(student, target, BATCH)
    with pytest.raises(UserError, match="one centre, of 7 prototypes, and was given logits of 6"):
        loss.remember(student[..., :6], target[..., :6], BATCH)

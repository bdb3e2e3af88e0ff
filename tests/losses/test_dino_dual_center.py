"""DINO's loss with two centres against the sums of its equation, and what counts as frequent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses.dino import Dino
from deo_bench.losses.dino_dual_center import Census, DinoDualCenter

B, K = 6, 5
PAIRS = [(1, 0), (2, 0), (0, 1), (2, 1)]
GROUPS = [[2, 0, 0, 0, 1, 0], [0, 0, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1], [0, 2, 3, 3, 3, 2]]


def given(step, dtype=torch.float64):
    generator = torch.Generator().manual_seed(step)
    made = (0.2 * torch.randn(n, B, K, generator=generator, dtype=torch.float64) for n in (3, 2))
    student, target = (values.to(dtype) for values in made)
    return student, target, Batch(torch.arange(B), PAIRS, torch.tensor(GROUPS[step]))


def softmax(values, temperature):
    powers = np.exp(values / temperature)
    return powers / powers.sum()


def by_definition(student, target, centre, tau_t=0.04, tau_s=0.1):
    student, target = student.double().numpy(), target.double().numpy()
    total = 0.0
    for v, u in PAIRS:
        for b in range(B):
            total -= (softmax(target[u, b] - centre, tau_t) * np.log(softmax(student[v, b], tau_s))).sum()
    return total / len(PAIRS) / B


def is_frequent(history, group, times):
    """Of a list of all images' groups so far, in the words of the docstring."""
    return history.count(group) >= times * len(history) / len(set(history))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("alpha", "times"), [(0.8, 1.0), (0.3, 1.4), (0.0, 0.2)])
def test_equals_its_equation_while_both_centres_move(dtype, tolerance, alpha, times):
    loss = DinoDualCenter(alpha=alpha, frequent=times, tau_t_end=None, momentum=0.6).to(dtype)
    every, frequent, history, kept = np.zeros(K), np.zeros(K), [], []
    for step in range(len(GROUPS)):
        student, target, batch = given(step, dtype)
        centre = alpha * every + (1 - alpha) * frequent
        assert loss(student, target, batch).item() == pytest.approx(
            by_definition(student, target, centre), rel=tolerance
        )
        loss.remember(student, target, batch)
        history += GROUPS[step]
        rows = [target[:, b].double().numpy() for b in range(B) if is_frequent(history, GROUPS[step][b], times)]
        every = 0.6 * every + 0.4 * target.double().numpy().mean((0, 1))
        frequent = 0.6 * frequent + 0.4 * np.concatenate(rows).mean(0) if rows else frequent
        kept.append(len(rows))
        assert loss.frequent_centre.mean.tolist() == pytest.approx(frequent.tolist(), rel=tolerance)
    assert kept == {1.0: [4, 6, 6, 3], 1.4: [4, 2, 0, 0], 0.2: [6, 6, 6, 6]}[times]


def test_with_one_centre_it_is_dino():
    plain, dual = Dino().double(), DinoDualCenter(alpha=1.0, tau_t_end=None).double()
    for step in range(3):
        student, target, batch = given(step)
        assert dual(student, target, batch).equal(plain(student, target, batch))
        plain.remember(student, target, batch), dual.remember(student, target, batch)


def test_its_temperature_is_terrafms():
    student, target, batch = given(0)
    for progress, temperature in ((0.0, 0.04), (0.15, 0.05), (0.6, 0.06)):
        value = DinoDualCenter()(student, target, replace(batch, progress=progress))
        torch.testing.assert_close(value, DinoDualCenter(tau_t=temperature, tau_t_end=None)(student, target, batch))


def test_data_without_groups_are_refused_before_anything_is_changed():
    student, target, batch = given(0)
    loss = DinoDualCenter()
    with pytest.raises(UserError, match=r'which group .*train\.clusters = 8.* loss = "dino"'):
        loss(student, target, replace(batch, groups=None))
    with pytest.raises(UserError, match="which group"):
        loss.remember(student, target, replace(batch, groups=None))
    assert loss.centre.mean.ndim == 0


def test_the_census_counts_over_steps_and_grows():
    census = Census(1.0)
    census.add(torch.tensor([0, 0, 1, 1]))
    census.add(torch.tensor([4, 4, 0, 4, 4]))
    assert census.seen.tolist() == [3, 2, 0, 0, 4]
    assert census.is_frequent(torch.tensor([0, 1, 4])).tolist() == [True, False, True]


def test_a_fresh_loss_goes_on_from_a_saved_state_to_the_bit():
    whole, resumed = DinoDualCenter(), DinoDualCenter()
    for step in range(4):
        student, target, batch = given(step, torch.float32)
        if step == 2:
            resumed.load_state_dict(whole.state_dict())
        if step >= 2:
            assert resumed(student, target, batch).equal(whole(student, target, batch))
            resumed.remember(student, target, batch)
        whole.remember(student, target, batch)
    mine, theirs = resumed.state_dict(), whole.state_dict()
    assert sorted(mine) == ["census.seen", "centre.mean", "frequent_centre.mean"]
    assert all(mine[key].equal(theirs[key]) for key in mine)

"""What no part of the project uses yet has its place in the contracts: a state, a mask, a balance of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from deo_bench.losses import Batch
from deo_bench.registry import Registry

PARTS = Path(__file__).parents[1] / "parts"
REGISTRY = Registry([PARTS / "losses.py", PARTS / "balances.py"])


def test_a_queue_holds_the_targets_of_the_steps_before():
    loss = REGISTRY.build("loss", "test_queue", options={"width": 4, "size": 6})
    batch = Batch(torch.arange(4), [(0, 0)])
    steps = [torch.nn.functional.normalize(torch.randn(1, 4, 4), dim=2) for _ in range(3)]
    for target in steps:
        loss.after_step(torch.zeros(1, 4, 4), target, batch)
    assert torch.allclose(loss.queue, torch.cat([steps[2][0], steps[1][0][:2]]))


def test_only_masked_cells_count():
    loss = REGISTRY.build("loss", "test_masked")
    mask = torch.zeros(1, 2, 3, 3, dtype=torch.bool)
    mask[:, :, 1, 1] = True
    student, target = torch.randn(1, 2, 5, 3, 3), torch.randn(1, 2, 5, 3, 3)
    batch = Batch(torch.arange(2), [(0, 0)], mask=mask)
    moved = student + torch.randn_like(student) * ~mask[:, :, None]
    assert loss(moved, target, batch).equal(loss(student, target, batch))
    assert not loss(student + mask[:, :, None], target, batch).equal(loss(student, target, batch))


class Case:
    """A student of two layers, a head that one term uses, and two terms of very different size."""

    def __init__(self):
        torch.manual_seed(0)
        self.student, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        features = self.student(torch.randn(8, 4))
        self.losses = {"small": self.head(features).square().mean(), "large": 1e3 * (features - 1).square().mean()}
        self.calls = 0

    def run_backward(self, total):
        self.calls += 1
        total.backward()


@pytest.mark.parametrize("name", list(REGISTRY.all("balance")))
def test_a_balance_leaves_gradients_on_every_parameter(name):
    case = Case()
    balance = REGISTRY.build("balance", name, list(case.losses))
    weights = {"small": 1.0, "large": 0.5}
    total = balance.backward(case.losses, weights, list(case.student.parameters()), case.run_backward)
    parameters = [*case.student.parameters(), *case.head.parameters(), *balance.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
    assert case.calls >= 1
    assert total.shape == () and total.isfinite() and not total.requires_grad


def test_fixed_weights_are_the_weighted_sum():
    case = Case()
    balance = REGISTRY.build("balance", "fixed", list(case.losses))
    total = balance.backward(case.losses, {"small": 2.0, "large": 0.5}, [], case.run_backward)
    assert total.item() == pytest.approx(2 * case.losses["small"].item() + 0.5 * case.losses["large"].item())


def test_a_balance_may_compare_the_terms_gradients():
    """Each term alone would leave a gradient of length 1 on the student, whatever its size."""
    case = Case()
    balance = REGISTRY.build("balance", "test_equal", list(case.losses))
    shared = list(case.student.parameters())
    balance.backward(case.losses, {"small": 1.0, "large": 0.0}, shared, case.run_backward)
    assert torch.cat([p.grad.flatten() for p in shared]).norm().item() == pytest.approx(1, rel=1e-5)


def test_a_balance_may_learn():
    case = Case()
    balance = REGISTRY.build("balance", "test_learned", list(case.losses))
    balance.backward(case.losses, {"small": 1.0, "large": 1.0}, [], case.run_backward)
    expected = torch.stack([1 - value.detach() for value in case.losses.values()])
    torch.testing.assert_close(balance.log_variance.grad, expected)

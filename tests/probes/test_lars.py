"""LARS against its paper's formula, by hand, and against timm's."""

from __future__ import annotations

import pytest
import torch
from timm.optim import Lars as Theirs

from deo_bench.probes._lars import Lars, trust_ratio


def test_the_trust_ratio_by_hand() -> None:
    value, gradient = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    # 0.001 * 5 / (2 + 0.1 * 5)
    assert trust_ratio(value, gradient, 0.1, 1e-3).item() == pytest.approx(0.002)
    assert trust_ratio(0 * value, gradient, 0.1, 1e-3).item() == 1
    assert trust_ratio(value, 0 * gradient, 0.1, 1e-3).item() == 1


def test_two_steps_by_hand() -> None:
    value, bias = (torch.nn.Parameter(torch.tensor(each)) for each in ([[3.0, 4.0]], [1.0]))
    optimiser = Lars([value, bias], lr=10.0, momentum=0.5, weight_decay=0.1)
    value.grad, bias.grad = torch.tensor([[0.0, 2.0]]), torch.tensor([0.25])
    optimiser.step()
    # 10 * 0.002 * (gradient + 0.1 * w), and the bias as by plain descent.
    first = 10 * 0.002 * torch.tensor([[0.3, 2.4]])
    torch.testing.assert_close(value.data, torch.tensor([[3.0, 4.0]]) - first)
    assert bias.item() == pytest.approx(1 - 2.5)
    bias.grad = None
    value.grad = torch.tensor([[0.0, 0.0]])
    before = value.detach().clone()
    optimiser.step()
    # Trust is 1 where the gradient is 0; half of the first step goes on.
    torch.testing.assert_close(value.data, before - (0.5 * first + 10 * 0.1 * before))
    assert bias.item() == pytest.approx(1 - 2.5)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_equals_timm(decay: float) -> None:
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    # timm decays in the step that it scales only where it adapts; its rate leaves velocity as it was.
    optimisers = Lars([ours], 2.0, weight_decay=decay), Theirs([theirs], 2.0, 0.9, 0, decay, always_adapt=True)
    for _ in range(5):
        for value, optimiser in zip((ours, theirs), optimisers, strict=True):
            value.grad = 2 * value.detach() + 1
            optimiser.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)

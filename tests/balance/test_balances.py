"""Each balance equals its equation, worked out by numpy over a few steps."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from deo_bench.balance.pcgrad import projected
from deo_bench.errors import UserError
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from deo_bench.schedules import Schedule
from tests.balance.problem import REGISTRY, Problem, built
from tests.tiny import EXPERIMENT, recipe

CENTRES = [[1.0, 2.0, 0.5], [-1.0, 0.3, 2.0], [0.2, -2.0, -1.0]]
SCALES = [1.0, 10.0, 0.1]
WEIGHTS = np.array([1.0, 0.5, 2.0])


def three():
    return Problem(CENTRES, SCALES)


def test_fixed_is_the_weighted_sum():
    problem = three()
    values, slopes = problem.numbers()
    total, gradient = problem.step(built("fixed", problem), WEIGHTS)
    assert total == pytest.approx(np.dot(WEIGHTS, values), rel=1e-12)
    np.testing.assert_allclose(gradient, WEIGHTS @ slopes, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.99, 0.5, 0.0])
@pytest.mark.parametrize("offsets", [None, [-8.0, 0.0, 3.0]], ids=["above zero", "one below zero"])
def test_ema_norm_divides_by_the_running_size(momentum, offsets):
    problem = Problem(CENTRES, SCALES, offsets)
    balance, sizes = built("ema_norm", problem, momentum=momentum), None
    for _ in range(3):
        values, slopes = problem.numbers()
        sizes = np.abs(values) if sizes is None else momentum * sizes + (1 - momentum) * np.abs(values)
        total, gradient = problem.step(balance, WEIGHTS)
        assert total == pytest.approx((WEIGHTS * values / sizes).sum(), rel=1e-9)
        np.testing.assert_allclose(gradient, (WEIGHTS / sizes) @ slopes, rtol=1e-9)


def test_ema_norm_weighs_terms_of_any_unit_alike():
    one, other = three(), Problem(CENTRES, [1e4 * scale for scale in SCALES])
    for problem in (one, other):
        for head in problem.heads:
            head.data.copy_(problem.shared[0])
    gradients = [problem.step(built("ema_norm", problem), WEIGHTS)[1] for problem in (one, other)]
    np.testing.assert_allclose(*gradients, rtol=1e-9)


def test_uncertainty_is_kendalls_sum_and_learns():
    problem = three()
    balance, a = built("uncertainty", problem), np.zeros(3)
    assert balance.log_variances.tolist() == [0, 0, 0]
    for _ in range(3):
        values, slopes = problem.numbers()
        total, gradient = problem.step(balance, WEIGHTS)
        assert total == pytest.approx((WEIGHTS * (np.exp(-a) * values + a)).sum(), rel=1e-9)
        np.testing.assert_allclose(gradient, (WEIGHTS * np.exp(-a)) @ slopes, rtol=1e-9)
        a = a - 0.05 * WEIGHTS * (1 - np.exp(-a) * values)
        np.testing.assert_allclose(balance.log_variances.detach().numpy(), a, rtol=1e-9)


def test_uncertainty_refuses_a_loss_below_zero_by_name():
    problem = Problem(CENTRES, SCALES, [0.0, -30.0, 0.0])
    with pytest.raises(UserError, match=r"objective.term1 is -\d.*not below zero; use fixed, ema_norm"):
        problem.step(built("uncertainty", problem), WEIGHTS)
    problem.step(built("uncertainty", problem), [1.0, 0.0, 1.0])


@pytest.mark.parametrize(("temperature", "every"), [(2.0, 1), (0.5, 1), (2.0, 3)])
def test_dwa_weighs_by_the_ratio_of_the_two_losses_before(temperature, every):
    problem = three()
    balance = built("dwa", problem, temperature=temperature, every=every)
    means, period = [], []
    for _ in range(4 * every):
        values, slopes = problem.numbers()
        factors = np.ones(3)
        if len(means) >= 2:
            e = np.exp(means[-1] / means[-2] / temperature)
            factors = 3 * e / e.sum()
        total, gradient = problem.step(balance, WEIGHTS, rate=0.01)
        assert total == pytest.approx((WEIGHTS * factors * values).sum(), rel=1e-9)
        np.testing.assert_allclose(gradient, (WEIGHTS * factors) @ slopes, rtol=1e-8)
        period.append(values)
        if len(period) == every:
            means.append(np.mean(period, 0))
            period = []
    assert np.ptp(factors) > 0.01


def test_dwa_takes_a_loss_that_falls_below_zero_for_one_that_falls():
    """From -1 to -2 is progress, as from 2 to 1 is; the bare ratio would say 2 and 1 / 2."""
    balance = REGISTRY.build("balance", "dwa", ["below", "above", "still"])
    balance.before.copy_(torch.tensor([[-1.0, 2.0, 1.0], [-2.0, 1.0, 1.0]]))
    below, above, still = balance.factors().tolist()
    assert below < above < still
    assert below + above + still == pytest.approx(3)


@pytest.mark.parametrize("alpha", [1.5, 0.0])
def test_gradnorm_descends_on_its_own_loss(alpha):
    """The slope in each factor's logarithm is by finite differences of sum |G_k - target|, the targets held."""
    problem = three()
    balance, c, first = built("gradnorm", problem, alpha=alpha, lr=0.03), np.ones(3), None
    for _ in range(3):
        values, slopes = problem.numbers()
        first = values if first is None else first
        norms = WEIGHTS * np.linalg.norm(slopes, axis=1)
        rate = values / first
        target = (c * norms).mean() * (rate / rate.mean()) ** alpha

        def imbalance(factors, norms=norms, target=target):
            return np.abs(factors * norms - target).sum()

        slope = [(imbalance(c * np.exp(1e-6 * e)) - imbalance(c * np.exp(-1e-6 * e))) / 2e-6 for e in np.eye(3)]
        total, gradient = problem.step(balance, WEIGHTS)
        assert total == pytest.approx((WEIGHTS * c * values).sum(), rel=1e-9)
        np.testing.assert_allclose(gradient, (WEIGHTS * c) @ slopes, rtol=1e-8)
        c = c * np.exp(-0.03 * np.array(slope) / (c * norms).mean())
        c *= 3 / c.sum()
        np.testing.assert_allclose(balance.factors.numpy(), c, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "rises"), [(0.0, True), (1.0, True), (1.5, False), (3.0, False)])
def test_gradnorm_asks_less_of_what_trains_fast_the_more_the_larger_alpha_is(alpha, rises):
    """Sizes .42 and 1.58, rates .5 and 1.5: the targets are .5^alpha and 1.5^alpha."""
    balance = REGISTRY.build("balance", "gradnorm", ["fast", "slow"], options={"alpha": alpha})
    balance.first.copy_(torch.tensor([0.42 / 0.5, 1.58 / 1.5]))
    x = torch.nn.Parameter(torch.ones(()))
    losses = {"fast": 0.42 * x, "slow": 1.58 * x}
    balance.backward(losses, dict.fromkeys(losses, 1.0), [x], lambda loss: loss.backward())
    assert (balance.factors[0] > 1) == rises and (balance.factors[1] < 1) == rises


def test_gradnorm_brings_the_gradients_to_one_size():
    """With alpha 0 every term should pull alike, however its loss is scaled."""
    problem = three()
    balance = built("gradnorm", problem, alpha=0.0, lr=0.03)
    for step in range(400):
        problem.step(balance, [1.0, 1.0, 1.0], step, rate=0.0)
    sizes = balance.factors.numpy() * np.linalg.norm(problem.numbers()[1], axis=1)
    assert balance.factors.sum().item() == pytest.approx(3)
    assert sizes.max() / sizes.min() < 1.3


def test_gradnorm_keeps_its_factors_where_half_precision_overflows():
    problem = three()
    balance = built("gradnorm", problem)
    problem.step(balance, WEIGHTS)
    before = balance.factors.clone()
    problem.step(balance, WEIGHTS, scale=1e308, rate=0.0)
    assert balance.factors.equal(before)
    problem.shared.data.nan_to_num_()


def by_hand(gradients, orders):
    """PCGrad as its algorithm says it, with the vectors themselves."""
    parts = []
    for i, order in enumerate(orders):
        p = gradients[i].copy()
        for j in order:
            if j != i and p @ gradients[j] < 0:
                p = p - (p @ gradients[j]) / (gradients[j] @ gradients[j]) * gradients[j]
        parts.append(p)
    return np.sum(parts, 0)


@pytest.mark.parametrize("step", range(8))
def test_pcgrad_is_the_sum_of_the_projected_gradients(step):
    problem = three()
    problem.shared.data.copy_(0.5 * torch.randn(3, generator=torch.Generator().manual_seed(step)).double())
    _, slopes = problem.numbers()
    gradients = WEIGHTS[:, None] * slopes
    drawing = torch.Generator().manual_seed(step)
    orders = [torch.randperm(3, generator=drawing).tolist() for _ in range(3)]
    _, gradient = problem.step(built("pcgrad", problem), WEIGHTS, step)
    np.testing.assert_allclose(gradient, by_hand(gradients, orders), rtol=1e-9)
    assert np.allclose(gradient, gradients.sum(0)) == (gradients @ gradients.T >= 0).all()


def test_the_order_of_the_projections_is_drawn_and_matters():
    draws = np.random.default_rng(3)
    gradients = draws.normal(size=(3, 2))
    products = torch.from_numpy(gradients @ gradients.T)
    found = set()
    for orders in itertools.product(itertools.permutations(range(3)), repeat=3):
        factors = projected(products, orders).numpy()
        np.testing.assert_allclose(factors @ gradients, by_hand(gradients, orders), atol=1e-12)
        assert (factors >= 1 - 1e-12).all()
        found.add(tuple(np.round(factors, 9)))
    assert len(found) > 1


def test_pcgrad_without_a_conflict_is_the_plain_sum():
    centres = [[3.0, 3.0, 3.0], [4.0, 3.0, 5.0], [3.0, 9.0, 3.0]]
    plain, projecting = Problem(centres, SCALES), Problem(centres, SCALES)
    slopes = plain.numbers()[1]
    assert (slopes @ slopes.T > 0).all()
    one, other = plain.step(built("fixed", plain), WEIGHTS), projecting.step(built("pcgrad", projecting), WEIGHTS)
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-12)


@pytest.mark.parametrize("name", ["gradnorm", "pcgrad"])
def test_what_looks_at_gradients_looks_at_them_as_half_precision_scales_them(name):
    """Gradients that fp16 would flush to zero are seen all the same: they are taken of the scaled loss."""
    problem = three()
    balance = built(name, problem)
    seen = []

    class Flush(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.append(gradient.clone())
            return torch.where(gradient.abs() < 1, 0.0, gradient)

    honest = problem.losses
    problem.losses = lambda: {key: Flush.apply(value) * 1e-3 for key, value in honest().items()}
    _, gradient = problem.step(balance, WEIGHTS, scale=2.0**16)
    assert np.abs(gradient).max() > 0 and seen
    assert all(value.abs() >= 1 for value in seen if value != 0)


@pytest.mark.parametrize("name", list(REGISTRY.all("balance")))
def test_a_weight_may_be_a_schedule(name):
    """`scheduled` is no part: every balance is handed the weights of its step, which are 0 at the first here."""
    ramp = Schedule(start=1.0, end=0.0, shape="linear", warmup=3)
    problem = Problem(CENTRES, SCALES)
    balance = built(name, problem, **({"by": "batch"} if name == "teacher_drop" else {}))
    heads = [head.detach().clone() for head in problem.heads]
    for step in range(6):
        problem.step(balance, [1.0, ramp.at(step, 6), 1.0], step, rate=0.01)
        moved = [bool(head != old) for head, old in zip(problem.heads, heads, strict=True)]
        assert moved == [True, step > 0, True]
    assert problem.shared.isfinite().all()


def cells(tmp_path: Path, grid: str):
    file = tmp_path / "balances.toml"
    file.write_text(EXPERIMENT[: EXPERIMENT.index("[grid]")] + grid, encoding="utf-8")
    return [cell.recipe for cell in cells_of(read_experiment(str(file), ()))]


def test_a_balance_its_options_and_a_scheduled_weight_are_axes_of_a_grid(tmp_path: Path):
    """By their dotted paths, each value a recipe of its own."""
    every = sorted(REGISTRY.all("balance"))
    assert [each.balance.use for each in cells(tmp_path, f"[grid]\nbalance.use = {every}")] == every
    for use, axes in {
        "gradnorm": {"alpha": [0.5, 1.5], "lr": [0.01, 0.1]},
        "dwa": {"temperature": [1.0, 2.0], "every": [1, 10]},
        "ema_norm": {"momentum": [0.9, 0.99]},
        "teacher_drop": {"by": ["batch", "image"], "p": [0.1, 0.5], "normalise": ["batch", "image"]},
    }.items():
        lines = "\n".join(f"balance.{option} = {values}" for option, values in axes.items())
        found = [each.balance.options for each in cells(tmp_path, f'[balance]\nuse = "{use}"\n[grid]\n{lines}')]
        chosen = [dict(zip(axes, choice, strict=True)) for choice in itertools.product(*axes.values())]
        assert found == [found[0] | choice for choice in chosen]
    weight = "[objective.expand.weight]\nstart = 0.0\nend = 1.0\n"
    found = cells(tmp_path, f"{weight}[grid]\nobjective.expand.weight.end = [1.0, 2.0]")
    assert [each.objective["expand"].weight for each in found] == [Schedule(start=0.0, end=end) for end in (1.0, 2.0)]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"use": "gradnorm", "alpha": -1}, "balance.alpha"),
        ({"use": "teacher_drop", "by": "pixel"}, "balance.by"),
        ({"use": "teacher_drop", "p": 1.5}, "balance.p"),
        ({"use": "dwa", "temperature": 0}, "balance.temperature"),
        ({"use": "ema_norm", "momentum": 2}, "balance.momentum"),
        ({"use": "fixed", "alpha": 1}, "has no option 'alpha'"),
    ],
)
def test_an_option_that_is_none_is_refused(table, said):
    with pytest.raises(UserError, match=said):
        resolve(recipe(balance=table), Registry())

"""Every loss of the registry, and of the test parts and the shelf, meets the contract of `deo_bench.losses`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deo_bench.draws import global_seed
from deo_bench.losses import Batch, Loss, PairLoss
from deo_bench.registry import Registry

ROOT = Path(__file__).parents[2]
REGISTRY = Registry([ROOT / "losses" / "examples" / "huber.py", ROOT / "tests" / "parts" / "losses.py"])
FACTS = {name: declared.facts for name, declared in REGISTRY.all("loss").items()}
GRIDS = {"pooled": (), "maps": (4, 3)}
B, D, GLOBAL, VIEWS = 6, 8, 2, 3


def places(name):
    takes = FACTS[name].get("takes", "both")
    return list(GRIDS) if takes == "both" else [takes]


CASES = pytest.mark.parametrize(("name", "place"), [(name, place) for name in FACTS for place in places(name)])


def build(name, student_width=D, target_width=D) -> Loss:
    """A loss as the objective builds it: from a seed, and for the widths of its inputs where it asks for them."""
    widths = (student_width, target_width) if FACTS[name].get("needs_widths") else ()
    with global_seed("loss", name):
        return REGISTRY.build("loss", name, *widths)


def pairs(kind, student_views, target_views):
    every = [(v, u) for v in range(student_views) for u in range(target_views)]
    keep = {"all": lambda v, u: True, "cross": lambda v, u: v != u, "same": lambda v, u: v == u}[kind]
    return [pair for pair in every if keep(*pair)]


def case(name, place, dtype=torch.float32):
    """A student, a target and a batch as the objective would give them by default."""
    facts, generator = FACTS[name], torch.Generator().manual_seed(1)
    crops = facts.get("crops", "all") if place == "pooled" else "global"
    kind = facts.get("pairs", "cross") if place == "pooled" else "same"
    views = VIEWS if crops == "all" else GLOBAL
    student = torch.randn(views, B, D, *GRIDS[place], generator=generator, dtype=torch.float64).to(dtype)
    target = torch.randn(GLOBAL, B, D, *GRIDS[place], generator=generator, dtype=torch.float64).to(dtype)
    mask = torch.rand(views, B, *GRIDS[place], generator=generator) < 0.4 if facts.get("needs_mask") else None
    batch = Batch(torch.arange(B), pairs(kind, views, GLOBAL), groups=torch.arange(B) // 2 % 2, mask=mask)
    return student, target if facts.get("needs_target", True) else None, batch


def fresh(batch):
    return replace(batch, generator=torch.Generator().manual_seed(3))


def at(batch, index):
    mask = None if batch.mask is None else batch.mask[:, index]
    return replace(fresh(batch), index=batch.index[index], groups=batch.groups[index], mask=mask)


def take(values, index):
    return None if values is None else values[:, index]


@CASES
def test_it_is_a_finite_scalar_whose_gradient_reaches_the_student_only(name, place):
    loss, (student, target, batch) = build(name), case(name, place)
    student.requires_grad_()
    before = None if target is None else target.clone()
    value = loss(student, target, fresh(batch))
    assert value.shape == () and value.isfinite() and value.dtype == torch.float32
    value.backward()
    assert student.grad is not None and student.grad.isfinite().all() and student.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())
    if target is not None:
        assert target.grad is None and target.equal(before)


@CASES
def test_the_order_of_the_batch_changes_nothing(name, place):
    if FACTS[name].get("draws") or FACTS[name].get("remembers"):
        pytest.skip("declares that it draws or remembers")
    loss, (student, target, batch) = build(name), case(name, place)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    same = loss(take(student, order), take(target, order), at(batch, order))
    torch.testing.assert_close(same, loss(student, target, fresh(batch)), rtol=1e-6, atol=1e-6)


@CASES
def test_a_loss_that_does_not_span_the_batch_is_a_mean_over_images(name, place):
    if FACTS[name].get("spans_batch"):
        pytest.skip("declares that it spans the batch")
    loss, (student, target, batch) = build(name), case(name, place, torch.float64)
    halves = [torch.arange(B // 2), torch.arange(B // 2, B)]
    parts = [loss(take(student, half), take(target, half), at(batch, half)) for half in halves]
    torch.testing.assert_close(torch.stack(parts).mean(), loss(student, target, fresh(batch)))


@CASES
def test_half_precision_inside_autocast_is_computed_in_float32(name, place):
    loss, (student, target, batch) = build(name), case(name, place, torch.bfloat16)
    wide = loss(student.float(), None if target is None else target.float(), fresh(batch))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, target, fresh(batch))
    assert value.dtype == torch.float32
    assert value.equal(wide)


@CASES
def test_float64_stays_float64(name, place):
    loss, (student, target, batch) = build(name), case(name, place, torch.float64)
    assert loss(student, target, fresh(batch)).dtype == torch.float64


@CASES
@pytest.mark.parametrize("kind", ["identical", "rows", "zero", "huge", "tiny"])
def test_values_and_gradients_are_finite_at_the_extremes(name, place, kind):
    loss, (student, target, batch) = build(name), case(name, place)
    scale = {"identical": 1.0, "rows": 1.0, "zero": 0.0, "huge": 1e4, "tiny": 1e-6}[kind]
    student = student * scale
    target = None if target is None else target * scale
    if kind == "identical" and target is not None:
        student = target[[view % GLOBAL for view in range(len(student))]].clone()
    if kind == "rows":
        student, target = torch.ones_like(student), None if target is None else torch.ones_like(target)
    student.requires_grad_()
    value = loss(student, target, fresh(batch))
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


@CASES
def test_it_is_zero_at_the_target_where_it_says_so(name, place):
    if not FACTS[name].get("zero_at_target"):
        pytest.skip("does not declare it")
    loss, (_, target, batch) = build(name), case(name, place)
    views = [(view, view) for view in range(GLOBAL)]
    batch = replace(fresh(batch), pairs=views, mask=None if batch.mask is None else batch.mask[:GLOBAL])
    assert abs(loss(target.clone(), target, batch)) < 1e-6
    assert loss(target.clone() + torch.randn(D).view(D, *[1] * len(GRIDS[place])), target, batch) > 1e-3


@CASES
def test_widths_may_differ_where_it_says_so(name, place):
    if not FACTS[name].get("dimension_free"):
        pytest.skip("does not declare it")
    loss, (student, target, batch) = build(name, student_width=2 * D), case(name, place)
    assert loss(torch.cat([student, student], dim=2), target, fresh(batch)).isfinite()


@CASES
def test_state_changes_only_after_the_step_and_is_saved(name, place):
    loss, (student, target, batch) = build(name), case(name, place)

    def state():
        return {key: value.clone() for key, value in loss.state_dict().items()}

    before = state()
    first = loss(student, target, fresh(batch))
    assert all(value.equal(before[key]) for key, value in loss.state_dict().items())
    assert loss(student, target, fresh(batch)).equal(first)
    loss.after_step(student, target, fresh(batch))
    changed = any(not value.equal(before[key]) for key, value in loss.state_dict().items())
    assert changed == bool(FACTS[name].get("remembers"))
    resumed = build(name)
    resumed.load_state_dict(state())
    assert resumed(student, target, fresh(batch)).equal(loss(student, target, fresh(batch)))


@CASES
def test_it_draws_only_where_it_says_so_and_only_from_its_generator(name, place):
    loss, (student, target, batch) = build(name), case(name, place)
    generator = torch.Generator().manual_seed(3)
    drawn, outside = generator.get_state(), torch.get_rng_state()
    loss(student, target, replace(batch, generator=generator))
    assert torch.get_rng_state().equal(outside)
    assert (not generator.get_state().equal(drawn)) == bool(FACTS[name].get("draws"))


@CASES
def test_values_an_image_mean_the_loss(name, place):
    loss, (student, target, batch) = build(name), case(name, place, torch.float64)
    if not isinstance(loss, PairLoss):
        pytest.skip("compares no pairs")
    try:
        values = loss.per_image(student, target, fresh(batch))
    except TypeError:
        return
    assert values.shape == (B,)
    torch.testing.assert_close(values.mean(), loss(student, target, fresh(batch)))


@CASES
def test_gradients_are_those_of_the_value(name, place):
    loss, (student, target, batch) = build(name).double(), case(name, place, torch.float64)
    small = [None if values is None else values[:, :3, :4].clone() for values in (student, target)]
    if name == "test_queue" or FACTS[name].get("needs_widths"):
        small = [student[:, :3].clone(), target[:, :3].clone()]
    batch = at(batch, torch.arange(3))
    assert torch.autograd.gradcheck(lambda s: loss(s, small[1], fresh(batch)), small[0].requires_grad_())


def test_every_place_of_the_contract_is_used_by_some_loss():
    used = {(fact, value) for facts in FACTS.values() for fact, value in facts.items() if isinstance(value, bool)}
    assert used >= {
        ("needs_target", False),
        ("needs_mask", True),
        ("spans_batch", True),
        ("dimension_free", True),
        ("zero_at_target", True),
        ("draws", True),
        ("remembers", True),
    }

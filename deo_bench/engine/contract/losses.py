"""What every loss keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from deo_bench.declarations import Declaration
from deo_bench.engine.contract import expect
from deo_bench.losses import Batch, Loss, PairLoss
from deo_bench.registry import Registry

VIEWS, IMAGES, WIDTH, GRID = 2, 6, 8, (3, 3)
_PAIRS = {"cross": [(0, 1), (1, 0)], "same": [(0, 0), (1, 1)], "all": [(0, 0), (0, 1), (1, 0), (1, 1)]}


def build(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Loss:
    """A loss as the objective builds it."""
    widths = (WIDTH, _target_width(declared)) if declared.facts.get("needs_widths") else ()
    loss: Loss = registry.build("loss", declared.name, *widths, options=options)
    return loss


def finite(loss: Loss, declared: Declaration) -> None:
    """It is one finite number, for pooled vectors and for maps as far as it takes them."""
    for student, target in _inputs(declared):
        value = loss(student, target, _batch(declared, student))
        expect(value.isfinite(), f"it is {value.item()} for {list(student.shape)}")


def reaches_the_student(loss: Loss, declared: Declaration) -> None:
    """Its gradient reaches the student, and is finite."""
    for student, target in _inputs(declared):
        student.requires_grad_(True)
        loss(student, target, _batch(declared, student)).backward()
        expect(student.grad is not None, f"no gradient reaches a student of {list(student.shape)}")
        assert student.grad is not None
        expect(student.grad.isfinite().all() and student.grad.any(), "the student's gradient is zero or not finite")


def ignores_the_order(loss: Loss, declared: Declaration) -> None:
    """The order of the images changes nothing, to 1e-6 (unless it declares that it draws or remembers)."""
    if declared.facts.get("draws") or declared.facts.get("remembers"):
        return
    order = torch.randperm(IMAGES)
    for student, target in _inputs(declared):
        one = loss(student, target, _batch(declared, student))
        moved = None if target is None else target[:, order]
        other = loss(student[:, order], moved, _batch(declared, student, order))
        expect((one - other).abs() <= 1e-6 * one.abs().clamp(min=1), f"{one.item()} became {other.item()}")


def keeps_precision(loss: Loss, declared: Declaration) -> None:
    """Half precision is computed in float32, float64 stays float64."""
    for student, target in _inputs(declared):
        for given, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
            wanted = None if target is None else target.to(given)
            value = loss.to(expected)(student.to(given), wanted, _batch(declared, student))
            expect(value.dtype == expected and value.isfinite(), f"{given} gave {value.item()} in {value.dtype}")
        loss.double()


def draws_from_its_generator_only(loss: Loss, declared: Declaration) -> None:
    """The same batch gives the same number, and torch's global generator is left alone."""
    for student, target in _inputs(declared):
        before = torch.get_rng_state()
        one, other = (loss(student, target, _batch(declared, student)) for _ in range(2))
        expect(torch.equal(before, torch.get_rng_state()), "it drew from torch's global generator")
        expect(torch.equal(one, other), f"{one.item()}, then {other.item()}")


def changes_state_after_the_step_only(loss: Loss, declared: Declaration) -> None:
    """Computing it changes no buffer; only `after_step` may."""
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    for student, target in _inputs(declared):
        loss(student, target, _batch(declared, student))
    changed = [name for name, value in loss.state_dict().items() if not torch.equal(before[name], value)]
    expect(not changed, f"forward changed {', '.join(changed)}")


def is_zero_at_the_target(loss: Loss, declared: Declaration) -> None:
    """It is zero where student and target agree, if it declares `zero_at_target`."""
    if not declared.facts.get("zero_at_target"):
        return
    for _, target in _inputs(declared):
        assert target is not None
        same = target[:1].expand_as(target)
        value = loss(same, same, _batch(declared, same))
        expect(value.abs() < 1e-6, f"it is {value.item()}")


def per_image_values_mean_it(loss: Loss, declared: Declaration) -> None:
    """Its per-image values, where it has them, have it as their mean."""
    if not isinstance(loss, PairLoss):
        return
    for student, target in _inputs(declared):
        assert target is not None
        try:
            values = loss.per_image(student, target, _batch(declared, student))
        except TypeError:
            return
        expect(tuple(values.shape) == (IMAGES,), f"they are {list(values.shape)}")
        whole = loss(student, target, _batch(declared, student))
        expect(torch.allclose(values.mean(), whole), "their mean is another number")


RULES = (
    finite,
    reaches_the_student,
    ignores_the_order,
    draws_from_its_generator_only,
    changes_state_after_the_step_only,
    is_zero_at_the_target,
    per_image_values_mean_it,
    keeps_precision,
)


def _inputs(declared: Declaration) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A student [V, B, D, *grid] and a target for each place the loss takes, in float64."""
    takes = declared.facts.get("takes", "both")
    places: dict[str, list[tuple[int, ...]]] = {"pooled": [()], "maps": [GRID], "both": [(), GRID]}
    target_width = _target_width(declared)
    for grid in places[takes]:
        student = torch.randn(VIEWS, IMAGES, WIDTH, *grid, dtype=torch.float64)
        target = torch.randn(VIEWS, IMAGES, target_width, *grid, dtype=torch.float64)
        yield student, target if declared.facts.get("needs_target", True) else None


def _target_width(declared: Declaration) -> int:
    return WIDTH + 4 if declared.facts.get("dimension_free") else WIDTH


def _batch(declared: Declaration, student: Tensor, order: Tensor | None = None) -> Batch:
    index = torch.arange(IMAGES)
    mask = None
    if declared.facts.get("needs_mask"):
        places = torch.arange(student[:, :, 0].numel()).reshape(student[:, :, 0].shape)
        mask = places % 3 == 0
        mask = mask if order is None else mask[:, order]
    return Batch(
        index=index if order is None else index[order],
        groups=(index if order is None else index[order]) // 2 % 2,
        pairs=_PAIRS[declared.facts.get("pairs", "cross")],
        mask=mask,
        generator=torch.Generator().manual_seed(0),
    )

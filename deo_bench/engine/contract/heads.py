"""What every head keeps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from deo_bench.declarations import Declaration
from deo_bench.engine.contract import expect, expect_shape
from deo_bench.errors import UserError
from deo_bench.heads import Head
from deo_bench.registry import Registry

IMAGES, IN_WIDTH, OUT_WIDTH, LEVELS = 5, 12, 8, 2
_GRIDS: tuple[tuple[int, ...], ...] = ((), (3, 4))


def build(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Head:
    """A head that narrows, or, where it cannot change the width, one that keeps it."""
    takes_levels = declared.facts.get("takes_levels", False)
    try:
        head: Head = registry.build(
            "head", declared.name, [IN_WIDTH] * LEVELS if takes_levels else IN_WIDTH, OUT_WIDTH, options=options
        )
    except UserError:
        head = registry.build("head", declared.name, IN_WIDTH, IN_WIDTH, options=options)
    return head


def keeps_batch_and_grid(head: Head, declared: Declaration) -> None:
    """[B, D] becomes [B, P] and [B, D, H, W] becomes [B, P, H, W]."""
    for grid in _GRIDS:
        expect_shape(_call(head, declared, grid), (IMAGES, head.out_width, *grid), "its output")


def gradients_reach_all(head: Head, declared: Declaration) -> None:
    """Gradients reach the features and every parameter."""
    for grid in _GRIDS:
        given = _features(declared, grid)
        leaves = [values.requires_grad_(True) for values in (given if isinstance(given, list) else [given])]
        head.zero_grad(set_to_none=True)
        head(given).square().sum().backward()
        expect(all(leaf.grad is not None for leaf in leaves), "no gradient reaches the features")
        silent = [name for name, parameter in head.named_parameters() if parameter.grad is None]
        expect(not silent, f"no gradient reaches {', '.join(silent)}")


def copies_follow(head: Head, declared: Declaration) -> None:
    """A copy with the same state says the same: a following teacher keeps one."""
    twin = copy.deepcopy(head)
    twin.load_state_dict(head.state_dict())
    head.eval(), twin.eval()
    given = _features(declared, ())
    expect(torch.equal(head(given), twin(given)), "the copy says something else")
    head.train()


RULES = (keeps_batch_and_grid, gradients_reach_all, copies_follow)


def _features(declared: Declaration, grid: tuple[int, ...]) -> Any:
    takes_levels = declared.facts.get("takes_levels", False)
    levels = [torch.randn(IMAGES, IN_WIDTH, *grid) for _ in range(LEVELS if takes_levels else 1)]
    return levels if takes_levels else levels[0]


def _call(head: Head, declared: Declaration, grid: tuple[int, ...]) -> Tensor:
    values: Tensor = head(_features(declared, grid))
    return values

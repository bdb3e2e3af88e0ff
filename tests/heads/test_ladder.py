"""`ladder`: a small MLP a level and a large one from the last, summed."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deo_bench.registry import Registry

REGISTRY = Registry()


def build(widths, **options):
    head = REGISTRY.build("head", "ladder", widths, 5, options={"hidden": 7, "last_hidden": 11, **options})
    with torch.no_grad():
        for at, value in enumerate(head.parameters()):
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(at)))
    return head


def mlp(values, first, last):
    return F.gelu(values @ first.weight.T + first.bias) @ last.weight.T + last.bias


@pytest.mark.parametrize("widths", [[6], [4, 6], [3, 4, 6]])
def test_it_is_the_sum_of_its_rungs(widths):
    head, levels = build(widths), [torch.randn(2, width, 2, 3) for width in widths]
    linears = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linears[::2]] == [*widths, widths[-1]]
    assert [layer.out_features for layer in linears[::2]] == [7] * len(widths) + [11]
    cells = [level.movedim(1, -1) for level in levels]
    expected = sum(mlp(values, *linears[2 * at : 2 * at + 2]) for at, values in enumerate([*cells, cells[-1]]))
    torch.testing.assert_close(head(levels), expected.movedim(-1, 1))


def test_its_widths_are_unics():
    head = REGISTRY.build("head", "ladder", [4, 6], 5)
    hidden = [layer.out_features for layer in head.modules() if isinstance(layer, nn.Linear)][::2]
    assert hidden == [768, 768, 3072]


def test_a_level_too_few_is_an_error():
    with pytest.raises(ValueError):
        build([4, 6])([torch.randn(2, 4)])

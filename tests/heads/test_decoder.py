"""`decoder`: a cell is told by its neighbours, as far as its blocks reach."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from deo_bench.registry import Registry

REGISTRY = Registry()


def build(**options):
    head = REGISTRY.build("head", "decoder", 6, 5, options={"hidden": 8, **options})
    with torch.no_grad():
        for at, value in enumerate(head.parameters()):
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(at)) / 3)
    return head.double()


def test_a_cell_reaches_as_far_as_there_are_blocks():
    for depth in (1, 2):
        head, maps = build(depth=depth), torch.zeros(1, 6, 7, 7, dtype=torch.float64)
        moved = maps.clone()
        moved[:, :, 3, 3] = 1
        changed = (head(moved) - head(maps)).abs().sum(1)[0] > 1e-9
        expected = torch.zeros(7, 7, dtype=torch.bool)
        expected[3 - depth : 4 + depth, 3 - depth : 4 + depth] = True
        assert changed.equal(expected)


def test_it_is_its_layers():
    head, maps = build(depth=1), torch.randn(2, 6, 3, 4, dtype=torch.float64)
    linears = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    first, wide, narrow, last = linears
    kernel, bias = head.blocks[0].around.weight[:, 0], head.blocks[0].around.bias

    def norm(values, layer):
        return F.layer_norm(values, values.shape[-1:]) * layer.weight + layer.bias

    def linear(values, layer):
        return values @ layer.weight.T + layer.bias

    cells = linear(maps.movedim(1, -1), first)
    padded = F.pad(cells, (0, 0, 1, 1, 1, 1))
    near = bias + sum(padded[:, i : i + 3, j : j + 4] * kernel[:, i, j] for i in range(3) for j in range(3))
    norms = [layer for layer in head.modules() if isinstance(layer, nn.LayerNorm)]
    cells = cells + linear(F.gelu(linear(norm(near, norms[0]), wide)), narrow)
    torch.testing.assert_close(head(maps), linear(norm(cells, norms[1]), last).movedim(-1, 1))


def test_a_vector_is_a_grid_of_one_cell():
    head, vectors = build(), torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(head(vectors), head(vectors[:, :, None, None])[:, :, 0, 0])

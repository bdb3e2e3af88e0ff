"""`cosine`, `mse` and the shelf's `huber` against independent loops, on vectors and on maps."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from deo_bench.losses import Batch
from deo_bench.registry import Registry

HUBER = Path(__file__).parents[2] / "losses" / "examples" / "huber.py"
REGISTRY = Registry([HUBER])


def cosine(s, t):
    lengths = math.sqrt(sum(x * x for x in s)) * math.sqrt(sum(y * y for y in t))
    return 1 - sum(x * y for x, y in zip(s, t, strict=True)) / lengths


def squared(s, t):
    return sum((x - y) ** 2 for x, y in zip(s, t, strict=True)) / len(s)


def huber(s, t, delta=0.5):
    errors = [abs(x - y) for x, y in zip(s, t, strict=True)]
    return sum(e * e / 2 if e <= delta else delta * (e - delta / 2) for e in errors) / len(errors)


def loop(cell, student, target, pairs):
    """The mean over pairs, images and cells of what one cell gives."""
    values = []
    for v, u in pairs:
        s, t = student[v].flatten(2), target[u].flatten(2)
        for b, x in itertools.product(range(len(s)), range(s.shape[2])):
            values.append(cell(s[b, :, x].tolist(), t[b, :, x].tolist()))
    return sum(values) / len(values)


@pytest.mark.parametrize("grid", [(1,), (3, 4)], ids=["vectors", "maps"])
@pytest.mark.parametrize(
    ("name", "options", "cell"), [("cosine", {}, cosine), ("mse", {}, squared), ("huber", {"delta": 0.5}, huber)]
)
def test_equals_its_loop(name, options, cell, grid):
    student, target = torch.randn(3, 4, 6, *grid).double(), torch.randn(2, 4, 6, *grid).double()
    pairs = [(0, 1), (1, 0), (2, 0), (2, 1)]
    loss = REGISTRY.build("loss", name, options=options)
    given = [values.squeeze(-1) if grid == (1,) else values for values in (student, target)]
    value = loss(*given, Batch(torch.arange(4), pairs))
    assert value.item() == pytest.approx(loop(cell, student, target, pairs), rel=1e-12)


def test_cosine_of_opposite_and_orthogonal_vectors():
    student = torch.tensor([[[1.0, 0.0]], [[-2.0, 0.0]], [[0.0, 3.0]]])
    loss, target = REGISTRY.build("loss", "cosine"), torch.tensor([[[5.0, 0.0]]])
    values = [loss(student, target, Batch(torch.arange(1), [(view, 0)])).item() for view in range(3)]
    assert values == pytest.approx([0, 2, 1], abs=1e-6)


@pytest.mark.parametrize("name", ["cosine", "mse"])
def test_values_of_an_image_are_its_own(name):
    student, target = torch.randn(1, 3, 5, 2, 2), torch.randn(1, 3, 5, 2, 2)
    loss, batch = REGISTRY.build("loss", name), Batch(torch.arange(3), [(0, 0)])
    values = loss.per_image(student, target, batch)
    alone = [loss(student[:, [b]], target[:, [b]], Batch(torch.arange(1), [(0, 0)])) for b in range(3)]
    torch.testing.assert_close(values, torch.stack(alone))

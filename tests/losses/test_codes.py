"""`codes`: cross-entropy with the nearest code; a codebook learned from the stream, in loops."""

from __future__ import annotations

import math

import pytest
import torch

from deo_bench.losses import Batch
from deo_bench.registry import Registry

REGISTRY = Registry()
K, D, B = 4, 3, 5


def build(codes=K, width=D, **options):
    return REGISTRY.build("loss", "codes", codes, width, options=options).double()


def case(grid=(2, 2), views=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    student = torch.randn(views, B, K, *grid, generator=draw, dtype=torch.float64)
    target = torch.randn(views, B, D, *grid, generator=draw, dtype=torch.float64)
    return student, target, Batch(torch.arange(B), [(v, u) for v in range(views) for u in range(views)])


def rows_of(target):
    """View by view, image by image, cell by cell."""
    flat = target.reshape(*target.shape[:3], -1)
    return [flat[u, b, :, x].tolist() for u in range(len(flat)) for b in range(B) for x in range(flat.shape[3])]


def nearest(row, codebook):
    distances = [sum((x - y) ** 2 for x, y in zip(row, code, strict=True)) for code in codebook]
    return distances.index(min(distances))


@pytest.mark.parametrize("grid", [(), (2, 2)], ids=["vectors", "maps"])
def test_equals_the_cross_entropy_with_the_nearest_code(grid):
    student, target, batch = case(grid)
    loss = build()
    loss.after_step(student, target, batch)
    book = loss.codebook.tolist()
    values = []
    for v, u in batch.pairs:
        s, t = student[v].reshape(B, K, -1), target[u].reshape(B, D, -1)
        for b in range(B):
            for x in range(s.shape[2]):
                logits = s[b, :, x].tolist()
                total = math.log(sum(math.exp(each) for each in logits))
                values.append(total - logits[nearest(t[b, :, x].tolist(), book)])
    assert loss(student, target, batch).item() == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_before_the_first_step_every_code_is_as_likely():
    student, target, batch = case()
    expected = -student.log_softmax(2).mean()
    assert build()(student, target, batch).item() == pytest.approx(expected.item(), rel=1e-9)
    assert build()(torch.zeros_like(student), target, batch).item() == pytest.approx(math.log(K), rel=1e-9)


def test_the_codebook_is_a_moving_k_means():
    """By hand: the first step takes cells evenly spaced, the others move what they hold, the dead start anew."""
    decay, dead = 0.6, 0.5
    loss = build(decay=decay, dead=dead)
    share, total, born = [], [], 0
    for step in range(6):
        student, target, batch = case(seed=step)
        rows = rows_of(target)
        if step == 0:
            chosen = [rows[k * len(rows) // K] for k in range(K)]
            share, total = [1 / K] * K, [[x / K for x in row] for row in chosen]
        else:
            book = [[x / share[k] for x in total[k]] for k in range(K)]
            mine = [[row for row in rows if nearest(row, book) == k] for k in range(K)]
            for k in range(K):
                share[k] = decay * share[k] + (1 - decay) * len(mine[k]) / len(rows)
                sums = [sum(row[d] for row in mine[k]) / len(rows) for d in range(D)]
                total[k] = [decay * x + (1 - decay) * y for x, y in zip(total[k], sums, strict=True)]
            ends = [k for k in range(K) if share[k] < dead / K]
            born += len(ends)
            for at, k in enumerate(ends):
                share[k], total[k] = 1 / K, [x / K for x in rows[at * len(rows) // len(ends)]]
        loss.after_step(student, target, batch)
        expected = torch.tensor([[x / share[k] for x in total[k]] for k in range(K)], dtype=torch.float64)
        torch.testing.assert_close(loss.codebook, expected)
    assert born > 0, "no code died: the test does not see what it should"


def test_it_finds_the_clusters_that_there_are():
    """Far from zero, in float32 too; two codes that share a cluster have too little to live on."""
    draw = torch.Generator().manual_seed(0)
    centres = 1e3 + 4 * torch.randn(K, D, generator=draw, dtype=torch.float64)
    loss = build(decay=0.8, dead=0.8)
    for _ in range(60):
        which = torch.randperm(40, generator=draw)[None] % K
        target = centres[which] + 0.05 * torch.randn(1, 40, D, generator=draw, dtype=torch.float64)
        loss.after_step(torch.zeros(1, 40, K), target, Batch(torch.arange(40), [(0, 0)]))
    distances = torch.cdist(loss.codebook, centres)
    assert distances.min(0).values.max() < 0.1
    codes = loss.float().nearest(centres.float())
    assert sorted(codes.tolist()) == list(range(K))


def test_blocks_change_no_code(monkeypatch):
    from deo_bench.losses import codes

    loss = build()
    student, target, batch = case((4, 4))
    loss.after_step(student, target, batch)
    rows = torch.randn(100, D, dtype=torch.float64)
    whole = loss.nearest(rows)
    monkeypatch.setattr(codes, "BLOCK", 7 * K)
    assert loss.nearest(rows).equal(whole)


def test_no_gradient_reaches_the_target():
    student, target, batch = case()
    loss = build()
    loss.after_step(student, target, batch)
    target.requires_grad_()
    loss(student.requires_grad_(), target, batch).backward()
    assert target.grad is None and student.grad.abs().sum() > 0

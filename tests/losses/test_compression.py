"""Compression against an independent loop over its pairs, and what it must not depend on."""

from __future__ import annotations

import math

import pytest
import torch

from deo_bench.losses import Batch
from deo_bench.losses.compression import Compression

CROPS, TARGETS, B, D = 5, 2, 4, 7
PAIRS = [(j, i) for j in range(CROPS) for i in range(TARGETS) if i != j]


def features(seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, B, D, generator=generator, dtype=torch.float64) for n in (CROPS, TARGETS))


def compress(student, target, pairs=PAIRS):
    return Compression()(student, target, Batch(torch.arange(B), pairs)).item()


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_equals_the_loop_of_the_official_code():
    """1 / (2 n - 2) times the sum over target views i and student views j != i, the mean over the batch."""
    student, target = features(0)
    total = 0.0
    for i in range(TARGETS):
        for j in range(CROPS):
            if i != j:
                total += sum(cosine(target[i, b].tolist(), student[j, b].tolist()) for b in range(B)) / B
    assert len(PAIRS) == 2 * CROPS - 2
    assert compress(student, target) == pytest.approx(-total / (2 * CROPS - 2), rel=1e-12)


def test_identical_views_give_exactly_minus_one():
    one = torch.ones(CROPS, B, 4)
    assert compress(one, one[:TARGETS]) == -1


def test_the_order_of_local_crops_changes_nothing():
    student, target = features(1)
    moved = student[[0, 1, 4, 2, 3]]
    assert compress(moved, target) == pytest.approx(compress(student, target), rel=1e-12)


def test_a_student_view_never_meets_its_own_target_view():
    student, target = features(2)
    before = compress(student, target)
    student[0] = torch.randn(B, D)
    only_other = compress(student, target, [(0, 1)]) / len(PAIRS)
    rest = [pair for pair in PAIRS if pair[0] != 0]
    assert compress(student, target) == pytest.approx(
        compress(student, target, rest) * len(rest) / len(PAIRS) + only_other, rel=1e-12
    )
    assert compress(student, target) != pytest.approx(before)


def test_lengths_do_not_matter():
    student, target = features(3)
    assert compress(student * 7, target * 0.1) == pytest.approx(compress(student, target), rel=1e-12)

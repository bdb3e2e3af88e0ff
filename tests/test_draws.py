"""Every draw is a function of its words: the same words, the same draw; and epochs are permutations."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deo_bench.draws import batch_indices, global_seed, numpy_generator, seed_of, torch_generator


def test_a_seed_is_the_same_on_every_machine():
    assert seed_of(0, "views", 3) == 2758330216074266412
    assert 0 <= seed_of("anything") < 2**63


def test_words_are_told_apart():
    words = [(1, 23), (12, 3), ("1", 23), (1, "23"), (123,), ("1\x1f23",), (1, 23, 0)]
    assert len({seed_of(*each) for each in words}) == len(words)


def test_numpys_integers_are_integers():
    assert seed_of(np.int64(7), "a") == seed_of(7, "a") == seed_of(np.int32(7), "a")


@pytest.mark.parametrize("maker", [numpy_generator, torch_generator])
def test_generators_are_of_their_words_alone(maker):
    def draw(*words):
        generator = maker(*words)
        return generator.random(4).tolist() if maker is numpy_generator else torch.rand(4, generator=generator).tolist()

    assert draw(0, "a", 5) == draw(0, "a", 5)
    assert draw(0, "a", 5) != draw(0, "a", 6) != draw(1, "a", 6)


def test_a_global_seed_lasts_for_its_block():
    def states():
        return torch.rand(2).tolist(), random.random(), np.random.random()  # noqa: NPY002

    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    undisturbed = states()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with global_seed(0, "student"):
        first = states()
    assert states() == undisturbed
    with pytest.raises(RuntimeError), global_seed(0, "student"):
        assert states() == first
        raise RuntimeError
    with global_seed(1, "student"):
        assert states() != first


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**31))
def test_every_epoch_is_a_permutation(size, batch, seed):
    steps = -(-3 * size // batch)
    drawn = np.concatenate([batch_indices(size, batch, step, seed, "data") for step in range(steps)])
    for epoch in range(3):
        assert sorted(drawn[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_a_batch_may_straddle_two_epochs():
    straddling = batch_indices(10, 4, 2, 0)
    first = np.concatenate([batch_indices(10, 4, step, 0) for step in range(2)])
    assert sorted([*first, *straddling[:2]]) == list(range(10))


def test_epochs_differ_and_so_do_streams():
    first, second = batch_indices(50, 50, 0, 0), batch_indices(50, 50, 1, 0)
    assert first.tolist() != second.tolist()
    assert first.tolist() != batch_indices(50, 50, 0, 1).tolist()


def test_a_step_needs_no_step_before_it():
    assert batch_indices(10, 4, 7, 0).tolist() == batch_indices(10, 4, 7, 0).tolist()


def test_indices_can_be_planned_without_torch():
    code = "import sys, deo_bench.draws as d; d.batch_indices(9, 4, 1, 0); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

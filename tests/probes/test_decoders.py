"""Decoders on maps of plain and of hierarchical backbones: grids, parameters, and what their docstrings say."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from deo_bench.draws import global_seed
from deo_bench.errors import UserError
from deo_bench.probes._decoders import HIDDEN, decoder
from deo_bench.probes._pyramid import ChannelNorm, Norm, Pyramid, arranged, stacked, summed_down

PLAIN = [(6, 4, 4)] * 4
HIERARCHICAL = [(4, 16, 16), (6, 8, 8), (8, 4, 4), (10, 2, 2)]
ODD = [(4, 13, 11), (6, 7, 6), (8, 4, 3), (8, 2, 2)]
SETS = {
    "plain": PLAIN,
    "hierarchical": HIERARCHICAL,
    "odd": ODD,
    "odd plain": [(5, 7, 5)] * 4,
    "one level": [(6, 5, 5)],
    "six levels": [(6, 3, 3)] * 6,
    "stages that share a grid": [(4, 8, 8), (6, 4, 4), (8, 4, 4), (10, 2, 2)],
}


@pytest.fixture(autouse=True)
def one_thread(own_surroundings):
    torch.set_num_threads(1)


def drawn(name, shapes, hidden=4, neck=True, classes=3):
    with global_seed("decoder"):
        return decoder(name, shapes, classes, hidden, neck)


def batch(shapes, size=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, *shape, generator=generator) for shape in shapes]


def grid(name, shapes):
    """The grid that logits come on: the finest there is, of a pyramid four times a plain one's."""
    finest = max((shape[1:] for shape in shapes), key=lambda each: each[0] * each[1])
    times = 1 if name in ("linear", "conv") or len({shape[1:] for shape in shapes}) > 1 else 4
    times *= 2 if name == "dpt" else 1
    return times * finest[0], times * finest[1]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("shapes", SETS.values(), ids=SETS)
def test_logits_come_on_the_finest_grid_and_every_parameter_learns(name, shapes):
    model = drawn(name, shapes)
    logits = model(batch(shapes))
    assert logits.shape == (2, 3, *grid(name, shapes))
    F.cross_entropy(logits, torch.zeros(2, *logits.shape[-2:], dtype=torch.long)).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


def count(model):
    return sum(each.numel() for each in model.parameters())


def test_parameters_by_hand():
    hidden, classes, widths = 4, 3, [shape[0] for shape in HIERARCHICAL]
    square = 9 * hidden**2
    last = 4 * hidden * classes + classes
    assert count(drawn("linear", HIERARCHICAL)) == sum(2 * c + c * classes + classes for c in widths)
    assert count(drawn("conv", HIERARCHICAL)) == sum(c * hidden + 2 * hidden for c in widths) + last
    fpn = sum(2 * c + c * hidden for c in widths) + 4 * (square + 2 * hidden) + last
    assert count(drawn("fpn", HIERARCHICAL)) == fpn
    # With PANGAEA's biases: 4 pools and 3 laterals of 1x1, one 3x3 after the pools, 3 of the levels, one of all.
    pools = 4 * (10 * hidden + 3 * hidden) + 9 * (10 + 4 * hidden) * hidden + 3 * hidden
    laterals = sum(c * hidden + 3 * hidden for c in widths[:3]) + 3 * (square + 3 * hidden)
    fused = 4 * square + 3 * hidden + hidden * classes + classes
    assert count(drawn("upernet", HIERARCHICAL)) == pools + laterals + fused
    # Seven residual units of two convolutions: the coarsest level has nothing to be added to, so no unit of its own.
    reassembled = sum(2 * c + c * hidden + hidden + square for c in widths)
    fusions = 7 * 2 * (square + hidden) + 4 * (hidden**2 + hidden)
    dpt = reassembled + fusions + square + 2 * hidden + hidden * classes + classes
    assert count(drawn("dpt", HIERARCHICAL)) == dpt


@pytest.mark.parametrize(
    ("name", "more"),
    # Of width 6 twice by 4 with a norm, once by 2; DPT scales 4 channels by 4, by 2 and by a half.
    [("fpn", 3 * (4 * 36 + 6) + 12), ("upernet", 3 * (4 * 36 + 6) + 12), ("dpt", (16 + 4 + 9) * 16 + 3 * 4)],
)
def test_parameters_of_the_neck_by_hand(name, more):
    assert count(drawn(name, PLAIN)) == count(drawn(name, PLAIN, neck=False)) + more


def test_scales_of_one_grid_and_the_order_of_many():
    assert [scale for _, scale in arranged(PLAIN, True)] == [4, 2, 1, 0.5]
    assert arranged([(6, 4, 4)], True) == [(0, 4), (0, 2), (0, 1), (0, 0.5)]
    assert arranged(PLAIN[:2], True) == [(0, 4), (1, 1)]
    assert arranged(PLAIN, False) == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert arranged([HIERARCHICAL[place] for place in (2, 0, 3, 1)], True) == [(1, 1), (3, 1), (0, 1), (2, 1)]
    grids = [tuple(each.shape[-2:]) for each in Pyramid([(2, 5, 3)] * 4, True)(batch([(2, 5, 3)] * 4))]
    assert grids == [(20, 12), (10, 6), (5, 3), (3, 2)]


@pytest.mark.parametrize("name", HIDDEN)
def test_levels_are_told_apart_by_their_grids(name):
    order = [2, 0, 3, 1]
    maps = batch(HIERARCHICAL)
    one = drawn(name, HIERARCHICAL).eval()(maps)
    other = drawn(name, [HIERARCHICAL[place] for place in order]).eval()([maps[place] for place in order])
    assert torch.equal(one, other)


def test_linear_is_one_linear_layer_on_all_levels():
    model, maps = drawn("linear", HIERARCHICAL).eval(), batch(HIERARCHICAL)
    weight = torch.cat([layer[1].weight for layer in model.levels], 1)
    bias = torch.stack([layer[1].bias for layer in model.levels]).sum(0)
    expected = F.conv2d(stacked(maps) / (1 + 1e-5) ** 0.5, weight, bias)
    torch.testing.assert_close(model(maps), expected, rtol=1e-4, atol=1e-5)


def test_the_top_down_path_adds_up_what_is_coarser():
    maps = [torch.full((1, 1, side, side), value) for side, value in ((5, 1.0), (3, 10.0), (2, 100.0))]
    for each, expected in zip(summed_down(maps), (111.0, 110.0, 100.0), strict=True):
        torch.testing.assert_close(each, torch.full_like(each, expected))


@pytest.mark.parametrize("name", HIDDEN)
def test_a_batch_of_one_value_a_channel_trains(name):
    shapes = [(6, 1, 1)] * 4
    logits = drawn(name, shapes).train()(batch(shapes, 1))
    assert logits.isfinite().all()
    logits.square().mean().backward()


def test_one_value_a_channel_is_normed_by_the_running_statistics():
    norm, value = Norm(3), torch.tensor([2.0, 3.0, 4.0])[None, :, None, None]
    norm.running_mean.copy_(torch.tensor([1.0, 1.0, 2.0]))
    norm.running_var.fill_(4.0)
    torch.testing.assert_close(norm(value).flatten(), torch.tensor([0.5, 1.0, 1.0]))
    assert norm.num_batches_tracked == 0
    several = torch.randn(4, 3, 2, 2)
    assert torch.equal(Norm(3)(several), torch.nn.BatchNorm2d(3)(several))


def test_cells_are_normed_over_their_channels():
    values = torch.randn(2, 5, 3, 4)
    normed = ChannelNorm(5)(values)
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 3, 4), atol=1e-6, rtol=0)
    torch.testing.assert_close(normed[1, :, 2, 3], F.layer_norm(values[1, :, 2, 3], (5,)))


@pytest.mark.parametrize("name", ["upernet", "dpt"])
def test_dropout_is_for_training_alone(name):
    model, maps = drawn(name, HIERARCHICAL, hidden=16), batch(HIERARCHICAL)
    model.train()
    # Batch statistics are the same in both passes, what is dropped is not.
    assert not torch.equal(model(maps), model(maps))
    model.eval()
    assert torch.equal(model(maps), model(maps))


def test_an_unknown_head_is_one_line():
    with pytest.raises(UserError, match="unknown head 'upernt', did you mean 'upernet'"):
        decoder("upernt", PLAIN, 3, None, True)


def test_widths_where_none_is_given():
    assert drawn("upernet", [(4, 8, 8), (4, 4, 4)], None).fused[0].out_channels == 512
    assert drawn("fpn", [(4, 8, 8), (4, 4, 4)], None).classifier.in_channels == 512

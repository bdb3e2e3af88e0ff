"""The head `prototypes` against lightly's DINO head, and its geometry."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deo_bench.heads.prototypes import Prototypes

IN, K = 6, 9


def head(**options):
    return Prototypes(IN, K, **{"hidden": 12, "bottleneck": 5, **options})


def test_gives_what_lightlys_dino_head_gives():
    heads = pytest.importorskip("lightly.models.modules.heads")
    theirs, mine = heads.DINOProjectionHead(IN, 12, 5, K), head()
    linears = [layer for layer in theirs.layers if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, own in zip(linears, (layer for layer in mine.layers if isinstance(layer, nn.Linear)), strict=True):
            own.weight.copy_(layer.weight), own.bias.copy_(layer.bias)
        mine.prototypes.copy_(theirs.last_layer.weight_v)
    features = torch.randn(7, IN)
    torch.testing.assert_close(mine(features), theirs(features))
    mine(features).square().sum().backward()
    theirs(features).square().sum().backward()
    torch.testing.assert_close(mine.prototypes.grad, theirs.last_layer.weight_v.grad)


def test_logits_are_cosines_on_vectors_and_maps():
    mine, features = head(), torch.randn(2, IN, 3, 2)
    logits = mine(features)
    for b, y, x in ((0, 0, 1), (1, 2, 0)):
        said = mine.layers(features[b, :, y, x])
        cosines = F.cosine_similarity(said[None], mine.prototypes, dim=1)
        torch.testing.assert_close(logits[b, :, y, x], cosines)
    assert logits.shape == (2, K, 3, 2) and logits.abs().max() <= 1 + 1e-6


def test_the_length_of_a_prototype_does_not_matter_and_does_not_train():
    mine, features = head(), torch.randn(4, IN)
    before = mine(features)
    before.square().sum().backward()
    along = (mine.prototypes.grad * mine.prototypes).sum(1)
    torch.testing.assert_close(along, torch.zeros(K), atol=1e-6, rtol=0)
    with torch.no_grad():
        mine.prototypes.mul_(torch.rand(K, 1) + 0.5)
    torch.testing.assert_close(mine(features), before)


def test_it_starts_as_dino_does():
    mine = Prototypes(64, 512)
    linears = [layer for layer in mine.modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linears] == [2048, 2048, 256]
    for layer in linears:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()
    assert mine.prototypes.shape == (512, 256)
    assert mine.prototypes.abs().max() <= 1 / 16
    assert mine.prototypes.std().item() == pytest.approx(1 / 16 / 3**0.5, rel=0.02)

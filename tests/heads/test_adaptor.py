"""`adaptor`: AM-RADIO's two kinds, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from deo_bench.registry import Registry

REGISTRY = Registry()


def build(**options):
    head = REGISTRY.build("head", "adaptor", 6, 5, options={"hidden": 7, **options})
    with torch.no_grad():
        for at, value in enumerate(head.parameters()):
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(at)))
    return head


def linear(values, weights):
    return values @ weights.pop(0).T + weights.pop(0)


def norm(values, weights):
    centred = values - values.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights.pop(0) + weights.pop(0)


@pytest.mark.parametrize("inner", [0, 2])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_mlp_is_linear_norm_relu_and_repeats(inner, pre_norm):
    head, features = build(inner=inner, pre_norm=pre_norm), torch.randn(4, 6)
    weights = list(head.parameters())
    values = F.gelu(norm(features, weights)) if pre_norm else features
    for _ in range(inner + 1):
        values = norm(linear(values, weights), weights).clamp(min=0)
    torch.testing.assert_close(head(features), linear(values, weights))
    assert not weights


@pytest.mark.parametrize("inner", [0, 2])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_residual_adds_blocks_of_norm_gelu_linear(inner, pre_norm):
    head, features = build(kind="residual", inner=inner, pre_norm=pre_norm), torch.randn(4, 6)
    weights = list(head.parameters())
    values = linear(F.gelu(norm(features, weights)) if pre_norm else features, weights)
    for _ in range(inner):
        values = values + linear(F.gelu(norm(values, weights)), weights)
    torch.testing.assert_close(head(features), linear(F.gelu(norm(values, weights)), weights))
    assert not weights

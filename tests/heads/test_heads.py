"""Every head keeps the batch and the grid and treats cells alike; `mlp` is DEO's, `identity` is nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from deo_bench.draws import global_seed
from deo_bench.errors import UserError
from deo_bench.registry import Registry

REGISTRY = Registry()
NAMES = [name for name, head in REGISTRY.all("head").items() if not head.facts.get("takes_levels")]
APART = [name for name in NAMES if not REGISTRY.get("head", name).facts.get("mixes_cells")]


def build(name, in_width=6, out_width=6, **options):
    return REGISTRY.build("head", name, in_width, out_width, options=options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", [(), (3, 4)], ids=["vectors", "maps"])
def test_shapes_and_widths(name, grid):
    head = build(name)
    assert head(torch.randn(2, 6, *grid)).shape == (2, 6, *grid)
    assert (head.in_width, head.out_width) == (6, 6)


@pytest.mark.parametrize("name", APART)
def test_every_cell_of_a_map_is_treated_as_a_vector(name):
    head, features = build(name), torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(head(features)[:, :, 1, 2], head(features[:, :, 1, 2]))


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_head(name):
    heads = []
    for _ in range(2):
        with global_seed(0, "heads.views"):
            heads.append(build(name))
    first, second = (head.state_dict() for head in heads)
    assert all(first[key].equal(second[key]) for key in first)


def test_mlp_is_three_linear_layers_with_gelu_between():
    head, features = build("mlp", 6, 5, hidden=7), torch.randn(4, 6)
    one, two, three = (layer for layer in head.modules() if isinstance(layer, nn.Linear))
    expected = (
        F.gelu(F.gelu(features @ one.weight.T + one.bias) @ two.weight.T + two.bias) @ three.weight.T + three.bias
    )
    torch.testing.assert_close(head(features), expected)


def test_mlp_starts_as_deo_does():
    head = build("mlp", 64, 32)
    linears = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linears] == [2048, 2048, 32]
    for layer in linears:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()


def test_mlp_normalises_only_where_told():
    features = torch.randn(2, 6, 3, 3) * 50
    lengths = build("mlp", 6, 5, hidden=8, normalise=True)(features).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert not torch.allclose(build("mlp", 6, 5, hidden=8)(features).norm(dim=1), lengths)


def test_identity_gives_what_it_was_given_and_refuses_another_width():
    features = torch.randn(2, 6)
    assert build("identity")(features) is features
    with pytest.raises(UserError, match=r"width is 6 and the target's 5.*mlp"):
        build("identity", 6, 5)

"""Hadamard matrices are orthogonal with entries of one size, and reach the widths of real backbones."""

from __future__ import annotations

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.registry import Registry
from deo_bench.targets import _hadamard
from deo_bench.targets._hadamard import hadamard

REGISTRY = Registry()
BUILT = {
    "Sylvester": [1, 2, 4, 8, 256],
    "Paley I, of a prime": [12, 20, 24, 44, 48, 60, 192, 384],
    "Paley I, of a prime power": [28, 244],
    "Paley II, of a prime": [36, 76, 124],
    "Paley II, of a prime power": [52, 100],
    "Kronecker": [40, 56, 88, 96, 144, 160, 352, 768],
}
# The widths of the stages and of the pooled vectors of every model of these families in timm 1.0.
WIDTHS = {
    "vit": "192 256 320 384 512 640 768 832 896 1024 1152 1280 1408 1536 1664 2432 4096",
    "swin": "96 128 192 256 352 384 512 704 768 1024 1408 1536 2048 2816 4096",
    "convnext": "32 40 48 64 80 96 128 160 192 256 320 352 384 512 640 704 768 1024 1408 1536 2048 2816 3072",
    "resnet": "32 64 80 96 128 192 256 320 384 512 640 768 1024 1280 1536 2048 2560 3072 4096 6144 8192",
}
NONE = [3, 5, 6, 7, 10, 92, 116, 156, 172, 184, 188, 998]


@pytest.mark.parametrize("construct", BUILT)
def test_every_construction_is_orthogonal_with_entries_of_one_size(construct):
    for order in BUILT[construct]:
        matrix = hadamard(order)
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(order).double(), rtol=0, atol=1e-12)
        assert matrix.abs().mul(order**0.5).sub(1).abs().max() < 1e-12


def test_each_construction_is_the_one_that_its_name_says(monkeypatch):
    """Without the construction, its orders are not reached."""
    _hadamard._signs.cache_clear()
    for name, orders in (("_paley_one", [12, 28, 384]), ("_paley_two", [36, 52, 76]), ("_product", [4, 40, 768])):
        with monkeypatch.context() as patch:
            patch.setattr(_hadamard, name, lambda *_: None)
            for order in orders:
                with pytest.raises(ValueError, match=f"width {order}"):
                    hadamard(order)
            _hadamard._signs.cache_clear()


@pytest.mark.parametrize("family", WIDTHS)
def test_the_widths_of_real_backbones_have_one(family):
    for width in map(int, WIDTHS[family].split()):
        signs = _hadamard._signs(width)
        assert signs is not None and signs.shape == (width, width), width
        if width > 2048:
            continue
        product = signs.float() @ signs.float().T  # exact: sums of fewer than 2^24 ones
        assert product.equal(width * torch.eye(width)), width


@pytest.mark.parametrize("name", ["phi_s", "hca"])
@pytest.mark.parametrize("width", NONE)
def test_a_width_that_has_none_is_refused_with_zca(name, width):
    with pytest.raises(UserError, match=f"target '{name}': no Hadamard matrix of width {width} is known.*\"zca\""):
        REGISTRY.build("target", name, width)
    assert REGISTRY.build("target", "zca", min(width, 200)).width == min(width, 200)


@pytest.mark.parametrize("q", [7, 9, 25, 27, 49, 81])
def test_the_character_is_that_of_the_field(q):
    """Half of the units are squares, every row is balanced, and rows meet as a Paley graph's do: Q Q^T = q I - J."""
    characters = _hadamard._characters(q).double()
    assert characters.sum(1).abs().max() == 0
    assert characters.T.equal(characters if q % 4 == 1 else -characters)
    assert (characters @ characters.T).equal(q * torch.eye(q).double() - 1)

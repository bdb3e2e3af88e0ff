"""Every target keeps shape and type and can be undone; `channel_std` and `global_std` are z-scores of a stream."""

from __future__ import annotations

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.registry import Registry

REGISTRY = Registry()


def fitted(name, rows, chunks=1):
    target = REGISTRY.build("target", name, rows.shape[1])
    target.fit(rows.chunk(chunks))
    return target


def rows(n=40, width=4):
    scale = torch.tensor([1e-3, 1.0, 50.0, 1e4, 3.0])[:width]
    return torch.randn(n, width, generator=torch.Generator().manual_seed(0)) * scale + 100 * scale


@pytest.mark.parametrize("name", list(REGISTRY.all("target")))
@pytest.mark.parametrize("grid", [(), (2, 3)], ids=["vectors", "maps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_type_stay(name, grid, dtype):
    features = torch.randn(3, 4, *grid, dtype=dtype)
    given = fitted(name, rows())(features)
    assert given.shape == features.shape and given.dtype == dtype and given.isfinite().all()


@pytest.mark.parametrize("name", list(REGISTRY.all("target")))
def test_what_is_fitted_is_saved_with_the_run(name):
    target = fitted(name, rows())
    loaded = REGISTRY.build("target", name, 4)
    loaded.load_state_dict(target.state_dict())
    assert loaded(rows()).equal(target(rows()))
    assert not list(target.parameters())
    assert bool(target.state_dict()) == bool(REGISTRY.get("target", name).facts.get("needs_fit"))


@pytest.mark.parametrize("name", list(REGISTRY.all("target")))
@pytest.mark.parametrize("grid", [(), (2, 3)], ids=["vectors", "maps"])
def test_it_can_be_undone(name, grid):
    features = torch.randn(3, 8, *grid).double() + 5
    target = fitted(name, torch.randn(60, 8).double() @ torch.randn(8, 8).double() + 5).double()
    torch.testing.assert_close(target.inverse(target(features)), features, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in REGISTRY.all("target") if name != "none"])
def test_half_precision_is_transformed_in_float32_whatever_autocast_says(name):
    features = 3 * torch.randn(500, 4) + 1
    target = fitted(name, features)
    with torch.autocast("cpu", torch.bfloat16):
        given = target(features)
    assert given.dtype == torch.float32 and given.equal(target(features))
    half = features.bfloat16()
    assert target(half).equal(target(half.float()).bfloat16()) or name in ("channel_std", "global_std")


@pytest.mark.parametrize("name", [name for name in REGISTRY.all("target") if name != "none"])
def test_features_that_do_not_vary_stay_finite(name):
    constant = torch.full((30, 4), 7.0)
    given = fitted(name, constant)(constant)
    assert given.abs().max() < 1e-6


@pytest.mark.parametrize("chunks", [1, 7])
def test_global_std_divides_by_one_number(chunks):
    features = rows().double()
    given = fitted("global_std", features, chunks)(features)
    torch.testing.assert_close(given.mean(0), torch.zeros(4).double(), rtol=0, atol=1e-9)
    assert given.var(0).mean().item() == pytest.approx(1, rel=1e-12)
    torch.testing.assert_close(given.std(0) / given.std(0)[3], features.std(0) / features.std(0)[3])


def test_none_changes_nothing():
    features = rows()
    assert fitted("none", features)(features) is features


@pytest.mark.parametrize("chunks", [1, 7, 40])
def test_channel_std_gives_mean_0_and_variance_1(chunks):
    features = rows(width=5).double()
    given = fitted("channel_std", features, chunks)(features)
    torch.testing.assert_close(given.mean(0), torch.zeros(5).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(given.std(0), torch.ones(5).double(), rtol=1e-6, atol=0)


def test_channel_std_of_a_map_is_that_of_its_cells():
    target, cells = fitted("channel_std", rows()), rows(12)
    grid = cells.T.reshape(1, 4, 3, 4)
    torch.testing.assert_close(target(grid)[0].flatten(1).T, target(cells))


def test_a_large_mean_costs_no_precision():
    """One pass in float32, or the mean of squares minus the square of the mean, would give nonsense here."""
    features = torch.randn(1000, 3).double() + 1e5
    target = fitted("channel_std", features, 9)
    torch.testing.assert_close(target.std.double(), features.std(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_a_channel_that_does_not_vary_keeps_std_1(constant):
    features = rows(30, 3)
    features[:, 1] = constant
    target = fitted("channel_std", features, 4)
    assert target.std[1] == 1
    assert target(features)[:, 1].abs().max() <= 1e-6 * max(constant, 1)
    assert (target.std[[0, 2]] != 1).all()


@pytest.mark.parametrize("name", [name for name in REGISTRY.all("target") if name != "none"])
def test_unfitted_it_gives_nothing_to_train_on(name):
    assert REGISTRY.build("target", name, 4)(torch.randn(2, 4)).isnan().all()


@pytest.mark.parametrize(
    "chunks", [[], [torch.ones(1, 3)], [torch.ones(4, 2)], [torch.full((4, 3), torch.nan)], [torch.ones(4, 3, 2, 2)]]
)
@pytest.mark.parametrize("name", ["channel_std", "global_std", "zca"])
def test_what_cannot_be_fitted_on_is_refused(name, chunks):
    with pytest.raises(ValueError, match="features"):
        REGISTRY.build("target", name, 3).fit(chunks)


def test_an_option_it_does_not_have_is_refused():
    with pytest.raises(UserError, match="no option"):
        REGISTRY.build("target", "channel_std", 3, options={"eps": 1.0})

"""Whitenings make the covariance the identity, PHI-S every variance 1; each as numpy and scikit-learn have it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.registry import Registry
from deo_bench.targets._hadamard import hadamard

REGISTRY = Registry()
WHITENINGS = ["pca_w", "zca", "hca"]


def features(n=400, width=12, seed=0):
    """Correlated features whose channels differ in scale, far from zero, in float64."""
    draws = np.random.default_rng(seed)
    mixed = draws.normal(size=(n, width)) @ draws.normal(size=(width, width)) * np.geomspace(0.1, 30, width)
    return torch.from_numpy(mixed + 50)


def fitted(name, rows, chunks=1, **options):
    target = REGISTRY.build("target", name, rows.shape[1], options=options)
    target.fit(rows.chunk(chunks))
    return target


@pytest.mark.parametrize("name", WHITENINGS)
@pytest.mark.parametrize("chunks", [1, 9])
def test_a_whitening_makes_the_covariance_the_identity(name, chunks):
    rows = features()
    given = fitted(name, rows, chunks)(rows)
    torch.testing.assert_close(torch.cov(given.T), torch.eye(12).double(), rtol=0, atol=1e-9)
    assert given.mean(0).abs().max() < 1e-9


@pytest.mark.parametrize("width", [8, 12, 96])
@pytest.mark.parametrize("n", [6, 400])
def test_phi_s_gives_every_channel_variance_1(width, n):
    """Also where there are fewer features than channels: nothing is divided by an eigenvalue."""
    rows = features(n, width)
    target = fitted("phi_s", rows, 3)
    torch.testing.assert_close(target(rows).var(0), torch.ones(width).double(), rtol=0, atol=1e-10)
    error = (target.inverse(target(rows)) - rows).abs().max()
    assert error < 1e-12 * rows.abs().max()


def test_phi_s_keeps_distances_up_to_one_scale():
    rows = features()
    before, after = torch.pdist(rows), torch.pdist(fitted("phi_s", rows)(rows))
    ratio = after / before
    assert ratio.max() / ratio.min() == pytest.approx(1, abs=1e-12)
    assert ratio[0].item() == pytest.approx(rows.var(0).mean().rsqrt().item(), rel=1e-12)


def test_phi_s_in_float32_is_within_rounding():
    rows = features().float()
    given = fitted("phi_s", rows)(rows)
    assert given.dtype == torch.float32
    torch.testing.assert_close(given.var(0), torch.ones(12), rtol=0, atol=1e-5)


def test_equal_to_numpy():
    rows = features()
    about = rows.numpy() - rows.numpy().mean(0)
    _, s, vt = np.linalg.svd(about, full_matrices=False)  # another way than by the covariance
    vt = vt * np.sign(vt[np.arange(12), np.abs(vt).argmax(1)])[:, None]
    spread = s / np.sqrt(len(rows) - 1)
    principal = about @ vt.T
    h = hadamard(12).numpy()
    expected = {
        "pca_w": principal / spread,
        "zca": (principal / spread) @ vt,
        "hca": (principal / spread) @ h.T,
        "phi_s": principal @ h.T / np.sqrt((spread**2).mean()),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(fitted(name, rows)(rows).numpy(), values, rtol=0, atol=1e-8, err_msg=name)


def test_pca_w_is_scikit_learns():
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = features()
    theirs = decomposition.PCA(whiten=True, svd_solver="full").fit(rows.numpy())
    np.testing.assert_allclose(fitted("pca_w", rows)(rows).numpy(), theirs.transform(rows.numpy()), atol=1e-8)


def test_zca_is_symmetric_and_the_nearest_whitening():
    rows = features()
    assert torch.allclose(fitted("zca", rows).matrix, fitted("zca", rows).matrix.T, atol=1e-12)
    centred = rows - rows.mean(0)
    far = {name: (fitted(name, rows)(rows) - centred).square().sum() for name in WHITENINGS}
    assert far["zca"] < min(far["pca_w"], far["hca"])


@pytest.mark.parametrize("name", WHITENINGS)
def test_directions_without_variance_are_stretched_no_further_than_eps_allows(name):
    rows = features(6)
    target = fitted(name, rows, eps=1e-4)
    assert target(rows).isfinite().all()
    # 5 of 12 directions vary in 6 features; unseen ones are divided by the least standard deviation.
    values = torch.linalg.svdvals(target.matrix)
    least = (1e-4 * torch.cov(rows.T).diagonal().mean()).rsqrt()
    torch.testing.assert_close(values[:7], least.expand(7), rtol=1e-6, atol=0)
    assert (values[7:] < 0.999 * least).all()
    spread = torch.linalg.eigvalsh(torch.cov(target(rows).T)).flip(0)
    assert spread.max() < 1 + 1e-9 and spread[5:].abs().max() < 1e-6


def test_a_large_mean_costs_no_precision():
    rows = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)).double()
    near, far = fitted("zca", rows, 9), fitted("zca", rows + 1e5, 9)
    torch.testing.assert_close(near.matrix, far.matrix, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", WHITENINGS)
@pytest.mark.parametrize("eps", [0, -1, True, "x"])
def test_an_eps_that_is_none_is_refused(name, eps):
    with pytest.raises(UserError, match=f"target {name}.eps"):
        REGISTRY.build("target", name, 8, options={"eps": eps})

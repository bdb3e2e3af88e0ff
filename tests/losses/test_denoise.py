"""`denoise`: its equation by hand; noise that is an image's own; a student that says more loses less."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from deo_bench.draws import global_seed
from deo_bench.losses import Batch
from deo_bench.losses._noise import gaussian, key_of, uniform
from deo_bench.registry import Registry

REGISTRY = Registry()
B, C, D = 3, 4, 5


def build(student=C, target=D, **options):
    with global_seed("denoise"):
        return REGISTRY.build("loss", "denoise", student, target, options={"hidden": 6, **options})


def fresh(batch, seed=3):
    return replace(batch, generator=torch.Generator().manual_seed(seed))


def case(grid=(2, 2)):
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(2, B, C, *grid, generator=draw, dtype=torch.float64)
    target = 3 * torch.randn(2, B, D, *grid, generator=draw, dtype=torch.float64) + 1
    return student, target, Batch(torch.tensor([11, 5, 1000]), [(0, 1), (1, 0)])


def gelu(values):
    return values / 2 * (1 + np.vectorize(math.erf)(values / math.sqrt(2)))


def by_hand(loss, student, target, batch):
    """One cell at a time, in numpy; the draws are the product's, whose own tests are below."""
    state = {name: value.detach().numpy() for name, value in loss.state_dict().items()}

    def layer(name, values):
        return state[f"{name}.weight"] @ values + state[f"{name}.bias"]

    images = []
    for v, u in batch.pairs:
        key = key_of(batch.generator)
        s, t = student[v].reshape(B, C, -1).numpy(), target[u].reshape(B, D, -1).numpy()
        level = uniform(key, batch.index, 1).double().numpy()[:, 0]
        noise = gaussian(~key, batch.index, t[0].size).double().numpy().reshape(B, -1, D)
        for b in range(B):
            angle = math.pi / 2 * (loss.least + (1 - loss.least) * level[b])
            scale = math.sqrt((t[b] ** 2).mean())
            errors = []
            for x in range(t.shape[2]):
                wanted, told = t[b, :, x] / scale, s[b, :, x]
                told = (told - told.mean()) / math.sqrt(told.var() + 1e-5)
                noised = math.cos(angle) * wanted + math.sin(angle) * noise[b, x]
                hidden = gelu(
                    layer("noised", noised)
                    + layer("told", told)
                    + layer("level", np.array([math.cos(angle), math.sin(angle)]))
                )
                said = layer("last", hidden + gelu(layer("inner", hidden)))
                errors.append(((said - wanted) ** 2).mean())
            images.append(np.mean(errors))
    return np.mean(images)


@pytest.mark.parametrize("grid", [(), (2, 2)], ids=["vectors", "maps"])
def test_equals_its_equation(grid):
    student, target, batch = case(grid)
    loss = build(least=0.3).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.mul_(20).add_(0.1)
    value = loss(student, target, fresh(batch)).item()
    assert value == pytest.approx(by_hand(loss, student, target, fresh(batch)), rel=1e-9)
    assert loss.float()(student.float(), target.float(), fresh(batch)).item() == pytest.approx(value, rel=1e-5)


def test_scales_change_nothing_and_the_draws_do():
    student, target, batch = case()
    loss = build().double()
    value = loss(student, target, fresh(batch))
    torch.testing.assert_close(loss(student, 50 * target, fresh(batch)), value)
    torch.testing.assert_close(loss(20 * student, target, fresh(batch)), value, rtol=1e-4, atol=1e-6)
    assert not loss(student, target, fresh(batch, 4)).equal(value)


def test_an_images_noise_is_its_own():
    student, target, batch = case()
    loss = build().double()
    values = loss.per_image(student, target, fresh(batch))
    for b in range(B):
        alone = replace(fresh(batch), index=batch.index[[b]])
        torch.testing.assert_close(loss(student[:, [b]], target[:, [b]], alone), values[b])
    other = replace(fresh(batch), index=batch.index + 1)
    assert not torch.allclose(loss.per_image(student, target, other), values)


def test_a_student_that_knows_the_target_loses_less_than_one_that_does_not():
    """After as many steps, at noise that hides the target: the denoiser has nothing else to go by."""
    draw = torch.Generator().manual_seed(0)
    ends = []
    for knows in (True, False):
        loss = build(8, 8, hidden=32, least=0.9)
        optimiser = torch.optim.Adam(loss.parameters(), lr=1e-2)
        for step in range(150):
            target = torch.randn(1, 32, 8, generator=draw)
            student = target if knows else torch.randn(1, 32, 8, generator=draw)
            batch = Batch(torch.arange(32) + 32 * step, [(0, 0)], generator=torch.Generator().manual_seed(step))
            value = loss(student, target, batch)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        ends.append(value.item())
    assert ends[0] < 0.3 < 0.8 < ends[1]


def test_noise_is_normal_and_of_no_pattern():
    values = gaussian(7, torch.arange(400), 501)
    assert values.shape == (400, 501) and values.isfinite().all()
    assert stats.kstest(values.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform(7, torch.arange(5000), 3).flatten().numpy(), "uniform").pvalue > 1e-3
    standard = (values - values.mean(0)) / values.std(0)
    bound = 6 / math.sqrt(400)
    across = standard.T @ standard / 400 - torch.eye(501)
    assert across.abs().max() < bound, "two places of an image go together"
    rows = values @ values.T / 501 - torch.eye(400)
    assert rows.fill_diagonal_(0).abs().max() < 6 / math.sqrt(501), "two images go together"


def test_noise_is_of_key_and_image_alone():
    index = torch.tensor([3, 900_000_000_000, 0])
    whole = gaussian(5, index, 9)
    assert gaussian(5, index[[2, 0]], 9).equal(whole[[2, 0]])
    assert not torch.isclose(gaussian(6, index, 9), whole).any()
    assert not torch.isclose(whole[0], whole[1:]).any()

"""How images reach a backbone: at a protocol's size, with bands filled in or taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack
from deo_bench.engine.build import Statistics, build_student, images_of
from deo_bench.engine.view import View
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes.record import resolve
from deo_bench.recipe import resolve as resolve_recipe
from deo_bench.registry import Registry
from deo_bench.students import Student
from tests.tiny import recipe

S2 = BAND_SETS["s2_10"]


@pytest.fixture(scope="module")
def student(registry: Registry, pack: Pack) -> Student:
    made = resolve_recipe(recipe(), registry, "tiny")
    return build_student(made.student, Statistics.of(pack), registry, 0, lambda table: None).eval()  # type: ignore


@pytest.fixture(scope="module")
def images(pack: Pack) -> Images:
    return images_of(pack, torch.arange(4).numpy(), with_statistics=True)


def view(registry: Registry, bands: str = "s2_10", absent: tuple[str, ...] = (), **fields: object) -> View:
    return View(resolve({"use": "scenes-v1", **fields}, registry), bands, absent)


def without(images: Images, band: str) -> Images:
    kept = [place for place, name in enumerate(images.bands) if name != band]
    assert images.mean is not None and images.std is not None
    return replace(
        images,
        pixels=images.pixels[:, kept],
        bands=tuple(images.bands[place] for place in kept),
        mean=images.mean[kept],
        std=images.std[kept],
    )


@pytest.mark.parametrize("normalise", ["native", "dataset"])
def test_a_band_that_lacks_is_its_mean(registry: Registry, student: Student, images: Images, normalise: str) -> None:
    fewer = without(images, "B08")
    with pytest.raises(UserError, match="B08"), torch.no_grad():
        view(registry, normalise=normalise).features(student, fewer)
    with torch.no_grad():
        padded = view(registry, normalise=normalise, pad=True).features(student, fewer).get("default")
        normalised = student.prepare(images, "s2_10", normalise)  # type: ignore[arg-type]
        normalised[:, S2.index("B08")] = 0
        expected = student.extract(normalised, "s2_10", ()).get("default")
    assert torch.equal(padded, expected)


def test_padding_changes_nothing_where_nothing_lacks(registry: Registry, student: Student, images: Images) -> None:
    with torch.no_grad():
        one, other = (view(registry, pad=pad).features(student, images).get("default") for pad in (False, True))
    assert torch.equal(one, other)


def test_bands_are_taken_away(registry: Registry, student: Student, images: Images) -> None:
    gone = view(registry, absent=("B08", "B8A"))
    changed = replace(images, pixels=images.pixels.clone())
    changed.pixels[:, S2.index("B08")] += 500
    changed.pixels[:, S2.index("B8A")] *= 2
    with torch.no_grad():
        one, other = (gone.features(student, each).get("default") for each in (images, changed))
        whole = view(registry).features(student, images).get("default")
    assert torch.equal(one, other)
    assert (one - whole).abs().max() > 1e-4
    with torch.no_grad(), pytest.raises(UserError, match="every band of 'rgb' is absent"):
        view(registry, "rgb", absent=("B02", "B03", "B04")).features(student, images)


def test_images_are_brought_to_size(registry: Registry, student: Student, images: Images) -> None:
    for mode in ("bilinear", "bicubic", "nearest"):
        sized = view(registry, size=8, interpolation=mode).sized(images)
        assert sized.pixels.shape == (4, 10, 8, 8)
    assert view(registry).sized(images) is images
    assert torch.equal(
        view(registry, size=8, interpolation="nearest").sized(images).pixels, images.pixels[..., ::2, ::2]
    )


def test_levels_are_the_backbones_own(student: Student) -> None:
    assert student.numbered_levels == ("block_0", "block_1")
    assert student.own_levels(4) == ("block_0", "block_1")
    assert student.own_levels(1) == ("block_1",)

"""Groups of bands embedded apart (SatMAE), and the vision transformers that attend over all of their tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS, SENSORS
from deo_bench.engine.passes import Views, student_passes
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.normalisation import Normalisation
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from deo_bench.students import Student
from deo_bench.students.channel_groups import ChannelGroups, group_of
from tests.contract.backbones import BANDS, images, small_student
from tests.tiny import recipe

REGISTRY = Registry()
TEN = [("B02", "B03", "B04", "B08"), ("B05", "B06", "B07", "B8A"), ("B11", "B12")]
LEVELS = ("early", "mid", "late")


def built(use: str = "vit_tiny", **options: Any) -> Student:
    """A student of two blocks whose stem has groups, with a class token."""
    torch.manual_seed(0)
    return small_student(use, "channel_groups", drop_path=0.0, **options).eval()


def by_hand(
    student: Student, pixels: Tensor, sees: str, groups: list[tuple[str, ...]], mask: Tensor | None = None
) -> Any:
    """Group by group, then one sequence through the same blocks; a block's map is the mean of the groups' maps."""
    stem: Any = student.stem
    patch, bands, sequences = student.patch, BAND_SETS[sees], []
    side = pixels.shape[-1] // patch
    assert side == student.grid, "positions are not resampled here"
    for name, group in zip(stem.project, groups, strict=False):
        known = stem.bands[name]
        weight = stem.project[name].weight[:, [known.index(band) for band in group]]
        seen = pixels[:, [bands.index(band) for band in group]]
        cells = F.unfold(seen, patch, stride=patch).transpose(1, 2) @ weight.flatten(1).T + stem.project[name].bias
        if mask is not None:
            cells[mask.flatten(1)] = student.mask_token
        sequences.append(cells + stem.encoding[name] + student.positions)
    values = torch.cat([student.class_token.expand(len(pixels), -1, -1), *sequences], 1)
    maps = []
    for block in student.blocks:
        values = block(values)
        parts = values[:, 1:].split(side * side, 1)
        maps.append((sum(parts) / len(parts)).transpose(1, 2).unflatten(2, (side, side)))
    values = student.norm(values)
    means = [part.mean(1) for part in values[:, 1:].split(side * side, 1)]
    return values[:, 0], sum(means) / len(means), maps


@torch.no_grad()
@pytest.mark.parametrize(("sees", "groups"), [("s2_10", TEN), ("rgb", [("B04", "B03", "B02")])])
def test_features_are_those_of_a_loop_over_groups(sees: str, groups: list[tuple[str, ...]]) -> None:
    student = built()
    pixels = torch.randn(2, len(BAND_SETS[sees]), student.grid * student.patch, student.grid * student.patch)
    said = student.extract(pixels, sees, LEVELS)
    cls, mean, maps = by_hand(student, pixels, sees, groups)
    torch.testing.assert_close(said.get("cls"), cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said.get("mean"), mean, atol=1e-5, rtol=1e-5)
    for level in LEVELS:
        torch.testing.assert_close(said.get(level), maps[student.levels[level]], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_cell_is_masked_in_all_groups_at_once_and_keeps_place_and_group() -> None:
    student = built()
    student.mask_token.normal_()
    side = student.grid
    pixels = torch.randn(2, 10, side * student.patch, side * student.patch)
    mask = torch.rand(2, side, side) < 0.5
    said = student.trunk(student.embed(pixels, "s2_10", mask), LEVELS)
    cls, _, maps = by_hand(student, pixels, "s2_10", TEN, mask)
    torch.testing.assert_close(said.get("cls"), cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said.get("late"), maps[-1], atol=1e-5, rtol=1e-5)
    hidden = pixels.clone()
    wide = mask.repeat_interleave(student.patch, 1).repeat_interleave(student.patch, 2)
    hidden.masked_fill_(wide[:, None], 100.0)
    assert torch.equal(student.embed(hidden, "s2_10", mask), student.embed(pixels, "s2_10", mask))


@torch.no_grad()
def test_one_group_without_an_encoding_is_the_stem_for_all_bands() -> None:
    bands = {"rgb": BAND_SETS["rgb"]}
    given = [bands, {"rgb": Normalisation("reflectance", (0.2,) * 3, (0.1,) * 3)}]
    shape = {"width": 24, "depth": 2, "heads": 3, "size": 32}
    made = [
        REGISTRY.build(
            "student", "vit_tiny", lambda *a, s=s: REGISTRY.build("stem", s, bands, *a), *given, options=shape
        )
        for s in ("single", "channel_groups")
    ]
    one, grouped = (student.eval() for student in made)
    state = {name.replace("project.", "project.visible_nir."): value for name, value in one.state_dict().items()}
    grouped.load_state_dict({**state, "stem.encoding.visible_nir": torch.zeros(24)})
    pixels = torch.randn(2, 3, 48, 32)
    ours, theirs = (student.extract(pixels, "rgb", LEVELS) for student in (grouped, one))
    for place in ("cls", "mean", *LEVELS):
        torch.testing.assert_close(ours.get(place), theirs.get(place), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("use", ["vit_tiny", "vit_nano", "vit_moe_nano"])
@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_gradients_reach_every_group(use: str, size: tuple[int, int]) -> None:
    student = built(use)
    for sees in BANDS:
        student.zero_grad(set_to_none=True)
        said = student(images(*size), sees, levels=LEVELS)
        for level in LEVELS:
            cells = [side // student.stride(level) for side in size]
            assert said.get(level).shape == (2, student.width(level), *cells)
        sum(said.get(place).square().mean() for place in [*said.pooled, *LEVELS]).backward()  # type: ignore[union-attr]
        stem: Any = student.stem
        reached = {name for name, table in stem.project.items() if table.weight.grad is not None}
        assert reached == ({"visible_nir", "red_edge", "shortwave"} if sees == "s2_10" else {"visible_nir"})
        for name in reached:
            moved = stem.project[name].weight.grad.abs().sum((0, 2, 3))
            lacking = {"B08"} if sees == "rgb" else set()
            assert [band for band, by in zip(stem.bands[name], moved, strict=True) if not by] == list(lacking)
            assert stem.encoding[name].grad.any()


def test_every_band_has_a_group() -> None:
    groups: dict[str, list[str]] = {}
    for sensor in SENSORS.values():
        for band in sensor:
            groups.setdefault(group_of(band.name), []).append(band.name)
    assert groups == {
        "visible_nir": [
            *("B01", "B02", "B03", "B04", "B08", "L1", "L2", "L3", "L4", "L5"),
            *("WV1", "WV2", "WV3", "WV4", "WV5", "WV6", "WV7", "WV8", "R", "G", "B"),
        ],
        "red_edge": ["B05", "B06", "B07", "B8A", "B09"],
        "shortwave": ["B10", "B11", "B12", "L6", "L7"],
        "radar": ["VV", "VH"],
    }
    for name, count in {"s2_13": 3, "s2_12": 3, "s2_10": 3, "hls_6": 3, "rgb": 1}.items():
        assert ChannelGroups({name: BAND_SETS[name]}, 6, 4).groups_of(name) == count


@torch.no_grad()
def test_bands_are_found_by_name_in_any_order() -> None:
    torch.manual_seed(0)
    ten = BAND_SETS["s2_10"]
    stem = ChannelGroups({"one": ten, "other": ten[::-1]}, 6, 4)
    pixels = torch.randn(2, 10, 8, 8)
    torch.testing.assert_close(stem(pixels, "one"), stem(pixels.flip(1), "other"))


@torch.no_grad()
def test_encodings_tell_groups_apart_and_sinusoids_are_fixed() -> None:
    stem = ChannelGroups(BANDS, 6, 4, encoding="sinusoidal")
    assert not list(stem.encoding) and not any("code" in name for name in stem.state_dict())
    codes = stem.encodings_of("s2_10")
    angles = 2 * 10_000 ** -(torch.arange(3) / 3)
    torch.testing.assert_close(codes[2], torch.cat([angles.sin(), angles.cos()]), atol=1e-6, rtol=1e-5)
    normed = ChannelGroups(BANDS, 6, 4, norm=True)
    tokens = normed(torch.randn(2, 10, 8, 8), "s2_10") - normed.encodings_of("s2_10").T[:, :, None, None]
    torch.testing.assert_close(tokens.mean(1), torch.zeros(2, 3, 2, 2), atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_group_starts_from_the_filters_of_red_green_and_blue() -> None:
    stem, weight, bias = ChannelGroups(BANDS, 6, 4), torch.randn(6, 3, 4, 4), torch.randn(6)
    stem.inflate(weight, bias)
    first, last = stem.project["visible_nir"], stem.project["shortwave"]
    torch.testing.assert_close(first.weight[:, 2], weight[:, 0] * 3 / 4)  # B04
    torch.testing.assert_close(last.weight, weight.mean(1, keepdim=True).expand(-1, 2, -1, -1) * 3 / 2)
    assert torch.equal(first.bias, bias) and torch.equal(last.bias, bias)


@torch.no_grad()
def test_band_sets_of_different_numbers_of_groups_pass_the_trunk_apart() -> None:
    student = built("vit_nano")
    given = images(32, 32, 4)
    views = Views(Images(given.pixels, given.bands, given.unit), 2)
    levels = {"s2_10": ("late",), "rgb": ("late",)}
    together = student_passes(student, views, ("s2_10", "rgb"), levels)
    for sees in BANDS:
        alone = student(views.images, sees, levels=("late",))
        torch.testing.assert_close(together[sees].features.get("late"), alone.get("late"), atol=1e-6, rtol=1e-5)


def with_stem(**changes: Any) -> dict[str, Any]:
    tables = recipe()
    own = {"use": changes.pop("use", "vit_nano"), "bands": ["s2_10", "rgb"], "stem": "channel_groups", **changes}
    return {**tables, "student": own}


@pytest.mark.parametrize("use", ["swin_tiny", "timm", "vit_injected_nano"])
def test_a_student_that_takes_one_token_a_cell_is_refused_before_anything_runs(use: str) -> None:
    told = f"student.stem: 'channel_groups' gives several tokens a cell, and student '{use}' takes one; vit_base, "
    with pytest.raises(UserError, match=told):
        resolve(with_stem(use=use, **({"teacher": "none"} if "injected" in use else {})), REGISTRY)
    assert resolve(with_stem(use="vit_moe_nano"), REGISTRY).student.stem.use == "channel_groups"


def test_views_that_are_rgb_at_random_are_refused() -> None:
    tables = with_stem()
    tables["views"] = {**tables["views"], "rgb": 0.5}
    with pytest.raises(UserError, match="views.rgb: stem 'channel_groups' gives RGB fewer tokens"):
        resolve(tables, REGISTRY)

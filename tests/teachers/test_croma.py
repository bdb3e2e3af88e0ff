"""CROMA's optical tower says what torchgeo's does, on grids that torchgeo's table of distances is not made for too."""

from __future__ import annotations

import pytest
import torch
from torchgeo.models import croma

from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from deo_bench.teachers import croma as ours
from tests.teachers.blocks import CLOSE, TINY, as_map, build, drawn, outputs_of, saved, scene
from tests.teachers.blocks import tiny as tiny

pytestmark = pytest.mark.usefixtures("tiny")
PARTS = ("s1_encoder", "s1_GAP_FFN", "s2_encoder", "s2_GAP_FFN", "joint_encoder")


def published(model):
    """As its authors save it: one state dict for each module."""
    return {part: getattr(model, part).state_dict() for part in PARTS}


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("side", [120, 64])
def test_vectors_and_maps_are_those_of_the_library(side, normed, tmp_path):
    model = drawn(croma.CROMA(image_size=side, **TINY["croma"]))
    teacher = build("croma_vitb8", saved(published(model), tmp_path), levels=[0, 0, 1], normed=normed)
    batch, grid, transformer = scene(side, side), (side // 8, side // 8), model.s2_encoder.transformer
    layers = outputs_of([ffn for _, ffn in transformer.layers])
    pixels = teacher.prepare(batch)
    theirs = croma.CROMA(["optical"], image_size=side, **TINY["croma"])
    theirs.s2_encoder, theirs.s2_GAP_FFN = model.s2_encoder, model.s2_GAP_FFN
    inputs = []
    for _, ffn in transformer.layers:
        ffn.register_forward_pre_hook(lambda ffn, given: inputs.append(given[0]))
    expected = theirs(x_optical=pixels)
    said = teacher(batch, levels=("early", "late"))
    torch.testing.assert_close(said.get("default"), expected["optical_GAP"], **CLOSE)
    torch.testing.assert_close(said.get("mean"), expected["optical_encodings"].mean(1), **CLOSE)
    for level, added, before in zip(("early", "late"), layers, inputs, strict=True):
        tokens = transformer.norm_out(added + before) if normed else added + before
        torch.testing.assert_close(said.get(level), as_map(tokens, grid, 0), **CLOSE)
    if normed:
        torch.testing.assert_close(said.get("late"), as_map(expected["optical_encodings"], grid, 0), **CLOSE)


def test_distances_are_those_of_the_library_on_any_grid():
    torch.testing.assert_close(ours.distance_bias([15, 15]), croma.get_2dalibi(16, 225), **CLOSE)
    square, oblong = ours.distance_bias([3, 3]), ours.distance_bias([2, 3])
    assert oblong.equal(square[:, :, :6, :6])  # the first two rows of three columns


@torch.no_grad()
def test_cells_of_an_oblong_lie_where_its_pixels_do(tmp_path):
    model = drawn(croma.CROMA(image_size=64, **TINY["croma"]))
    teacher = build("croma_vitb8", saved(published(model), tmp_path))
    pixels = teacher.prepare(scene(16, 24))
    tokens = teacher._tokens(pixels, "s2_12", [2, 3])
    patch = pixels[:, :, 8:16, 16:24].flatten(1)  # the last of six
    torch.testing.assert_close(tokens[:, 5], model.s2_encoder.linear_input(patch), **CLOSE)
    assert teacher(scene(16, 24), levels=("late",)).get("late").shape == (2, 32, 2, 3)


@torch.no_grad()
def test_a_size_leaves_its_distances_to_no_other(tmp_path):
    model = drawn(croma.CROMA(image_size=64, **TINY["croma"]))
    file = saved(published(model), tmp_path)
    teacher = build("croma_vitb8", file)
    for size in ((16, 24), (24, 16), (16, 24)):
        fresh = build("croma_vitb8", file)
        assert teacher(scene(*size)).get("default").equal(fresh(scene(*size)).get("default"))
    half = scene(16, 24)
    half = Images(half.pixels.bfloat16(), half.bands, half.unit)
    assert teacher.bfloat16()(half).get("default").dtype == torch.bfloat16


def test_shapes_are_those_of_the_library():
    for name, shape in ours.SHAPES.items():
        with torch.device("meta"):
            theirs, own = getattr(croma, name)(image_size=8), croma.CROMA(image_size=8, **shape)
        own = {key: value.shape for key, value in own.state_dict().items()}
        assert {key: value.shape for key, value in theirs.state_dict().items()} == own


def test_pixels_are_stretched_over_two_deviations_in_256_levels(tmp_path):
    model = drawn(croma.CROMA(image_size=64, **TINY["croma"]))
    teacher = build("croma_vitb8", saved(published(model), tmp_path))
    bands = tuple(reversed(BAND_SETS["s2_13"]))
    values = torch.full((1, 13, 8, 8), 2000.0)
    pixels = teacher.prepare(Images(values, bands, "dn"))[0, :, 0, 0]
    low, high = 752.40087073 - 2 * 1108.02887453, 752.40087073 + 2 * 1108.02887453
    assert pixels.shape == (12,)
    assert pixels[0].item() == pytest.approx(int((2000 - low) / (high - low) * 255) / 255, abs=1e-6)
    low, high = 1805.06846033 - 2 * 1343.48379601, 1805.06846033 + 2 * 1343.48379601
    assert pixels[11].item() == pytest.approx(int((2000 - low) / (high - low) * 255) / 255, abs=1e-6)

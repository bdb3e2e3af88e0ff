"""Copernicus-FM says what torchgeo's does where nothing is known of place, time and area."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchgeo.models import copernicusfm

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.teachers import copernicusfm as ours
from tests.teachers.blocks import CLOSE, TINY, as_map, build, drawn, outputs_of, saved, scene
from tests.teachers.blocks import tiny as tiny

pytestmark = pytest.mark.usefixtures("tiny")
CENTRES = [440, 490, 560, 665, 705, 740, 783, 842, 860, 940, 1370, 1610, 2190]
WIDTHS = [20, 65, 35, 30, 15, 15, 20, 115, 20, 20, 30, 90, 180]
UNKNOWN = torch.full((2, 4), float("nan"))


@torch.no_grad()
@pytest.mark.parametrize(("sees", "picked"), [("s2_13", list(range(13))), ("rgb", [3, 2, 1])])
@pytest.mark.parametrize(("side", "patch"), [(224, 16), (64, 16), (64, 8), (48, 4)])
def test_vectors_and_maps_are_those_of_the_library(side, patch, sees, picked, tmp_path):
    model = drawn(copernicusfm.CopernicusFM(**TINY["copernicusfm"]))
    options = {"levels": [0, 0, 1], "patch": patch}
    teacher = build("copernicusfm_vitb16", saved(model.state_dict(), tmp_path), **options)
    batch, blocks = scene(side, side), outputs_of(model.blocks)
    centres, widths = [CENTRES[place] for place in picked], [WIDTHS[place] for place in picked]
    given = {"wavelengths": centres, "bandwidths": widths, "kernel_size": patch}
    expected = model(teacher.prepare(batch, sees), UNKNOWN, **given)
    said = teacher(batch, sees, levels=("early", "late"))
    torch.testing.assert_close(said.get("default"), expected, **CLOSE)
    torch.testing.assert_close(said.get("cls"), blocks[-1][:, 0], **CLOSE)
    assert teacher.stride("late") == patch
    for level, tokens in zip(("early", "late"), blocks, strict=True):
        torch.testing.assert_close(said.get(level), as_map(tokens, (side // patch,) * 2), **CLOSE)


@torch.no_grad()
def test_an_oblong_has_positions_of_its_own(tmp_path):
    """Where the library's square is wanted its own resampling is asked; an oblong is resampled alike."""
    model = drawn(copernicusfm.CopernicusFM(**TINY["copernicusfm"]))
    teacher = build("copernicusfm_vitb16", saved(model.state_dict(), tmp_path))
    pixels = teacher.prepare(scene(32, 48))
    tokens = teacher._tokens(pixels, "s2_13", [2, 3])
    cells = model.patch_embed_spectral(pixels, torch.tensor(CENTRES).float(), torch.tensor(WIDTHS).float())
    place = copernicusfm.resize_abs_pos_embed(model.pos_embed, (2, 3), (14, 14))
    parts = ("coord", "scale", "time")
    unknown = sum(getattr(model, f"{part}_fc")(getattr(model, f"{part}_token")) for part in parts)
    torch.testing.assert_close(tokens[:, 1:], cells + place[:, 1:] + unknown, **CLOSE)
    expected = (model.cls_token + place[:, :1] + unknown).expand(2, -1, -1)
    torch.testing.assert_close(tokens[:, :1], expected, **CLOSE)


def test_a_patch_to_which_its_padding_adds_a_cell_is_refused():
    with pytest.raises(UserError, match="patch = 3: it takes patches of 4 pixels and above"):
        build("copernicusfm_vitb16", patch=3)


def test_shapes_are_those_of_the_library():
    for name, shape in ours.SHAPES.items():
        with torch.device("meta"):
            theirs, own = getattr(copernicusfm, name)().state_dict(), copernicusfm.CopernicusFM(**shape).state_dict()
        assert {key: value.shape for key, value in theirs.items()} == {key: own[key].shape for key in own}


def test_pixels_are_scores_of_digital_numbers(tmp_path):
    model: nn.Module = drawn(copernicusfm.CopernicusFM(**TINY["copernicusfm"]))
    teacher = build("copernicusfm_vitb16", saved(model.state_dict(), tmp_path))
    batch = Images(torch.full((1, 13, 16, 16), 0.2), tuple(reversed(BAND_SETS["s2_13"])), "reflectance")
    whole, shown = (teacher.prepare(batch, sees)[0, :, 0, 0] for sees in ("s2_13", "rgb"))
    assert whole[0].item() == pytest.approx((2000 - 1612.9) / 791.0, abs=1e-5)
    assert whole[12].item() == pytest.approx((2000 - 1537.4) / 1142.9, abs=1e-5)
    assert shown.tolist() == pytest.approx(whole[[3, 2, 1]].tolist())

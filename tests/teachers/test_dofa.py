"""DOFA says what torchgeo's does, of bands that are picked by name and scaled as it was trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchgeo.models import dofa
from torchgeo.models.copernicusfm import resize_abs_pos_embed

from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from deo_bench.normalisation import FMOW_SENTINEL
from deo_bench.teachers import dofa as ours
from tests.teachers.blocks import CLOSE, TINY, as_map, build, drawn, outputs_of, saved, scene
from tests.teachers.blocks import tiny as tiny

pytestmark = pytest.mark.usefixtures("tiny")
MICROMETRES = [0.665, 0.56, 0.49, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19]


@pytest.fixture
def pair(tmp_path):
    model = drawn(dofa.DOFA(num_classes=0, **TINY["dofa"]))
    return model, build("dofa_vitb16", saved(model.state_dict(), tmp_path), levels=[0, 0, 1])


@torch.no_grad()
@pytest.mark.parametrize("size", [(224, 224), (96, 64)])
@pytest.mark.parametrize(("sees", "micrometres"), [("s2_9", MICROMETRES), ("rgb", MICROMETRES[:3])])
def test_vectors_and_maps_are_those_of_the_library(pair, size, sees, micrometres):
    model, teacher = pair
    batch, grid = scene(*size), (size[0] // 16, size[1] // 16)
    model.pos_embed = nn.Parameter(resize_abs_pos_embed(model.pos_embed, grid, 14))
    blocks = outputs_of(model.blocks)
    expected = model.forward_features(teacher.prepare(batch, sees), micrometres)
    said = teacher(batch, sees, levels=("early", "late"))
    torch.testing.assert_close(said.get("default"), expected, **CLOSE)
    torch.testing.assert_close(said.get("cls"), blocks[-1][:, 0], **CLOSE)
    for level, tokens in zip(("early", "late"), blocks, strict=True):
        torch.testing.assert_close(said.get(level), as_map(tokens, grid), **CLOSE)
    normed = teacher.extract(teacher.prepare(batch, sees), sees, ())
    assert normed.get("mean").equal(said.get("mean"))


@torch.no_grad()
def test_the_norm_may_stand_on_maps(pair, tmp_path):
    model, plain = pair
    normed = build("dofa_vitb16", saved(model.state_dict(), tmp_path), normed=True)
    cells = plain(scene(32, 32), levels=("late",)).get("late")
    expected = model.fc_norm(cells.movedim(1, 3)).movedim(3, 1)
    torch.testing.assert_close(normed(scene(32, 32), levels=("late",)).get("late"), expected, **CLOSE)


def test_shapes_are_those_of_the_library():
    for name, shape in ours.SHAPES.items():
        with torch.device("meta"):
            theirs, own = getattr(dofa, name)(num_classes=0).state_dict(), dofa.DOFA(num_classes=0, **shape)
        assert {key: value.shape for key, value in theirs.items()} == {k: v.shape for k, v in own.state_dict().items()}


def test_pixels_are_scaled_as_it_was_trained(pair):
    _, teacher = pair
    bands = BAND_SETS["s2_13"]
    values = torch.arange(1.0, 14.0) * 300
    pixels = teacher.prepare(Images(values.view(1, 13, 1, 1).expand(1, 13, 16, 16), bands, "dn"))[0, :, 0, 0]
    # B04 is 1,200 DN: of 3,000 shown as white, 102 of 255. B11 is 3,600 DN: of 8,160, 112.5 of 255.
    assert pixels[0].item() == pytest.approx((102 - 114.1099739) / 77.84352553, abs=1e-5)
    assert pixels[7].item() == pytest.approx((112.5 - 72.32804172) / 47.88519516, abs=1e-5)
    whole = teacher.prepare(Images(values.view(1, 13, 1, 1).expand(1, 13, 16, 16), bands, "dn"), "s2_13")[0, :, 0, 0]
    mean, std = FMOW_SENTINEL["B8A"]
    assert whole[8].item() == pytest.approx((2700 - mean) / std, abs=1e-5)
    assert whole[[3, 2, 1, 4, 5, 6, 7, 11, 12]].tolist() == pytest.approx(pixels.tolist(), abs=1e-6)
    bright = teacher.prepare(Images(torch.full((1, 13, 16, 16), 1.0), bands, "reflectance"))[0, :, 0, 0]
    assert bright[0].item() == pytest.approx((255 - 114.1099739) / 77.84352553, abs=1e-5)
    assert bright[7].item() == pytest.approx((255 - 72.32804172) / 47.88519516, abs=1e-5)
    shown = teacher.prepare(Images(values.view(1, 13, 1, 1).expand(1, 13, 16, 16), bands, "dn"), "rgb")[0, :, 0, 0]
    assert shown[0].item() == pytest.approx((0.4 - 0.485) / 0.229, abs=1e-5)


def test_a_head_may_be_there_and_the_norm_may_lack(pair, tmp_path):
    model, _ = pair
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("fc_norm")}
    file = saved({**state, "head.weight": torch.zeros(45, 24), "head.bias": torch.zeros(45)}, tmp_path)
    loaded = build("dofa_vitb16", file).model.state_dict()
    assert all(loaded[name].equal(state[name]) for name in state)
    assert loaded["fc_norm.weight"].eq(1).all() and loaded["fc_norm.bias"].eq(0).all()

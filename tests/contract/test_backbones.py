"""What every teacher and every student must keep, whatever it is made of."""

from __future__ import annotations

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import (
    BANDS,
    REGISTRY,
    all_bands,
    build_student,
    sizes,
    small_student,
    small_teacher,
)

TEACHERS, STUDENTS = list(REGISTRY.all("teacher")), list(REGISTRY.all("student"))
EACH = [("teacher", name) for name in TEACHERS] + [("student", name) for name in STUDENTS]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for family in {family for name in TEACHERS for family in REGISTRY.load("teacher", name).__mro__}:
        if "narrow" in vars(family):
            monkeypatch.setattr(family, "overrides", family.narrow)


def build(kind, name):
    return small_teacher(name) if kind == "teacher" else small_student(name).eval()


def levels_of(backbone):
    return tuple(backbone.levels)


@pytest.mark.parametrize(("kind", "name"), EACH)
@torch.no_grad()
def test_what_is_declared_comes_out(kind, name):
    backbone = build(kind, name)
    for sees, bands in backbone.band_sets.items():
        assert len(backbone.normalisations[sees].mean) == len(bands)
        for height, width in sizes(backbone):
            features = backbone(all_bands(height, width), sees, levels=levels_of(backbone))
            assert features.default == backbone.default
            assert {place: value.shape for place, value in features.pooled.items()} == {
                place: (2, channels) for place, channels in backbone.pooled_dims.items()
            }
            assert set(features.maps) == set(backbone.levels)
            for level, cells in features.maps.items():
                stride = backbone.stride(level)
                assert cells.shape == (2, backbone.width(level), height // stride, width // stride), level


@pytest.mark.parametrize(("kind", "name"), EACH)
def test_levels_are_shallow_to_deep_and_others_are_refused(kind, name):
    backbone = build(kind, name)
    assert set(backbone.levels) in ({"early", "mid", "late"}, {"late"}, set())
    assert list(backbone.levels.values()) == sorted(backbone.levels.values())
    batch = all_bands(*sizes(backbone)[0])
    for asked in (backbone.stride, backbone.width, lambda level: backbone(batch, levels=(level,))):
        with pytest.raises(UserError, match="has no 'block_99'"):
            asked("block_99")


@pytest.mark.parametrize(("kind", "name"), EACH)
@torch.no_grad()
def test_images_do_not_know_of_each_other(kind, name):
    backbone = build(kind, name)
    both = all_bands(*sizes(backbone)[0])
    first = backbone(type(both)(both.pixels[:1], both.bands, both.unit), levels=levels_of(backbone))
    features = backbone(both, levels=levels_of(backbone))
    for place in [*features.pooled, *features.maps]:
        torch.testing.assert_close(features.get(place)[:1], first.get(place), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(features.get(place)[0], features.get(place)[1], atol=1e-4), f"{place} is constant"


@pytest.mark.parametrize(("kind", "name"), EACH)
@torch.no_grad()
def test_half_precision_runs(kind, name):
    backbone = build(kind, name)
    batch = all_bands(*sizes(backbone)[0])
    exact = backbone(batch, levels=levels_of(backbone))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = backbone(batch, levels=levels_of(backbone))
    half = backbone.bfloat16()(
        type(batch)(batch.pixels.bfloat16(), batch.bands, batch.unit), levels=levels_of(backbone)
    )
    for place in [*exact.pooled, *exact.maps]:
        spread = exact.get(place).std()
        for found in (mixed, half):
            assert found.get(place).isfinite().all()
            assert (found.get(place).float() - exact.get(place)).abs().mean() < 0.2 * spread, place


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_gets_no_gradient(name):
    teacher = small_teacher(name).train()
    batch = all_bands(*sizes(teacher)[0])
    batch.pixels.requires_grad_()
    features = teacher(batch, levels=levels_of(teacher))
    assert not any(features.get(place).requires_grad for place in [*features.pooled, *features.maps])
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teachers_card_says_where_its_weights_are_from(name):
    facts = REGISTRY.get("teacher", name).facts
    source = facts["weights"]
    assert source in ("none", "file", "run") or source.startswith("hub:")
    if source.startswith("hub:") or "architecture" in facts:
        assert {"paper", "licence", "gated", "trained_on"} <= set(facts)
    if source.startswith("hub:"):
        is_known = "megabytes" in facts or "{" in source or "requires" in facts
        assert is_known, "only where an option says which weights, or their code is the user's, is their size unknown"


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_its_embedding_and_its_trunk(name):
    student = small_student(name).eval()
    pixels = student.prepare(all_bands(*sizes(student)[1]))
    levels = levels_of(student)
    whole, parts = student.extract(pixels, "s2_10", levels), student.trunk(student.embed(pixels, "s2_10"), levels)
    for place in [*whole.pooled, *whole.maps]:
        assert whole.get(place).equal(parts.get(place))


@pytest.mark.parametrize("name", STUDENTS)
@torch.no_grad()
def test_band_sets_may_share_the_trunks_pass(name):
    student = small_student(name).eval()
    batch, levels = all_bands(*sizes(student)[1]), levels_of(student)
    tokens = [student.embed(student.prepare(batch, sees), sees) for sees in BANDS]
    assert not torch.allclose(*tokens)
    together = student.trunk(torch.cat(tokens), levels)
    for number, sees in enumerate(BANDS):
        alone = student(batch, sees, levels=levels)
        for place in [*alone.pooled, *alone.maps]:
            shared = together.slice(2 * number, 2 * number + 2).get(place)
            torch.testing.assert_close(shared, alone.get(place), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", STUDENTS)
def test_gradients_reach_the_stem_that_was_seen(name):
    student = small_student(name)
    student(all_bands(*sizes(student)[0]), "rgb").get("default").square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.stem.parameters_of("rgb"))
    assert all(parameter.grad is None for parameter in student.stem.parameters_of("s2_10"))
    assert student.stem.parameters_of("rgb") and student.stem.parameters_of("s2_10")


@pytest.mark.parametrize("name", STUDENTS)
def test_a_masked_cell_is_not_looked_at(name):
    student = small_student(name)
    height, width = sizes(student)[1]
    stride = student.stride("late")
    mask = torch.zeros(2, height // stride, width // stride, dtype=torch.bool)
    mask[:, 0, 1] = True
    pixels = student.prepare(all_bands(height, width))
    other = pixels.clone()
    other[:, :, :stride, stride : 2 * stride] += 1
    masked = student.embed(pixels, "s2_10", mask)
    assert masked.equal(student.embed(other, "s2_10", mask))
    assert not masked.equal(student.embed(pixels, "s2_10"))
    other[:, :, -stride:, :stride] += 1
    assert not masked.equal(student.embed(other, "s2_10", mask))
    masked.square().sum().backward()
    assert student.mask_token.grad.abs().sum() > 0


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_starts_from_the_global_seed_alone(name):
    first, second = small_student(name).state_dict(), small_student(name).state_dict()
    assert all(first[key].equal(second[key]) for key in first)


FULL = {
    "dinov2_vitb14": (768, 14, 86.6),
    "dinov3_vitb16": (768, 16, 85.6),
    "vit_nano": (128, 8, 0.9),
    "vit_tiny": (192, 16, 6.0),
    "vit_small": (384, 16, 22.6),
    "vit_base": (768, 16, 87.8),
    "vit_base8": (768, 8, 86.3),
    "swin_tiny": (768, 32, 27.5),
    "swin_base": (1024, 32, 86.8),
}


@pytest.mark.parametrize("name", FULL)
def test_full_sizes(name, monkeypatch):
    monkeypatch.setattr(TimmVit, "overrides", {})
    with torch.device("meta"):
        backbone = small_teacher(name) if name in TEACHERS else build_student(name)
    millions = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
    assert (backbone.width("late"), backbone.stride("late")) == FULL[name][:2]
    assert millions == pytest.approx(FULL[name][2], abs=0.06)

"""A frozen teacher's maps on the way of a student: where they are added, what is neither trained nor saved."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.normalisation import Normalisation
from deo_bench.students import Student
from deo_bench.teachers import Teacher
from tests.contract.backbones import BANDS, NORMALISATIONS, REGISTRY, images

OPTICAL = {"rgb": BAND_SETS["rgb"]}
OWN = {"rgb": Normalisation("reflectance", (0.1, 0.12, 0.14), (0.05, 0.06, 0.07))}
SMALL = {"patch": 8, "width": 24, "heads": 3, "size": 32, "depth": 4, "pooling": "mean"}


def stem(width: int, patch: int, bands: dict[str, tuple[str, ...]] = BANDS) -> nn.Module:
    built: nn.Module = REGISTRY.build("stem", "dual", bands, width, patch)
    return built


def optical(**options: object) -> Teacher:
    """A small trained-like RGB teacher with three levels, as the engine hands a stored run's student over."""
    torch.manual_seed(7)
    small = {**SMALL, "width": 16, "heads": 2, "depth": 3, "patch": 4, **options}
    inner = REGISTRY.build("student", "vit_nano", lambda w, p: stem(w, p, OPTICAL), OPTICAL, OWN, options=small)
    return REGISTRY.build("teacher", "run", inner, options={"run": "0123456789ab-s0"})  # type: ignore[no-any-return]


def build(teacher: Teacher | None, moved: bool = True, **options: object) -> Student:
    torch.manual_seed(0)
    given = (stem, BANDS, NORMALISATIONS, teacher)
    student: Student = REGISTRY.build("student", "vit_injected", *given, options={**SMALL, **options})
    if moved:
        torch.manual_seed(1)
        for parameter in student.projections.parameters():
            nn.init.normal_(parameter)
    return student.eval()


@torch.no_grad()
def test_at_the_start_it_is_the_student_without_a_teacher_to_the_bit() -> None:
    plain, injected = build(None, moved=False), build(optical(), moved=False)
    shared = set(plain.state_dict()) & set(injected.state_dict())
    assert shared == set(plain.state_dict())
    for sees in BANDS:
        given = images(32, 32)
        assert plain(given, sees).get("mean").equal(injected(given, sees).get("mean"))
    assert not build(optical())(given).get("mean").equal(plain(given).get("mean"))


@torch.no_grad()
def test_each_level_is_added_before_its_block() -> None:
    teacher = optical()
    student, given = build(teacher, inject=["early", "late"], at=[1, 3]), images(32, 32)
    red_green_blue = (given.pick(OPTICAL["rgb"]).pixels - torch.tensor(OWN["rgb"].mean).view(3, 1, 1)) / torch.tensor(
        OWN["rgb"].std
    ).view(3, 1, 1)
    maps = teacher.backbone.extract(red_green_blue, "rgb", ("early", "late")).maps
    cells = student.stem(NORMALISATIONS["s2_10"].apply(given), "s2_10").flatten(2).transpose(1, 2) + student.positions
    for number, block in enumerate(student.blocks):
        if number in (1, 3):
            level = {1: "early", 3: "late"}[number]
            smaller = functional.interpolate(maps[level], size=(4, 4), mode="bilinear", antialias=True)
            rows = smaller.flatten(2).transpose(1, 2)
            rows = (rows - rows.mean(-1, keepdim=True)) / (rows.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            project = student.projections[0 if number == 1 else 1]
            cells = cells + rows @ project.weight.T + project.bias
        cells = block(cells)
    torch.testing.assert_close(student(given).get("mean"), student.norm(cells).mean(1), rtol=1e-5, atol=1e-5)


def test_levels_and_blocks_that_are_left_out() -> None:
    student = build(optical(), depth=12)
    assert (student.inject, student.at) == (("early", "mid", "late"), [0, 4, 8])
    assert build(REGISTRY.build("teacher", "descriptors")).inject == ("late",)
    assert build(optical(), depth=2).inject == ("mid", "late")
    assert build(None, inject=["late"], at=[2]).at == [], "without a teacher there is nothing to inject"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"at": [0, 1]}, "at takes 3 numbers of blocks from 0 to 3"),
        ({"at": [2, 1, 0]}, "shallow to deep"),
        ({"inject": ["early", "block_9"]}, "has no 'block_9'"),
        ({"inject": []}, "no maps to inject"),
    ],
)
def test_what_does_not_fit_is_one_line(options: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(optical(), **options)


def test_a_band_set_without_red_green_and_blue_is_refused() -> None:
    bands = {"infrared": ("B08", "B11", "B12")}
    normalisations = {"infrared": Normalisation("reflectance", (0.2,) * 3, (0.1,) * 3)}
    given = (lambda width, patch: stem(width, patch, bands), bands, normalisations, optical())
    with pytest.raises(UserError, match="'infrared', which the student is fed, lacks B04, B03, B02"):
        REGISTRY.build("student", "vit_injected", *given, options=SMALL)


@torch.no_grad()
def test_the_teacher_keeps_its_own_normalisation_whatever_the_protocols() -> None:
    student, given = build(optical()), images(32, 32)
    shown = Images(given.pixels, given.bands, given.unit, torch.full((10,), 0.2), torch.full((10,), 0.1))
    native, other = student.prepare(shown), student.prepare(shown, normalise="dataset")
    assert native.shape[1] == 13 and native[:, 10:].equal(other[:, 10:])
    assert native[:, 10:].equal(OWN["rgb"].apply(given.pick(OPTICAL["rgb"])))
    brighter = Images(given.pixels * 10_000, given.bands, "dn")
    torch.testing.assert_close(student.prepare(brighter), native, rtol=1e-4, atol=1e-4)


def test_it_is_neither_trained_nor_saved_nor_copied() -> None:
    teacher = optical()
    student = build(teacher).train()
    names = {name for name, _ in student.named_parameters()} | set(student.state_dict())
    assert not any("held" in name or "teacher" in name for name in names)
    assert sum(value.numel() for value in student.projections.parameters()) == 3 * (16 * 24 + 24)
    assert copy.deepcopy(student).held is student.held and not teacher.training
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student(images(32, 32)).get("mean").square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.projections.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(before[name].equal(value) for name, value in teacher.state_dict().items())


def test_it_learns_from_its_first_step() -> None:
    student = build(optical(), moved=False).train()
    student(images(32, 32)).get("mean")[:, 0].sum().backward()
    assert all(project.weight.grad.abs().sum() > 0 for project in student.projections)


@torch.no_grad()
def test_pixels_that_the_teacher_was_not_shown_are_said() -> None:
    student = build(optical())
    with pytest.raises(UserError, match="its teacher was not shown the images"):
        student.embed(torch.zeros(1, 10, 32, 32), "s2_10")


@torch.no_grad()
def test_a_following_copy_looks_at_the_same_teacher() -> None:
    student = build(optical())
    ema = REGISTRY.build("teacher", "ema", student)
    given = images(32, 32)
    assert ema(given, "s2_10", levels=("late",)).get("late").equal(student(given, levels=("late",)).get("late"))
    assert sum(value.numel() for value in ema.parameters()) == sum(value.numel() for value in student.parameters())

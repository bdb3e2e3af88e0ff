"""A moving average follows by name, heads and buffers included."""

from __future__ import annotations

import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from deo_bench.teachers import Moment
from tests.contract.backbones import REGISTRY, images, small_student


class Head(nn.Module):
    """A head with a floating buffer and a count, as batch norm has them."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)


def moved(module: nn.Module) -> nn.Module:
    """Every tensor of it, changed."""
    with torch.no_grad():
        for value in module.state_dict().values():
            value.add_(torch.randn_like(value) if value.is_floating_point() else 7)
    return module


def ema(student, **options):
    return REGISTRY.build("teacher", "ema", student, options=options)


@pytest.mark.parametrize(("step", "momentum"), [(0, 0.9), (5, 0.95), (10, 1.0)])
def test_it_is_the_closed_form(step, momentum):
    student, heads = small_student("vit_nano"), {"views": Head()}
    teacher = ema(student, start=0.9)
    teacher.adopt(heads)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    moved(student), moved(heads["views"])
    teacher.follow(student, heads, Moment(step, 10))
    leading = {f"backbone.{name}": value for name, value in student.state_dict().items()}
    leading |= {f"heads.views.{name}": value for name, value in heads["views"].state_dict().items()}
    after = teacher.state_dict()
    assert set(after) == set(leading)
    for name, value in after.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, momentum * before[name] + (1 - momentum) * leading[name])
        else:
            assert value.equal(leading[name]), "counts are copied"
    assert "heads.views.norm.running_mean" in after and "heads.views.norm.num_batches_tracked" in after


def test_the_order_of_registration_does_not_matter():
    def pair(first, second):
        return nn.ModuleDict({first: nn.Linear(2, 2), second: nn.Linear(2, 2)})

    student = small_student("vit_nano")
    teacher = ema(student, start=0.5, end=0.5)
    teacher.adopt({"both": pair("a", "b")})
    turned = pair("b", "a")
    before = teacher.heads["both"]["a"].weight.clone()
    teacher.follow(student, {"both": turned}, Moment(0, 10))
    assert teacher.heads["both"]["a"].weight.equal((before + turned["a"].weight) / 2)


def test_its_tensors_are_its_own():
    student, heads = small_student("vit_nano"), {"views": nn.Linear(2, 2)}
    teacher = ema(student)
    teacher.adopt(heads)
    theirs = {value.data_ptr() for module in (student, *heads.values()) for value in module.state_dict().values()}
    assert not theirs & {value.data_ptr() for value in teacher.state_dict().values()}
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_it_says_what_the_student_said():
    student = small_student("vit_nano").eval()
    teacher = ema(student)
    batch = images(32, 32)
    assert teacher.follows
    assert teacher(batch, "rgb").get("default").equal(student(batch, "rgb").get("default"))
    pixels = student.prepare(batch, "rgb")
    assert teacher.embed(pixels, "rgb").equal(student.embed(pixels, "rgb"))


@pytest.mark.parametrize("active", [False, True])
def test_stochastic_depth_is_off_unless_asked_for(active):
    teacher = ema(small_student("vit_nano", drop_path=0.5).train(), drop_path=active).train()
    batch = images(32, 32)
    assert any(isinstance(module, DropPath) for module in teacher.modules())
    assert teacher(batch).get("default").equal(teacher(batch).get("default")) is not active
    assert not teacher.backbone.norm.training

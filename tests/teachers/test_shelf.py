"""The worked examples on the shelves are parts like any other."""

from __future__ import annotations

from pathlib import Path

import torch

from deo_bench.registry import Registry
from tests.contract.backbones import BANDS, NORMALISATIONS, images

ROOT = Path(__file__).parents[2]


def test_the_teachers_example_is_a_teacher():
    registry = Registry([ROOT / "teachers" / "examples" / "thumbnail.py"])
    teacher = registry.build("teacher", "thumbnail", options={"cells": 2}).freeze()
    batch = images(16, 16)
    expected = teacher.prepare(batch).unflatten(3, (2, 8)).unflatten(2, (2, 8)).mean((3, 5)).flatten(1)
    torch.testing.assert_close(teacher(batch).get("default"), expected)
    assert teacher.width("default") == 12


def test_the_students_example_is_a_student():
    registry = Registry([ROOT / "students" / "examples" / "plain_conv.py"])

    def stem(width, patch):
        return registry.build("stem", "single", BANDS, width, patch)

    student = registry.build("student", "plain_conv", stem, BANDS, NORMALISATIONS, options={"width": 8})
    said = student(images(16, 24), "rgb", levels=("late",))
    assert said.get("late").shape == (2, student.width("late"), 16 // student.stride("late"), 24 // 4)
    said.get("default").sum().backward()
    assert all(parameter.grad is not None for parameter in student.parameters())

"""Teachers that are copies of the student at chosen moments, and the moving average by its half-life."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from deo_bench.students import Student
from deo_bench.teachers import Moment, Teacher
from tests.contract.backbones import REGISTRY, small_student


def teacher_of(name: str, student: Student, **options: object) -> Teacher:
    teacher: Teacher = REGISTRY.build("teacher", name, student, options=options)
    teacher.adopt({"views": nn.Linear(2, 2)})
    return teacher


def steps(teacher: Teacher, student: Student, totals: list[float], per_epoch: int) -> Iterator[bool]:
    """Train by hand: every step moves the student; whether the teacher is now a copy of it."""
    heads = {"views": nn.Linear(2, 2)}
    for step, total in enumerate(totals):
        with torch.no_grad():
            for value in (*student.parameters(), *heads["views"].parameters()):
                value.add_(1.0)
        epochs = (step + 1) // per_epoch
        teacher.follow(student, heads, Moment(step, len(totals), epochs, (step + 1) % per_epoch == 0, total))
        mine, theirs = teacher.backbone.state_dict(), student.state_dict()
        is_copy = all(torch.equal(mine[key], theirs[key]) for key in theirs)
        own = teacher.heads["views"].state_dict()
        assert is_copy == all(torch.equal(own[key], value) for key, value in heads["views"].state_dict().items())
        yield is_copy


@pytest.mark.parametrize(
    ("options", "renewed"),
    [({}, [2, 5, 8]), ({"every": 2}, [5]), ({"steps": 2}, [1, 3, 5, 7]), ({"steps": 9}, [8])],
)
def test_an_epochs_snapshot_is_the_student_at_the_epochs_end(options: dict[str, int], renewed: list[int]) -> None:
    student = small_student("vit_nano")
    copies = steps(teacher_of("epoch_snapshot", student, **options), student, [0.0] * 9, per_epoch=3)
    assert [step for step, is_copy in enumerate(copies) if is_copy] == renewed


def test_the_best_snapshot_is_renewed_where_the_mean_objective_was_the_lowest_so_far() -> None:
    student = small_student("vit_nano")
    # Means of epochs of two steps: 3, 4, 2.5, 2.5, 1. A single low step (0 in the second epoch) does not count.
    totals = [3.0, 3.0, 8.0, 0.0, 2.0, 3.0, 2.5, 2.5, 1.0, 1.0]
    copies = steps(teacher_of("best_snapshot", student), student, totals, per_epoch=2)
    assert [step for step, is_copy in enumerate(copies) if is_copy] == [1, 5, 9]


def test_what_the_best_snapshot_remembers_is_saved() -> None:
    student = small_student("vit_nano")
    teacher = teacher_of("best_snapshot", student, steps=2)
    list(steps(teacher, student, [1.0, 1.0, 5.0], per_epoch=100))
    again = teacher_of("best_snapshot", small_student("vit_nano"), steps=2)
    again.load_state_dict(teacher.state_dict())
    assert (again.best.item(), again.total.item(), again.count.item()) == (1.0, 5.0, 1.0)
    assert teacher.best.dtype == torch.float64


def test_the_frozen_initial_student_never_moves() -> None:
    student = small_student("vit_nano")
    teacher = teacher_of("frozen_init", student)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    assert not any(steps(teacher, student, [0.0] * 6, per_epoch=2))
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


@pytest.mark.parametrize(("share", "steps_"), [(0.1, 100), (0.05, 2000)])
def test_half_of_what_the_average_was_is_forgotten_after_its_half_life(share: float, steps_: int) -> None:
    teacher = REGISTRY.build("teacher", "ema", small_student("vit_nano"), options={"half_life": share})
    assert teacher.momentum(0, steps_) ** (share * steps_) == pytest.approx(0.5)
    assert teacher.momentum(steps_, steps_) == pytest.approx(1.0)
    plain = REGISTRY.build("teacher", "ema", small_student("vit_nano"))
    assert (plain.momentum(0, 10), plain.momentum(5, 10)) == (0.996, pytest.approx(0.998))

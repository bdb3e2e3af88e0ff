"""A stored run's student as a teacher."""

from __future__ import annotations

import pytest

from deo_bench.errors import UserError
from tests.contract.backbones import REGISTRY, images, small_student


def build(name, **options):
    student = small_student("vit_nano")
    return student.eval(), REGISTRY.build("teacher", name, student, options=options)


def test_it_says_what_the_student_says_of_its_own_bands():
    student, teacher = build("run", run="0123456789ab-s0")
    batch = images(32, 32)
    for sees in student.band_sets:
        said, own = teacher(batch, sees, levels=("mid", "block_2")), student(batch, sees, levels=("mid", "block_2"))
        assert all(said.get(place).equal(own.get(place)) for place in ("default", "mid", "block_2"))
    assert teacher.normalisations == student.normalisations
    assert not teacher.follows


def test_which_bands_it_sees_first_is_an_option():
    batch = images(32, 32)
    student, teacher = build("run", recipe="tiny.toml", sees="rgb")
    assert (teacher.first, student.first) == ("rgb", "s2_10")
    assert teacher(batch).get("mean").equal(student(batch, "rgb").get("mean"))
    with pytest.raises(UserError, match="no band set 'rbg', did you mean 'rgb'"):
        build("run", run="x", sees="rbg")


@pytest.mark.parametrize("options", [{}, {"run": "x", "recipe": "y.toml"}])
def test_which_run_must_be_said_once(options):
    with pytest.raises(UserError, match="say run ="):
        build("run", **options)


def test_the_tiny_optical_teacher_has_its_recipe():
    assert REGISTRY.get("teacher", "tiny_optical").facts["recipe"] == "recipes/tiny-optical.toml"
    assert "hand-made" in REGISTRY.get("teacher", "tiny_optical").summary
    assert build("tiny_optical")[1].recipe == "recipes/tiny-optical.toml"

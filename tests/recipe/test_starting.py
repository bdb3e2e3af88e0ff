"""`[student.init]`: what it may say, what is one line, and that a drawn student is called what it always was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deo_bench.errors import UserError
from deo_bench.recipe import Located, Recipe, resolve, set_path
from deo_bench.registry import Registry
from tests.tiny import recipe

REGISTRY = Registry()


def resolved(init: Any, **student: Any) -> Recipe:
    tables = recipe()
    tables["teachers"]["optical"] = {"use": "random", "like": "tiny_optical"}
    tables["student"] = {**tables["student"], **student, "init": init}
    return resolve(tables, REGISTRY)


def dumped(made: Recipe) -> dict[str, Any]:
    return made.model_dump(mode="json", by_alias=True)["student"]


def test_scratch_is_what_was_before_there_was_anything_else() -> None:
    plain = resolve(recipe(), REGISTRY)
    for init in ("scratch", {"from": "scratch"}):
        assert resolved(init).student == plain.student
    assert "init" not in dumped(plain)
    assert resolve(set_path(recipe(), "student.init", "scratch"), REGISTRY).student == plain.student


def test_each_source_says_what_it_is() -> None:
    timm = {"use": "timm", "model": "resnet50.a1_in1k", "width": None, "depth": None}
    tables = {k: v for k, v in recipe()["student"].items() if k in ("bands",)}
    own = {"data": recipe()["data"], "student": {**timm, **tables, "init": {"from": "hub"}}}
    own["student"] = {key: value for key, value in own["student"].items() if value is not None}
    assert dumped(resolve(own, REGISTRY))["init"] == {"from": "hub", "model": "resnet50.a1_in1k"}
    hub = {"from": "hub", "model": "vit_small_patch16_224.dino"}
    assert dumped(resolved(hub))["init"] == hub
    file = {"from": "file", "file": Located("a/b.safetensors", Path("/x"))}
    assert dumped(resolved(file))["init"] == {"from": "file", "file": "/x/a/b.safetensors"}
    found = resolved({"from": "teacher", "teacher": "optical"})
    assert "optical" not in found.teachers, "no term goes toward it"
    assert found.every_teacher["student.init"].use == "random"
    run = resolved({"from": "run", "run": "0123456789ab-s0", "weights": "ema"}).student.init
    assert run is not None and run.teacher is not None
    assert run.teacher.options["run"] == "0123456789ab-s0" and run.teacher.options["weights"] == "ema"


def test_a_source_over_another_drops_what_the_former_took() -> None:
    base = {**recipe(), "student": {**recipe()["student"], "init": {"from": "hub", "model": "a.b"}}}
    found = set_path(base, "student.init", {"from": "run", "run": "0123456789ab-s0"})["student"]["init"]
    assert found == {"from": "run", "run": "0123456789ab-s0"}
    assert set_path(base, "student.init", "scratch")["student"]["init"] == "scratch"
    drawn = set_path(base, "student.init", "scratch")
    assert set_path(drawn, "student.init.from", "hub")["student"]["init"] == {"from": "hub"}


@pytest.mark.parametrize(
    ("init", "told"),
    [
        ("hubb", "student.init.from: unknown source 'hubb', did you mean 'hub'"),
        ({"model": "a.b"}, "student.init.from: unknown source None"),
        (3, 'student.init: expected "scratch" or a table with from'),
        ({"from": "hub"}, "student.init.model: which of timm's weights"),
        ({"from": "hub", "model": "resnet50"}, "student.init.model: 'resnet50' does not say which weights"),
        ({"from": "hub", "model": 5}, "student.init.model: .* got 5"),
        ({"from": "hub", "model": "a.b", "file": "x"}, "student.init.file: from = 'hub' takes model"),
        ({"from": "scratch", "model": "a.b"}, "student.init.model: from = 'scratch' takes nothing else"),
        ({"from": "file"}, "student.init.file: is missing"),
        ({"from": "teacher"}, "student.init.teacher: unknown teacher's role None"),
        ({"from": "teacher", "teacher": "optica"}, "unknown teacher's role 'optica', did you mean 'optical'"),
        ({"from": "teacher", "teacher": "spectral"}, "expected a frozen teacher .* 'spectral' is 'ema'"),
        ({"from": "run"}, "student.init: say run = the name of a stored run, or recipe"),
        ({"from": "run", "run": "a", "recipe": "b"}, "student.init: say run = the name of a stored run, or recipe"),
        ({"from": "run", "run": "a", "seed": "x"}, "student.init.seed: expected int"),
        ({"from": "run", "run": "a", "weights": "best"}, "student.init.weights: "),
    ],
)
def test_what_cannot_be_is_one_line(init: Any, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        resolved(init)
    assert "\n" not in str(error.value)


def test_a_student_of_timms_says_its_model_once_and_starts_once() -> None:
    student = {"use": "timm", "bands": ["rgb"], "model": "resnet18"}
    for more, told in [
        ({"init": {"from": "hub"}}, "student.model: 'resnet18' does not say which weights"),
        ({"init": {"from": "hub", "model": "a.b"}}, "student.init.model: student 'timm' says its model itself"),
        ({"init": {"from": "hub"}, "file": "x.safetensors"}, "starts from file = … already"),
    ]:
        with pytest.raises(UserError, match=told):
            resolve({"data": recipe()["data"], "student": {**student, **more}}, REGISTRY)

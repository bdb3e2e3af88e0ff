"""Initialisation as an axis: drawn, a file's, the hub's, a run's, a frozen teacher's, trained and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.stored import stored_student
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.events import Note
from deo_bench.experiments.named import runs_named
from deo_bench.experiments.plan import Plan
from deo_bench.files import read_json
from deo_bench.recipe import resolve
from deo_bench.students import Student
from tests.experiments.conftest import Place, files
from tests.tiny import recipe


def write(place: Place, name: str = "vit.safetensors", seed: int = 0, **changes: int) -> Path:
    """Weights in timm's names for the tiny student, which is 16 wide and 2 deep."""
    torch.manual_seed(seed)
    shape = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "class_token": False}
    model = VisionTransformer(**{**shape, **changes}, global_pool="avg", fc_norm=False)
    save_file(model.state_dict(), place.folder / name)
    return place.folder / name


def set_up(place: Place, *values: str) -> Place:
    """One seed of a cell for each value of `student.init`; what is trained is as good as untrained."""
    head, _, _ = place.file.read_text().partition("[grid]")
    text = head.replace("seeds = [0, 1]", "seeds = [0]").replace(', "majority", "untrained"', "")
    place.file.write_text(f"{text}\n[grid]\nstudent.init = [{', '.join(values)}]\n")
    return place


def started(place: Place, plan: Plan, label: str) -> Student:
    """The student of a cell before its first step."""
    run = next(run for run in plan.runs.values() if any(label in told for told in run.labels))
    statistics = Statistics.from_json(read_json(place.store / run.name / "run.json")["statistics"])
    registry = plan.experiment.registry
    return build_student(run.recipe.student, statistics, registry, run.seed, lambda table: None)  # type: ignore[arg-type, return-value]


def test_a_grid_of_starts_is_trained_and_told_apart(place: Place) -> None:
    write(place)
    set_up(place, '"scratch"', '{ from = "file", file = "vit.safetensors" }')
    plan = place.plan()
    assert [row.label for row in plan.rows if row.kind == "cell"] == [
        "init=scratch",
        "init=file",
    ]
    outcome, events = place.carry_out(plan)
    assert not outcome.failed and len(plan.runs) == 2
    (told,) = [event.text for event in events if isinstance(event, Note)]
    assert told.endswith("starts from vit.safetensors; mask_token as drawn")
    drawn, begun = (read_json(place.store / name / "run.json").get("start") for name in plan.runs)
    assert drawn is None and begun == "starts from vit.safetensors; mask_token as drawn"
    student = started(place, plan, "init=file")
    torch.manual_seed(0)
    weights = timm.models.load_state_dict(str(place.folder / "vit.safetensors"))
    assert torch.equal(student.blocks[1].attn.qkv.weight, weights["blocks.1.attn.qkv.weight"])
    assert torch.equal(student.stem.project["rgb"].weight, weights["patch_embed.proj.weight"])
    # A stored student needs its file no longer.
    (place.folder / "vit.safetensors").unlink()
    for name in plan.runs:
        stored_student(plan.store.run(name), plan.experiment.registry)


def test_the_files_content_names_the_run_and_not_its_place(place: Place) -> None:
    write(place)
    plain = set(set_up(place, '"scratch"').plan().runs)
    before = set(set_up(place, '{ from = "file", file = "vit.safetensors" }').plan().runs)
    write(place, "same.safetensors")
    assert set(set_up(place, '{ from = "file", file = "same.safetensors" }').plan().runs) == before
    write(place, "same.safetensors", seed=1)
    after = set(set_up(place, '{ from = "file", file = "same.safetensors" }').plan().runs)
    assert len(plain | before | after) == 3


def test_the_hubs_weights_are_looked_up_before_anything_runs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(place.folder / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place.folder / "hub"))
    set_up(place, '"scratch"', '{ from = "hub", model = "vit_tiny_patch16_224.augreg_in21k" }')
    with pytest.raises(
        MissingInput, match="student.init: its weights are not here; .*hf download timm/vit_tiny_patch16"
    ):
        place.plan()
    set_up(place, '{ from = "hub", model = "vit_tiny_patch16_224.augre_in21k" }')
    with pytest.raises(
        UserError, match="student.init: timm has no model with weights .*the nearest are vit_tiny_patch16"
    ):
        place.plan()
    snapshot = place.folder / "hub/models--timm--vit_tiny_patch16_224.augreg_in21k/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("abc")
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224.augreg_in21k", pretrained=False)
    save_file(model.state_dict(), snapshot / "model.safetensors")
    more = 'width = 192\ndepth = 12\nheads = 3\npatch = 16\npooling = "cls"'
    set_up(place, '{ from = "hub", model = "vit_tiny_patch16_224.augreg_in21k" }')
    text = place.file.read_text().replace("width = 16\ndepth = 2\nheads = 2", more).replace("steps = 6", "steps = 1")
    place.file.write_text(text.replace("size = 16, scale", "size = 32, scale"))
    plan = place.plan()
    outcome, _ = place.carry_out(plan)
    assert not outcome.failed
    told = read_json(place.store / next(iter(plan.runs)) / "run.json")["start"]
    assert told.startswith("starts from timm's vit_tiny_patch16_224.augreg_in21k; its positions are resampled from 14")


def test_a_student_of_timms_starts_from_the_hub_as_from_the_file(place: Place) -> None:
    model = timm.create_model("test_vit", num_classes=7)
    save_file(model.state_dict(), place.folder / "vit.safetensors")
    registry, statistics = set_up(place, '"scratch"').plan().experiment.registry, None
    statistics = Statistics(("B02", "B03", "B04"), "dn", [1000.0] * 3, [300.0] * 3)
    made = []
    file = {"file": str(place.folder / "vit.safetensors")}
    for more in (file, {"init": {"from": "file", **file}}):
        table = {"use": "timm", "model": "test_vit", "bands": ["rgb"], **more}
        student = resolve({"data": recipe()["data"], "student": table}, registry).student
        made.append(build_student(student, statistics, registry, 0, lambda table: None))  # type: ignore[arg-type, return-value]
    one, other = (student.state_dict() for student in made)
    assert all(torch.equal(one[name], other[name]) for name in one | other)


def write_torn(place: Place) -> str:
    path = write(place, "torn.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    return "not a whole safetensors file"


def write_pickled(place: Place) -> str:
    torch.save({"model": Statistics}, place.folder / "torn.safetensors")
    (place.folder / "torn.safetensors").rename(place.folder / "pickled.pth")
    return "holds pickled objects or code"


def write_other(place: Place) -> str:
    write(place, "torn.safetensors", depth=3)
    return "not weights of this student: it has blocks.2"


SPOILT = [("torn.safetensors", write_torn), ("pickled.pth", write_pickled), ("torn.safetensors", write_other)]


@pytest.mark.parametrize(("name", "spoil"), SPOILT)
def test_a_file_that_cannot_be_is_one_line_and_the_rest_goes_on(place: Place, name: str, spoil) -> None:  # type: ignore[no-untyped-def]
    told = spoil(place)
    set_up(place, '"scratch"', f'{{ from = "file", file = "{name}" }}')
    outcome, _ = place.carry_out(place.plan())
    (line,) = [line for line in outcome.failed if "seed 0" in line][:1]
    assert told in line and name in line and "\n" not in line
    assert outcome.trained == 1


def test_a_file_that_is_not_there_is_said_before_anything_runs(place: Place) -> None:
    set_up(place, '{ from = "file", file = "vit.safetensors" }')
    with pytest.raises(MissingInput, match=r"student.init: file = '.*vit.safetensors' is not there"):
        place.plan()


FIRST = """
[data]
use = "npz"
paths = ["tiny.npz"]
unit = "dn"
[views]
global = { count = 1, size = 16, scale = [0.4, 1.0] }
[student]
use = "vit_nano"
bands = BANDS
width = 16
depth = 2
heads = 2
size = 16
[teachers.handmade]
use = "descriptors"
[objective.describe]
loss = "mse"
toward = "handmade"
sees = "rgb"
pairs = "same"
crops = "global"
[train]
steps = 2
batch = 8
"""


# The last stem's weights have the same shapes for any band set.
@pytest.mark.parametrize(
    ("bands", "stem"), [('["s2_10", "rgb"]', "dual"), ('["rgb"]', "dual"), ('["rgb"]', "wavelength")]
)
def test_a_recipe_that_a_student_starts_from_is_trained_first(place: Place, bands: str, stem: str) -> None:
    place.file.write_text(place.file.read_text().replace('bands = ["s2', f'stem = "{stem}"\nbands = ["s2'))
    (place.folder / "first.toml").write_text(FIRST.replace("BANDS", f'{bands}\nstem = "{stem}"'))
    where = f'recipe = "{place.folder / "first.toml"}"'
    set_up(place, '"scratch"', f'{{ from = "run", {where} }}')
    text = place.file.read_text().replace("steps = 6", "steps = 0")
    place.file.write_text(text)
    plan = place.plan()
    (first,) = [run for run in plan.runs.values() if run.depth]
    outcome, _ = place.carry_out(plan)
    assert not outcome.failed
    (second,) = [run for run in plan.runs.values() if run.recipe.student.init is not None]
    registry = plan.experiment.registry
    one, other = (stored_student(plan.store.run(run.name), registry).state_dict() for run in (first, second))
    trunk = {name for name in other if not name.startswith("stem.")}
    assert all(torch.equal(one[name], other[name]) for name in trunk)
    is_same = "s2_10" in bands
    (drawn,) = [run for run in plan.runs.values() if run.recipe.student.init is None and not run.depth]
    theirs = one if is_same else stored_student(plan.store.run(drawn.name), registry).state_dict()
    assert all(torch.equal(theirs[name], other[name]) for name in set(other) - trunk)
    told = read_json(place.store / second.name / "run.json")["start"]
    assert told.startswith(f"starts from run {place.folder / 'first.toml'}") and ("stem is as drawn" in told) != is_same
    contents = read_json(place.store / second.name / "recipe.json")
    assert contents["weights"]["student.init"] == first.name
    # And as a stored run's, by its name.
    set_up(place, f'{{ from = "run", run = "{first.name}" }}')
    assert set(place.plan().runs) == {second.name}
    assert first.name in runs_named(str(place.file), place.store, place.data)
    before = files(place.store)
    assert place.carry_out(place.plan())[0].trained == 0 and files(place.store).keys() == before.keys()


def test_a_run_that_is_not_there_is_said_before_anything_runs(place: Place) -> None:
    set_up(place, '{ from = "run", run = "0123456789ab-s0" }')
    with pytest.raises(MissingInput, match="there is no trained run 0123456789ab-s0"):
        place.plan()


def test_a_run_of_another_architecture_is_one_line(place: Place) -> None:
    (place.folder / "first.toml").write_text(FIRST.replace("BANDS", '["rgb"]').replace("width = 16", "width = 8"))
    set_up(place, f'{{ from = "run", recipe = "{place.folder / "first.toml"}" }}')
    outcome, _ = place.carry_out(place.plan())
    line = next(line for line in outcome.failed if "wants" in line)
    assert "student.init: run " in line and "has shape" in line and "\n" not in line


def with_teacher(place: Place, teacher: str) -> Place:
    """The tiny student in the shape of timm's test_vit, and a teacher that no term goes toward."""
    set_up(place, '"scratch"', '{ from = "teacher", teacher = "optical" }')
    model = timm.create_model("test_vit", num_classes=0)
    shape = f"width = {model.embed_dim}\ndepth = {len(model.blocks)}\nheads = {model.blocks[0].attn.num_heads}"
    ratio = model.blocks[0].mlp.fc1.out_features / model.embed_dim
    text = place.file.read_text().replace(
        "width = 16\ndepth = 2\nheads = 2", f'{shape}\nratio = {ratio}\npooling = "cls"'
    )
    place.file.write_text(text.replace("[heads.views]", f"[teachers.optical]\n{teacher}\n\n[heads.views]"))
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), place.folder / "test_vit.safetensors")
    return place


def test_a_student_starts_from_the_blocks_of_a_frozen_teacher(place: Place) -> None:
    with_teacher(place, 'use = "timm"\nmodel = "test_vit"\nfile = "test_vit.safetensors"')
    text = place.file.read_text()
    place.file.write_text(text.replace("steps = 6", "steps = 0"))
    plan = place.plan()
    outcome, _ = place.carry_out(plan)
    assert not outcome.failed
    (run,) = [run for run in plan.runs.values() if run.recipe.student.init is not None]
    student = stored_student(plan.store.run(run.name), plan.experiment.registry)
    weights = timm.models.load_state_dict(str(place.folder / "test_vit.safetensors"))
    own = student.state_dict()
    kept = [
        name for name in weights if name.startswith(("blocks.", "norm.")) and ".ls" not in name and "proj" not in name
    ]
    assert len(kept) > 20
    assert all(torch.equal(own[name], weights[name]) for name in kept if "fc2" not in name)
    told = read_json(place.store / run.name / "run.json")["start"]
    assert told.startswith("starts from teacher timm; ") and "filters are resampled from 16 to 8 pixels" in told
    assert told.endswith("mask_token as drawn")
    checksum = read_json(place.store / run.name / "recipe.json")["weights"]["student.init"]
    assert checksum == plan.identifier.teacher(run.recipe.every_teacher["student.init"]) and len(checksum) == 64
    torch.manual_seed(1)
    save_file(timm.create_model("test_vit").state_dict(), place.folder / "test_vit.safetensors")
    assert run.name not in place.plan().runs


def test_a_teacher_without_a_network_is_one_line(place: Place) -> None:
    outcome, _ = place.carry_out(with_teacher(place, 'use = "descriptors"').plan())
    line = next(line for line in outcome.failed if "student.init" in line)
    assert "student.init: teacher 'descriptors' has no network of timm's names" in line and "\n" not in line

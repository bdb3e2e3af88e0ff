"""A student of timm's from a file, in an experiment: its content names the run, which needs the file no longer."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from deo_bench import load_student
from deo_bench.engine.export import exported
from deo_bench.engine.stored import stored_student
from deo_bench.errors import UserError
from deo_bench.store import Store
from tests.experiments.conftest import Place


def write_weights(place: Place, seed: int) -> None:
    torch.manual_seed(seed)
    save_file(timm.create_model("test_resnet").state_dict(), place.folder / "resnet.safetensors")


def set_up(place: Place) -> Place:
    """One seed of one cell, with batch statistics, both stems and a teacher that follows."""
    write_weights(place, 0)
    head, _, _ = place.file.read_text().partition("[grid]")
    start, _, rest = head.partition("[student]")
    _, _, rest = rest.partition("[teachers")
    student = (
        'use = "timm"\nmodel = "test_resnet"\nfile = "resnet.safetensors"\nstem = "STEM"\nbands = ["s2_10", "rgb"]'
    )
    text = f"{start}[student]\n{student}\n\n[teachers{rest}".replace("seeds = [0, 1]", "seeds = [0]")
    place.file.write_text(text.replace('baselines = ["image_stats", "majority", "untrained"]', "baselines = []"))
    return place


@pytest.mark.parametrize("stem", ["dual", "summed"])
def test_a_run_is_trained_scored_and_found_again_without_the_file(place: Place, stem: str) -> None:
    set_up(place)
    place.file.write_text(place.file.read_text().replace("STEM", stem))
    plan = place.plan()
    outcome, _ = place.carry_out(plan)
    assert not outcome.failed
    (name,) = plan.runs
    (place.folder / "resnet.safetensors").unlink()
    student = stored_student(Store(place.store).run(name), plan.experiment.registry)
    taught = stored_student(Store(place.store).run(name), plan.experiment.registry, "ema")
    assert int(student.engine.bn1.num_batches_tracked) > 0
    assert not torch.equal(student.engine.bn1.running_mean, torch.zeros(64))
    assert taught.engine.bn1.running_mean.isfinite().all()
    content, _ = exported(Store(place.store).run(name), plan.experiment.registry)
    (place.folder / "student.safetensors").write_bytes(content)
    alone, images = load_student(place.folder / "student.safetensors"), torch.rand(2, 10, 64, 64)
    assert torch.equal(alone(images), load_student(Store(place.store).run(name).path)(images))
    assert torch.equal(alone.forward_head(alone.forward_features(images)), alone(images))


def test_the_files_content_names_the_run_and_not_its_place(place: Place) -> None:
    set_up(place)
    place.file.write_text(place.file.read_text().replace("STEM", "dual"))
    before = set(place.plan().runs)
    (place.folder / "resnet.safetensors").rename(place.folder / "other.safetensors")
    with pytest.raises(UserError, match="there is no such file"):
        place.plan()
    place.file.write_text(place.file.read_text().replace("resnet.safetensors", "other.safetensors"))
    assert set(place.plan().runs) == before
    write_weights(place, 1)
    place.file.write_text(place.file.read_text().replace("other.safetensors", "resnet.safetensors"))
    assert not set(place.plan().runs) & before

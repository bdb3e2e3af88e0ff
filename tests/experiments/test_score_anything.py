"""What was not trained here is scored by the same path: an export, another's checkpoint, a run by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from deo_bench import scores
from deo_bench.cli.app import app
from deo_bench.engine.export import FILE, exported
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.single import is_export, plan_of_one
from deo_bench.registry import Registry
from deo_bench.store import Run, Store
from tests.experiments.conftest import Place

TASK = {"use": "npz", "path": "tiny.npz", "name": "tiny", "unit": "dn", "groups": "place"}


@pytest.fixture(scope="module")
def run(finished: Place) -> Run:
    return next(run for run in Store(finished.store).runs() if run.is_done() and run.info["steps"] > 0)


@pytest.fixture(scope="module")
def export(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "my-student"
    folder.mkdir()
    (folder / FILE).write_bytes(exported(run, Registry())[0])
    return folder


def scored(finished: Place, name: str, store: Path, **given: Any) -> Plan:
    plan = plan_of_one(name, [TASK], ["scenes-v1"], store, finished.data, **given)
    launch = Launch(plan, "cpu")
    list(launch.events())
    assert not launch.outcome.failed
    return plan


def test_an_export_scores_what_its_run_does(finished: Place, run: Run, export: Path, tmp_path: Path) -> None:
    scored(finished, str(export), tmp_path / "runs")
    scored(finished, str(export / FILE), tmp_path / "runs")  # its file is the same thing
    found = scores(tmp_path / "runs")
    assert found.subject.nunique() == 2 and set(found.weights) == {"file"}
    own = scores(finished.store)
    for row in found.itertuples():
        (value,) = own[(own.subject == run.name) & (own.probe == row.probe) & (own.bands == row.bands)].value
        assert row.value == value


def test_a_run_is_found_by_its_folder(finished: Place, run: Run) -> None:
    plan = plan_of_one(str(run.path), [TASK], ["scenes-v1"], finished.store, finished.data)
    assert [row.label for row in plan.rows] == [run.name] and not plan.scores_to_do()
    with pytest.raises(UserError, match="is scored as it was trained"):
        plan_of_one(run.name, [TASK], ["scenes-v1"], finished.store, finished.data, options={"k": 1})


def test_anothers_checkpoint_is_scored(finished: Place, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=0, in_chans=10, img_size=32)
    save_file(model.state_dict(), tmp_path / "theirs.safetensors")
    options = {"model": "test_vit", "bands": "s2_10", "unit": "dn", "mean": 1500.0, "std": 300.0, "size": 32}
    settings = {"settings": {"img_size": 32}}
    file = str(tmp_path / "theirs.safetensors")
    plan = scored(finished, file, tmp_path / "runs", options={**options, **settings})
    found = scores(tmp_path / "runs")
    assert set(found.bands) == {"s2_10"} and len(found) == len(plan.requests) == 3
    again = plan_of_one(file, [TASK], ["scenes-v1"], tmp_path / "runs", finished.data, options={**options, **settings})
    assert not again.scores_to_do()
    other = plan_of_one(
        file, [TASK], ["scenes-v1"], tmp_path / "runs", finished.data, options={**options, **settings, "mean": 0.0}
    )
    assert len(other.scores_to_do()) == 3


def test_mistakes_are_one_line(finished: Place, export: Path, tmp_path: Path) -> None:
    given = ([TASK], ["scenes-v1"], tmp_path, finished.data)
    with pytest.raises(MissingInput, match="gone.pth: there is no such file"):
        plan_of_one(str(tmp_path / "gone.pth"), *given)
    with pytest.raises(UserError, match="unknown run, backbone or file 'image_stat', did you mean 'image_stats'"):
        plan_of_one("image_stat", *given)
    with pytest.raises(UserError, match="--set size: .* says itself what it is"):
        plan_of_one(str(export), *given, options={"size": 3})
    with pytest.raises(UserError, match="modell"):
        plan_of_one("timm", *given, options={"modell": "test_vit"})
    (tmp_path / "text.pth").write_text("no weights")
    answer = CliRunner().invoke(
        app, ["score", str(tmp_path / "text.pth"), "--task", "npz", "--store", str(tmp_path / "runs")]
    )
    assert answer.exit_code != 0 and "Traceback" not in answer.output
    answer = CliRunner().invoke(app, ["score", "timm", "--task", "scenes-cover", "--set", "model"])
    assert "expected OPTION=VALUE" in str(answer.exception) + answer.output


def test_weights_that_no_run_has_are_said(finished: Place, tmp_path: Path) -> None:
    plain = next(run for run in Store(finished.store).runs() if run.is_done() and run.info["steps"] == 0)
    given = ([TASK], ["scenes-v1"], finished.store, finished.data)
    with pytest.raises(UserError, match=r"--protocol scenes-v1: .* no EMA weights.*; say --weights student"):
        plan_of_one(plain.name, *given, weights=("ema",))
    assert plan_of_one(plain.name, *given, weights=("student", "ema")).requests


def test_a_protocol_for_other_labels_is_left_out(finished: Place, tmp_path: Path) -> None:
    """Where another has a probe for them: several tasks may ask for several protocols at once."""
    plan = plan_of_one("image_stats", [TASK], ["scenes-v1", "scenes-dense-v1"], tmp_path, finished.data)
    assert {request.protocol.id for request in plan.requests} == {"scenes-v1"}


def test_an_export_is_told_by_its_head(export: Path, tmp_path: Path) -> None:
    assert is_export(export / FILE)
    for number, content in enumerate((b"", b"\xff" * 40, b"\x02" + b"\0" * 7 + b"[]", b"\x05" + b"\0" * 7 + b"{not}")):
        (tmp_path / str(number)).write_bytes(content)
        assert not is_export(tmp_path / str(number))
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    assert not is_export(tmp_path / "plain.safetensors")

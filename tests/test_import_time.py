"""What starts without torch, looked at in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import SWEEP, Place

LOOK = """
import sys
{code}
heavy = sorted({{"torch", "timm", "lightning", "torchvision", "sklearn", "matplotlib"}} & set(sys.modules))
sys.stdout.flush()
sys.exit("loaded " + ", ".join(heavy) if heavy else 0)
"""

COMMAND = """
from deo_bench.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert not end.code, end.code
"""


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LOOK.format(code=code)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("code", ["import deo_bench", "import deo_bench.registry; deo_bench.registry.Registry()"])
def test_importing_the_package_loads_no_torch(code: str) -> None:
    told = fresh(code)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["list"], ["list", "losses"], ["show", "coding_rate"], ["data", "list"]],
    ids=" ".join,
)
def test_a_light_command_loads_no_torch(arguments: list[str]) -> None:
    told = fresh(COMMAND.format(arguments=arguments))
    assert told.returncode == 0, told.stderr
    assert told.stdout


def test_planning_loads_no_torch(store: Path) -> None:
    told = fresh(COMMAND.format(arguments=["plan", "quickstart", "--store", str(store)]))
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    "arguments", [["runs"], ["runs", "prune", "--cache"], ["compare", "quickstart#1", "quickstart#2"]]
)
def test_what_reads_a_store_loads_no_torch(store: Path, arguments: list[str]) -> None:
    store.mkdir()
    told = fresh(COMMAND.format(arguments=[*arguments, "--store", str(store)]))
    assert told.returncode == 0 and told.stdout, told.stderr


def test_a_report_loads_no_torch(store: Path, tmp_path: Path) -> None:
    arguments = ["report", "quickstart", "--store", str(store), "--out", str(tmp_path / "out")]
    told = fresh(COMMAND.format(arguments=arguments).replace('"matplotlib"', ""))
    assert "torch" not in told.stderr and (tmp_path / "out" / "scores.csv").is_file(), told.stderr


@pytest.mark.parametrize("command", ["plan", "report"])
def test_looking_at_a_sweep_loads_no_torch(tmp_path: Path, command: str) -> None:
    place = Place(tmp_path)
    (tmp_path / "answer.toml").write_text('title = "T"\nexperiment = "tiny.toml"\nbaseline = "default"\n')
    file = place.file if command == "plan" else tmp_path / "answer.toml"
    arguments = [command, str(file), "--store", str(place.store), "--data", str(place.data)]
    arguments += ["--out", str(tmp_path / "out")] if command == "report" else []
    told = fresh(COMMAND.format(arguments=arguments).replace('"matplotlib"', ""))
    assert told.returncode == 0 and told.stdout, told.stderr


@pytest.mark.parametrize("command", ["plan", "report", "runs", "runs prune --keep"])
def test_looking_at_a_sweep_that_has_begun_loads_no_torch_for_its_budget(tmp_path: Path, command: str) -> None:
    budget = "[sweep]\nbudget = { pflops = 1e-7 }"
    text = SWEEP.replace("[sweep]", budget).replace("trials = 4", "trials = 2") + "train.batch = [8, 16]\n"
    place = Place(tmp_path, text)
    made = place.sweep()
    (tuned,), (study,) = made.cells, made.studies()
    steps = set()
    while (claimed := study.claim()) is not None:
        steps.add(made.recipe(tuned, {**claimed.settings, "train.batch": 8 * (claimed.number + 1)}).train.steps)
        claimed.complete([0.5 + claimed.number / 10])
    assert len(steps) == 2, "the finalist costs something else than the recipe as it stands"
    (tmp_path / "answer.toml").write_text('title = "T"\nexperiment = "tiny.toml"\nbaseline = "default"\n')
    file = tmp_path / "answer.toml" if command == "report" else place.file
    arguments = [*command.split(), str(file), "--store", str(place.store), "--data", str(place.data)]
    arguments += ["--out", str(tmp_path / "out")] if command == "report" else []
    told = fresh(COMMAND.format(arguments=arguments))
    assert told.stdout and told.stderr.strip() in ("", "loaded matplotlib" if command == "report" else ""), told.stderr


def test_the_look_itself_sees_torch() -> None:
    assert "loaded" in fresh("import torch").stderr


def test_waiting_is_passive_unless_the_user_chose_otherwise() -> None:
    code = "import os; os.environ.pop('OMP_WAIT_POLICY', None)" + COMMAND.format(arguments=["--version"])
    assert fresh(f"{code}\nassert os.environ['OMP_WAIT_POLICY'] == 'passive'").returncode == 0
    code = code.replace("pop('OMP_WAIT_POLICY', None)", "update(OMP_WAIT_POLICY='active')")
    assert fresh(f"{code}\nassert os.environ['OMP_WAIT_POLICY'] == 'active'").returncode == 0

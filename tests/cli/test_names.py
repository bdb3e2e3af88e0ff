"""`list`, `show` and `check`: names right and wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from deo_bench import libraries
from deo_bench.cli import main
from deo_bench.cli.weights import weights_lines
from deo_bench.declarations import KINDS
from deo_bench.registry import Registry
from deo_bench.teachers._vit import TimmVit
from deo_bench.weights import locate
from tests.contract.backbones import REGISTRY, SMALL_VIT

Write = Callable[..., Path]
Call = Callable[..., tuple[int, str, str]]

BROKEN = '''
import torch
from deo_bench.losses import Loss, loss

@loss("own_broken", zero_at_target=True)
class Broken(Loss):
    """Not zero at its target, and drawn from torch's global generator."""

    def __init__(self, *, size: float = 1.0):
        super().__init__()
        self.size = size

    def forward(self, student, target, batch):
        return (student * torch.randn(())).mean() + self.size
'''


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_everything_is_listed(call: Call) -> None:
    status, out, _ = call("list")
    assert status == 0
    registry = Registry()
    for kind in KINDS:
        for name in registry.all(kind):
            assert f"  {name} " in out
    assert "experiments\n" in out and "  quickstart " in out
    assert "recipes\n" in out and "  deo-tiny " in out


@pytest.mark.parametrize("word", ["losses", "loss"])
def test_a_kind_is_listed_in_either_number(call: Call, word: str) -> None:
    status, out, _ = call("list", word)
    assert status == 0 and out.startswith("losses\n") and "\n  coding_rate " in out and "teachers" not in out


def test_ones_own_parts_are_listed_and_marked(call: Call, part_file: Write) -> None:
    _, out, _ = call("list", "losses", "--parts", str(part_file(BROKEN)))
    assert "own_broken" in out and "[yours]" in out


def test_a_part_is_shown_with_card_options_origin_and_text(call: Call) -> None:
    status, out, _ = call("show", "dinov3_vitb16")
    assert status == 0
    assert "teacher dinov3_vitb16 (version 1)" in out and "dinov3.py:" in out
    assert "gated = false" in out and "licence = " in out and "file = none   (Path | None)" in out


def test_a_preset_is_shown(call: Call) -> None:
    status, out, _ = call("show", "quickstart")
    assert status == 0 and "[grid]" in out and "quickstart.toml" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "loses"), "unknown thing to list 'loses', did you mean 'losses'?"),
        (("show", "codingrate"), "unknown name 'codingrate', did you mean 'coding_rate'?"),
        (("check", "codingrate"), "unknown part 'codingrate', did you mean 'coding_rate'?"),
        (("new", "los", "mine"), "unknown kind of part 'los', did you mean 'loss'?"),
        (("new", "loss", "Mine"), "'Mine' is no name for a part"),
        (("new", "loss", "mse"), "there is a loss 'mse' already: "),
        (("check", "mse", "--set", "x"), "--set x: expected OPTION=VALUE"),
        (("check", "mse", "--set", "x=1"), "loss 'mse' has no option 'x'"),
        (("check", "knn"), "a probe has no contract to check; those that have: loss, head"),
        (("list", "--parts", "nowhere.py"), "nowhere.py: cannot be read as a part file"),
        (("data", "check", "m-eurosta"), "unknown task or experiment 'm-eurosta', did you mean 'm-eurosat'?"),
        (("data", "pack", "m-eurosat"), "no folder of data is given; say --data FOLDER"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(call: Call, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = call(*arguments)
    assert status == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert said in err and "Traceback" not in out + err


def test_an_unknown_command_is_answered_with_the_nearest(call: Call) -> None:
    status, _, err = call("lst")
    assert status == 2 and "lst" in err


def test_ctrl_c_is_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "find", stop)
    status, _, err = call("show", "mse")
    assert status == 130 and "Traceback" not in err


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Registry, "find", stop)
    with pytest.raises(ZeroDivisionError):
        main(["show", "mse"])


def test_a_part_that_keeps_its_contract_passes(call: Call) -> None:
    status, out, _ = call("check", "mse")
    assert status == 0 and "holds" in out and "BROKEN" not in out


def test_a_part_that_breaks_its_contract_is_told_which_rules(call: Call, part_file: Write) -> None:
    status, out, _ = call("check", str(part_file(BROKEN)), "--set", "size=2")
    assert status == 1
    broken = [line for line in out.splitlines() if "BROKEN" in line]
    assert any("zero where student and target agree" in line for line in broken)
    assert any("torch's global generator is left alone" in line for line in broken)


def test_a_teacher_that_is_not_here_says_how_to_get_it(call: Call) -> None:
    for command in ("show", "check"):
        status, out, _ = call(command, "dinov2_vits14")
        assert status == 0 and "not here, about 88.0 MB: run `hf download timm/vit_small_patch14_dinov2" in out


def test_weights_that_are_here_are_loaded_by_a_check(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimmVit, "overrides", SMALL_VIT)
    torch.manual_seed(0)
    save_file(REGISTRY.build("teacher", "dinov2_vits14", False).model.state_dict(), tmp_path / "own.safetensors")
    arguments = ("check", "dinov2_vits14", "--set", f'file="{tmp_path / "own.safetensors"}"')
    _, out, _ = call(*arguments)
    assert f"here, {(tmp_path / 'own.safetensors').stat().st_size / 1e6:.1f} MB: {tmp_path}" in out
    assert "holds   its weights load" in out
    content = (tmp_path / "own.safetensors").read_bytes()
    (tmp_path / "own.safetensors").write_bytes(content[:-9])
    status, out, _ = call(*arguments)
    assert status == 1 and "BROKEN  its weights load" in out and "not a whole safetensors file" in out


def test_the_checksum_of_a_first_load_is_shown(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "models--timm--vit_small_patch14_dinov2.lvd142m"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    path = folder / "snapshots" / ("a" * 40) / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    _, out, _ = call("show", "dinov2_vits14", "--store", str(tmp_path / "runs"))
    assert str(path) in out and "sha256" not in out
    locate(REGISTRY.get("teacher", "dinov2_vits14"), {}, tmp_path / "runs" / "cache")
    _, out, _ = call("show", "dinov2_vits14", "--store", str(tmp_path / "runs"))
    assert f"sha256 {hashlib.sha256(b'weights').hexdigest()}, as first loaded" in out


def test_a_library_that_is_not_here_is_named_before_its_weights(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = REGISTRY.get("teacher", "dinov2_vits14")
    told = list(weights_lines(replace(declared, facts={**declared.facts, "library": "open_clip"}), {}))
    assert len(told) == 2 and told[0] == "weights"
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    told = list(weights_lines(replace(declared, facts={**declared.facts, "library": "open_clip"}), {}))
    assert told[1] == "  needs open_clip, which is not installed; pip install 'deo-bench[clip]'"


def test_speed_is_measured_where_it_is_asked_for(call: Call) -> None:
    status, out, _ = call("show", "vit_nano", "--speed", "--batch", "2", "--size", "32")
    assert status == 0 and re.search(
        r"\d images of 32 px a second, 2 at once, float32, \d+ CPU threads, untrained", out
    )
    status, _, err = call("show", "vit_nano", "--speed", "--batch", "2", "--size", "36")
    assert status == 2 and "patch 8 does not divide images of 36 x 36" in err
    status, _, err = call("show", "vit_nano", "--speed", "--device", "nowhere")
    assert status == 2 and "--speed on nowhere:" in err

"""`list`, `show` and `check`: names right and wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.declarations import KINDS
from deo_bench.registry import Registry

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

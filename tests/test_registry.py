"""Names to parts: the nearest name is said, duplicates name both places, a user's own file is a part like any other."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import deo_bench.registry
from deo_bench.declarations import KINDS, REQUIRED
from deo_bench.errors import UserError
from deo_bench.losses import Loss, loss
from deo_bench.registry import Registry

Write = Callable[..., Path]

OWN = '''
from deo_bench.losses import PairLoss, loss

@loss("own_huber")
class Huber(PairLoss):
    """Squared near zero, linear far away."""

    def __init__(self, *, delta: float = 1.0, sign: int):
        super().__init__()
        if delta < 0:
            raise ValueError("delta must not be negative")
        self.delta = delta
'''


@pytest.fixture
def notebook() -> Iterator[dict[str, object]]:
    """A namespace whose classes say that they come from `__main__`; what it registers is forgotten afterwards."""
    before = {kind: dict(parts) for kind, parts in deo_bench.registry._DEFINED.items()}
    yield {"__name__": "__main__", "Loss": Loss, "loss": loss}
    for kind, parts in before.items():
        deo_bench.registry._DEFINED[kind] = parts


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def test_every_option_of_the_project_accepts_its_own_default(registry: Registry) -> None:
    for kind in KINDS:
        for name, declared in registry.all(kind).items():
            for option in declared.options.values():
                if option.default is not REQUIRED:
                    checked = option.check(option.default, f"{kind} {name}")
                    assert checked == option.default and type(checked) is type(option.default), (kind, name, option)


def test_every_part_of_the_project_has_a_summary_and_a_name_in_snake_case(registry: Registry) -> None:
    for kind in KINDS:
        for name, declared in registry.all(kind).items():
            assert declared.summary.endswith("."), f"{declared.origin}: {kind} {name!r} has no summary sentence"
            assert len(declared.summary) <= 120, f"{declared.origin}: the summary of {kind} {name!r} is too long"
            # Data sets are called as they were published: m-NeonTree.
            assert (name == name.lower() or kind == "task") and " " not in name


def test_an_unknown_name_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UserError, match="balance: unknown balance 'fixd', did you mean 'fixed'?"):
        registry.get("balance", "fixd", "balance")
    with pytest.raises(UserError, match="unknown kind of part 'losses', did you mean 'loss'?"):
        registry.all("losses")


def test_a_users_own_file_is_a_part(part_file: Write) -> None:
    registry = Registry([part_file(OWN)])
    built = registry.build("loss", "own_huber", options={"sign": 1, "delta": 2})
    assert (built.delta, built.part_name) == (2.0, "own_huber")
    assert registry.get("loss", "own_huber").content
    assert [found.kind for found in registry.find("own_huber")] == ["loss"]


def test_options_are_held_against_the_signature(part_file: Write) -> None:
    registry = Registry([part_file(OWN)])
    assert registry.options("loss", "own_huber", {"sign": 1}, "objective.pull") == {"delta": 1.0, "sign": 1}
    with pytest.raises(UserError, match=r"objective\.pull\.detla: loss 'own_huber' has no option 'detla', did you mea"):
        registry.options("loss", "own_huber", {"detla": 0.5, "sign": 1}, "objective.pull")
    with pytest.raises(UserError, match=r"objective\.pull: loss 'own_huber' needs sign = … \(int\)"):
        registry.options("loss", "own_huber", {}, "objective.pull")


def test_a_constructors_complaint_is_the_users_to_read(part_file: Write) -> None:
    registry = Registry([part_file(OWN)])
    with pytest.raises(UserError, match="loss 'own_huber': delta must not be negative"):
        registry.build("loss", "own_huber", options={"sign": 1, "delta": -1})


def test_a_file_that_fails_when_imported_is_said(part_file: Write) -> None:
    registry = Registry([part_file("import nowhere_at_all\n" + OWN)])
    with pytest.raises(UserError, match=r"own\.py: fails when imported: ModuleNotFoundError: No module named 'nowhere"):
        registry.load("loss", "own_huber")


def test_duplicates_name_both_places(part_file: Write) -> None:
    files = [part_file(OWN), part_file(OWN, "again.py")]
    with pytest.raises(UserError, match=r"two parts are called loss 'own_huber': .*own\.py:5 and .*again\.py:5"):
        Registry(files)
    assert Registry([files[0], files[0]]).get("loss", "own_huber")


def test_a_user_cannot_take_a_name_of_the_projects(part_file: Write) -> None:
    text = "@balance('fixed')\nclass Mine: pass"
    with pytest.raises(UserError, match=r"two parts are called balance 'fixed': .*fixed\.py:\d+ and .*own\.py:2"):
        Registry([part_file(text)])


def test_a_file_edited_while_we_run_is_imported_anew(part_file: Write) -> None:
    first = Registry([part_file(OWN)]).load("loss", "own_huber")
    again = Registry([part_file(OWN)]).load("loss", "own_huber")
    edited = Registry([part_file(OWN + "\n    edited = True\n")]).load("loss", "own_huber")
    assert first is again and edited is not first and edited.edited


def test_a_base_class_is_asked_for(part_file: Write) -> None:
    registry = Registry([part_file("from deo_bench.losses import loss\n@loss('bare')\nclass Bare: pass")])
    with pytest.raises(UserError, match=r"loss 'bare' must inherit deo_bench\.losses\.Loss"):
        registry.load("loss", "bare")


def test_an_installed_package_brings_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "guest_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "huber.py").write_text(OWN)
    points = [importlib.metadata.EntryPoint("guest", "guest_parts", "deo_bench.parts")]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    registry = Registry()
    assert registry.get("loss", "own_huber").module == "guest_parts.huber"
    assert registry.build("loss", "own_huber", options={"sign": 1}).delta == 1.0
    del sys.modules["guest_parts.huber"], sys.modules["guest_parts"]


def test_an_entry_point_that_names_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [importlib.metadata.EntryPoint("guest", "nowhere_parts", "deo_bench.parts")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    with pytest.raises(UserError, match="entry point 'guest' of deo_bench.parts names 'nowhere_parts', which is not"):
        Registry()


def test_a_notebook_cell_run_again_replaces_silently(notebook: dict[str, object], registry: Registry) -> None:
    cell = "@loss('in_notebook')\nclass Cell(Loss):\n    '''One.'''\n    def __init__(self, *, eps: float = {}): pass"
    exec(cell.format(0.1), notebook)
    exec(cell.format(0.2), notebook)
    declared = registry.get("loss", "in_notebook")
    assert declared.options["eps"].default == 0.2 and declared.options["eps"].annotation == "float"
    with pytest.raises(UserError, match="two parts are called loss 'in_notebook'"):
        exec(cell.format(0.3).replace("Cell", "Other"), notebook)


def test_a_notebook_keeps_the_rules_of_a_file(notebook: dict[str, object]) -> None:
    with pytest.raises(UserError, match="loss 'hidden' has an option 'weight'"):
        exec("@loss('hidden')\nclass Cell(Loss):\n    def __init__(self, *, weight: float = 1.0): pass", notebook)

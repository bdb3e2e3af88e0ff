"""The tasks of the embedded benchmark: known without generating, packed on the same images."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from deo_bench.data import Places
from deo_bench.data.scenes import change, pairs, write
from deo_bench.data.scenes.write import LABELLINGS
from deo_bench.errors import UserError
from deo_bench.registry import Registry
from deo_bench.tasks import Task
from deo_bench.tasks.scenes import PAIRS, SCENES

NAMES = (*SCENES, *PAIRS)
KINDS = dict(zip(NAMES, ("single", "single", "single", "multi", "segmentation", "change"), strict=True))


@functools.cache
def _registry() -> Registry:
    return Registry()


def _build(name: str, **options: object) -> Task:
    found = _registry().build("task", name, options=options)
    assert isinstance(found, Task)
    return found


def test_every_task_has_its_labels() -> None:
    assert list(SCENES) == list(LABELLINGS)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_packs_its_labels(name: str, tmp_path: Path) -> None:
    task = _build(name, fit=3, select=1, report=2)
    pack = task.pack(Places(None, tmp_path))
    assert task.name == pack.name == name and task.bands(Places(None, tmp_path)) == pack.bands
    assert {role: len(rows) for role, rows in pack.splits.items()} == {"fit": 3, "select": 1, "report": 2}
    assert pack.classes == task.class_names(Places(None, tmp_path)) and pack.label_kind == KINDS[name]
    assert (pack.later is not None) == (name == "scenes-change")


def test_the_default_reports_on_a_thousand_images(tmp_path: Path) -> None:
    assert "1000+300+1000" in _build("scenes-cover").fingerprint(Places(None, tmp_path))


def test_what_a_task_is_is_known_without_generating_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "render", lambda *_: pytest.fail("generated"))
    monkeypatch.setattr(change, "render_pair", lambda *_: pytest.fail("generated"))
    places = Places(None, tmp_path / "cache")
    tasks = [_build(name, report=report) for name in NAMES for report in (10, 1000)]
    prints = {task.fingerprint(places) for task in tasks}
    assert {task.name: task.label_kind(places) for task in tasks} == KINDS
    assert all(len(task.bands(places)) == 10 and task.class_names(places) for task in tasks)
    monkeypatch.setattr(write, "GENERATOR", write.GENERATOR + 1)
    monkeypatch.setattr(change, "PAIRS", pairs.PAIRS + 1)
    prints |= {_build(name).fingerprint(places) for name in NAMES}
    assert len(prints) == 3 * len(NAMES) and not (tmp_path / "cache").exists()


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="no option 'test'"):
        _build("scenes-cover", test=10)


def test_generating_needs_no_torch() -> None:
    code = "import sys, deo_bench.tasks.scenes, deo_bench.data.scenes.source; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

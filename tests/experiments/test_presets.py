"""What ships with the project: every experiment resolves, says its cost, and has a report that answers it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.recipe import presets_root, read_toml, resolve
from deo_bench.registry import Registry
from deo_bench.reports.spec import read_spec

EXPERIMENTS = presets_root() / "experiments"
RECIPES = sorted((EXPERIMENTS / "recipes").glob("*.toml"))
FILES = [path for path in sorted(EXPERIMENTS.rglob("*.toml")) if path not in RECIPES]
REPORTS = sorted((presets_root() / "reports").rglob("*.toml"))
SWEEPS = [path for path in FILES if "\n[sweep]\n" in path.read_text(encoding="utf-8")]
GRIDS = [path for path in FILES if path not in SWEEPS]


def name(path: Path) -> str:
    return path.relative_to(presets_root()).with_suffix("").as_posix()


def header(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")])


@pytest.mark.parametrize("path", FILES, ids=name)
def test_an_experiment_resolves_and_says_its_question_its_expectation_and_its_cost(path: Path) -> None:
    experiment = read_experiment(str(path))
    cells = cells_of(experiment)
    assert len({cell.label for cell in cells}) == len(cells) >= (1 if path in SWEEPS else 2)
    assert (experiment.settings.sweep is not None) == (path in SWEEPS)
    told, command = header(path), "sweep" if path in SWEEPS else "run"
    assert "?" in told and "Expected" in told and "Cost:" in told
    assert re.search(rf"deo-bench {command} {name(path).removeprefix('experiments/')}( |$)", told)


@pytest.mark.parametrize("path", [path for path in GRIDS if path.stem != "aa"], ids=name)
def test_what_it_expects_is_declared_of_rows_that_it_has(path: Path) -> None:
    experiment = read_experiment(str(path))
    cells = [cell.label for cell in cells_of(experiment)]
    rows = {*cells, *(table.use for table in experiment.baselines)}
    rows |= {f"{cell} + {table.use}" for cell in cells for table in experiment.frozen_concat}
    assert experiment.settings.expect
    for one in experiment.settings.expect:
        assert {*(one.better or ()), *(one.than or ()), *(one.alike or ())} <= rows
        assert set(one.tasks or ()) <= {task.name for task in experiment.tasks} and one.why
        assert (one.bands is None) == (len(experiment.settings.bands) == 1)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_its_report_is_there_and_answers_it(path: Path) -> None:
    experiment = read_experiment(str(path))
    assert experiment.settings.report is not None
    report = (path.parent / experiment.settings.report).resolve()
    spec = read_spec(report)
    assert spec.experiment is not None and (report.parent / spec.experiment).resolve() == path.resolve()
    rows = {"default"} if path in SWEEPS else {cell.label for cell in cells_of(experiment)}
    assert spec.baseline == "untrained" or spec.baseline in rows
    assert set(spec.bands) <= set(experiment.settings.bands)


def test_every_report_belongs_to_an_experiment() -> None:
    answered = {(path.parent / str(read_spec(path).experiment)).resolve() for path in REPORTS}
    assert answered == {path.resolve() for path in FILES}


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_resolves_and_says_its_cost(path: Path) -> None:
    resolve(read_toml(path), Registry(), path.stem)
    assert "ost: " in header(path) or "made once in about" in header(path)


def deo(which: str) -> tuple[Experiment, ...]:
    return read_experiment(f"deo/{which}-tiny"), read_experiment(f"deo/{which}")


@pytest.mark.parametrize("which", ["ablation", "teachers", "levels", "stems"])
def test_the_tiny_variant_asks_the_same_question(which: str) -> None:
    tiny, full = deo(which)
    assert tiny.settings.title == full.settings.title
    if which != "teachers":
        assert [cell.label for cell in cells_of(tiny)] == [cell.label for cell in cells_of(full)]


def test_each_row_of_the_ablation_has_what_the_row_before_it_has() -> None:
    """FACTS 2.2, and its quirk 7.3: a term that is left out changes no other term's weight."""
    for experiment in deo("ablation"):
        recipes = [cell.recipe for cell in cells_of(experiment)]
        terms = [set(recipe.objective) for recipe in recipes]
        assert all(a <= b for a, b in pairwise(terms)) and len(terms) == 6
        assert [len(recipe.teachers) for recipe in recipes] == [1, 2, 2, 2, 2, 2]
        assert [recipe.student.stem.use for recipe in recipes] == ["single"] * 2 + ["dual"] * 4
        assert [recipe.objective["optical"].sees for recipe in recipes[1:]] == ["s2_10"] + ["rgb"] * 4
        assert [recipe.views.is_photometric for recipe in recipes] == [False] * 4 + [True] * 2
        assert [recipe.views.fine > 0 for recipe in recipes] == [False] * 5 + [True]
        for term in terms[-1]:
            assert len({recipe.objective[term].weight for recipe in recipes if term in recipe.objective}) == 1

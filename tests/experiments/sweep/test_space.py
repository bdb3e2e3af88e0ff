"""A space: read from its table, suggested by Optuna's trials, laid over recipes, and found in them again."""

from __future__ import annotations

import copy
import json
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from deo_bench.errors import UserError
from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.experiments.sweep.space import Space, laid_over, read_space, space_of, tables_of
from deo_bench.experiments.sweep.space_checks import check_space, default_of
from deo_bench.recipe import resolve
from deo_bench.registry import Registry
from tests.experiments.sweep.conftest import ON_MAPS
from tests.tiny import EXPERIMENT, recipe

optuna.logging.set_verbosity(optuna.logging.ERROR)

WHERE = "e.toml: sweep.space"
WHOLE = """
objective.compress.weight = { low = 0.1, high = 3.0, log = true }
objective.maps.beta = { low = 0.1, high = 2.0, when = { objective.maps.loss = "smooth_l1" } }
heads.views.hidden = { low = 8, high = 32, integer = true, log = true }
train.batch = { low = 8, high = 16, step = 4, integer = true }
train.warmup = { low = 0.1, high = 0.5, step = 0.1 }
objective.maps.loss = ["cosine", "smooth_l1"]
objective.maps.on = ["late", ["mid", "late"]]
student.stem = ["dual", { use = "wavelength", dim = 8 }]
"""
MAPS = {"loss": "cosine", "toward": "spectral", "sees": "rgb", "on": "late", "head": "none"}
TABLES = recipe(objective={**recipe()["objective"], "maps": MAPS})
REGISTRY = Registry()


def space(text: str = WHOLE) -> Space:
    return read_space(tomllib.loads(text), WHERE)


def by_path(text: str) -> dict[str, Any]:
    return {each.path: each for each in space(text).dimensions}


def test_it_is_read_as_written() -> None:
    read = by_path(WHOLE)
    weight, batch, beta = read["objective.compress.weight"], read["train.batch"], read["objective.maps.beta"]
    assert (weight.low, weight.high, weight.is_log, weight.step, weight.is_integer) == (0.1, 3.0, True, None, False)
    assert (batch.low, batch.high, batch.step, batch.is_integer) == (8, 16, 4, True)
    assert beta.when == {"objective.maps.loss": ("smooth_l1",)}
    assert read["objective.maps.on"].choices == ("late", ["mid", "late"])


def test_it_is_told_to_optuna_as_its_own_distributions() -> None:
    read = {path: each.distribution for path, each in by_path(WHOLE).items()}
    floats, ints = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    assert read["objective.compress.weight"] == floats(0.1, 3.0, log=True)
    assert read["train.warmup"] == floats(0.1, 0.5, step=0.1)
    assert read["heads.views.hidden"] == ints(8, 32, log=True)
    assert read["train.batch"] == ints(8, 16, step=4)
    assert read["student.stem"].choices == ("dual", '{"dim": 8, "use": "wavelength"}')  # type: ignore[attr-defined]
    assert read["objective.maps.on"].choices == ("late", '["mid", "late"]')  # type: ignore[attr-defined]


def test_what_a_condition_names_comes_before_it_whatever_the_order_of_the_file() -> None:
    chain = """
    a.z = { low = 0.0, high = 1.0, when = { a.y = 2 } }
    a.y = { choices = [1, 2], when = { a.x = ["p", "q"] } }
    a.x = ["p", "q", "r"]
    """
    assert [each.path for each in space(chain).dimensions] == ["a.x", "a.y", "a.z"]


def test_what_stands_above_a_path_comes_before_it() -> None:
    read = space('"student.stem.dim" = [8, 16]\nstudent.stem = [{ use = "wavelength", dim = 8 }]\n')
    assert [each.path for each in read.dimensions] == ["student.stem", "student.stem.dim"]
    laid = laid_over(
        TABLES, read.suggest(FixedTrial({"student.stem": read.dimensions[0].names[0], "student.stem.dim": 16}))
    )
    assert resolve(laid, REGISTRY).student.stem.options["dim"] == 16


@pytest.mark.parametrize("name", ["low", "step", "log", "when", "integer"])
def test_an_option_may_be_called_like_a_key_of_an_interval(name: str) -> None:
    read = space(f"data.{name} = [1, 2]\ndata.other.{name} = {{ low = 0.5, high = 1 }}\n")
    assert {each.path for each in read.dimensions} == {f"data.{name}", f"data.other.{name}"}


def test_a_fixed_trial_gives_what_it_holds_and_only_what_is_in_force() -> None:
    params = {
        "objective.compress.weight": 0.5,
        "objective.maps.loss": "cosine",
        "heads.views.hidden": 16,
        "train.batch": 12,
        "train.warmup": 0.30000000000000004,
        "objective.maps.on": '["mid", "late"]',
        "student.stem": '{"dim": 8, "use": "wavelength"}',
    }
    made = space().suggest(FixedTrial(params))
    assert "objective.maps.beta" not in made
    assert made["train.warmup"] == 0.3 and made["train.batch"] == 12
    assert made["objective.maps.on"] == ["mid", "late"] and made["student.stem"] == {"use": "wavelength", "dim": 8}
    assert "objective.maps.beta" in space().suggest(
        FixedTrial({**params, "objective.maps.loss": "smooth_l1", "objective.maps.beta": 1.0})
    )


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
@pytest.mark.filterwarnings("ignore:QMCSampler is experimental")
def test_what_a_study_suggests_resolves_and_is_found_in_the_recipe_again(sampler: str) -> None:
    """Of every trial: its settings lie over the tables, resolve, and the recipe gives the trial's params back."""
    samplers = {
        "tpe": optuna.samplers.TPESampler(seed=0, n_startup_trials=5),
        "random": optuna.samplers.RandomSampler(seed=0),
        "qmc": optuna.samplers.QMCSampler(seed=0, scramble=True, warn_independent_sampling=False),
    }
    whole, seen = space(), set()
    study = optuna.create_study(sampler=samplers[sampler])
    for number in range(12):
        trial = study.ask()
        made = whole.suggest(trial)
        frozen = study.tell(trial, number % 5)
        assert whole.settings(frozen.params) == made and whole.is_whole(frozen.params)
        resolved = resolve(laid_over(TABLES, made), REGISTRY)
        params = whole.params_of(resolved)
        assert params is not None and params.keys() == frozen.params.keys()
        assert whole.settings(params) == made
        for path, value in frozen.params.items():
            assert params[path] == pytest.approx(value) if isinstance(value, float) else params[path] == value
        seen.add("objective.maps.beta" in made)
    assert seen == {True, False}


def test_params_come_back_from_a_file_as_the_same_settings(tmp_path: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    def storage() -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(tmp_path / "a.journal")))

    study = optuna.create_study(storage=storage(), study_name="a", sampler=optuna.samplers.RandomSampler(seed=3))
    made = [space().suggest(study.ask()) for _ in range(6)]
    kept = optuna.load_study(storage=storage(), study_name="a").get_trials()
    assert [space().settings(trial.params) for trial in kept] == made
    assert len({json.dumps(each, sort_keys=True) for each in made}) == 6


def test_params_that_a_dying_worker_left_behind_are_not_whole() -> None:
    whole = space('a.b = ["x", "y"]\na.c = { low = 0.0, high = 1.0, when = { a.b = "y" } }\n')
    assert whole.is_whole({"a.b": "x"}) and whole.is_whole({"a.b": "y", "a.c": 0.5})
    assert not whole.is_whole({}) and not whole.is_whole({"a.b": "y"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("objective.compress.weight", 0.05),
        ("objective.compress.weight", 3.1),
        ("heads.views.hidden", 7),
        ("train.batch", 10),
        ("train.warmup", 0.25),
        ("objective.maps.loss", "mse"),
        ("objective.maps.on", "early"),
        ("student.stem", {"use": "wavelength", "dim": 16}),
        ("objective.compress.weight", {"start": 0.5, "end": 1.0}),
    ],
)
def test_a_recipe_with_a_value_outside_has_no_params(path: str, value: Any) -> None:
    inside = {"heads.views.hidden": 16, "train.warmup": 0.2, "objective.compress.weight": 1.0}
    assert space().params_of(resolve(laid_over(TABLES, inside), REGISTRY)) is not None
    assert space().params_of(resolve(laid_over(TABLES, {**inside, path: value}), REGISTRY)) is None


def test_of_a_dropped_term_only_what_dropped_it_is_told() -> None:
    whole = space("objective.maps.weight = [0, 1.0]\nobjective.maps.eps = { low = 0.1, high = 1.0 }\n")
    assert whole.params_of(resolve(laid_over(TABLES, {"objective.maps.weight": 0}), REGISTRY)) == {
        "objective.maps.weight": 0
    }
    teachers = space('teachers.spectral.use = ["ema", "none"]\nteachers.spectral.start = { low = 0.5, high = 1.0 }\n')
    dropped = resolve(laid_over(TABLES, {"teachers.spectral.use": "none"}), REGISTRY)
    assert teachers.params_of(dropped) == {"teachers.spectral.use": "none"}


def test_the_choice_that_says_most_is_the_recipes() -> None:
    whole = space('student.stem = ["wavelength", { use = "wavelength", dim = 8 }]\n')
    made = resolve(laid_over(TABLES, {"student.stem": {"use": "wavelength", "dim": 8}}), REGISTRY)
    assert whole.settings(whole.params_of(made) or {}) == {"student.stem": {"use": "wavelength", "dim": 8}}


def test_a_grid_is_the_product_of_all_values() -> None:
    whole = space(
        "train.batch = { low = 8, high = 16, step = 4, integer = true }\n"
        "train.warmup = { low = 0.1, high = 0.5, step = 0.1 }\n"
        'objective.maps.on = ["late", ["mid", "late"]]\nheads.views.hidden = { low = 4, high = 7, integer = true }\n'
    )
    points = whole.grid()
    assert points == {
        "train.batch": [8, 12, 16],
        "train.warmup": [0.1, 0.2, 0.3, 0.4, 0.5],
        "objective.maps.on": ["late", '["mid", "late"]'],
        "heads.views.hidden": [4, 5, 6, 7],
    }
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(points, seed=0))
    made: set[str] = set()

    def told(trial: optuna.Trial) -> float:
        made.add(json.dumps(whole.suggest(trial), sort_keys=True))
        return 0.0

    study.optimize(told, n_trials=200)  # it stops by itself
    assert len(made) == len(study.trials) == 3 * 5 * 2 * 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.b = { low = 0.1, high = 1.0 }", "sweep.space.a.b: sampler 'grid' needs step = …"),
        (
            'a.x = ["p", "q"]\na.b = { low = 1, high = 2, integer = true, when = { a.x = "p" } }',
            "a.b: a grid is a product",
        ),
        ("a.b = { low = 1, high = 9007199254740992, integer = true }", "a grid of 9,007,199,254,740,992 points"),
    ],
)
def test_what_is_no_grid_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match="^e.toml: sweep.space") as refused:
        space(text).grid()
    assert said in str(refused.value)


def test_what_is_told_does_not_depend_on_the_order_of_the_file() -> None:
    lines = WHOLE.strip().splitlines()
    assert space("\n".join(reversed(lines))).told() == space().told()
    others = [space("\n".join(lines[:number] + lines[number + 1 :])).told() for number in (0, 1, 3)]
    assert space().told() not in others and json.loads(json.dumps(space().told())) == space().told()
    changes = {
        "3.0, log": "3.5, log",
        ", log = true }\nobj": " }\nobj",
        "step = 4": "step = 2",
        "dim = 8": "dim = 16",
        "low = 8, high = 32, integer = true": "low = 8, high = 32",
        '"smooth_l1" } }': '"cosine" } }',
    }
    changed = {json.dumps(space(WHOLE.replace(old, new)).told()) for old, new in changes.items()}
    assert len(changed | {json.dumps(space().told())}) == 7


def test_axes_are_named_shortly_and_choices_are_said_apart() -> None:
    whole = space(WHOLE + 'teachers.spectral = [{ use = "ema", start = 0.5 }, { use = "ema", start = 0.9 }]\n')
    axes = {axis.path: axis for axis in whole.axes()}
    assert axes["objective.compress.weight"].name == "weight" and axes["objective.compress.weight"].is_log
    assert (axes["train.batch"].low, axes["train.batch"].high, axes["train.batch"].choices) == (8, 16, ())
    assert axes["objective.maps.on"].choices == ("late", "mid+late")
    assert axes["teachers.spectral"].choices == ("ema (start=0.5)", "ema (start=0.9)")
    shown = whole.shown({"teachers.spectral": {"use": "ema", "start": 0.9}, "train.batch": 12})
    assert shown == {"teachers.spectral": "ema (start=0.9)", "train.batch": 12}


SWEPT = EXPERIMENT[: EXPERIMENT.index("[grid]")]


def experiment(folder: Path, text: str) -> Experiment:
    (folder / "e.toml").write_text(SWEPT + text)
    return read_experiment(str(folder / "e.toml"))


def test_paths_in_choices_start_from_the_file(tmp_path: Path) -> None:
    text = '[sweep.space]\nstudent.init = ["scratch", { from = "file", file = "w.safetensors", model = "resnet18" }]\n'
    read = experiment(tmp_path, text)
    (cell,) = cells_of(read)
    init = space_of(read).dimensions[0].choices[1]
    made = resolve(tables_of(read, cell, {"student.init": init}), read.registry)
    assert made.student.init is not None and made.student.init.file == str(tmp_path.resolve() / "w.safetensors")
    assert default_of(space_of(read), read, cell) == {"student.init": "scratch"}


def test_a_trials_tables_keep_what_the_grid_says_of_a_part_that_the_space_chooses(tmp_path: Path) -> None:
    text = """
    [grid]
    objective.expand.eps = [0.1, 0.2]
    [sweep.space]
    objective.expand.loss = ["coding_rate"]
    """
    read = experiment(tmp_path, text)
    for cell, eps in zip(cells_of(read), (0.1, 0.2), strict=True):
        made = resolve(tables_of(read, cell, {"objective.expand.loss": "coding_rate"}), read.registry)
        assert made == cell.recipe and made.objective["expand"].options["eps"] == eps


def test_the_recipe_as_it_stands_is_found_in_the_space_or_is_not(tmp_path: Path) -> None:
    text = """
    [sweep.space]
    objective.expand.weight = { low = 0.5, high = 2.0 }
    train.lr = { low = 1e-4, high = 1e-1, log = true }
    """
    read = experiment(tmp_path, text)
    (cell,) = cells_of(read)
    params = default_of(space_of(read), read, cell)
    assert params is not None
    assert resolve(tables_of(read, cell, space_of(read).settings(params)), read.registry) == cell.recipe
    other = copy.deepcopy(read.space)
    other["train"]["lr"]["high"] = cell.recipe.train.lr / 2
    assert default_of(read_space(other, WHERE), read, cell) is None


DROPPED = [
    ("weight = 0.0", "objective.expand.weight = { low = 0.1, high = 3.0, log = true }", None),
    ("weight = 0.0", "objective.expand.weight = [0.5, 1.0]\nobjective.expand.eps = [0.1, 0.2]", None),
    ("weight = 0.0", "objective.expand.weight = { low = 0.0, high = 3.0 }", {"objective.expand.weight": 0.0}),
    ("weight = 0.0", "objective.expand.eps = [0.1, 0.2]\ntrain.lr = [1e-3, 2e-3]", {"train.lr": 1e-3}),
    ('toward = "gone"', 'teachers.gone.use = ["ema", "tiny_optical"]', None),
    ('toward = "gone"', "objective.expand.weight = [0.5, 1.0]\ntrain.lr = [1e-3, 2e-3]", {"train.lr": 1e-3}),
]
"""What drops the term or its teacher, the space, and what is told of the recipe as it stands."""


@pytest.mark.parametrize(("dropped", "text", "told"), DROPPED)
def test_a_recipe_that_drops_what_the_space_cannot_drop_lies_outside(
    tmp_path: Path, dropped: str, text: str, told: dict[str, Any] | None
) -> None:
    """What is left open must not matter: else another recipe would be called the one as it stands."""
    read = experiment(tmp_path, f"[sweep.space]\n{text}\n")
    tables = laid_over(read.recipe, {"teachers.gone.use": "none"})
    path, _, value = dropped.partition(" = ")
    tables = laid_over(tables, {f"objective.expand.{path}": json.loads(value)})
    read = replace(read, recipe=tables)
    (cell,) = cells_of(read)
    assert "expand" not in cell.recipe.objective
    assert default_of(space_of(read), read, cell) == told


def test_a_good_space_passes_with_a_grid_and_conditions(tmp_path: Path) -> None:
    text = """
    [grid]
    student.depth = [2, 3]
    [sweep]
    trials = 3
    [sweep.space]
    objective.maps.loss = ["cosine", "smooth_l1"]
    objective.maps.beta = { low = 0.1, high = 2.0, when = { objective.maps.loss = "smooth_l1" } }
    objective.maps.weight = { low = 0.01, high = 1.0, log = true }
    train.batch = { low = 8, high = 16, integer = true }
    """
    read = experiment(tmp_path, ON_MAPS + text)
    assert read.settings.sweep is not None
    check_space(space_of(read), read.settings.sweep, read, cells_of(read))


def test_a_point_inside_is_no_whole_number() -> None:
    """So that a real is found where only whole numbers are taken, of which both ends are some."""
    for low, high in ((16, 64), (1, 3), (0, 10), (2, 8)):
        inside = space(f"a.b = {{ low = {low}, high = {high} }}\n").dimensions[0].tries()[1]
        assert low < inside < high and not math.isclose(inside, round(inside))


def test_of_few_values_all_are_tried() -> None:
    assert space("a.b = { low = 1, high = 4, integer = true }\n").dimensions[0].tries() == (1, 2, 3, 4)
    assert space("a.b = { low = 0.1, high = 0.4, step = 0.1 }\n").dimensions[0].tries() == (0.1, 0.2, 0.3, 0.4)
    assert space("a.b = { low = 1, high = 101, integer = true }\n").dimensions[0].tries() == (1, 39, 101)


def test_the_readmes_example_is_a_space() -> None:
    text = (Path(__file__).parents[3] / "experiments" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(\[sweep.space\]\n.*?)```", text, re.DOTALL)
    read = read_space(tomllib.loads(block)["sweep"]["space"], WHERE)
    assert len(read.dimensions) == len(block.strip().splitlines()) - 1


def test_a_grids_paths_start_from_the_file_too(tmp_path: Path) -> None:
    text = """
    [grid]
    student.init = [{ from = "file", file = "w.safetensors", model = "resnet18" }]
    [sweep.space]
    train.lr = [1e-3, 1e-2]
    """
    read = experiment(tmp_path, text)
    (cell,) = cells_of(read)
    assert cell.recipe.student.init is not None
    assert resolve(tables_of(read, cell, {}), read.registry) == cell.recipe
    assert Path(cell.recipe.student.init.file or "").is_absolute()

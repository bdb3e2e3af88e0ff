"""Wrong spaces: one line that names the file and the key, before anything runs; never another exception."""

from __future__ import annotations

import datetime
import math
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deo_bench.errors import UserError
from deo_bench.experiments.file import Experiment, read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.experiments.sweep.space import Space, read_space, space_of, tables_of
from deo_bench.experiments.sweep.space_checks import check_space, default_of
from deo_bench.recipe import resolve
from tests.experiments.sweep.conftest import BASE
from tests.tiny import write_npz

optuna.logging.set_verbosity(optuna.logging.ERROR)

WHERE = "e.toml: sweep.space"
FEW = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def checked(folder: Path, space: str, more: str = "[sweep]\n") -> Space:
    """The space of an experiment, as the command checks it."""
    file = folder / "e.toml"
    file.write_text(f"{BASE}\n{more}\n[sweep.space]\n{space}\n")
    experiment = read_experiment(str(file))
    read = space_of(experiment)
    assert experiment.settings.sweep is not None
    check_space(read, experiment.settings.sweep, experiment, cells_of(experiment))
    return read


READ = [
    ("a.b = 0.5", "a.b: expected a list of choices, or a table such as"),
    ('a.b = "cosine"', "a.b: expected a list of choices"),
    ("a.b = {}", "a.b: expected a list of choices"),
    ("a.b = []", "a.b: expected a list of one choice or more, got []"),
    ("a.b = { choices = [] }", "a.b.choices: expected a list of one choice or more"),
    ('a.b = { choices = "x" }', "a.b.choices: expected a list of one choice or more, got 'x'"),
    ("a.b = { choices = [1, 2], low = 1 }", "a.b: `low` is for numbers from low to high"),
    ("a.b = [1, 2, 1]", "a.b: 1 is there twice"),
    ("a.b = [1, 1.0]", "a.b: 1.0 is there twice"),
    ("a.b = [[1], [1.0]]", "a.b: [1.0] is there twice"),
    ('a.b = ["x", "x"]', "a.b: 'x' is there twice"),
    ("a.b = [1, true]", "a.b: 1 and True cannot be told apart"),
    ("a.b = [1, nan]", "a.b: a choice has to be finite"),
    ("a.b = [2024-01-01]", "a.b: a date or time"),
    ("a.b = [99999999999999999999]", "a.b: an integer of more than 64 bits"),
    ("a.b = { low = 0.1, hgih = 3.0 }", "a.b: unknown key 'hgih', did you mean 'high'?"),
    ("a.b = { low = 0.1, high = 3.0, lgo = true }", "a.b: unknown key 'lgo', did you mean 'low'?"),
    ("a.b = { low = 0.1 }", "a.b: lacks high"),
    ("a.b = { high = 0.1, log = true }", "a.b: lacks low"),
    ("a.b = { low = 3.0, high = 0.1 }", "a.b: low = 3.0 is above high = 0.1"),
    ("a.b = { low = 3, high = 3 }", "a.b: low = 3 is not below high = 3"),
    ('a.b = { low = "0.1", high = 3.0 }', "a.b.low: expected a number, got '0.1'"),
    ("a.b = { low = false, high = 3.0 }", "a.b.low: expected a number, got False"),
    ("a.b = { low = 0.1, high = inf }", "a.b.high: expected a finite number, got inf"),
    ("a.b = { low = nan, high = 1.0 }", "a.b.low: expected a finite number, got nan"),
    ("a.b = { low = -1e308, high = 1.7e308 }", "a.b: from -1e+308 to 1.7e+308 is too wide"),
    ("a.b = { low = 1, high = 9007199254740993, integer = true }", "a.b.high: expected a whole number up to 2^53"),
    ("a.b = { low = 0.0, high = 1.0, log = true }", "a.b.low: log = true needs low above 0, got 0.0"),
    ("a.b = { low = -1, high = 5, log = true, integer = true }", "a.b.low: log = true needs low above 0, got -1"),
    ("a.b = { low = 0.1, high = 1.0, log = 1 }", "a.b.log: expected true or false, got 1"),
    ('a.b = { low = 1, high = 2, integer = "yes" }', "a.b.integer: expected true or false, got 'yes'"),
    ("a.b = { low = 0.5, high = 4, integer = true }", "a.b.low: integer = true needs whole numbers, got 0.5"),
    ("a.b = { low = 1, high = 4.5, integer = true }", "a.b.high: integer = true needs whole numbers, got 4.5"),
    ("a.b = { low = 1, high = 4, step = 1.5, integer = true }", "a.b.step: integer = true needs whole numbers"),
    ("a.b = { low = 0.1, high = 1.0, log = true, step = 0.1 }", "a.b.step: log = true has no steps"),
    ("a.b = { low = 1, high = 8, step = 2, integer = true }", "a.b.step: 2 does not fit from low = 1 to high = 8"),
    ("a.b = { low = 0.0, high = 1.0, step = 0.3 }", "a.b.step: 0.3 does not fit"),
    ("a.b = { low = 0.0, high = 1.0, step = 2.0 }", "a.b.step: 2.0 does not fit"),
    ("a.b = { low = 0.0, high = 1.0, step = 0.0 }", "a.b.step: has to be above 0"),
    ("a.b = { low = 0.0, high = 1.0, step = -0.5 }", "a.b.step: has to be above 0"),
    ("a.b = { low = 0.0, high = 1.0, when = 3 }", "a.b.when: expected a table"),
    ("a.b = { low = 0.0, high = 1.0, when = {} }", "a.b.when: expected a table"),
    ('a.b = { low = 0.0, high = 1.0, when = { a.c = "x" } }', "a.b.when: 'a.c' is no path of the space"),
    (
        'objective.a.loss = ["x", "y"]\na.b = { low = 0.0, high = 1.0, when = { objective.a.los = "x" } }',
        "a.b.when: 'objective.a.los' is no path of the space, did you mean 'objective.a.loss'?",
    ),
    (
        "a.c = { low = 0.0, high = 1.0 }\na.b = { low = 0.0, high = 1.0, when = { a.c = 0.5 } }",
        "a.b.when.a.c: a condition is on choices, and a.c is a number from low to high",
    ),
    (
        'a.c = ["cosine", "smooth_l1"]\na.b = { low = 0.0, high = 1.0, when = { a.c = "smoth_l1" } }',
        "a.b.when.a.c: 'smoth_l1' is none of the choices there, did you mean 'smooth_l1'?",
    ),
    (
        "a.c = [1, 2]\na.b = { low = 0.0, high = 1.0, when = { a.c = [1, 3] } }",
        "a.b.when.a.c: 3 is none of the choices there; there are: [1, 2]",
    ),
    ("a.c = [1, 2]\na.b = { low = 0.0, high = 1.0, when = { a.c = [] } }", "a.b.when.a.c: [] is none of the choices"),
    ("a.c = [1, 2]\na.b = { low = 0.0, high = 1.0, when = { a.c = true } }", "a.b.when.a.c: True is none of"),
    ("a.b = { choices = [1, 2], when = { a.b = 1 } }", "a.b.when: conditions in a circle: a.b -> a.b"),
    (
        "a.b = { choices = [1, 2], when = { a.c = 1 } }\na.c = { choices = [1, 2], when = { a.b = 1 } }",
        "a.c.when: conditions in a circle: a.b -> a.c -> a.b",
    ),
    (
        "a.x = [1, 2]\na.y = { choices = [3, 4], when = { a.x = 1 } }\n"
        "a.z = { low = 0.0, high = 1.0, when = { a.y = 3, a.x = 2 } }",
        "a.z.when: never in force: no choice of a.x fulfils all of it",
    ),
    ('"a b".c = [1, 2]', "'a b' is no dotted path"),
    ('"a\\nb" = [1, 2]', "is no dotted path"),
    ('"" = [1, 2]', "is no dotted path"),
    ('"a..b" = [1, 2]', "is no dotted path"),
    ('a.b = [1, 2]\n"a.b" = [1, 2]', "a.b: is there twice"),
    ('a.b = [{ "x\\ny" = 1 }]', "is no key of a choice"),
]
"""What is wrong in the table alone, and what is said of it."""


@pytest.mark.parametrize(("text", "said"), READ, ids=[text[:50] for text, _ in READ])
def test_a_wrong_table_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read_space(tomllib.loads(text), WHERE)
    told = str(refused.value)
    assert told.startswith(f"{WHERE}") and said in told and len(told.splitlines()) == 1, told


FITTED = [
    ("optimiser.lr = [1, 2]", "optimiser.lr: a recipe has no table 'optimiser'"),
    ("tran.lr = [1, 2]", "tran.lr: a recipe has no table 'tran', did you mean 'train'?"),
    ("train = { low = 1, high = 2 }", "train: 1.0 is refused: train: expected a table, got 1.0"),
    ("balance = ['fixed', 'pcgrd']", "balance: 'pcgrd' is refused: balance.use: unknown balance 'pcgrd', did you mean"),
    ("train.bach = [8, 16]", "train.bach: 8 is refused: train.bach: unknown key, did you mean 'batch'?"),
    ("objective.compres.weight = [1, 2]", "has no term 'compres', did you mean 'compress'?"),
    ("teachers.spectrl.start = [0.5]", "has no role of a teacher 'spectrl', did you mean 'spectral'?"),
    ("heads.view.hidden = [8]", "has no head 'view', did you mean 'views'?"),
    ("heads.views.hiden = [8]", "heads.views.hiden: 8 is refused: heads.views.hiden: head 'mlp' has no option 'hiden'"),
    ("views.globl.size = [8]", "views.globl: unknown key, did you mean 'global'?"),
    ('objective.maps.loss = ["cosine", "smoth_l1"]', "'smoth_l1' is refused: objective.maps.loss: unknown loss"),
    ("train.lr = { low = 0.0, high = 1.0 }", "train.lr: 0.0 is refused: train.lr: has to be greater than 0"),
    ("train.batch = { low = 8, high = 16 }", "train.batch: 11.06 is refused: train.batch: has to be an integer"),
    ("train.batch = { low = 8, high = 16 }", "; say integer = true"),
    ("train.batch = { low = 1, high = 16, integer = true }", "train.batch: 1 is refused: train.batch: has to be"),
    ("train.warmup = { low = 0.1, high = 1.5 }", "train.warmup: 1.5 is refused: train.warmup: has to be less"),
    ('train.precision = ["32-true", "8-true"]', "train.precision: '8-true' is refused"),
    ("student.bands = [[]]", "student.bands: [] is refused"),
    ("objective.maps.on = [['late'], ['default', 'late']]", "pooled vectors and maps in one term"),
    ("teachers.spectral.start = { low = 0.5, high = 1.5 }", "teachers.spectral.start: 1.5 is refused"),
    (
        'objective.maps.loss = ["cosine", "smooth_l1"]\nobjective.maps.beta = { low = 0.1, high = 1.0 }',
        "objective.maps.beta: 0.1 is refused: objective.maps.beta: loss 'cosine' has no option 'beta'",
    ),
    (
        'objective.maps.loss = ["cosine", "smooth_l1"]\n'
        'objective.maps.beta = { low = -1.0, high = 1.0, when = { objective.maps.loss = "smooth_l1" } }',
        "objective.maps.beta: -1.0 is refused (with objective.maps.loss = 'smooth_l1'): objective.maps.beta: ",
    ),
    ("train.steps = [4, 8]", "train.steps: with one objective, more steps would only look better"),
    ('objective.maps.target = ["none", "standardise"]', "objective.maps.target: 'standardise' is refused"),
    ("student.init = [{ from = 'file', file = 3, model = 'x' }]", "student.init"),
    ("objective.maps.weight = [0.0]\nobjective.maps.eps = [0.1, 0.2]", "maps"),
]
"""What does not fit the recipe."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment without a grid, read once."""
    file = tmp_path_factory.mktemp("plain") / "e.toml"
    file.write_text(f"{BASE}\n[sweep.space]\n{GOOD}\n")
    return read_experiment(str(file))


@pytest.mark.parametrize(("text", "said"), FITTED, ids=[text[:50] for text, _ in FITTED])
def test_what_does_not_fit_the_recipe_is_one_line(plain: Experiment, text: str, said: str) -> None:
    assert plain.settings.sweep is not None
    with pytest.raises(UserError) as refused:
        read = read_space(tomllib.loads(text), f"{plain.path}: sweep.space")
        check_space(read, plain.settings.sweep, plain, cells_of(plain))
    told = str(refused.value)
    assert told.startswith(f"{plain.path}: sweep.space.") and said in told, told
    assert told.count(str(plain.path)) == 1 and len(told.splitlines()) == 1, told


GOOD = "objective.maps.weight = { low = 0.1, high = 1.0 }"
SWEEPS = [
    ("train.steps = [4, 8]", "[sweep.budget]\nsteps = 6", "train.steps: follows from [sweep.budget]"),
    (
        GOOD,
        "[grid]\ntrain.steps = [4, 8]\n[sweep.budget]\nsteps = 6",
        "train.steps: the cell 'steps=4' sets it, and it ",
    ),
    (GOOD, "[[zip]]\ntrain.steps = [4]\n[sweep.budget]\nsteps = 6", "it follows from [sweep.budget]; leave one of"),
    (GOOD, '[[cells]]\nname = "a"\ntrain.steps = 9\n[sweep.budget]\nimages = 96', "train.steps: the cell 'a' sets it"),
    (GOOD, '[sweep]\nsampler = "grid"', "objective.maps.weight: sampler 'grid' needs step"),
    (GOOD, '[sweep]\nsampler = { use = "grid" }', "objective.maps.weight: sampler 'grid' needs step"),
    (GOOD, "[grid]\nobjective.maps.weight = [0.5, 1.0]\n[sweep]", "the grid sets objective.maps.weight too"),
    (GOOD, "[[zip]]\nobjective.maps.weight = [0.5]\n[sweep]", "the grid sets objective.maps.weight too"),
    (GOOD, '[[cells]]\nname = "a"\nobjective.maps.weight = 0.5\n[sweep]', "the grid sets objective.maps.weight too"),
    ('student.stem = ["dual", "wavelength"]', "[grid]\nstudent.stem.dim = [8]\n[sweep]", "student.stem"),
    (
        "student.depth = [2, 3]",
        '[grid]\nstudent.use = ["vit_nano", "swin_tiny"]\n[sweep]',
        "student.depth: 2 is refused in the cell 'student=swin_tiny': student.depth: ",
    ),
]


@pytest.mark.parametrize(("text", "more", "said"), SWEEPS)
def test_what_does_not_fit_the_sweep_or_a_cell_is_one_line(tmp_path: Path, text: str, more: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        checked(tmp_path, text, more)
    told = str(refused.value)
    assert said in told and str(tmp_path) in told and len(told.splitlines()) == 1, told


def test_cells_may_differ_in_steps_where_there_is_no_budget(tmp_path: Path) -> None:
    checked(tmp_path, GOOD, "[grid]\ntrain.steps = [4, 8]\n[sweep]")


def test_steps_are_a_path_where_a_cost_is_an_objective_too(tmp_path: Path) -> None:
    checked(tmp_path, "train.steps = [4, 8]", '[[sweep.objectives]]\n[[sweep.objectives]]\ncost = "train_pflops"')


@pytest.mark.parametrize(
    "text",
    [
        "heads.spare.hidden = { low = 8, high = 16, integer = true }",
        "teachers.spare.start = { low = 0.1, high = 0.5 }",
    ],
)
def test_what_changes_nothing_is_said(tmp_path: Path, text: str) -> None:
    spare = '[heads.spare]\nuse = "mlp"\nwidth = 8\n[teachers.spare]\nuse = "ema"\n[sweep]'
    with pytest.raises(UserError, match="changes no recipe"):
        checked(tmp_path, text, spare)


def test_a_path_counts_where_it_changes_one_cell_of_several(tmp_path: Path) -> None:
    grid = '[grid]\nteachers.spectral.use = ["ema", "none"]\n[sweep]'
    checked(tmp_path, "teachers.spectral.start = { low = 0.1, high = 0.5 }", grid)


def test_a_weight_of_zero_as_the_first_choice_does_not_hide_its_terms_paths(tmp_path: Path) -> None:
    text = 'objective.maps.weight = [0.0, 1.0]\nobjective.maps.pairs = ["same", "all"]'
    checked(tmp_path, text)


PATHS = st.sampled_from(
    [
        "train",
        "train.lr",
        "train.batch",
        "train.clip",
        "objective.maps.loss",
        "objective.maps.beta",
        "objective.maps.on",
        "objective.maps.head",
        "objective.new",
        "objective.expand.weight",
        "student.stem",
        "student.depth",
        "student.init",
        "heads.views.hidden",
        "teachers.spectral",
        "views.global.size",
        "views.local",
        "data.use",
        "a.b",
    ]
)
LEAVES = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 40)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(
        ["cosine", "smooth_l1", "mlp", "ema", "none", "late", "dual", "wavelength", datetime.date(2024, 1, 1)]
    )
)
KEYS = st.sampled_from(["low", "high", "log", "step", "integer", "choices", "when", "hgih", "use", "loss"]) | st.text(
    max_size=3
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | PATHS, inner, max_size=4), max_leaves=8
)
ENDS = st.integers(-3, 40) | st.floats(-2, 40) | LEAVES
DIMENSIONS = (
    st.lists(LEAVES, max_size=3)
    | st.fixed_dictionaries(
        {"low": ENDS, "high": ENDS},
        optional={
            "log": st.booleans(),
            "integer": st.booleans(),
            "step": ENDS,
            "when": st.dictionaries(PATHS, LEAVES | st.lists(LEAVES, max_size=2), max_size=2),
        },
    )
    | VALUES
)


@given(st.dictionaries(PATHS | st.text(max_size=3), DIMENSIONS, max_size=4))
@FEW
@example({"a": {"b": {"low": 1, "high": 2, "when": {"a": {"b": {}}}}}})
@example({"a": {str(depth): {} for depth in range(3)}})
def test_any_table_is_a_space_or_one_line(table: dict[str, Any]) -> None:
    try:
        read = read_space(table, WHERE)
    except UserError as error:
        assert str(error).startswith(WHERE) and len(str(error).splitlines()) == 1, str(error)
        return
    for each in read.dimensions:
        assert each.distribution and each.tries()
        assert all(math.isfinite(value) for value in each.tries() if isinstance(value, float))
    assert read.told() and read.axes()


def deep(depth: int) -> dict[str, Any]:
    table: dict[str, Any] = {"low": 1, "high": 2}
    for _ in range(depth):
        table = {"a": table}
    return table


@pytest.mark.parametrize("table", [deep(17), deep(900), {"a": {"b": [deep(900)]}}, {"a": {"b": [deep(30)]}}])
def test_nesting_without_end_is_one_line(table: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^e.toml: sweep.space"):
        read_space(table, WHERE)


FITTING: dict[str, Any] = tomllib.loads("""
"train.lr" = { low = 1e-4, high = 1e-2, log = true }
"train.batch" = { low = 8, high = 16, integer = true }
"train.precision" = ["32-true", "bf16-mixed"]
"objective.maps.weight" = [0, 0.5]
"objective.maps.loss" = ["cosine", "smooth_l1"]
"objective.maps.beta" = { low = 0.1, high = 1.0, when = { "objective.maps.loss" = "smooth_l1" } }
"objective.maps.on" = ["late", ["mid", "late"]]
"objective.expand.eps" = { low = 0.1, high = 1.0, step = 0.3 }
"teachers.spectral.start" = { low = 0.5, high = 0.9 }
"student.stem" = ["dual", { use = "wavelength", dim = 8 }]
"student.depth" = { low = 1, high = 3, integer = true }
""")


@st.composite
def almost(draw: st.DrawFn) -> dict[str, Any]:
    """Spaces that fit, with at most one thing that is anything; some lack what a condition is on."""
    kept = draw(st.sets(st.sampled_from(sorted(FITTING)), min_size=1, max_size=5))
    table = {path: FITTING[path] for path in sorted(kept)}
    if draw(st.booleans()):
        path = draw(st.sampled_from(sorted(table)) | PATHS)
        table[path] = draw(DIMENSIONS)
    return table


@given(almost(), st.integers(0, 2**31))
@settings(FEW, max_examples=100)
def test_what_passes_resolves_for_whatever_a_trial_suggests(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any], seed: int
) -> None:
    experiment, cells = sample(tmp_path_factory)
    where = f"{experiment.path}: sweep.space"
    assert experiment.settings.sweep is not None
    try:
        read = read_space(table, where)
        check_space(read, experiment.settings.sweep, experiment, cells)
    except UserError as error:
        assert str(error).startswith(where) and len(str(error).splitlines()) == 1, str(error)
        return
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for cell in cells:
        default_of(read, experiment, cell)
        for _ in range(3):
            made = read.suggest(study.ask())
            resolved = resolve(tables_of(experiment, cell, made), experiment.registry)
            found = read.params_of(resolved)
            assert found is not None
            again = resolve(tables_of(experiment, cell, read.settings(found)), experiment.registry)
            assert again == resolved


_SAMPLE: list[Any] = []


def sample(factory: pytest.TempPathFactory) -> Any:
    """An experiment and its cells, read once."""
    if not _SAMPLE:
        folder = factory.mktemp("sampled")
        write_npz(folder / "data")
        (folder / "e.toml").write_text(f"{BASE}\n[grid]\nstudent.width = [16, 32]\n[sweep.space]\n{GOOD}\n")
        experiment = read_experiment(str(folder / "e.toml"))
        _SAMPLE.append((experiment, cells_of(experiment)))
    return _SAMPLE[0]

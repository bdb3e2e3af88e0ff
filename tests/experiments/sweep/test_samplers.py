"""Samplers and pruners by name: what they draw is Optuna's, and what is wrong with their options is one line."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler, QMCSampler, TPESampler

from deo_bench import libraries
from deo_bench.errors import MissingInput, UserError
from deo_bench.experiments.sweep.pruners import PRUNERS, pruner_of, prunes
from deo_bench.experiments.sweep.qmc import Qmc, value_at
from deo_bench.experiments.sweep.samplers import SAMPLERS, check_sampler, is_grid, sampler_of
from tests.experiments.sweep.conftest import CONDITIONAL, GRID, NUMBERS, PLAIN, swept

WHERE = "mine.toml: sweep.sampler"


def space_for(sampler: Any) -> Any:
    return GRID if sampler == "grid" else PLAIN


@pytest.mark.parametrize(
    "sampler",
    [
        *SAMPLERS,
        {"use": "tpe", "n_startup_trials": 0, "n_ei_candidates": 5, "group": True, "constant_liar": False},
        {"use": "cmaes", "popsize": 8, "with_margin": True},
        {"use": "gauss", "deterministic_objective": True},
        {"use": "qmc", "qmc_type": "halton", "scramble": False},
    ],
)
def test_a_right_sampler_is_taken_without_a_word(sampler: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_sampler(swept(3, sampler), space_for(sampler), 1, WHERE)
    assert is_grid(swept(3, sampler)) == (sampler == "grid")


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("tpee", ": unknown sampler 'tpee', did you mean 'tpe'?"),
        ("nsga2", ": unknown sampler 'nsga2'; there are: cmaes, gauss, grid, qmc, random, tpe"),
        ({"n_startup_trials": 3}, ".use: is missing, and says which sampler"),
        ({"use": 3}, ": has to be the name of a sampler, got 3"),
        ({"use": "tpe", "n_startup_trial": 3}, ".n_startup_trial: unknown key, did you mean 'n_startup_trials'?"),
        ({"use": "tpe", "seed": 3}, ".seed: unknown key; there are: "),
        ({"use": "tpe", "n_startup_trials": -1}, ".n_startup_trials: has to be greater than or equal to 0, got -1"),
        ({"use": "tpe", "n_startup_trials": "3"}, ".n_startup_trials: has to be"),
        ({"use": "tpe", "group": True, "multivariate": False}, ": ``group`` option can only be enabled"),
        ({"use": "cmaes", "popsize": 3}, ".popsize: has to be greater than or equal to 4, got 3"),
        ({"use": "cmaes", "lr_adapt": True, "with_margin": True}, ": It is prohibited to pass"),
        ({"use": "qmc", "qmc_type": "sobel"}, ".qmc_type: has to be 'sobol' or 'halton', got 'sobel'"),
        ({"use": "random", "seed": 3}, ".seed: unknown key"),
        ("grid", ".objective.rate: sampler 'grid' needs step = …, or a list of values"),
    ],
)
def test_a_wrong_sampler_is_one_line(sampler: Any, told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_sampler(swept(3, sampler), PLAIN, 1, WHERE)
    line = str(caught.value)
    assert told in line and "\n" not in line and line.startswith("mine.toml: sweep.")


@pytest.mark.parametrize("sampler", ["cmaes", "gauss"])
def test_a_sampler_of_one_objective_says_which_take_several(sampler: str) -> None:
    with pytest.raises(UserError, match=f"{sampler} goes by one objective, and there are 2; of several go: tpe, grid"):
        check_sampler(swept(3, sampler), PLAIN, 2, WHERE)
    check_sampler(swept(3, "tpe"), PLAIN, 2, WHERE)


def test_a_library_that_lacks_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(MissingInput, match=r"pip install 'deo-bench\[cmaes\]'"):
        check_sampler(swept(3, "cmaes"), PLAIN, 1, WHERE)


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        ("mediam", ": unknown pruner 'mediam', did you mean 'median'?"),
        ({"use": "median", "n_warmup_step": 3}, ".n_warmup_step: unknown key, did you mean 'n_warmup_steps'?"),
        ({"use": "median", "n_warmup_steps": 101}, ".n_warmup_steps: has to be less than or equal to 100, got 101"),
        ({"use": "hyperband", "max_resource": 10}, ".max_resource: unknown key"),
        ({"use": "hyperband", "min_resource": 0}, ".min_resource: has to be greater than or equal to 1, got 0"),
        ({"use": "hyperband", "reduction_factor": 1}, ".reduction_factor: has to be greater than or equal to 2"),
        ({"use": "none", "n": 1}, ".n: unknown key"),
    ],
)
def test_a_wrong_pruner_is_one_line(pruner: Any, told: str) -> None:
    with pytest.raises(UserError) as caught:
        pruner_of(swept(3, pruner=pruner), "mine.toml: sweep.pruner")
    assert str(caught.value).startswith("mine.toml: sweep.pruner" + told) and "\n" not in str(caught.value)


def test_hyperband_begins_with_the_first_measurement() -> None:
    sweep = swept(3, pruner="hyperband", measure={"every": 0.25})
    assert pruner_of(sweep)._min_resource == 25 and pruner_of(sweep)._max_resource == 100
    assert prunes(sweep) and not prunes(swept(3))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)
OPTIONS = sorted({name for known in (SAMPLERS, PRUNERS) for model in known.values() for name in model.model_fields})
TABLES = st.dictionaries(st.sampled_from([*OPTIONS, "use", "sed"]), ANY, max_size=3)


@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(table=TABLES, name=st.sampled_from([*SAMPLERS, *PRUNERS, "", "x"]))
@example(table={"popsize": 10**400}, name="cmaes")
@example(table={"reduction_factor": 10**400}, name="hyperband")
def test_whatever_a_table_holds_it_is_taken_or_one_line(table: dict[str, Any], name: str) -> None:
    entry = {"use": name, **table}
    for make in (
        lambda: check_sampler(swept(3, entry), GRID, 1, WHERE),
        lambda: pruner_of(swept(3, pruner=entry), WHERE),
    ):
        try:
            make()
        except UserError as error:
            assert "\n" not in str(error) and str(error).startswith("mine.toml: sweep.") and len(str(error)) < 400


def drawn(sampler: Any, number: int, space: Any = PLAIN, seed: int = 0) -> dict[str, Any]:
    study = optuna.create_study(sampler=sampler_of(swept(3, sampler, seed=seed), space, number))
    return space.suggest(study.ask())


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_draw_follows_from_seed_and_number(sampler: str) -> None:
    assert drawn(sampler, 4) == drawn(sampler, 4)
    assert drawn(sampler, 4) != drawn(sampler, 5)
    assert drawn(sampler, 4) != drawn(sampler, 4, seed=1)


def test_options_reach_optuna() -> None:
    tpe = sampler_of(swept(3, {"use": "tpe", "n_startup_trials": 7, "group": True}), PLAIN, 0)
    assert isinstance(tpe, TPESampler) and tpe._n_startup_trials == 7 and tpe._group and tpe._constant_liar
    gauss = sampler_of(swept(3, {"use": "gauss", "n_startup_trials": 7}), PLAIN, 0)
    assert isinstance(gauss, GPSampler) and gauss._n_startup_trials == 7


@pytest.mark.parametrize("kind", ["sobol", "halton"])
@pytest.mark.parametrize("scramble", [True, False])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_low_discrepancy_points_are_optunas(kind: Any, scramble: bool) -> None:
    """Theirs begin with the second trial, at the first place, and go by the names in their order."""
    theirs = optuna.create_study(
        sampler=QMCSampler(qmc_type=kind, scramble=scramble, seed=3, warn_asynchronous_seeding=False)
    )
    names = sorted(dimension.path for dimension in PLAIN.dimensions)
    for number in range(9):
        trial = theirs.ask()
        told = PLAIN.suggest(trial)
        theirs.tell(trial, 0.0)
        if number:
            order = list(theirs.trials[0].distributions)
            mine = optuna.create_study(sampler=Qmc(order, number - 1, 3, kind, scramble))
            assert PLAIN.suggest(mine.ask()) == pytest.approx(told)
    assert sorted(theirs.trials[0].distributions) == names


def test_a_conditional_path_has_its_coordinate_whether_it_is_used_or_not() -> None:
    found = [drawn({"use": "qmc", "qmc_type": "sobol"}, number, CONDITIONAL) for number in range(128)]
    used = [each["objective.beta"] for each in found if "objective.beta" in each]
    losses = [each["objective.loss"] for each in found]
    assert {loss: losses.count(loss) for loss in set(losses)} == pytest.approx(
        {"cosine": 43, "smooth_l1": 43, "mse": 43}, abs=1
    )
    assert len(used) == losses.count("smooth_l1") and 0.9 < sum(used) / len(used) < 1.2


@pytest.mark.parametrize(
    ("distribution", "found"),
    [
        (FloatDistribution(2.0, 4.0), {0.0: 2.0, 0.5: 3.0, 0.75: 3.5}),
        (FloatDistribution(0.01, 1.0, log=True), {0.0: 0.01, 0.5: 0.1, 0.75: 0.316227766}),
        (FloatDistribution(0.0, 1.0, step=0.5), {0.0: 0.0, 0.33: 0.0, 0.34: 0.5, 0.66: 0.5, 0.67: 1.0, 0.999: 1.0}),
        (FloatDistribution(0.1, 0.7, step=0.1), {0.0: 0.1, 0.999: 0.7}),
        (IntDistribution(1, 4), {0.0: 1, 0.24: 1, 0.25: 2, 0.75: 4, 0.999: 4}),
        (IntDistribution(16, 64, step=16), {0.0: 16, 0.26: 32, 0.999: 64}),
        (IntDistribution(1, 100, log=True), {0.0: 1, 0.5: 7, 0.9999: 100}),
        (IntDistribution(3, 3), {0.0: 3, 0.999: 3}),
        (CategoricalDistribution(["a", None, 3]), {0.0: "a", 0.34: None, 0.67: 3, 0.999: 3}),
    ],
)
def test_the_value_at_a_share(distribution: Any, found: dict[float, Any]) -> None:
    for share, value in found.items():
        told = value_at(share, distribution)
        assert told == (pytest.approx(value) if isinstance(value, float) else value)
        assert type(told) is type(value)


def test_a_numbers_space_of_one_path_is_searched_by_all() -> None:
    from tests.experiments.sweep.conftest import RATE, space

    for sampler in ("tpe", "cmaes", "gauss", "random", "qmc"):
        one, sweep = space(rate=RATE), swept(3, sampler)
        study = optuna.create_study()
        for number in range(13):
            study.sampler = sampler_of(sweep, one, number)
            trial = study.ask()
            study.tell(trial, one.suggest(trial)["objective.rate"] ** 2)
        assert len(study.trials) == 13 and len({trial.value for trial in study.trials}) > 10
    assert len(NUMBERS.dimensions) == 2

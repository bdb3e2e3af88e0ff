"""Samplers by name, a fresh one for each trial: what it draws follows from the study and the trial's number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from deo_bench.declarations import Count, Whole
from deo_bench.draws import seed_of
from deo_bench.errors import UserError
from deo_bench.experiments.sweep.options import chosen, defaults_of, made, told
from deo_bench.experiments.sweep.pruners import Nothing
from deo_bench.experiments.sweep.qmc import Qmc
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space
from deo_bench.libraries import import_library
from deo_bench.recipe.models import Table

Trials = Annotated[Whole, Ge(0)]


class Tpe(Table):
    """Tree-structured Parzen estimators (Bergstra et al. 2011). Optuna's names."""

    n_startup_trials: Trials | None = None
    n_ei_candidates: Count | None = None
    multivariate: bool | None = None
    group: bool | None = None
    constant_liar: bool = True


class CmaEs(Table):
    """Covariance matrix adaptation (Hansen 2016), categorical and conditional paths at random. Optuna's names.

    popsize: of fewer than four, one is a parent, and nothing is learnt of how paths go together.
    """

    n_startup_trials: Trials | None = None
    popsize: Annotated[Whole, Ge(4)] | None = None
    use_separable_cma: bool | None = None
    with_margin: bool | None = None
    lr_adapt: bool | None = None
    consider_pruned_trials: bool | None = None


class Gauss(Table):
    """A Gaussian process and its expected improvement, conditional paths at random. Optuna's names."""

    n_startup_trials: Trials | None = None
    deterministic_objective: bool | None = None


class LowDiscrepancy(Table):
    """Points that fill the space evenly (quasi-Monte Carlo), one place of the sequence a trial. Optuna's names."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


SAMPLERS: dict[str, type[Table]] = {
    "tpe": Tpe,
    "cmaes": CmaEs,
    "gauss": Gauss,
    "grid": Nothing,
    "random": Nothing,
    "qmc": LowDiscrepancy,
}
_OPTUNAS = {"tpe": TPESampler, "cmaes": CmaEsSampler, "gauss": GPSampler}
"""Samplers whose defaults are Optuna's."""

_OF_ONE = ("cmaes", "gauss")
"""Samplers that go by one objective."""


def is_grid(sweep: Sweep) -> bool:
    """Whether every point of a grid is tried, and nothing else: such a study ends with its last point."""
    return chosen(sweep.sampler, SAMPLERS, "sampler", "sweep.sampler")[0] == "grid"


def told_sampler(sweep: Sweep) -> dict[str, Any]:
    """The sampler as JSON, for a study's identity."""
    name, options = chosen(sweep.sampler, SAMPLERS, "sampler", "sweep.sampler")
    usual = defaults_of(_OPTUNAS[name]) if name in _OPTUNAS else {}
    # Which of the two it is by default Optuna says in no signature.
    usual |= {"multivariate": len(sweep.objectives) == 1 or options.get("group", False)}
    return told(name, options, usual | SAMPLERS[name]().model_dump(exclude_none=True))


def check_sampler(sweep: Sweep, space: Space, objectives: int, where: str = "sweep.sampler") -> None:
    """Refuse in one line, before the first trial, what the sampler of a sweep cannot do. where: file and key."""
    name, _ = chosen(sweep.sampler, SAMPLERS, "sampler", where)
    if objectives > 1 and name in _OF_ONE:
        several = ", ".join(known for known in SAMPLERS if known not in _OF_ONE)
        raise UserError(f"{where}: {name} goes by one objective, and there are {objectives}; of several go: {several}")
    sampler_of(sweep, space, 0, where)


def sampler_of(sweep: Sweep, space: Space, number: int, where: str = "sweep.sampler", ahead: int = 0) -> BaseSampler:
    """A fresh sampler that draws trial `number` alone.

    Its seed is (the sweep's, the number), so a study that was killed and is gone on with draws what one does that was
    never killed: nothing is carried in a process. Of a grid the seed is the same for all, since it is the order of the
    points; of low-discrepancy points the number is the place in one sequence. ahead: trials at the beginning of the
    study that were not drawn.
    """
    name, options = chosen(sweep.sampler, SAMPLERS, "sampler", where)
    seed = seed_of(sweep.seed, "sampler", number) % 2**32
    if name == "tpe":
        return made(lambda: TPESampler(seed=seed, **options), where)
    if name == "cmaes":
        import_library("cmaes", f"{where}: cmaes")
        return made(lambda: CmaEsSampler(seed=seed, warn_independent_sampling=False, **options), where)
    if name == "gauss":
        return made(lambda: GPSampler(seed=seed, warn_independent_sampling=False, **options), where)
    if name == "grid":
        return GridSampler(space.grid(), seed=sweep.seed)
    if name == "qmc":
        names = [dimension.path for dimension in space.dimensions]
        return Qmc(names, max(0, number - ahead), sweep.seed, **options)
    return RandomSampler(seed=seed)

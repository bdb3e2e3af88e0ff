"""Small spaces, one with a condition, a cheap objective, and a worker that spends a study's budget on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.experiments.sweep.settings import Sweep
from deo_bench.experiments.sweep.space import Space, read_space
from deo_bench.experiments.sweep.storage import open_storage, sweeps_folder
from deo_bench.experiments.sweep.study import Study
from deo_bench.reports.searched import Aim
from tests.postgresql import postgresql, postgresql_server  # noqa: F401 (fixtures)
from tests.tiny import EXPERIMENT

ON_MAPS = """
[objective.maps]
loss = "cosine"
toward = "spectral"
on = ["late"]
sees = "rgb"
head = "none"
"""
BASE = EXPERIMENT[: EXPERIMENT.index("[grid]")] + ON_MAPS
"""The tiny experiment without its grid, and a term on maps."""

BEAT, PATIENCE = 0.5, 30.0
AIM = Aim(name="knn", direction="max", is_share=True)
COST = Aim(name="parameters", direction="min", is_share=False)


def space(**paths: Any) -> Space:
    """A space over settings of a term `objective` and of its head."""
    heads = {"hidden": paths.pop("hidden")} if "hidden" in paths else {}
    table = {"objective": paths, **({"heads": heads} if heads else {})}
    return read_space(table, "mine.toml: sweep.space")


WIDTH = {"low": 16, "high": 64, "step": 16, "integer": True}
LOSS = ["cosine", "smooth_l1", "mse"]
WEIGHT = {"low": 0.1, "high": 3.0, "log": True}
RATE = {"low": -1.0, "high": 1.0}
BETA = {"low": 0.1, "high": 2.0, "when": {"objective": {"loss": "smooth_l1"}}}
PLAIN = space(weight=WEIGHT, rate=RATE, hidden=WIDTH, loss=LOSS)
CONDITIONAL = space(weight=WEIGHT, loss=LOSS, beta=BETA, hidden=WIDTH)
NUMBERS = space(weight=WEIGHT, rate=RATE)
GRID = space(hidden=WIDTH, loss=LOSS)


def worth(params: Mapping[str, Any]) -> float:
    """How good settings are; smooth, and not flat anywhere."""
    value = -((math.log(params.get("objective.weight", 1.0)) - 0.3) ** 2)
    value -= (params.get("objective.rate", 0.0) - 0.4) ** 2
    value -= {"cosine": 0.0, "smooth_l1": 0.2, "mse": 0.5}[params.get("objective.loss", "cosine")]
    return value - 0.1 * params.get("objective.beta", 1.0) + 0.001 * params.get("heads.hidden", 0)


def opened(
    store: Path, sweep: Sweep, space: Space = PLAIN, url: str | None = None, name: str = "mine 0a1b2c3d", **more: Any
) -> Study:
    """A study as a process opens it that has just started."""
    aims: Sequence[Aim] = more.pop("aims", (AIM,))
    storage = open_storage(url, store, "mine")
    leases = {"beat": BEAT, "patience": PATIENCE}
    return Study.open(storage, name, sweep, space, aims, place=sweeps_folder(store, "mine"), **{**leases, **more})


def swept(trials: int, sampler: Any = "tpe", pruner: Any = "none", **more: Any) -> Sweep:
    """A sweep that measures where `tried` does."""
    given = {"trials": trials, "space": {"any": [1, 2]}, "sampler": sampler, "pruner": pruner, **more}
    return Sweep.model_validate({"measure": {"every": 0.2}, **given})


def tried(claimed: Claimed) -> None:
    """Carry a trial out: four measurements on the way, and its value."""
    final = worth(claimed.params)
    for percent in (20, 40, 60, 80):
        claimed.report(percent, final - 1.0 / percent)
        if claimed.should_prune():
            claimed.prune()
            return
    claimed.complete([final])


def work(study: Study, once: Callable[[Claimed], None] = tried) -> None:
    """Claim and carry out trials until there is none to claim."""
    while (claimed := study.claim()) is not None:
        once(claimed)


def story(study: Study) -> list[tuple[Any, ...]]:
    """What was tried, in its order, and what came of it."""
    return [
        (trial.number, trial.state.name, tuple(sorted(trial.params.items())), trial.value, trial.intermediate_values)
        for trial in study.trials()
    ]

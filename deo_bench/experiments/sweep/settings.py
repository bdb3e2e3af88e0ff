"""`[sweep]` as written: how many trials, of what, by which sampler, judged by what."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field

from deo_bench.declarations import Count, Number, Positive, Whole
from deo_bench.recipe.models import Table

Seed = Annotated[Whole, Ge(0), Lt(2**32)]


class Objective(Table):
    """What a trial is judged by: the mean over tasks of one probe on *select*, or what the run costs.

    tasks: all of the experiment's; probe: the first of its first protocol; cost: in place of a probe, a number of
    `run.json`, to be made small; name: what figures call it.
    """

    name: str = ""
    tasks: tuple[str, ...] = ()
    probe: str | None = None
    cost: Literal["parameters", "train_pflops"] | None = None


class Budget(Table):
    """What every trial of every cell may spend, exactly one of three; `train.steps` follows from it and is no path of
    the space, nor of the grid.

    images: steps x batch; pflops: 10^15 additions and multiplications of the training, teachers included.
    """

    steps: Count | None = None
    images: Count | None = None
    pflops: Positive | None = None


class Measure(Table):
    """What pruning goes by: nearest neighbours on *select* while the student is trained.

    every: the share of the training between two measurements; images: of *fit* at the most, a fourth as many of
    *select*; k: neighbours, by the cosine.
    """

    every: Annotated[Number, Gt(0), Le(0.5)] = 0.1
    images: Annotated[Whole, Ge(8)] = 2000
    k: Count = 20

    @property
    def percents(self) -> tuple[int, ...]:
        """Of the training, the same for every length: where it is measured. Its end is not, which is scored."""
        shares = dict.fromkeys(round(100 * self.every * place) for place in range(1, math.floor(1 / self.every) + 1))
        return tuple(percent for percent in shares if 0 < percent < 100)


class Sweep(Table):
    """A sweep.

    trials: of each cell; space: dotted path -> what is tried there (`space.py`); sampler: `tpe`, `cmaes`, `gauss`,
    `grid`, `random` or `qmc`, pruner: `none`, `median` or `hyperband`, each a name or a table with `use` and Optuna's
    options of it; seed: of the sampler; trial_seed: of every trial's run, none of the experiment's seeds; best: trials
    of each cell that are run anew with those; storage: URL of the study (a journal file in the store where none is
    said, `sqlite:///FILE`, `postgresql://…`).
    """

    trials: Count = 20
    space: dict[str, Any] = Field(min_length=1)
    sampler: str | dict[str, Any] = "tpe"
    pruner: str | dict[str, Any] = "none"
    measure: Measure = Measure()
    objectives: tuple[Objective, ...] = Field(default=(Objective(),), min_length=1)
    budget: Budget | None = None
    seed: Seed = 0
    trial_seed: Seed = 1000
    best: Count = 3
    storage: str | None = None

"""What a report is told of a sweep: plain data, one record a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["complete", "pruned", "failed", "running"]


@dataclass(frozen=True)
class Aim:
    """An objective as figures call it. is_share: a metric that is shown in percent; task, probe: where it is read from.

    A cost has no tasks and no probe.
    """

    name: str
    direction: Literal["max", "min"]
    is_share: bool
    tasks: tuple[str, ...] = ()
    probe: str = ""


@dataclass(frozen=True)
class Axis:
    """A path of the space. choices: of one that is no number, as texts in their order; name: short, for figures."""

    path: str
    name: str
    is_log: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """A trial. values: one an objective, none where it was not reached; settings: path -> value, of the paths that were
    in force, as figures show them; measured: share of the training (0 to 1) -> value on the way; run: the name of its
    run; is_default: the recipe as it stands; cost_nothing: its run was there already; written: settings as a recipe
    has them, tables and lists too.
    """

    number: int
    state: State
    values: tuple[float | None, ...]
    settings: Mapping[str, Any]
    run: str = ""
    measured: Mapping[float, float] = field(default_factory=dict)
    is_default: bool = False
    cost_nothing: bool = False
    seconds: float | None = None
    written: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finalist:
    """A trial, or the recipe as it stands (number none), that was run with fresh seeds.

    row: the label of its row in the tables; searched: its values at the trial's seed, one an objective; fresh: for each
    objective the values on *select* by fresh seed; written: all that is laid over the experiment's recipe to have its
    own, as a recipe has it: what its cell sets, the trial's settings, and the steps that a budget made of them.
    """

    row: str
    number: int | None
    searched: tuple[float | None, ...]
    fresh: tuple[Mapping[int, float], ...]
    written: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Searched:
    """A study: the cell that it tunes (empty where the experiment has no grid), how, its trials and its finalists.

    told: sampler, pruner, budget and seeds, in words; wanted: trials that it was given; judged: task -> the band set
    that trials were judged on; weights, partition: those that they were judged by.
    """

    cell: str
    study: str
    aims: tuple[Aim, ...]
    axes: tuple[Axis, ...]
    trials: tuple[Tried, ...]
    finalists: tuple[Finalist, ...]
    wanted: int
    told: tuple[str, ...] = ()
    judged: Mapping[str, str] = field(default_factory=dict)
    weights: str = "student"
    partition: str = "default"

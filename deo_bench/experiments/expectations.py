"""What an experiment expects (`expect.py`) held against the plan before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from deo_bench.errors import UserError, nearest, shown, unknown
from deo_bench.experiments.expect import Expect
from deo_bench.recipe import digest
from deo_bench.reports.declared import Declared, Expectation, row_key

if TYPE_CHECKING:
    from deo_bench.engine.request import Request
    from deo_bench.experiments.plan import Plan
    from deo_bench.experiments.subjects import Row

MOST = 1000
"""Comparisons that an experiment may declare: with more, no difference of any size would survive the correction."""

UNTRAINED = "untrained"
_LEFT_OUT = re.compile(r"(cell|baseline|task|frozen_concat) (.*?) is left out: ")


def expectations_of(plan: Plan, untrained: str | None = None) -> list[Expectation]:
    """The expectations of a plan's experiment, each as comparisons of its rows; a mistake in them is one line.

    untrained: the label of the row that is the untrained student, where one is.
    """
    rows = Rows(plan, untrained)
    found: list[Expectation] = []
    said: dict[str, str] = {}
    for number, expect in enumerate(plan.experiment.settings.expect):
        where = f"{plan.experiment.path}: expect.{number}"
        made = tuple(_Reader(rows, expect, where).comparisons())
        for one in made:
            if one.digest and one.digest in said:
                raise UserError(f"{where}: {one.ours!r} and {one.theirs!r} are compared so already, {said[one.digest]}")
            said[one.digest] = f"in expect.{number}"
        found.append(Expectation(expect.words, made, expect.why))
    if sum(len(one.comparisons) for one in found) > MOST:
        raise UserError(f"{plan.experiment.path}: expect: more than {MOST:,} comparisons; declare fewer")
    return found


class Rows:
    """The rows of a plan by label, what is left out of it, and what they are scored on."""

    def __init__(self, plan: Plan, untrained: str | None) -> None:
        self.plan = plan
        self.rows = {row.label: row for row in plan.rows}
        self.untrained = untrained
        left_out = [match.groups() for line in plan.missing if (match := _LEFT_OUT.match(line))]
        self.tasks_out = {name for kind, name in left_out if kind == "task"}
        self.left_out = {name for kind, name in left_out if kind in ("cell", "baseline")}
        self._teachers_out = {name for kind, name in left_out if kind == "frozen_concat"}
        self.protocols = {protocol.id: list(protocol.probes) for protocol in plan.experiment.protocols}

    @cached_property
    def requests(self) -> dict[tuple[str, str, str], list[Request]]:
        """The scores that are wanted of the last weights, by subject, task and protocol."""
        found: dict[tuple[str, str, str], list[Request]] = {}
        for request in self.plan.requests:
            if request.step is None and request.role == "report":
                found.setdefault((request.subject, request.task, request.protocol.id), []).append(request)
        return found

    @cached_property
    def contents(self) -> dict[str, str]:
        """The fingerprint of every task's data."""
        return {request.task: request.task_content for request in self.plan.requests}

    def named(self, names: Sequence[str], where: str) -> dict[str, bool]:
        """The labels that names and patterns mean, with whether each was named outright."""
        found: dict[str, bool] = {}
        for name in names:
            if name in self.rows or name in self.left_out or self._is_bound_left_out(name):
                found[name] = True
            elif name == UNTRAINED and self.untrained is not None:
                found[self.untrained] = True
            elif meant := self._matching(name):
                found |= {label: False for label in meant if label not in found}
            else:
                what = "no row matches" if _is_pattern(name) else "no row is called"
                told = f"{what} {shown(name)}{nearest(name, [*self.rows, *self.left_out])}"
                raise UserError(f"{where}: {told} To go on without expectations: --set expect=[]")
        return found

    def _matching(self, pattern: str) -> list[str]:
        """The cells that a pattern matches, those left out included; where it matches none, other rows."""
        cells = [label for label, row in self.rows.items() if row.kind == "cell"] + sorted(self.left_out)
        found = [label for label in cells if fnmatchcase(label, pattern)]
        return found or [label for label in self.rows if fnmatchcase(label, pattern)]

    def _is_bound_left_out(self, name: str) -> bool:
        """Whether a row `CELL + TEACHER` is not there because its cell or its teacher is left out."""
        cell, plus, teacher = name.rpartition(" + ")
        known = {row.label for row in self.rows.values() if row.kind == "cell"} | self.left_out
        teachers = {table.use for table in self.plan.experiment.frozen_concat}
        is_out = cell in self.left_out or teacher in self._teachers_out
        return bool(plus) and is_out and cell in known and teacher in teachers


@dataclass(frozen=True)
class _Reader:
    """One `[[expect]]` held against the rows."""

    rows: Rows
    expect: Expect
    where: str

    def comparisons(self) -> Iterator[Declared]:
        """Its comparisons, in order: pair by pair, task by task, band set by band set."""
        protocol, probe, partition, weights = self._probed()
        tasks = self._tasks()
        groups = [tasks] if self.expect.together else [(task,) for task in tasks]
        blank = Declared("", "", (), protocol, probe, "", weights, partition, self.expect.by / 100)
        if self.expect.within is not None:
            blank = replace(blank, within=self.expect.within / 100)
        for (ours, theirs), on in product(self._pairs(), groups):
            pair = replace(blank, ours=ours, theirs=theirs, tasks=on)
            lacking = [label for label in (ours, theirs) if label not in self.rows.rows]
            lacking += [f"task {name}" for name in on if name in self.rows.tasks_out]
            if lacking:
                yield replace(pair, left_out=f"{lacking[0]} is left out")
                continue
            for bands in self._bands(pair):
                made = replace(pair, bands=bands)
                yield replace(made, digest=_digest(self.rows, made))

    def _pairs(self) -> list[tuple[str, str]]:
        """The pairs of labels, no row with itself."""
        rows = self.rows.rows
        pairs = self._alike() if self.expect.alike is not None else self._ordered()
        for a, b in pairs:
            if a in rows and b in rows and identity_of(rows[a]) == identity_of(rows[b]):
                raise UserError(f"{self.where}: {a!r} and {b!r} are one and the same run")
        return pairs

    def _alike(self) -> list[tuple[str, str]]:
        labels = self.rows.named(self.expect.alike or (), f"{self.where}.alike")
        if len(labels) < 2:
            raise UserError(f"{self.where}.alike: {', '.join(map(repr, labels))} is one row; name two or more")
        self._refuse_many(len(labels) * (len(labels) - 1) // 2)
        return list(combinations(labels, 2))

    def _ordered(self) -> list[tuple[str, str]]:
        """A pattern passes over the row that it would be compared with itself; a name may not mean it."""
        ours = self.rows.named(self.expect.better or (), f"{self.where}.better")
        others = self.rows.named(self.expect.than or (), f"{self.where}.than")
        for label in ours:
            if ours[label] and others.get(label):
                raise UserError(f"{self.where}: {label!r} is compared with itself")
        self._refuse_many(len(ours) * len(others))
        pairs = {pair: None for pair in product(ours, others) if pair[0] != pair[1]}
        if not pairs:
            raise UserError(f"{self.where}: {', '.join(map(repr, ours))} is compared with itself alone")
        for a, b in pairs:
            if (b, a) in pairs and self.expect.by >= 0:
                raise UserError(f"{self.where}: {a!r} and {b!r} are each to be better than the other")
        return list(pairs)

    def _refuse_many(self, count: int) -> None:
        if count > MOST:
            raise UserError(f"{self.where}: {count:,} pairs of rows, more than {MOST:,}; name fewer")

    def _probed(self) -> tuple[str, str, str, str]:
        """Protocol, probe, partition and weights: what is said, else the experiment's first."""
        expect, settings, known = self.expect, self.rows.plan.experiment.settings, self.rows.protocols
        protocol = expect.protocol or next(iter(known))
        if protocol not in known:
            raise unknown("protocol", protocol, known, f"{self.where}.protocol")
        probe = expect.probe or known[protocol][0]
        if probe not in known[protocol]:
            raise unknown("probe", probe, known[protocol], f"{self.where}.probe")
        partitions = settings.partitions
        partition = expect.partition or ("default" if "default" in partitions else partitions[0])
        if partition not in partitions:
            raise unknown("partition", partition, partitions, f"{self.where}.partition")
        weights = expect.weights or settings.weights[0]
        if weights not in settings.weights:
            raise unknown("weights", weights, settings.weights, f"{self.where}.weights")
        return protocol, probe, partition, weights

    def _tasks(self) -> tuple[str, ...]:
        known = [task.name for task in self.rows.plan.experiment.tasks]
        if not known:
            raise UserError(f"{self.where}: the experiment has no tasks to compare rows on; say tasks = …")
        for name in self.expect.tasks or ():
            if name not in known:
                raise unknown("task", name, known, f"{self.where}.tasks")
        return self.expect.tasks or tuple(known)

    def _bands(self, pair: Declared) -> tuple[str, ...]:
        """The band sets that both rows are scored on: those that are named, or the only one."""
        common: dict[str, None] | None = None
        for label, task in product((pair.ours, pair.theirs), pair.tasks):
            have = bands_scored(self.rows, label, task, pair)
            if have is None:
                continue
            for name in self.expect.bands or ():
                if name not in have:
                    told = f"{label!r} is not scored on {shown(name)} of task {task!r}"
                    raise UserError(f"{self.where}.bands: {told}; it is on {', '.join(have) or 'none'}")
            common = {name: None for name in (have if common is None else common) if name in have}
        found = tuple(common or ())
        if self.expect.bands is not None:
            return self.expect.bands
        if not found:
            told = f"{pair.ours!r} and {pair.theirs!r} are scored on no bands in common"
            raise UserError(f"{self.where}: {told}, so they cannot be compared")
        if len(found) > 1:
            raise UserError(
                f"{self.where}: bands is missing; name one or more of {', '.join(found)}, which the rows are scored on"
            )
        return found


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def bands_scored(rows: Rows, label: str, task: str, one: Declared) -> list[str] | None:
    """The band sets that a row is scored on; none where any will do, as for the majority class."""
    row = rows.rows[label]
    if row.part is not None and row.part.use == "majority":
        return None
    return list(dict.fromkeys(request.bands for request in scores_wanted(rows, row, task, one)))


def scores_wanted(rows: Rows, row: Row, task: str, one: Declared) -> list[Request]:
    """The scores of a row that a comparison would be tested on, of any bands, as reports find them."""
    requests = [
        request
        for _, subject in row.subjects
        for request in rows.requests.get((subject, task, one.protocol), ())
        if request.partition == one.partition and (row.kind == "reference" or request.probe == one.probe)
    ]
    # Reports show the student's weights where a row has no others.
    own = [request for request in requests if request.weights in (one.weights, "file")]
    return own or [request for request in requests if request.weights == "student"]


def identity_of(row: Row) -> str:
    """What a row is, whatever its seeds: the twelve hex of its recipe, or the name of its backbone."""
    return row_key(row.subjects[0][1])


def _digest(rows: Rows, one: Declared) -> str:
    """What is compared and what is claimed of it, as data: labels, seeds and places are not in it."""
    keys = [identity_of(rows.rows[label]) for label in (one.ours, one.theirs)]
    told: dict[str, Any] = {
        "rows": keys if one.within is None else sorted(keys),
        "tasks": sorted(rows.contents[task] for task in one.tasks),
        "scored": [one.protocol, one.probe, one.bands, one.weights, one.partition],
        "claim": [one.by, one.within],
    }
    return digest(told)

"""Where figures beside the tables look for scores: one protocol, its first probe, one band set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from deo_bench.reports.answer import Answer
from deo_bench.reports.cells import Column, Found
from deo_bench.reports.entries import Entry, Kind
from deo_bench.reports.wording import metric_name, scale, size


@dataclass(frozen=True)
class Place:
    """What is the same for everything in a figure."""

    answer: Answer
    protocol: str
    probe: str
    bands: str
    _columns: dict[tuple[object, ...], Column] = field(default_factory=dict, compare=False, repr=False)

    @property
    def told(self) -> str:
        """For a caption."""
        return f"protocol {self.protocol}, probe {self.probe}, bands {self.bands}"

    @property
    def brief(self) -> str:
        """For a figure."""
        return f"{self.protocol}, {self.probe}, {self.bands}"

    @property
    def scale(self) -> str:
        """What the scores here are in."""
        return scale([self.column(task, self.answer.scope.weights[0]) for task in self.answer.scope.tasks])

    def column(self, task: str, weights: str, partition: str = "default", step: int | None = None) -> Column:
        """A task here, by the report's metric; looked for once, since a store may be large."""
        where = (task, self.probe, self.protocol, self.bands, weights, partition, step)
        if where not in self._columns:
            self._columns[where] = self.answer.finder.column(*where, metric=self.answer.spec.metric)
        return self._columns[where]

    def find(self, entry: Entry, task: str, weights: str, partition: str = "default", step: int | None = None) -> Found:
        """A row's scores on a task."""
        return self.answer.finder.find(entry, self.column(task, weights, partition, step))

    def heading(self, task: str, weights: str = "student") -> str:
        """`m-eurosat`, and below it the metric and how many images: above a panel."""
        column = self.column(task, weights)
        return f"{task}\n{', '.join(part for part in (metric_name(column), size(column)) if part)}"

    def paths(self, entry: Entry, task: str) -> list[str]:
        """The predictions of a row's runs on the test images that a task's column is of, run by run."""
        column = self.column(task, self.answer.scope.weights[0])
        rows = asked_for(self.answer, [entry])
        rows = rows[
            (rows["task"] == task) & (rows["probe"] == self.probe) & (rows["protocol"] == self.protocol)
            & (rows["bands"] == self.bands) & (rows["partition"] == "default") & rows["step"].isna()
            & rows["weights"].isin([column.weights, "file"]) & (rows["task_content"] == column.content)
        ]  # fmt: skip
        return [str(path) for path in rows.sort_values("subject")["path"]]

    def name(self, kind: str) -> str:
        """A figure's name: `curves`, or with what tells this place from the others: `curves-rgb`."""
        among = places_of(self.answer)
        parts = [kind]
        for which in ("protocol", "bands"):
            if len({getattr(other, which) for other in among}) > 1:
                parts.append(getattr(self, which))
        return "-".join(parts)

    def title(self, text: str) -> str:
        """A section's title, which says where if there are several places."""
        return f"{text}: {self.told}" if len(places_of(self.answer)) > 1 else text


def places_of(answer: Answer) -> list[Place]:
    """Every protocol's first probe on every band set."""
    return [
        Place(answer, protocol, probes[0], bands)
        for protocol, probes in answer.scope.protocols.items()
        if probes
        for bands in answer.scope.bands
    ]


def rows_of(answer: Answer, *kinds: Kind) -> list[Entry]:
    """The rows of these kinds that the report shows, in its order."""
    by_label = {entry.label: entry for entry in answer.entries}
    shown = [by_label[label] for label in answer.spec.pick(list(by_label))]
    return [entry for entry in shown if entry.kind in kinds]


def with_weights(answer: Answer, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Rows with each kind of weights that they have any score of."""
    have = set(zip(answer.frame["subject"], answer.frame["weights"], strict=True))
    return [
        (entry, weights)
        for entry in entries
        for weights in answer.scope.weights
        if any((subject, weights) in have for _, subject in entry.subjects)
    ]


def asked_for(answer: Answer, entries: Sequence[Entry]) -> pd.DataFrame:
    """The scores of these rows that the plan asks for, of any partition and step, a row each."""
    subjects = {subject for entry in entries for _, subject in entry.subjects}
    chosen = answer.frame["subject"].isin(subjects)
    if answer.scope.digests is not None:
        chosen &= answer.frame["digest"].isin(answer.scope.digests)
    return answer.frame[chosen]

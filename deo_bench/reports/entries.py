"""What a report is of: the rows that a plan hands over, and the columns that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["cell", "bound", "baseline", "reference"]
Axis = Literal["task", "bands", "probe", "weights", "partition", "step"]
"""What tells two columns of one protocol apart."""


Mark = Literal["†", "‡"]


@dataclass(frozen=True)
class Seen:
    """That what made a row knows a task's data. mark: † of a teacher, ‡ of images pre-trained on; words: who, of what.

    A dagger is no footnote of a row but of a cell: it says of which column a row's number is no clean one.
    """

    mark: Mark
    words: str


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    kind: `cell` of the experiment; `bound`, a cell's features beside those of a frozen teacher; `baseline`, what is
    scored without being trained here; `reference`, which has one score a task (probes `majority`, `supervised`) and
    stands under every probe. subjects: seed (none for what has none) and the subject of its scores. marks: footnotes
    of the row. teachers: their colours in figures, up to two. reasons: subject -> why it has no score (its run
    failed, its data are missing). is_untrained: the student as it was before any step. settings: of a cell, by dotted
    path, where it is one of a grid. parameters: of the backbone, in millions, where its part declares them.
    seen: task -> what of its data a teacher or the pre-training has seen.
    """

    label: str
    kind: Kind
    subjects: Sequence[tuple[int | None, str]]
    marks: Sequence[str] = ()
    teachers: Sequence[str] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    is_untrained: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: float | None = None
    seen: Mapping[str, Sequence[Seen]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The label, which says so where the row is the untrained student."""
        return f"{self.label} (untrained)" if self.is_untrained and "untrained" not in self.label else self.label


@dataclass(frozen=True)
class Scope:
    """The columns that are wanted: every task under every probe of a protocol, for each band set and kind of weights.

    protocols: protocol's id -> names of its probes. partitions: of the labels; steps: of the weights, none for the last
    ones. digests: of the scores that the plan asks for; none takes
    whatever the store has, and where it has two versions of one score, neither. experiment: the file, as captions
    name it. maps: the maps of features that the plan asks for, subject -> names of its files without their ending.
    classes: task -> names of its classes, where it says them. labelled: task -> partition -> labelled images to fit on.
    """

    tasks: Sequence[str]
    protocols: Mapping[str, Sequence[str]]
    bands: Sequence[str]
    weights: Sequence[str] = ("student",)
    digests: frozenset[str] | None = None
    experiment: str = ""
    maps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    partitions: Sequence[str] = ("default",)
    steps: Sequence[int | None] = (None,)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    labelled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

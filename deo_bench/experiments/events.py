"""What happens while a plan is carried out; the command line draws it, tests read it."""

from __future__ import annotations

from dataclasses import dataclass, field

NO_GRADIENT = "stem got no gradient"
"""How a run's mark ends that says so of the stem of a band set."""


@dataclass(frozen=True)
class Event:
    """Something happened."""


@dataclass(frozen=True)
class CohortStarted(Event):
    """Runs begin together: their names, what they are called in the table, the step they go on from, and the last."""

    runs: tuple[str, ...]
    labels: tuple[str, ...]
    seed: int
    start: int
    steps: int
    batch: int
    is_prerequisite: bool = False


@dataclass(frozen=True)
class Stepped(Event):
    """A cohort has made a step: each run's terms, and images a second over all of its runs."""

    step: int
    terms: dict[str, dict[str, float]]
    images_per_second: float
    collapsed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunEnded(Event):
    """A run is done, or has failed with a reason, or was left to another process."""

    run: str
    label: str
    seconds: float
    reason: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoringStarted(Event):
    """So many scores, and maps of features, are to be made; maps: how many of them are maps."""

    count: int
    maps: int = 0


@dataclass(frozen=True)
class Scored(Event):
    """A score was made; kept embeddings cost nothing. is_share: whether it is one, or in a unit of its own."""

    subject: str
    label: str
    task: str
    probe: str
    value: float
    encoded: int
    seconds: float
    is_share: bool = True


@dataclass(frozen=True)
class Mapped(Event):
    """Maps of a subject's features were made; is_empty: it has none, which is what was kept."""

    subject: str
    label: str
    task: str
    seconds: float
    is_empty: bool = False


@dataclass(frozen=True)
class ScoreFailed(Event):
    """A score could not be made, and why."""

    subject: str
    task: str
    probe: str
    reason: str


@dataclass(frozen=True)
class Note(Event):
    """Something to say in a line."""

    text: str


@dataclass(frozen=True)
class Waiting(Event):
    """Another process has what is left; said again and again, so that whoever draws can stop."""


@dataclass
class Outcome:
    """What a launch did, counted."""

    trained: int = 0
    failed: list[str] = field(default_factory=list)
    scored: int = 0
    encoded: int = 0
    mapped: int = 0
    seconds_training: float = 0.0
    seconds_prerequisites: float = 0.0
    seconds_scoring: float = 0.0
    seconds_references: float = 0.0

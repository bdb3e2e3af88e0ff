"""A score that is wanted: everything that defines it, and the digest that names its file. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from deo_bench.probes.record import ProbeUse, ProtocolRecord
from deo_bench.recipe import PartTable, digest
from deo_bench.registry import Registry

REFERENCES = ("majority", "supervised")
"""Probes whose one number stands in every column of a task: they look at no backbone's features."""

EVALUATION_VERSION = 1
"""Bumped when embedding, resizing or intervals change numbers."""

JOINED_VERSION = 1
"""Bumped when features of two backbones beside each other are joined in another way."""

MAPS_VERSION = 1
"""Bumped when maps of features, the choice of their images or their pictures change."""

MAPS_LEVEL = "late"
"""The level whose maps are kept: the last block or stage."""


@dataclass(frozen=True)
class Request:
    """One score of one subject.

    task: its name in tables; task_part: what it is; task_content: its fingerprint; probe: its name in the protocol;
    probe_part: what that is; weights: `student`, `ema` or `file`; step: of kept weights, none for the last; label_kind:
    of the task; own_metric: the probe's, where it has one; role: the split that is predicted, which for a sweep is
    *select*: fitted on *fit*, refitted on nothing more.
    """

    subject: str
    task: str
    task_part: PartTable
    task_content: str
    protocol: ProtocolRecord
    probe: str
    probe_part: PartTable
    probe_identity: str
    bands: str
    weights: str = "student"
    step: int | None = None
    partition: str = "default"
    label_kind: str = "single"
    own_metric: str = ""
    role: Literal["report", "select"] = "report"

    @property
    def metric(self) -> str:
        """The probe's own metric, else the protocol's for the task's kind of labels."""
        return self.own_metric or self.protocol.metric(self.label_kind)

    @cached_property
    def digest(self) -> str:
        """Eight hex digits of protocol, probe, versions, bands, partition, the task's fingerprint and weights."""
        told: dict[str, Any] = {
            "protocol": self.protocol.told(exclude={"probes"}),
            "probe": [
                ProbeUse(use=self.probe_part.use, options=self.probe_part.options).told(),
                self.probe_identity,
            ],
            "bands": self.bands,
            "partition": self.partition,
            "task": self.task_content,
            "weights": [self.weights, self.step],
            "version": EVALUATION_VERSION,
        }
        if self.role != "report":
            told["role"] = self.role
        return digest(told, 8)

    @property
    def stem(self) -> str:
        """The score's file name without its ending."""
        return f"{self.task}.{self.probe}.{self.digest}"


@dataclass(frozen=True)
class MapRequest:
    """Maps of features that are wanted of what a score is of; which probe that score has plays no part.

    count: images of the task's report split, spread over it evenly.
    """

    score: Request
    count: int

    @property
    def subject(self) -> str:
        """Whose maps."""
        return self.score.subject

    @cached_property
    def digest(self) -> str:
        """Eight hex digits of everything but the subject; the task's fingerprint and the count say which images."""
        protocol = self.score.protocol
        told: dict[str, Any] = {
            "task": self.score.task_content,
            "bands": self.score.bands,
            "weights": [self.score.weights, self.score.step],
            "level": MAPS_LEVEL,
            "count": self.count,
            "view": [protocol.size, protocol.interpolation, protocol.normalise],
            "versions": [EVALUATION_VERSION, MAPS_VERSION],
        }
        return digest(told, 8)

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return f"{self.score.task}.{self.score.bands}.{self.score.weights}.{self.digest}"


def probe_identity(registry: Registry, name: str) -> str:
    """What of a probe's code is in a score's identity."""
    return registry.get("probe", name).identity

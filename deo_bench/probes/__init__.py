"""What a probe is: it is fitted on features with labels and predicts; labels of the report split never reach it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from deo_bench.registry import decorator

LabelKind = Literal["single", "multi", "segmentation"]


@dataclass(frozen=True)
class Labelled:
    """Features [N, D] with labels ([N] class ids, or [N, K] zeros and ones) of one role."""

    features: np.ndarray
    labels: np.ndarray


class Fit(Labelled):
    """What a probe is fitted on."""


class Select(Labelled):
    """What chooses a probe's settings."""


@dataclass(frozen=True)
class Prediction:
    """What a probe says of the report split.

    scores: [N, K] a number a class, higher is likelier; labels: [N] the class chosen (single-label) or none; chosen:
    settings that were selected, with `on_edge` true where the best lies on the edge of its grid.
    """

    scores: np.ndarray
    labels: np.ndarray | None = None
    chosen: dict[str, Any] = field(default_factory=dict)


class Probe(ABC):
    """`__init__(*, options)`; the types keep the roles apart: a probe never meets the report split's labels.

    Fact `needs`: `"features"` (left out), `"nothing"` (ignores them) or `"images"` (trains on the images itself).
    """

    version = 1

    @abstractmethod
    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Fit, select, optionally refit on both (`merge`), and predict the report features [N, D]."""


probe = decorator("probe", Probe)

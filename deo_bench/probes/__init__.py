"""What a probe is: it is fitted on features with labels and predicts; labels of the report split never reach it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from deo_bench.registry import decorator

LabelKind = Literal["single", "multi", "regression", "segmentation", "change"]
LABEL_KINDS: tuple[str, ...] = get_args(LabelKind)
"""A class an image, several, a number, a class a pixel, and the same of two dates."""


@dataclass(frozen=True)
class Labelled:
    """Features [N, D] with labels ([N] class ids, [N, K] zeros and ones, or [N] numbers) of one role."""

    features: np.ndarray
    labels: np.ndarray


class Fit(Labelled):
    """What a probe is fitted on."""


class Select(Labelled):
    """What chooses a probe's settings."""


@dataclass(frozen=True)
class Prediction:
    """What a probe says of the report split.

    scores: [N, K] a number a class, higher is likelier (of numbers to be predicted [N, 1], the prediction itself; of a
    probe with a metric `mean` of its own [N, 1], what it measured of each sample); labels: [N] the class chosen
    (single-label) or none; chosen: settings that were selected, with `on_edge` true where the best lies on the edge of
    its grid.
    """

    scores: np.ndarray
    labels: np.ndarray | None = None
    chosen: dict[str, Any] = field(default_factory=dict)


class Probe(ABC):
    """`__init__(*, options)`; the types keep the roles apart: a probe never meets the report split's labels.

    Facts. `needs`: `"features"` (left out), `"nothing"` (ignores them), `"images"` (trains a fresh student on the
    images), `"backbone"` (is handed the backbone itself and images), `"maps"` (a `DenseProbe`, on frozen maps), or
    `"truth"` (fits nothing: its `judge` holds features of *fit* against those of the report split, labels and all).
    `kinds`: the kinds of labels that it is fitted on, `["single", "multi"]` where left out. `metric`: of its scores,
    where it is not the protocol's for the kind of labels.
    """

    version = 1

    @abstractmethod
    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Fit, select, optionally refit on both (`merge`), and predict the report features [N, D]."""


probe = decorator("probe", Probe)


def kinds_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of labels that a probe is fitted on, by its facts."""
    return tuple(facts.get("kinds", ("single", "multi")))

"""What a probe on maps is: it is fitted on frozen maps with a label a pixel, and predicts maps of classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select
from deo_bench.probes.images import ImageProbe
from deo_bench.probes.maps import MapSource

Sources = Callable[[Backbone, int | tuple[str, ...], bool], tuple[MapSource, MapSource, MapSource]]
"""Of a backbone, which levels, and whether images are flipped: its maps of *fit*, *select* and report.

They are encoded anew each time they are asked for. Gradients reach the backbone, whose mode is whoever's who trains it.
"""


class MapTuner(ImageProbe):
    """A probe with the fact `needs="backbone"` that trains the backbone itself, on labels a pixel, too."""

    @abstractmethod
    def predict_tuned(
        self, backbone: Backbone, sources: Sources, num_classes: int, ignore: int | None, seed: int
    ) -> tuple[Iterator[np.ndarray], dict[str, Any]]:
        """As `DenseProbe.predict_maps`, of a copy of the backbone: the given one is never changed."""


class DenseProbe(Probe):
    """A probe with the facts `needs="maps"` and `kinds=["segmentation", "change"]`.

    levels: which maps it wants, names of levels shallow to deep, or how many of the backbone's own (4: every stage of
    a hierarchical one, four blocks of a plain one, evenly spread, the last among them).
    """

    levels: int | tuple[str, ...] = 4

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Not of vectors: use `predict_maps`."""
        raise UserError(f"probe {type(self).__name__!r} is fitted on maps, not on a backbone's vectors")

    @abstractmethod
    def predict_maps(
        self, fit: MapSource, select: MapSource, report: MapSource, num_classes: int, ignore: int | None, seed: int
    ) -> tuple[Iterator[np.ndarray], dict[str, Any]]:
        """Classes [b, H, W] of the report images in order, and the settings that were chosen (`on_edge` among them).

        `ignore` is the label of pixels that count nowhere. Every draw is a function of the seed.
        """

"""The trivial baseline: what one scores without looking."""

from __future__ import annotations

import numpy as np

from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes.checks import check_labels


@probe("majority", needs="nothing", kinds=["single", "multi", "regression", "segmentation", "change"])
class Majority(Probe):
    """The fit split's label frequencies, for every image; a class is the most frequent one, the lowest of equals.

    Of numbers the mean; of maps of classes the class that most pixels are, everywhere.
    """

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Ignores all features: only the length of `report` counts."""
        if fit.labels.dtype.kind == "f" and fit.labels.ndim == 1:
            return Prediction(np.full((len(report), 1), fit.labels.mean()))
        check_labels(fit.labels, num_classes, "fit")
        if fit.labels.ndim == 2:
            return Prediction(np.tile(fit.labels.mean(0, dtype=np.float64), (len(report), 1)))
        share = np.bincount(fit.labels.astype(np.int64), minlength=num_classes) / len(fit.labels)
        return Prediction(np.tile(share, (len(report), 1)), np.full(len(report), share.argmax()))

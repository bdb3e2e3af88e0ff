"""A linear classifier at its optimum, its regularisation chosen on *select*."""

from __future__ import annotations

from typing import Any

import numpy as np

from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes._chosen import best_on_select, probabilities
from deo_bench.probes.checks import check_features, check_select, check_split
from deo_bench.probes.logistic import LogisticRegression
from deo_bench.probes.rows import Rows


@probe("linear", paper="https://arxiv.org/abs/2103.00020")
class Linear(Probe):
    """Logistic regression by L-BFGS along a grid of C, the best on *select* chosen.

    C runs over `num_c` values from 10^`log10_low` to 10^`log10_high`; the first maximum of accuracy on *select*
    wins (of zeros and ones, of micro-mAP). `standardise` divides by the fit split's own spread. Scores are
    probabilities: softmax, or one sigmoid a class. `double` solves in float64 however many features there are (DINOv3's
    45 values of C from 1e-6 to 1e5 do so). Where a protocol merges, the chosen C is refitted on fit and
    select. (CLIP's linear probe; torchgeo-bench's objective.)
    """

    version = 2

    def __init__(
        self,
        *,
        num_c: Count = 40,
        log10_low: float = -6.0,
        log10_high: float = 4.0,
        standardise: bool = False,
        double: bool = False,
    ) -> None:
        if log10_low > log10_high:
            raise UserError(f"linear: log10_low = {log10_low} is above log10_high = {log10_high}; C must ascend")
        self.grid = np.logspace(log10_low, log10_high, num_c)
        self.standardise, self.double = standardise, double

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """The report split's probabilities; `chosen` holds C and whether it lies on the edge of the grid."""
        check_split(fit.features, fit.labels, num_classes, "fit", None)
        check_features(report, "report", fit.features.shape[-1])
        if len(self.grid) > 1 or (merge and len(select.features)):
            check_select(fit, select, num_classes, "num_c = 1" if len(self.grid) > 1 else None)
        scaling = _scaling(fit.features) if self.standardise else (None, None)
        train, valid, test = (Rows([each], *scaling) for each in (fit.features, select.features, report))
        place, weights = best_on_select(
            train, fit.labels, valid, select.labels, num_classes, self.grid.tolist(), self.double
        )
        if merge and len(valid):
            both = Rows([fit.features, select.features], *scaling)
            labels = np.concatenate([fit.labels, select.labels])
            weights = LogisticRegression(both, labels, num_classes, self.double).solve(self.grid[place], weights)
        scores = probabilities(weights.logits(test), fit.labels.ndim == 2)
        on_edge = len(self.grid) > 1 and place in (0, len(self.grid) - 1)
        chosen: dict[str, Any] = {"c": float(self.grid[place]), "on_edge": on_edge}
        return Prediction(scores, scores.argmax(1) if fit.labels.ndim == 1 else None, chosen)


def _scaling(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each feature; one that does not vary, next to its own size, keeps its scale."""
    wide, rows = np.float64 if features.dtype == np.float64 else np.float32, Rows([features])
    return rows.mean().astype(wide), rows.own_scale().astype(wide)

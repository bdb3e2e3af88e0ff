"""Calibration: how far the linear probe's probabilities can be believed, as they are or at a fitted temperature."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes._chosen import best_on_select, probabilities
from deo_bench.probes.checks import check_features, check_select, check_split
from deo_bench.probes.logistic import Weights

COLDEST, HOTTEST = 1e-2, 1e2
"""Temperatures that are looked at: where the classifier is always right, or no better than chance, there is no best."""


@probe("calibration", metric="ece", kinds=["single", "multi"], paper="https://arxiv.org/abs/1706.04599")
class Calibration(Probe):
    """The `linear` probe's probabilities, scored by the expected calibration error (Guo et al., 2017).

    C is chosen as there. `temperature = "select"` divides the logits by the one temperature that minimises the
    cross-entropy on *select*; it moves no decision. The classifier is fitted on *fit* alone, also where a protocol
    merges: on labels that it has seen, it looks surer than it may be, and a temperature fitted there says too little.
    """

    def __init__(
        self,
        *,
        temperature: Literal["none", "select"] = "none",
        num_c: Count = 40,
        log10_low: float = -6.0,
        log10_high: float = 4.0,
    ) -> None:
        if log10_low > log10_high:
            raise UserError(f"calibration: log10_low = {log10_low} is above log10_high = {log10_high}; C must ascend")
        self.temperature, self.grid = temperature, np.logspace(log10_low, log10_high, num_c)

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """The report split's probabilities; `chosen` holds C, the temperature, and whether either is on its edge."""
        check_split(fit.features, fit.labels, num_classes, "fit", None)
        check_select(fit, select, num_classes, "num_c = 1" if len(self.grid) > 1 else None)
        check_features(report, "report", fit.features.shape[-1])
        place, weights = best_on_select(
            fit.features, fit.labels, select.features, select.labels, num_classes, self.grid.tolist()
        )
        on_edge = len(self.grid) > 1 and place in (0, len(self.grid) - 1)
        chosen: dict[str, Any] = {"c": float(self.grid[place])}
        temperature, is_multi = 1.0, fit.labels.ndim == 2
        if self.temperature == "select":
            temperature = fitted_temperature(*_known(weights, select))
            on_edge = on_edge or temperature in (COLDEST, HOTTEST)
            chosen["temperature"] = temperature
        scores = probabilities(weights.logits(report).double() / temperature, is_multi)
        return Prediction(scores, None if is_multi else scores.argmax(1), {**chosen, "on_edge": on_edge})


def _known(weights: Weights, select: Select) -> tuple[Tensor, np.ndarray]:
    """Logits and labels of *select* without the classes that *fit* has not, or has everywhere: no temperature helps."""
    logits, labels = weights.logits(select.features).double(), select.labels
    known = weights.met.cpu().numpy()
    if labels.ndim == 2:
        return logits[:, known], labels[:, known]
    kept = known[labels.astype(np.int64)]
    return logits[kept], labels[kept]


def fitted_temperature(logits: Tensor, labels: np.ndarray) -> float:
    """The temperature at which logits [N, K] have the lowest cross-entropy with labels [N] or [N, K].

    The cross-entropy is convex in 1 / temperature: its slope there changes sign once, or at no finite place. Then it
    is `COLDEST` or `HOTTEST`.
    """
    from scipy.optimize import brentq

    if not logits.numel():
        return 1.0
    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    truth = torch.from_numpy(np.asarray(labels))
    truth = truth.double() if truth.ndim == 2 else F.one_hot(truth.long(), logits.shape[1]).double()

    def slope(log_inverse: float) -> float:
        shares = logits * np.exp(log_inverse)
        shares = shares.sigmoid() if labels.ndim == 2 else shares.softmax(1)
        return float(((shares - truth) * logits).mean())

    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-12)))

"""What probes of a linear classifier share: the penalty that is best on *select*, and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from deo_bench.probes.logistic import Weights, solve_path
from deo_bench.probes.metrics import measure
from deo_bench.probes.rows import Rows


def best_on_select(
    train: np.ndarray | Rows,
    labels: np.ndarray,
    valid: np.ndarray | Rows,
    truth: np.ndarray,
    num_classes: int,
    grid: Sequence[float],
    double: bool = False,
) -> tuple[int, Weights]:
    """The first place in a grid of C that is best on *select*, and the weights there.

    By accuracy, of zeros and ones by micro-mAP; a grid of one is not measured.
    """
    metric, is_multi = ("micro_map", True) if labels.ndim == 2 else ("accuracy", False)
    best: tuple[float, int, Weights] | None = None
    for place, weights in enumerate(solve_path(train, labels, num_classes, grid, double)):
        value = 0.0
        if len(grid) > 1:
            value = float(measure(metric, truth, probabilities(weights.logits(valid), is_multi))[0])
        if best is None or value > best[0]:
            best = value, place, weights
    assert best is not None
    return best[1], best[2]


def probabilities(logits: Tensor, is_multi: bool) -> np.ndarray:
    """Probabilities [N, K] of logits, in float64: one sigmoid a class, or softmax."""
    wide = logits.double()
    return (wide.sigmoid() if is_multi else wide.softmax(1)).numpy()

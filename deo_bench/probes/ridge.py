"""Ridge regression of a number an image, its penalty chosen on *select*."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes.checks import check_features, check_regression
from deo_bench.probes.rows import Rows


@probe("ridge", kinds=["regression"], paper="https://doi.org/10.1080/00401706.1970.10488634")
class Ridge(Probe):
    """Linear regression with a squared penalty, in closed form; the first penalty that is best on *select* is kept.

    The objective is scikit-learn's, `sum_i (y_i - x_i w - b)^2 + alpha |w|^2`, b free. Alpha runs over `num_alpha`
    values from 10^`log10_low` to 10^`log10_high`; the one with the lowest squared error on *select* wins.
    `standardise` divides by the fit split's own spread. Where a protocol merges, the chosen alpha is refitted on fit
    and select. (Hoerl and Kennard, 1970.)
    """

    def __init__(
        self,
        *,
        num_alpha: Count = 25,
        log10_low: float = -6.0,
        log10_high: float = 6.0,
        standardise: bool = False,
    ) -> None:
        if log10_low > log10_high:
            raise UserError(f"ridge: log10_low = {log10_low} is above log10_high = {log10_high}; alpha must ascend")
        self.grid, self.standardise = np.logspace(log10_low, log10_high, num_alpha), standardise

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Values [N, 1] of the report split; `chosen` holds alpha and whether it lies on the edge of the grid."""
        width = fit.features.shape[-1]
        check_regression(fit.features, fit.labels, "fit", None)
        check_features(report, "report", width)
        scale = _spread(fit.features) if self.standardise else torch.ones(width, dtype=torch.float64)
        problem, place = _Problem(Rows([fit.features]), fit.labels, scale), 0
        if len(self.grid) > 1 or (merge and len(select.features)):
            check_regression(select.features, select.labels, "select", width)
        if len(self.grid) > 1:
            wrong = problem.predict(select.features, self.grid) - select.labels[:, None].astype(np.float64)
            place = int(np.square(wrong).mean(0).argmin())
        if merge and len(select.features):
            both = Rows([fit.features, select.features])
            values = np.concatenate([fit.labels, select.labels])
            problem = _Problem(both, values, scale)
        on_edge = len(self.grid) > 1 and place in (0, len(self.grid) - 1)
        chosen: dict[str, Any] = {"alpha": float(self.grid[place]), "on_edge": on_edge}
        return Prediction(problem.predict(report, self.grid[place : place + 1]), None, chosen)


class _Problem:
    """The regression of one set of features [N, D] on values [N], prepared once and solved for any penalty.

    In the principal axes of the centred features the weights are `(axes' X' y) / (spread + alpha)`, axis by axis.
    """

    def __init__(self, features: Rows, values: np.ndarray, scale: Tensor) -> None:
        self.scale, self.centre = scale, torch.from_numpy(features.mean())
        wide = torch.from_numpy(np.asarray(values, dtype=np.float64))
        self.level = wide.mean()
        width = len(self.centre)
        square, crossed = torch.zeros(width, width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
        for at, block in features.blocks():
            rows = self._rows(block)
            square.addmm_(rows.T, rows)
            crossed += (wide[at : at + len(rows)] - self.level) @ rows
        spread, axes = torch.linalg.eigh(square)
        kept = spread > 1e-13 * spread.max()
        self.spread, self.axes = spread[kept], axes[:, kept]
        self.along = self.axes.T @ crossed

    def predict(self, features: np.ndarray, penalties: np.ndarray) -> np.ndarray:
        """Values [N, A] of features [N, D] at each of A penalties."""
        weights = self.axes @ (self.along[:, None] / (self.spread[:, None] + torch.from_numpy(penalties)))
        found = [self._rows(block) @ weights for _, block in Rows([features]).blocks()]
        return (torch.cat(found) + self.level).numpy()

    def _rows(self, features: np.ndarray) -> Tensor:
        wide: Tensor = (torch.from_numpy(np.array(features, dtype=np.float64)) - self.centre) / self.scale
        return wide


def _spread(features: np.ndarray) -> Tensor:
    """The spread of each feature; one that does not vary, next to its own size, keeps its scale."""
    return torch.from_numpy(Rows([features]).own_scale())

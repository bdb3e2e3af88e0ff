"""Logistic regression solved to its optimum: L-BFGS in the features' principal axes, along a path of penalties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.probes.lbfgs import minimise
from deo_bench.probes.rows import Rows

SMALL = 1 << 21
"""Up to so many feature values the arithmetic is float64: it costs little there, and a large C gains by it."""

FAR = -1e4
"""The logit of a class that the labels never hold (minus this: always): its optimum lies at infinity."""

TOLERANCE = 5e-9
"""Where the solver stops: gains below so much of the objective, for C up to 100.

The optimum is then usually within 1e-6. Where classes have a single sample, steps gain little for long, and it stops
earlier: 7e-6 of the objective short has been seen (300 samples, features of spread 30, C 89)."""

LOOSE = 1e-6
"""Where it stops above: nearly separated data gain digits of an objective near 0 there, for many passes. Where classes
are rare, a decision near the border may still change."""


@dataclass(frozen=True)
class Weights:
    """A linear classifier: logits are `features @ weight + bias`.

    weight: [D, K]; bias: [K], never penalised; objective: the value reached; passes: evaluations of the objective
    it took.
    """

    weight: Tensor
    bias: Tensor
    objective: float
    passes: int = 0

    @property
    def met(self) -> Tensor:
        """Which classes [K] the labels decided: those that they never held, or held always, lie at infinity."""
        return self.bias.abs() < -FAR

    def logits(self, features: np.ndarray | Rows) -> Tensor:
        """Logits [N, K] of features [N, D]."""
        return torch.cat([rows @ self.weight + self.bias for _, rows in _blocks(features, self.weight.dtype)])


class LogisticRegression:
    """The problem of one set of features and labels, prepared once and solved for any C.

    Of labels [N] the objective is `mean_i CE_i + 1 / (2 C n) * sum W^2`: scikit-learn's, divided by C n. Of labels
    [N, K] it is `mean_ik BCE_ik + 1 / (2 C n K) * sum W^2`, K problems one-vs-rest. (torchgeo-bench's objectives.)

    Neither centring (the bias is free) nor rotation (the penalty is round) moves the optimum, so the solver works
    in the principal axes, where the Hessian is nearly diagonal, and leaves out directions in which the features do
    not vary. Arithmetic is float64 where it costs little, where the features are, or where `double` asks for it.
    """

    def __init__(self, features: np.ndarray | Rows, labels: np.ndarray, num_classes: int, double: bool = False) -> None:
        features = _rows(features)
        is_wide = double or features.size <= SMALL or features.dtype == np.float64
        dtype = torch.float64 if is_wide else torch.float32
        self.centre = torch.from_numpy(features.mean())
        spread, axes = _principal_axes(features, self.centre)
        self.axes = axes.to(dtype)
        self.features = torch.ones(len(features), len(spread) + 1, dtype=dtype)
        for at, rows in _blocks(features, torch.float64):
            self.features[at : at + len(rows), :-1] = ((rows - self.centre) @ axes).to(dtype)
        self.centre = self.centre.to(dtype)
        self.spread = torch.cat([spread, torch.ones(1)]).to(dtype)
        self.num_classes = num_classes
        self._read(labels)

    def _read(self, labels: np.ndarray) -> None:
        self.is_multi = labels.ndim == 2
        self.always = np.zeros(self.num_classes, dtype=bool)
        if self.is_multi:
            share = labels.mean(0)
            self.always = share == 1
            self.classes = np.flatnonzero((share > 0) & (share < 1))
            self.labels = torch.from_numpy(labels[:, self.classes].T.copy()).to(self.features)
        else:
            self.classes, places = np.unique(labels, return_inverse=True)
            self.labels = torch.from_numpy(places)

    def solve(
        self, c: float, start: Weights | None = None, tolerance: float | None = None, max_passes: int = 4000
    ) -> Weights:
        """The optimum of one C, from `start` (zero if left out)."""
        tolerance = tolerance or (TOLERANCE if c <= 100 else LOOSE)
        values = self._begin(start)
        if len(self.classes) < (1 if self.is_multi else 2):
            return self._whole(values, 0.0, 0)
        objective = _Objective(self.features, self.labels, self.spread, 1 / (c * len(self.features)))
        return self._whole(*minimise(objective, values, tolerance, max_passes))

    def _begin(self, start: Weights | None) -> Tensor:
        """The solver's values [K, R + 1] in the principal axes, the last column the bias."""
        if start is None:
            return self.features.new_zeros(len(self.classes), self.features.shape[1])
        weight = start.weight[:, self.classes].to(self.features)
        # A class that the start never met is so sure of its absence that nothing curves there: it begins at zero.
        bias = torch.where(start.met, start.bias, 0.0)[self.classes].to(self.features) + self.centre @ weight
        return torch.cat([weight.T @ self.axes, bias[:, None]], 1)

    def _whole(self, values: Tensor, objective: float, passes: int) -> Weights:
        """The values in the caller's terms: his axes, features not centred, every class."""
        weight = values.new_zeros(len(self.axes), self.num_classes)
        bias = torch.where(torch.from_numpy(self.always), -FAR, FAR).to(values)
        weight[:, self.classes] = self.axes @ values[:, :-1].T
        bias[self.classes] = values[:, -1] - self.centre @ weight[:, self.classes]
        return Weights(weight, bias, objective, passes)


def solve(
    features: np.ndarray | Rows, labels: np.ndarray, num_classes: int, c: float, start: Weights | None = None
) -> Weights:
    """The logistic regression of features [N, D] and labels at one C."""
    return LogisticRegression(features, labels, num_classes).solve(c, start)


def solve_path(
    features: np.ndarray | Rows, labels: np.ndarray, num_classes: int, grid: Sequence[float], double: bool = False
) -> Iterator[Weights]:
    """`solve` for every C of a grid, each starting at the optimum of the one before: ascending C is fastest."""
    problem, last = LogisticRegression(features, labels, num_classes, double), None
    for c in grid:
        last = problem.solve(c, last)
        yield last


class _Objective:
    """Cross-entropy with an L2 penalty on all but the last column; classes are rows, which is fastest by far."""

    def __init__(self, features: Tensor, labels: Tensor, spread: Tensor, decay: float) -> None:
        self.features, self.labels, self.spread = features, labels, spread
        self.is_multi = labels.ndim == 2
        self.scale = 1 / labels.shape[0] if self.is_multi else 1.0
        self.decay = torch.full_like(spread, decay)
        self.decay[-1] = 0
        self.columns = torch.arange(len(features))
        self.residual = spread[:0]

    def __call__(self, values: Tensor) -> tuple[float, Tensor]:
        """The objective (its sums in float64) and its gradient [K, R + 1]."""
        logits = values @ self.features.T
        if self.is_multi:
            loss = F.binary_cross_entropy_with_logits(logits, self.labels, reduction="none")
            residual = logits.sigmoid() - self.labels
        else:
            log_share = logits.log_softmax(0)
            loss = -log_share[self.labels, self.columns]
            residual = log_share.exp()
            residual[self.labels, self.columns] -= 1
        self.residual = residual
        mean = loss.sum(dtype=torch.float64) / len(self.columns)
        shrunk = self.decay * values
        penalty = (shrunk * values).sum(dtype=torch.float64) / 2
        gradient = torch.addmm(shrunk, residual, self.features, beta=self.scale, alpha=self.scale / len(self.columns))
        return self.scale * (mean + penalty).item(), gradient

    def preconditioner(self) -> Tensor:
        """The inverse [K, R + 1] of the Hessian's diagonal, were the classifier equally unsure of every sample.

        The block of class k is `X' diag(p_k (1 - p_k)) X / n + decay`; here p_k (1 - p_k) is its mean over the samples.
        Softmax ignores what all classes share, so a scale of each class's own would lead the steps into that direction,
        where nothing but the penalty curves: there the mean is over the classes too.
        """
        distance = self.residual.abs()
        unsure = (distance * (1 - distance)).mean(1, keepdim=True)
        if not self.is_multi:
            unsure = unsure.mean().expand_as(unsure)
        small = torch.finfo(unsure.dtype).eps
        return 1 / (self.scale * (unsure.clamp_min(small) * self.spread + self.decay))


def _rows(features: np.ndarray | Rows) -> Rows:
    return features if isinstance(features, Rows) else Rows([features])


def _blocks(features: np.ndarray | Rows, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    """Features a block of rows at a time, with where it begins."""
    for at, block in _rows(features).blocks():
        yield at, torch.from_numpy(block).to(dtype)


def _principal_axes(features: Rows, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Variances [R] and axes [D, R] along which the features vary, in float64."""
    square = torch.zeros(len(centre), len(centre), dtype=torch.float64)
    for _, rows in _blocks(features, torch.float64):
        rows -= centre
        square.addmm_(rows.T, rows)
    spread, axes = torch.linalg.eigh(square / len(features))
    kept = spread > 1e-13 * spread.max()
    return spread[kept], axes[:, kept]

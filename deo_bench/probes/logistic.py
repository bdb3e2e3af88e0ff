"""Logistic regression solved to its optimum: a preconditioned L-BFGS along a path of penalties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MEMORY = 10
"""Pairs of steps and gradient changes that L-BFGS keeps."""

SMALL = 1 << 22
"""Up to so many feature values the arithmetic is float64: it costs little there, and a large C needs it."""

FAR = -1e4
"""The logit of a class that the labels never (minus this: always) hold: its optimum lies at infinity."""


@dataclass(frozen=True)
class Weights:
    """A linear classifier: logits are `features @ weight + bias`.

    weight: [D, K]; bias: [K], never penalised; objective: the value reached; passes: evaluations of the objective that it took.
    """

    weight: Tensor
    bias: Tensor
    objective: float
    passes: int = 0

    def logits(self, features: np.ndarray, rows: int = 65_536) -> np.ndarray:
        """Logits [N, K] of features [N, D], a block of rows at a time."""
        blocks = (_tensor(features[at : at + rows], self.weight.dtype) for at in range(0, len(features), rows))
        return np.concatenate([(block @ self.weight + self.bias).float().numpy() for block in blocks])


def solve(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    c: float,
    start: Weights | None = None,
    tolerance: float = 2e-8,
    max_passes: int = 4000,
) -> Weights:
    """The logistic regression of one C; `start` is where to begin, zero if left out.

    Of labels [N] the objective is `mean_i CE_i + 1 / (2 C n) * sum W^2`: scikit-learn's, divided by C n. Of labels [N, K] it
    is `mean_ik BCE_ik + 1 / (2 C n K) * sum W^2`, K problems one-vs-rest. Minimised until the Newton decrement, the
    quadratic estimate of what is left to gain, is below `tolerance` times the objective.
    """
    return _Problem(features, labels, num_classes).solve(c, start, tolerance, max_passes)


def solve_path(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    grid: Sequence[float],
    tolerance: float = 2e-8,
    max_passes: int = 4000,
) -> Iterator[Weights]:
    """`solve` for every C of a grid, each starting at the optimum of the one before: ascending C is fastest."""
    problem, last = _Problem(features, labels, num_classes), None
    for c in grid:
        last = problem.solve(c, last, tolerance, max_passes)
        yield last


class _Problem:
    """Features and labels as the solver wants them: centred, and without the classes that have no finite optimum."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
        small = features.size <= SMALL or features.dtype == np.float64
        self.features = _tensor(features, torch.float64 if small else torch.float32)
        # A free bias makes the optimum of centred features the same, and the problem far better conditioned.
        self.centre = self.features.double().mean(0).to(self.features.dtype)
        self.features = self.features - self.centre
        self.num_classes = num_classes
        self.is_multi = labels.ndim == 2
        self.always = np.zeros(num_classes, dtype=bool)
        if self.is_multi:
            share = labels.mean(0)
            self.classes = np.flatnonzero((share > 0) & (share < 1))
            self.always = share == 1
            self.labels = torch.from_numpy(labels[:, self.classes]).to(self.features)
        else:
            self.classes, places = np.unique(labels, return_inverse=True)
            self.labels = torch.from_numpy(places)

    def solve(self, c: float, start: Weights | None, tolerance: float, max_passes: int) -> Weights:
        """The optimum in the terms of the caller: features not centred, every class."""
        values = self._begin(start)
        if len(self.classes) < (1 if self.is_multi else 2):
            return self._whole(values, 0.0, 0)
        decay = 1 / (c * len(self.features))
        objective = _Objective(self.features, self.labels, decay)
        values, reached, passes = _minimise(objective, values, tolerance, max_passes)
        return self._whole(values, reached, passes)

    def _begin(self, start: Weights | None) -> Tensor:
        """The solver's values [D + 1, K], the last row the bias."""
        if start is None:
            return self.features.new_zeros(self.features.shape[1] + 1, len(self.classes))
        weight = start.weight[:, self.classes].to(self.features)
        bias = start.bias[self.classes].to(self.features) + self.centre @ weight
        return torch.cat([weight, bias[None]])

    def _whole(self, values: Tensor, objective: float, passes: int) -> Weights:
        weight = values.new_zeros(len(values) - 1, self.num_classes)
        bias = torch.where(torch.from_numpy(self.always), -FAR, FAR).to(values)
        weight[:, self.classes] = values[:-1]
        bias[self.classes] = values[-1] - self.centre @ values[:-1]
        return Weights(weight, bias, objective, passes)


@dataclass
class _Objective:
    """Cross-entropy with an L2 penalty on everything but the bias; `decay` is 1 / (C n)."""

    features: Tensor
    labels: Tensor
    decay: float

    def __post_init__(self) -> None:
        self.is_multi = self.labels.ndim == 2
        self.share = 1 / self.labels.shape[1] if self.is_multi else 1.0
        self.probabilities = self.labels

    def __call__(self, values: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient [D + 1, K]; sums over samples of the objective are float64."""
        weight, num = values[:-1], len(self.features)
        logits = torch.addmm(values[-1], self.features, weight)
        if self.is_multi:
            loss = F.binary_cross_entropy_with_logits(logits, self.labels, reduction="none").double().sum()
            self.probabilities = logits.sigmoid()
            residual = self.probabilities - self.labels
        else:
            rows = torch.arange(num)
            log_share = logits.log_softmax(1)
            loss = -log_share[rows, self.labels].double().sum()
            self.probabilities = log_share.exp()
            residual = self.probabilities.clone()
            residual[rows, self.labels] -= 1
        residual *= self.share / num
        gradient = torch.empty_like(values)
        torch.mm(self.features.T, residual, out=gradient[:-1])
        gradient[:-1] += self.decay * self.share * weight
        gradient[-1] = residual.sum(0)
        penalty = self.decay / 2 * weight.double().square().sum()
        return self.share * (loss / num + penalty).item(), gradient

    def preconditioner(self) -> _Preconditioner:
        """The inverse of one block that stands for the Hessian's blocks of all classes, at the last probabilities.

        The block of class k is `X' diag(p_k (1 - p_k)) X / n + decay`: here with the mean over the classes as weights.
        """
        spread = self.probabilities * (1 - self.probabilities)
        weights = spread.mean(1)
        block = (self.features.T * weights) @ self.features / len(self.features)
        block = block.double()
        # Rounding in the gradient would be blown up along directions that no feature has: the floor keeps it down.
        floor = 10 * torch.finfo(self.features.dtype).eps * block.diagonal().sum().item()
        block.diagonal().add_(max(self.decay, floor) + torch.finfo(torch.float64).tiny)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(block))
        bias = 1 / weights.mean().clamp_min(torch.finfo(self.features.dtype).eps)
        return _Preconditioner(inverse.to(self.features) / self.share, bias / self.share)


@dataclass(frozen=True)
class _Preconditioner:
    weight: Tensor
    bias: Tensor

    def __call__(self, gradient: Tensor) -> Tensor:
        return torch.cat([self.weight @ gradient[:-1], self.bias * gradient[-1:]])


class _Memory:
    """The L-BFGS recursion on inner products: small matrices of numbers in place of passes over long vectors.

    Rows of `steps` are s_i, of `smoothed` H0 y_i; `crossed` holds s_i . y_j and `curved` y_i . H0 y_j (Chen et al., 2014,
    "Large-scale L-BFGS using MapReduce").
    """

    def __init__(self, precondition: _Preconditioner) -> None:
        self.precondition = precondition
        self.steps = self.changes = self.smoothed = torch.empty(0)
        self.crossed = self.curved = np.empty((0, 0))

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: Tensor, change: Tensor) -> None:
        """Keep one more pair and forget the oldest; a pair without positive curvature is not kept."""
        if not (step * change).sum() > 0:
            return
        smoothed = self.precondition(change)
        self.steps = _push(self.steps, step)
        self.changes = _push(self.changes, change)
        self.smoothed = _push(self.smoothed, smoothed)
        self.crossed = (self.steps @ self.changes.T).double().numpy()
        self.curved = (self.changes @ self.smoothed.T).double().numpy()

    def descent(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian's estimate times the gradient: what to subtract."""
        smoothed = self.precondition(gradient)
        if not len(self):
            return smoothed
        flat = gradient.flatten()
        along = (self.steps @ flat).double().numpy()
        curving = (self.smoothed @ flat).double().numpy()
        num, rho = len(self), 1 / self.crossed.diagonal()
        back, forth = np.zeros(num), np.zeros(num)
        for i in reversed(range(num)):
            back[i] = rho[i] * (along[i] - self.crossed[i] @ back)
        scale = self.crossed[-1, -1] / self.curved[-1, -1]
        rest = scale * (curving - self.curved @ back)
        for i in range(num):
            forth[i] = rho[i] * (rest[i] + self.crossed[:i, i] @ (back - forth)[:i])
        gone, kept = (torch.from_numpy(each).to(flat) for each in (scale * back, back - forth))
        return scale * smoothed + (kept @ self.steps - gone @ self.smoothed).view_as(gradient)


def _push(rows: Tensor, row: Tensor) -> Tensor:
    flat = row.flatten()[None]
    return torch.cat([rows[-(MEMORY - 1) :], flat]) if len(rows) else flat


def _minimise(
    objective: _Objective, values: Tensor, tolerance: float, max_passes: int
) -> tuple[Tensor, float, int]:
    """The values at the minimum, the objective there, and how many evaluations it took."""
    reached, gradient = objective(values)
    memory, passes = _Memory(objective.preconditioner()), 1
    while passes < max_passes:
        descent = memory.descent(gradient)
        slope = (gradient * descent).sum().item()
        # The first estimates of the curvature are the preconditioner's alone, which is not to be trusted to stop.
        if slope <= 0 or (slope / 2 <= tolerance * reached and (len(memory) > 2 or slope / 2 <= 1e-6 * tolerance)):
            break
        found = _search(objective, values, reached, descent, slope)
        passes += found.passes
        if not found.better:
            break
        memory.add(found.values - values, found.gradient - gradient)
        values, reached, gradient = found.values, found.reached, found.gradient
    return values, reached, passes


@dataclass(frozen=True)
class _Found:
    values: Tensor
    reached: float
    gradient: Tensor
    passes: int
    better: bool


def _search(objective: _Objective, values: Tensor, reached: float, descent: Tensor, slope: float) -> _Found:
    """A step that meets the weak Wolfe conditions, by doubling and bisection."""
    low, high, length = 0.0, np.inf, 1.0
    for passes in range(1, 31):
        there = values - length * descent
        value, gradient = objective(there)
        if not value <= reached - 1e-4 * length * slope:
            high = length
        elif (gradient * descent).sum().item() > 0.9 * slope:
            low = length
        else:
            break
        length = (low + high) / 2 if np.isfinite(high) else 2 * length
    return _Found(there, value, gradient, passes, value < reached)


def _tensor(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.array(values)).to(dtype)

"""L-BFGS (Liu and Nocedal, 1989) for smooth convex objectives, with a diagonal to start from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

MEMORY = 16
"""Pairs of steps and gradient changes that are kept."""

WINDOW = 4
"""Steps whose gain is held against the tolerance: the curvature is only estimated, at first by the diagonal alone."""

ROUNDING = 1 / 64
"""Two values that differ by less than this times the arithmetic's precision are alike: means of many rounded losses."""

MAX_TRIES = 20
"""Lengths tried along one direction: after so many halvings only rounding is left."""


class Objective(Protocol):
    """A convex function of values [K, D]."""

    def __call__(self, values: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient [K, D]."""
        ...

    def preconditioner(self) -> Tensor:
        """A positive guess [K, D] of the inverse Hessian's diagonal at the values seen last."""
        ...


def minimise(objective: Objective, values: Tensor, tolerance: float, max_passes: int) -> tuple[Tensor, float, int]:
    """The values at the minimum, the objective there, and how many evaluations it took.

    It ends when both what is left to gain by the quadratic estimate (the Newton decrement g' H^-1 g / 2) and what the
    last `WINDOW` steps gained are below `tolerance` times the objective, or where rounding leaves no step that gains.
    """
    reached, gradient = objective(values)
    memory, passes, path = _Memory(objective.preconditioner()), 1, [reached]
    while passes < max_passes:
        descent = memory.descent(gradient)
        decrement = (gradient * descent).sum().item()
        gained = path[-WINDOW - 1] - reached if len(path) > WINDOW else 1e4 * decrement
        if max(decrement / 2, gained) <= tolerance * reached:
            break
        there, value, slope, tried = _search(objective, values, reached, descent, decrement)
        passes += tried
        if not value < reached + _noise(reached, values):
            break
        memory.add(there - values, slope - gradient)
        values, reached, gradient = there, value, slope
        path.append(reached)
    return values, reached, passes


def _search(
    objective: Objective, values: Tensor, reached: float, descent: Tensor, decrement: float
) -> tuple[Tensor, float, Tensor, int]:
    """A step that meets the weak Wolfe conditions, by doubling and bisection.

    Values that rounding alone could tell apart are judged by their slopes, which still can (Hager and Zhang, 2005,
    "A new conjugate gradient method with guaranteed descent", the approximate Wolfe conditions).
    Where it ends, the objective and the gradient there, and how many evaluations it took.
    """
    low, high, length, tried = 0.0, np.inf, 1.0, 0
    noise = _noise(reached, values)
    while True:
        tried += 1
        there = values - length * descent
        value, gradient = objective(there)
        slope = (gradient * descent).sum().item()
        is_alike = value <= reached + noise and slope >= -0.8 * decrement
        if not (is_alike or value <= reached - 1e-4 * length * decrement):
            high = length
        elif slope > 0.9 * decrement:
            low = length
        else:
            return there, value, gradient, tried
        if tried == MAX_TRIES:
            return there, value, gradient, tried
        length = (low + high) / 2 if np.isfinite(high) else 2 * length


def _noise(reached: float, values: Tensor) -> float:
    return ROUNDING * torch.finfo(values.dtype).eps * abs(reached)


class _Memory:
    """The L-BFGS recursion on inner products: small matrices of numbers in place of passes over long vectors.

    Rows of `steps` are s_i, of `changes` y_i, of `smoothed` H0 y_i; `crossed` holds s_i . y_j and `curved` y_i . H0
    y_j (Chen et al., 2014, "Large-scale L-BFGS using MapReduce").
    """

    def __init__(self, initial: Tensor) -> None:
        self.initial = initial.flatten()
        self.steps = self.changes = self.smoothed = initial.new_empty(0, initial.numel())
        self.crossed = self.curved = np.empty((0, 0))

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: Tensor, change: Tensor) -> None:
        """Keep one more pair and forget the oldest; a pair without positive curvature is not kept."""
        step, change = step.flatten(), change.flatten()
        if not step @ change > torch.finfo(step.dtype).eps * step.norm() * change.norm():
            return
        smooth = self.initial * change
        self.steps = _push(self.steps, step)
        self.changes = _push(self.changes, change)
        self.smoothed = _push(self.smoothed, smooth)
        self.crossed = _grow(self.crossed, self.steps @ change, self.changes @ step)
        self.curved = _grow(self.curved, self.smoothed @ change, self.smoothed @ change)

    def descent(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian's estimate times the gradient: what to subtract."""
        flat = gradient.flatten()
        smooth = self.initial * flat
        if not len(self):
            return smooth.view_as(gradient)
        along, curving = _numbers(self.steps @ flat), _numbers(self.smoothed @ flat)
        num, rho = len(self), 1 / self.crossed.diagonal()
        back, forth = np.zeros(num), np.zeros(num)
        for i in reversed(range(num)):
            back[i] = rho[i] * (along[i] - self.crossed[i] @ back)
        scale = self.crossed[-1, -1] / self.curved[-1, -1]
        rest = scale * (curving - self.curved @ back)
        for i in range(num):
            forth[i] = rho[i] * (rest[i] + self.crossed[:i, i] @ (back - forth)[:i])
        gone, kept = (torch.from_numpy(each).to(flat) for each in (scale * back, back - forth))
        return (scale * smooth + kept @ self.steps - gone @ self.smoothed).view_as(gradient)


def _push(rows: Tensor, row: Tensor) -> Tensor:
    return torch.cat([rows[max(len(rows) - MEMORY + 1, 0) :], row[None]])


def _grow(square: np.ndarray, column: Tensor, row: Tensor) -> np.ndarray:
    """The matrix with the oldest row and column dropped where it is full, and the newest appended."""
    num = len(column)
    grown = np.empty((num, num))
    grown[:-1, :-1] = square[len(square) - num + 1 :, len(square) - num + 1 :]
    grown[:, -1], grown[-1] = _numbers(column), _numbers(row)
    return grown


def _numbers(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()

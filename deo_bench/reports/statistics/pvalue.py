"""P values of a difference whose variance has parts (Behrens and Fisher), and their correction for many (Holm)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import interpolate, special, stats

from deo_bench.reports.statistics.parts import Part

KNOWN_FROM = 200
"""A part of the variance with more degrees of freedom than this is taken as known."""

_NODES = ((2, 80), (4, 48), (10, 32), (40, 24), (np.inf, 16))
"""Below so many degrees of freedom, so many nodes: p is right to .1 % down to 1e-6."""
_TENSOR = 2_000_000


def behrens_fisher(values: np.ndarray, variances: np.ndarray, df: Sequence[float]) -> np.ndarray:
    """Two-sided p [N] of values [N] with parts of the variance [N, K] on df [K] degrees of freedom.

    p = E[2 Phi(-|d| / sqrt(sum v_k / W_k))] over independent W_k ~ chi2(df_k) / df_k: what remains of the true
    variances when all that is known of them is their estimates. It is exactly the t test with one part, and does not
    exceed its level at few seeds, as Satterthwaite's degrees do far out in the tails.
    """
    total = np.asarray(variances, dtype=np.float64).sum(1)
    scale = np.where(total > 0, total, 1.0)
    # units of the standard error: neither squares of tiny scores underflow, nor does the scale of a metric matter
    with np.errstate(over="ignore"):
        size = np.minimum(np.abs(np.asarray(values, dtype=np.float64)) / np.sqrt(scale), 1e100)
    shares = variances / scale[:, None]
    few = [place for place, degrees in enumerate(df) if degrees <= KNOWN_FROM]
    known = np.where(total > 0, np.delete(shares, few, axis=1).sum(1), 1.0)
    made = _integral(size, shares[:, few], tuple(float(df[place]) for place in few), known)
    return np.where(total > 0, made, np.where(size > 0, 0.0, 1.0))


def p_value(value: float, parts: Sequence[Part]) -> float:
    """Two-sided p of a value against zero; without any variance 0, or 1 where the value is zero."""
    return float(p_values([value], [parts])[0])


def p_values(values: Sequence[float], parts: Sequence[Sequence[Part]]) -> np.ndarray:
    """Two-sided p [N] of values, each with its own parts."""
    alike: dict[tuple[float, ...], list[int]] = {}
    telling = [sorted((part for part in each if part.variance > 0), key=lambda part: part.df) for each in parts]
    for place, each in enumerate(telling):
        alike.setdefault(tuple(part.df for part in each), []).append(place)
    made = np.empty(len(values))
    for df, places in alike.items():
        variances = np.array([[part.variance for part in telling[place]] for place in places]).reshape(len(places), -1)
        made[places] = behrens_fisher(np.asarray(values, dtype=np.float64)[places], variances, df)
    return made


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p values [N], in the order given: below a level where the comparison holds among all N."""
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    made = np.empty_like(raw)
    # statsmodels has it, but takes a second to import and runs the garbage collector at each call
    made[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1.0)
    return made


def _integral(size: np.ndarray, shares: np.ndarray, df: tuple[float, ...], known: np.ndarray) -> np.ndarray:
    """The p of sizes [N] in standard errors, with shares of the variance [N, K] estimated and [N] known."""
    if not df:
        return np.asarray(2 * special.ndtr(-size))
    if len(df) == 1 and not known.any():
        return np.asarray(2 * special.stdtr(df[0], -size))
    if len(df) > 2:
        return np.array([_in_turn(*row, df) for row in zip(size, shares, known, strict=True)])
    inverse, weights = _tensor(df)
    made = np.empty(len(size))
    step = max(_TENSOR // weights.size, 1)
    for start in range(0, len(size), step):
        rows = slice(start, start + step)
        spread = np.sqrt(shares[rows] @ inverse + known[rows, None])
        made[rows] = special.ndtr(-size[rows, None] / spread) @ weights
    return np.minimum(2 * made, 1.0)


def _in_turn(size: float, shares: np.ndarray, known: float, df: tuple[float, ...]) -> float:
    """The p with three parts or more: the expectation over one after the other, over the largest two together.

    It is a function of c, what the other parts make of the variance. Its normal deviate is smooth in log c, before the
    first step a straight line, so that a spline carries it from step to step.
    """
    order = np.argsort(shares, kind="stable")
    (inverse, weights), largest = _tensor(tuple(df[place] for place in order[-2:])), shares[order[-2:]]
    ends = known + largest @ inverse
    logs = np.linspace(np.log(ends.min()), np.log(max(1e7 * size**2, 10 * ends.min())), 400)
    deviate = np.log(max(size, 1e-9)) - logs / 2
    for place in order[:-2]:
        nodes, weight = chi_square_rule(df[place])
        reached = np.exp(logs)[:, None] + shares[place] / nodes
        p = _on(logs, deviate, reached) @ weight
        deviate = np.log(np.maximum(-special.ndtri(np.clip(p / 2, 1e-300, 0.5 - 1e-12)), 1e-12))
    return float(min(_on(logs, deviate, ends) @ weights, 1.0))


def _on(logs: np.ndarray, deviate: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """The p at variances, from the logarithm of the normal deviate on a grid."""
    spline = interpolate.CubicSpline(logs, deviate)
    return np.asarray(2 * special.ndtr(-np.exp(spline(np.minimum(np.log(reached), logs[-1])))))


@lru_cache(maxsize=64)
def _tensor(df: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """1 / W at the nodes of one part or two together [K, nodes^K], and their weights [nodes^K]."""
    rules = [chi_square_rule(degrees) for degrees in df]
    inverse = np.stack([grid.ravel() for grid in np.meshgrid(*(1 / rule[0] for rule in rules), indexing="ij")])
    weights = rules[0][1] if len(rules) == 1 else np.multiply.outer(rules[0][1], rules[1][1])
    return inverse, weights.ravel()


@lru_cache(maxsize=256)
def chi_square_rule(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes W and weights for the expectation over W ~ chi2(df) / df.

    Gauss-Legendre in log W: the tail of p comes from W near zero, over decades of it where df is one or two.
    """
    law = stats.chi2(df)
    low, high = np.log(law.ppf(1e-13)), np.log(law.isf(1e-7))
    places, weights = np.polynomial.legendre.leggauss(next(nodes for below, nodes in _NODES if df < below))
    logs = low + (places + 1) / 2 * (high - low)
    weights = weights * np.exp(law.logpdf(np.exp(logs)) + logs)
    return np.exp(logs) / df, weights / weights.sum()

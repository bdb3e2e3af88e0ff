"""Average ranks of rows over tasks, whether they differ at all, and by how much two must (Demsar, JMLR 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from scipy import stats

from deo_bench.reports.statistics.parts import LEVEL


@dataclass(frozen=True)
class Ranking:
    """Rows from the best average rank to the worst (1 is best), and what may be said of them.

    chi_square, p: Friedman's test, p by the F statistic (Iman and Davenport) that is less timid; critical: the
    difference of average ranks from which two rows are distinguished (Nemenyi); groups: the largest sets of neighbours
    that are not, of two rows or more.
    """

    ranks: dict[str, float]
    tasks: int
    chi_square: float
    f: float
    p: float
    critical: float
    groups: tuple[tuple[str, ...], ...]


def rank_rows(
    scores: Mapping[str, Sequence[float]], signs: Sequence[int] | None = None, level: float = 1 - LEVEL
) -> Ranking:
    """Rank rows on each task, ties sharing the mean of their ranks, and compare the average ranks.

    scores: a value a task, in one order of tasks, by row; signs: [tasks], -1 where less is better. Two rows and two
    tasks at the least. The tasks are what varies here: nothing is said of seeds.
    """
    names = list(scores)
    table = np.array([scores[name] for name in names], dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError("ranks need two rows and two tasks at the least, and a score of every row on every task")
    signed = table * np.asarray(signs if signs is not None else np.ones(table.shape[1]))
    placed = stats.rankdata(-signed, axis=0).mean(1)
    order = np.argsort(placed, kind="stable")
    ranks = {names[place]: float(placed[place]) for place in order}
    chi_square, f, p = friedman(list(ranks.values()), table.shape[1])
    critical = critical_difference(len(names), table.shape[1], level)
    return Ranking(ranks, table.shape[1], chi_square, f, p, critical, _groups(ranks, critical))


def friedman(average_ranks: Sequence[float], tasks: int) -> tuple[float, float, float]:
    """Friedman's chi square of average ranks, its F statistic, and that one's p value.

    p is not below (1 / k!)^(N - 1), which is how often all N tasks agree by chance on an order of k rows.
    """
    k = len(average_ranks)
    squares = float(np.sum(np.square(average_ranks)))
    chi_square = 12 * tasks / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    left = tasks * (k - 1) - chi_square
    f = (tasks - 1) * chi_square / left if left > 1e-9 else np.inf
    least = factorial(k) ** -(tasks - 1.0) if k <= 20 else 0.0
    return chi_square, float(f), max(float(stats.f.sf(f, k - 1, (k - 1) * (tasks - 1))), least)


def critical_difference(rows: int, tasks: int, level: float = 1 - LEVEL) -> float:
    """Nemenyi's: q sqrt(k (k + 1) / 6 N), q the studentised range's over the square root of two."""
    q = stats.studentized_range.ppf(1 - level, rows, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(rows * (rows + 1) / (6 * tasks)))


def _groups(ranks: Mapping[str, float], critical: float) -> tuple[tuple[str, ...], ...]:
    names, values = list(ranks), np.array(list(ranks.values()))
    ends = [int(np.sum(values - values[start] < critical)) for start in range(len(names))]
    return tuple(
        tuple(names[start:end])
        for start, end in enumerate(ends)
        if end - start > 1 and (start == 0 or end > ends[start - 1])
    )

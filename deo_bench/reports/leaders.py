"""Which cell of a column leads, and which comes second: only where it is better than every one below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deo_bench.reports.statistics import LEVEL, Measured, difference, holm, mean_over_seeds
from deo_bench.reports.table import Cell


@dataclass(frozen=True)
class _Claim:
    """That a row is above all below it in a column; p: the largest of its comparisons with them.

    The largest needs no correction for their number: the claim holds only if each of them does (intersection-union
    test: Berger, Technometrics 1982). Columns are corrected for.
    """

    label: str
    place: int
    rank: int
    p: float


@dataclass
class Leaders:
    """Collects a table's columns, then marks."""

    _claims: list[_Claim] = field(default_factory=list)
    _columns: int = 0

    def add(self, scores: Mapping[str, Sequence[Measured]], sign: int) -> None:
        """A column's scores by row; sign: 1 where more is better, -1 where less is."""
        means = {label: sign * mean_over_seeds(found).value for label, found in scores.items() if found}
        ranked = sorted(means, key=lambda label: -means[label])
        for rank, label in enumerate(ranked[: min(2, len(ranked) - 1)]):
            if rank and means[label] == means[ranked[0]]:
                continue  # of two that share the lead neither is second
            p = max(difference(scores[label], scores[other]).p for other in ranked[rank + 1 :])
            self._claims.append(_Claim(label, self._columns, rank, p))
        self._columns += 1

    def mark(self, rows: dict[str, list[Cell]]) -> None:
        """Mark what leads each column of `rows`, and what comes second to it, corrected over the columns."""
        led: set[int] = set()
        for rank in (0, 1):
            claims = [claim for claim in self._claims if claim.rank == rank]
            for claim, p in zip(claims, holm([claim.p for claim in claims]), strict=True):
                cells = rows[claim.label]
                if p < 1 - LEVEL and rank == 0:
                    cells[claim.place] = replace(cells[claim.place], is_best=True)
                    led.add(claim.place)
                elif p < 1 - LEVEL and claim.place in led:
                    cells[claim.place] = replace(cells[claim.place], is_second=True)

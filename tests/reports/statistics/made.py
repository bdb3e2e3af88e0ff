"""Scores made for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deo_bench.reports.statistics import Measured


def sure(values: Sequence[float], seeds: Sequence[int | None] | None = None) -> list[Measured]:
    """Scores that do not depend on the choice of test images."""
    places = range(len(values)) if seeds is None else seeds
    return [Measured(seed, value, np.full(50, value), 1000) for seed, value in zip(places, values, strict=True)]


def unsure(
    draws: np.random.Generator, values: Sequence[float], spread: float, seeds: Sequence[int | None] | None = None
) -> list[Measured]:
    """Scores that depend on the choice of test images: half in common to all seeds, half each by itself."""
    common = draws.normal(0, spread, 2000)
    places = range(len(values)) if seeds is None else seeds
    return [
        Measured(seed, value, value + common + draws.normal(0, spread, 2000), 500)
        for seed, value in zip(places, values, strict=True)
    ]

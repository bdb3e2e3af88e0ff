"""Percentile bootstrap intervals over test images, or over groups of images that are not independent."""

from __future__ import annotations

import numpy as np

from deo_bench.draws import numpy_generator
from deo_bench.errors import UserError
from deo_bench.probes.metrics import kind_of, measure

UNDEFINED = {
    "single": "predictions may not be numbers",
    "multi": "the images that are scored may hold no positive label",
    "regression": "the numbers that are scored may not vary, or predictions may be beyond all bounds",
    "segmentation": "the images that are scored may hold no pixel that counts, or none of the class asked for",
}
"""Why a metric may say nothing, by the kind of labels; *select* is scored by it too, in a sweep."""


def resamples(size: int, num: int, *stream: int | str, groups: np.ndarray | None = None) -> np.ndarray:
    """How often each of `size` images is in each of `num` resamples, [num, size] as float32.

    Images are drawn with replacement; with `groups` [size], whole groups are (patches of one place come and go
    together). The same words in `stream`, the same resamples: two predictions on them can be compared pair by pair.
    """
    if size == 0:
        raise UserError("the report split is empty; there is nothing to resample")
    generator = numpy_generator("bootstrap", *stream)
    if groups is None:
        return _counts(generator, size, num)
    if len(groups) != size:
        raise UserError(f"{len(groups)} group ids for {size} images; there must be one an image")
    unique, places = np.unique(groups, return_inverse=True)
    return _counts(generator, len(unique), num)[:, places]


def interval(
    metric: str,
    truth: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    weights: np.ndarray,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a metric over resamples `weights` [R, N]: (low, high).

    Resamples on which the metric is undefined (no positive label among them) are left out.
    """
    return percentiles(measure(metric, truth, scores, labels, weights), level, kind_of(truth, scores))


def percentiles(values: np.ndarray, level: float = 0.95, kind: str = "multi") -> tuple[float, float]:
    """The central `level` of values [R]: 2.5 and 97.5 % for 0.95. kind: of labels, to say why there is none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        raise UserError(f"the metric is undefined on every resample; {UNDEFINED[kind]}")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _counts(generator: np.random.Generator, size: int, num: int) -> np.ndarray:
    counts = np.empty((num, size), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(size, size=size), minlength=size)
    return counts

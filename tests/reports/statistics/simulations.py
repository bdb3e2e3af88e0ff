"""What the statistics promise, simulated from single test images on: `python -m tests.reports.statistics.simulations`.

Every run is right or wrong on every image. Behind it stands a normal variable: how hard the image is for all cells, for
this cell, for this run, plus the run's own ability; so true accuracies and the parts of the variance are known exactly.
Scores go through the public functions as `Measured`, their replicates from images drawn with replacement.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from deo_bench.reports.statistics import Measured, difference, holm, mean_over_seeds, power

IMAGES, RESAMPLES = 250, 200
ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """The variance of a mean over images, times the images, of one run.

    inside: the covariance of two runs of one cell on an image; across: that of two runs of two cells; own: what a run's
    ability adds. The remainder, .25 - inside, is how each run fares on each image by itself. images: test images.
    """

    inside: float
    across: float
    own: float
    images: int = IMAGES

    def seed_variance(self) -> float:
        """Of one run's accuracy, about its cell's."""
        return (0.25 - self.inside + self.own) / self.images

    def ability(self) -> float:
        """The variance of a run's ability, in units of the normal variable."""
        # the accuracy's variance is P(two images right) - .25 = asin(t / (1 + t)) / 2 pi
        ratio = math.sin(2 * math.pi * self.own / self.images)
        return ratio / (1 - ratio)

    def correct(self, draws: np.random.Generator, cells: int, seeds: int, truths: Sequence[float]) -> np.ndarray:
        """Whether each run is right on each image [cells, seeds, images], given the cells' true accuracies."""
        alike, shared = (math.sin(2 * math.pi * part) for part in (self.inside, self.across))
        behind = draws.standard_normal((cells, seeds, self.images), dtype=np.float32) * math.sqrt(1 - alike)
        behind += draws.standard_normal((cells, 1, self.images), dtype=np.float32) * math.sqrt(max(alike - shared, 0))
        behind += draws.standard_normal((1, 1, self.images), dtype=np.float32) * math.sqrt(shared)
        behind += draws.normal(0, math.sqrt(self.ability()), (cells, seeds, 1)).astype(np.float32)
        shift = stats.norm.ppf(truths) * math.sqrt(1 + self.ability())
        return behind + shift[:, None, None].astype(np.float32) > 0


def of_share(share: float, seeds: int, across: float = 0.0) -> World:
    """The world in which seeds make that share of the variance of a mean over seeds, half of it by ability.

    across: of two cells' images' part; above zero the share is that of a paired difference.
    """
    inside = 0.5 / (seeds * share / (1 - share) * (1 - across) + 2)
    return World(inside, across * inside, 0.25 - inside)


def measured(draws: np.random.Generator, correct: np.ndarray, paired: bool) -> list[list[Measured]]:
    """The scores of each cell, all on the same resamples; not paired: no two cells have a seed in common."""
    cells, seeds, images = correct.shape
    picks = draws.integers(0, images, (RESAMPLES, images)) + np.arange(RESAMPLES)[:, None] * images
    counts = np.bincount(picks.ravel(), minlength=RESAMPLES * images).reshape(RESAMPLES, images)
    replicates = correct.astype(np.float32) @ counts.T.astype(np.float32) / images
    values = correct.mean(2)
    return [
        [Measured(s if paired else c * seeds + s, float(values[c, s]), replicates[c, s], images) for s in range(seeds)]
        for c in range(cells)
    ]


def coverage_of_a_mean(seeds: int, share: float, repeats: int) -> float:
    """How often the interval of a mean holds the true accuracy."""
    draws, world, hits = np.random.default_rng([1, seeds, int(10 * share)]), of_share(share, seeds), 0
    for _ in range(repeats):
        found = mean_over_seeds(measured(draws, world.correct(draws, 1, seeds, [0.5]), True)[0])
        hits += found.low <= 0.5 <= found.high
    return hits / repeats


def coverage_of_a_difference(seeds: int, share: float, repeats: int) -> float:
    """How often the interval of a paired difference holds the true one, 2 points."""
    draws, world, hits = np.random.default_rng([2, seeds, int(10 * share)]), of_share(share, seeds, across=0.5), 0
    for _ in range(repeats):
        ours, others = measured(draws, world.correct(draws, 2, seeds, [0.51, 0.49]), True)
        found = difference(ours, others)
        hits += found.low <= 0.02 <= found.high
    return hits / repeats


def false_alarms(
    names: int, seeds: int, tasks: int, repeats: int, paired: bool = False, able: float = 0.15, images: int = IMAGES
) -> tuple[float, float]:
    """One recipe under many names: how often any difference to the first is found, and how often any name is best.

    Disjoint seeds; differences corrected over all names and tasks, the best over tasks. paired: common seeds, and
    recipes that differ from image to image but not on the whole. able: what runs' ability adds to the variance (see
    World.own); with none, recipes are the same on every image, too: paired seeds then tie most often.
    """
    draws, across = np.random.default_rng([3, names, seeds, tasks]), 0.05 if paired and able else 0.1
    world = World(0.1, across, able, images)
    found = np.zeros(2)
    for _ in range(repeats):
        grids = [measured(draws, world.correct(draws, names, seeds, [0.5] * names), paired) for _ in range(tasks)]
        of_rows = [difference(row, grid[0]).p for grid in grids for row in grid[1:]]
        found += [(holm(of_rows) < ALPHA).any(), (holm([_lead(grid) for grid in grids]) < ALPHA).any()]
    return float(found[0] / repeats), float(found[1] / repeats)


def _lead(grid: Sequence[Sequence[Measured]]) -> float:
    """The largest p of the best cell against every other; the first that is no longer small will do."""
    ranked = sorted(grid, key=lambda scores: -mean_over_seeds(scores).value)
    largest = 0.0
    for other in ranked[1:]:
        largest = max(largest, difference(ranked[0], other).p)
        if largest >= ALPHA:
            break
    return largest


def planted(errors: float, seeds: int, among: int, repeats: int, share: float = 0.5) -> tuple[float, float]:
    """How often a difference of so many standard errors is found among corrected ones, and how often it should be.

    All the others are differences of nothing, to the same baseline.
    """
    world = of_share(share, seeds, across=0.5)
    seed_sd = math.sqrt(2 * world.seed_variance())
    images = 2 * (world.inside - world.across) / IMAGES
    size = errors * math.sqrt(seed_sd**2 / seeds + images)
    draws, hits = np.random.default_rng([4, seeds, among, int(10 * errors)]), 0
    # about one half, where a run's variance hardly depends on its accuracy
    truths = [0.5 - size / 2, 0.5 + size / 2, *[0.5 - size / 2] * (among - 1)]
    for _ in range(repeats):
        rows = measured(draws, world.correct(draws, among + 1, seeds, truths), True)
        hits += holm([difference(row, rows[0]).p for row in rows[1:]])[0] < ALPHA
    return hits / repeats, power(size, seed_sd, images, seeds, ALPHA / among, 2 * (0.25 - world.inside) / IMAGES)


def _told(value: float, repeats: int) -> str:
    return f"{100 * value:6.2f} % ±{196 * math.sqrt(max(value * (1 - value), 1 / repeats) / repeats):.2f}"


def main(repeats: int = 4000) -> None:
    """Print a table of everything."""
    for names, seeds, tasks in [(20, 3, 1), (20, 5, 1), (20, 3, 4), (20, 5, 4)]:
        rows, best = false_alarms(names, seeds, tasks, repeats)
        told = f"A/A, {names} names, {seeds} seeds, {tasks} tasks: any difference {_told(rows, repeats)}"
        print(f"{told}, any best {_told(best, repeats)}", flush=True)  # noqa: T201
    rows, best = false_alarms(20, 3, 4, repeats, paired=True)
    print(f"A/A, the same, 3 paired seeds: any difference {_told(rows, repeats)}, any best {_told(best, repeats)}")  # noqa: T201
    for seeds, images in [(2, 100), (2, 1000)]:
        rows, best = false_alarms(20, seeds, 1, repeats, paired=True, able=0.0, images=images)
        told = f"A/A, {seeds} paired seeds, {images} images, no ability: any difference {_told(rows, repeats)}"
        print(f"{told}, any best {_told(best, repeats)}", flush=True)  # noqa: T201
    for errors, seeds, among in [
        (4.5, 2, 1),
        (4.5, 3, 1),
        (3.0, 20, 1),
        (3.5, 10, 5),
        (4.0, 10, 19),
        (4.5, 10, 76),
        (4.5, 20, 76),
    ]:
        found, known = planted(errors, seeds, among, repeats)
        told = f"planted {errors} errors, {seeds} seeds, among {among}: {_told(found, repeats)}"
        print(f"{told}, computed {100 * known:.2f} %", flush=True)  # noqa: T201
    for seeds in (2, 3, 5, 10):
        for share in (0.1, 0.5, 0.9):
            mean, apart = coverage_of_a_mean(seeds, share, repeats), coverage_of_a_difference(seeds, share, repeats)
            told = f"coverage, {seeds} seeds, share {share}: mean {_told(mean, repeats)}"
            print(f"{told}, paired difference {_told(apart, repeats)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    with threadpool_limits(1):
        main(*map(int, sys.argv[1:]))

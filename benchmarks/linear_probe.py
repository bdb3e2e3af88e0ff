"""The linear probe's path over 40 C: ours against scikit-learn's loop over C, at an equal objective, one ratio."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from deo_bench.probes.logistic import solve_path

CLOSE, LOOSE = 1e-6, 1e-3
"""How far two objectives may be apart, relatively, for C up to 100 and above."""


def made(rows: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [rows, width] as a backbone gives them, and labels that no classifier separates.

    The spectrum falls as 1 / rank, in axes of a random rotation, with a mean that is no smaller than the spread.
    Labels are drawn from a softmax of the axes' standardised values, the first of which say most; a tenth is drawn
    anew, whatever the features: the best classifier errs too.
    """
    draws = np.random.default_rng(seed)
    rank = np.arange(1, width + 1)
    latent = draws.standard_normal((rows, width), dtype=np.float32)
    teacher = draws.standard_normal((width, classes)) * 2 / rank[:, None] ** 0.75
    labels = (latent @ teacher + draws.gumbel(size=(rows, classes))).argmax(1)
    labels = np.where(draws.random(rows) < 0.1, draws.integers(0, classes, rows), labels)
    spread = np.sqrt(width / rank / (1 / rank).sum())
    rotation = np.linalg.qr(draws.standard_normal((width, width)))[0]
    features = (latent * spread) @ rotation + draws.standard_normal(width)
    return features.astype(np.float32), labels


def objective(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, c: float) -> float:
    """mean CE + sum W^2 / (2 C n) in float64, whoever solved it."""
    total = 0.0
    for at in range(0, len(x), 4096):
        logits = x[at : at + 4096].astype(np.float64) @ weight + bias
        top = logits.max(1)
        total += (np.log(np.exp(logits - top[:, None]).sum(1)) + top).sum()
        total -= logits[np.arange(len(logits)), y[at : at + 4096]].sum()
    return float(total / len(x) + (weight.astype(np.float64) ** 2).sum() / (2 * c * len(x)))


@dataclass
class Tally:
    """What a contender reached at each C, and what it took: seconds on the clock and of the processor."""

    reached: list[float] = field(default_factory=list)
    wall: float = 0.0
    busy: float = 0.0
    passes: int = 0

    def add(self, began: tuple[float, float]) -> None:
        """Count what passed since."""
        self.wall += time.perf_counter() - began[0]
        self.busy += time.process_time() - began[1]


def now() -> tuple[float, float]:
    """The clock, and the processor's."""
    return time.perf_counter(), time.process_time()


def ours(x: np.ndarray, y: np.ndarray, classes: int, grid: list[float], told: Callable[[str], None]) -> Tally:
    """`solve_path`, its preparation included."""
    tally = Tally()
    path, began = solve_path(x, y, classes, grid), now()
    for c in grid:
        weights = next(path)
        tally.add(began)
        tally.passes += weights.passes
        tally.reached.append(objective(weights.weight.double().numpy(), weights.bias.double().numpy(), x, y, c))
        told(f"ours: C {c:.3g}, objective {tally.reached[-1]:.8f}, {weights.passes} passes, {tally.wall:.1f} s so far")
        began = now()
    return tally


def theirs(
    x: np.ndarray, y: np.ndarray, grid: list[float], goal: Tally, warm: bool, most: float, told: Callable[[str], None]
) -> Tally:
    """scikit-learn, one C after another, each with the loosest power of ten as tolerance that reaches the goal.

    Only the fit with that tolerance is counted, as if it had been known; never looser than 1e-4, the default.
    warm: each C starts at the solution of the one before. It ends early once it has taken `most` times the processor
    time of what it is compared with.
    """
    tally, first, was_near, last = Tally(), 1e-4, CLOSE, None
    for c, aim in zip(grid, goal.reached, strict=True):
        if tally.busy > most * goal.busy:
            told(f"ended: more than {most} times ours")
            break
        near = CLOSE if c <= 100 else LOOSE
        first, was_near = first if near == was_near else 1e-4, near
        for tolerance in _tighter(first):
            model = LogisticRegression(C=c, tol=tolerance, max_iter=100_000, warm_start=warm)
            if warm and last is not None:
                model.coef_, model.intercept_, model.classes_ = (each.copy() for each in last)
            began = now()
            model.fit(x, y)
            taken = Tally()
            taken.add(began)
            reached = objective(model.coef_.T, model.intercept_, x, y, c)
            if reached <= aim * (1 + near):
                break
        first = tolerance
        last = model.coef_, model.intercept_, model.classes_
        tally.wall, tally.busy = tally.wall + taken.wall, tally.busy + taken.busy
        tally.passes += int(model.n_iter_[0])
        tally.reached.append(reached)
        told(
            f"scikit-learn{' warm' if warm else ''}: C {c:.3g}, objective {reached:.8f}, tol {tolerance:.0e}, "
            f"{model.n_iter_[0]} iterations, {taken.wall:.1f} s"
        )
    return tally


def _tighter(tolerance: float) -> Iterator[float]:
    while tolerance > 1e-12:
        yield tolerance
        tolerance /= 10


def compared(name: str, mine: Tally, other: Tally, grid: list[float]) -> str:
    """Times, their ratio, and how far apart the objectives are at the most."""
    done = len(other.reached)
    apart = [(b - a) / a for a, b in zip(mine.reached, other.reached, strict=False)]
    close = [each for c, each in zip(grid, apart, strict=False) if c <= 100]
    loose = [each for c, each in zip(grid, apart, strict=False) if c > 100]
    told = f"{min(close):+.1e} to {max(close):+.1e}" + (f", {min(loose):+.1e} to {max(loose):+.1e}" if loose else "")
    equal = all(abs(each) <= CLOSE for each in close) and all(abs(each) <= LOOSE for each in loose)
    return (
        f"ours {mine.wall:.1f} s ({mine.busy:.1f} s of processor, {mine.passes} passes), {name} {other.wall:.1f} s "
        f"({other.busy:.1f} s, {other.passes} iterations, {done} of {len(grid)} C), "
        f"ratio {'' if done == len(grid) else 'at least '}{other.wall / mine.wall:.2f} "
        f"({other.busy / mine.busy:.2f} of processor); its objective less ours, relative, for C <= 100 and above: "
        f"{told}: {'equal' if equal else 'NOT equal'}"
    )


def main() -> None:
    """Measure, and print the evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--num-c", type=int, default=40)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--single", action="store_true", help="float32 for scikit-learn too, which then may not get there"
    )
    parser.add_argument("--at-most", type=float, default=10.0, help="end a peer that takes so many times ours")
    parser.add_argument("--peers", nargs="*", default=["cold", "warm"], choices=["cold", "warm"])
    parser.add_argument("--quiet", action="store_true", help="the last lines alone")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(given.threads)
    x, y = made(given.rows, given.width, given.classes)
    grid = np.logspace(-6, 4, given.num_c).tolist()
    told = (lambda line: None) if given.quiet else (lambda line: print(line, flush=True))
    with threadpool_limits(given.threads):
        mine = ours(x, y, given.classes, grid, told)
        for peer in given.peers:
            wide = x if given.single else x.astype(np.float64)
            other = theirs(wide, y, grid, mine, peer == "warm", given.at_most, told)
            print(compared(f"scikit-learn's loop ({peer} start)", mine, other, grid), flush=True)
    print(
        f"(once; {given.rows} x {given.width}, {given.classes} classes, {given.num_c} C; cpu, {given.threads} threads, "
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, float{32 if given.single else 64} there)"
    )


if __name__ == "__main__":
    main()

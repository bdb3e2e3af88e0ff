"""Made-up studies of a sweep: what a report may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deo_bench.reports.searched import Aim, Axis, Finalist, Searched, Tried

KNN = Aim("cover knn5_l2", "max", True, ("cover",), "knn5_l2")
PARAMETERS = Aim("parameters", "min", False)
TOLD = ("sampler TPE (seed 0)", "pruner median", "budget 2,000 steps a trial", "trial's seed 1000")

WEIGHT = Axis("objective.compress.weight", "compress.weight", True, 0.1, 3.0)
EPS = Axis("objective.expand.eps", "expand.eps", True, 0.01, 1.0)
BATCH = Axis("train.batch", "batch", False, 16, 64)
LOSS = Axis("objective.optical.loss", "optical", choices=("cosine", "smooth_l1"))
BETA = Axis("objective.optical.beta", "beta", False, 0.1, 2.0)
HIDDEN = Axis("heads.views.hidden", "hidden", True, 64, 256)
TEACHERS = ("tiny_optical", "dinov3_vitb16", "clip_vitb16_openai", "none")
SPACE = (WEIGHT, EPS, BATCH, LOSS, BETA, HIDDEN)
DEFAULT: dict[str, Any] = {
    WEIGHT.path: 1.0, EPS.path: 0.05, BATCH.path: 32, LOSS.path: "cosine", HIDDEN.path: 128,
}  # fmt: skip


def settings(draws: np.random.Generator) -> dict[str, Any]:
    """A point of the space; beta is in force where the loss has one."""
    loss = LOSS.choices[int(draws.integers(2))]
    made = {
        WEIGHT.path: float(np.exp(draws.uniform(np.log(0.1), np.log(3.0)))),
        EPS.path: float(np.exp(draws.uniform(np.log(0.01), np.log(1.0)))),
        BATCH.path: int(16 * draws.integers(1, 5)),
        LOSS.path: loss,
        HIDDEN.path: int(2 ** draws.integers(6, 9)),
    }
    return made | ({BETA.path: float(draws.uniform(0.1, 2.0))} if loss == "smooth_l1" else {})


def value(point: dict[str, Any], draws: np.random.Generator) -> float:
    """Weight matters most, near 0.6; eps a little; the rest not."""
    weight, eps = np.log(point[WEIGHT.path] / 0.6), np.log(point[EPS.path] / 0.2)
    return float(0.63 - 0.03 * weight**2 - 0.004 * eps**2 + draws.normal(0, 0.008))


def trials(count: int, seed: int = 0, has_pruning: bool = True) -> list[Tried]:
    """The default, then others; every fifth pruned and every thirteenth failed."""
    draws = np.random.default_rng(seed)
    made = []
    for number in range(count):
        point = dict(DEFAULT) if number == 0 else settings(draws)
        reached = value(point, draws)
        along = {share / 10: reached - 0.25 * (1 - share / 10) ** 2 for share in range(1, 11)}
        one = Tried(number, "complete", (reached,), point, f"{number:012x}-s1000", along, number == 0, number == 3)
        if has_pruning and number % 5 == 4:
            stopped = {share: each for share, each in along.items() if share <= 0.4}
            one = replace(one, state="pruned", values=(None,), measured=stopped)
        elif has_pruning and number % 13 == 6:
            one = replace(one, state="failed", values=(None,), measured={})
        made.append(one)
    return made


def finalists(
    made: Sequence[Tried], most: int = 3, prefix: str = "", seeds: Sequence[int] = (0, 1, 2)
) -> list[Finalist]:
    """The default and the best, whose luck is gone with fresh seeds."""
    done = [trial for trial in made if trial.state == "complete"]
    best = sorted(done, key=lambda trial: -float(trial.values[0] or 0))[:most]
    draws = np.random.default_rng(len(made))

    def fresh(trial: Tried) -> tuple[dict[int, float], ...]:
        lucky = 0.0 if trial.is_default else 0.012
        return tuple(
            {seed: float(each or 0) - lucky + float(draws.normal(0, 0.004)) for seed in seeds} for each in trial.values
        )

    told = [Finalist(f"{prefix}trial {trial.number}", trial.number, trial.values, fresh(trial)) for trial in best]
    default = [trial for trial in done if trial.is_default]
    return [*(Finalist(f"{prefix}default", None, trial.values, fresh(trial)) for trial in default), *told]


def study(count: int = 40, cell: str = "", has_finalists: bool = True, **fields: Any) -> Searched:
    """A study that is over: one aim, six paths."""
    made = fields.pop("made", None) or trials(count, fields.pop("seed", 0))
    prefix = f"{cell}, " if cell else ""
    final = finalists(made, prefix=prefix) if has_finalists else []
    told: dict[str, Any] = {
        "cell": cell, "study": f"loss-weights {cell} 0a1b2c3d", "aims": (KNN,), "axes": SPACE, "trials": tuple(made),
        "finalists": tuple(final), "wanted": count, "told": TOLD,
    }  # fmt: skip
    return Searched(**told | fields)


def two_aims(count: int = 30) -> Searched:
    """Score against parameters, which grow with the width; nothing is pruned."""
    made = [
        replace(
            trial, values=(trial.values[0], 4.1e5 + 900.0 * trial.settings[HIDDEN.path] + 3000 * (trial.number % 7))
        )
        for trial in trials(count, 3, has_pruning=False)
    ]
    made[-3] = replace(made[-3], state="failed", values=(None, None))
    final = [
        replace(one, fresh=(one.fresh[0], dict.fromkeys(one.fresh[1], float(one.searched[1] or 0))))
        for one in finalists(made)
    ]
    return study(count, made=made, aims=(KNN, PARAMETERS), finalists=tuple(final))


def wide(count: int = 60, paths: int = 15) -> Searched:
    """More paths than a figure holds; the last one matters."""
    draws = np.random.default_rng(9)
    axes = tuple(
        Axis(f"objective.term_{place}.weight", f"term_{place}.weight", place % 2 == 0, 0.01, 10.0)
        for place in range(paths)
    )
    made = []
    for number in range(count):
        point = {
            axis.path: float(
                np.exp(draws.uniform(np.log(0.01), np.log(10.0))) if axis.is_log else draws.uniform(0.01, 10)
            )
            for axis in axes
        }
        reached = 0.5 - 0.02 * np.log(point[axes[-1].path]) ** 2 + draws.normal(0, 0.01)
        made.append(Tried(number, "complete", (float(reached),), point, f"{number:012x}-s1000", {}, number == 0))
    return study(count, made=made, axes=axes)


def categories() -> Searched:
    """A space of choices alone, some of them tables."""
    axes = (
        LOSS,
        Axis("objective.optical.on", "on", choices=('["early"]', '["mid", "late"]', '["early", "mid", "late"]')),
        Axis("teachers.optical.use", "teachers.optical", choices=TEACHERS),
    )
    draws = np.random.default_rng(4)
    ons: list[list[str]] = [["early"], ["mid", "late"], ["early", "mid", "late"]]
    made = []
    for number in range(24):
        point = {
            axes[0].path: axes[0].choices[int(draws.integers(2))],
            axes[1].path: ons[int(draws.integers(3))],
            axes[2].path: axes[2].choices[int(draws.integers(4))],
        }
        reached = 0.5 + 0.05 * (point[axes[2].path] == "dinov3_vitb16") + float(draws.normal(0, 0.01))
        made.append(Tried(number, "complete", (reached,), point, f"{number:012x}-s1000", {}, number == 0))
    return study(24, made=made, axes=axes)

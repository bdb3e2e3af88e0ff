"""Fine-tuning: how far a backbone gets when it may be trained on the task itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.draws import numpy_generator
from deo_bench.errors import UserError
from deo_bench.probes import Prediction, probe
from deo_bench.probes._map_predictor import MapPredictor
from deo_bench.probes._training import Best, Diverged, Loop, Predictor, Rates, Target, Trained, decayed_groups
from deo_bench.probes.dense import MapTuner, Sources
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.schedules import Schedule


@dataclass(frozen=True)
class Setting:
    """What a trial draws: the learning rates of backbone and linear layer, the batch, the weight decay."""

    learning_rate: float
    head_learning_rate: float
    batch: int
    weight_decay: float


@dataclass(frozen=True)
class Attempt:
    """What one trial trains, with the roles as it takes them, and how many images *fit* has."""

    trained: Any
    fit: Any
    select: Any
    report: Any
    size: int


@probe(
    "finetune",
    needs="backbone",
    kinds=["single", "multi", "regression", "segmentation", "change"],
    paper="https://arxiv.org/abs/2306.03831",
)
class Finetune(MapTuner):
    """A copy of the backbone and a head trained on *fit* from its weights; the best state on *select* predicts.

    The head is a linear layer on the pooled vector; of labels a pixel it is `decoder` on `levels` of maps (these,
    `neck` and `combine` as of the probe `segmentation`). `frozen` trains the head alone. AdamW or Adam, for `epochs`
    or, where given, `steps`; a linear warm-up over the share `warmup`, then a cosine, a constant, or `plateau`: a tenth
    after `wait` looks at *select* without gain. There are `looks` an epoch, and training stops after `patience` without
    gain. The norm of all gradients together is clipped to 1. `head_learning_rate`, none: the backbone's. `balanced`: of
    zeros and ones, the mean loss of what is there plus that of what is not (GEO-Bench v1).

    `trials` above 1 is a random search: each trial draws its rates and its decay log-uniformly from `rates`,
    `head_rates` and `decays`, its batch from `batches`, where these are given; the head starts alike. The trial that is
    best on *select* is kept, and `chosen` tells all. (GEO-Bench v1 and 2: 16.) Every draw is a function of the seed
    handed in, and an evaluation hands in 0, whatever the run's: what a trial draws is the same for all that is ever
    evaluated, and so are, of as many images and features as wide, their order and the head's start.
    """

    def __init__(
        self,
        *,
        frozen: bool = False,
        optimiser: Literal["adamw", "adam"] = "adamw",
        learning_rate: Positive = 1e-4,
        head_learning_rate: Positive | None = 1e-3,
        weight_decay: NonNegative = 0.05,
        batch: Count = 32,
        epochs: Count = 50,
        steps: Count | None = None,
        schedule: Literal["cosine", "constant", "plateau"] = "cosine",
        warmup: Fraction = 0.1,
        wait: Count = 5,
        looks: Count = 1,
        patience: Count = 10,
        flips: bool = True,
        shift: Fraction = 0.0,
        balanced: bool = False,
        decoder: Literal["linear", "conv", "fpn", "upernet", "dpt"] = "upernet",
        levels: Count | list[str] = 4,
        neck: bool = True,
        combine: Literal["difference", "concat"] = "difference",
        trials: Count = 1,
        rates: tuple[Positive, Positive] | None = (1e-6, 1e-3),
        head_rates: tuple[Positive, Positive] | None = None,
        decays: tuple[Positive, Positive] | None = None,
        batches: tuple[Count, ...] | None = (8, 16, 32),
    ) -> None:
        for name, ends in (("rates", rates), ("head_rates", head_rates), ("decays", decays)):
            if ends is not None and ends[0] > ends[1]:
                raise UserError(f"finetune: {name} = {list(ends)} must be a lowest and a highest value")
        if batches is not None and not batches:
            raise UserError("finetune: batches = [] must hold a value")
        self.frozen, self.optimiser, self.balanced = frozen, optimiser, balanced
        self.given = Setting(learning_rate, head_learning_rate or learning_rate, batch, weight_decay)
        self.shares_rate = head_learning_rate is None
        self.epochs, self.steps, self.schedule, self.warmup, self.wait = epochs, steps, schedule, warmup, wait
        self.looks, self.patience, self.flips, self.shift = looks, patience, flips, shift
        self.levels = levels if isinstance(levels, int) else tuple(levels)
        self.decoder: dict[str, Any] = {"head": decoder, "hidden": None, "neck": neck, "combine": combine}
        self.trials, self.rates, self.head_rates = trials, rates, head_rates
        self.decays, self.batches = decays, batches

    def predict_images(
        self,
        backbone: Backbone,
        fit: LabelledImages,
        select: LabelledImages,
        report: ImageSource,
        num_classes: int,
        sees: str | None = None,
        seed: int = 0,
        normalise: Normalise = "native",
    ) -> Prediction:
        """Train a copy of `backbone` and predict probabilities [N, K] of the report images, or numbers [N, 1].

        `num_classes` = 0 means numbers. `chosen` holds the setting, its value on *select* (accuracy, micro-mAP or R2;
        none where there is no positive label, or numbers do not vary: then the loss there chose) and its best step;
        `on_edge` is true where that is the last one allowed.
        """
        target = Target.of(fit, select, num_classes)

        def start() -> Attempt:
            given = (copy.deepcopy(backbone), target, sees, normalise, (seed, "finetune"), self.flips, self.shift)
            return Attempt(Predictor(*given, self.frozen, self.balanced), fit, select, report, len(fit.labels))

        kept, chosen = self._searched(start, seed)
        scores = kept.trained.probabilities(report)
        return Prediction(scores, scores.argmax(1) if target.kind == "single" else None, chosen)

    def predict_tuned(
        self, backbone: Backbone, sources: Sources, num_classes: int, ignore: int | None, seed: int
    ) -> tuple[Iterator[np.ndarray], dict[str, Any]]:
        """Train a copy of `backbone` with a decoder; classes [b, H, W] of the report images, and `chosen` as above.

        The value on *select* is mIoU. `shift` and `balanced` play no part.
        """

        def start() -> Attempt:
            copied = copy.deepcopy(backbone)
            fit, select, report = sources(copied, self.levels, self.flips)
            given = (copied, fit, num_classes, ignore, (seed, "finetune"), self.frozen)
            return Attempt(MapPredictor(*given, **self.decoder), fit, select, report, len(fit))

        kept, chosen = self._searched(start, seed)
        trained = kept.trained.eval()
        return kept.report.predicted(trained.head.logits), chosen

    def _searched(self, start: Callable[[], Attempt], seed: int) -> tuple[Attempt, dict[str, Any]]:
        """The best attempt of all trials on *select*, in its best state, and what is told of it."""
        told: list[dict[str, Any]] = []
        kept: tuple[Best, int, dict[str, Any], Attempt] | None = None
        for trial in range(self.trials):
            setting, attempt = self.setting(seed, trial), start()
            try:
                best, steps = self._trained(attempt, setting, seed)
            except Diverged:
                if self.trials == 1:
                    raise
                told.append({**asdict(setting), "value": None, "step": None})
                continue
            told.append({**asdict(setting), "value": best.told, "step": best.step})
            if kept is None or best.is_above(kept[0]):
                kept = best, steps, told[-1], attempt
        if kept is None:
            raise UserError(f"probe 'finetune': the loss of all {self.trials} trials is not finite; lower rates")
        best, steps, chosen, attempt = kept
        more = {"trials": told} if self.trials > 1 else {}
        return attempt, {**chosen, **more, "on_edge": best.step == steps}

    def setting(self, seed: int, trial: int) -> Setting:
        """What a trial is trained with; the same seed and number, the same setting."""
        if self.trials == 1:
            return self.given
        generator = numpy_generator("finetune", seed, "trial", trial)
        rate = _drawn(generator, self.rates, self.given.learning_rate)
        head = _drawn(generator, self.head_rates, rate if self.shares_rate else self.given.head_learning_rate)
        decay = _drawn(generator, self.decays, self.given.weight_decay)
        batch = self.given.batch if self.batches is None else int(generator.choice(self.batches))
        return Setting(rate, head, batch, decay)

    def _trained(self, attempt: Attempt, setting: Setting, seed: int) -> tuple[Best, int]:
        """The best state, in which what is trained is left, and how many steps were allowed."""
        trained, size = attempt.trained, attempt.size
        for parameter in trained.backbone.parameters():
            parameter.requires_grad_(not self.frozen)
        if not (self.frozen or trained.eval().first_features(attempt.fit).requires_grad):
            name = type(trained.backbone).__name__
            raise UserError(f"probe 'finetune': {name} has nothing that can be trained; say frozen = true")
        batch = min(setting.batch, size)
        steps = self.steps or -(-self.epochs * size // batch)
        shape: Literal["cosine", "constant"] = "cosine" if self.schedule == "cosine" else "constant"
        rates = [setting.learning_rate, setting.learning_rate, *[setting.head_learning_rate] * 2]
        schedules = [Schedule(start=rate, end=0.0, shape=shape, warmup=int(self.warmup * steps)) for rate in rates]
        look_every = max(round(size / batch / self.looks), 1)
        loop = Loop("finetune", steps, size, batch, (seed, "finetune"), look_every, self.patience)
        plateau = self.wait if self.schedule == "plateau" else None
        optimiser = self._optimiser(trained, setting)
        best = loop.best(trained, attempt.fit, attempt.select, optimiser, Rates(schedules, steps, plateau))
        return best, steps

    def _optimiser(self, trained: Trained, setting: Setting) -> torch.optim.Optimizer:
        """Four groups: matrices and vectors of the backbone, then of the head."""
        parts = (trained.backbone, trained.head)
        groups = [group for part in parts for group in decayed_groups(part, setting.weight_decay)]
        if self.optimiser == "adamw":
            return torch.optim.AdamW(groups, lr=setting.learning_rate)
        return torch.optim.Adam(groups, lr=setting.learning_rate)


def _drawn(generator: np.random.Generator, ends: tuple[float, float] | None, fixed: float) -> float:
    """A log-uniform number of four digits between two ends, or the fixed one; either way one draw."""
    share = generator.random()
    if ends is None:
        return fixed
    return float(f"{np.exp(np.log(ends[0]) + share * np.log(ends[1] / ends[0])):.4g}")

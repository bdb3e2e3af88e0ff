"""The supervised reference: what a student reaches that sees the labels from the start."""

from __future__ import annotations

import numpy as np
import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes._training import Best as _Best  # noqa: F401
from deo_bench.probes._training import Loop, Predictor, Rates, Stream, Target, augmented, decayed_groups
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.schedules import Schedule


@probe("supervised", needs="images")
class Supervised(Probe):
    """A fresh student and a linear layer trained on *fit* end to end; its best state on *select* predicts.

    AdamW with a linear warm-up over the first tenth and a cosine; random flips and shifts (`shift`: the largest, as
    a share of the side). Training stops once `patience` looks at *select*, one every `look_every` steps, have found
    nothing better.
    """

    def __init__(
        self,
        *,
        steps: Count = 600,
        batch: Count = 16,
        learning_rate: Positive = 2e-3,
        weight_decay: NonNegative = 0.05,
        look_every: Count = 60,
        patience: Count = 8,
        flips: bool = True,
        shift: Fraction = 0.125,
    ) -> None:
        self.steps, self.batch = steps, batch
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.look_every, self.patience = look_every, patience
        self.flips, self.shift = flips, shift

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Not of features: use `predict_images`."""
        raise UserError("probe 'supervised' trains on images, not on a backbone's features")

    def predict_images(
        self,
        student: Backbone,
        fit: LabelledImages,
        select: LabelledImages,
        report: ImageSource,
        num_classes: int,
        sees: str | None = None,
        seed: int = 0,
        normalise: Normalise = "native",
    ) -> Prediction:
        """Train `student` (in place, from its present weights) and predict probabilities of the report images.

        `chosen` holds the step that was best on *select*; `on_edge` is true where it is the last one allowed.
        """
        stream: Stream = (seed, "supervised")
        target = Target.of(fit, select, num_classes)
        classifier = Predictor(student, target, sees, normalise, stream, self.flips, self.shift)
        optimiser = torch.optim.AdamW(decayed_groups(classifier, self.weight_decay), lr=self.learning_rate)
        rate = Schedule(start=self.learning_rate, end=0.0, warmup=self.steps // 10)
        loop = Loop("supervised", self.steps, len(fit.labels), self.batch, stream, self.look_every, self.patience)
        best = loop.best(classifier, fit, select, optimiser, Rates([rate, rate], self.steps))
        scores = classifier.probabilities(report)
        labels = scores.argmax(1) if fit.labels.ndim == 1 else None
        return Prediction(scores, labels, {"step": best.step, "on_edge": best.step == self.steps})

    def _augment(self, images: Images, generator: torch.Generator) -> Images:
        return augmented(images, self.flips, self.shift, generator)

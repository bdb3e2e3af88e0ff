"""The supervised reference: what a student reaches that sees the labels from the start."""

from __future__ import annotations

import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.probes import Prediction, probe
from deo_bench.probes._training import Loop, Predictor, Rates, Stream, Target, decayed_groups
from deo_bench.probes.images import ImageProbe, ImageSource, LabelledImages
from deo_bench.schedules import Schedule


@probe("supervised", needs="images")
class Supervised(ImageProbe):
    """A fresh student and a linear layer trained on *fit* end to end; its best state on *select* predicts.

    AdamW with a linear warm-up over the first tenth and a cosine; the norm of all gradients together is clipped to 1;
    random flips and shifts (`shift`: the largest, as a share of the side). Training stops once `patience` looks at
    *select*, one every `look_every` steps, have found nothing better.
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
        """Train `backbone` (in place, from its present weights) and predict probabilities of the report images.

        `chosen` holds the step that was best on *select* (by accuracy, micro-mAP or R2, where these say nothing by the
        loss); `on_edge` is true where it is the last one allowed.
        """
        stream: Stream = (seed, "supervised")
        target = Target.of(fit, select, num_classes)
        classifier = Predictor(backbone, target, sees, normalise, stream, self.flips, self.shift)
        optimiser = torch.optim.AdamW(decayed_groups(classifier, self.weight_decay), lr=self.learning_rate)
        rate = Schedule(start=self.learning_rate, end=0.0, warmup=self.steps // 10)
        loop = Loop("supervised", self.steps, len(fit.labels), self.batch, stream, self.look_every, self.patience)
        best = loop.best(classifier, fit, select, optimiser, Rates([rate, rate], self.steps))
        scores = classifier.probabilities(report)
        labels = scores.argmax(1) if fit.labels.ndim == 1 else None
        return Prediction(scores, labels, {"step": best.step, "on_edge": best.step == self.steps})

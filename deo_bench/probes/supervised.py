"""The supervised reference: what a student reaches that sees the labels from the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.backbone import Backbone, Normalise
from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.draws import batch_indices, global_seed, torch_generator
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes.checks import check_labels
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.metrics import measure
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
        for role, split in (("fit", fit), ("select", select)):
            check_labels(split.labels, num_classes, role)
        classifier = _Classifier(student, num_classes, fit.labels.ndim == 2, sees, normalise, seed)
        best = _Best(-np.inf, np.inf, 0, {})
        for step in self._train(classifier, fit, seed):
            if step % self.look_every and step < self.steps:
                continue
            best = best.against(classifier, select, step)
            if step - best.step >= self.patience * self.look_every:
                break
        classifier.load_state_dict(best.state)
        scores = classifier.probabilities(report)
        labels = None if classifier.is_multi else scores.argmax(1)
        return Prediction(scores, labels, {"step": best.step, "on_edge": best.step == self.steps})

    def _train(self, classifier: _Classifier, fit: LabelledImages, seed: int) -> Iterator[int]:
        """Train step by step, yielding how many have been made."""
        optimiser = self._optimiser(classifier)
        rate = Schedule(start=self.learning_rate, end=0.0, warmup=self.steps // 10)
        labels = torch.from_numpy(np.asarray(fit.labels, dtype=np.float32 if classifier.is_multi else np.int64))
        for step in range(self.steps):
            places = batch_indices(len(fit.labels), min(self.batch, len(fit.labels)), step, seed, "supervised")
            images = self._augment(fit.images.batch(places), torch_generator(seed, "supervised", step))
            for group in optimiser.param_groups:
                group["lr"] = rate.at(step, self.steps)
            classifier.train()
            with global_seed(seed, "supervised", step):
                loss = classifier.loss(images, labels[places])
            if not torch.isfinite(loss):
                raise UserError(f"probe 'supervised': the loss is not finite at step {step}; lower learning_rate")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
            optimiser.step()
            yield step + 1

    def _optimiser(self, classifier: nn.Module) -> torch.optim.Optimizer:
        parameters = [each for each in classifier.parameters() if each.requires_grad]
        groups = [
            {"params": [each for each in parameters if each.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.learning_rate)

    def _augment(self, images: Images, generator: torch.Generator) -> Images:
        """Each image flipped and shifted on its own; what a shift uncovers repeats the edge."""
        size, _, height, width = images.pixels.shape
        flip = torch.rand(size, 2, generator=generator) < (0.5 if self.flips else 0.0)
        drawn = torch.rand(size, 2, generator=generator) * 2 - 1
        rows = _moved(height, flip[:, 0], drawn[:, 0] * self.shift)
        columns = _moved(width, flip[:, 1], drawn[:, 1] * self.shift)
        pixels = images.pixels.permute(0, 2, 3, 1)
        moved = pixels[torch.arange(size)[:, None, None], rows[:, :, None], columns[:, None, :]]
        return replace(images, pixels=moved.permute(0, 3, 1, 2))


class _Classifier(nn.Module):
    """A backbone and a linear layer on its default pooled vector."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        is_multi: bool,
        sees: str | None,
        normalise: Normalise,
        seed: int,
    ) -> None:
        super().__init__()
        self.backbone, self.is_multi = backbone, is_multi
        self.sees, self.normalise = sees, normalise
        with global_seed(seed, "supervised", "linear"):
            self.linear = nn.Linear(backbone.width("default"), num_classes)

    def forward(self, images: Images) -> Tensor:
        """Logits [B, K]."""
        features = self.backbone(images, sees=self.sees, normalise=self.normalise)
        logits: Tensor = self.linear(features.get("default"))
        return logits

    def loss(self, images: Images, labels: Tensor) -> Tensor:
        """Cross-entropy, of zeros and ones a binary one."""
        logits = self(images)
        if self.is_multi:
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.cross_entropy(logits, labels)

    @torch.no_grad()
    def probabilities(self, images: ImageSource, batch: int = 256) -> np.ndarray:
        """Probabilities [N, K] in evaluation mode."""
        self.eval()
        found = [torch.zeros(0, self.linear.out_features, dtype=torch.float64)]
        for at in range(0, len(images), batch):
            logits = self(images.batch(np.arange(at, min(at + batch, len(images))))).double()
            found.append(logits.sigmoid() if self.is_multi else logits.softmax(1))
        return torch.cat(found).numpy()


@dataclass(frozen=True)
class _Best:
    """The best state so far: by the metric on *select*, of equals by the lower cross-entropy."""

    value: float
    loss: float
    step: int
    state: dict[str, Tensor]

    def against(self, classifier: _Classifier, select: LabelledImages, step: int) -> _Best:
        """The better of this and the classifier as it is now."""
        scores = classifier.probabilities(select.images)
        metric = "micro_map" if classifier.is_multi else "accuracy"
        value = float(np.nan_to_num(measure(metric, select.labels, scores)[0]))
        if classifier.is_multi:
            right = np.where(select.labels == 1, scores, 1 - scores)
        else:
            right = scores[np.arange(len(scores)), select.labels.astype(np.int64)]
        loss = float(-np.log(np.maximum(right, 1e-300)).mean())
        if self.state and (value, -loss) <= (self.value, -self.loss):
            return self
        return _Best(value, loss, step, {key: each.clone() for key, each in classifier.state_dict().items()})


def _moved(side: int, flip: Tensor, shift: Tensor) -> Tensor:
    """Where each of `side` pixels comes from [B, side], flipped or not and shifted by a share of the side."""
    places = torch.arange(side) + (shift[:, None] * side).round().long()
    places = places.clamp(0, side - 1)
    return torch.where(flip[:, None], side - 1 - places, places)

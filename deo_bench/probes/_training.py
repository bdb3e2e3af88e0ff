"""What probes that train on images share: a backbone with a linear layer, the loop, and the best state on *select*."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.backbone import Backbone, Normalise
from deo_bench.draws import batch_indices, global_seed, torch_generator
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes.checks import check_labels, check_numbers
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.metrics import measure
from deo_bench.schedules import Schedule

Kind = Literal["single", "multi", "regression"]

Stream = tuple[int | str, ...]


class Diverged(UserError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class Target:
    """What is predicted: the kind of labels, how many numbers that takes, and, of numbers, their mean and spread."""

    kind: Kind
    width: int
    mean: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, fit: LabelledImages, select: LabelledImages, num_classes: int) -> Target:
        """That of the labels given, which are checked; no classes means numbers."""
        for role, split in (("fit", fit), ("select", select)):
            if num_classes:
                check_labels(split.labels, num_classes, role)
            else:
                check_numbers(split.labels, role)
        if num_classes:
            return cls("multi" if fit.labels.ndim == 2 else "single", num_classes)
        wide = fit.labels.astype(np.float64)
        return cls("regression", 1, float(wide.mean()), float(wide.std()) or 1.0)

    def labels(self, labels: np.ndarray) -> Tensor:
        """Labels as the loss takes them; numbers are standardised."""
        if self.kind == "regression":
            return torch.from_numpy(((labels.astype(np.float64) - self.mean) / self.spread).astype(np.float32))
        return torch.from_numpy(np.asarray(labels, dtype=np.float32 if self.kind == "multi" else np.int64))


class Trained(nn.Module):
    """A backbone and a head on it, as the loop trains them; frozen: the backbone stays as it is, in evaluation mode."""

    backbone: Backbone
    head: nn.Module
    frozen: bool = False

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; a teacher's own refusal of the first is passed by."""
        super().train(mode)
        nn.Module.train(self.backbone, mode and not self.frozen)
        return self

    def loss_on(self, fit: Any, places: np.ndarray, generator: torch.Generator) -> Tensor:
        """The loss of the images at these places of *fit*; what is drawn of images comes from the generator."""
        raise NotImplementedError

    def value_on(self, select: Any) -> tuple[float, float]:
        """How good it is on *select*, higher is better, and the loss that decides between equals.

        The first is not a number where *select* says nothing of it: then the loss alone decides.
        """
        raise NotImplementedError

    def first_features(self, fit: Any) -> Tensor:
        """What the backbone says of the first image of *fit*."""
        raise NotImplementedError


class Predictor(Trained):
    """A backbone and a linear layer on its default pooled vector.

    flips, shift: of the images trained on, the latter the largest share of the side; balanced: of zeros and ones, what
    is there and what is not weigh the same in the loss (GEO-Bench's).
    """

    def __init__(
        self,
        backbone: Backbone,
        target: Target,
        sees: str | None,
        normalise: Normalise,
        stream: Stream,
        flips: bool = False,
        shift: float = 0.0,
        frozen: bool = False,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.target = backbone, target
        self.sees, self.normalise = sees, normalise
        self.flips, self.shift = flips, shift
        self.frozen, self.balanced = frozen, balanced
        with global_seed(*stream, "linear"):
            self.head = nn.Linear(backbone.width("default"), target.width)
        self.device = next((each.device for each in backbone.parameters()), torch.device("cpu"))
        self.to(self.device)

    def forward(self, images: Images) -> Tensor:
        """Outputs [B, K]: logits, or one standardised number."""
        outputs: Tensor = self.head(self.features(images))
        return outputs

    def features(self, images: Images) -> Tensor:
        """The backbone's vectors [B, D]."""
        images = _on(images, self.device)
        return self.backbone(images, sees=self.sees, normalise=self.normalise).get("default")

    def loss(self, images: Images, labels: Tensor) -> Tensor:
        """Cross-entropy, of zeros and ones a binary one, of numbers the squared error."""
        outputs = self(images)
        labels = labels.to(outputs.device)
        if self.target.kind == "regression":
            return F.mse_loss(outputs[:, 0], labels)
        if self.target.kind == "single":
            return F.cross_entropy(outputs, labels)
        return balanced_loss(outputs, labels) if self.balanced else F.binary_cross_entropy_with_logits(outputs, labels)

    @torch.no_grad()
    def probabilities(self, images: ImageSource, batch: int = 256) -> np.ndarray:
        """Probabilities [N, K] in evaluation mode; of numbers, the numbers [N, 1]."""
        self.eval()
        found = [torch.zeros(0, self.target.width, dtype=torch.float64)]
        for at in range(0, len(images), batch):
            outputs = self(images.batch(np.arange(at, min(at + batch, len(images))))).double().cpu()
            if self.target.kind == "regression":
                outputs = outputs * self.target.spread + self.target.mean
            else:
                outputs = outputs.sigmoid() if self.target.kind == "multi" else outputs.softmax(1)
            found.append(outputs)
        return torch.cat(found).numpy()

    def loss_on(self, fit: LabelledImages, places: np.ndarray, generator: torch.Generator) -> Tensor:
        """The loss of images, flipped and shifted."""
        images = augmented(fit.images.batch(places), self.flips, self.shift, generator)
        return self.loss(images, self.target.labels(fit.labels[places]))

    def value_on(self, select: LabelledImages) -> tuple[float, float]:
        """Accuracy, micro-mAP or R2, and the cross-entropy or the squared error.

        Micro-mAP is none where *select* has no positive label, R2 where its numbers do not vary.
        """
        scores = self.probabilities(select.images)
        metric = {"single": "accuracy", "multi": "micro_map", "regression": "r2"}[self.target.kind]
        value = float(measure(metric, select.labels, scores)[0])
        if self.target.kind == "regression":
            return value, float(np.square(scores[:, 0] - select.labels).mean())
        if self.target.kind == "multi":
            right = np.where(select.labels == 1, scores, 1 - scores)
        else:
            right = scores[np.arange(len(scores)), select.labels.astype(np.int64)]
        return value, float(-np.log(np.maximum(right, 1e-300)).mean())

    def first_features(self, fit: LabelledImages) -> Tensor:
        """The first image's vector [1, D]."""
        return self.features(fit.images.batch(np.arange(1)))


def balanced_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean binary cross-entropy of what is there plus that of what is not; a part that is empty counts 0."""
    losses = F.binary_cross_entropy_with_logits(outputs, labels, reduction="none")
    parts = [losses[labels == value] for value in (0, 1)]
    return torch.stack([part.mean() if len(part) else losses.new_zeros(()) for part in parts]).sum()


@dataclass
class Rates:
    """Learning rates of groups of parameters, step by step.

    schedules: one a group; plateau: after so many looks without gain, all rates are divided by 10; none: never.
    """

    schedules: list[Schedule]
    steps: int
    plateau: int | None = None
    factor: float = 1.0
    waited: int = 0

    def at(self, step: int) -> list[float]:
        """The rate of each group."""
        return [each.at(step, self.steps) * self.factor for each in self.schedules]

    def looked(self, gained: bool) -> None:
        """Hear whether a look at *select* has found something better."""
        self.waited = 0 if gained else self.waited + 1
        if self.plateau is not None and self.waited == self.plateau:
            self.factor, self.waited = self.factor / 10, 0


@dataclass(frozen=True)
class Loop:
    """How something is trained: the probe's name, steps, images in *fit* and in a batch, its stream of draws.

    look_every: steps between looks at *select*; patience: looks without gain after which training stops.
    """

    name: str
    steps: int
    size: int
    batch: int
    stream: Stream
    look_every: int
    patience: int

    def best(self, trained: Trained, fit: Any, select: Any, optimiser: torch.optim.Optimizer, rates: Rates) -> Best:
        """Train, and leave what is trained in the state that was best on *select*."""
        best = Best(-np.inf, np.inf, 0, {})
        for step in self._train(trained, fit, optimiser, rates):
            if step % self.look_every and step < self.steps:
                continue
            best = best.against(trained, select, step)
            rates.looked(best.step == step)
            if step - best.step >= self.patience * self.look_every:
                break
        if not np.isfinite(best.loss):
            raise Diverged(f"probe {self.name!r}: its outputs are not finite at any look; lower learning_rate")
        trained.load_state_dict(best.state)
        return best

    def _train(self, trained: Trained, fit: Any, optimiser: torch.optim.Optimizer, rates: Rates) -> Iterator[int]:
        """Train step by step, yielding how many have been made."""
        for step in range(self.steps):
            places = batch_indices(self.size, min(self.batch, self.size), step, *self.stream)
            for group, rate in zip(optimiser.param_groups, rates.at(step), strict=True):
                group["lr"] = rate
            trained.train()
            with global_seed(*self.stream, step):
                loss = trained.loss_on(fit, places, torch_generator(*self.stream, step))
            if not torch.isfinite(loss):
                raise Diverged(f"probe {self.name!r}: the loss is not finite at step {step}; lower learning_rate")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimiser.step()
            yield step + 1


@dataclass(frozen=True)
class Best:
    """The best state so far: by the metric on *select*, of equals and where that is not a number by the lower loss."""

    value: float
    loss: float
    step: int
    state: dict[str, Tensor]

    @property
    def told(self) -> float | None:
        """The metric on *select* as it is told; none where it says nothing."""
        return self.value if np.isfinite(self.value) else None

    def is_above(self, other: Best) -> bool:
        """Whether this one is better."""
        return self._rank > other._rank

    @property
    def _rank(self) -> tuple[float, float]:
        return 0.0 if np.isnan(self.value) else self.value, -self.loss

    def against(self, trained: Trained, select: Any, step: int) -> Best:
        """The better of this and what is trained as it is now."""
        seen = Best(*trained.value_on(select), step, {})
        if self.state and not (np.isfinite(seen.loss) and seen.is_above(self)):
            return self
        return replace(seen, state={key: each.clone() for key, each in trained.state_dict().items()})


def decayed_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The parameters that are trained: matrices, which decay, and vectors, which do not."""
    parameters = [each for each in module.parameters() if each.requires_grad]
    return [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]


def augmented(images: Images, flips: bool, shift: float, generator: torch.Generator) -> Images:
    """Each image flipped and shifted on its own; what a shift uncovers repeats the edge."""
    size, _, height, width = images.pixels.shape
    flip = torch.rand(size, 2, generator=generator) < (0.5 if flips else 0.0)
    drawn = torch.rand(size, 2, generator=generator) * 2 - 1
    rows = _moved(height, flip[:, 0], drawn[:, 0] * shift)
    columns = _moved(width, flip[:, 1], drawn[:, 1] * shift)
    pixels = images.pixels.permute(0, 2, 3, 1)
    moved = pixels[torch.arange(size)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return replace(images, pixels=moved.permute(0, 3, 1, 2))


def _moved(side: int, flip: Tensor, shift: Tensor) -> Tensor:
    """Where each of `side` pixels comes from [B, side], flipped or not and shifted by a share of the side."""
    places = torch.arange(side) + (shift[:, None] * side).round().long()
    places = places.clamp(0, side - 1)
    return torch.where(flip[:, None], side - 1 - places, places)


def _on(images: Images, device: torch.device) -> Images:
    """The same images on a device."""
    mean, std = (None if each is None else each.to(device) for each in (images.mean, images.std))
    return replace(images, pixels=images.pixels.to(device), mean=mean, std=std)

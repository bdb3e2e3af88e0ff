"""A decoder trained on frozen maps: classes of pixels, or of what has changed between two dates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.draws import global_seed, numpy_generator, torch_generator
from deo_bench.errors import UserError
from deo_bench.probes import probe
from deo_bench.probes._pixel_loss import PixelLoss, class_weights
from deo_bench.probes._segmenter import Segmenter, mean_iou
from deo_bench.probes.dense import DenseProbe
from deo_bench.probes.maps import MapSource
from deo_bench.schedules import Schedule

FLOOR = 1e-6
"""The learning rate that a cosine ends at."""


@probe("segmentation", needs="maps", kinds=["segmentation", "change"], paper="https://arxiv.org/abs/2412.04204")
class Segmentation(DenseProbe):
    """A head (linear, conv, FPN, UPerNet, DPT) trained by AdamW on frozen maps of several levels, a label a pixel.

    Its defaults are torchgeo-bench's (FPN, 256 wide, 10 epochs, batches of 64, learning rate 1e-3 and a cosine), but
    for `neck`, which is false there. PANGAEA's are `upernet`, batch 8 without the last incomplete one, 80 epochs,
    1e-4, weight decay 0.05, `multistep`, and the best of every 5 epochs.

    head: `linear` (batch norm and one linear layer), `conv` (a hidden layer of each cell), `fpn`, `upernet`, `dpt`.
    levels: how many of the backbone's, or their names. hidden: the head's width, none for 256 (UPerNet 512). neck:
    whether levels that are all on one grid are made a pyramid for `fpn`, `upernet` and `dpt` (PANGAEA: yes;
    torchgeo-bench: no). epochs of the fit split, or `steps` in their place; drop_last: leave out an epoch's last batch
    where it is not full. schedule: `cosine` to 1e-6 (it falls after each epoch, after each step where steps are
    counted), `multistep` (a tenth at 60 and at 90 % of the steps), `constant`. loss: `ce`, `weighted_ce` (by the
    classes' inverse shares in *fit*), `dice`. select_every: after how many epochs mIoU on *select* is looked at, of
    which the first best state predicts; 0: the last state. Under a window *select* is seen through the middle one.
    combine: of two dates, the absolute difference of maps, or both side by side. seed: of weights, order, crops and
    dropout, beside the seed of the evaluation.
    """

    version = 2

    def __init__(
        self,
        *,
        head: Literal["linear", "conv", "fpn", "upernet", "dpt"] = "fpn",
        levels: Count | list[str] = 4,
        hidden: Count | None = None,
        neck: bool = True,
        learning_rate: Positive = 1e-3,
        weight_decay: NonNegative = 0.0,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        epochs: Count = 10,
        steps: Count | None = None,
        batch: Count = 64,
        drop_last: bool = False,
        schedule: Literal["cosine", "multistep", "constant"] = "cosine",
        loss: Literal["ce", "weighted_ce", "dice"] = "ce",
        select_every: Annotated[int, Ge(0)] = 0,
        combine: Literal["difference", "concat"] = "difference",
        seed: int = 0,
    ) -> None:
        if max(betas) >= 1:
            raise UserError(f"segmentation.betas: have to be below 1, got {list(betas)}")
        if not isinstance(levels, int) and (not levels or len(set(levels)) < len(levels)):
            raise UserError(f"segmentation.levels: expected a number, or names that differ, got {list(levels)}")
        self.levels = levels if isinstance(levels, int) else tuple(levels)
        self.head, self.hidden, self.neck, self.combine = head, hidden, neck, combine
        self.learning_rate, self.weight_decay, self.betas = learning_rate, weight_decay, betas
        self.epochs, self.steps, self.batch, self.drop_last = epochs, steps, batch, drop_last
        self.schedule, self.loss = schedule, loss
        self.select_every, self.seed = select_every, seed

    def predict_maps(
        self, fit: MapSource, select: MapSource, report: MapSource, num_classes: int, ignore: int | None, seed: int
    ) -> tuple[Iterator[np.ndarray], dict[str, Any]]:
        """Train the head on *fit*; classes [b, H, W] of the report images.

        `chosen` holds the step whose state predicts, its mIoU on *select* where that chose it, and whether it is the
        last (`on_edge`).
        """
        if not fit.shapes:
            raise UserError("probe 'segmentation': this backbone has no maps, only vectors; a label a pixel needs maps")
        plan = Plan.of(len(fit), self.batch, self.drop_last, self.epochs, self.steps)
        looks = self.select_every * plan.per_epoch
        if looks and not len(select):
            raise UserError("probe 'segmentation': the select split is empty; select_every = 0 keeps the last state")
        weights = class_weights(fit, num_classes, ignore, plan.batch) if self.loss == "weighted_ce" else None
        with global_seed(self.seed, seed, "segmentation", "head"):
            model = Segmenter(self.head, fit, num_classes, self.hidden, self.neck, self.combine).to(fit.device)
        best: Best | None = None
        loss = PixelLoss(self.loss, num_classes, ignore, weights)
        for step in self._train(model, fit, loss, plan, seed):
            if looks and (step % looks == 0 or step == plan.steps):
                value = mean_iou(model, select, num_classes, ignore, plan.batch)
                if best is None or value > best.value:
                    best = Best(value, step, {key: each.clone() for key, each in model.state_dict().items()})
        if best is None:
            return report.predicted(model.logits), {"step": plan.steps, "on_edge": False}
        model.load_state_dict(best.state)
        chosen = {"step": best.step, "miou": best.value, "on_edge": best.step == plan.steps}
        return report.predicted(model.logits), chosen

    def _train(self, model: Segmenter, fit: MapSource, loss: PixelLoss, plan: Plan, seed: int) -> Iterator[int]:
        """Train step by step, yielding how many have been made."""
        stream = (self.seed, seed, "segmentation")
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay
        )
        for step in range(plan.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.rate(step, plan)
            maps, labels = fit.batch(plan.places(step, *stream), torch_generator(*stream, "crop", step))
            assert labels is not None
            model.train()
            with global_seed(*stream, step):
                value = loss(model(maps), labels)
            if not torch.isfinite(value):
                raise UserError(f"probe 'segmentation': the loss is not finite at step {step}; lower learning_rate")
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            yield step + 1

    def rate(self, step: int, plan: Plan) -> float:
        """The learning rate at a step."""
        if self.schedule == "multistep":
            return self.learning_rate * 0.1 ** sum(step >= int(share * plan.steps) for share in (0.6, 0.9))
        if self.schedule == "constant":
            return self.learning_rate
        cosine = Schedule(start=self.learning_rate, end=min(FLOOR, self.learning_rate))
        if self.steps is not None:
            return cosine.at(step, plan.steps)
        return cosine.at(step // plan.per_epoch, self.epochs)


@dataclass(frozen=True)
class Plan:
    """Which images each step sees: epochs are permutations, cut into batches."""

    size: int
    batch: int
    per_epoch: int
    steps: int

    @classmethod
    def of(cls, size: int, batch: int, drop_last: bool, epochs: int, steps: int | None) -> Plan:
        """Of so many images; a batch is never larger than they are."""
        if not size:
            raise UserError("the fit split is empty; a probe needs at least one sample in it")
        batch = min(batch, size)
        per_epoch = size // batch if drop_last else -(-size // batch)
        return cls(size, batch, per_epoch, steps or epochs * per_epoch)

    def places(self, step: int, *stream: int | str) -> np.ndarray:
        """The images of a step's batch, a function of the stream and the step."""
        epoch, place = divmod(step, self.per_epoch)
        order = numpy_generator(*stream, "epoch", epoch).permutation(self.size)
        return order[place * self.batch : (place + 1) * self.batch]


@dataclass(frozen=True)
class Best:
    """The best state so far, by mIoU on *select*."""

    value: float
    step: int
    state: dict[str, Tensor]

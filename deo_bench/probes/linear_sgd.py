"""A linear layer trained by gradient steps: every learning rate and weight decay at once, the best on *select* kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Count, NonNegative, Positive
from deo_bench.draws import batch_indices, global_seed
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes._lars import Lars
from deo_bench.probes.checks import check_features, check_select, check_split
from deo_bench.probes.metrics import measure
from deo_bench.schedules import Schedule

STREAM = "linear_sgd"

BLOCK = 4096
"""Rows of features that are predicted in one go."""


@probe("linear_sgd", kinds=["single", "multi"], paper="https://arxiv.org/abs/1708.03888")
class LinearSgd(Probe):
    """A linear layer trained with LARS, SGD or AdamW; of all settings the best on *select* is kept.

    Every pair of `learning_rates` (each times batch / 256) and `weight_decays` has a layer of its own; all see the
    same batches, in one pass over the features. The first maximum of accuracy on *select* at the end wins (of zeros
    and ones, of micro-mAP; the loss is then binary cross-entropy, the multi-label soft margin). `norm` puts a batch
    norm without parameters before the layer. Where a protocol merges, the chosen setting is trained again on fit and
    select. schedule: `cosine` to 0 after `warmup` epochs, or `multistep` (a tenth at 60 and at 90 % of the steps, as
    PANGAEA's). (DOFA's linear probing, after MoCo v3's and MAE's.)
    """

    def __init__(
        self,
        *,
        optimiser: Literal["lars", "sgd", "adamw"] = "lars",
        learning_rates: tuple[Positive, ...] = (0.5, 1.0, 10.0, 20.0),
        weight_decays: tuple[NonNegative, ...] = (0.0,),
        epochs: Count = 50,
        warmup: NonNegative = 0.0,
        batch: Count = 256,
        momentum: NonNegative = 0.9,
        norm: bool = True,
        schedule: Literal["cosine", "multistep"] = "cosine",
    ) -> None:
        for name, grid in (("learning_rates", learning_rates), ("weight_decays", weight_decays)):
            if not len(grid) or sorted(set(grid)) != list(grid):
                raise UserError(f"linear_sgd: {name} = {list(grid)} must ascend, and hold a value")
        if warmup >= epochs:
            raise UserError(f"linear_sgd: warmup = {warmup} must be less than epochs = {epochs}")
        if norm and batch == 1:
            raise UserError("linear_sgd: batch = 1 leaves norm = true nothing to normalise by; say norm = false")
        self.optimiser, self.momentum, self.norm = optimiser, momentum, norm
        self.rates, self.decays = tuple(learning_rates), tuple(weight_decays)
        self.epochs, self.warmup, self.batch, self.schedule = epochs, warmup, batch, schedule

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """The report split's probabilities; `chosen` holds the setting and whether it lies on the edge of its grid."""
        check_split(fit.features, fit.labels, num_classes, "fit", None)
        check_features(report, "report", fit.features.shape[-1])
        if self.norm and len(fit.features) == 1:
            raise UserError("probe 'linear_sgd': the fit split has one sample; say norm = false")
        settings = list(itertools.product(self.rates, self.decays))
        if len(settings) > 1 or (merge and len(select.features)):
            without = "one of learning_rates and of weight_decays" if len(settings) > 1 else None
            check_select(fit, select, num_classes, without)
        heads = self._trained([fit.features], fit.labels, num_classes, settings)
        place = self._best(heads.probabilities(select.features), select.labels) if len(settings) > 1 else 0
        if merge and len(select.features):
            both, labels = [fit.features, select.features], np.concatenate([fit.labels, select.labels])
            heads, settings, place = self._trained(both, labels, num_classes, [settings[place]]), [settings[place]], 0
        scores = heads.probabilities(report, slice(place, place + 1))[0]
        if not np.isfinite(scores).all():
            raise UserError("probe 'linear_sgd': no learning rate gave finite probabilities; lower learning_rates")
        rate, decay = settings[place]
        chosen: dict[str, Any] = {"learning_rate": rate, "weight_decay": decay, "on_edge": self._on_edge(rate, decay)}
        return Prediction(scores, scores.argmax(1) if fit.labels.ndim == 1 else None, chosen)

    def _trained(
        self, parts: Sequence[np.ndarray], labels: np.ndarray, num_classes: int, settings: list[tuple[float, float]]
    ) -> _Heads:
        """A head a setting, trained side by side on features [N, D], in one array or several below one another."""
        size = len(labels)
        batch = min(self.batch, size)
        steps = -(-self.epochs * size // batch)
        heads = _Heads(parts[0].shape[1], num_classes, len(settings), self.norm, labels.ndim == 2)
        optimiser = self._optimiser(heads, settings)
        warmup, shape = int(self.warmup * steps / self.epochs), "cosine" if self.schedule == "cosine" else "constant"
        share = Schedule(start=batch / 256, end=0.0, warmup=warmup, shape=shape)  # type: ignore[arg-type]
        truth = torch.from_numpy(np.asarray(labels, dtype=np.float32 if heads.is_multi else np.int64))
        heads.train()
        for step in range(steps):
            places = batch_indices(size, batch, step, STREAM)
            for group in optimiser.param_groups:
                group["lr"] = group["rate"] * share.at(step, steps) * self._fallen(step, steps)
            loss = heads.loss(_rows(_taken(parts, places)), truth[places])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return heads

    def _fallen(self, step: int, steps: int) -> float:
        """What the rate has fallen to under `multistep`."""
        if self.schedule == "cosine":
            return 1.0
        return 0.1 ** sum(step >= int(share * steps) for share in (0.6, 0.9))

    def _optimiser(self, heads: _Heads, settings: list[tuple[float, float]]) -> torch.optim.Optimizer:
        groups = []
        for weight, bias, (rate, decay) in zip(heads.weights, heads.biases, settings, strict=True):
            groups.append({"params": [weight], "rate": rate, "weight_decay": decay})
            groups.append({"params": [bias], "rate": rate, "weight_decay": 0.0})
        if self.optimiser == "adamw":
            return torch.optim.AdamW(groups)
        if self.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum)
        return Lars(groups, lr=0.0, momentum=self.momentum)

    def _best(self, scores: np.ndarray, labels: np.ndarray) -> int:
        """The first of the heads that are best by their probabilities [H, N, K]; one that diverged is none."""
        metric = "micro_map" if labels.ndim == 2 else "accuracy"
        values = [float(measure(metric, labels, each)[0]) if np.isfinite(each).all() else -np.inf for each in scores]
        return int(np.argmax(np.nan_to_num(values, nan=-np.inf)))

    def _on_edge(self, rate: float, decay: float) -> bool:
        """Whether the rate is its grid's first or last, or the decay is, of a grid that has others."""
        return (len(self.rates) > 1 and rate in (self.rates[0], self.rates[-1])) or (
            len(self.decays) > 2 and decay in (self.decays[0], self.decays[-1])
        )


class _Heads(nn.Module):
    """Linear layers that see the same features [B, D], behind one batch norm; every one starts at the same weights."""

    def __init__(self, width: int, num_classes: int, num: int, norm: bool, is_multi: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, eps=1e-6, affine=False) if norm else nn.Identity()
        self.is_multi = is_multi
        with global_seed(STREAM, "start"):
            start = torch.randn(width, num_classes) * 0.01
        self.weights = nn.ParameterList([start.clone() for _ in range(num)])
        self.biases = nn.ParameterList([torch.zeros(num_classes) for _ in range(num)])

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, H, K] by one product."""
        weight, bias = torch.cat(list(self.weights), 1), torch.cat(list(self.biases))
        logits: Tensor = torch.addmm(bias, self.norm(features), weight)
        return logits.unflatten(1, (len(self.weights), -1))

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """The heads' losses, added up: each head's gradient is its own."""
        logits = self(features)
        if self.is_multi:
            truth = labels[:, None].expand_as(logits)
            return F.binary_cross_entropy_with_logits(logits, truth) * len(self.weights)
        truth = labels[:, None].expand(logits.shape[:2])
        return F.cross_entropy(logits.flatten(0, 1), truth.flatten()) * len(self.weights)

    @torch.no_grad()
    def probabilities(self, features: np.ndarray, heads: slice = slice(None)) -> np.ndarray:
        """Probabilities [H, N, K] of some of the heads in evaluation mode."""
        self.eval()
        found = []
        for at in range(0, len(features), BLOCK):
            logits = self(_rows(features[at : at + BLOCK]))[:, heads].double()
            found.append(logits.sigmoid() if self.is_multi else logits.softmax(2))
        return torch.cat(found).transpose(0, 1).contiguous().numpy()


def _taken(parts: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Rows of arrays below one another, at any places: nothing else is read."""
    found = np.empty((len(places), parts[0].shape[1]), dtype=np.float32)
    begins = 0
    for part in parts:
        here = (places >= begins) & (places < begins + len(part))
        found[here] = part[places[here] - begins]
        begins += len(part)
    return found


def _rows(features: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(features, dtype=np.float32))

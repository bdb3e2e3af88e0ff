"""DINO's loss with two centres, TerraFM's."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.declarations import Fraction, Positive
from deo_bench.errors import UserError
from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._prototypes import Centre, Growing, Temperatures, cross_entropies


@loss(
    "dino_dual_center",
    paper="https://arxiv.org/abs/2506.06281",
    takes="pooled",
    pairs="cross",
    crops="all",
    remembers=True,
    needs_groups=True,
)
class DinoDualCenter(PairLoss):
    """`dino` whose target is centred twice: by the mean of all images, and by that of the frequent groups' images.

    L = - mean over pairs (v, u) of mean_b sum_k p_k^ub log softmax(s^vb / tau_s)_k,
    p = softmax((t - alpha c - (1 - alpha) c_h) / tau_t),    both centres m c + (1 - m) mean t, m = momentum

    c follows all images, c_h those whose group is frequent; a batch without any leaves c_h as it is. TerraFM groups by
    the land cover that dominates an image, here it is what the data give as groups (the data `folder`: a file's patches
    are one) or what `train.clusters` makes; without groups it is refused. A group is frequent where it has at least
    `frequent` times the images of the mean group, among all images and groups seen in training up to and with the
    present batch, images seen again counted again. So with 1 a group is frequent with no less than an even share. With
    alpha 1 the loss is `dino`.

    TerraFM: alpha 0.8, tau_t from 0.04 to 0.06 (`tau_t_end`, over the first `warmup` of training), K 65536. Which
    groups it takes for frequent is not known here: `frequent` is this project's own, and so is `warmup`.
    """

    def __init__(
        self,
        *,
        alpha: Fraction = 0.8,
        frequent: Positive = 1.0,
        tau_s: Positive = 0.1,
        tau_t: Positive = 0.04,
        tau_t_end: Positive | None = 0.06,
        warmup: Fraction = 0.3,
        momentum: Fraction = 0.9,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.temperatures = Temperatures(tau_s, tau_t, tau_t_end, warmup)
        self.centre, self.frequent_centre = Centre(momentum), Centre(momentum)
        self.census = Census(frequent)

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean of `per_image`; a UserError without groups, before anything is changed."""
        assert target is not None
        _groups_of(batch)
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] from logits [V, B, K] and [U, B, K]."""
        with torch.no_grad():
            centre = self.alpha * self.centre(target) + (1 - self.alpha) * self.frequent_centre(target)
            goals = ((target - centre) / self.temperatures.at(batch.progress)).softmax(2)
        return cross_entropies(goals, student, batch.pairs, self.temperatures.student)

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Count the groups, and move both centres."""
        assert target is not None
        groups = _groups_of(batch).to(target.device)
        self.census.add(groups)
        self.centre.follow(target.flatten(0, 1))
        self.frequent_centre.follow(target[:, self.census.is_frequent(groups)].flatten(0, 1))


class Census(Growing):
    """How many images of each group there have been."""

    seen: Tensor

    def __init__(self, frequent: float) -> None:
        super().__init__()
        self.frequent = frequent
        self.register_buffer("seen", torch.zeros(0, dtype=torch.int64))

    def add(self, groups: Tensor) -> None:
        """Count images [B] of these groups, numbered from 0."""
        counts = torch.bincount(groups, minlength=len(self.seen))
        counts[: len(self.seen)] += self.seen
        self.seen = counts

    def is_frequent(self, groups: Tensor) -> Tensor:
        """[B]: whether each image's group has `frequent` times the images of the mean group."""
        return self.seen[groups] * (self.seen > 0).sum() >= self.frequent * self.seen.sum()


def _groups_of(batch: Batch) -> Tensor:
    if batch.groups is None:
        raise UserError(
            "dino_dual_center: the data say of no image which group it belongs to; say train.clusters = 8 for groups "
            'of like spectra, or take loss = "dino", which has one centre'
        )
    return batch.groups

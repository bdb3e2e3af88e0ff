"""Gram anchoring of DINOv3."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import cells, over_images, unit


@loss("gram", paper="https://arxiv.org/abs/2508.10104", takes="maps", dimension_free=True, zero_at_target=True)
class Gram(PairLoss):
    """Which cells of an image are alike, as the teacher has it: squared difference of all cosines between cells.

    L = mean_b 1/N^2 sum_xy (G^S_bxy - G^T_bxy)^2,    G_xy = cos(f_x, f_y) over the N cells of an image

    (DINOv3, Siméoni et al. 2025, sec. 4.2; the mean over N^2 as in its code, whose weight rises to 2, toward an earlier
    state of the EMA teacher.) Maps are [B, D, h, w], widths may differ. Rotation of either side changes nothing, nor
    does the length of any cell.

    remove_negatives: cosines below 0 count as 0 on both sides ("both"; the code's `remove_neg`, the default of its
    class), in the teacher, and in the student where the teacher's is below 0 too ("target"; `remove_only_teacher_neg`),
    or nowhere ("none"; the paper, and its 7B model).
    """

    def __init__(self, *, remove_negatives: Literal["none", "both", "target"] = "none") -> None:
        super().__init__()
        self.remove_negatives = remove_negatives

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, D, *grid] and [B, E, *grid]."""
        here, there = unit(cells(student)), unit(cells(target))
        return over_images(self._block, here, there, here.shape[1] ** 2)

    def _block(self, student: Tensor, target: Tensor) -> Tensor:
        here, there = student @ student.mT, target @ target.mT
        if self.remove_negatives == "both":
            here = here.relu()
        elif self.remove_negatives == "target":
            here = torch.where(there < 0, here.relu(), here)
        if self.remove_negatives != "none":
            there = there.relu()
        return (here - there).square().mean((1, 2))

"""Patch kernel alignment (PaKa)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._alignment import alignment
from deo_bench.losses._pairwise import cells, over_images


@loss("patch_cka", paper="https://arxiv.org/abs/2509.05606", takes="maps", dimension_free=True, draws=True)
class PatchCka(PairLoss):
    """One minus the linear centred kernel alignment of student and target over the cells of each image (PaKa).

    L = mean_b (1 - <K_b, L_b> / (|K_b| |L_b|)),    K = H S S^T H,  L = H T T^T H,  H = I - 1 1^T / N

    of the N cells S [N, D], T [N, E] of an image; squared norms count as 1e-6 at least, where an image's cells do not
    differ (PaKa, 2025). That is lightly's `PatchKernelAlignmentLoss`, except that an image's features are first brought
    to a root mean square of 1, so that the clamp does not depend on scale: lightly's goes to 1 for small features.
    Maps are [B, D, h, w], widths may differ. Scale, shift and rotation of either side change nothing.

    max_tokens: of so many cells at most, drawn anew for each pair of views, the same places in all images of the batch;
    left out, all.
    """

    def __init__(self, *, max_tokens: Annotated[int, Ge(2)] | None = None) -> None:
        super().__init__()
        self.max_tokens = max_tokens

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over pairs and images."""
        assert target is not None
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B], the mean over the pairs."""
        values = []
        for v, u in batch.pairs:
            here, there = cells(student[v]), cells(target[u])
            # Drawn even where all are taken, so that it draws whatever its options are.
            places = torch.randperm(here.shape[1], generator=batch.generator)
            if self.max_tokens is not None and self.max_tokens < len(places):
                places = places[: self.max_tokens].to(here.device)
                here, there = here[:, places], there[:, places]
            values.append(self._align(here, there))
        return torch.stack(values).mean(0)

    def _align(self, student: Tensor, target: Tensor) -> Tensor:
        side = min(student.shape[1], max(student.shape[2], target.shape[2]))
        return over_images(lambda here, there: 1 - alignment(here, there), student, target, side**2)

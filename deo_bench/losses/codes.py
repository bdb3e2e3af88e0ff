"""A guiding code: which of K codes the teacher's features are nearest to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Fraction
from deo_bench.losses import Batch, PairLoss, loss

BLOCK = 2**21
"""Distances in one block: 8 MiB in float32."""


@loss("codes", paper="https://arxiv.org/abs/2205.10337", dimension_free=True, needs_widths=True, remembers=True)
class Codes(PairLoss):
    """Cross-entropy of the student's logits with the code of the teacher's features, cell by cell.

    L = - mean over pairs of mean_b mean_x log softmax(s^bx)_c,    c = argmin_k || t^bx - e_k ||^2

    The ingredient is this project's own, after UViM (Kolesnikov et al. 2022), where a model predicts the short discrete
    code that guides another; here the code is the teacher's features quantised, and neither the second model nor the
    autoregression is taken over. s [B, K, *grid] are logits, so the term wants a head of width K, the number of codes:
    `[heads.codes]` with use = "linear" and width = K (without a head the student's own channels are the logits). t [B,
    D, *grid], any D.

    The codebook e [K, D] is learned beside, by k-means over the stream of targets, after each step:

    n_k <- decay n_k + (1 - decay) share_k,    m_k <- decay m_k + (1 - decay) sum_k,    e_k = m_k / n_k

    with share_k the share of the step's cells whose code is k and sum_k the sum of their t over the number of all cells
    (van den Oord et al. 2017, app. A.1). A code with n_k below `dead` / K starts anew: e_k is a cell of the batch, the
    chosen ones evenly spaced in it, and n_k = 1 / K. The first step finds no codes yet; its target is uniform over
    the K, and then all codes start so. Distances follow the target's scale: a transform such as `phi_s` evens channels.
    """

    share: Tensor
    total: Tensor

    def __init__(self, student_width: int, target_width: int, *, decay: Fraction = 0.99, dead: Fraction = 0.1) -> None:
        super().__init__()
        self.decay = decay
        self.dead = dead
        self.register_buffer("share", torch.zeros(student_width))
        self.register_buffer("total", torch.zeros(student_width, target_width))

    @property
    def codebook(self) -> Tensor:
        """[K, D]; zeros before the first step is done."""
        return self.total / torch.where(self.share > 0, self.share, 1.0)[:, None]

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from logits [B, K, *grid] and features [B, D, *grid]."""
        said = F.log_softmax(student, dim=1)
        cells = target.detach().movedim(1, -1)
        code = self.nearest(cells.flatten(0, -2)).view(cells.shape[:-1])
        told = said.gather(1, code.unsqueeze(1)).squeeze(1)
        values = -torch.where(self.share.sum() > 0, told, said.mean(1))
        return values.reshape(len(values), -1).mean(1)

    @torch.no_grad()
    def nearest(self, rows: Tensor) -> Tensor:
        """The code [n] of each row [n, D]."""
        codebook = self.codebook.to(rows)
        # Both around the codes' mean: products would lose what is small against a common offset.
        middle = codebook.mean(0)
        codebook = codebook - middle
        lengths = codebook.square().sum(1)
        blocks = (rows - middle).split(max(1, BLOCK // len(codebook)))
        return torch.cat([(lengths - 2 * block @ codebook.T).argmin(1) for block in blocks])

    @torch.no_grad()
    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Move the codes toward the cells that are theirs; replace the dead."""
        assert target is not None
        rows = target.movedim(2, -1).flatten(0, -2).to(self.total)
        if self.share.any():
            code = self.nearest(rows)
            share = torch.bincount(code, minlength=len(self.share)).to(rows) / len(rows)
            total = torch.zeros_like(self.total).index_add_(0, code, rows) / len(rows)
            self.share.lerp_(share, 1 - self.decay)
            self.total.lerp_(total, 1 - self.decay)
            dead = (self.share < self.dead / len(self.share)).nonzero()[:, 0]
        else:
            dead = torch.arange(len(self.share), device=rows.device)
        chosen = torch.arange(len(dead), device=rows.device) * len(rows) // max(len(dead), 1)
        self.share[dead] = 1 / len(self.share)
        self.total[dead] = rows[chosen] / len(self.share)

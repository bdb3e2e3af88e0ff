"""Contrastive representation distillation."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count, Fraction, Positive
from deo_bench.losses import Batch, Loss, loss
from deo_bench.losses._contrast import in_chunks
from deo_bench.losses._memory import Memory
from deo_bench.losses._pairwise import unit


@loss(
    "crd",
    paper="https://arxiv.org/abs/1910.10699",
    takes="pooled",
    pairs="same",
    crops="global",
    spans_batch=True,
    remembers=True,
)
class ContrastiveRepresentationDistillation(Loss):
    """Tells an image's target from those of the images seen last, each by a yes or no: NCE against a memory (CRD).

    L = mean over pairs of -1/B sum_i [ log h(s_i, t_i) + N mean_{j != i} log(1 - h(s_i, t_j)) ]
    h(s, t) = e^(s.t/tau) / (e^(s.t/tau) + N c),    c = e^(1 / (2 D tau^2))

    Tian et al., 2020, sec. 3.1 (E log h over true pairs, N E log(1 - h) over chance ones), with unit vectors. t_j are
    the batch's other targets and the memory: a vector an image, by its number in the data set, moved as
    m <- unit(momentum m + (1 - momentum) t) each time the image is seen. Where the authors' code differs:

    - It keeps a vector of every image (1 GB for a million) and draws N of them; here the last N images seen are kept
      and all are compared, which is the mean that the draws estimate. Up to N images it is the authors' memory.
    - It divides e^(s.t/tau) by Z = M c, c measured on the first batch against its random memory, and has N / M in h:
      the number of images M cancels. c is the mean over vectors of N(0, I/D), so it is written down, not measured.
    - The true pair is that of this batch, from the first step, not the one remembered from an epoch ago.
    - It learns embeddings of both sides, 128 wide, and adds the same loss with the sides exchanged, which trains the
      teacher's alone. Here heads are the term's: a frozen target stays as it is (D is its width), and only the
      student's half is left. Where the target passes a head (`student`, a teacher that follows), `width = 128` in
      its table is the paper's, and a second term with `sees` and `target_sees` exchanged is the other half.

    temperature: tau; negatives: N; momentum: of the memory. The paper's weight is 0.8. State: [<= N, D] and as many
    numbers.

    With a batch far below 64 images the first steps have few negatives: state the batch with the result.
    """

    def __init__(self, *, temperature: Positive = 0.07, negatives: Count = 16384, momentum: Fraction = 0.5) -> None:
        super().__init__()
        self.temperature = temperature
        self.negatives = negatives
        self.momentum = momentum
        self.vectors = Memory()
        self.images = Memory(torch.long)

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean over `batch.pairs`, a scalar."""
        assert target is not None
        index = batch.index.to(self.images.kept)
        kept = self._others(index)
        old, images = self.vectors.rows(target, "crd")[kept], torch.cat([index, self.images.kept[kept]])
        values = []
        for v, u in batch.pairs:
            s, t = unit(student[v]), unit(target[u])
            values.append(self._nce(s, t, torch.cat([t, old]), index, images))
        return torch.stack(values).mean()

    def _nce(self, s: Tensor, t: Tensor, candidates: Tensor, index: Tensor, images: Tensor) -> Tensor:
        noise = math.log(self.negatives) + 1 / (2 * s.shape[1] * self.temperature**2)

        def compute(s: Tensor, t: Tensor, index: Tensor) -> Tensor:
            right = F.logsigmoid((s * t).sum(1) / self.temperature - noise)
            wrong = F.logsigmoid(noise - s @ candidates.T / self.temperature)
            other = index[:, None] != images
            return -right - self.negatives * (wrong * other).sum(1) / other.sum(1).clamp_min(1)

        return in_chunks(compute, len(candidates), s, t, index).mean()

    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        """Move the vectors of the batch's images (the mean over the target's views), and forget the oldest."""
        assert target is not None
        index, first = _first_of_each(batch.index.to(self.images.kept))
        new = unit(unit(target[:, first]).mean(0))
        old, images, kept = self.vectors.rows(new, "crd"), self.images.kept, self._others(index)
        if len(images):
            known, place = images.sort()
            at = place[torch.searchsorted(known, index).clamp_max(len(images) - 1)]
            moved = unit(self.momentum * old[at] + (1 - self.momentum) * new)
            new = torch.where((images[at] == index)[:, None], moved, new)
        self.vectors.keep(torch.cat([new, old[kept]])[: self.negatives])
        self.images.keep(torch.cat([index, images[kept]])[: self.negatives])

    def _others(self, index: Tensor) -> Tensor:
        """Which rows of the memory are of images outside the batch: [n] true or false."""
        return ~torch.isin(self.images.kept, index)


def _first_of_each(index: Tensor) -> tuple[Tensor, Tensor]:
    """Each number once, and where it stands first: a batch across the end of an epoch may hold an image twice."""
    ordered, place = index.sort(stable=True)
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    first = place[is_first].sort().values
    return index[first], first

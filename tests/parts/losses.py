"""A loss for each place of the contract that no loss of the project uses yet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Count, Positive
from deo_bench.losses import Batch, Loss, PairLoss, loss


@loss("test_queue", takes="pooled", pairs="same", crops="global", remembers=True)
class Queue(Loss):
    """A state: contrasts with the targets of earlier steps, which only `after_step` adds."""

    queue: Tensor

    def __init__(self, *, width: Count = 8, size: Count = 16, temperature: Positive = 0.1) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("queue", torch.zeros(size, width))

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        assert target is not None
        values = []
        for v, u in batch.pairs:
            s, t = F.normalize(student[v], dim=1), F.normalize(target[u], dim=1)
            logits = torch.cat([(s * t).sum(1, keepdim=True), s @ self.queue.to(s).T], dim=1) / self.temperature
            values.append(-logits.log_softmax(1)[:, 0].mean())
        return torch.stack(values).mean()

    @torch.no_grad()
    def after_step(self, student: Tensor, target: Tensor | None, batch: Batch) -> None:
        assert target is not None
        new = F.normalize(target[0].to(self.queue), dim=1)
        self.queue.copy_(torch.cat([new, self.queue])[: len(self.queue)])


@loss("test_masked", takes="maps", pairs="same", crops="global", needs_mask=True, zero_at_target=True)
class Masked(Loss):
    """A mask: the cosine distance of the masked cells alone, the mean an image."""

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        assert target is not None and batch.mask is not None
        values = []
        for v, u in batch.pairs:
            distance = (1 - F.cosine_similarity(student[v], target[u], dim=1)).flatten(1)
            mask = batch.mask[v].flatten(1).to(distance)
            values.append(((distance * mask).sum(1) / mask.sum(1).clamp_min(1)).mean())
        return torch.stack(values).mean()


@loss("test_scaled")
class Scaled(PairLoss):
    """A parameter of its own: the squared error after a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        return (student * self.log_scale.exp() - target).square().flatten(1).mean(1)


@loss("test_noisy", takes="pooled", draws=True)
class Noisy(Loss):
    """A draw: random projections from the batch's generator, on which widths need not agree."""

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        direction = torch.randn(student.shape[2], generator=batch.generator).to(student)
        return (student @ direction).square().mean()


@loss("test_norm", needs_target=False, dimension_free=True)
class Norm(Loss):
    """No target: pulls the features' lengths to 1."""

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        return (student.square().mean(2) - 1).square().mean()

"""Denoising distillation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deo_bench.declarations import Count, Fraction
from deo_bench.losses import Batch, PairLoss, loss
from deo_bench.losses._noise import gaussian, key_of, uniform


@loss("denoise", paper="https://arxiv.org/abs/2505.05473", dimension_free=True, needs_widths=True, draws=True)
class Denoise(PairLoss):
    """A small denoiser, told the student's features, reconstructs the teacher's from a noised version of them.

    L = mean over pairs of mean_b mean_dx (f(y^bx, a_b, s^bx) - t^bx)_d^2,
    y = cos(a) t + sin(a) e,    e ~ N(0, 1),    a = pi/2 (least + (1 - least) u),    u ~ U(0, 1) once an image

    The ingredient is this project's own, after DiffusionSfM (Zhao et al. 2025), which denoises geometry under the
    features of images; here it is the teacher's features, in one step, predicted themselves (not the noise). The
    better the student says what the teacher does, the less is lost at high noise; `least` keeps the noise from being
    so low that the student is not needed. s is normalised cell by cell (layer norm) and t divided by its root mean
    square over the image, so neither scale matters, and noise means the same for every image.

    f works cell by cell on y [D], s and (cos a, sin a): h = gelu(A y + B s + C (cos a, sin a)), h + gelu(E h), then
    linear to D, with `hidden` between; its weights are the loss's own, from a normal of 0.02 truncated at 2. It reads
    the student at any width, so no head is needed. Every draw is a function of one key from the batch's generator and
    of the image's number: neither the rest of the batch nor its split over ranks changes them.
    """

    def __init__(self, student_width: int, target_width: int, *, hidden: Count = 512, least: Fraction = 0.2) -> None:
        super().__init__()
        self.least = least
        self.noised = nn.Linear(target_width, hidden)
        self.told = nn.Linear(student_width, hidden)
        self.level = nn.Linear(2, hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, target_width)
        for layer in (self.noised, self.told, self.level, self.inner, self.last):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, student: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """The mean of `per_image`."""
        assert target is not None
        return self.per_image(student, target, batch).mean()

    def per_image(self, student: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """Values [B] from [V, B, C, *grid] and [U, B, D, *grid]."""
        index = batch.index.to(student.device)
        values = []
        for v, u in batch.pairs:
            wanted = _cells(target[u])
            # The gradient of a length of 0 is none of the target's business.
            wanted = wanted / wanted.detach().square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-12)
            key = key_of(batch.generator)
            angle = math.pi / 2 * (self.least + (1 - self.least) * uniform(key, index, 1)[:, :, None].to(wanted))
            noise = gaussian(~key, index, wanted[0].numel()).to(wanted).view_as(wanted)
            said = self.denoised(angle.cos() * wanted + angle.sin() * noise, angle, _cells(student[v]))
            values.append((said - wanted).square().mean((1, 2)))
        return torch.stack(values).mean(0)

    def denoised(self, noised: Tensor, angle: Tensor, student: Tensor) -> Tensor:
        """f: [B, N, D] from what is noised [B, N, D], its angle [B, 1, 1] and the student's cells [B, N, C]."""
        told = F.layer_norm(student, student.shape[-1:])
        level = torch.cat([angle.cos(), angle.sin()], -1)
        hidden = F.gelu(_through(self.noised, noised) + _through(self.told, told) + _through(self.level, level))
        return _through(self.last, hidden + F.gelu(_through(self.inner, hidden)))


def _cells(values: Tensor) -> Tensor:
    """[B, D, *grid] as [B, N, D]; a vector is one cell."""
    return values.reshape(*values.shape[:2], -1).mT


def _through(layer: nn.Linear, values: Tensor) -> Tensor:
    """A layer in the precision of what it is given: a loss keeps float64 and never goes below float32."""
    return F.linear(values, layer.weight.to(values), layer.bias.to(values))

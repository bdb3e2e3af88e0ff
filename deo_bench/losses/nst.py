"""Neuron selectivity transfer."""

from __future__ import annotations

from torch import Tensor

from deo_bench.losses import PairLoss, loss
from deo_bench.losses._pairwise import over_images, unit


@loss("nst", paper="https://arxiv.org/abs/1707.01219", takes="maps", dimension_free=True, zero_at_target=True)
class NeuronSelectivity(PairLoss):
    """Where channels fire, as a set: the squared maximum mean discrepancy of student's and teacher's channels.

    L = mean_b [1/C^2 sum_ii' k(s_i, s_i') + 1/E^2 sum_jj' k(t_j, t_j') - 2/(C E) sum_ij k(s_i, t_j)],
    k(x, y) = (x . y)^2

    (Huang and Wang 2017, sec. 4, with the polynomial kernel of degree 2 and constant 0; RepDistiller's weight is 50.)
    s_i, t_j are a channel's map over the N cells of an
    image, divided by its length: C channels of the student and E of the teacher, any two widths, no head. Their
    order, sign and scale change nothing. RepDistiller leaves the teacher's constant first sum out unless told; here it
    is in, so that the loss is never negative and 0 at the target.

    With this kernel L = || S^T S / C - T^T T / E ||^2 over N x N cells (S [C, N], T [E, N]), which is how it is worked
    out where the cells are fewer than the channels. In blocks of images, made again for the backward pass.
    """

    def pair(self, student: Tensor, target: Tensor) -> Tensor:
        """[B] from [B, C, *grid] and [B, E, *grid]."""
        here, there = unit(student.flatten(2)), unit(target.flatten(2))
        channels, num_cells = max(here.shape[1], there.shape[1]), here.shape[2]
        if num_cells <= channels:
            return over_images(_over_cells, here, there, num_cells**2)
        return over_images(_over_channels, here, there, channels**2)


def _over_cells(student: Tensor, target: Tensor) -> Tensor:
    here, there = student.mT @ student / student.shape[1], target.mT @ target / target.shape[1]
    return (here - there).square().sum((1, 2))


def _over_channels(student: Tensor, target: Tensor) -> Tensor:
    return _kernel(student, student) + _kernel(target, target) - 2 * _kernel(student, target)


def _kernel(some: Tensor, others: Tensor) -> Tensor:
    """The mean of k over all couples of channels: [B]."""
    return (some @ others.mT).square().mean((1, 2))

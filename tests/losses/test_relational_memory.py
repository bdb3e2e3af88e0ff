"""The largest tensor, and all that autograd keeps, of relational losses at a batch of 4096 or on large maps."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deo_bench.losses import Batch
from deo_bench.registry import Registry

REGISTRY = Registry()
ROWS, WIDTH = 4096, 8
HALF = ROWS * ROWS // 2


class Largest(TorchDispatchMode):
    """The most entries that any tensor made meanwhile has, backward passes included."""

    entries = 0

    def __torch_dispatch__(self, function, types, given=(), named=None):
        made = function(*given, **(named or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes():
                self.entries = max(self.entries, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


def measure(name, student, target):
    """The largest tensor of a forward and a backward pass, and all that is kept between the two, in entries."""
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    loss = REGISTRY.build("loss", name)
    batch = Batch(torch.arange(student.shape[1]), [(0, 0)], generator=torch.Generator().manual_seed(0))
    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss(student, target, batch)
        value.backward()
    assert student.grad.isfinite().all() and student.grad.any()
    return largest.entries, sum(kept)


@pytest.mark.parametrize("name", ["rkd_distance", "rkd_angle", "arkd", "sp", "pkt", "cc", "cka", "reciprocal"])
def test_no_table_of_a_large_batch_is_made_or_kept(name):
    generator = torch.Generator().manual_seed(0)
    student, target = (torch.randn(1, ROWS, WIDTH, generator=generator) for _ in range(2))
    largest, kept = measure(name, student.requires_grad_(), target)
    # The teacher's median needs its distances at once, every pair once: half a table, without gradients.
    assert largest <= (HALF if name == "arkd" else HALF // 4)
    assert kept <= HALF // 4


@pytest.mark.parametrize("name", ["gram", "token_kl", "patch_cka"])
def test_no_tables_of_all_images_are_made_or_kept(name):
    """Sixteen images of 28 x 28 cells: 9.8 million cosines."""
    generator = torch.Generator().manual_seed(0)
    student, target = (torch.randn(1, 16, width, 28, 28, generator=generator) for width in (8, 6))
    largest, kept = measure(name, student.requires_grad_(), target)
    assert largest <= 2**21 and kept <= 2**21

"""What a backbone costs, measured here and now: arithmetic, time and memory of one pass over a batch."""

from __future__ import annotations

import copy
import time
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from deo_bench.backbone import Backbone, Normalise
from deo_bench.features import Images


def multiply_adds(backbone: Backbone, pixels: Tensor, sees: str) -> int:
    """Multiply-adds of one pass over normalised pixels [B, C, H, W], counted on tensors without values.

    A backbone that looks at values (which expert a token goes to) is given some: a copy of it runs once.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        try:
            return _counted(_without_values(backbone), pixels.to("meta"), sees)
        except (NotImplementedError, RuntimeError):
            real = copy.deepcopy(backbone)
            place = next((value.device for value in real.parameters()), torch.device("cpu"))
            return _counted(real, pixels.to(place), sees)


def seconds(
    backbone: Backbone,
    images: Images,
    sees: str | None,
    normalise: Normalise = "native",
    dtype: torch.dtype = torch.float32,
    rounds: int = 5,
) -> list[float]:
    """Seconds of each of several passes over a batch, preparation (bands, normalisation) included; one before warms up.

    Evaluation mode, no maps, under autocast where the dtype is not float32.
    """
    where = images.pixels.device
    took = []
    with torch.no_grad(), torch.autocast(where.type, dtype, enabled=dtype is not torch.float32):
        for _ in range(rounds + 1):
            _wait(where)
            began = time.perf_counter()
            backbone(images, sees, normalise)
            _wait(where)
            took.append(time.perf_counter() - began)
    return took[1:]


def peak_bytes(
    backbone: Backbone,
    images: Images,
    sees: str | None,
    normalise: Normalise = "native",
    dtype: torch.dtype = torch.float32,
    rounds: int = 1,
) -> list[int]:
    """Most bytes alive at once while a batch passes, weights and the batch itself included, for each of several passes.

    On a GPU as its allocator says; on the CPU the tensors that operators make, added up (not what one needs inside).
    """
    where = images.pixels.device
    tensors = [*backbone.parameters(), *backbone.buffers(), images.pixels]
    held = sum(
        each.untyped_storage().nbytes() for each in {id(each.untyped_storage()): each for each in tensors}.values()
    )
    found = []
    with torch.no_grad(), torch.autocast(where.type, dtype, enabled=dtype is not torch.float32):
        backbone(images, sees, normalise)
        for _ in range(rounds):
            found.append(
                held + (_peak_on_gpu if where.type == "cuda" else _peak_on_cpu)(backbone, images, sees, normalise)
            )
    return found


def _peak_on_gpu(backbone: Backbone, images: Images, sees: str | None, normalise: Normalise) -> int:
    where = images.pixels.device
    torch.cuda.synchronize(where)
    before = torch.cuda.memory_allocated(where)
    torch.cuda.reset_peak_memory_stats(where)
    backbone(images, sees, normalise)
    torch.cuda.synchronize(where)
    return int(torch.cuda.max_memory_allocated(where) - before)


def _peak_on_cpu(backbone: Backbone, images: Images, sees: str | None, normalise: Normalise) -> int:
    with _Alive() as alive:
        backbone(images, sees, normalise)
    return alive.peak


class _Alive(TorchDispatchMode):
    """Adds up the bytes of the tensors that operators make, until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(each.untyped_storage()) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if not isinstance(each, Tensor) or each.device.type == "meta":
                continue
            storage = each.untyped_storage()
            if id(storage) in given or storage in self.known:
                continue
            self.known[storage] = None
            weakref.finalize(storage, self._let_go, storage.nbytes())
            self.alive += storage.nbytes()
            self.peak = max(self.peak, self.alive)
        return made

    def _let_go(self, size: int) -> None:
        self.alive -= size


def _counted(backbone: Backbone, pixels: Tensor, sees: str) -> int:
    with FlopCounterMode(display=False) as counter:
        backbone.eval().extract(pixels, sees, ())
    return int(counter.get_total_flops()) // 2


def _without_values(module: Backbone) -> Backbone:
    """A copy whose parameters and buffers have shapes alone, so that it takes no memory."""
    known: dict[int, Any] = {
        id(value): nn.Parameter(value.detach().to("meta"), requires_grad=False) for value in module.parameters()
    }
    known |= {id(value): value.detach().to("meta") for value in module.buffers()}
    return copy.deepcopy(module, known)


def _wait(device: torch.device) -> None:
    """Until a device that answers before it is done is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

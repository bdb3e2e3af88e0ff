"""Every draw is a function of (seed, stream, step); no generator is ever carried in a checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_of(*words: int | str) -> int:
    """A 63-bit seed from words: the same words, the same seed, on every machine (numpy's integers count as Python's).

    torch's CPU generator keeps 32 of the bits: of a million streams a few hundred share their draws, which harms
    nothing that is drawn for different images.
    """
    text = "\x1f".join(f"{'str' if isinstance(word, str) else 'int'}:{word}" for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(*words: int | str) -> np.random.Generator:
    """A numpy generator of a stream."""
    return np.random.default_rng(seed_of(*words))


def torch_generator(*words: int | str) -> torch.Generator:
    """A torch generator of a stream, on the CPU: crops are the same whatever the model's device."""
    import torch

    return torch.Generator().manual_seed(seed_of(*words))


@contextlib.contextmanager
def global_seed(*words: int | str) -> Iterator[None]:
    """Seed torch's global generator for a block and put it back after (weights' initialisation, drop path)."""
    import torch

    seed = seed_of(*words)
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries draw from it)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def batch_indices(size: int, batch: int, step: int, *stream: int | str) -> np.ndarray:
    """Indices of one step's batch [batch]: epochs are permutations, and a batch may straddle two of them."""
    wanted = np.arange(step * batch, (step + 1) * batch)
    epochs, places = np.divmod(wanted, size)
    indices = np.empty(batch, dtype=np.int64)
    for epoch in np.unique(epochs):
        order = numpy_generator(*stream, "epoch", int(epoch)).permutation(size)
        indices[epochs == epoch] = order[places[epochs == epoch]]
    return indices

"""Embeddings: one pass of a backbone over a task's images, kept by content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from deo_bench.backbone import Backbone
from deo_bench.data import Pack
from deo_bench.engine.build import images_of
from deo_bench.engine.checks import warn_of_units
from deo_bench.engine.request import EVALUATION_VERSION
from deo_bench.features import Images
from deo_bench.files import write_whole
from deo_bench.probes.protocols import ProtocolRecord
from deo_bench.recipe import digest

BATCH = 64


@dataclass(frozen=True)
class Evaluated:
    """A backbone to evaluate: what its weights are (a checksum or an identity), and how to get it when it is needed.

    beside: a second one, whose features are joined with its own.
    """

    weights: str
    load: Callable[[Pack], Backbone]
    depends_on_task: bool = False
    beside: Beside | None = None


@dataclass(frozen=True)
class Beside:
    """Another backbone whose features stand beside a subject's, and the band set that it is shown."""

    subject: Evaluated
    bands: str


def embed(
    subject: Evaluated, pack: Pack, bands: str, protocol: ProtocolRecord, cache: Path, device: torch.device
) -> tuple[np.ndarray, int]:
    """Pooled vectors [N, D] of every image of a pack, in order, and how many images were encoded for it.

    Kept under what defines them: weights, pixels, bands, size, normalisation, pooling. A cache entry that is not
    whole is made again.
    """
    native = pack.content if subject.depends_on_task else ""
    told = {
        "weights": subject.weights,
        "pixels": pack.pixels,
        "bands": [bands, pack.band_labels],
        "view": [protocol.size, protocol.interpolation, protocol.normalise, protocol.pooling],
        "statistics": pack.content if protocol.normalise == "dataset" else native,
        "device": device.type,
        "version": EVALUATION_VERSION,
    }
    path = cache / "embeddings" / f"{digest(told, 24)}.npy"
    kept = _kept(path, len(pack))
    if kept is not None:
        return kept, 0
    vectors = encode(subject.load(pack).to(device), pack, bands, protocol, device)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda temporary: _save(temporary, vectors))
    return vectors, len(pack)


def joined(blocks: Sequence[np.ndarray], fit: np.ndarray) -> np.ndarray:
    """Vectors of several backbones [N, D] each, side by side [N, sum D], each with the same weight in a distance.

    A block is centred and divided by its spread, one number: the root of its total variance. Both are of the images
    `fit`, which a probe may look at. So each block keeps its own geometry (its neighbours stay its neighbours), and
    none rules by its scale, by its width, or by a part that all images share.
    """
    scaled = []
    for block in blocks:
        centre = block[fit].mean(0, dtype=np.float64)
        spread = float(np.sqrt(block[fit].var(0, dtype=np.float64).sum()))
        scaled.append(((block - centre) / max(spread, 1e-12)).astype(np.float32))
    return np.concatenate(scaled, axis=1)


@torch.no_grad()
def encode(backbone: Backbone, pack: Pack, bands: str, protocol: ProtocolRecord, device: torch.device) -> np.ndarray:
    """Pooled vectors [N, D], float32, in batches of one size in the pack's order."""
    backbone.eval()
    parts = []
    for start in range(0, len(pack), BATCH):
        indices = np.arange(start, min(start + BATCH, len(pack)))
        images = resized(images_of(pack, indices, device, with_statistics=True), protocol)
        if start == 0:
            warn_of_units(backbone, images, bands, protocol.normalise, pack.name)
        features = backbone(images, bands, normalise=protocol.normalise)
        parts.append(features.get(protocol.pooling).float().cpu().numpy())
    return np.concatenate(parts)


def resized(images: Images, protocol: ProtocolRecord) -> Images:
    """Images at the protocol's size; `native` leaves them."""
    if protocol.size is None or images.pixels.shape[-2:] == (protocol.size, protocol.size):
        return images
    size = (protocol.size, protocol.size)
    pixels = functional.interpolate(images.pixels, size=size, mode=protocol.interpolation, align_corners=False)
    return replace(images, pixels=pixels)


def _kept(path: Path, count: int) -> np.ndarray | None:
    try:
        vectors: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count and vectors.dtype == np.float32 else None


def _save(path: Path, vectors: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.save(stream, vectors, allow_pickle=False)

"""Embeddings: one pass of a backbone over a task's images, kept by content."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deo_bench.backbone import Backbone
from deo_bench.data import Pack
from deo_bench.engine.build import images_of
from deo_bench.engine.request import EVALUATION_VERSION
from deo_bench.engine.view import View
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.store.embeddings import Embeddings

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
    subject: Evaluated, pack: Pack, view: View, kept: Embeddings, device: torch.device, rows: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Vectors [N, D] of a pack's images in order, and how many images were encoded for them.

    They are the protocol's pooled vector, or maps of its levels averaged over their cells, side by side. Kept under
    what defines them: weights, pixels, view, pooling, rows. rows: those that are encoded and given, none for all.
    """
    protocol = view.protocol
    told = told_of(subject, pack, view, device, rows) | {"pooling": protocol.levels or protocol.pooling}
    found = kept.find(told)
    if found is not None:
        return found, 0
    wanted = np.arange(len(pack)) if rows is None else rows
    vectors = ([each] for each in vectors_of(subject.load(pack).to(device), pack, view, wanted, device))
    # What is normalised by the task's own pixels is the same under either switch.
    return kept.keep([told], len(wanted), vectors, not subject.depends_on_task)[0], len(wanted)


def told_of(
    subject: Evaluated, pack: Pack, view: View, device: torch.device, rows: np.ndarray | None = None
) -> dict[str, Any]:
    """What defines features of a pack's images (of some rows of it), whatever is taken of them."""
    needs_statistics = subject.depends_on_task or view.protocol.normalise == "dataset"
    told = {
        "weights": subject.weights,
        "pixels": pack.pixels,
        "band_labels": pack.band_labels,
        "statistics": pack.content if needs_statistics else "",
        "device": device.type,
        "version": EVALUATION_VERSION,
        **view.told(),
    }
    if rows is not None:
        told["rows"] = rows.tolist() if len(rows) <= 64 else [len(rows), int(rows[0]), int(rows[-1]), _crc(rows)]
    return told


def vectors_of(
    backbone: Backbone, pack: Pack, view: View, rows: np.ndarray, device: torch.device
) -> Iterator[np.ndarray]:
    """The protocol's vectors [b, D] of a pack's rows, batch by batch."""
    protocol = view.protocol
    for features, levels in encoded(backbone, pack, view, rows, device, protocol.levels):
        yield _vector(features, protocol.pooling, levels)


@torch.no_grad()
def encoded(
    backbone: Backbone, pack: Pack, view: View, rows: np.ndarray, device: torch.device, levels: int | Sequence[str] = ()
) -> Iterator[tuple[Features, tuple[str, ...]]]:
    """Features of a pack's rows, batch by batch, with the names of the levels whose maps were asked for."""
    backbone.eval()
    names = levels_of(backbone, levels)
    for start in range(0, len(rows), BATCH):
        images = images_of(pack, rows[start : start + BATCH], device, with_statistics=True)
        if start == 0:
            view.warn(backbone, images, pack.name)
        yield view.features(backbone, images, names), names


def levels_of(backbone: Backbone, levels: int | Sequence[str]) -> tuple[str, ...]:
    """Names of levels: as given, or so many of the backbone's own; one without maps is a UserError."""
    if not isinstance(levels, int):
        return tuple(levels)
    names = backbone.own_levels(levels) if levels else ()
    if levels and not names:
        raise UserError(f"{type(backbone).__name__} gives pooled vectors alone, and maps are asked for")
    return names


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


def _vector(features: Features, pooling: str, levels: Sequence[str]) -> np.ndarray:
    if not levels:
        return features.get(pooling).float().cpu().numpy()
    return torch.cat([features.maps[level].float().mean((2, 3)) for level in levels], 1).cpu().numpy()


def _crc(rows: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(rows, dtype=np.int64).data)

"""Labelled scenes, read one by one by whoever knows how, cut into squares and packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deo_bench.bands import Unit
from deo_bench.data import Pack
from deo_bench.data.join import count_squares, squares
from deo_bench.data.pack import write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.errors import UserError

SEED = 0
"""What a split that a data set does not have is drawn with."""


@dataclass(frozen=True)
class Scenes:
    """A data set's scenes: their roles, and how one is read.

    roles: `fit`, `select` or `report`, one a scene; read: place -> (image [C, H, W] or two dates of it, label: a
    number, [K] zeros and ones, or [H, W]); sizes: height and width of each scene, none where all are of one size.
    """

    roles: Sequence[str]
    read: Callable[[int], tuple[np.ndarray | Dated, np.ndarray]]
    bands: tuple[str, ...]
    unit: Unit
    classes: tuple[str, ...]
    ignore: int | None = None
    sizes: Sequence[tuple[int, ...]] | None = None


def drawn(count: int, shares: Sequence[float]) -> list[np.ndarray]:
    """Places 0 … count - 1 dealt out by shares of the whole, the rest at the end; each piece is sorted.

    `numpy.random.default_rng(0).permutation(count)`, cut at the rounded shares; each piece has at least one place.
    """
    if count <= len(shares):
        raise UserError(f"{count} scenes are too few to be split into {len(shares) + 1}")
    sizes = [max(1, round(share * count)) for share in shares]
    order = np.random.default_rng(SEED).permutation(count)
    return [np.sort(piece) for piece in np.split(order, np.cumsum(sizes))]


def at_most(count: int, most: int | None) -> np.ndarray:
    """Places 0 … count - 1, or `most` of them, drawn by the same seed and sorted."""
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[:most]) if most is not None else np.arange(count)


def whole_numbers(values: np.ndarray, dtype: type, where: str) -> np.ndarray:
    """Floats that hold whole numbers as what they were before a library made them floats; others are an error."""
    kept: np.ndarray = values.astype(dtype)
    if not np.array_equal(kept, values):
        raise UserError(f"{where}: pixels from {values.min()} to {values.max()} are no {np.dtype(dtype)}")
    return kept


def pack_scenes(folder: Path, name: str, scenes: Scenes, patch: int | None = None) -> Pack:
    """The scenes as a pack; with patch, squares of so many pixels, those of one scene a group.

    What a scene has left at its right and bottom edges, less than a square, is in no image.
    """
    first, label = scenes.read(0)
    size = (first.image if isinstance(first, Dated) else first).shape[1:]
    sizes = scenes.sizes or [size] * len(scenes.roles)
    counts = [count_squares(size, patch, f"{name}, scene {place}") for place, size in enumerate(sizes)]
    shape = label.shape if label.ndim < 2 else (patch or size[0], patch or size[1])
    labels = np.zeros((sum(counts), *shape), dtype=label.dtype)
    roles = np.repeat(np.asarray(scenes.roles), counts)
    return write_pack(
        folder,
        name=name,
        images=_images(name, scenes, sizes, patch, labels),
        count=sum(counts),
        bands=scenes.bands,
        unit=scenes.unit,
        labels=labels,
        classes=scenes.classes,
        splits={role: np.flatnonzero(roles == role) for role in ("fit", "select", "report")},
        groups=np.repeat(np.arange(len(counts)), counts) if patch is not None else None,
        ignore=scenes.ignore,
    )


def _images(
    name: str, scenes: Scenes, sizes: Sequence[tuple[int, ...]], patch: int | None, labels: np.ndarray
) -> Iterator[np.ndarray | Dated]:
    """The images in order; their labels are filled in on the way."""
    done = 0
    for place, size in enumerate(sizes):
        found, label = scenes.read(place)
        pair = (found.image, found.later) if isinstance(found, Dated) else (found,)
        shapes = {image.shape[1:] for image in pair} | ({label.shape} if label.ndim == 2 else set())
        if shapes != {tuple(size)}:
            told = ", ".join(map(str, sorted(shapes)))
            raise UserError(f"{name}, scene {place}: image and label are {told} px, expected {tuple(size)}")
        pieces = squares(label, patch) if label.ndim == 2 else [label]
        for piece, *images in zip(pieces, *(squares(image, patch) for image in pair), strict=True):
            labels[done] = piece
            done += 1
            yield Dated(*images) if len(images) == 2 else images[0]

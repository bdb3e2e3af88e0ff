"""Frozen maps for dense tasks: encoded once and kept where images are seen whole, else window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deo_bench.backbone import Backbone
from deo_bench.data import Pack
from deo_bench.engine.build import images_of
from deo_bench.engine.embed import Evaluated, encoded, levels_of, told_of
from deo_bench.engine.view import View
from deo_bench.probes.maps import Logits, MapSource
from deo_bench.store.embeddings import Embeddings

BATCH = 16
"""Images whose maps of classes are predicted at once: their logits are as large as the labels, a class each."""

Levels = int | tuple[str, ...]
_LARGEST_HALF = float(np.finfo(np.float16).max)


def kept_maps(
    subject: Evaluated,
    pack: Pack,
    view: View,
    levels: Levels,
    kept: Embeddings,
    device: torch.device,
    rows: np.ndarray | None = None,
) -> tuple[list[np.ndarray], int]:
    """Maps [N, C, h, w] of each level, float16 and memory-mapped, and how many images were encoded for them.

    rows: those that are encoded and given, none for all of the pack's images. One pass serves all levels. Levels told
    by their number are the backbone's own, so it is only loaded where maps are not kept already.
    """
    count = levels if isinstance(levels, int) else len(levels)
    told: list[dict[str, Any]] = [
        told_of(subject, pack, view, device, rows)
        | {"map": [levels, place] if isinstance(levels, int) else levels[place], "type": "float16"}
        for place in range(count)
    ]
    found = [kept.find(each) for each in told]
    there = [each for each in found if each is not None]
    if len(there) == count:
        return there, 0
    backbone = subject.load(pack).to(device)
    told = told[: len(levels_of(backbone, levels))]  # a backbone with fewer levels gives them all
    there = [each for each in found[: len(told)] if each is not None]
    if len(there) == len(told):
        return there, 0
    wanted = np.arange(len(pack)) if rows is None else rows
    batches = encoded(backbone, pack, view, wanted, device, levels)
    halves = ([_half(features.maps[name]) for name in names] for features, names in batches)
    return kept.keep(told, len(wanted), halves, not subject.depends_on_task), len(wanted)


def _half(maps: Tensor) -> np.ndarray:
    """What is beyond half precision is brought to its edge; torchgeo-bench keeps maps as halves, too."""
    return maps.float().clamp(-_LARGEST_HALF, _LARGEST_HALF).half().cpu().numpy()


def _labels_of(labels: np.ndarray | None, rows: np.ndarray, device: torch.device) -> Tensor | None:
    """Whole label maps [B, H, W] of these rows, int64; none where there are no labels."""
    return None if labels is None else torch.from_numpy(np.asarray(labels[rows], dtype=np.int64)).to(device)


@dataclass
class KeptMaps(MapSource):
    """Maps of images that are seen whole, read from the cache.

    arrays: a date, a level: [M, C, h, w]; rows: [N] of the pack that belong to the role; labels: [P, H, W] of the pack,
    none of what is predicted; places: [N] where the arrays have these rows, none where they have all of the pack's.
    """

    arrays: Sequence[Sequence[np.ndarray]]
    rows: np.ndarray
    labels: np.ndarray | None
    size: tuple[int, int]
    device: torch.device
    places: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.dates = len(self.arrays)
        first = self.arrays[0]
        self.shapes = tuple((int(array.shape[1]), int(array.shape[2]), int(array.shape[3])) for array in first)

    def __len__(self) -> int:
        """How many images the role has."""
        return len(self.rows)

    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor | None]:
        """Maps and labels of the images at these places, always whole."""
        held = (self.rows if self.places is None else self.places)[places]
        maps = [
            torch.from_numpy(np.stack([date[held] for date in dates], 1)).to(self.device).float()
            for dates in zip(*self.arrays, strict=True)
        ]
        return maps, self.whole_labels(places)

    def whole_labels(self, places: np.ndarray) -> Tensor | None:
        """Labels [B, H, W] of the images at these places."""
        return _labels_of(self.labels, self.rows[places], self.device)

    @torch.no_grad()
    def predicted(self, logits: Logits) -> Iterator[np.ndarray]:
        """Classes of every image, in batches."""
        for start in range(0, len(self), BATCH):
            maps, _ = self.batch(np.arange(start, min(start + BATCH, len(self))))
            found = functional.interpolate(logits(maps).float(), size=self.size, mode="bilinear", align_corners=False)
            yield found.argmax(1).cpu().numpy()


@dataclass
class WindowMaps(MapSource):
    """Maps of windows, encoded when asked for: random crops to fit on, and what overlaps by half to be reported.

    packs: a date; side: of a window in pixels of the images, at most theirs; rows, labels: as of `KeptMaps`; is_live:
    gradients reach the backbone, and its mode is whoever's who trains it; flips: of what is cut at random.
    """

    backbone: Backbone
    packs: Sequence[Pack]
    view: View
    levels: tuple[str, ...]
    rows: np.ndarray
    labels: np.ndarray | None
    side: int
    device: torch.device
    is_live: bool = False
    flips: bool = False

    def __post_init__(self) -> None:
        self.dates = len(self.packs)
        height, width = self.packs[0].images.shape[2:]
        self.size = (height, width)
        self.window = (min(self.side, height), min(self.side, width))
        self.backbone.eval()
        with torch.no_grad():
            maps = self._encoded(self.rows[:1], [(0, 0)])
        self.shapes = tuple((int(each.shape[2]), int(each.shape[3]), int(each.shape[4])) for each in maps)

    def __len__(self) -> int:
        """How many images the role has."""
        return len(self.rows)

    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor | None]:
        """Maps and labels of a crop of each image: drawn from the generator, or from the middle and never flipped."""
        rows, room = self.rows[places], [full - side for full, side in zip(self.size, self.window, strict=True)]
        if generator is None:
            corners = [(room[0] // 2, room[1] // 2)] * len(rows)
        else:
            drawn = torch.rand(len(rows), 2, generator=generator).double()
            corners = [(int(y * (room[0] + 1)), int(x * (room[1] + 1))) for y, x in drawn.tolist()]
        turned: list[tuple[int, ...]] = [()] * len(rows)
        if self.flips and generator is not None:
            drawn = torch.rand(len(rows), 2, generator=generator) < 0.5
            turned = [tuple(axis for axis in (0, 1) if row[axis]) for row in drawn.tolist()]
        maps = self._encoded(rows, corners, turned)
        if self.labels is None:
            return maps, None
        cut = [
            np.flip(self._cut(self.labels[row], corner), axes)
            for row, corner, axes in zip(rows, corners, turned, strict=True)
        ]
        return maps, torch.from_numpy(np.stack(cut).astype(np.int64)).to(self.device)

    def whole_labels(self, places: np.ndarray) -> Tensor | None:
        """Labels [B, H, W] of the images at these places, not cropped; no image is encoded."""
        return _labels_of(self.labels, self.rows[places], self.device)

    @torch.no_grad()
    def predicted(self, logits: Logits) -> Iterator[np.ndarray]:
        """Classes of every image: the mean of the windows' probabilities, pixel by pixel."""
        for start in range(0, len(self), BATCH):
            rows = self.rows[start : start + BATCH]
            total: Tensor | None = None
            for corner in self._corners():
                found = logits(self._encoded(rows, [corner] * len(rows))).float()
                found = functional.interpolate(found, size=self.window, mode="bilinear", align_corners=False).softmax(1)
                if total is None:
                    total = found.new_zeros(*found.shape[:2], *self.size)
                # Every window of a pixel weighs alike; their number does not move the argmax.
                self._cut(total, corner).add_(found)
            assert total is not None
            yield total.argmax(1).cpu().numpy()

    def _corners(self) -> list[tuple[int, int]]:
        rows, columns = (
            sorted({*range(0, full - side, max(side // 2, 1)), full - side})
            for full, side in zip(self.size, self.window, strict=True)
        )
        return [(row, column) for row in rows for column in columns]

    def _cut(self, values: Any, corner: tuple[int, int]) -> Any:
        (y, x), (height, width) = corner, self.window
        return values[..., y : y + height, x : x + width]

    def _encoded(
        self, rows: np.ndarray, corners: Sequence[tuple[int, int]], turned: Sequence[tuple[int, ...]] | None = None
    ) -> list[Tensor]:
        """Maps [B, dates, C, h, w] of a window of each row, flipped along the axes (0, 1) that `turned` says."""
        if not self.is_live:
            self.backbone.eval()
        dates = []
        with torch.set_grad_enabled(self.is_live and torch.is_grad_enabled()):
            for pack in self.packs:
                images = images_of(pack, rows, self.device, with_statistics=True)
                windows = [self._cut(image, corner) for image, corner in zip(images.pixels, corners, strict=True)]
                if turned is not None:
                    windows = [
                        each.flip([1 + axis for axis in axes]) for each, axes in zip(windows, turned, strict=True)
                    ]
                shown = replace(images, pixels=torch.stack(windows))
                features = self.view.features(self.backbone, shown, self.levels)
                dates.append([features.maps[name].float() for name in self.levels])
        return [torch.stack(level, 1) for level in zip(*dates, strict=True)]

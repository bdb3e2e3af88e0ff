"""Images as a probe that trains on them sees them: a split of a pack, batch by batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.bands import Unit
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes import Fit, Prediction, Probe, Select


@dataclass(frozen=True)
class ImageSource:
    """Images of one role, read when asked for.

    pixels: [M, C, H, W], memory-mapped or not; bands: C canonical names; unit: of the pixels; index: [N] rows that
    belong to the role; mean, std: [C] of the data set, in `unit`, or none; shown: how a protocol shows them (its size).
    """

    pixels: np.ndarray
    bands: tuple[str, ...]
    unit: Unit
    index: np.ndarray
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    shown: Callable[[Images], Images] | None = None

    def __len__(self) -> int:
        """How many images the role has."""
        return len(self.index)

    def batch(self, places: np.ndarray) -> Images:
        """The images at these places, 0 to N - 1, as float32."""
        pixels = torch.from_numpy(np.asarray(self.pixels[self.index[places]], dtype=np.float32))
        mean, std = (
            None if each is None else torch.as_tensor(np.asarray(each), dtype=torch.float32)
            for each in (self.mean, self.std)
        )
        images = Images(pixels, self.bands, self.unit, mean, std)
        return images if self.shown is None else self.shown(images)


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels, [N] class ids or [N, K] zeros and ones, of one role."""

    images: ImageSource
    labels: np.ndarray


class ImageProbe(Probe):
    """A probe with the fact `needs="images"` (a fresh student) or `needs="backbone"` (one with weights)."""

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Not of features: use `predict_images`."""
        raise UserError(f"probe {type(self).__name__.lower()!r} works on images, not on a backbone's features")

    @abstractmethod
    def predict_images(
        self,
        backbone: Backbone,
        fit: LabelledImages,
        select: LabelledImages,
        report: ImageSource,
        num_classes: int,
        sees: str | None = None,
        seed: int = 0,
        normalise: Normalise = "native",
    ) -> Prediction:
        """Look at images, or train on those of *fit*, and predict the report images; `num_classes` 0 means numbers."""

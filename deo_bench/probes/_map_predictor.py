"""A backbone that is trained together with a decoder on its maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deo_bench.backbone import Backbone
from deo_bench.draws import global_seed
from deo_bench.probes._pixel_loss import PixelLoss
from deo_bench.probes._segmenter import Segmenter, mean_iou
from deo_bench.probes._training import Stream, Trained
from deo_bench.probes.maps import MapSource

BATCH = 16
"""Images of *select* that are looked at in one go."""


class MapPredictor(Trained):
    """A backbone and a decoder (`head`) that is fed the maps of a source of the same backbone; labels a pixel."""

    head: Segmenter

    def __init__(
        self,
        backbone: Backbone,
        source: MapSource,
        num_classes: int,
        ignore: int | None,
        stream: Stream,
        frozen: bool,
        **decoder: Any,
    ) -> None:
        super().__init__()
        self.backbone, self.frozen = backbone, frozen
        self.num_classes, self.ignore = num_classes, ignore
        with global_seed(*stream, "decoder"):
            self.head = Segmenter(source=source, num_classes=num_classes, **decoder).to(source.device)
        self.pixel_loss = PixelLoss("ce", num_classes, ignore)

    def loss_on(self, fit: MapSource, places: np.ndarray, generator: torch.Generator) -> Tensor:
        """The mean cross-entropy of the pixels of these images, or of a crop of each."""
        maps, labels = fit.batch(places, generator)
        assert labels is not None
        return self.pixel_loss(self.head(maps), labels)

    @torch.no_grad()
    def value_on(self, select: MapSource) -> tuple[float, float]:
        """mIoU; the earlier of equals."""
        self.eval()
        return mean_iou(self.head, select, self.num_classes, self.ignore, BATCH), 0.0

    def first_features(self, fit: MapSource) -> Tensor:
        """The first image's first map."""
        return fit.batch(np.arange(1))[0][0]

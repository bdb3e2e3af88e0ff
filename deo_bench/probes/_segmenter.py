"""A decoder over one date or two, and how well it does on maps with labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from deo_bench.probes._decoders import decoder
from deo_bench.probes._pixel_loss import is_kept
from deo_bench.probes._pyramid import resized
from deo_bench.probes.confusion import confusion_matrices
from deo_bench.probes.maps import MapSource
from deo_bench.probes.metrics import measure


class Segmenter(nn.Module):
    """A decoder with what brings two dates together before it."""

    def __init__(
        self, head: str, source: MapSource, num_classes: int, hidden: int | None, neck: bool, combine: str
    ) -> None:
        super().__init__()
        self.combine = combine
        times = 2 if source.dates == 2 and combine == "concat" else 1
        shapes = [(times * channels, height, width) for channels, height, width in source.shapes]
        self.decoder = decoder(head, shapes, num_classes, hidden, neck)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, K, h, w] of maps [B, dates, C, h, w], one a level."""
        logits: Tensor = self.decoder([self._joined(each) for each in maps])
        return logits

    def _joined(self, maps: Tensor) -> Tensor:
        if maps.shape[1] == 1:
            return maps[:, 0]
        return (maps[:, 1] - maps[:, 0]).abs() if self.combine == "difference" else maps.flatten(1, 2)

    @torch.no_grad()
    def logits(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits in evaluation mode."""
        self.eval()
        found: Tensor = self(maps)
        return found


def mean_iou(model: Segmenter, source: MapSource, num_classes: int, ignore: int | None, batch: int) -> float:
    """mIoU of all of a source's pixels; 0 where it has none that counts."""
    total = np.zeros((1, num_classes, num_classes), np.int64)
    for at in range(0, len(source), batch):
        maps, labels = source.batch(np.arange(at, min(at + batch, len(source))))
        assert labels is not None
        is_kept(labels, num_classes, ignore, "select")
        said = resized(model.logits(maps), labels.shape[-2:]).argmax(1)
        total += confusion_matrices(labels.cpu().numpy(), said.cpu().numpy(), num_classes, ignore).sum(0)
    return float(np.nan_to_num(measure("miou", total.sum(2), total)[0]))

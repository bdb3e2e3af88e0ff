"""What a backbone costs, as scores: they stand beside what it reaches."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.probes import Prediction, probe
from deo_bench.probes.costs import multiply_adds, peak_bytes, seconds
from deo_bench.probes.images import ImageProbe, ImageSource, LabelledImages

PROFILES = {
    "profile_parameters": {"summary": "Parameters of the backbone, in millions.", "metric": "mean_cost"},
    "profile_gmacs": {
        "summary": "Billions of multiply-adds of the backbone on one image of the protocol's size.",
        "metric": "mean_cost",
    },
    "profile_images_per_second": {
        "summary": "Images that the backbone encodes in a second, measured where the score was made.",
        "metric": "mean_rate",
    },
    "profile_peak_memory": {
        "summary": "MiB alive at once, weights included, while the backbone encodes a batch.",
        "metric": "mean_cost",
    },
}


@probe(PROFILES, needs="backbone", kinds=["single", "multi", "regression", "segmentation", "change"])
class Profile(ImageProbe):
    """A cost of the backbone on the task's own images, as the protocol shows them: bands, size, normalisation.

    Scores are what was measured, [R, 1]: once what is counted, `rounds` times what is timed or weighed, of `batch`
    images in `precision` after a pass to warm up. The interval says how much the measurements scatter, not how the
    images do. Speed depends on the machine and on what else it does: such a score is no file to compare byte by byte.
    """

    def __init__(
        self,
        name: str,
        *,
        batch: Count = 16,
        rounds: Count = 5,
        precision: Literal["float32", "bfloat16", "float16"] = "float32",
    ) -> None:
        self.what = name.removeprefix("profile_")
        self.batch, self.rounds, self.dtype = batch, rounds, getattr(torch, precision)

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
        """What was measured [R, 1]; labels and seed play no part."""
        return Prediction(self._measured(backbone.eval(), report, sees or backbone.first, normalise)[:, None])

    def _measured(self, backbone: Backbone, report: ImageSource, sees: str, normalise: Normalise) -> np.ndarray:
        if self.what == "parameters":
            return np.array([sum(each.numel() for each in backbone.parameters()) / 1e6])
        if len(report) == 0:
            raise UserError(f"probe 'profile_{self.what}': the report split is empty; it needs an image to measure on")
        if self.what == "gmacs":
            pixels = backbone.prepare(report.batch(np.arange(1)), sees, normalise)
            return np.array([multiply_adds(backbone, pixels, sees) / 1e9])
        images = report.batch(np.arange(self.batch) % len(report))
        if self.what == "peak_memory":
            return np.array(peak_bytes(backbone, images, sees, normalise, self.dtype, self.rounds)) / 2**20
        return self.batch / np.array(seconds(backbone, images, sees, normalise, self.dtype, self.rounds))

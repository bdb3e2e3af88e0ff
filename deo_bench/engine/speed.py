"""How many images a backbone encodes in a second, measured here and now."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch

from deo_bench.backbone import Backbone
from deo_bench.features import Images
from deo_bench.probes.costs import seconds

ROUNDS = 5


@dataclass(frozen=True)
class Speed:
    """Images a second, at which size in pixels, how many at once, in which precision and on which device."""

    images_per_second: float
    size: int
    batch: int
    precision: str
    device: str


def measure(
    backbone: Backbone,
    size: int = 224,
    batch: int = 16,
    device: str = "cpu",
    precision: str = "float32",
    rounds: int = ROUNDS,
) -> Speed:
    """The median of several passes over one batch, preparation (bands, normalisation) included, after one to warm up.

    The backbone's first band set, no maps. Weights do not matter, so untrained ones will do. precision: a dtype of
    torch's, under autocast where it is not float32.
    """
    where, kind = torch.device(device), getattr(torch, precision)
    backbone = backbone.to(where).eval()
    bands = backbone.band_sets[backbone.first]
    images = Images(torch.rand(batch, len(bands), size, size, device=where) * 0.3, bands, "reflectance")
    took = seconds(backbone, images, None, dtype=kind, rounds=rounds)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    return Speed(batch / median(took), size, batch, precision, name)

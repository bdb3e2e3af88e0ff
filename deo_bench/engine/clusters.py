"""Groups for images that carry none: clusters of their mean spectra."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2

from deo_bench.data import Pack

BLOCK = 256


def spectral_clusters(pack: Pack, count: int) -> np.ndarray:
    """A cluster of each image [N], from 0: k-means of its bands' means, each band scaled by its spread over the images.

    No label is looked at; what falls together is land that looks alike from afar. The same for every seed.
    """
    blocks = (pack.images[start : start + BLOCK] for start in range(0, len(pack), BLOCK))
    means = np.concatenate([np.asarray(block, dtype=np.float64).mean((2, 3)) for block in blocks])
    spread = means.std(0)
    scaled = (means - means.mean(0)) / np.where(spread > 0, spread, 1.0)
    _, numbers = kmeans2(scaled, min(count, len(scaled)), minit="++", rng=np.random.default_rng(0))
    return np.asarray(numbers, dtype=np.int64)

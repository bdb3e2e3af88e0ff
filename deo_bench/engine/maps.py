"""Maps of features for people to look at: a backbone's own principal components of a few images, beside the images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS, convert, has_bands, select
from deo_bench.data import Pack
from deo_bench.engine.embed import encoded
from deo_bench.engine.request import MAPS_LEVEL, MapRequest
from deo_bench.engine.view import View
from deo_bench.errors import UserError
from deo_bench.probes.record import ProtocolRecord
from deo_bench.store.maps import COMPONENTS, FeatureMaps

LARGEST_PICTURE = 256
"""Pixels of a picture's longer side: as many as a print of it shows."""
STRETCH = (2.0, 98.0)
"""Percentiles of a band that are shown as black and as full colour."""
GAMMA = 1.5
"""How much what is dark is lightened between the two: most of a satellite's image is, and a print is darker still."""
_NOTHING = 1e-10
"""The share of the variance below which a component is rounding, whose sign and direction mean nothing."""
_ROUNDING = 1e-12
"""The share of the squared features below which their variance is float32's rounding: the cells are all the same."""


def feature_maps(
    load: Callable[[Pack], Backbone], pack: Pack, request: MapRequest, device: torch.device
) -> FeatureMaps:
    """The maps of a backbone, or that it has none and why. load: gets the backbone, as for a score of the same."""
    chosen = evenly(np.asarray(pack.splits.get("report", ())), request.count)
    if not len(chosen):
        raise UserError(f"task {request.score.task!r} has no report split, so there is nothing to show of it")
    backbone = load(pack).to(device)
    if MAPS_LEVEL not in backbone.levels:
        return FeatureMaps.none(MAPS_LEVEL, "it has pooled vectors alone")
    protocol = request.score.protocol
    seen = encode_maps(backbone, pack, chosen, request.score.bands, protocol, device)
    maps, explained = principal(seen)
    shown, names = pictures(pack, chosen)
    return FeatureMaps(maps, shown, explained, chosen.astype(np.int64), MAPS_LEVEL, names, _told(protocol))


def evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of the rows, from the middles of as many equal stretches; all of them where there are fewer."""
    count = min(count, len(rows))
    return rows[(2 * np.arange(count) + 1) * len(rows) // (2 * max(count, 1))]


@torch.no_grad()
def encode_maps(
    backbone: Backbone, pack: Pack, chosen: np.ndarray, bands: str, protocol: ProtocolRecord, device: torch.device
) -> np.ndarray:
    """Maps [N, C, H, W], float32, of the images as an embedding sees them: the same size, the same normalisation."""
    batches = encoded(backbone, pack, View(protocol, bands), chosen, device, (MAPS_LEVEL,))
    return np.concatenate([features.maps[MAPS_LEVEL].float().cpu().numpy() for features, _ in batches])


def principal(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps [N, C, H, W] on their first three principal components [N, H, W, 3], and each one's share of variance [3].

    The components are of the cells of all images together. A component's largest weight is positive, so that its sign
    is the same every time; one without variance is zero.
    """
    count, channels, height, width = maps.shape
    cells = maps.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float64)
    if not np.isfinite(cells).all():
        raise UserError("its maps hold values that are not finite")
    size = float((cells**2).sum())
    cells -= cells.mean(0)
    values, vectors = np.linalg.eigh(cells.T @ cells)
    total = float(values.clip(0).sum())
    found = np.zeros((len(cells), COMPONENTS))
    explained = np.zeros(COMPONENTS)
    for place in range(min(COMPONENTS, channels)):
        value, vector = float(values[-1 - place]), vectors[:, -1 - place]
        if value > _NOTHING * total and total > _ROUNDING * size:
            found[:, place] = cells @ (vector * np.sign(vector[np.abs(vector).argmax()]))
            explained[place] = value / total
    return found.reshape(count, height, width, COMPONENTS).astype(np.float32), explained


def pictures(pack: Pack, chosen: np.ndarray) -> tuple[np.ndarray, str]:
    """Images for the eye [N, h, w, 3], uint8, and the bands they show: red, green and blue, or the first there are.

    Each band is stretched between two percentiles of these images; what was made for the eye is left as it is.
    """
    names = BAND_SETS["rgb"] if has_bands(pack.bands, BAND_SETS["rgb"]) else (*pack.bands, *[pack.bands[-1]] * 2)[:3]
    pixels = np.asarray(pack.images[chosen], dtype=np.float32)[:, select(pack.bands, names)]
    if pack.unit in ("uint8", "display"):
        pixels = convert(pixels, pack.unit, "display")
    else:
        low, high = np.percentile(pixels, STRETCH, axis=(0, 2, 3), keepdims=True)
        pixels = ((pixels - low) / np.maximum(high - low, 1e-12)).clip(0, 1) ** (1 / GAMMA)
    factor = max(*pixels.shape[-2:], LARGEST_PICTURE) / LARGEST_PICTURE
    size = [round(length / factor) for length in pixels.shape[-2:]]
    small = functional.interpolate(torch.from_numpy(pixels.astype(np.float32)), size=size, mode="area").numpy()
    return (small.clip(0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1), ", ".join(names)


def _told(protocol: ProtocolRecord) -> str:
    """How the images reached the backbone, in words."""
    size = "native size" if protocol.size is None else f"{protocol.size} px, {protocol.interpolation}"
    return f"{size}, {protocol.normalise} normalisation"

"""Looks at the first normalised batch of a backbone: a wrong unit shows there before it costs twenty points."""

from __future__ import annotations

import warnings

import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.features import Images

FAR_MEAN = 5.0
FAR_SPREADS = (0.05, 20.0)
FAR_SCALED = 0.001
"""The least spread where pixels are only scaled, as reflectance is: a dark scene's is a hundredth, cirrus' less."""


class UnitWarning(UserWarning):
    """Normalised pixels that look as if their unit were another."""


@torch.no_grad()
def warn_of_units(backbone: Backbone, images: Images, sees: str, normalise: Normalise, what: str) -> None:
    """Warn where a band's mean is far from 0 or its spread far from 1, with the unit that it looks like.

    Where no mean is taken, a band's spread says nothing of its own: all are judged by the widest. A band that does not
    vary at all has no unit to be wrong: it is told as such, where nothing else is.
    """
    pixels = backbone.prepare(images, sees, normalise)[:, : len(backbone.band_sets[sees])]
    means, spreads = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    least, is_flat = FAR_SPREADS[0], (spreads == 0).tolist()
    if normalise == "native" and not any(backbone.normalisations[sees].mean):
        least, spreads = FAR_SCALED, spreads.amax().expand_as(spreads)
    told = zip(backbone.band_sets[sees], means.tolist(), spreads.tolist(), is_flat, strict=True)
    for name, mean, spread in (each[:3] for each in told if not each[3]):
        if abs(mean) > FAR_MEAN or not least < spread < FAR_SPREADS[1]:
            likely = "digital numbers read as reflectance" if abs(mean) > 100 else "reflectance read as digital numbers"
            warnings.warn(
                f"{what}: band {name} has mean {mean:.2g} and spread {spread:.2g} after normalisation, far from 0 and "
                f"1; is unit = {images.unit!r} right? It looks like {likely}, or like another sensor",
                UnitWarning,
                stacklevel=2,
            )
            return
    flat = [name for name, is_same in zip(backbone.band_sets[sees], is_flat, strict=True) if is_same]
    if flat:
        warnings.warn(
            f"{what}: {', '.join(flat)} did not vary over the {len(pixels)} images looked at, and so says nothing of "
            "them; is it empty?",
            UnitWarning,
            stacklevel=2,
        )

"""Sentinel-2 teachers on timm's architectures, from the files that torchgeo's table of weights names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import timm
from torch import Tensor

from deo_bench.bands import BAND_SETS
from deo_bench.normalisation import Normalisation
from deo_bench.teachers._pyramid import TimmPyramid
from deo_bench.teachers._timm import View
from deo_bench.teachers._vit import TimmVit

SIDE = 224
"""Pixels of the images that the place tokens of all these vision transformers are for."""

HEADS = ("head.weight", "head.bias", "fc.weight", "fc.bias")
NORM = ("norm.weight", "norm.bias")

DN = 10_000.0
SSL4EO = dict(
    zip(
        BAND_SETS["s2_13"],
        [
            (1612.9, 791.0),
            (1397.6, 854.3),
            (1322.3, 878.7),
            (1373.1, 1144.9),
            (1561.0, 1127.5),
            (2108.4, 1164.2),
            (2390.7, 1276.0),
            (2318.7, 1249.5),
            (2581.0, 1345.9),
            (837.7, 577.5),
            (22.0, 47.5),
            (2195.2, 1340.0),
            (1537.4, 1142.9),
        ],
        strict=True,
    )
)
"""Mean and standard deviation of each band in digital numbers, over SSL4EO-S12 (SoftCon's and DeCUR's code)."""


def digital_numbers(entry: Mapping[str, Any]) -> list[View]:
    """The entry's band set, its digital numbers over 10,000, or their z-scores where it has `statistics`."""
    sees = str(entry["bands"][0])
    bands = BAND_SETS[sees]
    scores = [SSL4EO[band] if "statistics" in entry else (0.0, DN) for band in bands]
    mean, std = zip(*scores, strict=True)
    return [(sees, bands, Normalisation("dn", mean, std))]


def without_heads(state: Mapping[str, Tensor], model: Any) -> Mapping[str, Tensor]:
    """The tensors without a classifier; with the final norm as it starts where the file has none, as torchgeo allows.

    Nothing else may be missing or too much.
    """
    own = model.state_dict()
    norm = {name: own[name] for name in NORM if name in own}
    kept = {name: value for name, value in state.items() if name not in HEADS}
    return kept if norm.keys() & kept.keys() else norm | kept


class MultispectralVit(TimmVit):
    """A vision transformer of timm's on Sentinel-2's bands."""

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        return digital_numbers(entry)

    def _architecture(self, name: str) -> Any:
        bands = len(self.band_sets[self.first])
        made = {"img_size": SIDE, "dynamic_img_size": True, **self.overrides}
        return timm.create_model(name, pretrained=False, num_classes=0, in_chans=bands, **made)


class MultispectralResNet(TimmPyramid):
    """A ResNet of timm's on Sentinel-2's bands; its stages from 1 are the stem, then its four layers."""

    narrow: ClassVar[dict[str, Any]] = {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}

    def _views(self, entry: Mapping[str, Any], white: float) -> Sequence[View]:
        return digital_numbers(entry)

    def _architecture(self, name: str) -> Any:
        bands = len(self.band_sets[self.first])
        return timm.create_model(name, pretrained=False, num_classes=0, in_chans=bands, **self.overrides)

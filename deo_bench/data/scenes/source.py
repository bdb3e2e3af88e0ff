"""Scenes to pre-train on: as many as are asked for, of any seed, none of them in the benchmark."""

from __future__ import annotations

import numpy as np

from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.pack import pack_once, write_pack
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.write import GENERATOR, pretraining_scene
from deo_bench.declarations import Count


@data("scenes", licence="MIT", summary="Made-up Sentinel-2 scenes (10 bands, 64 px), as many as asked for; no labels.")
class Scenes(Data):
    """Made-up Sentinel-2 scenes from published spectra, without labels.

    count: how many; seed: which (scene i of a seed does not depend on the count). No seed meets the benchmark `scenes`.
    """

    version = 1

    def __init__(self, *, count: Count = 4000, seed: int = 0) -> None:
        self.count, self.seed = count, seed

    def pack(self, places: Places) -> Pack:
        """The scenes, generated at the first call."""
        return pack_once(
            places,
            f"scenes-v{GENERATOR}-{self.count}-seed{self.seed}",
            lambda folder: write_pack(
                folder,
                name="scenes",
                images=(pretraining_scene(self.seed, index).image for index in range(self.count)),
                count=self.count,
                bands=BANDS,
                unit="dn",
                splits={"fit": np.arange(self.count)},
            ),
        )

    def fingerprint(self, places: Places) -> str:
        """Generator, count and seed; nothing is generated for it."""
        return f"scenes generator {GENERATOR}, {self.count} images of seed {self.seed}"

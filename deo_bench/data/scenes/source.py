"""Scenes to pre-train on: as many as are asked for, of any seed, none of them in the benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.pack import pack_once, write_pack
from deo_bench.data.pack_images import Sample
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.write import GENERATOR, pretraining_pair, pretraining_scene
from deo_bench.declarations import Count


@data(
    "scenes",
    licence="MIT",
    summary="Made-up Sentinel-2 scenes (10 bands, 64 px), as many as asked for; no labels.",
    bands=["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"],
)
class Scenes(Data):
    """Made-up Sentinel-2 scenes from published spectra, without labels.

    count: how many; seed: which (scene i of a seed does not depend on the count). No seed meets the benchmark `scenes`.
    fine: with 2 or 4, each scene's ground also in RGB so many times finer than 10 m; with 1 there is none.
    """

    version = 1

    def __init__(self, *, count: Count = 4000, seed: int = 0, fine: Literal[1, 2, 4] = 1) -> None:
        self.count, self.seed, self.fine = count, seed, fine

    def pack(self, places: Places) -> Pack:
        """The scenes, generated at the first call."""
        finer = f"-fine{self.fine}" if self.fine > 1 else ""
        return pack_once(
            places,
            f"scenes-v{GENERATOR}-{self.count}-seed{self.seed}{finer}",
            lambda folder: write_pack(
                folder,
                name="scenes",
                images=self._samples(),
                count=self.count,
                bands=BANDS,
                unit="dn",
                splits={"fit": np.arange(self.count)},
            ),
        )

    def fingerprint(self, places: Places) -> str:
        """Generator, count, seed and, where there are any, finer images; nothing is generated for it."""
        finer = f", RGB {self.fine} times finer beside them" if self.fine > 1 else ""
        return f"scenes generator {GENERATOR}, {self.count} images of seed {self.seed}{finer}"

    def _samples(self) -> Iterator[Sample]:
        for index in range(self.count):
            if self.fine > 1:
                yield pretraining_pair(self.seed, index, self.fine)
            else:
                yield pretraining_scene(self.seed, index).image

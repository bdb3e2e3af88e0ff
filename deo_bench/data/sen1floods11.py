"""Sen1Floods11 in its published layout: hand-labelled chips of floods, read from its GeoTIFFs and lists of splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deo_bench.bands import band_set
from deo_bench.data.labelled_csv import read_cells
from deo_bench.data.scene_set import Scenes
from deo_bench.data.tiff import read_layers
from deo_bench.errors import UserError

LISTS = {"train": "fit", "valid": "select", "test": "report"}
"""The lists of splits and their roles; `bolivia`, a country held out, is in none."""

CLASSES = ("no water", "water")
IGNORE = 255
"""What the published -1 (no label) becomes."""

CHIPS = "data/flood_events/HandLabeled"


def sen1floods11(root: Path) -> Scenes:
    """Sen1Floods11 (Bonafilia et al. 2020): 446 chips of 512 px, 13 Sentinel-2 bands (L1C), where there is water.

    root has `data/flood_events/HandLabeled/{S2Hand,LabelHand}` and `splits/flood_handlabeled/flood_*_data.csv`.
    """
    chips: list[tuple[str, str]] = []
    for name, role in LISTS.items():
        path = root / "splits" / "flood_handlabeled" / f"flood_{name}_data.csv"
        for where, cells in read_cells(path):
            if len(cells) != 2 or not cells[1].endswith("_LabelHand.tif"):
                raise UserError(f"{where}: expected NAME_S1Hand.tif,NAME_LabelHand.tif")
            chips.append((role, cells[1].removesuffix("_LabelHand.tif")))

    def read(at: int) -> tuple[np.ndarray, np.ndarray]:
        label_path = root / CHIPS / "LabelHand" / f"{chips[at][1]}_LabelHand.tif"
        label = read_layers(label_path)
        wrong = sorted(set(np.unique(label).tolist()) - {-1, 0, 1})
        if len(label) != 1 or wrong:
            raise UserError(f"{label_path}: expected one layer of -1, 0 and 1; it has {len(label)} and {wrong[:3]}")
        pixels = read_layers(root / CHIPS / "S2Hand" / f"{chips[at][1]}_S2Hand.tif")
        return pixels, np.where(label[0] < 0, IGNORE, label[0]).astype(np.uint8)

    return Scenes([role for role, _ in chips], read, band_set("s2_13"), "dn", CLASSES, ignore=IGNORE)

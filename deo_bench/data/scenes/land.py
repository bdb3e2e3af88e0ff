"""What `scenes-land` asks of every pixel: land cover that neither RGB alone nor a pixel alone can tell."""

from __future__ import annotations

import numpy as np

from deo_bench.data.scenes.render import CLASSES
from deo_bench.data.scenes.spectra import MATERIALS

IGNORED = 255
"""The label of a pixel that nothing in the image decides."""

GROUPS: dict[str, tuple[str, ...]] = {
    "lawn": ("lawn",),
    "hyacinth": ("hyacinth",),
    "straw": ("golden grass", "meadow straw"),
    "cheatgrass": ("cheatgrass",),
    "burnt": ("burnt ground",),
    "sealed": ("asphalt", "cinder", "brick"),
    "sheeting": ("white sheeting",),
    "water": ("water",),
    "forest": ("forest",),
    "orchard": ("orchard",),
    "buildings": ("buildings",),
    "road": ("road",),
}
"""The twelve classes of `scenes-land`, and which of the class map's each takes together.

The partners that RGB cannot tell apart are in different classes, all five pairs. Roads, roofs and sealed ground are of
like materials and differ in shape; so do orchards, which are trees on bare ground, and forest.
"""

LAND = tuple(GROUPS)
"""The names of the classes, in the order of their numbers."""

_PAIRS = len(MATERIALS) // 2


def _numbers() -> np.ndarray:
    """The number of its group for each of the class map's; a cloud's is the one to ignore."""
    table = np.full(len(CLASSES), IGNORED, dtype=np.uint8)
    for number, members in enumerate(GROUPS.values()):
        table[[CLASSES.index(member) for member in members]] = number
    return table


_NUMBER_OF = _numbers()


def land_cover(classes: np.ndarray) -> np.ndarray:
    """Numbers of `LAND` [H, W] from a scene's class map [H, W]; what is under a cloud or undecidable is `IGNORED`.

    Undecidable is a cell of 2 x 2 pixels, of one value in each 20 m band, in which both partners of a pair meet: which
    of its pixels is which would have to show in the visible, where partners are alike.
    """
    return np.where(_torn(classes), np.uint8(IGNORED), _NUMBER_OF[classes])


def _torn(classes: np.ndarray) -> np.ndarray:
    """Which pixels [H, W] lie in a 20 m cell of partners."""
    height, width = classes.shape
    cells = classes.reshape(height // 2, 2, width // 2, 2)
    torn = np.zeros((height // 2, width // 2), dtype=bool)
    for pair in range(_PAIRS):
        first, second = ((cells == 2 * pair + which).any(axis=(1, 3)) for which in (0, 1))
        torn |= first & second
    return torn.repeat(2, axis=0).repeat(2, axis=1)

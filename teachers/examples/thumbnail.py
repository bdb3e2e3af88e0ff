"""A teacher of one's own: name this file in an experiment's `parts`, then `use = "thumbnail"`."""

from torch import Tensor
from torch.nn import functional as F

from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher


@teacher("thumbnail", weights="none", gated=False)
class Thumbnail(Teacher):
    """The image in `cells` x `cells` coarse RGB pixels: where is what, and nothing finer."""

    def __init__(self, *, cells: int = 4) -> None:
        super().__init__()
        self.cells = cells
        self.band_sets = {"rgb": ("B04", "B03", "B02")}
        self.normalisations = {"rgb": Normalisation("reflectance", (0.11, 0.11, 0.12), (0.10, 0.07, 0.07))}
        self.pooled_dims = {"mean": 3 * cells**2}

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Coarse pixels, as one vector."""
        return Features({"mean": F.adaptive_avg_pool2d(pixels, self.cells).flatten(1)})

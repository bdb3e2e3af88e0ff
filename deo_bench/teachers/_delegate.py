"""Teachers that speak through a backbone they hold: a student's copy, a stored run, an untrained network."""

from __future__ import annotations

from torch import Tensor

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError, nearest
from deo_bench.features import Features, Images
from deo_bench.teachers import Teacher, without_gradients


class Delegate(Teacher):
    """Bands, normalisation, widths, levels and features are those of the backbone it holds.

    sees: the band set that is meant when none is named, the backbone's own first where left out.
    """

    def __init__(self, backbone: Backbone, sees: str | None = None) -> None:
        super().__init__()
        if sees is not None and sees not in backbone.band_sets:
            raise UserError(f"sees: the backbone has no band set {sees!r}{nearest(sees, backbone.band_sets)}")
        first = sees or backbone.first
        self.backbone = backbone
        self.band_sets = {first: backbone.band_sets[first], **backbone.band_sets}
        self.normalisations = dict(backbone.normalisations)
        self.pooled_dims = dict(backbone.pooled_dims)
        self.default = backbone.default
        self.levels = dict(backbone.levels)
        self.freeze()

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """What the backbone says."""
        return self.backbone.extract(pixels, sees, levels)

    def beside(self, images: Images) -> Tensor | None:
        """What the backbone takes beside its own bands."""
        return self.backbone.beside(images)

    def map_width(self, level: str) -> int:
        """Channels of the backbone's level."""
        return self.backbone.map_width(level)

    def stride(self, level: str) -> int:
        """Pixels that a cell of the backbone's level covers."""
        return self.backbone.stride(level)

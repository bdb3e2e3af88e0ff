"""A student of one's own: name this file in an experiment's `parts`, then `use = "plain_conv"`."""

from torch import nn

from deo_bench.features import Features
from deo_bench.students import Student, student


@student("plain_conv")
class PlainConv(Student):
    """Two convolutions behind a stem of patch 4; its one level is `late`."""

    def __init__(self, stem, band_sets, normalisations, *, width: int = 64) -> None:
        super().__init__()
        self.declare(band_sets, normalisations)
        self.stem = stem(width, 4)
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.body = nn.Sequential(nn.GELU(), convolutions[0], nn.GELU(), convolutions[1])
        self.pooled_dims, self.levels = {"mean": width}, {"late": 2}

    def embed(self, pixels, sees, mask=None):
        """Tokens [B, D, h, w]; it has no mask token."""
        return self.stem(pixels, sees)

    def trunk(self, tokens, levels):
        """Mean and map of the cells."""
        cells = self.body(tokens)
        return Features({"mean": cells.mean((2, 3))}, dict.fromkeys(levels, cells))

    def map_width(self, level):
        """The width."""
        return self.pooled_dims["mean"]

    def stride(self, level):
        """The stem's."""
        return 4

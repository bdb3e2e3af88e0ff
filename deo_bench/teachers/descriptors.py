"""Hand-made descriptors of RGB: oriented gradients and the power spectrum, what `tiny_optical` learns from."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.backbone import Normalisation
from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Count
from deo_bench.features import Features
from deo_bench.teachers import Teacher, teacher

MEAN, STD = (0.113626, 0.112077, 0.118438), (0.096523, 0.071213, 0.065028)
"""Reflectance of red, green and blue in fMoW-Sentinel (SatMAE's statistics)."""

LONGEST, SHORTEST = 48.0, 2.0
"""Wavelengths of the spectrum's rings, in pixels."""


@teacher("descriptors", weights="none", gated=False, paper="https://doi.org/10.1109/CVPR.2005.177")
class Descriptors(Teacher):
    """Shape and layout of a scene without a network: gradients, spectrum and local contrast of its luminance.

    `mean` is three blocks side by side. Gradients: a histogram of oriented gradients (Dalal and Triggs, 2005) at full, half and
    quarter resolution, over the image and over 2 x 2 cells, `orientations` unsigned directions shared linearly between
    neighbours, square root of its L1-normalised bins. Spectrum: the logarithm of the share of the power (Hann window, mean removed) in
    `rings` of wavelength, equal steps of its logarithm from 48 to 2 pixels, by `orientations` of direction, shared linearly.
    Contrast: mean and spread of the local standard deviation in windows of 3, 7 and 15 pixels, as logarithms.

    A change of brightness leaves the first two blocks as they are, and colour enters through luminance alone; turning, flipping or
    zooming an image changes them. Levels: `late` and only that, a map of gradients in cells of `cell` pixels.
    """

    def __init__(self, *, orientations: Count = 8, rings: Count = 6, cell: Count = 8) -> None:
        super().__init__()
        self.band_sets = {"rgb": BAND_SETS["rgb"]}
        self.normalisations = {"rgb": Normalisation("reflectance", MEAN, STD)}
        self.orientations, self.rings, self.cell = orientations, rings, cell
        self.pooled_dims = {"mean": 3 * 5 * orientations + rings * orientations + 6}
        self.levels = {"late": 0}

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The three blocks in one vector; the map of gradients where it is wanted."""
        for level in levels:
            self.map_width(level)
        light = pixels.mean(1, keepdim=True).float()
        scales = [F.avg_pool2d(light, side) for side in (1, 2, 4)]
        blocks = [_histogram(oriented(scale, self.orientations), cells) for scale in scales for cells in (1, 2)]
        vector = torch.cat([*blocks, self._spectrum(light), _contrast(light)], 1)
        maps = {level: self._cells(light).to(pixels.dtype) for level in levels}
        return Features({"mean": vector.to(pixels.dtype)}, maps, self.default)

    def map_width(self, level: str) -> int:
        """A channel an orientation."""
        if level not in self.levels:
            raise self.no_level(level)
        return self.orientations

    def stride(self, level: str) -> int:
        """The cell."""
        self.map_width(level)
        return self.cell

    def _cells(self, light: Tensor) -> Tensor:
        energy = F.avg_pool2d(oriented(light, self.orientations), self.cell)
        return (energy / energy.sum(1, keepdim=True).clamp_min(1e-6)).sqrt()

    def _spectrum(self, light: Tensor) -> Tensor:
        """Logarithms of the power's shares [B, rings x orientations]."""
        height, width = light.shape[-2:]
        flat = light[:, 0] - light.mean((1, 2, 3))[:, None, None]
        window = torch.hann_window(height, device=light.device)[:, None] * torch.hann_window(width, device=light.device)
        power = torch.fft.fft2(flat * window).abs().square().flatten(1)
        shares = power @ self._polar(height, width).to(power)
        return (shares / shares.sum(1, keepdim=True).clamp_min(1e-12) + 1e-4).log()

    def _polar(self, height: int, width: int) -> Tensor:
        """How much each frequency belongs to each ring and direction [H x W, rings x orientations]."""
        down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
        radius = (down.square() + across.square()).sqrt()
        step = math.log2(LONGEST / SHORTEST) / max(self.rings - 1, 1)
        place = (radius.clamp_min(1e-6) * LONGEST).log2() / step
        centres = torch.arange(self.rings)
        rings = (1 - (place.clamp(0, self.rings - 1)[..., None] - centres).abs()).clamp_min(0)
        rings = rings * (radius > 0)[..., None]
        angle = torch.atan2(down.expand(height, width), across.expand(height, width))
        directions = shared(angle, self.orientations)
        return (rings[..., :, None] * directions[..., None, :]).flatten(2).flatten(0, 1)


def oriented(light: Tensor, orientations: int) -> Tensor:
    """Strength of the gradient by its direction [B, orientations, H, W], of images [B, 1, H, W]."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    strength = (across.square() + down.square()).sqrt()
    return (shared(torch.atan2(down, across), orientations) * strength[..., None]).squeeze(1).movedim(-1, 1)


def shared(angle: Tensor, orientations: int) -> Tensor:
    """Unsigned angles [...] shared linearly between the two nearest directions [..., orientations]."""
    if orientations == 1:
        return torch.ones_like(angle)[..., None]
    place = (angle / math.pi * orientations) % orientations
    distance = (place[..., None] - torch.arange(orientations, device=angle.device)).abs()
    distance = torch.minimum(distance, orientations - distance)
    return (1 - distance).clamp_min(0)


def _histogram(energy: Tensor, cells: int) -> Tensor:
    """Square root of the L1-normalised histogram over cells x cells [B, orientations x cells x cells]."""
    pooled = F.adaptive_avg_pool2d(energy, cells).flatten(1)
    return (pooled / pooled.sum(1, keepdim=True).clamp_min(1e-6)).sqrt()


def _contrast(light: Tensor) -> Tensor:
    """Logarithms of mean and spread of the local standard deviation in three windows [B, 6]."""
    values = []
    for side in (3, 7, 15):
        mean = F.avg_pool2d(light, side, 1, side // 2, count_include_pad=False)
        square = F.avg_pool2d(light.square(), side, 1, side // 2, count_include_pad=False)
        local = (square - mean.square()).clamp_min(0).sqrt().flatten(1)
        values += [local.mean(1), local.std(1, correction=0)]
    return (torch.stack(values, 1) + 1e-3).log()

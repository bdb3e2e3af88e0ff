"""Hand-made descriptors of RGB: oriented gradients and the power spectrum, what `tiny_optical` learns from."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Count
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher

MEAN, STD = (0.113626, 0.112077, 0.118438), (0.096523, 0.071213, 0.065028)
"""Reflectance of red, green and blue in fMoW-Sentinel (SatMAE's statistics)."""

HARMONICS = 3
GRADIENTS, SPECTRUM, CONTRAST = 0.5, 0.05, 0.05
"""Weights of the blocks beside the harmonics' 1: their spreads over scenes are then of one size."""

LONGEST, SHORTEST = 48.0, 2.0
"""Wavelengths of the spectrum's rings, in pixels."""


@teacher("descriptors", weights="none", gated=False, paper="https://doi.org/10.1109/CVPR.2005.177")
class Descriptors(Teacher):
    """Shape and layout of a scene without a network: gradients, spectrum and local contrast of its luminance.

    `mean` is four blocks side by side. Gradients: a histogram of oriented gradients (Dalal and Triggs, 2005) over the
    image at full, half and quarter resolution, `orientations` unsigned directions shared linearly between neighbours,
    square root of its L1-normalised bins. Harmonics: how much of that histogram repeats one, two and three times in
    half a turn (a field of strips does once, a grid twice, and it does not matter which way they lie), over the
    image, and its mean and spread over 2 x 2 and 4 x 4 cells. Spectrum: the logarithm of the share of the power (Hann
    window, mean removed) in `rings` of wavelength, equal steps of its logarithm from 48 to 2 pixels, by direction.
    Contrast: mean and spread of the local standard deviation in windows of 3, 7 and 15 pixels, as logarithms. The
    blocks are weighted so that none rules distances.

    Brightness leaves the first three blocks as they are, colour enters through luminance alone; turning an image
    changes gradients and spectrum, zooming changes all. Levels: `late` and only that, a map of gradients in cells of
    `cell` pixels. Images of at least 16 pixels.
    """

    def __init__(self, *, orientations: Count = 8, rings: Count = 4, cell: Count = 8) -> None:
        super().__init__()
        self.band_sets = {"rgb": BAND_SETS["rgb"]}
        self.normalisations = {"rgb": Normalisation("reflectance", MEAN, STD)}
        self.orientations, self.rings, self.cell = orientations, rings, cell
        self.pooled_dims = {"mean": (3 + rings) * orientations + 3 * 5 * HARMONICS + 6}
        self.levels = {"late": 0}

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The four blocks in one vector; the map of gradients where it is wanted."""
        for level in levels:
            self.map_width(level)
        with torch.autocast(pixels.device.type, enabled=False):
            return self._describe(pixels, levels)

    def _describe(self, pixels: Tensor, levels: tuple[str, ...]) -> Features:
        light = pixels.float().mean(1, keepdim=True)
        scales = [F.avg_pool2d(light, side) for side in (1, 2, 4)]
        gradients = [GRADIENTS * _histogram(scale, self.orientations) for scale in scales]
        harmonics = [_harmonics(scale) for scale in scales]
        vector = torch.cat([*gradients, *harmonics, SPECTRUM * self._spectrum(light), CONTRAST * _contrast(light)], 1)
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
        directions = shared(angle[None, None], self.orientations)[0].movedim(0, -1)
        return (rings[..., :, None] * directions[..., None, :]).flatten(2).flatten(0, 1)


def slopes(light: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Central differences across and down, and their length, [B, 1, H, W] each, of images [B, 1, H, W]."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return across, down, (across.square() + down.square()).sqrt()


def oriented(light: Tensor, orientations: int) -> Tensor:
    """Strength of the gradient by its direction [B, orientations, H, W], of images [B, 1, H, W]."""
    across, down, strength = slopes(light)
    return shared(torch.atan2(down, across), orientations) * strength


def shared(angle: Tensor, orientations: int) -> Tensor:
    """Unsigned angles [B, 1, H, W] shared linearly between the two nearest directions [B, orientations, H, W]."""
    if orientations == 1:
        return torch.ones_like(angle)
    place = (angle * (orientations / math.pi)) % orientations
    distance = (place - torch.arange(orientations, device=angle.device).view(-1, 1, 1)).abs_()
    distance = torch.minimum(distance, orientations - distance)
    return (1 - distance).clamp_min_(0)


def _histogram(light: Tensor, orientations: int) -> Tensor:
    """Square root of each direction's share in the image's gradients [B, orientations]."""
    energy = oriented(light, orientations).mean((2, 3))
    return (energy / energy.sum(1, keepdim=True).clamp_min(1e-6)).sqrt()


def _harmonics(light: Tensor) -> Tensor:
    """Strength of each harmonic: over the image, its mean and spread over 4 and 16 cells [B, 5 x HARMONICS].

    The k-th is `|sum s exp(2 i k angle)| / sum s` over the gradients, s their length.
    """
    across, down, strength = slopes(light)
    turn = torch.complex(across, down).square() / strength.square().clamp_min(1e-12)
    powers = torch.cat([strength * turn**k for k in range(1, HARMONICS + 1)], 1)
    parts = torch.cat([powers.real, powers.imag, strength], 1)
    values = []
    for cells in (1, 2, 4):
        real, imaginary, total = F.adaptive_avg_pool2d(parts, cells).flatten(2).split([HARMONICS, HARMONICS, 1], 1)
        share = (real.square() + imaginary.square()).sqrt() / total.clamp_min(1e-6)
        values += [share.mean(2)] if cells == 1 else [share.mean(2), share.std(2, correction=0)]
    return torch.cat(values, 1)


def _contrast(light: Tensor) -> Tensor:
    """Logarithms of mean and spread of the local standard deviation in three windows [B, 6]."""
    values = []
    for side in (3, 7, 15):
        local = (_smooth(light.square(), side) - _smooth(light, side).square()).clamp_min(0).sqrt().flatten(1)
        values += [local.mean(1), local.std(1, correction=0)]
    return (torch.stack(values, 1) + 1e-3).log()


def _smooth(values: Tensor, side: int) -> Tensor:
    """Means over side x side pixels, fewer at the border; a row and a column at a time, which costs far less."""
    rows = F.avg_pool2d(values, (side, 1), 1, (side // 2, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, side // 2), count_include_pad=False)

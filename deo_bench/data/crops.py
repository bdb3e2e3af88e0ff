"""Multi-crop augmentation, batched on the images' own device: every band together, each image its own crop.

Parameters are drawn on the CPU for the whole global batch, from (seed, stream, step, view), and each rank takes its
slice: any device and any number of ranks see the same crops. Each view draws from a generator of its own, and always as
much, so that another view, or an operation switched on, shifts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from deo_bench.bands import BAND_SETS, Unit, convert, select
from deo_bench.data.view_settings import Crops, Views, of_view
from deo_bench.draws import torch_generator
from deo_bench.features import Images
from deo_bench.normalisation import max_scaled

TRIES = 10
ASPECT = (3 / 4, 4 / 3)
"""How often a box is drawn before a central one is taken, and its range of width over height: torchvision's rule."""

NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""Factors of brightness, contrast, saturation and hue that change nothing."""

_GREY = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class ViewParameters:
    """What one view does to each image of a batch.

    size: of the crop in pixels; order: of brightness, contrast, saturation and hue (0 to 3), one a batch; box: [B, 4]
    top, left, height, width in shares of the image; flip: [B]; factors: [B, 4] of brightness, contrast, saturation (1
    does nothing) and hue (0); grey, solarise: [B]; sigma: [B] of the blur in pixels, 0 for none.
    """

    size: int
    order: tuple[int, ...]
    box: Tensor
    flip: Tensor
    factors: Tensor
    grey: Tensor
    sigma: Tensor
    solarise: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> ViewParameters:
        """The same with every tensor changed: sliced, or on another device."""
        changed: dict[str, Any] = {item.name: change(getattr(self, item.name)) for item in fields(self)[2:]}
        return replace(self, **changed)


@dataclass(frozen=True)
class CropParameters:
    """The parameters of every view of a batch, global views first."""

    settings: Views
    views: tuple[ViewParameters, ...]

    def slice(self, start: int, stop: int) -> CropParameters:
        """A rank's part of the global batch: images start to stop."""
        return replace(self, views=tuple(view.each(lambda v: v[start:stop]) for view in self.views))


def draw_crops(
    settings: Views, batch: int, height: int, width: int, seed: int, step: int, stream: str = "views"
) -> CropParameters:
    """Everything that is drawn for a global batch of images of height x width, on the CPU."""
    drawn = []
    for view, (group, number, crops) in enumerate(settings.crops()):
        generator = torch_generator(seed, stream, group, number, step)
        box = _boxes(crops, batch, height, width, generator)
        drawn.append(_photometric(settings, view, crops.size, box, generator))
    return CropParameters(settings, tuple(drawn))


def _boxes(crops: Crops, batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Boxes [B, 4] in shares, by torchvision's RandomResizedCrop: the first of ten draws that fits in the image."""
    draws = torch.rand(TRIES, batch, 4, generator=generator, dtype=torch.float64)
    low, high = crops.scale
    area = height * width * (low + (high - low) * draws[..., 0])
    aspect = torch.exp(math.log(ASPECT[0]) + math.log(ASPECT[1] / ASPECT[0]) * draws[..., 1])
    tall, wide = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
    fits = (tall >= 1) & (tall <= height) & (wide >= 1) & (wide <= width)
    top, left = ((height - tall + 1) * draws[..., 2]).floor(), ((width - wide + 1) * draws[..., 3]).floor()
    first = fits.to(torch.uint8).argmax(0)
    boxes = torch.stack([top, left, tall, wide], dim=-1)[first, torch.arange(batch)]
    boxes[~fits.any(0)] = _central(height, width)
    return (boxes / torch.tensor([height, width, height, width])).float()


def _central(height: int, width: int) -> Tensor:
    tall = min(height, round(width / ASPECT[0]))
    wide = min(width, round(height * ASPECT[1]))
    return torch.tensor([(height - tall) // 2, (width - wide) // 2, tall, wide], dtype=torch.float64)


def _photometric(settings: Views, view: int, size: int, box: Tensor, generator: torch.Generator) -> ViewParameters:
    order = tuple(torch.randperm(4, generator=generator).tolist())
    draws = torch.rand(len(box), 10, generator=generator)
    strengths = torch.tensor([settings.brightness, settings.contrast, settings.saturation])
    low = torch.cat([(1 - strengths).clamp_min(0), torch.tensor([-settings.hue])])
    high = torch.cat([1 + strengths, torch.tensor([settings.hue])])
    small, large = settings.blur_sigma
    sigma = small + (large - small) * draws[:, 7]
    return ViewParameters(
        size=size,
        order=order,
        box=box,
        flip=draws[:, 9] < settings.flip,
        factors=torch.where(draws[:, :1] < settings.jitter, low + (high - low) * draws[:, 1:5], torch.tensor(NEUTRAL)),
        grey=draws[:, 5] < settings.grayscale,
        sigma=torch.where(draws[:, 6] < of_view(settings.blur, view), sigma, 0.0),
        solarise=draws[:, 8] < of_view(settings.solarise, view),
    )


def make_views(images: Images, params: CropParameters, finer: Tensor | None = None) -> list[Images]:
    """The views of a batch, global ones first: [B, C, size, size] each, bands and unit as given.

    finer: [B], whether an image's red, green and blue are those of its finer image, cropped by the same box to the
    same size. With `rgb_range = "max"` they are left in display range (`rgb_unit`).
    """
    assert len(images.pixels) == len(params.views[0].box), "crops were drawn for another batch"
    settings = params.settings
    return [_coloured(_crop(images, settings, view, finer), settings, view) for view in params.views]


def clean_views(images: Images, params: CropParameters, finer: Tensor | None = None) -> list[Images]:
    """The global views as `make_views` crops them, without any change of colours."""
    count = params.settings.global_.count
    return [_crop(images, params.settings, view, finer) for view in params.views[:count]]


def _crop(images: Images, settings: Views, drawn: ViewParameters, finer: Tensor | None) -> Images:
    device = images.pixels.device
    box, flip = drawn.box.to(device), drawn.flip.to(device)
    pixels = resized_crop(images.pixels, box, flip, drawn.size, settings.interpolation)
    if finer is not None and finer.any():
        assert images.fine is not None, "finer images were asked for, and these carry none"
        chosen = finer.nonzero()[:, 0].to(device)
        rgb = torch.tensor(select(images.bands, images.fine.bands), device=device)
        sharp = convert(images.fine.pixels[chosen], images.fine.unit, images.unit)
        pixels[chosen[:, None], rgb] = resized_crop(
            sharp, box[chosen], flip[chosen], drawn.size, settings.interpolation
        )
    return replace(images, pixels=pixels, fine=None)


def _coloured(images: Images, settings: Views, drawn: ViewParameters) -> Images:
    """Crops with their colours changed, as drawn."""
    is_scaled = settings.rgb_range == "max"
    if not (settings.is_photometric or is_scaled):
        return images
    rgb = select(images.bands, BAND_SETS["rgb"], "colour augmentations need red, green and blue: the images")
    if is_scaled:
        images.pixels[:, rgb] = max_scaled(images.pixels[:, rgb])
        images = replace(images, rgb_unit="display")
    if settings.is_photometric:
        _recolour(images.pixels, rgb, images.rgb_unit or images.unit, drawn)
    return images


def resized_crop(pixels: Tensor, box: Tensor, flip: Tensor, size: int, interpolation: str = "bilinear") -> Tensor:
    """Each image's own box, resized with antialiasing and flipped where told: [B, C, size, size] from [B, C, H, W].

    Resizing is linear and separable, so a crop is two products with matrices that hold box, filter and flip, on any
    device; it is what torchvision's `RandomResizedCrop(antialias=True)` does with one image.
    """
    batch, channels, height, width = pixels.shape
    rows = _filters(box[:, 0] * height, box[:, 2] * height, height, size, interpolation).to(pixels)
    columns = _filters(box[:, 1] * width, box[:, 3] * width, width, size, interpolation).to(pixels)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    narrow = columns @ pixels.reshape(batch, channels * height, width).mT
    small = narrow.view(batch, size * channels, height) @ rows.mT
    return small.view(batch, size, channels, size).permute(0, 2, 3, 1).contiguous()


def _filters(start: Tensor, length: Tensor, total: int, size: int, interpolation: str) -> Tensor:
    """Weights [B, size, total] that resize pixels start to start + length of a line to `size` pixels.

    The filters of PIL and of torch's antialiased `interpolate`: stretched when shrinking, cut off at the box.
    """
    start, length = start[:, None, None], length[:, None, None]
    place = torch.arange(total, device=start.device) + 0.5 - start
    step = length / size
    centre = step * (torch.arange(size, device=start.device)[:, None] + 0.5)
    distance = ((place - centre) / step.clamp_min(1)).abs()
    weights = (1 - distance).clamp_min(0) if interpolation == "bilinear" else _cubic(distance)
    weights = weights * ((place > 0) & (place < length))
    return weights / weights.sum(-1, keepdim=True)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2, of distances of at least 0."""
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


def _recolour(pixels: Tensor, rgb: list[int], unit: Unit, drawn: ViewParameters) -> None:
    """Change the colours in place, in display range, of the images that draw any change; the others keep their bits."""
    is_touched = (drawn.factors != torch.tensor(NEUTRAL)).any(1) | drawn.grey | (drawn.sigma > 0) | drawn.solarise
    touched = is_touched.nonzero()
    if not len(touched):
        return
    places = touched.to(pixels.device), torch.tensor(rgb, device=pixels.device)
    colours = pixels[places]
    chosen = drawn.each(lambda values: values[touched[:, 0]])
    display = convert(colours, unit, "display").clamp(0, 1)
    pixels[places] = convert(_operate(display, chosen), "display", unit)


def _operate(rgb: Tensor, drawn: ViewParameters) -> Tensor:
    """Jitter, greyscale, blur, solarise, in this order, on [B, 3, H, W] in [0, 1]."""
    view = drawn.each(lambda values: values.to(rgb.device)[:, None, None, None])
    factors = view.factors.to(rgb.dtype).unbind(-1)
    jitter = (_brightness, _contrast, _saturation, _hue)
    for index in drawn.order:
        # Asked on the CPU, where they were drawn: the device is not waited for.
        if (drawn.factors[:, index] != NEUTRAL[index]).any():
            rgb = jitter[index](rgb, factors[index])
    if drawn.grey.any():
        rgb = torch.where(view.grey, _grey(rgb), rgb)
    if drawn.sigma.any():
        rgb = _blur(rgb, view.sigma.to(rgb.dtype))
    return torch.where(view.solarise & (rgb >= 0.5), 1 - rgb, rgb)


def _grey(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).unsqueeze(1)


def _brightness(rgb: Tensor, factor: Tensor) -> Tensor:
    return (rgb * factor).clamp(0, 1)


def _contrast(rgb: Tensor, factor: Tensor) -> Tensor:
    mean = _grey(rgb).mean((1, 2, 3), keepdim=True)
    return (mean + (rgb - mean) * factor).clamp(0, 1)


def _saturation(rgb: Tensor, factor: Tensor) -> Tensor:
    grey = _grey(rgb)
    return (grey + (rgb - grey) * factor).clamp(0, 1)


def _hue(rgb: Tensor, turn: Tensor) -> Tensor:
    """Hue turned by a share of the circle; value and saturation (of HSV) stay."""
    value, low = rgb.amax(1, keepdim=True), rgb.amin(1, keepdim=True)
    chroma = value - low
    red, green, blue = rgb.unbind(1)
    # The sector of the colour circle (0 to 6), from whichever channel is largest.
    span = chroma[:, 0].clamp_min(1e-12)
    sector = torch.where(
        red >= value[:, 0],
        (green - blue) / span,
        torch.where(green >= value[:, 0], 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    offsets = torch.tensor([5.0, 3.0, 1.0], device=rgb.device).to(rgb).view(1, 3, 1, 1)
    place = (offsets + sector.unsqueeze(1) + 6 * turn) % 6
    return value - chroma * torch.minimum(place, 4 - place).clamp(0, 1)


def _blur(rgb: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with mirrored edges, a product with a matrix a side; sigma [B, 1, 1, 1] in pixels, 0 for none."""
    last = rgb.shape[-1] - 1
    at = torch.arange(last + 1, device=rgb.device, dtype=rgb.dtype)
    out, source = at[:, None], at[None, :]
    spread = 2 * sigma.clamp_min(0.05).square()

    def bell(distance: Tensor) -> Tensor:
        # Clamped, since exponentials that end as denormal numbers are slow.
        return torch.exp(-(distance.square() / spread).clamp_max(60))

    weights = bell(out - source)
    weights = weights + bell(out + source) * (source > 0) + bell(2 * last - out - source) * (source < last)
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.where(sigma > 0, weights @ rgb @ weights.mT, rgb)

"""Multi-crop augmentation: a batch at once against torchvision image by image, in turns, one ratio."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torchvision
from torchvision.transforms import v2

from deo_bench.bands import BAND_SETS, WHITE
from deo_bench.data.crops import draw_crops, make_views
from deo_bench.data.view_settings import Views, of_view
from deo_bench.features import Images

BANDS = BAND_SETS["s2_10"]
RGB = [BANDS.index(band) for band in BAND_SETS["rgb"]]


DEO_COLOURS = {"jitter": 0.8, "grayscale": 0.2, "blur": [1.0, 0.1, 0.5]}
"""DEO's photometric operations on RGB, without solarising; off by default."""


def settings(given: argparse.Namespace, with_colours: bool) -> Views:
    """Two global crops and some local ones, of DEO's scales."""
    crops = {
        "global": {"count": 2, "size": given.size, "scale": [0.4, 1.0]},
        "local": {"count": given.local, "size": given.small, "scale": [0.05, 0.4]},
    }
    return Views.model_validate({**crops, **(DEO_COLOURS if with_colours else {})})


def batched(images: Images, views: Views) -> Callable[[int], None]:
    """What the project does: draw for the whole batch, then crop it view by view."""
    batch, _, height, width = images.pixels.shape

    def once(step: int) -> None:
        make_views(images, draw_crops(views, batch, height, width, 0, step))

    return once


def one_by_one(images: Images, views: Views) -> Callable[[int], None]:
    """The loop that it replaces: every crop of every image through torchvision, all bands cropped, RGB recoloured."""
    made_of = []
    for view, (_, _, crops) in enumerate(views.crops()):
        crop = v2.RandomResizedCrop(crops.size, scale=crops.scale, antialias=True)
        blur = v2.GaussianBlur(2 * round(2 * views.blur_sigma[1]) + 1, views.blur_sigma)
        jitter = v2.ColorJitter(views.brightness, views.contrast, views.saturation, views.hue)
        colours = [
            v2.RandomApply([jitter], p=views.jitter),
            v2.RandomGrayscale(p=views.grayscale),
            v2.RandomApply([blur], p=of_view(views.blur, view)),
        ]
        made_of.append((v2.Compose([crop, v2.RandomHorizontalFlip(views.flip)]), v2.Compose(colours)))

    def once(step: int) -> None:
        torch.manual_seed(step)
        for crop, colours in made_of:
            made = [crop(pixels) for pixels in images.pixels]
            if views.is_photometric:
                for cropped in made:
                    cropped[RGB] = colours((cropped[RGB] / WHITE).clamp(0, 1)) * WHITE
            torch.stack(made)

    return once


def in_turns(contenders: dict[str, Callable[[int], None]], rounds: int) -> dict[str, float]:
    """The median seconds of each, measured alternately after one round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for step in range(rounds + 1):
        for name, once in contenders.items():
            began = time.perf_counter()
            once(step)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if step:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure, and print the evidence in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pixels", type=int, default=64, help="of the images that are cropped")
    parser.add_argument("--size", type=int, default=48, help="of the two global crops")
    parser.add_argument("--small", type=int, default=24, help="of the local crops")
    parser.add_argument("--local", type=int, default=2, help="how many local crops")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pixels = torch.rand(given.batch, len(BANDS), given.pixels, given.pixels, device=given.device) * WHITE
    images = Images(pixels, BANDS, "reflectance")
    for with_colours in (False, True):
        views = settings(given, with_colours)
        taken = in_turns({"batched": batched(images, views), "one by one": one_by_one(images, views)}, given.rounds)
        told = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in taken.items())
        print(
            f"{'crops, flips and colours' if with_colours else 'crops and flips'}: {told}, "
            f"ratio {taken['one by one'] / taken['batched']:.2f} (median of {given.rounds}; {given.batch} images of "
            f"{len(BANDS)} bands and {given.pixels} px; 2 x {given.size} and {given.local} x {given.small} px; "
            f"{given.device}, {given.threads} threads, torch {torch.__version__}, torchvision "
            f"{torchvision.__version__})"
        )


if __name__ == "__main__":
    main()

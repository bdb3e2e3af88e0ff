"""Puts the fit splits of several packs together as images to pre-train on; the other splits stay behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deo_bench.bands import select
from deo_bench.data import Pack, Places
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_images import Sample
from deo_bench.errors import UserError

VERSION = 1


def common_bands(sources: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """The bands that every source (its name, its bands) has, in the first one's order; none in common is an error."""
    shared = [band for band in sources[0][1] if all(_has(bands, band) for _, bands in sources)]
    if not shared:
        raise UserError(f"{' and '.join(name for name, _ in sources)} have no band in common")
    return tuple(shared)


def _has(bands: Sequence[str], band: str) -> bool:
    try:
        select(bands, [band])
    except UserError:
        return False
    return True


def squares(image: np.ndarray, patch: int | None) -> Iterator[np.ndarray]:
    """An image [C, H, W] cut into whole squares of `patch` pixels, row by row; as it is without one."""
    if patch is None:
        yield image
        return
    height, width = image.shape[-2:]
    for top in range(0, height - patch + 1, patch):
        for left in range(0, width - patch + 1, patch):
            yield image[..., top : top + patch, left : left + patch]


def count_squares(size: Sequence[int], patch: int | None, where: str) -> int:
    """How many squares an image gives; one smaller than the patch is an error."""
    if patch is None:
        return 1
    height, width = size
    if patch > min(height, width):
        raise UserError(f"{where}: patch = {patch} is larger than its images ({height} x {width})")
    return (height // patch) * (width // patch)


def join_fit_splits(places: Places, name: str, packs: Sequence[Pack], patch: int | None = None) -> Pack:
    """One pack of the fit images of all, with the bands they share; other units or sizes are an error.

    Finer images come along where every pack has them and they are equally many times finer; else they stay behind.
    """
    bands = common_bands([(pack.name, pack.bands) for pack in packs])
    for pack in packs[1:]:
        if pack.unit != packs[0].unit:
            raise UserError(f"{pack.name} is in {pack.unit}, {packs[0].name} in {packs[0].unit}; join what is alike")
        if patch is None and pack.images.shape[2:] != packs[0].images.shape[2:]:
            sizes = f"{pack.images.shape[2:]} and {packs[0].images.shape[2:]}"
            raise UserError(
                f"{pack.name} and {packs[0].name} have images of {sizes}; say patch = a size to cut them to"
            )
    options = {"of": [pack.content for pack in packs], "bands": bands, "patch": patch}

    def build(folder: Path) -> Pack:
        counts = [len(pack.splits["fit"]) * count_squares(pack.images.shape[2:], patch, pack.name) for pack in packs]
        return write_pack(
            folder,
            name=name,
            images=_fit_samples(packs, bands, patch),
            count=sum(counts),
            bands=bands,
            unit=packs[0].unit,
            splits={"fit": np.arange(sum(counts))},
            band_labels=packs[0].band_labels,
            look_at_order=False,
        )

    return pack_once(places, input_key(name, (), options, VERSION), build)


def _fit_samples(packs: Sequence[Pack], bands: Sequence[str], patch: int | None) -> Iterable[Sample]:
    images = _fit_images(packs, bands, patch)
    fine = [pack.fine for pack in packs if pack.fine is not None]
    if len(fine) < len(packs):
        return images
    factors = {pixels.shape[2] // pack.images.shape[2] for pack, pixels in zip(packs, fine, strict=True)}
    if len(factors) > 1:
        return images
    return zip(images, _fit_finer(packs, fine, None if patch is None else patch * factors.pop()), strict=True)


def _fit_images(packs: Sequence[Pack], bands: Sequence[str], patch: int | None) -> Iterator[np.ndarray]:
    dtype = np.result_type(*(pack.images.dtype for pack in packs))
    for pack in packs:
        places = select(pack.bands, bands, pack.name)
        for row in pack.splits["fit"]:
            yield from squares(np.asarray(pack.images[row])[places].astype(dtype, copy=False), patch)


def _fit_finer(packs: Sequence[Pack], fine: Sequence[np.ndarray], patch: int | None) -> Iterator[np.ndarray]:
    dtype = np.result_type(*(pixels.dtype for pixels in fine))
    for pack, pixels in zip(packs, fine, strict=True):
        for row in pack.splits["fit"]:
            yield from squares(np.asarray(pixels[row]).astype(dtype, copy=False), patch)

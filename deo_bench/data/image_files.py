"""Single images and label maps as users have them: GeoTIFF, `.npy`, `.npz`, PNG and JPEG, held against their claims."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deo_bench.bands import canonical
from deo_bench.data.arrays import read_header, refuse_not_finite, size_of
from deo_bench.data.npz_members import opened, whole_array
from deo_bench.data.tiff import read_layers, read_scene
from deo_bench.errors import UserError, nearest

LARGEST = 1 << 30
"""Bytes of one image: it is in memory as a whole."""

PICTURES = (".png", ".jpg", ".jpeg")
"""Files whose pixels are red, green and blue of 8 bits unless something else is said of them."""

_TIFF = (".tif", ".tiff")
SUFFIXES = (*_TIFF, ".npy", ".npz", *PICTURES)
_PHOTO = ("R", "G", "B")


@dataclass(frozen=True)
class Picture:
    """An image [C, H, W], its bands by canonical name, and how many of its pixels (H x W) the file marks as missing."""

    pixels: np.ndarray
    bands: tuple[str, ...]
    missing: int = 0


def read_image(path: Path, bands: Sequence[str] = ()) -> Picture:
    """An image with its bands, the given ones, else as the file says them.

    GeoTIFFs say them in their band descriptions, `.npz` files in an array `bands` beside `image`; PNG and JPEG are R, G
    and B. Pixels that a GeoTIFF marks as missing become 0. What cannot be read, is not finite, or has bands without a
    name is a UserError that names the file.
    """
    if path.suffix.lower() in _TIFF:
        return _scene(path, bands)
    pixels, said = _layers(path, "image")
    if pixels.dtype.kind not in "iuf" or pixels.ndim not in (2, 3) or not pixels.size:
        raise UserError(f"{path}: is {pixels.dtype} of {pixels.shape}, expected numbers [C, H, W]")
    pixels = pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    named = tuple(bands) or said
    if len(named) != len(pixels) or len(set(named)) != len(named):
        names = ", ".join(named) or "no bands"
        raise UserError(f"{path}: is {pixels.shape} and has {names} named; say bands = [one name each of [C, H, W]]")
    refuse_not_finite(pixels, str(path))
    return Picture(pixels, named)


def _scene(path: Path, bands: Sequence[str]) -> Picture:
    scene = read_scene(path, bands)
    pixels = read_layers(path)
    if scene.nodata is None:
        refuse_not_finite(pixels, str(path))
        return Picture(pixels, scene.bands)
    lacking = scene.missing(pixels)
    return Picture(np.where(lacking, 0, pixels).astype(pixels.dtype, copy=False), scene.bands, int(lacking.sum()))


def read_label_map(path: Path) -> np.ndarray:
    """A map [H, W] of whole numbers; of a palette picture, its indices. Anything else is a UserError."""
    pixels = read_layers(path) if path.suffix.lower() in _TIFF else _layers(path, "mask")[0]
    pixels = pixels[0] if pixels.ndim == 3 and len(pixels) == 1 else pixels
    if pixels.dtype.kind == "f" and np.array_equal(pixels, np.rint(pixels)):
        pixels = pixels.astype(np.int64)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iub" or not pixels.size:
        raise UserError(f"{path}: is {pixels.dtype} of {pixels.shape}, expected classes [H, W] as whole numbers")
    return pixels.astype(np.uint8) if pixels.dtype.kind == "b" else pixels


def _layers(path: Path, array: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels of a file that is no GeoTIFF, and what it says of its bands."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _npy(path), ()
    if suffix == ".npz":
        return _npz(path, array)
    if suffix in PICTURES:
        return _picture(path, keep_palette=array == "mask")
    raise UserError(f"{path}: is no image that is read here; there are {', '.join(SUFFIXES)}")


def _npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as stream:
            shape, dtype, fortran = read_header(stream, str(path))
            left = path.stat().st_size - stream.tell()
            if left != size_of(shape, dtype) or left > LARGEST:
                raise UserError(f"{path}: claims {size_of(shape, dtype)} bytes ({dtype} of {shape}), has {left}")
            flat = np.frombuffer(stream.read(), dtype=dtype)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _npz(path: Path, array: str) -> tuple[np.ndarray, tuple[str, ...]]:
    with opened(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        if array not in names:
            raise UserError(f"{path}: has no array {array!r}{nearest(array, names)}")
        pixels = whole_array(archive, array, path, LARGEST)
        said = whole_array(archive, "bands", path, 1 << 16).reshape(-1) if "bands" in names else np.empty(0, "U1")
    if said.dtype.kind != "U":
        raise UserError(f"{path}, array 'bands': is {said.dtype}, expected names")
    try:
        return pixels, tuple(canonical(name) for name in said.tolist())
    except UserError as error:
        raise UserError(f"{path}, array 'bands': {error}") from None


def _picture(path: Path, keep_palette: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                _check_size(picture, path)
                if picture.mode == "P" and not keep_palette:
                    picture = picture.convert("RGB")  # type: ignore[assignment]
                pixels = np.asarray(picture)
    except UserError:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        told = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path}: truncated, or no PNG or JPEG: {told}") from None
    pixels = pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    return pixels, _PHOTO if pixels.ndim == 3 and len(pixels) == 3 else ()


def _check_size(picture: Any, path: Path) -> None:
    """What a picture claims to be in memory, before it is decoded."""
    if picture.width * picture.height * max(4, len(picture.getbands())) > LARGEST:
        raise UserError(f"{path}: {picture.width} x {picture.height} px are more than {LARGEST} bytes; cut it")

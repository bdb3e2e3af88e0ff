"""Packs: the images of a data set as one memory-mapped array beside a JSON file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from deo_bench.bands import check_unit
from deo_bench.data import Pack, Places
from deo_bench.data.arrays import read_npy, refuse_not_finite, size_of
from deo_bench.data.pack_checks import Moments, check_roles, checked_groups, checked_labels, row_indices
from deo_bench.errors import StoreError, UserError

FORMAT = 1
"""Bumped when the layout of a pack changes; packs of another format are made again."""

_BLOCK = 1 << 22
_KINDS = "iuf"


def write_pack(
    folder: Path,
    *,
    name: str,
    images: Iterable[np.ndarray],
    count: int,
    bands: Sequence[str],
    unit: str,
    labels: np.ndarray | None = None,
    classes: Sequence[str] = (),
    splits: Mapping[str, np.ndarray | Sequence[int]],
    partitions: Mapping[str, np.ndarray | Sequence[int]] | None = None,
    groups: np.ndarray | None = None,
    ignore: int | None = None,
    band_labels: str = "published",
) -> Pack:
    """Stream `count` images [C, H, W] of one shape and type into a pack, and open it.

    labels are looked at after the last image, so that one pass over the source may fill both. mean and std are of the
    fit split's pixels (of all pixels without one), in float64. The folder appears whole, by one rename; where it
    appears meanwhile from elsewhere, that one is kept. Wrong shapes, pixels that are not finite and labels outside the
    classes are a UserError.
    """
    roles = {role: row_indices(rows, count, f"{name}: split {role!r}") for role, rows in splits.items()}
    smaller = {key: row_indices(rows, count, f"{name}: partition {key!r}") for key, rows in (partitions or {}).items()}
    check_roles(name, roles, smaller)
    check_unit(unit, name)
    if len(set(bands)) != len(bands) or not bands:
        raise UserError(f"{name}: bands are {', '.join(bands) or 'none'}; each must be there once")
    described: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "bands": list(bands),
        "unit": unit,
        "classes": list(classes),
        "ignore": ignore,
        "band_labels": band_labels,
    }
    building = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp"
    try:
        building.mkdir(parents=True)
        fit = roles["fit"] if len(roles.get("fit", ())) else np.arange(count)
        described |= _write_images(building, name, images, count, tuple(bands), unit, fit)
        arrays = {f"split-{role}": rows for role, rows in roles.items()}
        arrays |= {f"partition-{place:03d}": rows for place, rows in enumerate(smaller.values())}
        if labels is not None:
            arrays["labels"] = checked_labels(name, np.asarray(labels), described, ignore)
        if groups is not None:
            arrays["groups"] = checked_groups(name, np.asarray(groups), count)
        for key, array in arrays.items():
            _write_npy(building / f"{key}.npy", array)
        described |= {"splits": list(roles), "partitions": list(smaller), "arrays": sorted(arrays)}
        described["content"] = _content(described, arrays)
        _write_json(building / "pack.json", described)
        _fsync_folder(building)
        _put_in_place(building, folder)
    except OSError as error:
        raise StoreError(f"{folder}: the pack cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return open_pack(folder)


def open_pack(folder: Path) -> Pack:
    """A pack, mapped read-only; one that is torn, foreign or of another format is a StoreError that names it."""
    try:
        described = json.loads((folder / "pack.json").read_bytes())
        if described["format"] != FORMAT:
            raise ValueError(f"format {described['format']}, this version reads {FORMAT}")
        shape, dtype = tuple(map(int, described["shape"])), np.dtype(described["dtype"])
        if len(shape) != 4 or min(shape) < 1 or dtype.kind not in _KINDS or len(described["bands"]) != shape[1]:
            raise ValueError(f"impossible images {shape} of {dtype}")
        claimed, real = size_of(shape, dtype), (folder / "images.bin").stat().st_size
        if claimed != real:
            raise ValueError(f"images.bin has {real} bytes where pack.json claims {claimed}")
        arrays = {key: read_npy(folder / f"{key}.npy") for key in described["arrays"]}
        return Pack(
            name=described["name"],
            images=np.memmap(folder / "images.bin", dtype=dtype, mode="r", shape=shape),
            bands=tuple(described["bands"]),
            unit=check_unit(described["unit"], str(folder)),
            mean=np.array(described["mean"], dtype=np.float64),
            std=np.array(described["std"], dtype=np.float64),
            content=described["content"],
            pixels=described["pixels"],
            labels=arrays.get("labels"),
            classes=tuple(described["classes"]),
            splits={role: arrays[f"split-{role}"] for role in described["splits"]},
            partitions={key: arrays[f"partition-{at:03d}"] for at, key in enumerate(described["partitions"])},
            groups=arrays.get("groups"),
            ignore=described["ignore"],
            band_labels=described["band_labels"],
        )
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise StoreError(f"{folder}: not a whole pack: {reason}; delete the folder and it is made again") from None


def pack_once(places: Places, key: str, build: Callable[[Path], Pack]) -> Pack:
    """The pack of this key in the cache; `build(folder)` makes it where there is none, in one process at a time.

    One that is torn is reported and made again. What a killed process left half-written is removed.
    """
    folder = places.cache / "packs" / key
    if folder.exists():
        try:
            return open_pack(folder)
        except StoreError as error:
            warnings.warn(f"packing again: {error}", stacklevel=2)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder.parent / f"{key}.lock"))
        lock.acquire()
    except OSError as error:
        raise StoreError(f"{folder.parent}: the cache cannot be written: {error.strerror or error}") from None
    try:
        if folder.exists():
            try:
                return open_pack(folder)
            except StoreError:
                shutil.rmtree(folder)
        for left in folder.parent.glob(f".{key}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        return build(folder)
    finally:
        lock.release()


def input_key(name: str, files: Iterable[Path], options: Mapping[str, Any], version: int) -> str:
    """A cheap key for a pack in the cache: paths, sizes and times of the inputs, options, the reader's version.

    No file is read. The same data at two paths are packed twice, with the same content.
    """
    stamps: list[list[Any]] = []
    folders: dict[Path, str] = {}
    for path in files:
        try:
            status = path.stat()
            folder = folders.get(path.parent) or folders.setdefault(path.parent, str(path.parent.resolve()))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        stamps.append([folder, path.name, status.st_size, status.st_mtime_ns])
    text = json.dumps([stamps, dict(options), version, FORMAT], sort_keys=True, default=str)
    readable = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:40]
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _write_images(
    building: Path,
    name: str,
    images: Iterable[np.ndarray],
    count: int,
    bands: tuple[str, ...],
    unit: str,
    fit: np.ndarray,
) -> dict[str, Any]:
    """Write images.bin; what pack.json says of it."""
    in_fit = np.zeros(count, dtype=bool)
    in_fit[fit] = True
    moments, digest, shape, dtype, done = Moments(len(bands)), hashlib.sha256(), (0, 0, 0), np.dtype("u1"), 0
    with (building / "images.bin").open("wb") as stream:
        for block in _blocks(name, images, len(bands)):
            if not done:
                shape, dtype = block.shape[1:], block.dtype
                _check_space(building, count, shape, dtype)
                digest.update(json.dumps([count, shape, dtype.str, bands, unit]).encode())
            if block.shape[1:] != shape or block.dtype != dtype:
                raise UserError(
                    f"{name}: image {done} is {block.shape[1:]} of {block.dtype}, the first {shape} of {dtype}"
                )
            if done + len(block) > count:
                raise UserError(f"{name}: more than the {count} images that were announced")
            refuse_not_finite(block, f"{name}: images {done} to {done + len(block) - 1}")
            chosen = in_fit[done : done + len(block)]
            if chosen.any():
                moments.add(block if chosen.all() else block[chosen])
            digest.update(block.data)
            stream.write(block.data)
            done += len(block)
        if done != count or not count:
            raise UserError(f"{name}: {done} images, {count} were announced")
        _fsync(stream)
    return {
        "shape": [count, *shape],
        "dtype": dtype.str,
        "mean": moments.mean.tolist(),
        "std": moments.std.tolist(),
        "pixels": digest.hexdigest(),
    }


def _blocks(name: str, images: Iterable[np.ndarray], bands: int) -> Iterator[np.ndarray]:
    """Images gathered into contiguous little-endian blocks [n, C, H, W]; a change of shape or type ends a block."""
    gathered: list[np.ndarray] = []
    for number, image in enumerate(images):
        if image.ndim != 3 or len(image) != bands or image.dtype.kind not in _KINDS or not image.size:
            raise UserError(
                f"{name}: image {number} is {image.shape} of {image.dtype}, expected [{bands}, H, W] of numbers"
            )
        if gathered and (image.shape != gathered[0].shape or image.dtype != gathered[0].dtype):
            yield _stacked(gathered)
            gathered = []
        gathered.append(image)
        if image.nbytes * len(gathered) >= _BLOCK:
            yield _stacked(gathered)
            gathered = []
    if gathered:
        yield _stacked(gathered)


def _stacked(gathered: list[np.ndarray]) -> np.ndarray:
    block = np.stack(gathered)
    return np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))


def _check_space(building: Path, count: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    needed, free = size_of((count, *shape), dtype), shutil.disk_usage(building).free
    if needed > free:
        raise StoreError(
            f"{building.parent}: a pack needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left"
        )


def _content(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of everything but the name and where it lies; mean and std follow from the rest."""
    kept = {key: value for key, value in described.items() if key not in ("name", "format", "mean", "std")}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for key in sorted(arrays):
        array = arrays[key]
        digest.update(json.dumps([key, list(array.shape), array.dtype.str]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write_npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
        _fsync(stream)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with path.open("wb") as stream:
        stream.write(json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")
        _fsync(stream)


def _fsync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(building: Path, folder: Path) -> None:
    """Rename; a whole pack that is there already is kept, a torn one gives way."""
    try:
        building.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        try:
            open_pack(folder)
        except StoreError:
            shutil.rmtree(folder)
            building.rename(folder)
    _fsync_folder(folder.parent)

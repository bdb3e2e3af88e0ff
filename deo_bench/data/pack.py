"""Packs: the images of a data set as one memory-mapped array beside a JSON file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from deo_bench.bands import check_unit
from deo_bench.data import Pack, Places
from deo_bench.data.arrays import read_npy, size_of
from deo_bench.data.band_order import doubts_about_order
from deo_bench.data.in_place import InPlace
from deo_bench.data.pack_checks import check_roles, checked_groups, checked_labels, row_indices
from deo_bench.data.pack_images import FINE_BANDS, KINDS, Dated, Sample, check_finer, write_images
from deo_bench.errors import StoreError, UserError
from deo_bench.files import cannot_write

FORMAT = 1
"""Bumped when the layout of a pack changes; packs of another format are made again."""

_NOT_CONTENT = ("name", "format", "mean", "std", "in_place")


def write_pack(
    folder: Path,
    *,
    name: str,
    images: Iterable[Sample | Dated],
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
    notes: Sequence[str] = (),
    in_place: Mapping[str, InPlace] | None = None,
    look_at_order: bool = True,
) -> Pack:
    """Stream `count` images [C, H, W] of one shape and type into a pack, and open it.

    Where the same ground is there in finer RGB, yield pairs (image [C, H, W], finer [3, s * H, s * W]) from the same
    iterable: bands B04, B03, B02, in `unit`, of one numeric type that need not be the images'; s is whole, at least 2
    and the same for all; all images have one, or none. They become `Pack.fine`. Two dates of the same ground are
    `Dated(image, later)`; they become `Pack.images` and `Pack.later`.

    labels are looked at after the last image, so that one pass over the source may fill both. mean and std are of the
    fit split's pixels (of all pixels without one), in float64. The folder appears whole, by one rename; where it
    appears meanwhile from elsewhere, that one is kept. Wrong shapes, pixels that are not finite and labels outside the
    classes are a UserError.

    notes are kept with the pack and said whenever it is opened. in_place says where the very arrays that are streamed,
    `images` and `fine`, lie in a file: they are digested and looked at alike, and no copy is written. look_at_order is
    off for bands that are known to be named wrongly.
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
        described |= write_images(building, name, images, count, bands, unit, fit, copy=not in_place)
        if in_place:
            described["in_place"] = {key: place.described() for key, place in in_place.items()}
        doubts = doubts_about_order(name, bands, _mapped(building, "images", described), fit) if look_at_order else ()
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
        described["notes"] = [*notes, *doubts]
        _write_json(building / "pack.json", described)
        _fsync_folder(building)
        _put_in_place(building, folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return open_pack(folder)


def open_pack(folder: Path) -> Pack:
    """A pack, mapped read-only; one that is torn, foreign or of another format is a StoreError that names it."""
    try:
        described = json.loads((folder / "pack.json").read_bytes())
        if described["format"] != FORMAT:
            raise ValueError(f"format {described['format']}, this version reads {FORMAT}")
        images = _mapped(folder, "images", described)
        fine = _mapped(folder, "fine", described) if "fine" in described else None
        if fine is not None:
            if len(fine) != len(images):
                raise ValueError(f"{len(fine)} finer images of {len(images)}")
            check_finer(fine.shape[2:], images.shape[2:], "fine.bin")
        later = _mapped(folder, "later", described) if "later" in described else None
        if later is not None and later.shape != images.shape:
            raise ValueError(f"later images {later.shape} beside images {images.shape}")
        arrays = {key: read_npy(folder / f"{key}.npy") for key in described["arrays"]}
        return Pack(
            name=described["name"],
            images=images,
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
            fine=fine,
            later=later,
            later_pixels="" if later is None else described["later"]["pixels"],
            notes=tuple(map(str, described.get("notes", ()))),
        )
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise StoreError(f"{folder}: not a whole pack: {reason}; delete the folder and it is made again") from None


def _mapped(folder: Path, which: str, described: Mapping[str, Any]) -> np.ndarray:
    """An array [N, C, H, W] mapped read-only, once its file is as pack.json claims."""
    of = described if which == "images" else described[which]
    channels = len(FINE_BANDS if which == "fine" else described["bands"])
    shape, dtype, path = tuple(map(int, of["shape"])), np.dtype(of["dtype"]), folder / f"{which}.bin"
    if len(shape) != 4 or min(shape) < 1 or dtype.kind not in KINDS or channels != shape[1]:
        raise ValueError(f"impossible images {shape} of {dtype}")
    if "in_place" in described:
        return InPlace.read(described["in_place"][which]).mapped(shape, dtype)
    claimed, real = size_of(shape, dtype), path.stat().st_size
    if claimed != real:
        raise ValueError(f"{path.name} has {real} bytes where pack.json claims {claimed}")
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def pack_once(places: Places, key: str, build: Callable[[Path], Pack]) -> Pack:
    """The pack of this key in the cache; `build(folder)` makes it where there is none, in one process at a time.

    One that is torn is reported and made again. What a killed process left half-written is removed. A pack's notes are
    said by a warning, made now or found.
    """
    pack = _found_or_built(places.cache / "packs" / key, key, build)
    for note in pack.notes:
        warnings.warn(note, stacklevel=1)  # one place in the code, so that each is said once a process
    return pack


def _found_or_built(folder: Path, key: str, build: Callable[[Path], Pack]) -> Pack:
    if folder.exists():
        try:
            return open_pack(folder)
        except StoreError as error:
            warnings.warn(f"packing again: {error}", stacklevel=3)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder.parent / f"{key}.lock"))
        lock.acquire()
    except OSError as error:
        raise cannot_write(folder.parent, error) from None
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


def _content(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of everything but the name, the notes and where it lies; mean and std follow from the rest.

    What a pack lacks (finer images) is no key of it, so packs without it keep the digest they had.
    """
    kept = {key: value for key, value in described.items() if key not in _NOT_CONTENT}
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

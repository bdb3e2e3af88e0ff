"""Reads the files of a GEO-Bench v1 data set: specifications, partitions and samples, trusting none of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from deo_bench.data.arrays import refuse_not_finite
from deo_bench.data.geobench_bands import published_name
from deo_bench.data.hdf5_arrays import opened_hdf5, plain_array
from deo_bench.data.pickles import Record, read_pickle, read_pickle_text
from deo_bench.errors import UserError

LabelKind = Literal["single", "multi", "segmentation"]
_LABELS: dict[str, LabelKind] = {
    "Classification": "single",
    "MultiLabelClassification": "multi",
    "SegmentationClasses": "segmentation",
    "SemanticSegmentation": "segmentation",
}
LARGEST_ARRAY = 1 << 28
"""Bytes of one band of one sample: 8,000 pixels square of 32 bits."""

_DATE = re.compile(r"_(\d{4}-\d{2}-\d{2}.*|NoDate)")


@dataclass(frozen=True)
class StoredBand:
    """A band of the specifications: its label and class there, its canonical name, and how many planes it has."""

    label: str
    name: str
    planes: int = 1
    kind: str = "SpectralBand"


@dataclass(frozen=True)
class Specifications:
    """What a data set folder says of itself; the classes are from here, never from the labels that are seen."""

    data_set: str
    bands: tuple[StoredBand, ...]
    label_kind: LabelKind
    classes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical name of each plane, in order; planes of one hyperspectral band are numbered."""
        return tuple(
            band.name if band.planes == 1 else f"{band.name} {plane:03d}"
            for band in self.bands
            for plane in range(band.planes)
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The class in `geobench.dataset` of each plane, in order."""
        return tuple(band.kind for band in self.bands for _ in range(band.planes))


def read_specifications(folder: Path) -> Specifications:
    """The specifications in `task_specs.pkl`, read without unpickling."""
    path = folder / "task_specs.pkl"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); is {folder} a GEO-Bench v1 data set?") from None
    specs = read_pickle(data, str(path))
    if not isinstance(specs, Record) or not isinstance(specs.get("label_type"), Record):
        raise UserError(f"{path}: describes no task")
    label = specs.get("label_type")
    if label.name not in _LABELS:
        raise UserError(f"{path}: labels of kind {label.name!r} are not read; there are {', '.join(_LABELS)}")
    return Specifications(folder.name, _bands(specs, path), _LABELS[label.name], _classes(label, path))


def _bands(specs: Record, path: Path) -> tuple[StoredBand, ...]:
    found = []
    for band in specs.get("bands_info") or []:
        name = band.get("name") if isinstance(band, Record) else None
        planes = (band.get("n_bands") or 1) if name else 0
        if not isinstance(name, str) or not isinstance(planes, int) or not 0 < planes < 10_000:
            raise UserError(f"{path}: a band without a name, or with an impossible number of planes")
        found.append(StoredBand(name, published_name(band.name, name), planes, band.name))
    if not found or len({band.name for band in found}) < len(found):
        raise UserError(f"{path}: lists no bands, or one twice: {', '.join(band.label for band in found)}")
    return tuple(found)


def _classes(label: Record, path: Path) -> tuple[str, ...]:
    names, count = label.get("_class_names") or label.get("class_name"), label.get("n_classes")
    if not names and isinstance(count, int) and 0 < count < 100_000:
        names = [str(number) for number in range(count)]
    if not isinstance(names, list | tuple) or not names or (isinstance(count, int) and count != len(names)):
        raise UserError(f"{path}: {count} classes, but {len(names or ())} names of classes")
    return tuple(map(str, names))


def read_partitions(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Every partition: name -> `train`, `valid`, `test` -> ids of samples. There must be one called `default`."""
    found = {}
    for path in sorted(folder.glob("*_partition.json")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: not a readable partition: {' '.join(str(error).split())[:120]}") from None
        found[path.name.removesuffix("_partition.json")] = _partition(content, path)
    if "default" not in found:
        raise UserError(f"{folder}: no default_partition.json; there are {', '.join(found) or 'no partitions'}")
    return found


def _partition(content: Any, path: Path) -> dict[str, list[str]]:
    splits = {}
    for split in ("train", "valid", "test"):
        ids = content.get(split) if isinstance(content, Mapping) else None
        if not isinstance(ids, list) or not all(isinstance(name, str) and _is_plain(name) for name in ids):
            raise UserError(f"{path}: split {split!r} must be a list of the names of samples")
        splits[split] = ids
    return splits


def _is_plain(name: str) -> bool:
    """Whether a sample's name stays in its folder."""
    return bool(name) and "/" not in name and "\\" not in name and "\0" not in name


def read_sample(path: Path, specs: Specifications, keep: Sequence[bool]) -> tuple[np.ndarray, Any]:
    """One sample: image [C, H, W] of the planes to keep, and its label: a class, zeros and ones [K], or a map [H, W].

    Bands of a coarser resolution are brought to the finest band's grid as the reference does (cubic). A file that is
    truncated or lacks a band is a UserError that names it.
    """
    if not path.exists():
        raise UserError(f"{path}: the partition names this sample, and it is not there")
    with opened_hdf5(path) as file:
        described = _description(file, path)
        image = _image(file, described, path, specs, keep)
        label = _label(file, described, path, specs, image.shape[1:])
    refuse_not_finite(image, str(path))
    return image, label


def _description(file: h5py.File, path: Path) -> dict[str, Any]:
    text = file.attrs.get("pickle")
    if not isinstance(text, str):
        raise UserError(f"{path}: has no description (attribute `pickle`); not a GEO-Bench sample")
    described = read_pickle_text(text, str(path))
    if not isinstance(described, dict):
        raise UserError(f"{path}: its description is no table")
    return described


def _image(
    file: h5py.File, described: Mapping[str, Any], path: Path, specs: Specifications, keep: Sequence[bool]
) -> np.ndarray:
    keys = _keys(file, described)
    planes, place = [], 0
    for band in specs.bands:
        wanted = [number for number in range(band.planes) if keep[place + number]]
        place += band.planes
        if not wanted:
            continue
        stored = _stored(file, _key_of(band.label, keys, path), path)
        array = stored[:, :, None] if stored.ndim == 2 else stored
        if array.ndim != 3 or array.shape[2] != band.planes:
            raise UserError(f"{path}: band {band.label!r} is {stored.shape}, expected {band.planes} plane(s)")
        planes += [array[:, :, number] for number in wanted]
    return _on_one_grid(planes, path)


def _keys(file: h5py.File, described: Mapping[str, Any]) -> list[str]:
    order = described.get("bands_order")
    return [key for key in order if isinstance(key, str)] if isinstance(order, list) else list(file.keys())


def _key_of(label: str, keys: Sequence[str], path: Path) -> str:
    """The one array of a band, dated or not."""
    found = [key for key in keys if key == label or (key.startswith(label) and _DATE.fullmatch(key[len(label) :]))]
    if not found:
        raise UserError(f"{path}: band {label!r} is missing; it has {', '.join(keys)}")
    if len(found) > 1:
        raise UserError(f"{path}: band {label!r} at {len(found)} dates; time series are not read")
    return found[0]


def _stored(file: h5py.File, key: str, path: Path) -> np.ndarray:
    """An array of the file itself, its claimed size compared with what is stored before memory is taken."""
    stored = plain_array(file, key, path)
    claimed = prod(stored.shape) * stored.dtype.itemsize
    if claimed > LARGEST_ARRAY:
        raise UserError(f"{path}: {key!r} is {claimed} bytes, more than a band has; at most {LARGEST_ARRAY} are read")
    array = np.empty(stored.shape, dtype=stored.dtype)
    stored.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def _on_one_grid(planes: list[np.ndarray], path: Path) -> np.ndarray:
    """Planes on the grid of the largest, as the narrowest type that holds all; float64 becomes float32."""
    if not planes:
        raise UserError(f"{path}: no band to read")
    height, width = max(plane.shape[0] for plane in planes), max(plane.shape[1] for plane in planes)
    dtype = np.result_type(*planes)
    dtype = np.dtype(np.float32) if dtype in (np.float64, np.float16) else dtype
    image = np.empty((len(planes), height, width), dtype=dtype)
    for place, plane in enumerate(planes):
        image[place] = plane if plane.shape == (height, width) else _resampled(plane, height, width, path)
    return image


def _resampled(plane: np.ndarray, height: int, width: int, path: Path) -> np.ndarray:
    if height * plane.shape[1] != width * plane.shape[0]:
        raise UserError(f"{path}: a band of {plane.shape} does not fit the grid {(height, width)}")
    from scipy.ndimage import zoom

    return np.asarray(zoom(plane, height / plane.shape[0], order=3))


def _label(
    file: h5py.File, described: Mapping[str, Any], path: Path, specs: Specifications, grid: tuple[int, ...]
) -> Any:
    classes = len(specs.classes)
    if specs.label_kind == "segmentation":
        inside = described.get("label")
        key = None if isinstance(inside, np.ndarray) else _key_of("label", _keys(file, described), path)
        stored = np.asarray(inside) if key is None else _stored(file, key, path)
        array = stored[:, :, 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored
        if array.shape != grid or array.dtype.kind not in "iub":
            raise UserError(f"{path}: its label map is {array.dtype} of {array.shape}, expected classes of {grid}")
        return array
    label = described.get("label")
    if specs.label_kind == "single":
        number = label.item() if isinstance(label, np.ndarray) and label.size == 1 else label
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < classes:
            raise UserError(f"{path}: its label is {str(label)[:40]}, expected a class from 0 to {classes - 1}")
        return number
    flags = np.asarray(label) if isinstance(label, np.ndarray | list | tuple) else np.empty(0)
    if flags.shape != (classes,) or flags.dtype.kind not in "iubf" or not np.isin(flags, (0, 1)).all():
        raise UserError(f"{path}: its label is {flags.dtype} of {flags.shape}, expected {classes} zeros and ones")
    return flags.astype(np.uint8)

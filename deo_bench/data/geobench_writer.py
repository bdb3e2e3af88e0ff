"""Writes GEO-Bench v1's on-disk format, one HDF5 file a sample, without the `geobench` library."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from deo_bench.data.geobench_bands import SPELLINGS, Spelling
from deo_bench.data.pickle_writer import Made, emitted, pickled
from deo_bench.errors import UserError

LabelType = Literal["single", "multi", "segmentation"]
Sample = tuple[str, np.ndarray, Any]
"""Id, image [C, H, W], and label: a class, zeros and ones [K], or classes of pixels [H, W]."""

_SPLITS = ("train", "valid", "test")
_PERCENTILES = {"percentile_0_1": 0.1, "percentile_1": 1, "percentile_5": 5, "median": 50} | {
    "percentile_95": 95,
    "percentile_99": 99,
    "percentile_99_9": 99.9,
}


def write_dataset(
    folder: Path,
    *,
    dataset_name: str,
    benchmark_name: str,
    bands: Sequence[str],
    label_type: LabelType,
    class_names: Sequence[str],
    samples: Iterable[Sample],
    partition: Mapping[str, Sequence[str]],
    partitions: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    spatial_resolution: float = 10,
) -> Path:
    """Write a data set folder that the real library reads, whole or not at all; returns the folder.

    bands: canonical names, in the images' order. partition: the default one, `train`, `valid`, `test` -> ids;
    partitions: others by name (`0.10x_train`). Images keep their number type. A folder that exists already, ids without
    a sample and labels of another kind are a UserError.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already; delete it first, or write elsewhere")
    spellings = [_spelling(name, folder) for name in bands]
    building = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp"
    building.mkdir(parents=True)
    try:
        files = _SampleFiles(building, spellings, label_type, len(class_names), spatial_resolution)
        for sample in samples:
            files.write(*sample)
        if files.shape is None:
            raise UserError(f"{folder}: no samples were given")
        for name, ids in {"default": partition, **(partitions or {})}.items():
            _write_partition(building, name, ids, files.seen)
        specs = _specifications(
            dataset_name, benchmark_name, spellings, label_type, class_names, files.shape, spatial_resolution
        )
        (building / "task_specs.pkl").write_bytes(pickled(specs))
        _write_json(building / "band_stats.json", files.statistics())
        name = "label_map.json" if label_type == "single" else "label_stats.json"
        _write_json(building / name, files.labels)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _spelling(name: str, folder: Path) -> Spelling:
    if name not in SPELLINGS:
        raise UserError(f"{folder}: band {name!r} has no spelling in GEO-Bench; there are {', '.join(SPELLINGS)}")
    return SPELLINGS[name]


def _band_info(spelling: Spelling) -> Made:
    return Made(
        "geobench.dataset",
        spelling.kind,
        name=spelling.label,
        alt_names=spelling.others,
        spatial_resolution=spelling.resolution,
        wavelength=spelling.wavelength,
    )


def _label_class(label_type: LabelType, classes: Sequence[str], resolution: float) -> Made:
    names, count = list(classes), len(classes)
    if label_type == "single":
        return Made("geobench.label", "Classification", n_classes=count, _class_names=names)
    if label_type == "multi":
        return Made("geobench.label", "MultiLabelClassification", n_classes=count, class_name=names)
    return Made(
        "geobench.dataset",
        "SegmentationClasses",
        name="label",
        alt_names=(),
        spatial_resolution=resolution,
        n_classes=count,
        _class_names=names,
    )


def _specifications(
    dataset: str,
    benchmark: str,
    spellings: Sequence[Spelling],
    label_type: LabelType,
    classes: Sequence[str],
    shape: tuple[int, ...],
    resolution: float,
) -> Made:
    return Made(
        "geobench.task",
        "TaskSpecifications",
        dataset_name=dataset,
        benchmark_name=benchmark,
        patch_size=shape[1:],
        n_time_steps=1,
        bands_info=[_band_info(spelling) for spelling in spellings],
        label_type=_label_class(label_type, classes, resolution),
        spatial_resolution=resolution,
    )


class _SampleFiles:
    """Writes the sample files; what all of them share is pickled once."""

    def __init__(
        self, folder: Path, spellings: Sequence[Spelling], label_type: LabelType, classes: int, resolution: float
    ) -> None:
        self.folder, self.label_type, self.classes = folder, label_type, classes
        self.bands = [spelling.label.encode() for spelling in spellings]
        self.shape: tuple[int, ...] | None = None
        self.seen: set[str] = set()
        self.labels: dict[str, list[Any]] = {}
        self._kept: list[np.ndarray] = []
        self._kept_labels: list[np.ndarray] = []
        described = {spelling.label: _attributes(_band_info(spelling), resolution) for spelling in spellings}
        if label_type == "segmentation":
            label = _label_class(label_type, [""] * classes, resolution)
            label.state["_class_names"] = None
            described["label"] = _attributes(label, resolution)
        order = {"bands_order": list(described)}
        # a segmentation sample's label is an array of the file; the others' is pickled before what is shared
        self._shared = b"".join(emitted(key) + emitted(item) for key, item in {**described, **order}.items()) + b"u."

    def write(self, name: str, image: np.ndarray, label: Any) -> None:
        """One sample; its shape must be the first one's."""
        if name in self.seen or "/" in name or not name:
            raise UserError(f"{self.folder.name}: the id {name!r} is given twice, is empty or has a slash")
        self.shape = self.shape or image.shape
        if image.shape != self.shape or len(image) != len(self.bands):
            raise UserError(f"sample {name!r} is {image.shape}, expected {(len(self.bands), *self.shape[1:])}")
        self.seen.add(name)
        arrays = dict(zip(self.bands, np.ascontiguousarray(image), strict=True))
        described = b"\x80\x04}("
        if self.label_type == "segmentation":
            arrays[b"label"] = self._map(name, np.ascontiguousarray(label))
        else:
            described += emitted("label") + emitted(self._label(name, label))
        _write_hdf5(self.folder / f"{name}.hdf5", arrays, str(described + self._shared))
        step = max(1, image.shape[1] // 8)
        self._kept.append(image[:, ::step, ::step].reshape(len(image), -1).astype(np.float32))

    def _label(self, name: str, label: Any) -> int | np.ndarray:
        if self.label_type == "single":
            if not 0 <= int(label) < self.classes:
                raise UserError(f"sample {name!r} has class {label}, there are {self.classes}")
            self.labels.setdefault(str(int(label)), []).append(name)
            self._kept_labels.append(np.array([int(label)]))
            return int(label)
        flags = np.asarray(label).astype(np.int64)
        if flags.shape != (self.classes,) or not np.isin(flags, (0, 1)).all():
            raise UserError(
                f"sample {name!r} has a label of shape {flags.shape}, expected {self.classes} zeros and ones"
            )
        self.labels[name] = flags.tolist()
        self._kept_labels.append(flags)
        return flags

    def _map(self, name: str, label: np.ndarray) -> np.ndarray:
        assert self.shape is not None
        if label.shape != self.shape[1:] or label.dtype.kind not in "iu":
            raise UserError(
                f"sample {name!r} has a label map {label.shape} of {label.dtype}, images are {self.shape[1:]}"
            )
        share = np.bincount(label.ravel(), minlength=self.classes)[: self.classes] / label.size
        self.labels[name] = share.round(6).tolist()
        self._kept_labels.append(label[::8, ::8].reshape(-1))
        return label

    def statistics(self) -> dict[str, dict[str, float]]:
        """Per band and of the label, from a grid of pixels of every image, all splits together as the library does."""
        pixels = np.concatenate(self._kept, axis=1)
        found = {label.decode(): _statistics(row) for label, row in zip(self.bands, pixels, strict=True)}
        return {**found, "label": _statistics(np.concatenate(self._kept_labels))}


def _attributes(info: Made, resolution: float) -> dict[str, Any]:
    none = dict.fromkeys(("meta_info", "transform", "crs"))
    return {"date": None, "date_id": None, "spatial_resolution": resolution, "band_info": info, **none}


def _write_hdf5(path: Path, arrays: Mapping[bytes, np.ndarray], described: str) -> None:
    """Arrays and the attribute, through h5py's low level: the high one takes three times as long."""
    handle = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC)
    try:
        for name, array in arrays.items():
            space = h5py.h5s.create_simple(array.shape)
            stored = h5py.h5d.create(handle, name, h5py.h5t.py_create(array.dtype, logical=True), space)
            stored.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
        strings = h5py.string_dtype()
        text = h5py.h5t.py_create(strings, logical=True)
        root = h5py.h5g.open(handle, b"/")
        attribute = h5py.h5a.create(root, b"pickle", text, h5py.h5s.create(h5py.h5s.SCALAR))
        attribute.write(np.array(described, dtype=strings), mtype=h5py.h5t.py_create(strings))
    finally:
        handle.close()


def _write_partition(folder: Path, name: str, ids: Mapping[str, Sequence[str]], seen: set[str]) -> None:
    wrong = set(ids) - set(_SPLITS)
    missing = {sample for part in ids.values() for sample in part} - seen
    if wrong or missing:
        reason = f"splits {sorted(wrong)}" if wrong else f"ids without a sample, such as {min(missing)!r}"
        raise UserError(f"{folder.name}: partition {name!r} has {reason}; splits are {', '.join(_SPLITS)}")
    _write_json(folder / f"{name}_partition.json", {split: list(ids.get(split, ())) for split in _SPLITS})


def _statistics(values: np.ndarray) -> dict[str, float]:
    percentiles = np.percentile(values, list(_PERCENTILES.values()))
    found = {"min": values.min(), "max": values.max(), "mean": values.mean(dtype=np.float64)}
    found |= {"std": values.std(dtype=np.float64)} | dict(zip(_PERCENTILES, percentiles, strict=True))
    return {key: float(value) for key, value in found.items()}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")

"""GEO-Bench v1 data sets, and their train splits as pre-training images: found, read safely, packed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deo_bench.bands import Unit, check_unit
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.download import Download
from deo_bench.data.geobench_bands import NO_PICTURE, corrected_names, unit_of
from deo_bench.data.geobench_files import Specifications, read_partitions, read_sample, read_specifications
from deo_bench.data.geobench_hub import archives
from deo_bench.data.join import join_fit_splits
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_checks import skipped_note
from deo_bench.declarations import Count
from deo_bench.errors import MissingInput, UserError

BandLabels = Literal["published", "corrected"]
Unreadable = Literal["refuse", "skip"]

READER = 1
"""Bumped when the same files would be packed to other content."""


@dataclass(frozen=True)
class Asked:
    """What a data set is packed with."""

    band_labels: BandLabels
    unit: str | None
    unreadable: Unreadable
    picture: bool
    ignore: int | None


_ROLES = {"train": "fit", "valid": "select", "test": "report"}


def find_data_set(places: Places, name: str) -> Path:
    """The folder of a data set: `name` under the root, or in one of the benchmark folders there."""
    where = f"GEO-Bench data set {name!r}"
    root = places.find(".", where) if not Path(name).is_absolute() else Path()
    candidates = [root / name, *sorted(root.glob(f"*/{name}"))] if not Path(name).is_absolute() else [Path(name)]
    found = [path for path in candidates if (path / "task_specs.pkl").is_file()]
    if not found:
        how = f"download it (`deo-bench data download {name}`)" if archives(name) else "download it"
        raise MissingInput(
            f"{where}: no {name}/task_specs.pkl under {root}", f"{how}, or point --data at the folder that has it"
        )
    if len(found) > 1:
        raise UserError(f"{where} is there twice: {found[0]} and {found[1]}; say {found[0].relative_to(root)} for one")
    return found[0]


def pack_data_set(
    places: Places,
    name: str,
    *,
    band_labels: BandLabels = "published",
    unit: str | None = None,
    unreadable: Unreadable = "refuse",
    picture: bool = False,
    ignore: int | None = None,
) -> Pack:
    """A data set as a pack, its default partition in the roles, every other one as a smaller fit.

    `corrected` gives the bands their true names where the data set is known to publish wrong ones, and leaves out what
    is no band. `skip` leaves out samples that cannot be read, and warns with their number. picture: without the bands
    that are beside the picture (heights, masks, hyperspectral planes). ignore: a class of pixels that means none; its
    pixels become the pack's `ignore`, and the classes after it move up by one.
    """
    folder = find_data_set(places, name)
    options: dict[str, Any] = {"band_labels": band_labels, "unit": unit, "unreadable": unreadable}
    options |= {"picture": True} if picture else {}
    options |= {} if ignore is None else {"ignore": ignore}
    key = input_key(folder.name, _inputs(folder), options, READER)
    asked = Asked(band_labels, unit, unreadable, picture, ignore)
    return pack_once(places, key, lambda target: _build(folder, target, asked))


def _inputs(folder: Path) -> list[Path]:
    kept = (".hdf5", ".pkl", "_partition.json")
    return sorted(path for path in folder.iterdir() if path.name.endswith(kept))


def _build(folder: Path, target: Path, asked: Asked) -> Pack:
    specs, partitions = read_specifications(folder), read_partitions(folder)
    names = _names(specs, asked)
    classes = _scored(folder, specs, asked.ignore)
    keep = [name is not None for name in names]
    bands = [name for name in names if name is not None]
    ids = [sample for split in _ROLES for sample in partitions["default"][split]]
    if len(set(ids)) != len(ids):
        raise UserError(f"{folder / 'default_partition.json'}: names a sample twice")
    notes: list[str] = []
    if asked.unreadable == "skip":
        ids, notes = _readable(folder, ids, specs, keep)
    if not ids:
        raise UserError(f"{folder}: there are no samples to read")
    first, _ = read_sample(folder / f"{ids[0]}.hdf5", specs, keep)
    rows = {sample: row for row, sample in enumerate(ids)}
    splits = {
        role: [rows[sample] for sample in partitions["default"][split] if sample in rows]
        for split, role in _ROLES.items()
    }
    labels = _empty_labels(specs, len(ids), first)
    return write_pack(
        target,
        name=specs.data_set,
        images=_images(folder, ids, specs, keep, labels, asked.ignore),
        count=len(ids),
        bands=bands,
        unit=_unit(folder, specs, bands, first, asked.unit),
        labels=labels,
        classes=classes,
        splits=splits,
        partitions=_smaller(folder, partitions, rows, set(splits["fit"])),
        ignore=_ignored(specs),
        band_labels=asked.band_labels,
        notes=notes,
        look_at_order=_names(specs, asked) == _names(specs, replace(asked, band_labels="corrected")),
    )


def _names(specs: Specifications, asked: Asked) -> list[str | None]:
    """The name of each plane that is wanted, none for the others."""
    names = list(specs.names) if asked.band_labels == "published" else corrected_names(specs.data_set, specs.names)
    left_out = NO_PICTURE if asked.picture else ()
    return [name if kind not in left_out else None for name, kind in zip(names, specs.kinds, strict=True)]


def _scored(folder: Path, specs: Specifications, ignore: int | None) -> tuple[str, ...]:
    """The names of the classes without the one that means none."""
    if ignore is None:
        return specs.classes
    if specs.label_kind != "segmentation" or not 0 <= ignore < len(specs.classes) < 256:
        what = f"{specs.label_kind}-label" if specs.label_kind != "segmentation" else "of pixels"
        raise UserError(f"{folder}: ignore = {ignore} is no class to leave out: {len(specs.classes)} classes, {what}")
    return specs.classes[:ignore] + specs.classes[ignore + 1 :]


def _unit(folder: Path, specs: Specifications, bands: Sequence[str], first: np.ndarray, given: str | None) -> Unit:
    return check_unit(unit_of(specs.data_set, bands, str(first.dtype), given), str(folder))


def _ignored(specs: Specifications) -> int | None:
    """255 among the pixels of a map means none, by the custom of the field."""
    return 255 if specs.label_kind == "segmentation" and len(specs.classes) < 256 else None


def _empty_labels(specs: Specifications, count: int, first: np.ndarray) -> np.ndarray:
    shape = {"single": (count,), "multi": (count, len(specs.classes)), "segmentation": (count, *first.shape[1:])}
    single, maps = np.int64, np.int16 if len(specs.classes) > 255 else np.uint8
    dtype = {"single": single, "multi": np.uint8, "segmentation": maps}[specs.label_kind]
    return np.zeros(shape[specs.label_kind], dtype=dtype)


def _images(
    folder: Path,
    ids: Sequence[str],
    specs: Specifications,
    keep: Sequence[bool],
    labels: np.ndarray,
    ignore: int | None,
) -> Iterator[np.ndarray]:
    """The images one by one; the labels are filled on the way."""
    shape: tuple[int, ...] | None = None
    for row, sample in enumerate(ids):
        path = folder / f"{sample}.hdf5"
        image, label = read_sample(path, specs, keep)
        shape = shape or image.shape
        if image.shape != shape:
            raise UserError(f"{path}: {image.shape}, the samples before it are {shape}")
        if specs.label_kind == "segmentation" and (label.min() < 0 or label.max() > np.iinfo(labels.dtype).max):
            raise UserError(f"{path}: classes from {label.min()} to {label.max()}, there are {len(specs.classes)}")
        labels[row] = label if ignore is None else _without(np.asarray(label), ignore)
        yield image


def _without(classes: np.ndarray, ignore: int) -> np.ndarray:
    """Pixels of the class to ignore as 255, which means none, and the classes after it moved up."""
    moved = classes.astype(np.int64) - (classes > ignore)
    return np.where((classes == ignore) | (classes == 255), 255, moved)


def _readable(
    folder: Path, ids: Sequence[str], specs: Specifications, keep: Sequence[bool]
) -> tuple[list[str], list[str]]:
    """The samples that can be read and have the size of most, and what is to be said of the others."""
    shapes: dict[str, tuple[int, ...]] = {}
    reasons = []
    for sample in ids:
        try:
            shapes[sample] = read_sample(folder / f"{sample}.hdf5", specs, keep)[0].shape
        except UserError as error:
            reasons.append(str(error))
    if not shapes:
        raise UserError(f"{folder}: none of {len(ids)} samples can be read; the first: {reasons[0]}")
    usual = Counter(shapes.values()).most_common(1)[0][0]
    good = [sample for sample in shapes if shapes[sample] == usual]
    reasons += [
        f"{folder / f'{sample}.hdf5'}: {shape}, most are {usual}" for sample, shape in shapes.items() if shape != usual
    ]
    return good, skipped_note(str(folder), "samples", reasons, len(ids))


def _smaller(
    folder: Path, partitions: dict[str, dict[str, list[str]]], rows: dict[str, int], fit: set[int]
) -> dict[str, list[int]]:
    """The train splits of the other partitions; one that reaches into what is reported on is an error."""
    found = {}
    for name, splits in partitions.items():
        if name == "default":
            continue
        chosen = [rows[sample] for sample in splits["train"] if sample in rows]
        if not set(chosen) <= fit:
            path = folder / f"{name}_partition.json"
            raise UserError(f"{path}: its train split has samples that the default partition validates or tests on")
        found[name] = chosen
    return found


@data("geobench")
class GeoBenchImages(Data):
    """The train splits of GEO-Bench v1 data sets as pre-training images; validation and test are never among them.

    names: data sets (`["m-eurosat"]`); of several, the bands that all have. patch: cut images into whole squares of so
    many pixels, so that sets of different size go together.
    """

    version = 1
    images_are = "train split"

    def __init__(
        self,
        *,
        names: list[str],
        band_labels: Literal["published", "corrected"] = "published",
        unit: str | None = None,
        patch: Count | None = None,
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        if not names:
            raise UserError('data geobench: names is empty; say names = ["m-eurosat"], for example')
        self.names, self.patch = names, patch
        self.band_labels: BandLabels = band_labels
        self.unreadable: Unreadable = unreadable
        self.unit = unit

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The names, without the folders that they lie in."""
        return tuple(Path(name).name for name in self.names)

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The data sets' folders."""
        return tuple(find_data_set(places, name) for name in self.names)

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The archives of the data sets that are published."""
        return archives(*self.names)

    def pack(self, places: Places) -> Pack:
        """The images of the fit splits, in the order of the names."""
        packs = [
            pack_data_set(
                places,
                name,
                band_labels=self.band_labels,
                unit=self.unit,
                unreadable=self.unreadable,
                picture=True,
            )
            for name in self.names
        ]
        return join_fit_splits(places, "+".join(pack.name for pack in packs), packs, self.patch)

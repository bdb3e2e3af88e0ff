"""A task of a user's own: a folder of labelled images and a table that says what they are."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, Literal

from deo_bench.data import Pack, Places
from deo_bench.data.labelled import find_table, pack_labelled
from deo_bench.data.labelled_csv import Table
from deo_bench.declarations import Count
from deo_bench.tasks import Task, task


@task("folder")
class FolderTask(Task):
    """Labelled images of a folder (GeoTIFF, .npy, .npz, PNG, JPEG) and a CSV with columns file, label, split, group.

    path: the folder, under the root of data or absolute. csv: the table, in the folder or absolute; files in it are
    looked for in the folder. columns: what the columns are called (`{ file = "image", label = "species" }`; a list of
    columns of 0 and 1 for `label` is multi-label). Splits are train, val and test (or 0, 1, 2); rows without one are
    left out. kind: without it a column `later` (the image of a later date) is change detection, a column `mask` (the
    file of a label map) segmentation, a `;` in a label multi-label, and labels with a fraction a regression. classes:
    names in the order of their numbers; alphabetical without. bands: names in order (or a band set's), where the files
    do not say; unit: what the pixels are in, uint8 where all are PNG or JPEG. ignore: the number in label maps that
    means none. patch: cut label maps and images into whole squares of so many pixels; those of one image are a group.
    """

    version = 1

    def __init__(
        self,
        *,
        path: str,
        csv: str = "labels.csv",
        columns: dict[str, Any] | None = None,
        kind: Literal["single", "multi", "regression", "segmentation", "change"] | None = None,
        classes: list[str] | None = None,
        bands: list[str] | None = None,
        unit: str | None = None,
        ignore: int | None = None,
        patch: Count | None = None,
        name: str = "",
    ) -> None:
        self.path, self.csv, self.name = path, csv, name or PurePath(path).name
        self.columns, self.kind, self.classes, self.bands_given = columns or {}, kind, classes or [], bands or []
        self.unit, self.ignore, self.patch = unit, ignore, patch
        self.data_sets = PurePath(path).parts

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The folder, and the table."""
        return (places.find(self.path, f"folder {self.path!r}"), self._table(places).path)

    def label_kind(self, places: Places) -> str:
        """What the table's labels are; no image is read for it."""
        return self._table(places).kind

    def pack(self, places: Places) -> Pack:
        """The images of the table's splits, in the order of its rows."""
        return pack_labelled(
            places,
            self._table(places),
            name=self.name,
            bands=self.bands_given,
            unit=self.unit,
            classes=self.classes,
            ignore=self.ignore,
            patch=self.patch,
        )

    def _table(self, places: Places) -> Table:
        return find_table(places, self.path, self.csv, self.columns, self.kind)

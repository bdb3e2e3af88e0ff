"""A task of a user's own: labelled images packed in one `.npz` file."""

from __future__ import annotations

from pathlib import Path, PurePath

from deo_bench.data import Pack, Places
from deo_bench.data.npz import pack_npz
from deo_bench.tasks import Task, task


@task("npz", named_by="path")
class NpzTask(Task):
    """Labelled images of one `.npz` file: arrays `images`, `labels`, `split`, `bands`, and names in `classes`.

    Labels are whole numbers for classes [N], zeros and ones [N, K] or maps [N, H, W], and floats [N] for a regression.
    path: the file, under the root of data or absolute. name: what tables call it; the file's own without one. unit:
    what the pixels are in; groups: the name of the array that says which images belong together (`tile`); ignore: the
    label that means none; each as the file itself says (arrays `unit`, `groups`, `ignore`) where left out.
    """

    version = 1

    def __init__(
        self, *, path: str, name: str = "", unit: str | None = None, groups: str = "", ignore: int | None = None
    ) -> None:
        self.path, self.name = path, name or PurePath(path).stem
        self.unit, self.groups, self.ignore = unit, groups, ignore
        self.data_sets = (PurePath(path).stem,)

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The file."""
        return (places.find(self.path, f"npz file {self.path!r}"),)

    def pack(self, places: Places) -> Pack:
        """The file's images, split 0, 1, 2 as fit, select, report."""
        return pack_npz(places, self.path, name=self.name, unit=self.unit, groups=self.groups, ignore=self.ignore)

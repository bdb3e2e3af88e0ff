"""What a task is: labelled images with splits in their roles, bands and units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from deo_bench.data import Pack, Places
from deo_bench.registry import decorator

if TYPE_CHECKING:
    from deo_bench.data.download import Download


class Task(ABC):
    """Labelled images to evaluate on: `__init__(*, options)`, of a family `__init__(name, *, options)`. No torch here.

    `name` is what tables and score files use. `data_sets` names what the images come from, to be held against what a
    teacher was trained on. Fact `named_by`: the option whose file names the task where no `name` is given; else that is
    the part's own.
    """

    name: str
    data_sets: tuple[str, ...] = ()
    version = 1

    @abstractmethod
    def pack(self, places: Places) -> Pack:
        """The task's images and labels, packed if they are not yet; the pack has the splits fit, select and report."""

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """Files and folders that the task is read from, found but not read; none for what is generated."""
        return ()

    def downloads(self, places: Places) -> tuple[Download, ...]:
        """The files that `deo-bench data download` brings, one `Download` each, with their places under the root.

        Given from a literal (address, sha256 or md5, bytes, how to unpack), without a network; `inputs` then finds what
        they became. None for what is generated, and for what nobody offers.
        """
        return ()

    def fingerprint(self, places: Places) -> str:
        """What of the task is in a score's identity: the content of its pack."""
        return self.pack(places).content

    def bands(self, places: Places) -> tuple[str, ...]:
        """The bands that the task's images have."""
        return self.pack(places).bands

    def label_kind(self, places: Places) -> str:
        """What its labels are: `single`, `multi`, `regression`, `segmentation` or `change`."""
        return self.pack(places).label_kind

    def class_names(self, places: Places) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers, as far as the task says them."""
        return self.pack(places).classes


task = decorator("task", Task)

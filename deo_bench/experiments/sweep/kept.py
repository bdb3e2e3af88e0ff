"""Where the studies of a sweep are kept, put down in the store, so that whoever looks elsewhere does not find nothing.

A storage is named by `--storage` or in the environment, each time anew; its runs are in the store all the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from deo_bench.errors import StoreError, UserError
from deo_bench.experiments.sweep.storage import storage_name, sweeps_folder
from deo_bench.files import one_at_a_time, read_json, write_json

FILE = "studies.json"
"""In the folder of a sweep: name of a study -> the storage that it was worked on in last, empty for its journal in the
store; an address is without its login.
"""


@dataclass(frozen=True)
class Kept:
    """Where the studies of one experiment are looked for now. url: none for its journal in the store."""

    url: str | None
    store: Path
    experiment: str

    @property
    def path(self) -> Path:
        """The file that says where they were worked on."""
        return sweeps_folder(self.store, self.experiment) / FILE

    @property
    def journal(self) -> str:
        """The journal in the store."""
        return storage_name(None, self.store, self.experiment)

    @property
    def here(self) -> str:
        """What the file calls this place."""
        name = storage_name(self.url, self.store, self.experiment)
        if name.startswith("postgresql://"):
            return name
        place = Path(name).resolve()
        return "" if place == Path(self.journal).resolve() else str(place)

    def put_down(self, studies: Collection[str]) -> None:
        """Put down that these are worked on here from now on."""
        wanted = dict.fromkeys(studies, self.here)
        if wanted.items() <= _read_leniently(self.path).items():
            return
        with one_at_a_time(self.path):
            write_json(self.path, {**_read_leniently(self.path), **wanted})

    def check(self, found: Mapping[str, bool], where: str, strictly: bool = False, anew: bool = False) -> None:
        """A UserError where a study is not there, but was worked on in another storage.

        found: name of a study -> whether it was found here; where: the experiment's file; strictly: also where it is
        here, and was worked on in another since; anew: how to begin it anew here is said, too.
        """
        known = _read(self.path) if self.path.exists() else {}
        for name, is_there in found.items():
            there = known.get(name, self.here)
            if there != self.here and (strictly or not is_there):
                places = f"{there or self.journal}, not in {self.here or self.journal}"
                told = "name that with --storage or DEO_BENCH_STORAGE"
                told += f"; to begin anew, take the study out of {self.path}" if anew else ""
                raise UserError(f"{where}: study {name!r} is kept in {places}; {told}")


def _read(path: Path) -> dict[str, str]:
    told = read_json(path)
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise StoreError(f"{path}: torn or foreign: it says where studies are kept; remove it if none are elsewhere")
    return told


def _read_leniently(path: Path) -> dict[str, str]:
    with contextlib.suppress(StoreError):
        return _read(path)
    return {}

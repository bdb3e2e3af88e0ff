"""Where the studies of a sweep are kept, put down in the store, so that whoever looks elsewhere does not find nothing.

A storage is named by `--storage` or in the environment, each time anew; its runs are in the store all the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deo_bench.errors import StoreError, UserError
from deo_bench.files import one_at_a_time, read_json, write_json

if TYPE_CHECKING:
    from deo_bench.experiments.sweep.plan import SweepPlan
    from deo_bench.experiments.sweep.study import Study

FILE = "studies.json"
"""In the folder of a sweep: name of a study -> the storage that it was worked on in last, empty for its journal in the
store; an address is without its login.
"""


def put_down(sweep: SweepPlan) -> None:
    """Put down where the studies of a sweep are worked on from now on."""
    path, here = sweep.folder / FILE, _called(sweep)
    wanted = {tuned.study: here for tuned in sweep.cells}
    if wanted.items() <= _read_leniently(path).items():
        return
    with one_at_a_time(path):
        write_json(path, {**_read_leniently(path), **wanted})


def check_kept_here(sweep: SweepPlan, studies: Sequence[Study | None], strictly: bool = False) -> None:
    """A UserError where a study is not there, but was worked on in another storage.

    studies: of each cell, as they were found in this one; strictly: where it is here, too, and was worked on in another
    since.
    """
    path, here = sweep.folder / FILE, _called(sweep)
    known = _read(path) if path.exists() else {}
    for tuned, study in zip(sweep.cells, studies, strict=True):
        there = known.get(tuned.study, here)
        if there != here and (strictly or study is None):
            told = there or _journal(sweep)
            raise UserError(
                f"{sweep.experiment.path}: study {tuned.study!r} is kept in {told}, not in {here or _journal(sweep)}; "
                "name that with --storage or DEO_BENCH_STORAGE"
            )


def _called(sweep: SweepPlan) -> str:
    from deo_bench.experiments.sweep.storage import storage_name

    name = storage_name(sweep.url, sweep.store, sweep.experiment.name)
    if name.startswith("postgresql://"):
        return name
    place = Path(name).resolve()
    return "" if place == Path(_journal(sweep)).resolve() else str(place)


def _journal(sweep: SweepPlan) -> str:
    from deo_bench.experiments.sweep.storage import storage_name

    return storage_name(None, sweep.store, sweep.experiment.name)


def _read(path: Path) -> dict[str, str]:
    told = read_json(path)
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise StoreError(f"{path}: torn or foreign: it says where studies are kept; remove it if none are elsewhere")
    return told


def _read_leniently(path: Path) -> dict[str, str]:
    with contextlib.suppress(StoreError):
        return _read(path)
    return {}

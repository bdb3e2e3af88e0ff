"""Pruning carried out: claimed first, told in the run's record, then renamed aside and deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from deo_bench.errors import StoreError
from deo_bench.files import write_json
from deo_bench.store.disk import discard
from deo_bench.store.lease import Lease
from deo_bench.store.prune import Item
from deo_bench.store.runs import PRUNED, Run, Store

_OF_WEIGHTS = ("sizes", "checksums")


def remove(store: Store, item: Item) -> None:
    """Delete an item; a StoreError where it is somebody's by now, has changed, or cannot be deleted.

    Killed at any moment, what is left is a run that is whole, a run that says it was pruned, or a temporary name.
    """
    try:
        if not item.run:
            for path in item.paths:
                discard(path)
            return
        run = store.run(item.run)
        with _claims(run):
            _remove_of(run, item)
    except OSError as error:
        raise StoreError(f"{item.name}: cannot be deleted: {error.strerror or error}") from None


def _remove_of(run: Run, item: Item) -> None:
    if run.state != item.state:
        raise StoreError(f"{run.name}: was {item.state} and is {run.state} by now; left alone")
    if item.is_whole:
        discard(run.path)
        return
    if item.kind in ("run", "unfinished") and item.state != PRUNED:
        _say_pruned(run)
    for path in item.paths:
        discard(path)


def _say_pruned(run: Run) -> None:
    """From here on the run is not done, whatever of its files is still there; its marks and versions stay told."""
    info = {}
    with contextlib.suppress(StoreError):
        info = run.info
    kept = {key: value for key, value in info.items() if key not in _OF_WEIGHTS}
    write_json(run.path / "run.json", {**kept, "state": PRUNED})


@contextlib.contextmanager
def _claims(run: Run) -> Iterator[None]:
    """The claims on training and on scoring a run, held together."""
    folders = [run.path, *([run.path / "scores"] if (run.path / "scores").is_dir() else [])]
    held: list[Lease] = []
    try:
        for folder in folders:
            lease = Lease(folder / "lease")
            if not lease.take():
                raise StoreError(f"{run.name}: claimed by another process meanwhile; left alone")
            held.append(lease)
        yield
    finally:
        for lease in held:
            lease.release()

"""Where things are written: the store and what is in it, the cache, and the room on their disks."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deo_bench.doctor.findings import Finding
from deo_bench.store import Store
from deo_bench.store.cache import KINDS, entries
from deo_bench.store.disk import size_of, size_text, standing

ROOM = 2_200_000_000
"""Bytes that the quickstart fills: generated scenes and their packs mostly."""


def stores(store: Path, cache: Path) -> Iterator[Finding]:
    """The store with its runs and scores, and the cache with its sizes."""
    needed = max(ROOM - size_of(cache), 0)
    is_inside = cache.is_relative_to(store)
    yield _store(store)
    yield _room("store", store, needed if is_inside else 0)
    yield _cache(cache)
    if not is_inside:
        yield _room("cache", cache, needed)


def _store(store: Path) -> Finding:
    place = str(store.absolute())
    refused = _refused(store)
    if refused:
        remedy = "name another with --store or DEO_BENCH_STORE"
        return Finding("store", "problem", f"{place}: {refused}", remedy, True, {"path": place, "writable": False})
    facts: dict[str, object] = {"path": place, "writable": True, "exists": store.is_dir()}
    if not store.is_dir():
        return Finding("store", "ok", f"{place}, made by the first run", is_needed=True, facts=facts)
    states = Counter("torn" if run.state == "done" and run.problem() else run.state for run in Store(store).runs())
    scores = len(list(store.glob("*/scores/*.json"))) + len(list(store.glob("backbones/*/scores/*.json")))
    facts |= {"runs": dict(states), "scores": scores}
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    text = f"{place}, writable; runs: {told}; {scores} scores"
    bad = [state for state in ("torn", "failed", "started") if states[state]]
    if bad:
        remedy = "the same `deo-bench run` goes on with them; `deo-bench runs prune --unfinished` lets them go"
        return Finding("store", "problem" if states["torn"] else "ok", text, remedy, facts=facts)
    return Finding("store", "ok", text, is_needed=True, facts=facts)


def _room(name: str, folder: Path, needed: int) -> Finding:
    free = shutil.disk_usage(standing(folder)).free
    text = f"{size_text(free)} free"
    facts = {"free": free, "room_needed": needed}
    if free < needed:
        text += f", the quickstart fills {size_text(needed)} more"
        remedy = "`deo-bench runs prune` says what can go; or another disk with DEO_BENCH_STORE, DEO_BENCH_CACHE"
        return Finding(f"{name}'s disk", "problem", text, remedy, True, facts)
    return Finding(f"{name}'s disk", "ok", text, is_needed=True, facts=facts)


def _cache(cache: Path) -> Finding:
    place = str(cache.absolute())
    refused = _refused(cache)
    if refused:
        remedy = "name another with DEO_BENCH_CACHE"
        return Finding("cache", "problem", f"{place}: {refused}", remedy, True, {"path": place, "writable": False})
    sizes: dict[str, int] = {}
    for entry in entries(cache):
        sizes[entry.kind] = sizes.get(entry.kind, 0) + entry.size
    told = ", ".join(f"{KINDS[kind]} {size_text(size)}" for kind, size in sorted(sizes.items())) or "empty"
    return Finding("cache", "ok", f"{place}; {told}", is_needed=True, facts={"path": place, "bytes": sizes})


def _refused(folder: Path) -> str:
    """Why nothing can be written into a folder that is there or would be made, or nothing."""
    if folder.exists() and not folder.is_dir():
        return "is a file"
    above = standing(folder)
    if not above.is_dir():
        return f"{above} is a file"
    if not os.access(above, os.W_OK | os.X_OK):
        return "cannot be written to" if above == folder.absolute() else f"{above} cannot be written to"
    return ""

"""What of a store can go, and what of it is left alone and why; nothing is deleted by looking."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deo_bench.store.cache import Entry, choose, entries
from deo_bench.store.disk import TEMPORARY, last_write, size_of
from deo_bench.store.remains import RESULTS, Remains, see
from deo_bench.store.runs import PRUNED, RUN_NAME, Store

Kind = Literal["run", "unfinished", "checkpoint", "temporary", "cache"]
EXPECTED = "expected"
"""The folder of what was expected before its scores were there: no pruning takes it, since nothing makes it again."""

SWEEPS = "sweeps"
"""The folder of sweeps' studies: what was tried and found, which nothing makes again."""

STILL_WRITTEN = 3600.0
"""Seconds in which a temporary file may still be somebody's who is writing it."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. Temporary files and the checkpoints of finished runs are always looked for.

    keep: runs that stay, every other goes (of the unfinished ones alone where `unfinished` says so); scores: those of
    a pruned run go with it; older_than: only what nobody touched for so many seconds; max_size: bytes that the cache
    may keep, what was used last first.
    """

    keep: frozenset[str] | None = None
    kept_by: str = ""
    unfinished: bool = False
    scores: bool = False
    cache: bool = False
    older_than: float = 0.0
    max_size: int | None = None


@dataclass(frozen=True)
class Item:
    """Something that can go: files and folders under one name, `run` where its claim is to be taken first.

    is_whole: the run's own folder goes; else its record says that it was pruned, before anything does. state: of the
    run when it was looked at.
    """

    kind: Kind
    name: str
    paths: tuple[Path, ...]
    size: int
    why: str
    run: str = ""
    state: str = ""
    is_whole: bool = False


@dataclass
class Found:
    """What can go; what is left alone, name and reason; and bytes that were not asked for but could go, by option."""

    items: list[Item] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    offers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all that can go."""
        return sum(item.size for item in self.items)


def look(store: Store, cache: Path, wanted: Wanted, now: float | None = None) -> Found:
    """What of a store and of its cache can go as things stand."""
    now = time.time() if now is None else now
    found = Found()
    seen = {run.name: one for run in store.runs() if (one := see(run, found.left))}
    chosen = _chosen(seen, wanted, now, found)
    for name, one in seen.items():
        if name in chosen:
            _add_run(found, one, wanted, chosen[name])
        elif now - last_write(one.run.path) >= wanted.older_than and not one.claimant():
            _add_leftovers(found, one)
    _offer_unfinished(found, seen, wanted)
    cached = entries(cache, found.left)
    _add_cache(found, cached, wanted, now)
    gone = {path for item in found.items for path in (item.paths if not item.is_whole else [store.root / item.name])}
    for path in _temporary(store, cache, seen.values(), found):
        is_old = now - last_write(path) > max(STILL_WRITTEN, wanted.older_than)
        if is_old and path not in gone and not gone.intersection(path.parents):
            gone.add(path)
            _add(found, "temporary", _below(store.root, path), (path,), "left by a process that was killed")
    return found


def _chosen(seen: dict[str, Remains], wanted: Wanted, now: float, found: Found) -> dict[str, str]:
    """The runs that go, each with why; those in use and those that a run that stays was taught by stay."""
    chosen = {}
    for name, one in seen.items():
        why = _why(one, wanted)
        if not why or now - last_write(one.run.path) < wanted.older_than or not _is_left(one, wanted):
            continue
        holder = one.claimant()
        if holder:
            found.left.append((name, f"claimed by {holder}"))
        else:
            chosen[name] = why
    kept = [one for name, one in seen.items() if name not in chosen and (one.state != PRUNED or one.is_unfinished)]
    while kept:
        one = kept.pop()
        for teacher in sorted(one.teachers & chosen.keys()):
            found.left.append((teacher, f"{one.run.name} has it as a teacher"))
            del chosen[teacher]
            kept.append(seen[teacher])
    return chosen


def _why(one: Remains, wanted: Wanted) -> str:
    """Why a run goes, or nothing where it stays."""
    if wanted.keep is not None and one.run.name in wanted.keep:
        return ""
    if wanted.unfinished:
        return one.told if one.is_unfinished else ""
    return f"not named by {wanted.kept_by}" if wanted.keep is not None else ""


def _is_left(one: Remains, wanted: Wanted) -> bool:
    """Whether there is anything to free: a pruned run has its record and its scores only."""
    return wanted.scores or one.state != PRUNED or bool(one.beside_record())


def _add_run(found: Found, one: Remains, wanted: Wanted, why: str) -> None:
    """A run with its scores, or its weights, log and checkpoint alone."""
    has_scores = one.has_scores
    keeps = has_scores and not wanted.scores
    is_whole = not keeps and not one.foreign
    paths = one.beside_record() + (one.results if has_scores and not keeps else ())
    kind: Kind = "unfinished" if wanted.unfinished else "run"
    what = f"{why}; its scores stay" if keeps else f"{why}; its scores go" if has_scores else why
    found.left += [(f"{one.run.name}/{name}", "not of deo-bench") for name in one.foreign]
    if is_whole or paths:
        _add(found, kind, one.run.name, one.ours if is_whole else paths, what, one.run.name, one.state, is_whole)


def _add_leftovers(found: Found, one: Remains) -> None:
    """What is of no use to a run that stays: its checkpoint once it is finished, weights where pruning was cut off."""
    if one.is_done and one.run.resume_path.is_dir():
        name, paths, why = f"{one.run.name}/resume", (one.run.resume_path,), "the run is finished"
        _add(found, "checkpoint", name, paths, why, one.run.name, one.state)
    elif one.state == PRUNED and not one.is_unfinished and one.beside_record():
        why = "left by a pruning that was cut off"
        _add(found, "temporary", one.run.name, one.beside_record(), why, one.run.name, one.state)


def _add(
    found: Found,
    kind: Kind,
    name: str,
    paths: tuple[Path, ...],
    why: str,
    run: str = "",
    state: str = "",
    is_whole: bool = False,
) -> None:
    found.items.append(Item(kind, name, paths, size_of(*paths), why, run, state, is_whole))


def _offer_unfinished(found: Found, seen: dict[str, Remains], wanted: Wanted) -> None:
    if wanted.unfinished or wanted.keep is not None:
        return
    offered = [one for one in seen.values() if one.is_unfinished and not one.claimant()]
    if offered:
        size = sum(size_of(*one.ours) for one in offered)
        found.offers["--unfinished"] = (len(offered), size)


def _add_cache(found: Found, cached: list[Entry], wanted: Wanted, now: float) -> None:
    if not wanted.cache:
        if cached:
            found.offers["--cache"] = (len(cached), sum(entry.size for entry in cached))
        return
    for entry, why in choose(cached, now - wanted.older_than, wanted.older_than > 0, wanted.max_size, now):
        _add(found, "cache", f"cache/{entry.kind}/{entry.path.name}", (entry.path,), why)


def _temporary(store: Store, cache: Path, seen: Iterable[Remains], found: Found) -> Iterator[Path]:
    """Everything that is called like a temporary file, where only deo-bench writes; foreign things are told."""
    if not store.root.is_dir():
        return
    known = {"backbones", EXPECTED, SWEEPS, cache.name if cache.parent == store.root else "cache"}
    for path in sorted(store.root.iterdir()):
        if path.match(TEMPORARY):
            yield path
        elif path.name not in known and not (path.is_dir() and RUN_NAME.fullmatch(path.name)):
            found.left.append((path.name, "not of deo-bench"))
    for one in seen:
        if not one.claimant():
            for folder in ("", *RESULTS, "resume"):
                yield from sorted((one.run.path / folder).glob(TEMPORARY))
    for folder in RESULTS:
        yield from sorted((store.root / "backbones").glob(f"*/{folder}/{TEMPORARY}"))
    yield from sorted((store.root / EXPECTED).glob(TEMPORARY))
    yield from sorted((store.root / SWEEPS).rglob(TEMPORARY))
    yield from sorted(cache.rglob(TEMPORARY))


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

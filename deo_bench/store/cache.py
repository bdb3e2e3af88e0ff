"""The cache of a store: what is in it, how much room each takes, and which of it goes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deo_bench.store.disk import TEMPORARY, last_use, size_of, size_text

KINDS = {"packs": "packed images", "scenes": "generated scenes", "embeddings": "embeddings", "statistics": "statistics"}
"""The folders of a cache, and what each holds; all of it can be made again."""

_KEPT = ("checksums.json",)
_ENDINGS = {"embeddings": ".npy", "statistics": ".safetensors"}
_DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """One thing in a cache: a pack, an embedding, the statistics of a teacher, or generated scenes of one size.

    used: when it was last written or read, in seconds since the epoch; bytes in `size`.
    """

    kind: str
    path: Path
    size: int
    used: float


def entries(cache: Path, foreign: list[tuple[str, str]] | None = None) -> list[Entry]:
    """Everything in a cache that deo-bench made; what it did not make is added to `foreign`, with why."""
    told = [] if foreign is None else foreign
    found = []
    for folder in _inside(cache):
        if folder.name not in KINDS or folder.is_symlink() or not folder.is_dir():
            if folder.name not in _KEPT and folder.suffix != ".lock":
                told.append((f"cache/{folder.name}", "not of deo-bench"))
            continue
        for path in _inside(folder):
            if _is_entry(folder.name, path):
                found.append(Entry(folder.name, path, size_of(path), last_use(path)))
            elif path.suffix != ".lock":
                told.append((f"cache/{folder.name}/{path.name}", "not of deo-bench"))
    return found


def choose(
    cached: list[Entry], before: float, by_age: bool, max_size: int | None, now: float
) -> Iterator[tuple[Entry, str]]:
    """What goes, least recently used first, with why: unused since `before`, then what is beyond `max_size` bytes.

    All of it goes where neither is asked for.
    """
    left = sum(entry.size for entry in cached)
    for entry in sorted(cached, key=lambda entry: (entry.used, entry.path)):
        if by_age and entry.used <= before:
            yield entry, f"not used for {(now - entry.used) / _DAY:.0f} days"
        elif max_size is not None and left > max_size:
            yield entry, f"the cache is beyond {size_text(max_size)}, and this was used least recently"
        elif not by_age and max_size is None:
            yield entry, f"{KINDS[entry.kind]}: made again when they are needed"
        else:
            continue
        left -= entry.size


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.match(TEMPORARY)) if folder.is_dir() else []


def _is_entry(kind: str, path: Path) -> bool:
    if path.is_symlink():
        return False
    if kind == "packs":
        return (path / "pack.json").is_file()
    return path.is_dir() if kind == "scenes" else path.is_file() and path.suffix == _ENDINGS[kind]

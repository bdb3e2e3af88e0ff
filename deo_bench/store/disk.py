"""Room on disk: how much things take, when they were last used, and how they go so that no half of them stays."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from deo_bench.errors import UserError

TEMPORARY = ".*.tmp"
"""What is being written or deleted is called so; what is left of a killed process, too."""


def files_under(path: Path) -> Iterator[os.stat_result]:
    """The status of a file, or of every file under a folder; links are not followed."""
    try:
        if path.is_symlink() or not path.is_dir():
            yield path.lstat()
            return
        with os.scandir(path) as entries:
            below = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return  # gone meanwhile, or not ours to read: it takes no room that we could free
    for entry in below:
        yield from files_under(Path(entry.path))


def size_of(*paths: Path) -> int:
    """Bytes of files and of everything under folders."""
    return sum(status.st_size for path in paths for status in files_under(path))


def last_use(*paths: Path) -> float:
    """When anything of it was last written or read, in seconds since the epoch, as far as the file system tells."""
    return max((max(s.st_mtime, s.st_atime) for path in paths for s in files_under(path)), default=0.0)


def last_write(*paths: Path) -> float:
    """When anything of it was last written, the folders themselves included."""
    own = [path.lstat().st_mtime for path in paths if path.exists()]
    return max([*own, *(status.st_mtime for path in paths for status in files_under(path))], default=0.0)


def size_text(size: float) -> str:
    """Bytes as people read them: `512 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def read_size(text: str, where: str = "--max-size") -> int:
    """`500MB` or `20GB` in bytes (1 kB is 1000 bytes); where: what said it."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if not match:
        raise UserError(f"{where} {text!r}: expected a size such as 500MB or 20GB")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2] or " "))


def standing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def discard(path: Path) -> None:
    """Delete a file or a folder; a folder is renamed first, so that no half of it is ever found under its name."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = path.parent / f".{path.name.strip('.')}.{os.getpid()}.{uuid4().hex[:8]}.tmp"
    path.rename(aside)
    shutil.rmtree(aside)

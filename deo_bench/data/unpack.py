"""Archives of strangers, unpacked into one folder and nowhere else."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from deo_bench.data.transfer import Step, needs_room
from deo_bench.errors import UserError

Archive = Literal["zip", "tar"]
BLOCK = 1 << 20
_DAMAGED = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError),  # the last two: a compression, a password
    *(tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError),
)
_JUNK = ("__MACOSX", ".DS_Store")


class Damaged(UserError):
    """An archive that cannot be read to its end."""


def unpack(archive: Path, kind: Archive, folder: Path, what: str) -> Iterator[Step]:
    """All files of an archive below a folder, step by step; `what` is what errors call it.

    Names that reach out of the folder, links and devices are a UserError, as is a damaged archive (`Damaged`); what
    would not fit on the disk is refused before a byte of it is written. Rights and owners are not taken over.
    """
    try:
        yield from (_unzip if kind == "zip" else _untar)(archive, folder, what)
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        raise Damaged(f"{what}: is no whole {kind} ({reason})") from None


def _unzip(archive: Path, folder: Path, what: str) -> Iterator[Step]:
    with zipfile.ZipFile(archive) as opened:
        members = [(info, _path(info.filename, folder, what)) for info in opened.infolist()]
        total, done = sum(info.file_size for info, _ in members), 0
        needs_room(folder, total, f"{what}, unpacked,")
        for info, path in members:
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise UserError(f"{what}: {info.filename!r} is a link; links are not unpacked")
            if path is None:
                continue
            if info.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(info) as stream:
                _write(stream, path)
            done += info.file_size
            yield Step("unpack", done, total)


def _untar(archive: Path, folder: Path, what: str) -> Iterator[Step]:
    done = 0
    with tarfile.open(archive) as opened:
        for info in opened:
            path = _path(info.name, folder, what)
            if not (info.isreg() or info.isdir()):
                raise UserError(f"{what}: {info.name!r} is a link or a device, which are not unpacked")
            if path is None:
                continue
            if info.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            needs_room(folder, info.size, f"{what}, unpacked,")
            stream = opened.extractfile(info)
            assert stream is not None
            with stream:
                _write(stream, path)
            done += info.size
            yield Step("unpack", done, None)


def _path(name: str, folder: Path, what: str) -> Path | None:
    """Where a member goes; none for what some systems put into archives beside the data."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        if name in (".", "./"):
            return None
        raise UserError(f"{what}: {name!r} would be written outside its folder; it is not unpacked")
    return None if parts[0] in _JUNK or parts[-1] in _JUNK else folder.joinpath(*parts)


def _write(stream: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as out:
        shutil.copyfileobj(stream, out, BLOCK)

"""Downloads of data sets: what a part says of its files, and fetching one of them whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from uuid import uuid4

from deo_bench.data.transfer import Step, Transfer, has_changed, transfer
from deo_bench.data.unpack import Archive, Damaged, unpack
from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.files import cannot_write, one_at_a_time, read_json, write_json

FOLDER = ".downloads"
"""Under the root of data: what is half downloaded, and locks; safe to delete."""
CHECKSUMS = "checksums.json"
"""Under the root of data: address -> sha256 and bytes of what was first downloaded from it."""


@dataclass(frozen=True)
class Download:
    """A file of a data set as its publisher offers it; a part's `downloads(places)` gives them, from a literal.

    url: http or https. to: what is there afterwards, a path under the root of data: the file itself, or with `unpack`
    (`zip`, or `tar` of any compression) the folder that the archive becomes. inside: the folder of the archive that
    `to` is (`""`: all of it); by default the folder that stands alone in it (and in that one, until what `has` names is
    there), else all of it. has: names that must be in `to`.
    sha256, md5: as the publisher states them, in hex; where neither is, the hub's own, and in any case what was first
    downloaded from the address is what it has to stay. bytes: of the file; unpacked: of what is in it, at least; 0
    where nobody says. page: where a person finds the data and their licence.
    """

    url: str
    to: str
    unpack: Archive | Literal[""] = ""
    inside: str | None = None
    has: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""
    bytes: int = 0
    unpacked: int = 0
    page: str = ""

    def place(self, root: Path) -> Path:
        """Where it ends up under a root; a place outside the root is an error."""
        path = PurePosixPath(self.to)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise UserError(f"{self.url}: would be put at {self.to!r}, which is not under the folder of data")
        return root / path

    def is_there(self, root: Path) -> bool:
        """Whether it has been downloaded, or put there by hand."""
        place = self.place(root)
        return place.exists() and all((place / name).exists() for name in self.has)

    def remedy(self, root: Path) -> str:
        """How to bring it from a place that has a network."""
        verb = "unpack it to" if self.unpack else "put it at"
        page = f" (see {self.page})" if self.page else ""
        return f"get {self.url}{page} where there is a network, and {verb} {self.place(root)}"


def hub_file(repository: str, path: str, revision: str = "main") -> str:
    """The address of a file in a dataset repository of the Hugging Face hub, or of the mirror in `HF_ENDPOINT`."""
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return f"{hub}/datasets/{repository}/resolve/{revision}/{path}"


def is_offline() -> bool:
    """Whether the environment forbids the network, in the hub's own word for it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch(download: Download, root: Path) -> Iterator[Step]:
    """Download one file under a root, step by step; whoever asks for steps may stop at any, and come again.

    The file grows as `.downloads/*.part` and goes on where it stopped; its size and checksum are held, what is in it is
    unpacked beside its place and renamed into it. Nothing is there before all is. What cannot be had (offline, gone,
    refused) is a MissingInput with what to do instead; a wrong file, a full disk and an archive that reaches out of its
    folder are a UserError.
    """
    place = download.place(root)
    if download.is_there(root):
        return
    if place.exists():
        lacks = ", ".join(name for name in download.has if not (place / name).exists())
        raise UserError(f"{place} is there and lacks {lacks}; move it away, and it is downloaded")
    part = root / FOLDER / f"{_key(download)}.part"
    if is_offline() and not part.exists():
        raise MissingInput(f"{download.to}: HF_HUB_OFFLINE is set, nothing is downloaded", download.remedy(root))
    with one_at_a_time(part):
        if download.is_there(root):
            return
        yield from _fetch(download, root, place, part)


def _fetch(download: Download, root: Path, place: Path, part: Path) -> Iterator[Step]:
    asked = Transfer(download.url, download.bytes, download.unpacked if download.unpack else 0, bool(download.unpack))
    told = yield from transfer(asked, part, download.remedy(root), is_offline())
    digest = yield from _checked(download, root, part, told.sha256)
    if download.unpack:
        yield from _unpacked(download, place, part)
    else:
        _put(part, place)
    _remember(root, download.url, digest, told.total)
    for left in (part, told.notes(part)):
        left.unlink(missing_ok=True)


def _key(download: Download) -> str:
    name = PurePosixPath(download.url.partition("?")[0]).name or "file"
    return f"{name[:60]}-{hashlib.sha256(download.url.encode()).hexdigest()[:8]}"


def _checked(download: Download, root: Path, part: Path, by_hub: str) -> Generator[Step, None, str]:
    """Hold the file against what is stated, what was first downloaded and what the hub says; returns its sha256."""
    sha256, md5, total, done = hashlib.sha256(), hashlib.md5(usedforsecurity=False), part.stat().st_size, 0
    with part.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha256.update(block)
            if download.md5:
                md5.update(block)
            done += len(block)
            yield Step("check", done, total)
    found = sha256.hexdigest()
    known = _known(root).get(download.url, {}).get("sha256", "")
    held = [
        ("sha256", found, download.sha256.lower(), "its publisher states"),
        ("md5", md5.hexdigest(), download.md5.lower(), "its publisher states"),
        ("sha256", found, "" if download.sha256 or download.md5 else by_hub, "the hub states"),
    ]
    for kind, here, wanted, who in held:
        if wanted and here != wanted:
            part.unlink()
            raise UserError(
                f"{download.url}: what came has {kind} {here[:16]}…, {who} {wanted[:16]}…; it was deleted, try again"
            )
    if known and known != found:
        raise has_changed(
            download.url, f"has sha256 {found[:16]}…, it was {known[:16]}…", f"delete its entry in {root / CHECKSUMS}"
        )
    return found


def _unpacked(download: Download, place: Path, part: Path) -> Iterator[Step]:
    """The folder that the archive becomes, by one rename."""
    for left in place.parent.glob(f".{place.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    building = place.parent / f".{place.name}.{uuid4().hex[:12]}.tmp"
    try:
        building.mkdir(parents=True)
        yield from unpack(part, download.unpack or "zip", building, download.url)
        inner = _inner(download, building)
        lacks = [name for name in download.has if not (inner / name).exists()]
        if lacks:
            raise UserError(f"{download.url}: has no {', '.join(lacks)}; it is not what was expected")
        inner.rename(place)
    except Damaged as error:
        part.unlink()
        raise Damaged(f"{error}; it was deleted, try again") from None
    except OSError as error:
        raise cannot_write(place, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _inner(download: Download, building: Path) -> Path:
    """The folder of what was unpacked that `inside` names; else below folders that stand alone."""
    if download.inside is not None:
        inner = building / download.inside
        if not inner.is_dir():
            raise UserError(f"{download.url}: has no folder {download.inside!r}; it is not what was expected")
        return inner
    inner, is_found = building, False
    while not is_found:
        top = list(inner.iterdir())
        if len(top) != 1 or not top[0].is_dir():
            break
        inner = top[0]
        is_found = all((inner / name).exists() for name in download.has)
    return inner


def _put(part: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)
    except OSError as error:
        raise cannot_write(place, error) from error


def _known(root: Path) -> dict[str, dict[str, str]]:
    try:
        known = read_json(root / CHECKSUMS) if (root / CHECKSUMS).is_file() else {}
    except StoreError as error:
        raise UserError(f"{error}; delete it, and what is downloaded next is what is kept") from None
    if not isinstance(known, dict) or not all(isinstance(entry, dict) for entry in known.values()):
        raise UserError(f"{root / CHECKSUMS}: is no table of checksums; delete it")
    return known


def _remember(root: Path, url: str, digest: str, size: int) -> None:
    with one_at_a_time(root / FOLDER / CHECKSUMS):
        known = _known(root)
        if url not in known:
            write_json(root / CHECKSUMS, {**known, url: {"sha256": digest, "bytes": size}})

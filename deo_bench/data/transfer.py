"""One file over HTTP into a `.part` that goes on where it stopped, across lost connections, kills and days."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.files import cannot_write, read_json, write_json

BLOCK = 1 << 18
TRIES = 4
"""How many connections in a row may be lost, counted from the last one that brought a byte."""
PAUSE = 1.0
"""Seconds before the second try; twice as many before each further one."""
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as lost."""


@dataclass(frozen=True)
class Step:
    """How far a stage is, in bytes of a total that is none where nobody says it."""

    stage: Literal["download", "check", "unpack"]
    done: int
    total: int | None


@dataclass(frozen=True)
class Transfer:
    """What to transfer: the address, its bytes (0: unknown), and the bytes of what will be unpacked from it."""

    url: str
    bytes: int
    unpacked: int
    is_archive: bool


@dataclass(frozen=True)
class Told:
    """What the server says of a file: bytes in all, its version (an ETag), and the sha256 that the hub gives."""

    total: int
    etag: str
    sha256: str

    @staticmethod
    def notes(part: Path) -> Path:
        """Where this is kept beside a part."""
        return part.with_suffix(".json")

    @classmethod
    def kept(cls, part: Path) -> Told | None:
        """What was said when the part was begun; none where there is no part that can be gone on with."""
        try:
            told = read_json(cls.notes(part))
            return cls(int(told["total"]), str(told["etag"]), str(told["sha256"])) if part.is_file() else None
        except (StoreError, KeyError, TypeError, ValueError):
            return None

    def keep(self, part: Path) -> None:
        """Keep it beside the part."""
        write_json(self.notes(part), {"total": self.total, "etag": self.etag, "sha256": self.sha256})


def has_changed(url: str, what: str, remedy: str) -> UserError:
    """A file that is not any more what it was."""
    return UserError(f"{url}: {what}: it has changed at its source; {remedy} to take the new one")


def needs_room(folder: Path, wanted: int, what: str) -> None:
    """Refuse what would not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise UserError(
            f"{what} needs {wanted / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB free; "
            "free some space, or name another folder with --data"
        )


def transfer(asked: Transfer, part: Path, remedy: str, offline: bool = False) -> Generator[Step, None, Told]:
    """Fill a part until it is whole; returns what the server says of the file.

    A lost connection is taken up again by a range request, TRIES times in a row. A server that knows no ranges, or has
    another version of the file by now, starts over. One whole already is not asked for again.
    """
    kept, failed = Told.kept(part), 0
    while kept is None or part.stat().st_size != kept.total or not kept.total:
        if offline:
            raise MissingInput(f"{asked.url}: HF_HUB_OFFLINE is set, and the file is here in part only", remedy)
        before = part.stat().st_size if kept and part.is_file() else 0
        lost = yield from _attempt(asked, part, kept, remedy)
        kept = Told.kept(part)
        here = part.stat().st_size if part.is_file() else 0
        if lost is None and kept is not None:
            break
        failed = 1 if here > before else failed + 1
        if failed >= TRIES:
            of = f" of {kept.total}" if kept and kept.total else ""
            goes_on = f"; {here}{of} bytes are kept, and the same command goes on from there" if here else ""
            raise MissingInput(f"{asked.url}: cannot be reached ({lost}){goes_on}", f"or {remedy}" if here else remedy)
        time.sleep(PAUSE * 2 ** (failed - 1))
    return kept


def _attempt(asked: Transfer, part: Path, kept: Told | None, remedy: str) -> Generator[Step, None, str | None]:
    """One connection; returns why it was lost, none where the file is whole."""
    have = part.stat().st_size if kept else 0
    try:
        response, hub = _open(asked.url, have, kept.etag if kept else "")
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return _refused(error, asked, part, remedy)
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)
    with contextlib.closing(response):
        begins = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        is_rest = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if is_rest else 0
        told = _told(response.headers, hub, have)
        if is_rest and (kept is None or begins != str(have) or kept.total not in (0, told.total)):
            part.unlink(missing_ok=True)
            return "the rest of another file came"
        _hold_size(asked, told)
        _make_room(asked, part, told, have)
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            told.keep(part)
            stream = part.open("r+b" if have else "wb")
        except OSError as error:
            raise cannot_write(part, error) from error
        with stream:
            stream.seek(have)
            stream.truncate()
            done, lost = yield from _stream(response, stream, part, have, told.total)
    if lost is None and told.total and done != told.total:
        return f"{done} of {told.total} bytes came"
    if lost is None and not told.total:
        Told(done, told.etag, told.sha256).keep(part)
    return lost


def _stream(
    response: Any, stream: IO[bytes], part: Path, done: int, total: int
) -> Generator[Step, None, tuple[int, str | None]]:
    """Everything that a response has, into a file; returns how far it came and why it stopped, none at its end."""
    yield Step("download", done, total or None)
    while True:
        try:
            block = response.read1(BLOCK)  # what has come, so that a kill loses little of it
        except (OSError, http.client.HTTPException) as error:
            return done, _reason(error)
        try:
            if not block:
                stream.flush()
                os.fsync(stream.fileno())
                return done, None
            stream.write(block)
        except OSError as error:
            raise cannot_write(part, error) from error
        done += len(block)
        yield Step("download", done, total or None)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps the headers in which the hub says size and checksum of what it redirects to."""

    def __init__(self) -> None:
        self.hub: dict[str, str] = {}

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.hub |= {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-linked-")}
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, have: int, etag: str) -> tuple[Any, Mapping[str, str]]:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: is no address of the web; expected http or https")
    from deo_bench import __version__

    headers = {"User-Agent": f"deo-bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        # A weak ETag is no promise of equal bytes; without a strong one the size and the checksum are what is held.
        headers |= {"If-Range": etag} if etag.startswith('"') else {}
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT), redirects.hub


def _told(headers: Mapping[str, str], hub: Mapping[str, str], have: int) -> Told:
    total = headers.get("Content-Range", "").rpartition("/")[2]
    if not total.isdigit():
        length = headers.get("Content-Length", "")
        total = str(have + int(length)) if length.isdigit() else "0"
    linked = hub.get("x-linked-etag", headers.get("X-Linked-Etag", "")).strip('"').lower()
    is_sha256 = len(linked) == 64 and all(letter in "0123456789abcdef" for letter in linked)
    return Told(int(total), headers.get("ETag", ""), linked if is_sha256 else "")


def _hold_size(asked: Transfer, told: Told) -> None:
    if asked.bytes and told.total and asked.bytes != told.total:
        raise has_changed(asked.url, f"is {told.total} bytes, {asked.bytes} are stated", "get a newer deo-bench")


def _make_room(asked: Transfer, part: Path, told: Told, have: int) -> None:
    """Before the first byte; what an archive holds is at least as large as the archive, where nobody says."""
    folder = part.parent
    while not folder.exists():
        folder = folder.parent
    inside = max(asked.unpacked, told.total) if asked.is_archive else 0
    needs_room(folder, told.total - have + inside, asked.url)


def _refused(error: urllib.error.HTTPError, asked: Transfer, part: Path, remedy: str) -> str:
    """Whether to try again after an answer that is no file: the reason; else a MissingInput."""
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        return "the part was longer than the file"
    if error.code in (408, 429) or error.code >= 500:
        return f"{error.code} {error.reason}"
    what = {401: "wants a login", 403: "is not for everybody", 404: "is not there", 410: "is gone"}
    raise MissingInput(f"{asked.url}: {what.get(error.code, 'is refused')} ({error.code} {error.reason})", remedy)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason) or type(error).__name__

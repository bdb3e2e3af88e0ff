"""A publisher on this machine: files over HTTP with ranges, versions, redirects, and the ways in which they fail."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Publisher:
    """What is offered, and what was asked for.

    files: path -> content. cuts: after how many bytes the next connections are lost, one after another. statuses: path
    -> what is answered in the place of a file. hub: paths that are redirected to `/cdn` + path, with the sha256 that
    the hub states. stall: how many bytes come before an answer stands still until `go`.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    hub: dict[str, str] = field(default_factory=dict)
    stall: int | None = None
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return self.address + path


class _Server(ThreadingHTTPServer):
    told: Publisher


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        told = self.server.told
        told.asked.append((self.path, self.headers.get("Range")))
        if self.path in told.hub:
            return self.redirect(told.hub[self.path])
        path = self.path.removeprefix("/cdn")
        status = told.statuses.get(path, 200 if path in told.files else 404)
        if status >= 400:
            return self.send_error(status)
        self.send_file(told.files[path], told)

    def redirect(self, sha256: str) -> None:
        self.send_response(302)
        self.send_header("Location", f"/cdn{self.path}")
        self.send_header("X-Linked-Etag", f'"{sha256}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_file(self, content: bytes, told: Publisher) -> None:
        version = f'"{hashlib.md5(content).hexdigest()}"'
        asked, start = self.headers.get("Range", ""), 0
        if asked and told.ranges and self.headers.get("If-Range", version) == version:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", version)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if told.stall is not None:
            self.wfile.write(rest[: told.stall])
            self.wfile.flush()
            told.go.wait(60)
            rest = rest[told.stall :]
        self.wfile.write(rest[: told.cuts.pop(0)] if told.cuts else rest)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def publisher() -> Iterator[Publisher]:
    """A publisher at a free port, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    told = server.told = Publisher(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield told
    finally:
        told.go.set()
        server.shutdown()
        server.server_close()

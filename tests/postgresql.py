"""A PostgreSQL server of the tests' own: made, started and stopped by a fixture, on a port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

OWNERS = ("postgres", "nobody")
"""Who may run a server where the tests run as root, which it refuses."""


def tools() -> Path | None:
    """The folder of initdb and pg_ctl, of the newest version there is."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = shutil.which("initdb")
    folders = sorted(folders, key=lambda path: path.parent.name) + ([Path(found).resolve().parent] if found else [])
    return next((path for path in reversed(folders) if (path / "pg_ctl").is_file()), None)


def _owner() -> dict[str, Any]:
    """What makes a command run as an ordinary user."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next((known[name] for name in OWNERS if name in known), None)
    if entry is None:
        pytest.skip(f"PostgreSQL does not run as root, and there is none of the users {', '.join(OWNERS)}")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass(frozen=True)
class Server:
    """A running server: its port on loopback, its data, and a way to run a command of PostgreSQL's as its owner."""

    port: int
    data: Path
    run: Callable[..., str]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server that runs as long as the tests do."""
    where = tools()
    if where is None:
        pytest.skip("needs PostgreSQL's server: initdb was not found")
    owner = _owner()
    # The owner has to get to it: not pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if owner:
        os.chown(folder, owner["user"], owner["group"])

    def run(tool: str, *words: str) -> str:
        command = [str(where / tool), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, **owner)
        assert done.returncode == 0, f"{tool}: {done.stdout}{done.stderr}"
        return done.stdout

    data, log = folder / "data", folder / "log"
    port = _free_port()
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    try:
        run("initdb", "-D", str(data), "-U", "deo", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-D", str(data), "-l", str(log), "-o", settings, "-w", "start")
        yield Server(port, data, run)
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(postgresql_server: Server, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    server = postgresql_server
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    server.run("createdb", "-h", "127.0.0.1", "-p", str(server.port), "-U", "deo", name)
    return f"postgresql://deo@127.0.0.1:{server.port}/{name}"

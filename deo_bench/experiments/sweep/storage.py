"""Where studies are kept, by URL: a journal file, SQLite or PostgreSQL. No message ever shows a password."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from deo_bench.errors import StoreError, UserError, unknown
from deo_bench.experiments.sweep.journal import open_journal
from deo_bench.files import cannot_write, one_at_a_time
from deo_bench.libraries import import_library
from deo_bench.store.prune import SWEEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL

KINDS = ("journal", "postgresql", "sqlite")
_DRIVER = "postgresql+psycopg"
_SAID = {"postgres": "postgresql", "postgresql": "postgresql", _DRIVER: "postgresql", "sqlite": "sqlite"}
_OF_SQLITE = (".db", ".sqlite", ".sqlite3")
_PATIENCE = 60
"""Seconds that a writer of SQLite waits for another."""

_ANSWER_WITHIN = 10
"""Seconds that a server has to answer."""

_CONNECTING: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": _ANSWER_WITHIN}}

_REFUSALS = (
    (r"database \S+ does not exist", "there is no such database; `createdb` makes it"),
    (r"authentication failed|no password supplied|pg_hba|role \S+ does not exist", "refuses the login of {user}"),
    (r"permission denied|InsufficientPrivilege", "{user} may not make tables there"),
    (r"invalid (connection|URI query) (option|parameter)", "an option after the ? is none of PostgreSQL's"),
)
"""What servers say, and what users are told; the server's own words are not, since they may hold what was sent."""


class NoAnswer(StoreError):
    """A storage that does not answer now, or refuses to write: nothing is wrong with what was to be told."""


def sweeps_folder(store: Path, experiment: str) -> Path:
    """Where a sweep keeps what its workers share: locks, claims on trials, what each worker does."""
    return store / SWEEPS / experiment


def open_storage(url: str | None, store: Path, experiment: str) -> BaseStorage:
    """The storage that a URL names; a journal file in the store where none is given.

    url: `sqlite:///FILE`, `postgresql://USER@HOST:PORT/DATABASE` (through psycopg 3), `journal:FILE` or a plain path.
    Of many processes that open one, one at a time makes its tables. Not to be used in a forked child: it opens its own.

    Raises UserError for what is no such URL and for a file in a folder that is not there, MissingInput where
    the driver lacks, CannotWrite and StoreError where the place cannot be written to, does not answer, refuses the
    login or holds something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind, place = _read(url, store, experiment)
    if kind == "journal":
        return open_journal(Path(place))
    with one_at_a_time(store / SWEEPS / "storage"):
        return _sqlite(place) if kind == "sqlite" else _postgresql(place)


def is_there(url: str | None, store: Path, experiment: str) -> bool:
    """Whether there is a storage to be looked into; nothing is made by asking, of a server neither."""
    kind, place = _read(url, store, experiment)
    return _has_tables(place) if kind == "postgresql" else Path(place).is_file()


def storage_name(url: str | None, store: Path, experiment: str) -> str:
    """How a storage is called in what users read: a path, or an address without the login."""
    kind, place = _read(url, store, experiment)
    return _shown(_parsed(place)) if kind == "postgresql" else place


@contextmanager
def answering(study: str) -> Iterator[None]:
    """A block that asks a storage or writes to it; what fails in it is one line that says of which study."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except OSError as error:
        raise cannot_write(Path(str(error.filename or study)), error) from error
    except (StorageInternalError, SQLAlchemyError):
        raise NoAnswer(f"study {study}: its storage does not answer, or refuses to write; try again later") from None


def _read(url: str | None, store: Path, experiment: str) -> tuple[str, str]:
    """The kind of a storage, and the path of a file or what follows `://`."""
    if url is None:
        return "journal", str(store / SWEEPS / f"{experiment}.journal")
    kind, is_address, rest = url.partition("://")
    if is_address and kind in _SAID:
        if kind != "sqlite":
            return _SAID[kind], rest
        path = _file_of(rest)
        _check_folder(Path(path))
        return kind, path
    if not is_address and url.startswith("journal:"):
        kind, rest = "journal", url.removeprefix("journal:")
    elif not is_address and not re.match(r"[^/\s]{2,}:", url):
        kind, rest = "journal", url
    else:
        # What stands before the first colon is shown where it can only be a word.
        word = re.match(r"([A-Za-z][\w+.-]*):", url)
        told = "write sqlite:///FILE, postgresql://USER@HOST:PORT/DATABASE or journal:FILE"
        if word is None or word[1] in _SAID:
            raise UserError(f"storage: is no address of a storage; {told}")
        error = unknown("kind of storage", word[1], KINDS, "storage")
        raise UserError(f"{error}; {told}")
    if not rest.strip() or "\0" in rest:
        raise UserError("storage: names no file; write journal:FILE")
    if url == rest and Path(rest).suffix in _OF_SQLITE:
        raise UserError("storage: a path alone is a journal's, and this is called like SQLite's; write sqlite:///FILE")
    _check_folder(Path(rest))
    return kind, rest


def _check_folder(path: Path) -> None:
    """A path that a user wrote is in a folder that is there: a mistyped one is not made, with an empty study."""
    with suppress(OSError):  # what else is wrong with the place is said when it is opened
        if not path.parent.exists():
            raise UserError(f"storage: {path}: there is no folder {path.parent}; make it, or correct the path")


def _file_of(rest: str) -> str:
    path = rest.partition("?")[0].removeprefix("/")
    if not rest.startswith("/") or not path.strip() or path == ":memory:" or "\0" in path:
        raise UserError("storage: names no file, and only a file can be gone on with; write sqlite:///FILE")
    return path


def _sqlite(place: str) -> RDBStorage:
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    path = Path(place)
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise cannot_write(path, error) from error
    address = URL.create("sqlite", database=place).render_as_string(hide_password=False)
    try:
        return RDBStorage(address, engine_kwargs={"connect_args": {"timeout": _PATIENCE}})
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = _innermost(error)
        told = "is no SQLite database" if "not a database" in reason else f"cannot be opened: {reason}"
        raise StoreError(f"{path}: {told}") from None
    except (RuntimeError, AssertionError):
        raise _other_version(str(path)) from None


def _postgresql(rest: str) -> RDBStorage:
    from sqlalchemy.exc import SQLAlchemyError

    parsed = _parsed(rest)
    import_library("psycopg", f"storage {_shown(parsed)}")
    try:
        return RDBStorage(parsed.render_as_string(hide_password=False), engine_kwargs=_CONNECTING)
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StoreError(f"storage {_shown(parsed)}: {_refusal(error, parsed)}") from None
    except (RuntimeError, AssertionError):
        raise _other_version(f"storage {_shown(parsed)}") from None


def _has_tables(rest: str) -> bool:
    """Whether a server keeps studies already."""
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.exc import SQLAlchemyError

    parsed = _parsed(rest)
    import_library("psycopg", f"storage {_shown(parsed)}")
    engine = create_engine(parsed, **_CONNECTING)
    try:
        return bool(inspect(engine).has_table("studies"))
    except SQLAlchemyError as error:
        raise StoreError(f"storage {_shown(parsed)}: {_refusal(error, parsed)}") from None
    finally:
        engine.dispose()


def _parsed(rest: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(f"{_DRIVER}://{rest}")
    except (ArgumentError, ValueError):
        parsed = None
    # With a second @, or a login that was not understood, part of a password would pass for a host or a database.
    if parsed is None or rest.count("@") > 1 or ("@" in rest and parsed.username is None) or not parsed.database:
        told = "in a login @ / : ? are written %40 %2F %3A %3F"
        raise UserError(f"storage: is no address of a database; write postgresql://USER@HOST:PORT/DATABASE ({told})")
    return parsed


def _shown(parsed: URL) -> str:
    port = f":{parsed.port}" if parsed.port else ""
    return f"postgresql://{parsed.host or ''}{port}/{parsed.database}"


def _refusal(error: Exception, parsed: URL) -> str:
    said = _innermost(error)
    for pattern, told in _REFUSALS:
        if re.search(pattern, said):
            return told.format(user=parsed.username or parsed.query.get("user") or "this user")
    return "no server answers there" if "OperationalError" in said else "the server refuses to keep studies"


def _innermost(error: BaseException) -> str:
    """What the driver said first, by the chain of what was raised from it."""
    seen: list[Any] = [error]
    while (cause := getattr(seen[-1], "orig", None) or seen[-1].__cause__) is not None:
        seen.append(cause)
    kinds = " ".join(type(each).__name__ for each in seen)
    return f"{seen[-1]} ({kinds})".replace("\n", " ")


def _other_version(where: str) -> StoreError:
    return StoreError(f"{where}: was made by another version of Optuna; `optuna storage upgrade` may help")

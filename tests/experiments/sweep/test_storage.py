"""Storages by URL: each kind keeps studies, each mistake is one line, and no line ever holds a password."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench import libraries
from deo_bench.errors import CannotWrite, MissingInput, StoreError, UserError
from deo_bench.experiments.sweep import storage as storage_module
from deo_bench.experiments.sweep.journal import mend
from deo_bench.experiments.sweep.storage import is_there, open_storage, storage_name
from tests.experiments.sweep.conftest import opened, story, swept, work
from tests.postgresql import Server


@pytest.mark.parametrize("url", [None, "journal:{}/j.log", "{}/deep/j.log", "sqlite:///{}/study.db"])
def test_a_study_is_kept(url: str | None, store: Path, tmp_path: Path) -> None:
    url = url and url.format(tmp_path)
    (tmp_path / "deep").mkdir()
    assert not is_there(url, store, "mine")
    study = opened(store, swept(3, "random"), url=url)
    work(study)
    assert story(opened(store, swept(3, "random"), url=url)) == story(study)
    assert is_there(url, store, "mine") and Path(storage_name(url, store, "mine")).is_file()


@pytest.mark.system
def test_a_study_is_kept_on_a_server(store: Path, postgresql: str, postgresql_server: Server) -> None:
    assert not is_there(postgresql, store, "mine")
    where = ("-h", "127.0.0.1", "-p", str(postgresql_server.port), "-U", "deo", "-d", postgresql.rpartition("/")[2])
    assert not postgresql_server.run(
        "psql", *where, "-tAc", "select tablename from pg_tables where schemaname='public'"
    )
    study = opened(store, swept(3, "random"), url=postgresql)
    work(study)
    told = story(study)
    assert story(opened(store, swept(3, "random"), url=postgresql.replace("postgresql", "postgres"))) == told
    assert is_there(postgresql, store, "mine")


def refused(url: str, store: Path, kind: type[UserError] = UserError) -> str:
    """The one line that a URL comes to."""
    with pytest.raises(kind) as caught:
        open_storage(url, store, "mine")
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400, line
    return line


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgre://me:secret@here/db", "unknown kind of storage 'postgre', did you mean 'postgresql'?"),
        ("mysql://me:secret@here/db", "there are: journal, postgresql, sqlite"),
        ("postgresql+psycopg2://me:secret@here/db", "write sqlite:///FILE, postgresql://USER@HOST:PORT/DATABASE"),
        ("me:secret@here/db", "unknown kind of storage 'me'"),
        ("sqlite:study.db", "is no address of a storage"),
        ("sqlite://study.db", "names no file"),
        ("sqlite:///:memory:", "only a file can be gone on with"),
        ("sqlite://", "names no file"),
        ("journal:", "names no file"),
        ("", "names no file"),
        ("study.db", "write sqlite:///FILE"),
        ("postgresql://me:secret@here", "is no address of a database"),
        ("postgresql://me:secret@here:port/db", "is no address of a database"),
        ("postgresql://me:sec@ret@here/db", "are written %40"),
        ("postgresql://m/e:secret@here/db", "is no address of a database"),
        ("postgresql://127.0.0.1:1/db?password=secret", "postgresql://127.0.0.1:1/db: no server answers there"),
        ("postgresql://me:secret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db: no server answers there"),
    ],
)
def test_a_wrong_url_is_one_line(url: str, told: str, store: Path) -> None:
    line = refused(url, store)
    assert told in line and "secret" not in line and "sec" not in line.replace("second", "")


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=5, max_size=20).map("Zq".__add__)


@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg", "mysql", "sqlit", ""]),
    password=PASSWORDS,
    is_quoted=st.booleans(),
    rest=st.sampled_from(["@127.0.0.1:1/db", "@127.0.0.1/", "@here:x/db", "@[::1]:1/db?a=b", "@:/@/", "@", "@h/d/e"]),
)
def test_no_password_is_ever_shown(
    tmp_path_factory: pytest.TempPathFactory, kind: str, password: str, is_quoted: bool, rest: str
) -> None:
    store = tmp_path_factory.getbasetemp() / "secrets"
    written = quote(password, safe="") if is_quoted else password
    url = f"{kind}{'://' if kind else ''}us3r:{written}{rest}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage_module, "_ANSWER_WITHIN", 1)
        try:
            line = refused(url, store)
        except pytest.fail.Exception:
            raise AssertionError(f"{url} was opened") from None
    assert password not in line and written not in line


@pytest.mark.system
def test_what_a_server_refuses_is_one_line(store: Path, postgresql: str, postgresql_server: Server) -> None:
    port, run = postgresql_server.port, postgresql_server.run
    address = postgresql.partition("@")[2]
    line = refused(f"postgresql://deo@127.0.0.1:{port}/nowhere", store, StoreError)
    assert "there is no such database" in line
    line = refused(f"{postgresql}?nonsense=secret-word", store, StoreError)
    assert "an option after the ? is none of PostgreSQL's" in line and "word" not in line
    assert "refuses the login of you" in refused(f"postgresql://you:secret-word@{address}", store, StoreError)
    where = ("-h", "127.0.0.1", "-p", str(port), "-U", "deo", "-d", address.partition("/")[2])
    run("psql", *where, "-c", "CREATE ROLE guest LOGIN PASSWORD 'secret-word'")
    line = refused(f"postgresql://guest:secret-word@{address}", store, StoreError)
    assert "guest may not make tables there" in line
    hba = postgresql_server.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(before.replace("trust", "scram-sha-256"))
    try:
        run("pg_ctl", "-D", str(postgresql_server.data), "reload")
        for password in ("wrong-word", ""):
            line = refused(f"postgresql://guest{password and ':'}{password}@{address}", store, StoreError)
            assert "refuses the login of guest" in line and "word" not in line
    finally:
        hba.write_text(before)
        run("pg_ctl", "-D", str(postgresql_server.data), "reload")


def test_a_driver_that_lacks_is_said_with_its_remedy(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    line = refused("postgresql://me:secret@here/db", store, MissingInput)
    assert "pip install 'deo-bench[postgresql]'" in line and "secret" not in line


@pytest.mark.parametrize(
    "content",
    [
        *(b"notes of mine\n", b"notes of mine", b'{"a": 1}\n', b"[1, 2]\n", b"\xff\xfe\x00\n", b"3\n"),
        *(b'{"op_code":77}\n', b'{"op_code":0,"worker_id":3}\n', b'{"op_code":[]}\n', b'{"op_code":0}\nx'),
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(content: bytes, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert "is no journal of studies" in refused(str(path), store, StoreError)
    assert path.read_bytes() == content


@pytest.mark.parametrize(("line", "told"), [(b"\0\0\n", "line 4 is no entry"), (b'{"op_code":\n', "can read")])
def test_a_journal_that_is_torn_in_the_middle_says_where(line: bytes, told: str, store: Path) -> None:
    work(opened(store, swept(2, "random")))
    path = store / "sweeps" / "mine.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], line, *lines[4:]]))
    with pytest.raises(StoreError, match=told):
        opened(store, swept(2, "random"))


@pytest.mark.parametrize("left", [0, 1, 5, 12, 40])
@pytest.mark.parametrize("zeros", [0, 7])
def test_a_last_line_that_was_cut_goes_and_nothing_else(left: int, zeros: int, store: Path) -> None:
    study = opened(store, swept(2, "random"))
    work(study)
    path = store / "sweeps" / "mine.journal"
    whole = path.read_bytes()
    line = json.dumps({"op_code": 5, "worker_id": "x", "trial_id": 0, "name": "y" * 70}, separators=(",", ":"))
    path.write_bytes(whole + line[:left].encode() + b"\0" * zeros)
    mend(path)
    assert path.read_bytes() == whole
    assert story(opened(store, swept(2, "random"))) == story(study)


def test_a_place_that_cannot_be_written_to_is_one_line(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (f"{tmp_path}/file/j.log", f"sqlite:///{tmp_path}/file/s.db", str(tmp_path), f"sqlite:///{tmp_path}"):
        assert "cannot be written" in refused(url, store, CannotWrite)


@pytest.mark.parametrize("url", ["sqlite:///{}/nope/s.db", "{}/nope/deep/j.log", "journal:{}/nope/j.log"])
def test_a_folder_that_is_not_there_is_said_and_not_made(url: str, store: Path, tmp_path: Path) -> None:
    assert "nope; make it, or correct the path" in refused(url.format(tmp_path), store).replace("/deep;", ";")
    with pytest.raises(UserError, match="there is no folder"):
        is_there(url.format(tmp_path), store, "mine")
    assert not (tmp_path / "nope").exists() and not store.exists()


def test_a_database_of_something_else_is_refused(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"no database at all, but some text that is long enough to be looked at" * 20)
    assert "is no SQLite database" in refused(f"sqlite:///{path}", store, StoreError)
    path.unlink()
    open_storage(f"sqlite:///{path}", store, "mine")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE version_info SET schema_version = 99")
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    assert "another version of Optuna" in refused(f"sqlite:///{path}", store, StoreError)


def test_opening_says_nothing(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    work(opened(store, swept(3, "random")))
    assert capfd.readouterr() == ("", "")

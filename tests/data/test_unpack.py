"""Archives of strangers: everything of them arrives in its folder, and nothing anywhere else."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deo_bench.data import transfer
from deo_bench.data.download import CHECKSUMS, Download, fetch
from deo_bench.data.unpack import unpack
from deo_bench.errors import UserError
from tests.data.offering import Publisher, publisher

FILES = {"specs.json": b"{}", "in/a.bin": bytes(range(256)) * 9, "in/empty": b""}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)


@pytest.fixture
def offers() -> Iterator[Publisher]:
    with publisher() as told:
        yield told


def zipped(files: dict[str, bytes], before: str = "") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(before + name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], before: str = "", kind: str = "gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(before + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("before", ["", "own/", "v1/own/", "__MACOSX/._own\n"], ids=["flat", "one", "two", "junk"])
@pytest.mark.parametrize("kind", ["zip", "gz", "xz", ""])
def test_an_archive_becomes_a_folder(offers: Publisher, tmp_path: Path, kind: str, before: str) -> None:
    """Whichever folders its publisher put around it, and whatever his system put beside it."""
    files = FILES
    if before.startswith("__MACOSX"):
        files, before = {**{f"own/{name}": content for name, content in FILES.items()}, "__MACOSX/._own": b"x"}, ""
    offers.files["/own"] = zipped(files, before) if kind == "zip" else tarred(files, before, kind)
    unpacked = Download(
        offers.url("/own"), to="sets/own", unpack="zip" if kind == "zip" else "tar", has=("specs.json",)
    )
    stages = {step.stage for step in fetch(unpacked, tmp_path)}
    assert found(tmp_path / "sets" / "own") == FILES and stages == {"download", "check", "unpack"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".downloads", CHECKSUMS, "sets"]
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["own"]


@pytest.mark.parametrize(("inside", "wanted"), [("", "own/in/a.bin"), ("own", "in/a.bin"), ("own/in", "a.bin")])
def test_which_folder_of_it_can_be_said(offers: Publisher, tmp_path: Path, inside: str, wanted: str) -> None:
    offers.files["/own.zip"] = zipped(FILES, "own/")
    list(fetch(Download(offers.url("/own.zip"), to="own", unpack="zip", inside=inside, has=(wanted,)), tmp_path))
    assert (tmp_path / "own" / wanted).read_bytes() == FILES["in/a.bin"]


ESCAPES = ("../a", "in/../../a", "/tmp/a", "c:/a", "in\\..\\..\\a")


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_name_reaches_out_of_the_folder(offers: Publisher, tmp_path: Path, kind: str, name: str) -> None:
    """And nothing of such an archive stays, nor what was unpacked before."""
    (tmp_path / "root").mkdir()
    made = {"ok": b"1", name: b"2"}
    offers.files["/own"] = zipped(made) if kind == "zip" else tarred(made)
    with pytest.raises(UserError, match="would be written outside its folder"):
        list(fetch(Download(offers.url("/own"), to="sets/own", unpack=kind), tmp_path / "root"))  # type: ignore[arg-type]
    assert list((tmp_path / "root" / "sets").iterdir()) == [] and [path.name for path in tmp_path.iterdir()] == ["root"]


def link(kind: str) -> bytes:
    made = io.BytesIO()
    if kind == "zip":
        info = zipfile.ZipInfo("out")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr(info, "/etc")
        return made.getvalue()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("out")
        entry.type, entry.linkname = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}[kind], "/etc/passwd"
        archive.addfile(entry)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["zip", "symlink", "hardlink"])
def test_links_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "own").write_bytes(link(kind))
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="own: 'out' is a link"):
        list(unpack(tmp_path / "own", "zip" if kind == "zip" else "tar", tmp_path / "in", "own"))
    assert list((tmp_path / "in").iterdir()) == []


def broken(name: str) -> tuple[str, bytes]:
    whole = zipped(FILES)
    here = whole.index(b"in/a.bin") + 20
    return {
        "no zip": ("zip", b"<html>no such file</html>"),
        "half a zip": ("zip", whole[: len(whole) // 2]),
        "a bit of a zip": ("zip", whole[:here] + bytes([whole[here] ^ 1]) + whole[here + 1 :]),
        "no tar": ("tar", b"<html>no such file</html>"),
        "half a tar": ("tar", tarred(FILES)[:150]),
    }[name]


@pytest.mark.parametrize("name", ["no zip", "half a zip", "a bit of a zip", "no tar", "half a tar"])
def test_a_damaged_archive_is_named_and_nothing_is_there(offers: Publisher, tmp_path: Path, name: str) -> None:
    kind, offers.files["/own"] = broken(name)
    with pytest.raises(UserError, match=rf"/own: is no whole {kind} \(.*\); it was deleted, try again"):
        list(fetch(Download(offers.url("/own"), to="sets/own", unpack=kind), tmp_path))  # type: ignore[arg-type]
    assert list((tmp_path / "sets").iterdir()) == [] and not list(tmp_path.rglob("*.part"))


def test_another_archive_than_was_expected_is_not_put_in_place(offers: Publisher, tmp_path: Path) -> None:
    offers.files["/own.zip"] = zipped(FILES)
    with pytest.raises(UserError, match=r"has no task.pkl; it is not what was expected"):
        list(fetch(Download(offers.url("/own.zip"), to="own", unpack="zip", has=("task.pkl",)), tmp_path))
    assert not (tmp_path / "own").exists()


def test_unpacking_that_was_killed_is_begun_again(offers: Publisher, tmp_path: Path) -> None:
    """What a killed process left beside the place is swept away."""
    offers.files["/own.zip"] = zipped(FILES)
    download = Download(offers.url("/own.zip"), to="own", unpack="zip")
    steps = fetch(download, tmp_path)
    while next(steps).stage != "unpack":
        pass
    (left,) = tmp_path.glob(".own.*.tmp")
    steps.close()
    left.mkdir(exist_ok=True)  # as a kill would leave it
    list(fetch(download, tmp_path))
    assert found(tmp_path / "own") == FILES and not left.exists() and len(offers.asked) == 1

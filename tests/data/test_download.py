"""Downloads against a publisher on this machine: whole, checked and gone on with, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deo_bench.data import Places, transfer
from deo_bench.data.download import CHECKSUMS, FOLDER, Download, fetch, hub_file
from deo_bench.declarations import REQUIRED
from deo_bench.errors import CannotWrite, MissingInput, UserError
from deo_bench.registry import Registry
from tests.data.offering import Publisher, publisher

CONTENT = np.random.default_rng(0).bytes(5000)
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(transfer, "BLOCK", 500)


@pytest.fixture
def offers() -> Iterator[Publisher]:
    with publisher() as told:
        told.files["/a.bin"] = CONTENT
        yield told


def whole(download: Download, root: Path) -> bytes:
    list(fetch(download, root))
    return (root / download.to).read_bytes()


def left(root: Path) -> list[str]:
    """Everything below a root but locks."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


@pytest.mark.parametrize("stated", [{}, {"sha256": SHA256}, {"md5": MD5, "bytes": 5000}])
def test_a_file_comes_whole_once(offers: Publisher, tmp_path: Path, stated: dict[str, object]) -> None:
    download = Download(offers.url("/a.bin"), to="own/a.bin", **stated)  # type: ignore[arg-type]
    steps = list(fetch(download, tmp_path))
    assert (tmp_path / "own" / "a.bin").read_bytes() == CONTENT and download.is_there(tmp_path)
    assert (steps[0].stage, steps[0].done, steps[0].total) == ("download", 0, 5000)
    assert [steps[-1].stage, steps[-1].done, steps[-1].total] == ["check", 5000, 5000]
    assert left(tmp_path) == [CHECKSUMS, "own/a.bin"]
    assert json.loads((tmp_path / CHECKSUMS).read_text())[download.url] == {"sha256": SHA256, "bytes": 5000}
    assert list(fetch(download, tmp_path)) == [] and len(offers.asked) == 1


@pytest.mark.parametrize(("ranges", "second"), [(True, 4), (False, 0)])
def test_one_that_was_stopped_goes_on(offers: Publisher, tmp_path: Path, ranges: bool, second: int) -> None:
    """A server that knows no ranges begins again; nothing is there before all is."""
    offers.ranges, download = ranges, Download(offers.url("/a.bin"), to="a.bin", sha256=SHA256)
    steps = fetch(download, tmp_path)
    while next(steps).done < 2000:
        pass
    steps.close()
    (part,) = (tmp_path / FOLDER).glob("*.part")
    here = part.stat().st_size
    assert 2000 <= here < 5000 and not (tmp_path / "a.bin").exists()
    again = list(fetch(download, tmp_path))
    assert again[0].done == (here if ranges else 0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and offers.asked[1] == ("/a.bin", f"bytes={here}-")


def test_what_changed_meanwhile_is_begun_again(offers: Publisher, tmp_path: Path) -> None:
    download = Download(offers.url("/a.bin"), to="a.bin")
    steps = fetch(download, tmp_path)
    while next(steps).done < 2000:
        pass
    steps.close()
    offers.files["/a.bin"] = CONTENT[::-1]
    assert whole(download, tmp_path) == CONTENT[::-1]


def test_a_part_that_is_whole_asks_nobody(offers: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the last byte and the rename; then not even a network is wanted."""
    download = Download(offers.url("/a.bin"), to="a.bin", sha256=SHA256)
    steps = fetch(download, tmp_path)
    while next(steps).stage == "download":
        pass
    steps.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert whole(download, tmp_path) == CONTENT and len(offers.asked) == 1


def test_lost_connections_are_taken_up_again(offers: Publisher, tmp_path: Path) -> None:
    offers.cuts = [700, 0, 0, 1300]
    assert whole(Download(offers.url("/a.bin"), to="a.bin"), tmp_path) == CONTENT
    assert [asked for _, asked in offers.asked] == [None, *["bytes=700-"] * 3, "bytes=2000-"]


def test_a_connection_that_brings_nothing_more_is_given_up(offers: Publisher, tmp_path: Path) -> None:
    """Also the short file: the server says more bytes than it has."""
    offers.cuts = [700, *[0] * 20]
    with pytest.raises(MissingInput) as told:
        whole(Download(offers.url("/a.bin"), to="a.bin", page="https://example.org"), tmp_path)
    said = str(told.value)
    assert "700 of 5000 bytes came); 700 of 5000 bytes are kept, and the same command goes on from there" in said
    assert f"put it at {tmp_path / 'a.bin'}" in said and "see https://example.org" in said and "\n" not in said
    assert len(offers.asked) == transfer.TRIES and not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("stated", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_wrong_checksum_leaves_nothing(offers: Publisher, tmp_path: Path, stated: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"its publisher states 0000000000000000…; it was deleted, try again"):
        whole(Download(offers.url("/a.bin"), to="a.bin", **stated), tmp_path)  # type: ignore[arg-type]
    assert [name for name in left(tmp_path) if not name.endswith(".json")] == []


def test_the_first_download_is_what_it_has_to_stay(offers: Publisher, tmp_path: Path) -> None:
    download = Download(offers.url("/a.bin"), to="a.bin")
    whole(download, tmp_path)
    (tmp_path / "a.bin").unlink()
    offers.files["/a.bin"] = CONTENT[::-1]
    with pytest.raises(UserError, match=r"has changed at its source; delete its entry in .*checksums.json"):
        whole(download, tmp_path)
    assert not (tmp_path / "a.bin").exists()
    (tmp_path / CHECKSUMS).write_text("{}")
    assert whole(download, tmp_path) == CONTENT[::-1] and len(offers.asked) == 2


def test_the_hub_says_the_checksum_where_it_redirects(offers: Publisher, tmp_path: Path) -> None:
    offers.hub["/a.bin"] = SHA256
    assert whole(Download(offers.url("/a.bin"), to="a.bin"), tmp_path) == CONTENT
    assert [path for path, _ in offers.asked] == ["/a.bin", "/cdn/a.bin"]
    offers.hub["/b.bin"], offers.files["/b.bin"] = "f" * 64, CONTENT
    with pytest.raises(UserError, match="the hub states ffffffffffffffff…"):
        whole(Download(offers.url("/b.bin"), to="b.bin"), tmp_path)


def test_a_file_of_another_size_is_not_begun(offers: Publisher, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is 5000 bytes, 4000 are stated: it has changed at its source"):
        whole(Download(offers.url("/a.bin"), to="a.bin", bytes=4000), tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "is not there (404"), (403, "is not for everybody (403"), (401, "wants a login"), (400, "is refused (400")],
)
def test_what_cannot_be_had_says_what_to_do(offers: Publisher, tmp_path: Path, status: int, said: str) -> None:
    offers.statuses["/a.bin"] = status
    with pytest.raises(MissingInput) as told:
        whole(Download(offers.url("/a.bin"), to="own", unpack="zip"), tmp_path)
    assert (
        said in str(told.value)
        and f"where there is a network, and unpack it to {tmp_path / 'own'}" in told.value.remedy
    )
    assert len(offers.asked) == 1 and left(tmp_path) == []


def test_a_server_in_trouble_is_asked_again(offers: Publisher, tmp_path: Path) -> None:
    offers.statuses["/a.bin"] = 503
    with pytest.raises(MissingInput, match="cannot be reached \\(503 Service Unavailable\\); get http"):
        whole(Download(offers.url("/a.bin"), to="a.bin"), tmp_path)
    assert len(offers.asked) == transfer.TRIES


def test_without_a_network_one_line_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    download = Download("http://127.0.0.1:9/a.zip", to="own", unpack="zip")
    with pytest.raises(MissingInput, match=r"cannot be reached \(.*refused.*\); get http://127.0.0.1:9/a.zip where"):
        list(fetch(download, tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingInput, match=r"own: HF_HUB_OFFLINE is set, nothing is downloaded; get http"):
        list(fetch(download, tmp_path))
    with pytest.raises(UserError, match="is no address of the web"):
        monkeypatch.delenv("HF_HUB_OFFLINE")
        list(fetch(replace(download, url="file:///etc/passwd"), tmp_path))


def test_what_does_not_fit_is_not_begun(offers: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive needs the room of what is in it too."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9000, 0, 9000))
    assert whole(Download(offers.url("/a.bin"), to="a.bin"), tmp_path) == CONTENT
    for download in (
        Download(offers.url("/a.bin"), to="own", unpack="zip"),
        Download(offers.url("/a.bin"), to="own", unpack="tar", unpacked=4001),
    ):
        with pytest.raises(UserError, match=r"needs 0.00 GB, .* has 0.00 GB free; free some space, or name another"):
            list(fetch(download, tmp_path))


def test_a_full_disk_stops_it_and_keeps_what_came(
    offers: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    download = Download(offers.url("/a.bin"), to="a.bin")
    with (
        monkeypatch.context() as patched,
        pytest.raises(CannotWrite, match=r"\.part: cannot be written: No space left"),
    ):
        patched.setattr(transfer, "os", SimpleNamespace(fsync=full))
        list(fetch(download, tmp_path))
    assert not (tmp_path / "a.bin").exists() and len(offers.asked) == 1
    assert whole(download, tmp_path) == CONTENT and len(offers.asked) == 1


def test_two_at_once_download_once(offers: Publisher, tmp_path: Path) -> None:
    download = Download(offers.url("/a.bin"), to="a.bin")
    both = [threading.Thread(target=whole, args=(download, tmp_path)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and len(offers.asked) == 1


def test_places_outside_the_root_are_refused(tmp_path: Path) -> None:
    for to in ("../a.bin", "/a.bin", "own/../../a.bin", ""):
        with pytest.raises(UserError, match="not under the folder of data"):
            list(fetch(Download("http://127.0.0.1:9/a.bin", to=to), tmp_path))


def test_a_folder_that_lacks_something_is_not_written_over(offers: Publisher, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=r"own is there and lacks specs.json; move it away"):
        list(fetch(Download(offers.url("/a.bin"), to="own", unpack="zip", has=("specs.json",)), tmp_path))


def test_checksums_that_are_torn_are_named(offers: Publisher, tmp_path: Path) -> None:
    (tmp_path / CHECKSUMS).write_text("{")
    with pytest.raises(UserError, match=r"checksums.json: torn or foreign.*; delete it"):
        whole(Download(offers.url("/a.bin"), to="a.bin"), tmp_path)


def test_files_of_the_hub_have_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `huggingface_hub.hf_hub_url` gives them for a dataset."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    wanted = huggingface_hub.hf_hub_url("who/what", "a/b.zip", repo_type="dataset", revision="v1")
    assert hub_file("who/what", "a/b.zip", "v1") == wanted
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert hub_file("who/what", "b.zip") == "https://mirror.example/datasets/who/what/resolve/main/b.zip"


def test_what_every_part_offers_lies_under_the_root_and_says_where_it_is_from(tmp_path: Path) -> None:
    """Parts that are built without options; their literals are all that stands between an address and a disk."""
    registry, places = Registry(), Places(tmp_path, tmp_path / "cache")
    parts = [part for kind in ("task", "data") for part in registry.all(kind).values()]
    built = [
        registry.build(part.kind, part.name)
        for part in parts
        if all(option.default is not REQUIRED for option in part.options.values())
    ]
    offered = [each for part in built for each in part.downloads(places)]
    assert len({each.to for each in offered}) >= 12
    for each in offered:
        assert each.url.startswith("https://") and each.place(tmp_path).is_relative_to(tmp_path) and each.page
        assert len(each.sha256) in (0, 64) and len(each.md5) in (0, 32) and each.unpack in ("", "zip", "tar")
    of_two = registry.build("data", "geobench", options={"names": ["m-eurosat", "segmentation_v1.0/m-NeonTree", "own"]})
    assert [each.to for each in of_two.downloads(places)] == [
        "classification_v1.0/m-eurosat",
        "segmentation_v1.0/m-NeonTree",
    ]

"""`deo-bench data`: downloading a data set that is then read, and finding images on both sides of whatever labels."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deo_bench.cli import main
from deo_bench.data import transfer
from tests.data.offering import Publisher, publisher

GOLDEN = Path(__file__).parents[1] / "golden" / "geobench.tar.xz"
PLACE = "classification_v1.0/m-eurosat"
OWN = '''
"""A task of a user's own."""
from deo_bench.data.download import Download
from deo_bench.tasks import Task, task

@task("own")
class Own(Task):
    """Files of a user's own."""
    name = "own"
    def pack(self, places):
        raise NotImplementedError
    def downloads(self, places):
        return (Download({url!r}, to="own.bin"),)
'''


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with publisher() as told:
        monkeypatch.setenv("HF_ENDPOINT", told.address)
        yield told


def zipped_eurosat() -> bytes:
    made = io.BytesIO()
    with tarfile.open(GOLDEN) as golden, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in golden:
            if member.name.startswith(f"{PLACE}/"):
                archive.writestr(member.name.removeprefix("classification_v1.0/"), golden.extractfile(member).read())  # type: ignore[union-attr]
    return made.getvalue()


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    told = capsys.readouterr()
    assert ended.value.code == status, told.err
    return told.out + told.err


def test_a_data_set_is_downloaded_and_read(
    offers: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"/datasets/recursix/geo-bench-1.0/resolve/main/{PLACE}.zip"
    offers.files[address] = zipped_eurosat()
    places = ("--data", str(tmp_path), "--store", str(tmp_path / "runs"))
    told = said(capsys, "data", "list", *places)
    assert "no m-eurosat/task_specs.pkl under" in told and "(0.43 GB or more)" in told
    assert "`deo-bench data download m-eurosat`" in told
    told = said(capsys, "data", "download", "m-eurosat", *places)
    assert f"m-eurosat: {offers.url(address)}, 0.000 GB, to {tmp_path / PLACE}; " in told and "GB are free" in told
    assert "there already" in said(capsys, "data", "download", "m-eurosat", *places) and len(offers.asked) == 1
    assert f"there: {tmp_path / PLACE} (0.00 GB)" in said(capsys, "data", "list", *places)
    told = said(capsys, "data", "check", "m-eurosat", *places)
    assert "4 images of 6 x 6 px, dn" in told and "single-label, 3 classes: field, forest, water" in told


def test_one_that_is_killed_goes_on(offers: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The process itself, by SIGKILL, while bytes come."""
    content = np.random.default_rng(0).bytes(300_000)
    offers.files["/own.bin"], offers.stall = content, 100_000
    (tmp_path / "own.py").write_text(OWN.format(url=offers.url("/own.bin")))
    words = ["data", "download", "own", "--parts", str(tmp_path / "own.py"), "--data", str(tmp_path / "data")]
    command = [sys.executable, "-c", "from deo_bench.cli import main; main()", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ)) as process:
        until = time.monotonic() + 60
        while not sum(part.stat().st_size for part in (tmp_path / "data").rglob("*.part")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    (part,) = (tmp_path / "data").rglob("*.part")
    here = part.stat().st_size
    assert 0 < here <= 100_000 and not (tmp_path / "data" / "own.bin").exists()
    offers.stall = None
    said(capsys, *words)
    assert (tmp_path / "data" / "own.bin").read_bytes() == content and not part.exists()
    assert offers.asked == [("/own.bin", None), ("/own.bin", f"bytes={here}-")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("m-eurosat", "--data", "here"),
            f"{PLACE}: HF_HUB_OFFLINE is set, nothing is downloaded; get https://hugging",
        ),
        (("m-NeonTree",), "no folder of data is given; say --data FOLDER, or set DEO_BENCH_DATA"),
        (("m-eurosta", "--data", "here"), "unknown task or experiment 'm-eurosta', did you mean 'm-eurosat'?"),
        (("own", "--parts", "own.py", "--data", "here"), "own.bin: HF_HUB_OFFLINE is set"),
    ],
)
def test_what_cannot_be_downloaded_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    (tmp_path / "own.py").write_text(OWN.format(url="https://example.org/own.bin"))
    out = said(capsys, "data", "download", *words, status=2)
    assert told in out and out.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if path.suffix not in (".py", ".pyc")) == []


def test_what_cannot_be_had_keeps_nothing_else_from_coming(
    offers: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offers.files[f"/datasets/recursix/geo-bench-1.0/resolve/main/{PLACE}.zip"] = zipped_eurosat()
    told = said(capsys, "data", "download", "m-NeonTree", "m-eurosat", "--data", str(tmp_path), status=2)
    assert "m-NeonTree.zip: is not there (404 Not Found); get http" in told
    assert (tmp_path / PLACE / "task_specs.pkl").is_file()


def test_what_is_generated_wants_no_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "scenes-cover: nothing to download, it is generated" in said(capsys, "data", "download", "scenes-cover")


PACKS = '''
"""Tasks of three kinds of labels, each with one reported image that is fitted on too."""
import numpy as np
from deo_bench.data.pack import write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.tasks import Task, task

ENTRIES = {
    "own-maps": {"summary": "Maps."},
    "own-change": {"summary": "Maps of change."},
    "own-number": {"summary": "Numbers."},
}

@task(ENTRIES)
class Own(Task):
    """Two by two pixels."""
    def __init__(self, name):
        self.name = name
    def pack(self, places):
        images = np.arange(48).reshape(6, 2, 2, 2).astype(np.uint16)
        later, kind = images + 1000, self.name.removeprefix("own-")
        if kind == "change":
            later[5] = images[0]
        else:
            images[5] = images[0]
        maps = np.arange(24).reshape(6, 2, 2) % 2
        labels = {"maps": maps, "change": maps, "number": images[:, 0, 0, 0] / 8}
        return write_pack(
            places.cache / kind, name=self.name, count=6, bands=("B02", "B03"), unit="dn",
            images=[Dated(*pair) for pair in zip(images, later)] if kind == "change" else images,
            labels=labels[kind].astype(np.float32 if kind == "number" else np.uint8),
            classes=() if kind == "number" else ("no", "yes"), ignore=None if kind == "number" else 255,
            splits={"fit": [0, 1, 2], "select": [3], "report": [4, 5]},
        )
'''


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own-maps", ("6 images of 2 x 2 px", "maps of 2 classes: no, yes; pixels of 255 count nowhere")),
        ("own-change", ("6 pairs of images at two dates of 2 x 2 px", "maps of change, 2 classes: no, yes")),
        ("own-number", ("a number an image, from 0 to 4, mean",)),
    ],
)
def test_images_on_both_sides_are_found_whatever_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "own.py").write_text(PACKS)
    told = said(
        *(capsys, "data", "check", name, "--parts", str(tmp_path / "own.py"), "--store", str(tmp_path)), status=1
    )
    assert all(word in told for word in words), told
    assert f"{name}: 1 of 2 reported images are also in its own fit split, such as 5" in told

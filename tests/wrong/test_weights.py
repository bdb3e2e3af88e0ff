"""Weights that lie about what they hold are refused in one line, cheaply, and nothing in them runs."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.teachers._vit import TimmVit
from tests.contract.backbones import REGISTRY, SMALL_VIT
from tests.wrong.typed import TINY, typed

MOST_MEGABYTES = 64


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A file whose header says whatever it likes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def claim(shape: list[int], end: int, data: bytes = bytes(16)) -> bytes:
    """A file that claims one tensor of this shape, and to hold it up to this byte."""
    return safetensors({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}, data)


def compressed(path: Path) -> None:
    """A quarter of a gigabyte of zeros in a quarter of a megabyte."""
    whole = path.with_name("whole.pth")
    torch.save({"w": torch.zeros(2**26)}, whole)
    with zipfile.ZipFile(whole) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for record in plain.infolist():
            packed.writestr(record.filename, plain.read(record.filename))
    whole.unlink()


class Runs:
    """Would make a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "header of exabytes": ("w.safetensors", lambda p: p.write_bytes(safetensors({}, length=2**62)), "header too large"),
    "header past the end": (
        "w.safetensors",
        lambda p: p.write_bytes(safetensors({}, length=90_000_000)),
        "not a whole",
    ),
    "header that is no JSON": ("w.safetensors", lambda p: p.write_bytes(safetensors(b"{{{{")), "not a whole"),
    "header of brackets": ("w.safetensors", lambda p: p.write_bytes(safetensors(b"[" * 100_000)), "not a whole"),
    "terabytes to come": ("w.safetensors", lambda p: p.write_bytes(claim([2**20, 2**20], 2**42)), "not a whole"),
    "terabytes in 16 bytes": ("w.safetensors", lambda p: p.write_bytes(claim([2**20, 2**20], 16)), "not a whole"),
    "more than 64 bits": ("w.safetensors", lambda p: p.write_bytes(claim([2**40, 2**40], 16)), "not a whole"),
    "nothing in it": ("w.safetensors", lambda p: p.write_bytes(safetensors({})), "holds no state dict of tensors"),
    "no bytes": ("w.safetensors", lambda p: p.write_bytes(b""), "not a whole"),
    "a bomb": ("w.pth", compressed, "compressed"),
    "one number, repeated": ("w.pth", lambda p: torch.save({"w": torch.zeros(1).expand(2**20, 2**20)}, p), "claims"),
    "sparse": ("w.pth", lambda p: torch.save({"w": torch.eye(4).to_sparse()}, p), "sparse"),
    "a web page": ("w.pth", lambda p: p.write_text("<html>404 not found</html>"), "no checkpoint"),
    "a text": ("w.pth", lambda p: p.write_text("hello"), "cannot be read as weights"),
    "another zip": ("w.pth", lambda p: zipfile.ZipFile(p, "w").close(), "no checkpoint"),
    "code": ("w.pth", lambda p: p.write_bytes(pickle.dumps({"model": Runs()}, protocol=2)), "pickled objects or code"),
    "code in torch's own": ("w.pth", lambda p: torch.save({"model": Runs()}, p), "pickled objects or code"),
    "code, called .safetensors": ("w.safetensors", lambda p: p.write_bytes(pickle.dumps(Runs())), "not a whole"),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(TimmVit, "overrides", SMALL_VIT)
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_lies_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    name, write, told = FILES[kind]
    write(tmp_path / name)
    REGISTRY.load("teacher", "dinov2_vitb14")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as refused:
        REGISTRY.build("teacher", "dinov2_vitb14", options={"file": str(tmp_path / name)})
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    said = str(refused.value)
    assert name in said and told in said and "\n" not in said
    assert grown < MOST_MEGABYTES
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["code in torch's own", "terabytes to come", "no bytes"])
def test_by_the_command_line_it_is_a_failed_run_with_its_reason(kind: str, tmp_path: Path, images: Path) -> None:
    name, write, told = FILES[kind]
    write(tmp_path / name)
    text = TINY + f'\n[teachers.optical]\nuse = "dinov2_vitb14"\nfile = "{name}"\n'
    text += '[objective.optical]\nloss = "cosine"\ntoward = "optical"\nsees = "rgb"\n'
    (tmp_path / "tiny.toml").write_text(text)
    words = ("--plain", "--set", "tasks=[]", "--set", "baselines=[]")
    status, out, err = typed("run", "tiny.toml", "--data", str(images), *words)
    assert status == 1 and "Traceback" not in out + err
    assert "failed: " in out and name in out and told in out
    assert not (tmp_path / "ran").exists()
    assert typed("run", "tiny.toml", "--data", str(images), *words)[0] == 1


def test_a_file_that_is_a_folder_or_not_there_ends_it_before_the_first_run(tmp_path: Path, images: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "gone.pth"):
        text = TINY + f'\n[teachers.optical]\nuse = "dinov2_vitb14"\nfile = "{name}"\n'
        text += '[objective.optical]\nloss = "cosine"\ntoward = "optical"\nsees = "rgb"\n'
        (tmp_path / "tiny.toml").write_text(text)
        status, _, err = typed("run", "tiny.toml", "--data", str(images))
        assert status == 2 and err.count("\n") == 1
        assert name in err and "is not there; name a file of weights" in err


@pytest.mark.parametrize("kind", ["zeros", "one bit", "another run's"])
def test_a_students_weights_that_are_not_what_was_written_are_never_used(
    kind: str, tmp_path: Path, images: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace('"untrained"]', "]"))
    words = ("run", "tiny.toml", "--data", str(images), "--plain")
    assert typed(*words)[0] == 0
    first, second = sorted((tmp_path / "runs").glob("*-s0/student.safetensors"))
    whole = second.read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    other = {"zeros": bytes(len(whole)), "one bit": flipped, "another run's": first.read_bytes()}[kind]
    assert len(other) == len(whole) and other != whole
    second.write_bytes(other)
    shutil.rmtree(second.parent / "scores")
    shutil.rmtree(tmp_path / "runs" / "cache")
    status, out, err = typed(*words)
    assert status == 1 and "Traceback" not in out + err
    assert str(second.relative_to(tmp_path)) in out and "not the bytes that were written; delete it" in out
    second.unlink()
    assert typed(*words)[0] == 0 and second.read_bytes() == whole

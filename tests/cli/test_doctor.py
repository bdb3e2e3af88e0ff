"""`deo-bench doctor`: tells what is there, changes nothing, and its status says whether the quickstart works."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from deo_bench.doctor import machine, places
from deo_bench.files import write_bytes
from tests.cli.stored import Call, Stored, files, typed

PLANNED = re.compile(r"ok       plan              0 of \d+ runs and 0 of \d+ scores are there")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command in an empty folder, with an empty cache of the hub and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the doctor must not touch the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return typed(capsys)


@pytest.fixture(autouse=True)
def torch_without_waiting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine with torch and no GPU; the tests that are about torch say what they have instead."""
    if "torch" not in sys.modules:
        monkeypatch.setitem(sys.modules, "torch", torch_of())


def torch_of(*gpus: SimpleNamespace, cuda: str | None = None, hip: str | None = None) -> Any:
    """As much of torch as is looked at."""
    return SimpleNamespace(
        Tensor=type("Tensor", (), {}),  # other libraries look for it where they see torch
        __version__="2.9.0",
        version=SimpleNamespace(cuda=cuda, hip=hip),
        get_num_threads=lambda: 2,
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_properties=lambda index: gpus[index],
        ),
    )


def told(said: str) -> dict[str, dict[str, Any]]:
    """Findings by name, of what was said for a machine."""
    sections = json.loads(said)["sections"]
    return {f"{title}/{one['name']}": one for title, findings in sections.items() for one in findings}


def test_a_sound_installation_is_told_line_by_line_and_nothing_is_made(call: Call, tmp_path: Path) -> None:
    said = call("doctor")
    assert list(tmp_path.iterdir()) == []
    assert said.endswith("`deo-bench run quickstart` works here\n")
    for line in said.splitlines()[:-1]:
        assert line.split()[0] in ("ok", "missing") if line.startswith(" ") else line.isidentifier(), line
    assert "  ok       python            3." in said and "  ok       store  " in said
    assert (
        "missing dinov3 not there, 86.0 MB to 26.9 GB: dinov3_vit7b16, dinov3_vit7b16_sat, dinov3_vitb16, "
        in " ".join(said.split())
    )
    assert "-> `deo-bench show dinov3_vit7b16` says how to get it; so for each" in said
    assert PLANNED.search(said)


def test_for_a_machine_it_is_one_json_object(call: Call) -> None:
    said = json.loads(call("doctor", "--json"))
    assert said["quickstart_works"] is True
    assert list(said["sections"]) == ["installation", "machine", "store", "data", "weights", "presets", "quickstart"]
    for findings in said["sections"].values():
        for one in findings:
            assert {"name", "state", "text", "remedy", "needed"} <= one.keys()
            assert one["state"] in ("ok", "missing", "problem")


def test_the_store_and_the_cache_are_told_with_what_is_in_them(call: Call, tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    made = stored.make()
    stored.scores.score(made["weight=1.0"][0], "cover")
    stored.scores.score("backbones/image_stats-0123456789ab", "cover")
    stored.mark(made["weight=0.0"][0], state="failed")
    write_bytes(stored.root / "cache" / "embeddings" / "a.npy", b"x" * 5000)
    before = files(tmp_path)
    found = told(call("doctor", "--json"))
    assert files(tmp_path) == before
    assert found["store/store"]["runs"] == {"done": 5, "failed": 1} and found["store/store"]["scores"] == 2
    assert "prune --unfinished" in found["store/store"]["remedy"]
    assert found["store/cache"]["bytes"]["embeddings"] == 5000 and found["store/cache"]["bytes"]["packs"] > 0
    (stored.root / made["weight=1.0"][0] / "student.safetensors").write_bytes(b"torn")
    found = told(call("doctor", "--json"))
    assert found["store/store"]["state"] == "problem" and found["store/store"]["runs"]["torn"] == 1


def test_a_place_that_cannot_be_written_to_is_in_the_way(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEO_BENCH_CACHE", str(tmp_path / "file"))
    said = call("doctor", status=1)
    assert f"problem  cache             {tmp_path / 'file'}: is a file -> name another with DEO_BENCH_CACHE" in said
    assert said.splitlines()[-1].endswith("does not work here: cache")
    monkeypatch.delenv("DEO_BENCH_CACHE")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = told(call("doctor", "--json", status=1))
    assert f"{tmp_path} cannot be written to" in found["store/store"]["text"]
    assert found["store/store"]["writable"] is False


def test_a_full_disk_is_in_the_way_unless_the_cache_is_there(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    said = call("doctor", status=1)
    assert "1.0 kB free, the quickstart fills 2.2 GB more -> `deo-bench runs prune`" in said
    monkeypatch.setattr(places, "ROOM", 5000)
    call("doctor", status=1)
    write_bytes(tmp_path / "runs" / "cache" / "embeddings" / "a.npy", b"x" * 4500)
    call("doctor")


def test_torch_that_cannot_be_imported_is_a_line_and_the_rest_is_told(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    said = call("doctor", status=1)
    assert "problem  torch             cannot be imported: ModuleNotFoundError" in said
    assert "Traceback" not in said and "works here" not in said and PLANNED.search(said)


@pytest.mark.parametrize(
    ("torch", "driver", "state", "text"),
    [
        (torch_of(), False, "missing", "none; everything runs on the CPU"),
        (torch_of(), True, "problem", "this torch is built for CPUs only"),
        (torch_of(cuda="13.0"), True, "problem", "torch sees none"),
    ],
)
def test_a_gpu_that_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch: Any, driver: bool, state: str, text: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(machine, "_DRIVER", tmp_path if driver else tmp_path / "none")
    found = {one.name: one for one in machine.machine()}
    assert found["GPU"].state == state and text in found["GPU"].text and not found["GPU"].is_in_the_way


def test_gpus_are_told_with_their_memory_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    new = SimpleNamespace(name="H100", total_memory=80_000_000_000, major=9)
    old = SimpleNamespace(name="T4", total_memory=16_000_000_000, major=7)
    monkeypatch.setitem(sys.modules, "torch", torch_of(new, old, cuda="13.0"))
    found = {one.name: one for one in machine.machine()}
    assert found["GPU 0"].text == "H100, 80.0 GB, bf16" and found["GPU 0"].facts["native"] is True
    assert found["GPU 1"].text == "T4, 16.0 GB, no bf16: use 16-mixed or 32-true"


def test_cores_that_the_container_does_not_grant_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    one = next(machine.machine())
    assert one.state == "problem" and "grants 2.5 of them" in one.text and one.remedy.endswith("--threads 2")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert next(machine.machine()).state == "ok"


def test_data_that_are_there_and_that_are_not(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "classification_v1.0" / "m-eurosat"
    folder.mkdir(parents=True)
    (folder / "task_specs.pkl").write_bytes(b"")
    found = told(call("doctor", "--json", "--data", str(tmp_path / "data")))
    assert found["data/m-eurosat"]["state"] == "ok" and found["data/m-eurosat"]["text"] == str(folder)
    assert found["data/m-so2sat"]["state"] == "missing" and found["data/m-so2sat"]["remedy"]
    assert "scenes-cover" in found["data/tasks"]["names"]
    said = call("doctor")
    assert "missing  folder  " in said and "need the folder: bigearthnet" in said
    found = told(call("doctor", "--json", "--data", str(tmp_path / "nowhere")))
    assert found["data/folder"]["state"] == "problem", "but the quickstart needs none"


def test_weights_that_are_there_gated_or_to_be_named(
    call: Call, tmp_path: Path, part_file: Callable[..., Path]
) -> None:
    snapshot = tmp_path / "hub" / "models--timm--vit_base_patch14_dinov2.lvd142m"
    write_bytes(snapshot / "snapshots" / ("a" * 40) / "model.safetensors", b"w" * 3000)
    write_bytes(snapshot / "refs" / "main", b"a" * 40)
    text = (
        "from deo_bench.teachers import Teacher, teacher\n\n"
        '@teacher("closed", weights="hub:somebody/closed", gated=True)\n'
        'class Closed(Teacher):\n    """Gated."""\n\n'
        '@teacher("by_file", weights="file")\nclass ByFile(Teacher):\n    """A file of the user\'s."""\n\n'
        '@teacher("odd", weights="hub:nothing")\nclass Odd(Teacher):\n    """No address."""\n'
    )
    own = str(part_file(text))
    before = files(tmp_path)
    found = told(call("doctor", "--json", "--parts", own))
    assert files(tmp_path) == before, "not even a checksum is remembered"
    assert found["weights/dinov2_vitb14"]["state"] == "ok" and found["weights/dinov2_vitb14"]["bytes"] == 3000
    closed = found["weights/closed"]
    assert closed["state"] == "missing" and closed["gated"] and "accept its licence at" in closed["remedy"]
    assert "file = PATH" in found["weights/by_file"]["remedy"]
    assert found["weights/odd"]["state"] == "problem" and "expected hub:OWNER/REPO" in found["weights/odd"]["text"]
    assert not {"weights/ema", "weights/random", "weights/tiny_optical", "weights/image_stats"} & found.keys()


def test_being_offline_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in call("doctor")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert "HF_HUB_OFFLINE" not in call("doctor")


def test_a_quickstart_that_is_broken_is_in_the_way(call: Call, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.toml").write_text('[student]\nuse = "vit_nanno"\n')
    said = call("doctor", status=1)
    assert said.splitlines()[-1].endswith("does not work here: plan") and "quickstart.toml" in said


def test_a_section_that_cannot_be_looked_at_is_a_line_and_the_rest_is_told(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: object) -> None:
        raise RuntimeError("the disk is upside down")

    monkeypatch.setattr(places, "entries", fall)
    said = call("doctor", status=1)
    assert "problem  store             cannot be looked at: RuntimeError: the disk is upside down" in said
    assert "works here" not in said and PLANNED.search(said)

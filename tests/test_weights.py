"""Where weights are, and how to get them: without torch, without a network."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from deo_bench import weights
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry

REGISTRY = Registry()


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(hub: Path, repository: str, content: bytes) -> Path:
    folder = hub / f"models--{repository.replace('/', '--')}"
    path = folder / "snapshots" / ("a" * 40) / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    return path


def test_missing_weights_say_how_to_get_them():
    found = weights.locate(REGISTRY.get("teacher", "dinov3_vitb16"), {"file": None})
    assert found.missing and found.path is None and found.checksum is None
    assert found.size == 343_000_000
    assert "hf download timm/vit_base_patch16_dinov3.lvd1689m model.safetensors" in found.remedy
    assert "file = PATH" in found.remedy


def test_gated_weights_say_where_to_ask():
    facts = {"weights": "hub:meta/model@v2", "gated": True, "filename": "w.pth"}
    found = weights.find("teacher x", facts, None)
    assert "accept its licence at https://huggingface.co/meta/model" in found.remedy
    assert "hf download meta/model w.pth --revision v2" in found.remedy


def test_the_hubs_cache_is_looked_up(hub):
    path = put(hub, "timm/vit_base_patch14_dinov2.lvd142m", b"weights")
    found = weights.locate(REGISTRY.get("teacher", "dinov2_vitb14"), {})
    assert found.path == path and not found.missing and found.size == 7 and not found.remedy
    assert found.checksum == hashlib.sha256(b"weights").hexdigest()
    facts = REGISTRY.get("teacher", "dinov2_vitb14").facts
    assert weights.fetch("teacher dinov2_vitb14", facts) == path


def test_a_file_of_the_users_comes_first(hub, tmp_path):
    put(hub, "timm/vit_base_patch14_dinov2.lvd142m", b"weights")
    (tmp_path / "own.pth").write_bytes(b"own")
    found = weights.locate(REGISTRY.get("teacher", "dinov2_vitb14"), {"file": tmp_path / "own.pth"})
    assert found.path == tmp_path / "own.pth" and found.checksum == hashlib.sha256(b"own").hexdigest()
    with pytest.raises(MissingInput, match=r"teacher dinov2_vitb14: file = .*gone.pth' is not there"):
        weights.locate(REGISTRY.get("teacher", "dinov2_vitb14"), {"file": tmp_path / "gone.pth"})


@pytest.mark.parametrize("name", ["ema", "random", "descriptors", "image_stats", "run", "tiny_optical"])
def test_what_loads_nothing_needs_nothing(name):
    found = weights.locate(REGISTRY.get("teacher", name), {})
    assert not found.needed and not found.missing and found.checksum is None


def test_what_only_a_user_has_is_asked_for():
    found = weights.find("teacher checkpoint", {"weights": "file"}, None)
    assert found.missing and "file = PATH" in found.remedy
    with pytest.raises(MissingInput, match="file = PATH"):
        weights.fetch("teacher checkpoint", {"weights": "file"})
    with pytest.raises(UserError, match="expected hub:OWNER/REPO"):
        weights.find("teacher x", {"weights": "hub:model"}, None)


def test_offline_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    facts = REGISTRY.get("teacher", "dinov3_vitb16").facts
    with pytest.raises(MissingInput, match="HF_HUB_OFFLINE is set; run `hf download") as told:
        weights.fetch("teacher dinov3_vitb16", facts)
    assert "\n" not in str(told.value)


def test_what_the_hub_says_becomes_one_line(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("403 Client Error\n\nCannot access gated repo")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(MissingInput, match=r"cannot be downloaded \(403 Client Error\)") as told:
        weights.fetch("teacher dinov3_vitb16", REGISTRY.get("teacher", "dinov3_vitb16").facts)
    assert "\n" not in str(told.value)


def test_checksums_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path, cache = tmp_path / "w.pth", tmp_path / "cache"
    path.write_bytes(b"one")
    first = weights.checksum(path, cache)
    assert list(json.loads((cache / weights.CHECKSUMS).read_text()).values()) == [first]
    counted = []
    monkeypatch.setattr(weights, "digest_of", lambda path: counted.append(path) or "again")
    assert weights.checksum(path, cache) == first and not counted
    path.write_bytes(b"three")
    assert weights.checksum(path, cache) == "again" and counted == [path]


def test_a_torn_memory_is_no_matter(tmp_path):
    path, cache = tmp_path / "w.pth", tmp_path / "cache"
    path.write_bytes(b"one")
    cache.mkdir()
    (cache / weights.CHECKSUMS).write_text('{"tor')
    assert weights.checksum(path, cache) == hashlib.sha256(b"one").hexdigest()
    assert weights.checksum(path) == hashlib.sha256(b"one").hexdigest()


def test_no_torch_is_loaded():
    code = (
        "import sys; from deo_bench.registry import Registry; from deo_bench.weights import locate; "
        "locate(Registry().get('teacher', 'dinov3_vitb16'), {}); "
        "assert not {'torch', 'timm'} & set(sys.modules), 'torch was loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_checksum_that_cannot_be_remembered_is_still_told(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    assert weights.checksum(path, tmp_path / "cache") == hashlib.sha256(b"weights").hexdigest()


def test_a_file_with_another_checksum_than_its_source_states_is_refused(hub):
    path = put(hub, "owner/model", b"weights")
    stated = hashlib.sha256(b"weights").hexdigest()[:8]
    facts = {"weights": "hub:owner/model", "checksum": stated}
    assert weights.find("teacher x", facts, None).path == path
    path.write_bytes(b"others!")
    with pytest.raises(
        UserError, match=rf"teacher x: .*model.safetensors has checksum \w{{8}}, its source states {stated}"
    ):
        weights.find("teacher x", facts, None)
    with pytest.raises(UserError, match="its source states"):
        weights.fetch("teacher x", facts)
    # A file of the user's own is what the user says it is.
    assert weights.find("teacher x", facts, path).path == path


def test_one_of_several_names_is_found(hub):
    path = put(hub, "owner/model", b"weights")
    named = {"weights": "hub:owner/model", "filename": ["other.bin", "model.safetensors"]}
    assert weights.find("teacher x", named, None).path == path
    assert (
        "hf download owner/absent other.bin" in weights.find("x", named | {"weights": "hub:owner/absent"}, None).remedy
    )


def test_torch_hubs_cache_is_looked_up_for_a_telling_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (kept / "vits16-36bcc127.pth").write_bytes(b"weights")
    (kept / "model.safetensors").write_bytes(b"anyone's")
    facts = {"weights": "hub:owner/model", "filename": "vits16-36bcc127.pth"}
    assert weights.find("teacher x", facts, None).path == kept / "vits16-36bcc127.pth"
    assert weights.find("teacher x", {"weights": "hub:owner/model"}, None).missing


def test_the_first_name_that_the_hub_has_is_downloaded(tmp_path, monkeypatch):
    from huggingface_hub.errors import EntryNotFoundError

    asked = []

    def download(repository, filename, revision=None):
        asked.append(filename)
        if filename == "a.bin":
            raise EntryNotFoundError("no such file")
        (tmp_path / filename).write_bytes(b"weights")
        return str(tmp_path / filename)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    facts = {"weights": "hub:owner/model", "filename": ["a.bin", "b.bin"]}
    assert weights.fetch("teacher x", facts) == tmp_path / "b.bin" and asked == ["a.bin", "b.bin"]
    with pytest.raises(UserError, match="its source states 00000000"):
        weights.fetch("teacher x", facts | {"checksum": "00000000"})
    with pytest.raises(MissingInput, match="no such file"):
        weights.fetch("teacher x", facts | {"filename": ["a.bin", "a.bin"]})

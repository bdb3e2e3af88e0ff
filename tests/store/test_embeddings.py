"""Embeddings on disk: whole or absent, bounded, and never those of something else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from deo_bench.errors import CannotWrite, UserError
from deo_bench.store import embeddings
from deo_bench.store.cache import entries
from deo_bench.store.embeddings import Embeddings, SameEmbeddings

TOLD = {"weights": "abc", "bands": "s2_10", "normalise": "native"}


@pytest.fixture
def kept(tmp_path: Path) -> Embeddings:
    return Embeddings(tmp_path / "cache" / "embeddings")


def keep(kept: Embeddings, told: dict[str, Any] = TOLD, seed: int = 0, count: int = 10) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    return kept.keep([told], count, ([rows[at : at + 4]] for at in range(0, count, 4)))[0]


def only(kept: Embeddings) -> Path:
    (path,) = kept.folder.iterdir()
    return path


def test_what_is_kept_is_found_and_mapped(kept: Embeddings) -> None:
    assert kept.find(TOLD) is None
    made = keep(kept)
    found = kept.find(TOLD)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    assert_array_equal(found, made)
    assert_array_equal(np.load(only(kept), mmap_mode="r"), made)  # numpy reads it as it lies
    assert kept.find(TOLD | {"normalise": "dataset"}) is None
    assert [entry.kind for entry in entries(kept.folder.parent)] == ["embeddings"]


def test_several_arrays_come_of_one_pass(kept: Embeddings) -> None:
    early, late = np.arange(24.0).reshape(4, 3, 2), np.arange(8, dtype=np.float16).reshape(4, 2)
    blocks = [[early[:3], late[:3]], [early[3:], late[3:]]]
    kept.keep([TOLD | {"map": 0}, TOLD | {"map": 1}], 4, iter(blocks))
    for place, array in enumerate((early, late)):
        found = kept.find(TOLD | {"map": place})
        assert found is not None and found.dtype == array.dtype
        assert_array_equal(found, array)


@pytest.mark.parametrize("at", [0, 40, 200, -30, -1])
def test_a_changed_byte_is_seen(kept: Embeddings, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_verified", set())
    keep(kept)
    content = bytearray(only(kept).read_bytes())
    content[at] ^= 1
    only(kept).write_bytes(content)
    with pytest.warns(UserWarning, match="not a whole embedding .* made again"):
        assert kept.find(TOLD) is None


@pytest.mark.parametrize("length", [0, 5, 130, 300])
def test_a_torn_file_is_not_used(kept: Embeddings, length: int) -> None:
    keep(kept)
    only(kept).write_bytes(only(kept).read_bytes()[:length])
    with pytest.warns(UserWarning, match="not a whole embedding"):
        assert kept.find(TOLD) is None
    assert_array_equal(keep(kept), keep(kept, seed=0))
    assert kept.find(TOLD) is not None


def test_those_of_other_weights_under_this_name_are_refused(kept: Embeddings) -> None:
    keep(kept, TOLD | {"weights": "others"})
    only(kept).rename(kept._path(TOLD))
    with pytest.warns(UserWarning, match="of other weights or settings than its name says"):
        assert kept.find(TOLD) is None


def test_a_full_disk_leaves_nothing(kept: Embeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="free some space"):
        keep(kept)
    assert list(kept.folder.iterdir()) == []


def test_a_pass_that_fails_leaves_nothing(kept: Embeddings) -> None:
    rows = np.ones((4, 2), np.float32)
    with pytest.raises(UserError, match="features of image 5 are not finite"):
        kept.keep([TOLD], 8, iter([[rows], [np.array([[1, 2], [np.nan, 0]], np.float32)]]))
    assert list(kept.folder.iterdir()) == []


def test_the_least_recently_used_go_first(kept: Embeddings) -> None:
    kept.limit = 2400
    for number in range(4):  # half a kilobyte each
        keep(kept, TOLD | {"step": number}, seed=number)
        os.utime(kept._path(TOLD | {"step": number}), (number, number))
    assert [kept.find(TOLD | {"step": number}) is not None for number in range(4)] == [False, True, True, True]
    assert sum(path.stat().st_size for path in kept.folder.iterdir()) <= kept.limit
    os.utime(kept._path(TOLD | {"step": 1}), (9e9, 9e9))
    keep(kept, TOLD | {"step": 4}, seed=4)
    assert kept.find(TOLD | {"step": 1}) is not None and kept.find(TOLD | {"step": 2}) is None


def test_what_is_beyond_the_limit_serves_this_process_alone(kept: Embeddings) -> None:
    keep(kept)
    kept.limit = 100
    made = keep(kept, TOLD | {"step": 1}, seed=1)
    assert_array_equal(made, np.random.default_rng(1).normal(size=(10, 6)).astype(np.float32))
    assert kept.find(TOLD | {"step": 1}) is None and kept.find(TOLD) is not None
    assert len(list(kept.folder.iterdir())) == 1


def test_the_limit_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEO_BENCH_CACHE_SIZE", "1.5GB")
    assert Embeddings(tmp_path).limit == 1_500_000_000
    monkeypatch.setenv("DEO_BENCH_CACHE_SIZE", "lots")
    with pytest.raises(UserError, match="DEO_BENCH_CACHE_SIZE 'lots': expected a size such as 500MB"):
        Embeddings(tmp_path)


def test_a_switch_that_did_nothing_is_told(kept: Embeddings) -> None:
    keep(kept)
    with pytest.warns(SameEmbeddings, match="byte for byte: normalise = native and dataset"):
        keep(kept, TOLD | {"normalise": "dataset"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep(kept, TOLD | {"normalise": "other"}, seed=1)


def test_what_is_claimed_takes_no_memory(kept: Embeddings) -> None:
    keep(kept)
    content = only(kept).read_bytes()
    for old, new in ((b"(10, 6)", b"(9**99,)"), (b"(10, 6), }", b"(10, 600),"), (b"'<f4'", b"'|O8'")):
        assert old in content
        only(kept).write_bytes(content.replace(old, new))
        with pytest.warns(UserWarning, match="not a whole embedding"):
            assert kept.find(TOLD) is None


def test_what_an_entry_says_of_itself_is_plain(kept: Embeddings) -> None:
    keep(kept)
    content = only(kept).read_bytes()
    about = json.loads(content[content.rindex(b'{"sha256"') : -16])
    assert about["told"] == TOLD


def test_what_a_killed_process_left_goes_after_a_day(kept: Embeddings) -> None:
    keep(kept)
    old, new = kept.folder / ".a.1.tmp", kept.folder / ".b.2.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    keep(kept, TOLD | {"step": 1}, seed=1)
    assert not old.exists() and new.exists()


def test_another_process_may_make_room_at_the_same_time(kept: Embeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(kept)
    real = Path.stat

    def gone(self: Path, **given: Any) -> os.stat_result:
        if self.name == kept._path(TOLD).name:
            raise FileNotFoundError(self)
        return real(self, **given)

    monkeypatch.setattr(Path, "stat", gone)
    assert len(keep(kept, TOLD | {"step": 1}, seed=1)) == 10


def test_a_cache_deleted_meanwhile_is_no_loss(kept: Embeddings) -> None:
    rows = np.ones((4, 2), np.float32)

    def blocks() -> Any:
        yield [rows]
        shutil.rmtree(kept.folder)
        yield [2 * rows]

    made = kept.keep([TOLD], 8, blocks())[0]
    assert_array_equal(made, np.concatenate([rows, 2 * rows]))

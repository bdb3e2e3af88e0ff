"""Predictions on disk: what is written is read, anything else is refused in a line and never half believed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.errors import StoreError
from deo_bench.files import write_arrays
from deo_bench.reports.predictions import Predictions, _as_we_write, read_predictions

MANY = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DRAWS = np.random.default_rng(0)
ARRAYS = {
    "truth": DRAWS.integers(0, 3, 12),
    "scores": DRAWS.random((12, 3)).astype(np.float32),
    "predicted": DRAWS.integers(0, 3, 12),
    "groups": np.arange(12) // 3,
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "x.npz"
    write_arrays(path, ARRAYS)
    return path


def holds(found: Predictions, arrays: dict[str, np.ndarray]) -> bool:
    """Whether predictions are these arrays, to the bit and the type."""
    given = {name: array for name, array in vars(found).items() if array is not None}
    return given.keys() == arrays.keys() and all(
        given[name].dtype == array.dtype and np.array_equal(given[name], array) for name, array in arrays.items()
    )


def test_what_is_written_is_read_without_numpys_archive(written: Path) -> None:
    assert holds(read_predictions(written), ARRAYS)
    found = _as_we_write(written.read_bytes())
    assert found is not None and found.keys() == ARRAYS.keys(), "the fast way takes what the engine writes"


def test_what_others_wrote_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, **ARRAYS)
    assert _as_we_write(path.read_bytes()) is None and holds(read_predictions(path), ARRAYS)
    turned = {**ARRAYS, "scores": np.asfortranarray(ARRAYS["scores"])}
    np.savez(path, **turned)
    assert holds(read_predictions(path), ARRAYS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"of somebody else"
    assert holds(read_predictions(path), ARRAYS)


def test_numbers_and_maps_are_read(tmp_path: Path) -> None:
    numbers = {"truth": DRAWS.normal(size=12), "scores": DRAWS.normal(size=(12, 1)).astype(np.float32)}
    counts = DRAWS.integers(0, 9, (12, 3, 3)).astype(np.int32)
    maps = {
        "truth": counts.sum(2), "scores": counts, "shown": np.zeros((2, 4, 4), np.uint8),
        "shown_truth": np.zeros((2, 4, 4), np.uint8), "shown_images": np.array([0, 11]),
    }  # fmt: skip
    for arrays in (numbers, maps):
        write_arrays(tmp_path / "x.npz", arrays)
        assert holds(read_predictions(tmp_path / "x.npz"), arrays)


def test_a_file_that_ends_anywhere_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for size in [*range(0, len(whole), 7), len(whole) - 1]:
        written.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="torn or foreign"):
            read_predictions(written)


@MANY
@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("one") / "x.npz"
    write_arrays(path, ARRAYS)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = read_predictions(path)
    except StoreError:
        return
    assert holds(found, ARRAYS), f"byte {at} is not looked at"


OTHER_KINDS = {
    "labels in words": {"truth": np.array(["a"] * 12)},
    "labels with fractions": {"truth": np.linspace(0, 1, 12)},
    "labels with fractions, of several": {"truth": np.ones((12, 1)), "scores": np.ones((12, 1))},
    "a score an image": {"scores": np.zeros(12)},
    "scores in words": {"scores": np.array([["a", "b"]] * 12)},
    "answers of two dimensions": {"predicted": np.zeros((12, 2), int)},
    "groups of two dimensions": {"groups": np.zeros((12, 2), int)},
}


@pytest.mark.parametrize("what", OTHER_KINDS)
def test_arrays_of_another_kind_are_refused(written: Path, what: str) -> None:
    write_arrays(written, ARRAYS | OTHER_KINDS[what])
    with pytest.raises(StoreError, match="another kind"):
        read_predictions(written)


def test_an_array_that_is_not_known_is_named(written: Path) -> None:
    write_arrays(written, {**ARRAYS, "predxcted": ARRAYS["predicted"]})
    with pytest.raises(StoreError, match="not known here: 'predxcted'"):
        read_predictions(written)
    names = [f"other{number}" for number in range(8)]
    write_arrays(written, {**ARRAYS, **dict.fromkeys(reversed(names), ARRAYS["predicted"])})
    with pytest.raises(StoreError, match=", ".join(map(repr, names))):
        read_predictions(written)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    for path in tmp_path.iterdir():
        with pytest.raises(StoreError, match="torn or foreign"):
            read_predictions(path)


def test_an_archive_whose_end_counts_fewer_arrays_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **ARRAYS)  # what can be lost unseen, the groups, comes last
    whole = path.read_bytes()
    for at in range(len(whole) - 22, len(whole)):
        for byte in range(5):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            try:
                found = read_predictions(path)
            except StoreError:
                continue
            assert holds(found, ARRAYS), f"byte {at - len(whole)} as {byte}"

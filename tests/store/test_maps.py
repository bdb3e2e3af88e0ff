"""Maps of features on disk: read back as written, and refused with a reason where they are anything else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from deo_bench.errors import StoreError
from deo_bench.files import write_arrays
from deo_bench.store import Store
from deo_bench.store.maps import FeatureMaps, has_maps, read_maps, write_maps
from deo_bench.store.prune import Wanted, look
from deo_bench.store.removal import remove
from tests.store.test_prune import Disk


def made(count: int = 2) -> FeatureMaps:
    draws = np.random.default_rng(0)
    return FeatureMaps(
        maps=draws.normal(size=(count, 4, 5, 3)).astype(np.float32),
        pictures=draws.integers(0, 256, (count, 8, 10, 3)).astype(np.uint8),
        explained=np.array([0.5, 0.25, 0.125]),
        images=np.arange(count),
        level="late",
        shown="B04, B03, B02",
        view="native size, native normalisation",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_maps(tmp_path / "maps.npz", made())
    return tmp_path / "maps.npz"


def test_they_are_read_as_they_were_written(path: Path) -> None:
    kept, written = read_maps(path), made()
    for name in ("maps", "pictures", "explained", "images"):
        assert_array_equal(getattr(kept, name), getattr(written, name))
        assert getattr(kept, name).dtype == getattr(written, name).dtype
    assert (kept.level, kept.shown, kept.view, kept.reason) == (written.level, written.shown, written.view, "")
    assert has_maps(path)


def test_that_there_are_none_is_kept_with_its_reason(path: Path) -> None:
    write_maps(path, FeatureMaps.none("late", "it has pooled vectors alone"))
    assert has_maps(path) and read_maps(path).reason == "it has pooled vectors alone"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_no_file(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert not has_maps(path)
    with pytest.raises(StoreError, match="torn or foreign; delete it"):
        read_maps(path)


def test_a_byte_that_has_changed_is_noticed_when_it_is_read(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.find(made().pictures.tobytes()[:40]) + 20
    content[place] ^= 1
    path.write_bytes(bytes(content))
    assert has_maps(path), "which looks at no byte of the arrays"
    with pytest.raises(StoreError, match="torn or foreign"):
        read_maps(path)


def test_a_file_of_other_arrays_is_made_again(path: Path) -> None:
    write_arrays(path, arrays(level=None))
    assert not has_maps(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert not has_maps(tmp_path / "gone.npz")
    with pytest.raises(StoreError, match="is not there"):
        read_maps(tmp_path / "gone.npz")


def arrays(**changes: Any) -> dict[str, np.ndarray]:
    kept = {name: np.asarray(value) for name, value in vars(made()).items()}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


WRONG = {
    "an array too few": ({"level": None}, "torn or foreign"),
    "other numbers": ({"maps": np.zeros((2, 4, 5, 3), dtype=int)}, "maps is int64"),
    "too few axes": ({"maps": np.zeros((2, 4, 3), dtype=np.float32)}, r"maps is float32 of \(2, 4, 3\)"),
    "four components": ({"maps": np.zeros((2, 4, 5, 4), dtype=np.float32)}, "not three components"),
    "other images": ({"images": np.arange(3)}, "do not belong together"),
    "wide pictures": ({"pictures": np.zeros((2, 8, 8, 3), dtype=np.uint16)}, "do not belong together"),
    "nothing and no reason": (vars(FeatureMaps.none("late", "")), "does not say why"),
    "not a number": ({"maps": np.full((2, 4, 5, 3), np.nan, dtype=np.float32)}, "not finite"),
    "two texts": ({"view": np.array(["a", "b"])}, "view is 2 texts"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_are_no_maps_are_refused(path: Path, name: str) -> None:
    changes, said = WRONG[name]
    write_arrays(path, arrays(**changes))
    with pytest.raises(StoreError, match=said):
        read_maps(path)


def test_nothing_in_a_file_is_executed_and_no_claim_is_believed(path: Path) -> None:
    np.savez(path, **{**arrays(), "level": np.array([print], dtype=object)})
    with pytest.raises(StoreError, match="torn or foreign"):
        read_maps(path)
    stream = io.BytesIO()
    claimed = {"descr": "<f4", "fortran_order": False, "shape": (2, 10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(stream, claimed)
    write_arrays(path, arrays(maps=None))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("maps.npy", stream.getvalue())
    with pytest.raises(StoreError, match="torn or foreign"):
        read_maps(path)


def test_maps_stay_with_a_pruned_run_s_scores_and_go_with_them(store: Path) -> None:
    disk = Disk(store)
    name = disk.run("a", scores=1)
    write_maps(Store(store).run(name).maps_path("task.rgb.student.00000000"), made())
    temporary = store / name / "maps" / ".task.npz.1.abcdef01.tmp"
    temporary.write_bytes(b"half")
    disk.age(name, 10 * 86_400)
    disk.prune(keep=[])
    assert (store / name / "maps").is_dir() and not (store / name / "student.safetensors").exists()
    assert not temporary.exists()
    for item in look(disk.store, disk.cache, Wanted(keep=frozenset(), scores=True)).items:
        remove(disk.store, item)
    assert not (store / name / "maps").exists() and not (store / name / "scores").exists()


def test_what_is_foreign_among_the_maps_stays(store: Path) -> None:
    disk = Disk(store)
    name = disk.run("a", scores=1)
    write_maps(Store(store).run(name).maps_path("task.rgb.student.00000000"), made())
    (store / name / "maps" / "notes.docx").write_bytes(b"mine")
    found = disk.prune(keep=[], scores=True)
    assert (f"{name}/maps/notes.docx", "not of deo-bench") in found.left
    assert (store / name / "maps" / "notes.docx").exists()

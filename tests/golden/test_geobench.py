"""Our reader against files that the real `geobench` library wrote, and against what it reads from them itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deo_bench.bands import BAND_SETS, select
from deo_bench.data import Pack, Places
from deo_bench.data.band_order import doubts_about_order
from deo_bench.data.geobench import find_data_set, pack_data_set
from deo_bench.data.geobench_files import read_specifications
from deo_bench.data.geobench_writer import write_dataset
from deo_bench.errors import UserError
from deo_bench.experiments.single import plan_of_one
from deo_bench.registry import Registry
from deo_bench.tasks.geobench import DATA_SETS

S2 = BAND_SETS["s2_13"]


@dataclass(frozen=True)
class Known:
    """What there is to know of a data set of the archive."""

    kind: str
    bands: tuple[str, ...]
    unit: str
    classes: int
    dtype: str = "int16"
    given: str | None = None
    rgb: tuple[str, ...] = BAND_SETS["rgb"]


RADAR = ("01 - VH.Real", "02 - VH.Imaginary", "03 - VV.Real", "04 - VV.Imaginary", "VH", "VV")
RADAR += ("07 - VH.LEE Filtered.Real", "08 - VV.LEE Filtered.Imaginary")
BY_TURNS = tuple(name for pair in zip(RADAR, BAND_SETS["s2_10"], strict=False) for name in pair)
CLOUDED = (*BAND_SETS["s2_12"], "Cloud Probability")
NEON = ("R", "G", "B", "CHM", *(f"Neon {plane:03d}" for plane in range(4)))
BESIDE = ("CHM", "Cloud Probability", *(f"Neon {plane:03d}" for plane in range(4)))
SETS = {
    "m-classes": Known("single", ("B02", "B04", "B05", "B8A"), "dn", 3),
    "m-labels": Known("multi", ("R", "G", "B"), "uint8", 4, "uint8"),
    "m-maps": Known("segmentation", ("L2", "L3"), "reflectance", 2, "float32", "reflectance"),
    "m-eurosat": Known("single", S2, "dn", 3),
    "m-brick-kiln": Known("single", S2, "dn", 2),
    "m-so2sat": Known("single", (*BY_TURNS, "B11", "B12"), "reflectance", 17, "float32"),
    "m-forestnet": Known("single", ("L2", "L3", "L4", "L5", "L6", "L7"), "uint8", 12, "uint8", rgb=("L4", "L3", "L2")),
    "m-bigearthnet": Known("multi", BAND_SETS["s2_12"], "dn", 5),
    "m-pv4ger": Known("single", ("R", "G", "B"), "uint8", 2, "uint8"),
    "m-pv4ger-seg": Known("segmentation", ("R", "G", "B"), "uint8", 2, "uint8"),
    "m-nz-cattle": Known("segmentation", ("R", "G", "B"), "uint8", 2, "uint8"),
    "m-cashew-plant": Known("segmentation", CLOUDED, "dn", 7),
    "m-SA-crop-type": Known("segmentation", CLOUDED, "uint8", 10),
    "m-chesapeake": Known("segmentation", ("R", "G", "B", "B08"), "uint8", 7, "uint8"),
    "m-NeonTree": Known("segmentation", NEON, "uint8", 2, "float32"),
    "m-old": Known("single", ("B02", "B03", "B04"), "dn", 3),
    "m-semantic": Known("segmentation", ("R", "G", "B"), "uint8", 3, "uint8"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("geobench")
    with tarfile.open(Path(__file__).parent / "geobench.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def cache(root: Path) -> Path:
    """One for all tests: each data set is packed once."""
    return root / "cache"


@pytest.fixture(scope="module")
def expected(root: Path) -> Mapping[str, np.ndarray]:
    with np.load(root / "expected.npz") as found:
        return dict(found)


def packed(root: Path, cache: Path, name: str, **options: str) -> Pack:
    given = SETS[name].given if name in SETS else None
    return pack_data_set(Places(root, cache), name, unit=given, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETS)
def test_read_alike(root: Path, expected: Mapping[str, np.ndarray], cache: Path, name: str) -> None:
    pack, known = packed(root, cache, name), SETS[name]
    np.testing.assert_allclose(pack.images, expected[f"{name}/images"], rtol=1e-6)
    np.testing.assert_array_equal(pack.labels, expected[f"{name}/labels"])
    assert pack.bands == known.bands and len(pack.bands) == pack.images.shape[1]
    assert (pack.label_kind, pack.unit, len(pack.classes)) == (known.kind, known.unit, known.classes)
    assert pack.images.dtype == known.dtype
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {"fit": [0, 1], "select": [2], "report": [3]}
    names = expected.get(f"{name}/classes", np.arange(known.classes).astype(str))
    assert pack.classes == tuple(names)
    first = {f"{share}x_train": [0] for share in ("0.01", "0.02", "0.05", "0.10", "0.20", "0.50")}
    assert {key: rows.tolist() for key, rows in pack.partitions.items()} == {**first, "1.00x_train": [0, 1]}


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_task_reads_its_own_data_set(
    root: Path, expected: Mapping[str, np.ndarray], cache: Path, name: str
) -> None:
    """Without what is beside the picture, which is in the archive and in no task."""
    places, task = Places(root, cache), Registry().build("task", name)
    pack, known = task.pack(places), SETS[name]
    kept = [band not in BESIDE for band in known.bands]
    np.testing.assert_allclose(pack.images, expected[f"{name}/images"][:, kept], rtol=1e-6)
    np.testing.assert_array_equal(pack.labels, expected[f"{name}/labels"])
    assert task.label_kind(places) == pack.label_kind == known.kind
    assert task.bands(places) == tuple(band for band in known.bands if band not in BESIDE)
    assert (pack.unit, len(pack.partitions)) == (known.unit, 7)


def test_the_trees_are_seen_in_bytes_of_red_green_and_blue(root: Path, cache: Path) -> None:
    """Hundreds of coarse planes would be brought to the picture's grid, and all of it be floats."""
    pack = Registry().build("task", "m-NeonTree").pack(Places(root, cache))
    assert pack.bands == ("R", "G", "B") and pack.images.dtype == np.uint8


def test_a_class_that_means_none_is_no_class(root: Path, expected: Mapping[str, np.ndarray], cache: Path) -> None:
    """Land without data among the cashews: six classes remain, and it is another question, told by its content."""
    places, name = Places(root, cache), "m-cashew-plant"
    seven = Registry().build("task", name)
    six = Registry().build("task", name, options={"ignore": 0})
    assert six.pack(places).classes == seven.pack(places).classes[1:] and len(six.class_names(places)) == 6
    np.testing.assert_array_equal(six.pack(places).labels, expected[f"{name}/labels"] - 1)
    assert six.fingerprint(places) != seven.fingerprint(places) and six.pack(places).pixels == seven.pack(places).pixels
    three = Registry().build("task", name, options={"ignore": 3}).pack(places)
    stored = expected[f"{name}/labels"].astype(int)
    np.testing.assert_array_equal(three.labels, np.where(stored == 3, 255, stored - (stored > 3)))
    assert three.ignore == 255 and "none" not in three.classes and (three.labels == 255).any()


@pytest.mark.parametrize(
    ("name", "ignore", "said"),
    [
        ("m-cashew-plant", 7, "ignore = 7 is no class to leave out: 7 classes"),
        ("m-eurosat", 0, "'m-eurosat': ignore = 0 is for maps of classes"),
    ],
)
def test_what_is_no_class_cannot_be_ignored(root: Path, cache: Path, name: str, ignore: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Registry().build("task", name, options={"ignore": ignore}).pack(Places(root, cache))


def with_the_library(*command: str | Path) -> None:
    """A process of its own, for the library makes a folder when it is imported; skips where it is not installed."""
    told = subprocess.run([sys.executable, "-c", "import geobench"], capture_output=True, text=True, timeout=120)
    if told.returncode:
        pytest.skip("needs the library: pip install --no-deps --target FOLDER geobench==1.0.0, and PYTHONPATH=FOLDER")
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_library_that_is_here_writes_what_is_kept(root: Path, tmp_path: Path) -> None:
    """The archive again, by the library itself in a process of its own: all files and all that it reads of them."""
    script, again = Path(__file__).parent / "write_geobench_fixture.py", tmp_path / "again.tar.xz"
    with_the_library(script, again)
    with tarfile.open(again) as archive:
        archive.extractall(tmp_path / "again", filter="data")
    fresh, kept = tmp_path / "again", root
    paths = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    assert paths == {path.relative_to(kept) for path in kept.glob("*_v1.0/**/*") if path.is_file()} | {
        Path("expected.npz")
    }
    for path in sorted(path for path in paths if path.suffix in (".json", ".pkl")):
        assert (fresh / path).read_bytes() == (kept / path).read_bytes(), path
    with np.load(fresh / "expected.npz") as found, np.load(kept / "expected.npz") as wanted:
        assert set(found) == set(wanted)
        for key in wanted:
            np.testing.assert_array_equal(found[key], wanted[key], err_msg=key)
    for name in SETS:
        assert packed(fresh, tmp_path / "cache", name).content == packed(kept, tmp_path / "cache", name).content


LOOK = """
import sys
from pathlib import Path
import geobench, numpy as np
found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    specs = geobench.load_task_specs(folder)
    names = [band.name for band in specs.bands_info]
    for split in ("train", "valid", "test"):
        rows = geobench.GeobenchDataset(folder, split=split, partition_name="half", band_names=names)
        for sample in rows:
            label = sample.label.data if hasattr(sample.label, "band_info") else sample.label
            found[f"{folder.name}/{sample.sample_name}/image"] = np.moveaxis(sample.pack_to_3d(names)[0], 2, 0)
            found[f"{folder.name}/{sample.sample_name}/label"] = np.asarray(label)
    names = getattr(specs.label_type, "_class_names", None) or specs.label_type.class_name
    found[f"{folder.name}/classes"] = np.array(names)
np.savez(sys.argv[2], **found)
"""


def test_the_library_reads_what_our_writer_writes(tmp_path: Path) -> None:
    rng, bands = np.random.default_rng(0), ("B02", "B8A", "VV")
    labels = {"single": [2, 0, 1], "multi": rng.integers(0, 2, (3, 3)), "segmentation": rng.integers(0, 3, (3, 4, 4))}
    images = {"single": rng.integers(0, 9999, (3, 3, 4, 4)), "multi": rng.random((3, 3, 4, 4))}
    images["segmentation"] = rng.integers(0, 255, (3, 3, 4, 4)).astype(np.uint8)
    for kind in labels:
        write_dataset(
            tmp_path / "own" / kind,
            dataset_name=kind,
            benchmark_name="own",
            bands=bands,
            label_type=kind,  # type: ignore[arg-type]
            class_names=("x", "y", "z"),
            samples=[("abc"[row], images[kind][row], labels[kind][row]) for row in range(3)],
            partition={"train": ["a"], "valid": ["b"], "test": ["c"]},
            partitions={"half": {"train": ["a"], "valid": ["b"], "test": ["c"]}},
        )
    (tmp_path / "look.py").write_text(LOOK)
    with_the_library(tmp_path / "look.py", tmp_path / "own", tmp_path / "found.npz")
    with np.load(tmp_path / "found.npz") as found:
        for kind in labels:
            assert found[f"{kind}/classes"].tolist() == ["x", "y", "z"]
            for row, name in enumerate("abc"):
                np.testing.assert_array_equal(found[f"{kind}/{name}/image"], images[kind][row])
                np.testing.assert_array_equal(found[f"{kind}/{name}/label"], labels[kind][row])


@pytest.mark.parametrize(
    "name", ["m-eurosat", "m-so2sat", "m-forestnet", "m-bigearthnet", "m-cashew-plant", "m-labels"]
)
def test_red_green_and_blue_are_found_by_name_among_any_number_of_bands(
    root: Path, expected: Mapping[str, np.ndarray], cache: Path, name: str
) -> None:
    pack = packed(root, cache, name)
    places = select(pack.bands, SETS[name].rgb)
    np.testing.assert_allclose(pack.images[:, places], expected[f"{name}/rgb"], rtol=1e-6)


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_task_can_be_scored_in_red_green_and_blue(root: Path, tmp_path: Path, name: str) -> None:
    """By a teacher of RGB, whatever the sensor calls its colours."""
    protocol = "scenes-dense-v1" if SETS[name].kind == "segmentation" else "scenes-v1"
    for bands in ((), ("rgb",)):
        plan = plan_of_one("descriptors", [name], [protocol], tmp_path / "runs", root, bands=bands)
        assert plan.requests and {request.bands for request in plan.requests} == {"rgb"}


def test_landsats_six_bands_are_those_that_it_shares_with_sentinel_2(root: Path, cache: Path, tmp_path: Path) -> None:
    plan = plan_of_one("image_stats", ["m-forestnet"], ["scenes-v1"], tmp_path / "runs", root)
    assert {request.bands for request in plan.requests} == {"hls_6"}
    assert select(packed(root, cache, "m-forestnet").bands, BAND_SETS["hls_6"]) == list(range(6))
    with pytest.raises(UserError, match="has no 's2_10'; it has L2, L3"):
        plan_of_one("image_stats", ["m-forestnet"], ["scenes-v1"], tmp_path / "runs", root, bands=("s2_10",))


def test_ten_bands_are_found_among_thirteen_twelve_and_eighteen(root: Path, cache: Path) -> None:
    places = {
        name: select(packed(root, cache, name).bands, BAND_SETS["s2_10"])
        for name in ("m-eurosat", "m-bigearthnet", "m-so2sat")
    }
    assert places["m-eurosat"] == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    assert places["m-bigearthnet"] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert places["m-so2sat"] == [1, 3, 5, 7, 9, 11, 13, 15, 16, 17]
    with pytest.raises(UserError, match="lack band B10; they have B01"):
        select(packed(root, cache, "m-bigearthnet").bands, S2)


def test_statistics_of_the_library_are_those_of_the_pack(
    root: Path, expected: Mapping[str, np.ndarray], cache: Path
) -> None:
    """The library takes all splits together; band_stats.json is what it wrote."""
    pack = packed(root, cache, "m-eurosat")
    pixels = np.asarray(pack.images, dtype=np.float64)
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), expected["m-eurosat/mean"], rtol=1e-6)
    np.testing.assert_allclose(pixels.std((0, 2, 3)), expected["m-eurosat/std"], rtol=1e-6)
    stored = json.loads((find_data_set(Places(root, cache), "m-eurosat") / "band_stats.json").read_text())
    assert len(stored) == 14 and {"02 - Blue", "label"} <= set(stored)


def test_every_partition_is_a_smaller_fit(root: Path, cache: Path) -> None:
    found = packed(root, cache, "m-eurosat").partitions
    assert list(found) == [f"{share}x_train" for share in ("0.01", "0.02", "0.05", "0.10", "0.20", "0.50", "1.00")]
    assert found["0.01x_train"].tolist() == [0] and found["1.00x_train"].tolist() == [0, 1]


def test_eurosat_published_and_corrected(root: Path, cache: Path) -> None:
    """As published, 8A has the mean of water vapour, 09 of cirrus, 10 and 11 of the infrared, and 12 is 8A."""
    published = packed(root, cache, "m-eurosat")
    corrected = packed(root, cache, "m-eurosat", band_labels="corrected")
    means = {pack.band_labels: dict(zip(pack.bands, pack.mean, strict=True)) for pack in (published, corrected)}
    for name, mean in (("B8A", 2600), ("B09", 732), ("B10", 12), ("B11", 1821), ("B12", 1119)):
        assert means["corrected"][name] == pytest.approx(mean, rel=0.15)
    for name, mean in (("B8A", 732), ("B09", 12), ("B10", 1821), ("B11", 1119), ("B12", 2600)):
        assert means["published"][name] == pytest.approx(mean, rel=0.15)
    rows = np.arange(4)
    assert (
        "look as if they were in another order" in doubts_about_order("x", published.bands, published.images, rows)[0]
    )
    assert doubts_about_order("x", corrected.bands, corrected.images, rows) == ()
    assert published.notes == corrected.notes == () and published.content != corrected.content


def test_brick_kiln_published_and_corrected(root: Path, cache: Path) -> None:
    """Ten real bands, the last three an 8-bit rendering that is left out."""
    published = packed(root, cache, "m-brick-kiln")
    corrected = packed(root, cache, "m-brick-kiln", band_labels="corrected")
    assert corrected.bands == ("B01", "B02", "B03", "B04", "B05", "B07", "B8A", "B08", "B11", "B12")
    assert dict(zip(corrected.bands, corrected.mean, strict=True))["B8A"] == pytest.approx(2600, rel=0.15)
    assert max(published.mean[10:]) < 255 < min(corrected.mean)
    assert doubts_about_order("x", published.bands, published.images, np.arange(4))
    assert doubts_about_order("x", corrected.bands, corrected.images, np.arange(4)) == ()


def test_the_eight_bit_sets_and_so2sat_say_their_scale(root: Path, cache: Path) -> None:
    assert packed(root, cache, "m-SA-crop-type").unit == "uint8" and packed(root, cache, "m-forestnet").unit == "uint8"
    so2sat = packed(root, cache, "m-so2sat")
    assert so2sat.unit == "reflectance" and len(so2sat.bands) == 18 and so2sat.images.max() < 2.8
    assert packed(root, cache, "m-cashew-plant").unit == "dn"


def test_a_class_that_is_never_seen_keeps_its_number(root: Path, cache: Path) -> None:
    pack = packed(root, cache, "m-cashew-plant")
    assert pack.labels is not None and pack.labels.min() == 1 and pack.labels.max() == 6
    assert pack.classes[0] == "no data" and len(pack.classes) == 7 and pack.ignore == 255


def test_coarse_bands_are_on_the_grid_of_the_finest(root: Path, cache: Path) -> None:
    pack = packed(root, cache, "m-classes")
    assert pack.images.shape == (4, 4, 8, 8) and len(np.unique(pack.images[0, 2])) > 16
    assert packed(root, cache, "m-bigearthnet").images.shape == (4, 12, 6, 6)


def test_the_package_that_it_was_before_is_read_too(root: Path, cache: Path) -> None:
    folder = find_data_set(Places(root, cache), "m-old")
    assert b"ccb.io.dataset" in (folder / "task_specs.pkl").read_bytes()
    assert b"geobench" not in (folder / "task_specs.pkl").read_bytes() + (folder / "id_0.hdf5").read_bytes()
    assert read_specifications(folder).names == ("B02", "B03", "B04")


def test_time_series_are_refused_by_name(root: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=r"m-series/id_0.hdf5: band '02 - Blue' at 2 dates; time series are not read"):
        packed(root, cache, "m-series")

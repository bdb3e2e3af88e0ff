"""A user's own labelled folder: every kind of label comes back as it was written, every mistake names its row."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.data import Pack, Places
from deo_bench.data.npz import pack_npz
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry
from deo_bench.tasks.folder import FolderTask

SPLITS = ("train", "train", "val", "val", "test", "test")
LABELS = ("wheat", "maize", "wheat", "maize", "wheat", "maize")


class Folder:
    """Six images of 2 bands and 4 x 6 px in a folder, and the table of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / "fields"
        self.path.mkdir()
        self.images = [self.image(f"{number}.npy", number) for number in range(6)]

    def image(self, name: str, number: int, shape: tuple[int, ...] = (2, 4, 6)) -> np.ndarray:
        pixels = np.random.default_rng(number).integers(0, 3000, shape).astype(np.uint16)
        np.save(self.path / name, pixels)
        return pixels

    def map(self, name: str, classes: np.ndarray) -> np.ndarray:
        np.save(self.path / name, classes)
        return classes

    def table(self, header: str, *columns: Any) -> None:
        rows = [",".join(map(str, cells)) for cells in zip(*columns, strict=True)]
        (self.path / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")

    def pack(self, **options: Any) -> Pack:
        given = {"path": "fields", "bands": ["B04", "B08"], "unit": "dn", **options}
        task = FolderTask(**given)
        pack = task.pack(Places(self.root, self.root / "cache"))
        assert task.label_kind(Places(self.root, self.root / "cache")) == pack.label_kind
        return pack


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


FILES = [f"{number}.npy" for number in range(6)]


def test_it_is_a_task_by_name() -> None:
    assert Registry().build("task", "folder", options={"path": "some/fields"}).name == "fields"


def test_single_labels_by_name(folder: Folder) -> None:
    folder.table("file,label,split,group", FILES, LABELS, SPLITS, "aabbcc")
    pack = folder.pack()
    assert pack.name == "fields" and pack.classes == ("maize", "wheat") and pack.label_kind == "single"
    assert pack.labels is not None and pack.labels.tolist() == [1, 0] * 3
    assert {role: rows.tolist() for role, rows in pack.splits.items()} == {
        "fit": [0, 1],
        "select": [2, 3],
        "report": [4, 5],
    }
    assert pack.groups is not None and pack.groups.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(pack.images, folder.images)
    assert folder.pack(classes=["wheat", "maize", "rye"]).labels.tolist() == [0, 1] * 3  # type: ignore[union-attr]


def test_the_same_images_in_an_npz_make_the_same_pack(folder: Folder) -> None:
    groups = [2, 10, 9, 9, 100, 100]
    folder.table("file,label,split,group", FILES, LABELS, SPLITS, groups)
    pack = folder.pack()
    np.savez(
        folder.root / "fields.npz",
        images=np.array(folder.images),
        bands=np.array(["B04", "B08"]),
        labels=np.array([1, 0] * 3),
        split=np.array([0, 0, 1, 1, 2, 2]),
        classes=np.array(["maize", "wheat"]),
        field=np.array(groups),
    )
    places = Places(folder.root, folder.root / "cache")
    other = pack_npz(places, "fields.npz", unit="dn", groups="field")
    assert pack.content == other.content and pack.pixels == other.pixels


def test_rows_of_no_split_are_left_out_and_columns_may_be_called_anything(folder: Folder) -> None:
    folder.table("image,species,fold", [*FILES, "none.npy"], [0, 2] * 3 + [9], [0, 0, 1, 1, 2, 2, ""])
    pack = folder.pack(columns={"file": "image", "label": "species", "split": "fold"}, name="crops")
    assert pack.name == "crops" and len(pack) == 6 and pack.classes == ("0", "1", "2") and pack.groups is None


def test_several_labels_in_one_column(folder: Folder) -> None:
    folder.table("file,label,split", FILES, ["a;b", "b", "", "a", "c; a", "b"], SPLITS)
    pack = folder.pack()
    assert pack.label_kind == "multi" and pack.classes == ("a", "b", "c")
    assert pack.labels is not None
    assert pack.labels.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_columns_of_zeros_and_ones(folder: Folder) -> None:
    folder.table("file,water,wood,split", FILES, "101010", "001111", SPLITS)
    pack = folder.pack(columns={"label": ["water", "wood"]})
    assert pack.label_kind == "multi" and pack.classes == ("water", "wood")
    assert pack.labels is not None and pack.labels.T.tolist() == [[1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 1, 1]]
    assert folder.pack(columns={"label": ["wood"]}).labels.tolist() == [[0], [0], [1], [1], [1], [1]]  # type: ignore[union-attr]
    folder.table("file,water,wood,split", FILES, "101010", "001112", SPLITS)
    with pytest.raises(UserError, match=r"labels.csv, row 7: wood is '2', expected 0 or 1"):
        folder.pack(columns={"label": ["water", "wood"]})


def test_regression(folder: Folder) -> None:
    folder.table("file,label,split", FILES, [0.5, -2, 3e4, 0, 1, 2], SPLITS)
    pack = folder.pack()
    assert pack.label_kind == "regression" and pack.classes == ()
    assert pack.labels is not None and pack.labels.tolist() == [0.5, -2.0, 30000.0, 0.0, 1.0, 2.0]
    folder.table("file,label,split", FILES, [1, 2, 3, 4, 5, 6], SPLITS)
    assert folder.pack(kind="regression").label_kind == "regression"


def test_segmentation_with_a_number_that_means_none(folder: Folder) -> None:
    maps = [
        folder.map(f"map{number}.npy", np.random.default_rng(number).choice([0, 1, 2, 255], (4, 6)))
        for number in range(6)
    ]
    folder.table("file,mask,split", FILES, [f"map{number}.npy" for number in range(6)], SPLITS)
    pack = folder.pack(ignore=255)
    assert pack.label_kind == "segmentation" and pack.classes == ("0", "1", "2") and pack.ignore == 255
    assert pack.labels is not None and pack.labels.dtype == np.uint8
    np.testing.assert_array_equal(pack.labels, maps)
    with pytest.raises(UserError, match=r"row 2: map0.npy has pixels of 255, which is none .* say ignore = 255"):
        folder.pack()


def test_scenes_of_any_size_are_cut_into_squares_of_one_group(folder: Folder) -> None:
    sizes = [(4, 6), (4, 6), (5, 4), (4, 4), (4, 4), (6, 9)]
    images = [folder.image(f"{number}.npy", number, (2, *size)) for number, size in enumerate(sizes)]
    maps = [folder.map(f"map{number}.npy", image[0] % 3) for number, image in enumerate(images)]
    folder.table("file,mask,split", FILES, [f"map{number}.npy" for number in range(6)], SPLITS)
    pack = folder.pack(patch=2, ignore=-1)
    counts = [6, 6, 4, 4, 4, 12]
    assert pack.groups is not None and np.bincount(pack.groups).tolist() == counts
    assert pack.labels is not None and [len(rows) for rows in pack.splits.values()] == [12, 8, 16]
    np.testing.assert_array_equal(pack.images[-1], images[5][:, 4:6, 6:8])
    np.testing.assert_array_equal(pack.labels[-1], maps[5][4:6, 6:8])
    with pytest.raises(UserError, match=r"row 4: map2.npy is \(5, 4\) px, the first \(4, 6\); say patch"):
        folder.pack()
    with pytest.raises(UserError, match=r"row 2: map0.npy: patch = 5 is larger than its images"):
        folder.pack(patch=5)


def test_change_detection(folder: Folder) -> None:
    later = [folder.image(f"later{number}.npy", 100 + number) for number in range(6)]
    maps = [
        folder.map(f"map{number}.npy", np.random.default_rng(number).choice([0, 255], (4, 6)).astype(np.uint8))
        for number in range(6)
    ]
    names = [[f"{kind}{number}.npy" for number in range(6)] for kind in ("later", "map")]
    folder.table("file,later,mask,split", FILES, *names, SPLITS)
    pack = folder.pack(patch=2)
    assert pack.label_kind == "change" and pack.classes == ("no change", "change") and pack.later is not None
    np.testing.assert_array_equal(pack.images[7], folder.images[1][:, :2, 2:4])
    np.testing.assert_array_equal(pack.later[7], later[1][:, :2, 2:4])
    assert pack.labels is not None
    np.testing.assert_array_equal(pack.labels[7], maps[1][:2, 2:4] // 255)
    names[0][5] = "0.npy"
    folder.table("file,later,mask,split", FILES, *names, SPLITS)
    with pytest.raises(UserError, match=r"row 7: 0.npy is in split report, in row 2 in fit"):
        folder.pack()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({6: "5.npy,rye,testing-2"}, r"row 7: unknown split 'testing-2'; there are: train, val, test, none"),
        ({6: "9.npy,rye,test"}, r"row 7: file '9.npy' is no file in .*fields"),
        ({6: "a\0b.npy,rye,test"}, r"row 7: file 'a.x00b.npy' is no file"),
        ({6: f"{'x' * 5000}.npy,rye,test"}, r"row 7: file 'x+…?.* is no file"),
        ({6: ",rye,test"}, r"row 7: file is empty"),
        ({6: "5.npy,,test"}, r"row 7: its label is empty"),
        ({6: "5.npy,rye"}, r"row 7: has 2 values for 3 columns"),
        ({6: "./1.npy,rye,test"}, r"row 7: 1.npy is in split report, in row 3 in fit"),
        ({6: "4.npy,rye,test"}, r"row 7: 4.npy is already in row 6"),
        ({4: "3.npy,rye,test", 3: "2.npy,rye,test"}, r"labels.csv: no row has split val; a task needs"),
        ({1: "0.npy,1.5,train"}, r"row 3: label 'maize' is no finite number, and '1.5' elsewhere is"),
        ({6: "wide.npy,rye,test"}, r"row 7: wide.npy is \(4, 8\) px, the first image \(4, 6\)"),
        ({6: "small.npy,rye,test"}, r"row 7: small.npy is uint8, the first image uint16"),
        ({6: "broken.npy,rye,test"}, r"row 7: .*broken.npy: not a readable array"),
        ({6: "5.npy,\"rye,test"}, r"after row 6: not a CSV file"),
        ({0: "file,label"}, r"has \d values for 2 columns|has no column 'split'"),
        ({0: "file,file,split"}, r"its first row has to name the columns, each once"),
        ({0: "file,labels,split"}, r"has no column 'label'; file, labels, split are there: say columns = { label ="),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_row(folder: Folder, rows: dict[int, str], told: str) -> None:
    folder.image("wide.npy", 7, (2, 4, 8))
    np.save(folder.path / "small.npy", np.zeros((2, 4, 6), np.uint8))
    (folder.path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00")
    folder.table("file,label,split", FILES, LABELS, SPLITS)
    lines = (folder.path / "labels.csv").read_text().splitlines()
    for place, line in rows.items():
        lines[place] = line
    (folder.path / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=told) as caught:
        folder.pack()
    assert "\n" not in str(caught.value)
    assert not list((folder.root / "cache").rglob("pack.json"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": {"files": "file"}}, r"columns: unknown column 'files', did you mean 'file'"),
        ({"columns": {"label": "lable"}}, r"columns.label: has no column 'lable', did you mean 'label'"),
        ({"columns": {"label": 3}}, r"columns.label: has no column 3"),
        ({"columns": {"split": ["split"]}}, r"columns.split: expected the name of one column"),
        ({"columns": {"label": ["label"]}, "kind": "single"}, r"columns.label: is a list, which is for multi-label"),
        ({"kind": "change"}, r"has no column 'later', 'mask'"),
        ({"kind": "regression"}, r"row 2: label 'wheat' is no finite number"),
        ({"classes": ["wheat", "rye"]}, r"row 3: unknown label 'maize'; there are: rye, wheat"),
        ({"unit": None}, r"labels.csv: no unit is given; say unit ="),
        ({"bands": ["B04", "B99"]}, r"unknown band 'B99'"),
        ({"bands": ["B04"]}, r"row 2: .*0.npy: is \(2, 4, 6\) and has B04 named"),
        ({"patch": 2}, r"patch cuts label maps; labels here are of the kind 'single'"),
    ],
)
def test_wrong_options(folder: Folder, options: dict[str, Any], told: str) -> None:
    folder.table("file,label,split", FILES, LABELS, SPLITS)
    with pytest.raises(UserError, match=told):
        folder.pack(**options)


def test_what_is_missing(folder: Folder) -> None:
    with pytest.raises(MissingInput, match=r"the table of folder 'fields': .*labels.csv is not there"):
        folder.pack()
    with pytest.raises(MissingInput, match=r"folder 'woods'"):
        folder.pack(path="woods")
    (folder.root / "file").write_text("")
    with pytest.raises(UserError, match=r"file: is no folder"):
        folder.pack(path="file")


def test_numbers_that_cannot_be_classes_are_refused(folder: Folder) -> None:
    folder.table("file,label,split", FILES, [1, 2, 3, 4, 5, 2021], SPLITS)
    with pytest.raises(UserError, match=r'row 7: label 2021, where 6 labels differ, .* say kind = "regression"'):
        folder.pack()


def test_missing_pixels_are_said(folder: Folder) -> None:
    from tests.data.test_tiff import saved

    for number, image in enumerate(folder.images):
        saved(folder.path / f"{number}.tif", image, ("B04", "B08"), nodata=int(image[0, 0, 0]))
    folder.table("file,label,split", [f"{number}.tif" for number in range(6)], LABELS, SPLITS)
    with pytest.warns(UserWarning, match=r"labels.csv: 6 images have missing pixels, which became 0; the first: 0.tif"):
        pack = folder.pack(bands=None)
    assert pack.images[:, 0, 0, 0].tolist() == [0] * 6


def test_a_changed_label_makes_another_pack(folder: Folder) -> None:
    folder.table("file,label,split", FILES, LABELS, SPLITS)
    first = folder.pack()
    folder.table("file,label,split", FILES, LABELS[::-1], SPLITS)
    second = folder.pack()
    assert second.content != first.content and second.pixels == first.pixels


CELLS = st.one_of(
    st.sampled_from([*FILES, "map.npy", "", "none", "train", "val", "test", "0", "1", "2.5", "a;b", "nan", "../x"]),
    st.text(max_size=6),
)
HEADERS = st.permutations(["file", "label", "split", "group", "mask", "later"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.one_of(HEADERS, st.lists(st.text(max_size=5), max_size=6)),
    rows=st.lists(st.lists(CELLS, min_size=5, max_size=6), max_size=6),
    width=st.integers(3, 6),
    kind=st.sampled_from([None, "single", "multi", "regression", "segmentation", "change"]),
)
def test_hostile_tables_end_with_a_pack_or_one_line(
    folder: Folder, header: list[str], rows: list[list[str]], width: int, kind: str | None
) -> None:
    folder.map("map.npy", np.zeros((4, 6), np.uint8))
    text = "\n".join(",".join(cells[:width]) for cells in [header, *rows])
    (folder.path / "labels.csv").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert set(folder.pack(kind=kind).splits) == {"fit", "select", "report"}
        except UserError as error:
            assert "\n" not in str(error)


def test_numbers_that_could_be_classes_are_asked_about(folder: Folder) -> None:
    for written in ("1.0", "-1"):
        folder.table("file,label,split", FILES, [written, 0, 1, 0, 1, 0], SPLITS)
        with pytest.raises(UserError, match=f"row 2: label '{written}' is a whole number, .* say kind = \"single\""):
            folder.pack()
        assert folder.pack(kind="regression").label_kind == "regression"


def test_a_row_without_a_split_says_nothing_of_the_kind(folder: Folder) -> None:
    folder.table("file,label,split", FILES, [0.5, 1, 2, 3, 4, ""], [*SPLITS[:-1], "none"])
    assert folder.pack().label_kind == "regression"

"""torchgeo's data sets as labelled scenes: its classes find and read the files, and what they made floats is undone."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deo_bench.bands import band_set, select
from deo_bench.data.pack_images import Dated
from deo_bench.data.scene_set import Scenes, at_most, drawn, whole_numbers
from deo_bench.errors import MissingInput, UserError
from deo_bench.libraries import import_library

CHANGE = ("no change", "change")
ROLES = {"train": "fit", "val": "select", "test": "report"}

_RAISED = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, AssertionError, ImportError, SyntaxError),
    *(tarfile.TarError, zipfile.BadZipFile),
)
"""What torchgeo, and the libraries that it reads files with, raise over files that are missing, torn or others."""


def open_set(of: str, root: Path, **options: Any) -> Any:
    """An instance of torchgeo's class `of` over the files in `root`; torchgeo unpacks archives that lie there."""
    library = import_library("torchgeo.datasets", f"torchgeo's {of}")
    with _reading(of, root):
        return getattr(library, of)(root=str(root), **options)


def _reading(of: str, root: Path) -> AbstractContextManager[None]:
    return one_line(f"torchgeo's {of}", root)


@contextmanager
def one_line(who: str, root: Path) -> Iterator[None]:
    """What a library of data sets raises over files that it cannot find or read becomes one line that names the folder.

    who: the library and its class. What they warn of is not said.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing georeferences, and of pandas' plans
            yield
    except UserError:
        raise
    except _RAISED as error:
        told = " ".join(str(error).split())[:200]
        if type(error).__name__ == "DatasetNotFoundError":
            raise MissingInput(f"{who}: {root} lacks files of it", "get or unpack them there") from None
        raise UserError(f"{who}, {root}: {type(error).__name__}: {told}") from None


def eurosat(of: str, root: Path) -> Scenes:
    """EuroSAT (Helber et al. 2019): 27,000 images of 64 px, 10 classes, 13 bands; torchgeo's splits by name.

    B8A is the last band in the files and in torchgeo, and in its place here.
    """
    sets = {split: open_set(of, root, split=split) for split in ROLES}
    order = select(sets["train"].all_band_names, band_set("s2_13"), of)

    def image(sample: dict[str, Any]) -> np.ndarray:
        return whole_numbers(sample["image"].numpy()[order], np.uint16, of)

    return _classified(of, root, sets, image, band_set("s2_13"), sets["train"].classes)


def bigearthnet(of: str, root: Path, num_classes: Literal[19, 43], count: int | None) -> Scenes:
    """BigEarthNet v1 (Sumbul et al. 2019): 120 px, Sentinel-2's 12 bands brought to 10 m, 19 or 43 labels at once.

    count: at most so many images of each split, drawn with a fixed seed.
    """
    sets = {split: open_set(of, root, split=split, bands="s2", num_classes=num_classes) for split in ROLES}

    def image(sample: dict[str, Any]) -> np.ndarray:
        return whole_numbers(sample["image"].numpy(), np.uint16, of)

    return _classified(of, root, sets, image, band_set("s2_12"), sets["train"].class_sets[num_classes], count)


def _classified(
    of: str,
    root: Path,
    sets: dict[str, Any],
    image: Callable[[dict[str, Any]], np.ndarray],
    bands: tuple[str, ...],
    classes: Sequence[str],
    count: int | None = None,
) -> Scenes:
    """Sets with a split each, of images with a label or several."""
    places = [(split, int(place)) for split, found in sets.items() for place in at_most(len(found), count)]

    def read(at: int) -> tuple[np.ndarray, np.ndarray]:
        split, place = places[at]
        with _reading(of, root):
            sample = sets[split][place]
            label = np.asarray(sample["label"])
            return image(sample), label.astype(np.uint8 if label.ndim else np.int64)

    return Scenes([ROLES[split] for split, _ in places], read, bands, "dn", tuple(classes))


def oscd(of: str, root: Path, select_share: float) -> Scenes:
    """OSCD (Daudt et al. 2018): 24 cities at two dates, 13 bands brought to 10 m, and where cities changed.

    14 cities train and 10 test; of the 14 in alphabetical order, a share drawn with a fixed seed chooses.
    """
    sets = {split: open_set(of, root, split=split) for split in ("train", "test")}
    alphabetical = {
        split: sorted(range(len(found)), key=[str(files["region"]) for files in found.files].__getitem__)
        for split, found in sets.items()
    }
    chosen = set(drawn(len(sets["train"]), [select_share])[0].tolist())
    places = [("select" if at in chosen else "fit", "train", place) for at, place in enumerate(alphabetical["train"])]
    places += [("report", "test", place) for place in alphabetical["test"]]

    def read(at: int) -> tuple[Dated, np.ndarray]:
        _, split, place = places[at]
        with _reading(of, root):
            sample = sets[split][place]
        dates = whole_numbers(sample["image"].numpy(), np.uint16, of)
        return Dated(dates[0], dates[1]), sample["mask"].numpy()[0].astype(np.uint8)

    sizes = [read(at)[1].shape for at in range(len(places))]
    return Scenes([role for role, *_ in places], read, band_set("s2_13"), "dn", CHANGE, sizes=sizes)


def levircd(of: str, root: Path) -> Scenes:
    """LEVIR-CD (Chen and Shi 2020): 637 pairs of RGB images of 1,024 px at two dates, and which buildings changed."""
    sets = {split: open_set(of, root, split=split) for split in ROLES}
    places = [(split, place) for split, found in sets.items() for place in range(len(found))]

    # torchgeo pairs what it finds in order, so that one file that lacks would shift all after it.
    names = [sorted(path.name for path in (root / part).glob("*.png")) for part in ("A", "B", "label")]
    if odd := sorted(set().union(*names) - set(names[0]).intersection(*names)):
        raise UserError(f"{root}: {of}: {odd[0]} is not in all of A, B and label")

    def read(at: int) -> tuple[Dated, np.ndarray]:
        split, place = places[at]
        with _reading(of, root):
            sample = sets[split][place]
        dates = whole_numbers(sample["image"].numpy(), np.uint8, of)
        return Dated(dates[0], dates[1]), sample["mask"].numpy()[0].astype(np.uint8)

    return Scenes([ROLES[split] for split, _ in places], read, ("R", "G", "B"), "uint8", CHANGE)


def spacenet1(of: str, root: Path, image: Literal["3band", "8band"], shares: tuple[float, float]) -> Scenes:
    """SpaceNet 1 (Van Etten et al. 2018): chips of Rio de Janeiro, and their buildings.

    torchgeo rasterises the footprints at the chips' grid. Only the train chips are labelled: of these in the order of
    their numbers, shares drawn with a fixed seed choose and are reported on, and the rest is fitted on.
    """
    if not any((root / "SN1_buildings" / "train").glob(f"{image}*")):  # torchgeo makes the folder that it looks into
        raise MissingInput(f"torchgeo's {of}: {root} has no SN1_buildings/train/{image}", "get or unpack it there")
    found = open_set(of, root, split="train", image=image)
    chosen, reported, _ = drawn(len(found), shares)
    roles = np.full(len(found), "fit", dtype="U6")
    roles[chosen], roles[reported] = "select", "report"

    def read(at: int) -> tuple[np.ndarray, np.ndarray]:
        with _reading(of, root):
            sample = found[at]
        pixels = whole_numbers(sample["image"].numpy(), np.uint8 if image == "3band" else np.uint16, of)
        return pixels, (sample["mask"].numpy() != 0).astype(np.uint8)

    bands, unit = (("R", "G", "B"), "uint8") if image == "3band" else (band_set("wv_8"), "dn")
    return Scenes(roles.tolist(), read, bands, unit, ("background", "building"))  # type: ignore[arg-type]


def pastis(of: str, root: Path, fold: int, temporal: str | int) -> Scenes:
    """PASTIS (Garnot and Landrieu 2021): 2,433 patches of 128 px, 10 bands, 18 crops and background; 19 is void.

    fold: which of the official five rotations of its folds; the first fits on 1 to 3, selects on 4 and reports on 5.
    temporal: `median` over the dates of a patch (rounded to whole numbers), or the number of a date, from 0.
    """
    folds = [(step + fold - 1) % 5 + 1 for step in range(5)]
    parts = {"fit": folds[:3], "select": folds[3:4], "report": folds[4:]}
    sets = {role: open_set(of, root, folds=chosen, bands="s2") for role, chosen in parts.items()}
    places = [(role, place) for role, found in sets.items() for place in range(len(found))]

    def read(at: int) -> tuple[np.ndarray, np.ndarray]:
        role, place = places[at]
        with _reading(of, root):
            sample = sets[role][place]
        series = sample["image"].numpy()
        if isinstance(temporal, int) and not 0 <= temporal < len(series):
            raise UserError(f"{root}, patch {sets[role].idxs[place]}: has dates 0 to {len(series) - 1}, not {temporal}")
        pixels = series[temporal] if isinstance(temporal, int) else np.rint(np.median(series, axis=0))
        return whole_numbers(pixels, np.int16, of), sample["mask"].numpy().astype(np.uint8)

    classes = tuple(name.replace("_", " ") for name in sets["fit"].classes[:VOID])
    return Scenes([role for role, _ in places], read, band_set("s2_10"), "dn", classes, ignore=VOID)


VOID = 19
"""PASTIS's label of parcels that are mostly outside their patch."""

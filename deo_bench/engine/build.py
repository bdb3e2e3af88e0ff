"""Parts into working backbones: a student from its recipe, teachers from what they need, weights from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from deo_bench.bands import BAND_SETS, Unit, band_set, convert, select
from deo_bench.data import Pack
from deo_bench.draws import global_seed
from deo_bench.engine.start import begin
from deo_bench.errors import StoreError, UserError
from deo_bench.features import Images
from deo_bench.normalisation import LEAST, Named, Normalisation, published
from deo_bench.recipe import PartTable, StudentTable
from deo_bench.registry import Registry
from deo_bench.students import Stem, Student
from deo_bench.teachers import Teacher


def build_student(
    table: StudentTable,
    statistics: Statistics,
    registry: Registry,
    seed: int,
    teacher: Callable[[PartTable], Teacher] | None = None,
) -> Student:
    """A student as it is initialised: from (seed, its name), so that cells with the same student start equal.

    What it starts from instead, where its table says so, is laid over that. teacher: builds the frozen teacher that the
    student's table names, for a student that is handed one or starts from one.
    """
    bands = {name: statistics.bands_of(name) for name in table.bands}
    normalisations = {name: statistics.normalisation(chosen, table.normalise) for name, chosen in bands.items()}

    def stem(*sides: int) -> Stem:
        with global_seed(seed, "stem", table.stem.use):
            built: Stem = registry.build("stem", table.stem.use, bands, *sides, options=table.stem.options)
        return built

    given: list[Any] = [stem, bands, normalisations]
    if registry.get("student", table.use).facts.get("needs") == "teacher":
        assert table.teacher is None or teacher is not None, "who builds the student's teacher was not said"
        given.append(None if table.teacher is None or teacher is None else teacher(table.teacher))
    with global_seed(seed, "student", table.use):
        student: Student = registry.build("student", table.use, *given, options=table.options)
    if table.init is not None:
        assert teacher is not None, "who builds the teacher that the student starts from was not said"
        with global_seed(seed, "student.init"):  # what a library draws on the way is not to change other draws
            student.origin = begin(student, table.init, teacher)
    return student


class Statistics:
    """Mean and spread of each band of the pre-training images, which a student is normalised by."""

    def __init__(self, bands: tuple[str, ...], unit: Unit, mean: Any, std: Any) -> None:
        self.bands, self.unit = bands, unit
        self.mean, self.std = np.asarray(mean, dtype=float), np.asarray(std, dtype=float)

    @classmethod
    def of(cls, pack: Pack) -> Statistics:
        """The statistics of a pack."""
        return cls(pack.bands, pack.unit, pack.mean, pack.std)

    def bands_of(self, name: str) -> tuple[str, ...]:
        """The bands of a named set, which must be among the images'."""
        wanted = band_set(name)
        select(self.bands, wanted, "the pre-training images")
        return wanted

    def normalisation(self, bands: tuple[str, ...], named: Named = "dataset_zscore") -> Normalisation:
        """Z-scores in reflectance (in display range for images that were made for the eye), or a published way."""
        if named != "dataset_zscore":
            return published(named, bands)
        order = select(self.bands, bands)
        unit: Unit = "display" if self.unit in ("uint8", "display") else "reflectance"
        # A unit change without clipping is a factor, so it applies to means and spreads alike.
        factor = float(convert(np.array([1.0]), self.unit, "reflectance")[0])
        factor /= float(convert(np.array([1.0]), "display", "reflectance")[0]) if unit == "display" else 1.0
        spread = np.maximum(self.std[order] * factor, LEAST)
        return Normalisation(unit, tuple(self.mean[order] * factor), tuple(spread))

    def as_json(self) -> dict[str, Any]:
        """For `run.json`-like files: what is needed to build the student again without its images."""
        return {"bands": list(self.bands), "unit": self.unit, "mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Statistics:
        """The opposite of `as_json`."""
        return cls(tuple(table["bands"]), table["unit"], table["mean"], table["std"])


def build_frozen(table: PartTable, load_run: Callable[[PartTable], Student], registry: Registry) -> Teacher:
    """A teacher that does not follow; a stored run's student is handed in where it is one."""
    needs = registry.get("teacher", table.use).facts.get("needs")
    if needs == "run":
        teacher: Teacher = registry.build("teacher", table.use, load_run(table), options=table.options)
    elif needs is None:
        teacher = registry.build("teacher", table.use, options=table.options)
    else:
        raise UserError(f"{table.use!r} is a baseline, not a teacher to distil from")
    return teacher.freeze()


def load_weights(module: torch.nn.Module, path: Path, part: str = "") -> None:
    """Weights from safetensors into a module, by name; anything torn or of another shape is one line."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
        if part:
            tensors = {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreError(f"{path}: torn, or of another model: {reason}") from None


def images_of(
    pack: Pack,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
    with_statistics: bool = False,
    with_fine: bool = False,
) -> Images:
    """A batch of a pack as float32 images on a device; with_fine: their finer images too, where there are any."""

    def floats(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)

    mean = floats(pack.mean) if with_statistics else None
    std = floats(pack.std) if with_statistics else None
    fine = None
    if with_fine and pack.fine is not None:
        fine = Images(floats(pack.fine[indices]), BAND_SETS["rgb"], pack.unit)
    return Images(floats(pack.images[indices]), pack.bands, pack.unit, mean, std, fine)

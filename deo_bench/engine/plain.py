"""A student as a plain module with timm's habits: a tensor in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from deo_bench.bands import Unit, check_unit, convert, is_visible
from deo_bench.engine.export import FILE, read_export
from deo_bench.engine.stored import stored_student
from deo_bench.errors import UserError, nearest
from deo_bench.features import Features, Images
from deo_bench.registry import Registry
from deo_bench.store import Run
from deo_bench.store.runs import RUN_NAME
from deo_bench.students import Student


class PlainStudent(nn.Module):
    """A trained student, in evaluation mode until `.train()`.

    Images are [B, C, H, W] with the bands of `bands` (or of another band set, named by `sees`) in that order and in
    `unit`; they are normalised inside, unless `normalise=False` says that they are already.

    bands, mean, std: of the first band set, by which normalised pixels are (x - mean) / std in `unit`, unless the run
    normalises otherwise (`normalisations` has it all); band_sets: name -> bands; num_features: D of the pooled vector;
    levels: names that `forward_intermediates` takes, its own three and every block or stage in order; about: the
    metadata of the export, or what they would be.
    """

    num_classes = 0

    def __init__(self, student: Student, about: Mapping[str, Any], unit: Unit | None = None) -> None:
        super().__init__()
        self.student = student
        self.about = dict(about)
        self.band_sets = dict(student.band_sets)
        self.normalisations = dict(student.normalisations)
        first = self.normalisations[student.first]
        self.bands = self.band_sets[student.first]
        self.unit: Unit = first.unit if unit is None else check_unit(unit, "load_student")
        self.mean, self.std = (self._in_unit(values) for values in (first.mean, first.std))
        self.num_features = student.width("default")
        self.blocks = student.numbered_levels
        self.levels = (*student.levels, *self.blocks)
        self.train(student.training)

    def forward(self, x: Tensor, sees: str | None = None, normalise: bool = True) -> Tensor:
        """The pooled vector [B, D] that the student declares: what scores are made of."""
        return self._features(x, sees, normalise).get("default")

    def forward_features(self, x: Tensor, sees: str | None = None, normalise: bool = True) -> Tensor:
        """What the vector is pooled from, after the final norm, as timm lays it out.

        Of a ViT tokens [B, prefix + N, D], of a Swin cells [B, h, w, D]; of a family that does not say what it pools
        the map of its last level [B, C, h, w].
        """
        features = self._features(x, sees, normalise)
        return self._last(x, features, sees, normalise)

    def forward_head(self, features: Tensor, pre_logits: bool = True) -> Tensor:
        """The pooled vector [B, D] of what `forward_features` gave; there are no logits, whatever pre_logits says."""
        return self.student.pool(features)[self.student.default]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int | str] | None = None,
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        intermediates_only: bool = False,
        sees: str | None = None,
        normalise: bool = True,
    ) -> Any:
        """What `forward_features` gives, and the maps of some blocks or stages, shallow to deep as they are asked for.

        indices: numbers from 0 (or back from -1), names of `levels`, or how many of the last; all where left out.
        Maps are [B, C, h, w] ([B, h * w, C] as "NLC"), without prefix tokens, raw unless the student says `normed`.
        """
        if output_fmt not in ("NCHW", "NLC"):
            raise UserError(f"output_fmt = {output_fmt!r}: there are NCHW and NLC")
        names = self._chosen(indices)
        features = self._features(x, sees, normalise, names)
        maps = [features.maps[name] for name in names]
        if output_fmt == "NLC":
            maps = [one.flatten(2).transpose(1, 2) for one in maps]
        return maps if intermediates_only else (self._last(x, features, sees, normalise), maps)

    def extra_repr(self) -> str:
        """Bands and unit, since both are easy to get wrong."""
        return f"bands={','.join(self.bands)}, unit={self.unit}"

    def _features(self, x: Tensor, sees: str | None, normalise: bool, levels: Sequence[str] = ()) -> Features:
        sees = sees or self.student.first
        if sees not in self.band_sets:
            raise UserError(f"sees = {sees!r}: the student has no such band set{nearest(sees, self.band_sets)}")
        bands = self.band_sets[sees]
        if x.ndim != 4 or x.shape[1] != len(bands):
            raise UserError(f"expected images [B, {len(bands)}, H, W] of {', '.join(bands)}, got {list(x.shape)}")
        x = x if x.is_floating_point() else x.float()
        if normalise:
            x = self.student.prepare(Images(x, bands, self.unit), sees)
        return self.student.extract(x, sees, tuple(levels))

    def _last(self, x: Tensor, features: Features, sees: str | None, normalise: bool) -> Tensor:
        if features.last is not None:
            return features.last
        late = list(self.student.levels)[-1]
        return self._features(x, sees, normalise, [late]).maps[late]

    def _chosen(self, indices: int | Sequence[int | str] | None) -> list[str]:
        count = len(self.blocks)
        if indices is None or isinstance(indices, int):
            wanted = count if indices is None else indices
            if not 0 < wanted <= count:
                raise UserError(f"indices = {indices}: there are {count} levels")
            return list(self.blocks[-wanted:])
        return [self._level(one) for one in indices]

    def _level(self, given: int | str) -> str:
        if isinstance(given, str):
            self.student.stride(given)
            return given
        if not -len(self.blocks) <= given < len(self.blocks):
            raise UserError(f"indices: there is no level {given}, there are {len(self.blocks)}")
        return self.blocks[given]

    def _in_unit(self, values: Sequence[float]) -> tuple[float, ...]:
        """Means or spreads in the unit of the images; of colours that are scaled by their maximum as they are."""
        normalisation = self.normalisations[self.student.first]
        factor = _reflectance(normalisation.unit, normalisation.white) / _reflectance(self.unit, normalisation.white)
        pairs = zip(self.bands, values, strict=True)
        return tuple(float(x if normalisation.max_scaled and is_visible(band) else x * factor) for band, x in pairs)


def load_student(
    path: str | Path, weights: str | None = None, unit: Unit | None = None, parts: Sequence[str | Path] = ()
) -> PlainStudent:
    """The student of an export (its folder or its file), or of a run's folder in a store.

    weights: `student` or `ema`, of a run's folder; unit: what your images are in, where it is not the student's own;
    parts: part files of your own that the student is made of. What is not there, not whole or not an export is a
    UserError.
    """
    place = Path(path)
    registry = Registry([Path(part) for part in parts])
    if RUN_NAME.fullmatch(place.resolve().name) and (place / "recipe.json").is_file() and not _is_export(place):
        return PlainStudent(*_of_run(place.resolve(), registry, weights or "student"), unit)
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        what = "holds no exported student" if place.is_dir() else "is not there"
        raise UserError(f"{place}: {what}; `deo-bench export RUN` writes one, and a run's folder will do, too")
    student, told = read_export(file, registry)
    if weights not in (None, told["weights"]):
        raise UserError(f"{file}: holds {told['weights']} weights, not {weights}; export the run again with --weights")
    return PlainStudent(student, told, unit)


def _is_export(place: Path) -> bool:
    """An export that was given its run's name: it has a card, and no record of the training."""
    return (place / FILE).is_file() and (place / "README.md").is_file() and not (place / "run.json").is_file()


def _of_run(folder: Path, registry: Registry, which: str) -> tuple[Student, dict[str, Any]]:
    if which not in ("student", "ema"):
        raise UserError(f"weights = {which!r}: there are student and ema")
    run = Run(folder.parent, folder.name)
    if problem := run.problem():
        raise UserError(problem)
    return stored_student(run, registry, which), {"run": run.name, "weights": which}


def _reflectance(unit: Unit, white: float) -> float:
    """The reflectance of one of a unit."""
    return float(convert(np.array([1.0]), unit, "reflectance", white)[0])

"""Teacher statistics: what target transforms are fitted on, worked out once for each teacher, data and place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from deo_bench.bands import has_bands
from deo_bench.engine.frozen import look, normalisation_for, target_sees, views_for
from deo_bench.engine.train import Source
from deo_bench.engine.training import Training
from deo_bench.errors import UserError
from deo_bench.features import POOLED
from deo_bench.files import one_at_a_time, write_bytes
from deo_bench.recipe import Identifier, TeacherTable, digest
from deo_bench.recipe.identity import ENGINE_VERSION
from deo_bench.registry import Registry
from deo_bench.students import Student
from deo_bench.targets import Target
from deo_bench.teachers import Teacher

NUM_IMAGES = 2048
BATCH = 64


def fit_transforms(run: Training, source: Source, identifier: Identifier, cache: Path) -> None:
    """Fit every transform of a run that has something to fit, from the cache where it was fitted before.

    The stream is of global views drawn from (0, "statistics"), whatever the run's seed: cells and seeds share it.
    """
    registry = identifier.registry
    for key, transform in run.objective.transforms.items():
        assert isinstance(transform, Target)
        name, role, place = key.split(":")
        term = run.recipe.objective[name]
        if not _needs_fit(registry, term.target.use):
            continue
        teacher = run.teachers[role]
        target_place = next(at.target_on[-1] for at in run.objective.work[name].places if at.name == place)
        table = run.recipe.teachers[role]
        told = {
            "teacher": [
                table.use,
                identifier.teacher(table),
                table.options,
                [table.views, repr(normalisation_for(table, teacher, target_sees(term, teacher), run.student))],
                registry.get("teacher", table.use).identity,
            ],
            "place": [target_place, target_sees(term, teacher)],
            "transform": [term.target.model_dump(), registry.get("target", term.target.use).identity],
            "engine": ENGINE_VERSION,
            "data": [source.pack.content, source.settings.model_dump(mode="json"), NUM_IMAGES],
        }
        path = cache / "statistics" / f"{digest(told, 24)}.safetensors"
        if _restored(transform, path):
            continue
        with one_at_a_time(path):
            if _restored(transform, path):
                continue
            try:
                transform.fit(_stream(table, teacher, target_place, target_sees(term, teacher), source, run.student))
            except ValueError as error:
                raise UserError(f"objective.{name}.target: {term.target.use!r} cannot be fitted: {error}") from None
            write_bytes(path, save({part: value.contiguous() for part, value in transform.state_dict().items()}))


def _needs_fit(registry: Registry, name: str) -> bool:
    return bool(registry.get("target", name).facts.get("needs_fit", False))


def _restored(transform: Target, path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        transform.load_state_dict(load_file(path))
    except Exception:  # a torn cache entry is made again, whatever is wrong with it
        path.unlink(missing_ok=True)
        return False
    return True


@torch.no_grad()
def _stream(
    table: TeacherTable, teacher: Teacher, place: str, sees: str, source: Source, student: Student
) -> Iterator[Tensor]:
    """A teacher's features of global views, in chunks [n, D]; the cells of a map are rows."""
    if not has_bands(source.pack.bands, teacher.band_sets[sees]):
        raise UserError(
            f"the pre-training images lack bands that the teacher sees: {', '.join(teacher.band_sets[sees])}"
        )
    fixed = Source(source.pack, source.settings, BATCH, 0, source.device, clean=table.views == "clean")
    normalisation = normalisation_for(table, teacher, sees, student)
    steps = max(1, int(np.ceil(min(NUM_IMAGES, len(fixed.chosen)) / BATCH)))
    for step in range(steps):
        views, _ = fixed.at(step)
        levels = () if place in POOLED else (place,)
        value = look(teacher, views_for(table, views), sees, levels, normalisation).features.get(place)
        yield value if value.ndim == 2 else value.movedim(1, -1).flatten(0, -2)

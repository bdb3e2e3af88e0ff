"""What of an experiment can be told to be wrong before anything runs, beyond what each table says by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from deo_bench.bands import band_set, has_bands
from deo_bench.data import Pack
from deo_bench.errors import UserError, nearest, unknown
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.subjects import Row
from deo_bench.recipe import Identifier, Recipe
from deo_bench.recipe.identity import named_parts
from deo_bench.registry import Registry


def check_images(recipe: Recipe, experiment: Experiment, identifier: Identifier) -> None:
    """The images that a recipe trains on have the student's bands, and fill a batch."""
    source = experiment.registry.build("data", recipe.data.use, options=recipe.data.options)
    count = recipe.data.options.get("count")
    if source.inputs(identifier.places):
        pack = source.pack(identifier.places)
        count = len(pack.splits["fit"]) if "fit" in pack.splits else len(pack)
        for name in recipe.student.bands:
            if not has_bands(pack.bands, band_set(name)):
                lacking = ", ".join(band for band in band_set(name) if not has_bands(pack.bands, (band,)))
                raise UserError(
                    f"student.bands: the images of data {recipe.data.use!r} lack {lacking} of {name!r}; "
                    f"they have {', '.join(pack.bands)}"
                )
    if not recipe.is_untrained and isinstance(count, int) and recipe.train.batch > count:
        raise UserError(f"train.batch: {recipe.train.batch} is more than the {count} images; say that or less")


def check_partitions(pack: Pack, experiment: Experiment, task: str) -> None:
    """The smaller fits that are asked for are among the task's."""
    known = ["default", *pack.partitions]
    for name in experiment.settings.partitions:
        if name not in known:
            raise unknown("partition", name, known, f"{experiment.path}: partitions: task {task!r}")


def load_own_parts(recipes: Iterable[Recipe], registry: Registry) -> None:
    """Import the parts of a user's own that runs name, so that a file that fails is said before the first of them."""
    for kind, name in {named for recipe in recipes for named in named_parts(recipe)}:
        if registry.get(kind, name).content:
            registry.load(kind, name)


def check_rows(rows: Iterable[Row], path: Path) -> None:
    """Every row of the table has a label of its own."""
    for label, count in Counter(row.label for row in rows).items():
        if count > 1:
            told = f"{count} rows of the table are called {label!r}"
            raise UserError(f"{path}: {told}; look at baselines and at the names of cells")


def check_asked(experiment: Experiment, recipes: Sequence[Recipe]) -> None:
    """What is to be scored can be: some student is fed the band sets, some run reaches the steps."""
    fed = {name for recipe in recipes for name in recipe.student.bands}
    for name in experiment.settings.bands:
        if name not in fed:
            raise UserError(f"{experiment.path}: bands: no student is fed {name!r}{nearest(name, fed)}")
    last = max((recipe.train.steps for recipe in recipes if not recipe.is_untrained), default=0)
    for step in experiment.settings.score_at:
        if step > last:
            raise UserError(f"{experiment.path}: score_at: no run reaches step {step}; the longest ends at {last}")

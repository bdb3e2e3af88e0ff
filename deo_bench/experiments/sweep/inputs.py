"""What the recipes of a space take from outside: weights and data that have to be here, and bands to be judged on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.experiments.checks import check_held
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.grid import GridCell
from deo_bench.experiments.plan import Plan, bands_for, prerequisite_of
from deo_bench.experiments.subjects import check_start, check_weights
from deo_bench.experiments.sweep.aims import protocol_of
from deo_bench.experiments.sweep.assignments import assignments
from deo_bench.experiments.sweep.space import Space, recipe_of
from deo_bench.experiments.sweep.space_checks import culprit, in_words, refusal
from deo_bench.recipe import Identifier
from deo_bench.reports.searched import Aim
from deo_bench.store import Store


def by_choice(space: Space) -> Iterator[dict[str, Any]]:
    """Settings with every choice in some of them, and no two alike in their choices; one where there are none.

    What a recipe takes from outside is named by choices: of intervals any point will do.
    """
    named = {each.path for each in space.dimensions if each.choices}
    seen: list[dict[str, Any]] = []
    for settings in assignments(space):
        chosen = {path: value for path, value in settings.items() if path in named}
        if chosen not in seen:
            seen.append(chosen)
            yield settings


def check_inputs(
    space: Space, experiment: Experiment, cells: Sequence[GridCell], identifier: Identifier, store: Store
) -> None:
    """Hold what every choice names, in every cell, against what is here; after `check_space`, before the first trial.

    Raises:
        MissingInput: weights, data or a run that a choice names and that are not here, with path and choice.
        UserError: a file that is not there, or a teacher that a student cannot hold.
    """
    for cell in cells:

        def look(settings: Mapping[str, Any], cell: GridCell = cell) -> None:
            _look(settings, experiment, cell, identifier, store)

        for settings in by_choice(space):
            try:
                look(settings)
            except StoreError:
                raise
            except UserError as error:
                path = culprit(settings, look)
                told = refusal(space, path, settings, f"{in_words(cell, cells)}: {error}")
                raise (MissingInput(str(told)) if isinstance(error, MissingInput) else told) from None


def digests_of(space: Space, experiment: Experiment, cell: GridCell, identifier: Identifier) -> list[str]:
    """What the choices of a space name, by content: data, weights, runs, own parts; nothing of a space of numbers."""
    if not any(each.choices for each in space.dimensions):
        return []
    return sorted({identifier.digest(recipe_of(experiment, cell, settings)) for settings in by_choice(space)})


def judged_bands(base: Plan, aims: Sequence[Aim], space: Space, cells: Sequence[GridCell]) -> dict[str, str]:
    """The band set that all trials are judged on, by task: one that every cell is fed under every choice.

    The first of those that the experiment asks for, else the one that a plan would take.

    Raises:
        UserError: no band set is fed to all of them.
    """
    experiment = base.experiment
    fed = [set(recipe_of(experiment, cell, each).student.bands) for cell in cells for each in by_choice(space)]
    common = set.intersection(*fed)
    row = next((row for row in base.rows if row.kind == "cell"), None)
    judged: dict[str, str] = {}
    for task in (task for task in experiment.tasks if any(request.task == task.name for request in base.requests)):
        probes = [aim.probe for aim in aims if task.name in aim.tasks]
        if not probes or row is None:
            continue
        if not common:
            sets = " | ".join(sorted({", ".join(sorted(each)) for each in fed}))
            told = f"no band set is fed to every student that is tried ({sets}), and trials are judged on one"
            raise UserError(f"{experiment.path}: student.bands: {told}; say one in all of them")
        have = experiment.registry.build("task", task.part.use, options=task.part.options).bands(base.places)
        pad = all(protocol_of(experiment, probe, str(experiment.path)).pad for probe in probes)
        judged[task.name] = bands_for(base, row, common, have, task.name, pad)[0]
    return judged


def without_hint(error: MissingInput) -> MissingInput:
    """What lacks, without the hint at an option that a sweep has not."""
    return MissingInput(str(error).removesuffix("; or go on without it: --skip-missing"))


def _look(
    settings: Mapping[str, Any], experiment: Experiment, cell: GridCell, identifier: Identifier, store: Store
) -> None:
    recipe = recipe_of(experiment, cell, settings)
    for table in recipe.every_teacher.values():
        check_weights(table, experiment, identifier)
        prerequisite_of(table, identifier, store)
    check_start(recipe, experiment, identifier)
    check_held(recipe, identifier, store)
    identifier.digest(recipe)

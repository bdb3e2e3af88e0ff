"""What of an experiment can be told to be wrong before anything runs, beyond what each table says by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from deo_bench.bands import band_set, has_bands, named_bands
from deo_bench.data import Pack
from deo_bench.errors import UserError, nearest, unknown
from deo_bench.experiments.file import Experiment
from deo_bench.experiments.subjects import Row, first_bands, gives, suits, takes_from, wanted_by
from deo_bench.probes import kinds_of
from deo_bench.probes.record import ProtocolRecord, resolve
from deo_bench.recipe import Identifier, PartTable, Recipe
from deo_bench.recipe.identity import named_parts
from deo_bench.registry import Registry
from deo_bench.store import Store


def check_images(recipe: Recipe, experiment: Experiment, identifier: Identifier, store: Store) -> None:
    """The images that a recipe trains on have the bands that student and teachers are shown, fill a batch, and carry
    what its terms ask for.
    """
    source = experiment.registry.build("data", recipe.data.use, options=recipe.data.options)
    pack = source.pack(identifier.places) if source.inputs(identifier.places) else None
    count = recipe.data.options.get("count")
    if pack is not None:
        count = len(pack.splits["fit"]) if "fit" in pack.splits else len(pack)
        _check_bands(recipe, pack)
    if not recipe.is_untrained and isinstance(count, int) and recipe.train.batch > count:
        raise UserError(f"train.batch: {recipe.train.batch} is more than the {count} images; say that or less")
    # What is generated has finer images where its option says so, and never groups.
    has_fine = recipe.data.options.get("fine", 1) != 1 if pack is None else pack.fine is not None
    if recipe.views.fine and not has_fine:
        raise UserError(f"views.fine: data {recipe.data.use!r} has no finer images; leave it out, or say 0")
    has_groups = recipe.train.clusters is not None or (pack is not None and pack.groups is not None)
    for name, term in recipe.objective.items():
        if not has_groups and experiment.registry.get("loss", term.loss).facts.get("needs_groups"):
            raise UserError(
                f"objective.{name}: loss {term.loss!r} needs groups, and the images carry none; say train.clusters = 8"
            )
    # What is generated says its bands in its facts.
    have = pack.bands if pack is not None else experiment.registry.get("data", recipe.data.use).facts.get("bands")
    if have is not None:
        _check_taught(recipe, have, identifier, store)


def _check_taught(recipe: Recipe, have: Sequence[str], identifier: Identifier, store: Store) -> None:
    """The images have the bands that each frozen teacher is shown of them."""
    for name, term in recipe.objective.items():
        for role in term.toward:
            table = recipe.teachers.get(role)
            if table is None or not _is_frozen(table, identifier.registry):
                continue
            own = table.options.get("bands")  # by name or one by one, where an option says what it sees
            shown = own or term.target_sees or first_bands(table, identifier, store)
            told, wanted = named_bands(shown)
            lacking = [band for band in wanted if not has_bands(have, (band,))]
            if lacking:
                raise UserError(
                    f"teachers.{role}: {table.use!r} is shown {told} by objective.{name}, and the images of data "
                    f"{recipe.data.use!r} lack {', '.join(lacking)}; choose another teacher or other images"
                )


def _is_frozen(table: PartTable, registry: Registry) -> bool:
    """Whether a teacher has bands of its own; one that follows has the student's."""
    return table.use != "none" and registry.get("teacher", table.use).facts.get("needs") not in ("student", "bands")


def _check_bands(recipe: Recipe, pack: Pack) -> None:
    for name in recipe.student.bands:
        if not has_bands(pack.bands, band_set(name)):
            lacking = ", ".join(band for band in band_set(name) if not has_bands(pack.bands, (band,)))
            raise UserError(
                f"student.bands: the images of data {recipe.data.use!r} lack {lacking} of {name!r}; "
                f"they have {', '.join(pack.bands)}"
            )


def check_held(recipe: Recipe, identifier: Identifier, store: Store) -> None:
    """The bands of the teacher that a student holds are in every band set that the student is fed."""
    if recipe.student.teacher is None:
        return
    shown = band_set(first_bands(recipe.student.teacher, identifier, store))
    for name in recipe.student.bands:
        lacking = [band for band in shown if band not in band_set(name)]
        if lacking:
            raise UserError(
                f"student.teacher: {recipe.student.teacher.use!r} is shown {', '.join(shown)} of the student's images, "
                f"and band set {name!r}, which the student is fed, lacks {', '.join(lacking)}"
            )


def check_shown(row: Row, have: Sequence[str], identifier: Identifier, store: Store, task: str) -> None:
    """The bands of the teacher that is put beside a row are among a task's."""
    if row.beside is None:
        return
    shown = band_set(first_bands(row.beside, identifier, store))
    if not has_bands(have, shown):
        raise UserError(f"frozen_concat: {row.beside.use!r} is shown {', '.join(shown)}, which task {task!r} lacks")


def check_partitions(pack: Pack, experiment: Experiment, task: str) -> None:
    """The smaller fits that are asked for are among the task's."""
    known = ["default", *pack.partitions]
    for name in experiment.settings.partitions:
        if name not in known:
            raise unknown("partition", name, known, f"{experiment.path}: partitions: task {task!r}")


def check_probed(experiment: Experiment, task: str, label_kind: str) -> None:
    """Some probe of some protocol is fitted on such labels."""
    registry = experiment.registry

    def fits(protocol: ProtocolRecord) -> bool:
        uses = protocol.probes.values()
        return any(label_kind in kinds_of(registry.get("probe", use.use).facts) for use in uses)

    if not any(fits(protocol) for protocol in experiment.protocols):
        names = ", ".join(protocol.id for protocol in experiment.protocols)
        able = [name for name in registry.all("protocol") if fits(resolve(name, registry))]
        raise UserError(
            f"{experiment.path}: task {task!r} has {label_kind} labels, and no probe of {names} is fitted on such; "
            f"protocols that have one: {', '.join(able) or 'none'}"
        )


_GIVEN = {"vectors": "pooled vectors", "maps": "maps of features", "network": "a network to train"}


def check_given(
    row: Row, protocol: ProtocolRecord, task: str, label_kind: str, bands: Sequence[str], registry: Registry
) -> None:
    """Why a protocol has no score of a row on a task, as an error; none where its probes are for other labels.

    bands: the names of the band sets that the row is shown.
    """
    where = f"--protocol {protocol.id}: {row.label!r} has no score on task {task!r} under it"
    if not any(takes_from(protocol, name) for name in bands):
        told = f"it takes {', '.join(protocol.absent)} away, of which {', '.join(bands)} has none"
        raise UserError(f"{where}: {told}; say --bands with a set that has some, or another protocol")
    probes = [registry.get("probe", use.use) for use in protocol.probes.values()]
    probes = [probe for probe in probes if label_kind in kinds_of(probe.facts)]
    wanted = dict.fromkeys(wanted_by(probe, protocol.levels) for probe in probes)
    lacking = [_GIVEN[what] for what in wanted if what is not None and what not in gives(row, registry, protocol)]
    if probes and len(lacking) == len(wanted):

        def able(other: ProtocolRecord) -> bool:
            uses, given = other.probes.values(), gives(row, registry, other)
            fits = any(suits(registry.get("probe", use.use), label_kind, given, other.levels) for use in uses)
            return fits and any(takes_from(other, name) for name in bands)

        names = [name for name in registry.all("protocol") if able(resolve(name, registry))]
        raise UserError(
            f"{where}: its probes need {' or '.join(lacking)}, which {row.label!r} does not give"
            f"; protocols that have one: {', '.join(names) or 'none'}"
        )
    if probes:  # everything fits, so it is the weights that are not there
        raise UserError(f"{where}: it has no EMA weights, since no teacher followed it; say --weights student")


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

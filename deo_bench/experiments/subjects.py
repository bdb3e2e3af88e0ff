"""What is evaluated beside the grid's runs: trivial baselines, teachers, references."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deo_bench.bands import BAND_SETS, OWN, band_set, has_bands, named_bands
from deo_bench.declarations import Declaration
from deo_bench.engine.request import JOINED_VERSION
from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.experiments.file import Experiment
from deo_bench.files import read_json
from deo_bench.libraries import remedy
from deo_bench.probes import kinds_of
from deo_bench.probes.record import ProtocolRecord
from deo_bench.recipe import Identifier, PartTable, Recipe, as_untrained, digest
from deo_bench.recipe.starting import weights_of
from deo_bench.registry import Registry
from deo_bench.reports.entries import Kind
from deo_bench.store import Store
from deo_bench.weights import locate


@dataclass(frozen=True)
class Row:
    """A row of the table: its label, what kind it is, its subjects by seed, and what is worth a mark.

    kind: `cell` of the grid, `baseline` (trivial, untrained, a teacher) or `reference` (one number a task, whatever
    the probe), or `bound` (a cell's features beside those of the frozen teacher `beside`); part: of a backbone that is
    no run; settings: of a cell, by dotted path; export: the file of a student that left its store.
    """

    label: str
    kind: Kind
    subjects: tuple[tuple[int | None, str], ...]
    part: PartTable | None = None
    recipe: Recipe | None = None
    beside: PartTable | None = None
    export: Path | None = None
    settings: tuple[tuple[str, object], ...] = ()
    marks: tuple[str, ...] = field(default=(), compare=False)


def baseline_row(part: PartTable, experiment: Experiment, recipe: Recipe | None, identifier: Identifier) -> Row:
    """The row of a baseline that is no run."""
    told = _told(part, identifier)
    if part.use == "majority":
        return _reference("majority class", part, told)
    if part.use == "supervised" and recipe is not None:
        whole = part if part.options else PartTable(use="supervised", options=_defaults(experiment, "supervised"))
        student = {"student": recipe.student.model_dump(mode="json", exclude={"bands", "init"})}
        versions = [experiment.registry.get("probe", "supervised").identity]
        versions.append(experiment.registry.get("student", recipe.student.use).identity)
        if recipe.student.teacher is not None:
            versions.append(str(identifier.teacher(recipe.student.teacher)))
        label = f"supervised {recipe.student.use}"
        return _reference(
            label, whole, {"use": part.use, "options": whole.options, **student, "versions": versions}, recipe
        )
    told["weights"] = identifier.teacher(part)
    told["version"] = experiment.registry.get("teacher", part.use).identity
    return Row(part.use, "baseline", ((None, f"backbones/{part.use}-{digest(told)}"),), part)


def bound_row(cell: Row, teacher: PartTable, identifier: Identifier) -> Row:
    """The row of a cell with a frozen teacher beside it; its subjects say both, so no score of theirs is another's."""
    told = _told(teacher, identifier)
    told["weights"] = identifier.teacher(teacher)
    told |= {"version": identifier.registry.get("teacher", teacher.use).identity, "joined": JOINED_VERSION}
    subjects = tuple((seed, f"backbones/{run}+{teacher.use}-{digest(told)}") for seed, run in cell.subjects)
    return Row(f"{cell.label} + {teacher.use}", "bound", subjects, recipe=cell.recipe, beside=teacher)


def gives(row: Row, registry: Registry, protocol: ProtocolRecord) -> tuple[str, ...]:
    """What probes can be fitted on of a row: vectors, maps, and the network itself, which can be trained on.

    Features beside another's are vectors alone, and trivial baselines have no weights. Where a protocol takes bands
    away, what is joined with another's, or trains on images, would see them whole.
    """
    offered = _offered(row, registry)
    if not protocol.absent:
        return offered
    return () if row.kind == "bound" else tuple(each for each in offered if each != "network")


def _offered(row: Row, registry: Registry) -> tuple[str, ...]:
    if row.kind == "bound":
        return ("vectors",)
    if row.recipe is not None or row.kind == "reference" or row.part is None:
        return ("vectors", "maps", "network")
    facts = registry.get("teacher", row.part.use).facts
    if facts.get("needs") == "bands":
        return tuple(facts.get("gives", ("vectors", "maps")))
    return ("vectors", "maps", "network")


def takes_from(protocol: ProtocolRecord, bands: str) -> bool:
    """Whether a protocol has something to say of a band set: one that takes bands away needs some of them in it."""
    return not protocol.absent or any(has_bands(band_set(bands), (band,)) for band in protocol.absent)


def wanted_by(probe: Declaration, levels: int) -> str | None:
    """What of a row a probe is fitted on: `vectors`, `maps` or the `network`, which it trains on; none: nothing.

    levels: of a protocol whose vectors are made of maps.
    """
    vectors = "maps" if levels else "vectors"
    needs = probe.facts.get("needs", "features")
    return {"features": vectors, "truth": vectors, "maps": "maps", "backbone": "network"}.get(needs)


def suits(probe: Declaration, label_kind: str, given: tuple[str, ...], levels: int) -> bool:
    """Whether a probe is fitted on such labels, and a row gives what it needs."""
    wanted = wanted_by(probe, levels)
    return label_kind in kinds_of(probe.facts) and (wanted is None or wanted in given)


def _told(part: PartTable, identifier: Identifier) -> dict[str, object]:
    """What a subject's name says of a teacher: part and options, a file by its content."""
    declared = identifier.registry.all("teacher").get(part.use)
    paths = {name for name, option in declared.options.items() if option.is_path} if declared else set()
    options = {
        name: identifier.file(Path(value)) if name in paths and value is not None else value
        for name, value in part.options.items()
    }
    return {"use": part.use, "options": options}


def run_behind(subject: str) -> str:
    """The run whose student a subject's features are from: of a bound the run before the plus, else itself."""
    return subject.removeprefix("backbones/").partition("+")[0] if "+" in subject else subject


def shown_sets(teacher: PartTable, registry: Registry) -> list[str]:
    """The band sets that a frozen teacher can be shown, told without building it: an option says, or its facts."""
    like = str(teacher.options.get("like", teacher.use))  # an untrained one sees what the part it is like sees
    declared = registry.all("teacher").get(like)
    if declared is None or "bands" not in declared.options:
        return list(declared.facts.get("bands", ["rgb"])) if declared else ["rgb"]
    name, bands = named_bands(teacher.options.get("bands", declared.options["bands"].default))
    if name == OWN:
        told = f"teacher {teacher.use!r}: bands {', '.join(bands)} are no named band set ({', '.join(BAND_SETS)})"
        raise UserError(f"{told}; it can be learnt from, but not be scored or held by a student")
    return [name]


def first_bands(teacher: PartTable, identifier: Identifier, store: Store) -> str:
    """The name of the band set that a frozen teacher is shown, told without building it."""
    if teacher.options.get("sees"):
        return str(teacher.options["sees"])
    needed = identifier.prerequisite(teacher)
    if needed is None:
        return shown_sets(teacher, identifier.registry)[0]
    if needed.recipe is not None:
        return needed.recipe.student.bands[0]
    path = store.run(str(needed.run)).path / "recipe.json"
    try:
        return str(read_json(path)["recipe"]["student"]["bands"][0])
    except (KeyError, TypeError, IndexError):
        raise StoreError(f"{path}: torn or foreign: it names no band set") from None


def untrained_rows(
    experiment: Experiment, recipes: list[Recipe], identifier: Identifier, seeds: tuple[int, ...]
) -> list[Row]:
    """The untrained student of every distinct student in the grid, unless a cell is it already."""
    known = {identifier.digest(recipe) for recipe in recipes if recipe.is_untrained}
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        plain = as_untrained(recipe, experiment.registry)
        name = identifier.digest(plain)
        if name not in known:
            found.setdefault(name, plain)
    rows = []
    for name, recipe in found.items():
        label = "untrained" if len(found) == 1 else f"untrained {recipe.student.use} {name[:4]}"
        subjects = tuple((seed, f"{name}-s{seed}") for seed in seeds)
        rows.append(Row(label, "baseline", subjects, recipe=recipe))
    return rows


def check_weights(part: PartTable, experiment: Experiment, identifier: Identifier) -> None:
    """A MissingInput where a teacher's weights or library are not here, with the command that gets them."""
    declared = experiment.registry.get("teacher", part.use)
    if declared.facts.get("needs") in ("student", "run", "bands"):
        return
    if told := remedy(str(declared.facts.get("library", ""))):
        raise MissingInput(f"teacher {part.use!r}: needs {declared.facts['library']}, which is not installed", told)
    found = locate(declared, part.options, cache=identifier.places.cache)
    if found.missing:
        if "{" in str(declared.facts.get("weights")):
            # Which weights they are is an option: a name that does not exist is not to be downloaded.
            experiment.registry.load("teacher", part.use).refuse(part.options)
        raise MissingInput(f"teacher {part.use!r}: its weights are not here", found.remedy)


def check_start(recipe: Recipe, experiment: Experiment, identifier: Identifier) -> None:
    """A MissingInput where the weights that a student starts from are not here, with the command that gets them."""
    start = recipe.student.init
    if start is None or start.teacher is not None:
        return
    found = weights_of(start, cache=identifier.places.cache)
    if not found.missing:
        return
    try:
        # A name that does not exist is not to be downloaded.
        experiment.registry.load("teacher", "timm").refuse({"model": start.model})
    except UserError as error:
        told = str(error).removeprefix("teacher 'timm': ")
        raise UserError(f"student.init: {told}") from None
    raise MissingInput("student.init: its weights are not here", found.remedy)


def _reference(label: str, part: PartTable, told: dict[str, object], recipe: Recipe | None = None) -> Row:
    return Row(label, "reference", ((None, f"backbones/{part.use}-{digest(told)}"),), part, recipe)


def _defaults(experiment: Experiment, probe: str) -> dict[str, object]:
    return experiment.registry.options("probe", probe, {}, f"baselines.{probe}")

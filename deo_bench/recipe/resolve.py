"""From tables as people write them to a recipe with every default filled in, or one line that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deo_bench.bands import BAND_SETS
from deo_bench.data.view_settings import Views
from deo_bench.declarations import RESERVED
from deo_bench.errors import UserError, nearest, shown, unknown
from deo_bench.features import POOLED
from deo_bench.recipe.checking import checked, plain, refuse_repeats
from deo_bench.recipe.models import PIXELS, HeadTable, PartTable, Recipe, StudentTable, TeacherTable, Term, Train
from deo_bench.recipe.starting import SCRATCH, init_of
from deo_bench.recipe.toml import Located
from deo_bench.registry import Registry
from deo_bench.schedules import Schedule

TABLES = ("data", "views", "student", "teachers", "heads", "objective", "balance", "train")
NO_TEACHER = "none"
NO_HEAD = "none"
NAME = re.compile(r"[A-Za-z0-9_-]+")


def resolve(raw: Mapping[str, Any], registry: Registry, source: str = "recipe") -> Recipe:
    """A recipe from its tables; terms of weight 0 or toward no teacher are dropped, with what only they used.

    Roles, heads and terms come in the order of their names: how a file orders its tables changes nothing.
    """
    for key in raw:
        if key not in TABLES:
            raise UserError(f"{source}: unknown table [{key}]{nearest(key, TABLES)}")
    for key in ("data", "student"):
        if key not in raw:
            raise UserError(f"{source}: a recipe needs a table [{key}] with use = …")
    student = _student(raw["student"], registry, f"{source}: student")
    teachers = {
        role: _teacher(role, table, registry, f"{source}: teachers.{role}")
        for role, table in sorted(_tables(raw, "teachers", source).items())
    }
    start = init_of(raw["student"].get("init", SCRATCH), student, teachers, registry, f"{source}: student.init")
    student = student.model_copy(update={"init": start})
    named_heads = _tables(raw, "heads", source)
    objective = {}
    for name, table in sorted(_tables(raw, "objective", source).items()):
        term = _term(name, table, student, teachers, named_heads, registry, f"{source}: objective.{name}")
        if term is not None:
            objective[name] = term
    used = {role for term in objective.values() for role in term.toward}
    heads = {name: _head(table, registry, f"{source}: heads.{name}") for name, table in sorted(named_heads.items())}
    train = checked(Train, raw.get("train", {}), f"{source}: train")
    views = checked(Views, raw.get("views", {}), f"{source}: views")
    if views.rgb and not {"rgb"} < set(student.bands):
        told = f"rgb and another band set, and it is fed {', '.join(student.bands)}"
        raise UserError(f"{source}: views.rgb: views that are RGB at random are for a student that is fed {told}")
    if views.rgb and registry.get("stem", student.stem.use).facts.get("groups"):
        told = f"stem {student.stem.use!r} gives RGB fewer tokens than other band sets"
        raise UserError(f"{source}: views.rgb: {told}, so that views cannot be RGB at random; take another stem")
    recipe = Recipe(
        data=part("data", raw["data"], registry, f"{source}: data"),
        views=views,
        student=student,
        teachers={role: table for role, table in teachers.items() if role in used},
        heads={name: head for name, head in heads.items() if any(t.head == name for t in objective.values())},
        objective=objective,
        balance=part("balance", raw.get("balance", {"use": "fixed"}), registry, f"{source}: balance"),
        train=train,
    )
    return as_untrained(recipe, registry) if recipe.is_untrained else recipe


def as_untrained(recipe: Recipe, registry: Registry) -> Recipe:
    """The recipe of the same student untrained: what only training used is put to its default, so there is one."""
    balance = part("balance", {"use": "fixed"}, registry, "balance")
    empty: dict[str, Any] = {"teachers": {}, "heads": {}, "objective": {}}
    # What a teacher adds to a student that holds it starts at zero.
    empty["student"] = recipe.student.model_copy(update={"teacher": None})
    return recipe.model_copy(update={**empty, "views": Views(), "balance": balance, "train": Train(steps=0)})


def part(
    kind: str, table: Any, registry: Registry, where: str, key: str = "use", own: frozenset[str] = frozenset()
) -> PartTable:
    """A part's table (or its bare name): a key that is not the table's own is an option of the part."""
    if isinstance(table, str):
        table = {key: table}
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: expected a name or a table with {key} = …, got {shown(table)}")
    if not isinstance(table.get(key), str):
        given_name = f", got {shown(table[key])}" if key in table else "; there is none"
        raise UserError(f"{where}.{key}: expected the name of a {kind}{given_name}")
    given = {name: value for name, value in table.items() if name != key and name not in own}
    declared = registry.get(kind, table[key], f"{where}.{key}")
    for name, value in given.items():
        option = declared.options.get(name)
        is_file = option is not None and (option.is_path or (kind == "teacher" and name == "recipe"))
        if is_file and isinstance(value, Located):
            given[name] = str(value.path)
    options = registry.options(kind, str(table[key]), given, where, (key, *own))
    return PartTable(use=str(table[key]), options={name: plain(value) for name, value in options.items()})


def _tables(raw: Mapping[str, Any], name: str, source: str) -> Mapping[str, Any]:
    tables = raw.get(name, {})
    if not isinstance(tables, Mapping):
        raise UserError(f"{source}: [{name}] holds named tables such as [{name}.NAME], got {shown(tables)}")
    for key in tables:
        if not NAME.fullmatch(key):
            raise UserError(f"{source}: {name}.{shown(key)}: a name is made of letters, digits, _ and -")
    return tables


def _student(table: Any, registry: Registry, where: str) -> StudentTable:
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: expected a table with use = … and bands = […], got {shown(table)}")
    own = RESERVED["student"]
    base = part("student", table, registry, where, own=own)
    bands = _names(table.get("bands", ()), f"{where}.bands")
    if not bands:
        raise UserError(f'{where}.bands: name the band sets that the student is fed, such as ["s2_10", "rgb"]')
    for name in bands:
        if name not in BAND_SETS:
            raise unknown("band set", name, BAND_SETS, f"{where}.bands")
    refuse_repeats(bands, f"{where}.bands")
    stem = table.get("stem", "dual" if len(bands) > 1 else "single")
    stem = part("stem", stem, registry, f"{where}.stem")
    _check_groups(base.use, stem.use, registry, f"{where}.stem")
    written = {"normalise": table["normalise"]} if "normalise" in table else {}
    held = _held_teacher(base.use, table, registry, where)
    whole = {
        **base.model_dump(),
        "bands": bands,
        "stem": stem.model_dump(),
        "teacher": None if held is None else held.model_dump(),
    }
    return checked(StudentTable, whole | written, where)


def _check_groups(use: str, stem: str, registry: Registry, where: str) -> None:
    """A stem that gives several tokens a cell is for students that take them."""
    if not registry.get("stem", stem).facts.get("groups") or registry.get("student", use).facts.get("groups"):
        return
    takers = ", ".join(name for name, known in registry.all("student").items() if known.facts.get("groups"))
    raise UserError(f"{where}: {stem!r} gives several tokens a cell, and student {use!r} takes one; {takers} take them")


def _held_teacher(use: str, table: Mapping[str, Any], registry: Registry, where: str) -> PartTable | None:
    """The frozen teacher that the student is handed; `none` is none."""
    given, key = table.get("teacher"), f"{where}.teacher"
    if isinstance(given, Mapping) and given.get("use") == NO_TEACHER:
        given = NO_TEACHER
    if registry.get("student", use).facts.get("needs") != "teacher":
        if given not in (None, NO_TEACHER):
            takers = [name for name, known in registry.all("student").items() if known.facts.get("needs") == "teacher"]
            raise UserError(f"{key}: student {use!r} takes no teacher; those that do: {', '.join(takers)}")
        return None
    if given is None:
        raise UserError(f'{where}: student {use!r} needs teacher = the name of a frozen teacher, or "none"')
    return None if given == NO_TEACHER else frozen_teacher(given, registry, key)


def frozen_teacher(given: Any, registry: Registry, where: str) -> PartTable:
    """A teacher that does not follow the student, from its name or its table."""
    held = part("teacher", given, registry, where)
    if registry.get("teacher", held.use).facts.get("needs") in ("student", "bands"):
        raise UserError(f"{where}: expected a frozen teacher with weights or a network of its own, got {held.use!r}")
    return held


def _teacher(role: str, table: Any, registry: Registry, where: str) -> TeacherTable:
    if role in ("student", PIXELS, NO_TEACHER):
        raise UserError(f"{where}: {role!r} has a meaning of its own in `toward`; call the role something else")
    named = table.get("use") if isinstance(table, Mapping) else table
    if named == NO_TEACHER:
        return TeacherTable(use=NO_TEACHER)
    own = RESERVED["teacher"]
    written = {key: table[key] for key in own - {"use"} if isinstance(table, Mapping) and key in table}
    base = part("teacher", table, registry, where, own=own)
    if registry.get("teacher", base.use).facts.get("needs") == "bands":
        raise UserError(f"{where}.use: {base.use!r} is a baseline, not a teacher to distil from; see `deo-bench list`")
    return checked(TeacherTable, {**base.model_dump(), **written}, where)


def _head(table: Any, registry: Registry, where: str) -> HeadTable:
    if not isinstance(table, Mapping) or "width" not in table:
        raise UserError(f"{where}: a shared head needs width = … (what it projects to)")
    base = part("head", table, registry, where, own=RESERVED["head"])
    return checked(HeadTable, {**base.model_dump(), "width": table["width"]}, where)


def _names(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (str(value),)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(str(item) for item in value)
    raise UserError(f"{where}: expected a name or a list of names, got {shown(value)}")


def _term(
    name: str,
    table: Any,
    student: StudentTable,
    teachers: Mapping[str, TeacherTable],
    heads: Mapping[str, Any],
    registry: Registry,
    where: str,
) -> Term | None:
    """A term with its defaults, or none where its weight is 0 or no teacher is left for it."""
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: expected a table with loss = …, got {shown(table)}")
    base = part("loss", table, registry, where, key="loss", own=RESERVED["loss"])
    facts = registry.get("loss", base.use).facts
    given = _toward(table, base.use, facts, teachers, where)
    toward = tuple(role for role in given if role not in teachers or teachers[role].use != NO_TEACHER)
    if (given and not toward) or table.get("weight", 1) == 0:
        return None
    head = _head_of(table, bool(facts.get("dimension_free")) or not toward, heads, registry, where)
    own_targets = _targets_of_levels(head, toward, teachers, heads, registry, where)
    on, target_on, is_map = _places(table, base.use, facts, own_targets, where)
    written = {key: table[key] for key in ("aggregate", "grid", "target_sees", "pairs", "crops") if key in table}
    weight = table.get("weight", 1.0)
    resolved = {
        "pairs": "same" if is_map else facts.get("pairs", "cross"),
        "crops": "global" if is_map else facts.get("crops", "all"),
        **written,
        "loss": base.use,
        "options": base.options,
        "toward": toward,
        "sees": _sees(table, student, where),
        "on": on,
        "target_on": target_on,
        "head": head,
        "target": part("target", table.get("target", "none"), registry, f"{where}.target").model_dump(),
        "weight": checked(Schedule, weight, f"{where}.weight").model_dump() if isinstance(weight, Mapping) else weight,
    }
    term = checked(Term, resolved, where)
    if PIXELS in toward:
        _check_pixels(term, student, is_map, where)
    if facts.get("needs_mask") and term.crops == "all":
        raise UserError(f'{where}.crops: loss {base.use!r} needs masked crops, and only global ones are; say "global"')
    if facts.get("remembers"):
        _check_remembered(term, own_targets is not None, where)
    return term


def _check_remembered(term: Term, together: bool, where: str) -> None:
    """A loss that remembers has one memory, so it is shown one target: several would be mixed in it."""
    if len(term.on) > 1 and not together:
        raise UserError(f"{where}.on: loss {term.loss!r} remembers what it was shown; write a term for each level")
    if len(term.toward) > 1 and term.aggregate == "mean_loss":
        raise UserError(f"{where}.toward: loss {term.loss!r} remembers what it was shown; write a term for each role")


def _check_pixels(term: Term, student: StudentTable, is_map: bool, where: str) -> None:
    """What a term toward pixels needs: maps, bands that the student is fed, and nothing beside."""
    if len(term.toward) > 1:
        raise UserError(f"{where}.toward: {PIXELS!r} stands alone; write a term for each target")
    if not is_map:
        raise UserError(f"{where}.on: pixels are reconstructed cell by cell; say on = a level such as late")
    if term.target.use != "none":
        raise UserError(f"{where}.target: {term.target.use!r} is fitted on a teacher's features; pixels have none")
    if term.target_sees is not None and term.target_sees not in student.bands:
        raise UserError(
            f"{where}.target_sees: the student is fed no {shown(term.target_sees)}"
            f"{nearest(term.target_sees, student.bands)}"
        )


def _targets_of_levels(
    head: str | dict[str, Any] | None,
    toward: tuple[str, ...],
    teachers: Mapping[str, TeacherTable],
    heads: Mapping[str, Any],
    registry: Registry,
    where: str,
) -> bool | None:
    """Of a head that takes all levels together: whether the target's go through it too; none for any other head."""
    table = heads[head] if isinstance(head, str) else head
    use = table.get("use") if isinstance(table, Mapping) else table
    declared = registry.all("head").get(use) if isinstance(use, str) else None
    if declared is None or not declared.facts.get("takes_levels"):
        return None
    copied = [role == "student" or _follows(role, teachers, registry) for role in toward]
    if any(copied) and not all(copied):
        raise UserError(
            f"{where}.toward: the head {declared.name!r} takes all levels together, and some of these targets pass it "
            "and some do not; write a term for each"
        )
    return any(copied)


def _follows(role: str, teachers: Mapping[str, TeacherTable], registry: Registry) -> bool:
    return role in teachers and registry.get("teacher", teachers[role].use).facts.get("needs") == "student"


def _toward(
    table: Mapping[str, Any], loss: str, facts: Mapping[str, Any], teachers: Mapping[str, TeacherTable], where: str
) -> tuple[str, ...]:
    given = _names(table.get("toward", ()), f"{where}.toward")
    for role in given:
        if role not in teachers and role not in ("student", PIXELS):
            raise unknown("role", role, [*teachers, "student", PIXELS], f"{where}.toward")
    refuse_repeats(given, f"{where}.toward")
    if facts.get("needs_target", True) and not given:
        raise UserError(f"{where}.toward: loss {loss!r} needs a target; say toward = a teacher's role")
    return given


def _places(
    table: Mapping[str, Any], loss: str, facts: Mapping[str, Any], own_targets: bool | None, where: str
) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Where the student is looked at, where the target is, and whether these are maps.

    own_targets: false for a head that takes all levels of the student together and none of the target's: there is one
    place then that the target is at, the last of `on` where none is said.
    """
    on = _names(table.get("on", "default"), f"{where}.on")
    if not on:
        raise UserError(f"{where}.on: an empty list; say on = a pooled vector such as default, or a level such as late")
    maps = [each not in POOLED for each in on]
    if any(maps) and not all(maps):
        raise UserError(f"{where}.on: pooled vectors and maps in one term; write a term for each")
    _check_takes(loss, facts, any(maps), on, f"{where}.on")
    target_on = _names(table.get("target_on", list(on) if own_targets is not False else on[-1]), f"{where}.target_on")
    if own_targets is False and len(target_on) != 1:
        raise UserError(f"{where}.target_on: one place, which the head takes all of `on` to, got {len(target_on)}")
    if own_targets is not False and len(target_on) != len(on):
        raise UserError(f"{where}.target_on: as many places as in `on` ({len(on)}), got {len(target_on)}")
    return on, target_on, any(maps)


def _head_of(
    table: Mapping[str, Any], is_free: bool, heads: Mapping[str, Any], registry: Registry, where: str
) -> str | dict[str, Any] | None:
    """A shared head's name, the table of a head of the term's own, or none."""
    given = table.get("head", NO_HEAD if is_free else {"use": "mlp"})
    if isinstance(given, Mapping):
        return part("head", given, registry, f"{where}.head").model_dump()
    if given == NO_HEAD:
        return None
    if not isinstance(given, str) or given not in heads:
        raise unknown("head", given, [NO_HEAD, *heads], f"{where}.head")
    return str(given)


def _sees(table: Mapping[str, Any], student: StudentTable, where: str) -> str:
    sees = str(table.get("sees", student.bands[0]))
    if sees not in student.bands:
        raise UserError(f"{where}.sees: the student is fed no {shown(sees)}{nearest(sees, student.bands)}")
    shown_target = table.get("target_sees")
    if isinstance(shown_target, str) and shown_target not in BAND_SETS:
        raise unknown("band set", shown_target, BAND_SETS, f"{where}.target_sees")
    return sees


def _check_takes(loss: str, facts: Mapping[str, Any], is_map: bool, on: tuple[str, ...], where: str) -> None:
    takes = facts.get("takes", "both")
    if takes != "both" and (takes == "maps") != is_map:
        fit = "a level such as late" if takes == "maps" else "a pooled vector such as default"
        raise UserError(f"{where}: loss {loss!r} takes {takes}, and {', '.join(on)} is not; say on = {fit}")

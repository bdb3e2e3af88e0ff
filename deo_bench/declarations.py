"""Reads what a part file declares with `ast`, so that names and options can be checked without importing torch."""

from __future__ import annotations

import ast
import functools
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from deo_bench.errors import UserError, shown, wanted


def _no_text(value: Any) -> Any:
    """Refuse what pydantic would make a number of: `true` and "5"."""
    if isinstance(value, bool | str):
        raise ValueError("has to be a number")
    return value


Number = Annotated[float, BeforeValidator(_no_text), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_text)]
Positive = Annotated[Number, Gt(0)]
NonNegative = Annotated[Number, Ge(0)]
Fraction = Annotated[Number, Ge(0), Le(1)]
Count = Annotated[Whole, Ge(1)]
_NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, list, tuple, dict)},
    **{"Any": Any, "Literal": Literal, "Annotated": Annotated, "Path": Path, "Gt": Gt, "Ge": Ge, "Le": Le},
    **{"Positive": Positive, "NonNegative": NonNegative, "Fraction": Fraction, "Count": Count},
}

KINDS = {
    "teacher": "teachers",
    "student": "students",
    "stem": "students",
    "head": "heads",
    "loss": "losses",
    "target": "targets",
    "balance": "balance",
    "data": "data",
    "task": "tasks",
    "probe": "probes",
    "protocol": "probes",
}
"""Every kind of part, and the package that its parts live in."""

RESERVED = {
    "loss": frozenset(
        {"loss", "toward", "aggregate", "sees", "on", "target_sees", "target_on"}
        | {"pairs", "crops", "head", "target", "grid", "weight"}
    ),
    "student": frozenset({"use", "bands", "stem", "normalise", "teacher", "init"}),
    "teacher": frozenset({"use", "views", "normalise"}),
    "head": frozenset({"use", "width"}),
}
"""Keys that the table naming a part keeps for itself: an option of that name would never be reached."""

REQUIRED = object()
PART_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Option:
    """One keyword-only argument of a part: its annotation as written, and its default."""

    name: str
    annotation: str
    default: Any = REQUIRED

    @property
    def is_path(self) -> bool:
        """Whether the option names a file: then its content, not its place, is part of a run's identity."""
        return "Path" in self.annotation

    def check(self, value: Any, where: str) -> Any:
        """The value as this option's type, or an error that says what was expected."""
        if value is None and "None" in self.annotation:
            return None
        if not self._takes(type(value)):
            raise UserError(f"{where}.{self.name}: expected {self.annotation}, got {shown(value)}")
        try:
            checked = _adapter(self.annotation).validate_python(value)
        except ValidationError as error:
            told = f"{wanted(error.errors()[0])} (expected {self.annotation}, got {shown(value)})"
            raise UserError(f"{where}.{self.name}: {told}") from None
        except UserError as error:
            raise UserError(f"{where}.{self.name}: {error}") from None
        if not is_finite(checked):
            raise UserError(f"{where}.{self.name}: has to be finite, got {shown(value)}")
        return list(checked) if isinstance(checked, tuple) else checked

    def _takes(self, given: type) -> bool:
        """Whether a truth value or a text may stand here: pydantic would make a number of `true` and of "5"."""
        meant = {bool: ("bool",), str: ("str", "Path", "Literal")}.get(given)
        return meant is None or any(word in self.annotation for word in (*meant, "Any"))


def is_finite(value: Any) -> bool:
    """Whether every number in a value is finite: others have no place in JSON, so no run can be named by them."""
    if isinstance(value, Mapping):
        return all(is_finite(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


@functools.cache
def _adapter(annotation: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(eval(annotation, {"__builtins__": {}}, _NAMES))
    except Exception:  # what is no type fails in pydantic or before it, in any way it likes
        known = ", ".join(sorted(_NAMES))
        raise UserError(f"an option's type is made of {known}; {annotation!r} is not") from None


@dataclass(frozen=True)
class Declaration:
    """What is known of a part before it is imported.

    facts are the decorator's keywords (of a family: its entry); attribute is the class or function in the module;
    content is the sha256 of a user's own part file, empty for the project's.
    """

    kind: str
    name: str
    summary: str
    doc: str
    facts: Mapping[str, Any]
    options: Mapping[str, Option]
    version: int
    module: str
    attribute: str
    origin: str
    is_family: bool = False
    content: str = ""
    path: Path | None = field(default=None, compare=False)

    @property
    def identity(self) -> str:
        """What of the part's code is in a run's identity: its version, and the content of a user's own file."""
        return f"{self.version}" + (f"+{self.content[:12]}" if self.content else "")


def read_declarations(path: Path, module: str, own: bool = False) -> list[Declaration]:
    """The parts that a file declares; `own` marks a user's file, whose content is part of its parts' identity."""
    source, tree = _parsed(path)
    content = hashlib.sha256(source.encode()).hexdigest() if own else ""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: list[Declaration] = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for call in _part_decorators(node):
            origin = f"{path}:{node.lineno}"
            for name, facts, is_family in _entries(call, tree, origin):
                options = _options(node, classes, facts, origin)
                found.append(
                    Declaration(
                        kind=call.func.id,  # type: ignore[attr-defined]
                        name=name,
                        summary=str(facts.get("summary", _summary(ast.get_docstring(node)))),
                        doc=ast.get_docstring(node) or "",
                        facts=facts,
                        options=options,
                        version=_version(node, origin),
                        module=module,
                        attribute=node.name,
                        origin=origin,
                        is_family=is_family,
                        content=content,
                        path=path,
                    )
                )
    for declared in found:
        check_reserved(declared)
        if own:
            _check_defaults(declared)
    return found


def _parsed(path: Path) -> tuple[str, ast.Module]:
    try:
        source = path.read_text(encoding="utf-8")
        return source, ast.parse(source)
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a part file: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read as a part file: it is no text in UTF-8") from None
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno or 1}: not valid Python: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError):
        raise UserError(f"{path}: not valid Python: nested too deeply, or with null bytes") from None


def _check_defaults(declared: Declaration) -> None:
    """A part of a user's own: an option whose type is none, or whose default is not of it, is said when it is read."""
    for option in declared.options.values():
        if option.default is REQUIRED:
            _adapter(option.annotation)
        else:
            option.check(option.default, f"{declared.origin}: {declared.kind} {declared.name}")


def _part_decorators(node: ast.ClassDef | ast.FunctionDef) -> Iterator[ast.Call]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else None
        if isinstance(decorator, ast.Call) and isinstance(called, ast.Name) and called.id in KINDS:
            yield decorator


def _entries(call: ast.Call, tree: ast.Module, origin: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Name and facts of each entry: one for `@loss("cosine")`, many for `@teacher(ENTRIES)`."""
    try:
        facts = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
        first = call.args[0]
        is_family = isinstance(first, ast.Name)
        entries = _literal(tree, first.id) if isinstance(first, ast.Name) else {ast.literal_eval(first): {}}
        whole = {name: {**facts, **entry} for name, entry in entries.items()}
        kept = {name: dict(entry.get("options", {})) for name, entry in whole.items()}
    except (IndexError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"{origin}: a part's decorator takes a name, or a family's literal, and literal facts"
        ) from None
    for name, entry in whole.items():
        if not isinstance(name, str) or not PART_NAME.fullmatch(name):
            raise UserError(f"{origin}: {name!r} is no name for a part; letters, digits, _ . and - make one")
        yield name, {**entry, "options": kept[name]} if "options" in entry else entry, is_family


def _literal(tree: ast.Module, name: str) -> dict[str, dict[str, Any]]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return dict(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise ValueError(name)


def _options(
    node: ast.ClassDef | ast.FunctionDef, classes: Mapping[str, ast.ClassDef], facts: Mapping[str, Any], origin: str
) -> dict[str, Option]:
    """The keyword-only arguments, with a family entry's own defaults (`options` among its facts) on top."""
    function = _initialiser(node, classes) if isinstance(node, ast.ClassDef) else node
    options: dict[str, Option] = {}
    own = dict(facts.get("options", {}))
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if function else ()
    for argument, default in arguments:
        annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            raise UserError(f"{origin}: the default of option {argument.arg!r} is not a literal") from None
        value = list(value) if isinstance(value, tuple) else value
        options[argument.arg] = Option(argument.arg, annotation, own.pop(argument.arg, value))
    if own:
        raise UserError(f"{origin}: an entry sets {', '.join(own)}, which are no options of it")
    return options


def _initialiser(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> ast.FunctionDef | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item
    others = {name: other for name, other in classes.items() if other is not node}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in others:
            return _initialiser(others[base.id], others)
    return None


def _version(node: ast.ClassDef | ast.FunctionDef, origin: str) -> int:
    for item in node.body:
        if isinstance(item, ast.Assign | ast.AnnAssign) and item.value is not None:
            target = item.targets[0] if isinstance(item, ast.Assign) else item.target
            if isinstance(target, ast.Name) and target.id == "version":
                try:
                    return int(ast.literal_eval(item.value))
                except (ValueError, TypeError):
                    raise UserError(f"{origin}: version = {ast.unparse(item.value)} has to be an integer") from None
    return 1


def _summary(doc: str | None) -> str:
    return doc.strip().splitlines()[0] if doc and doc.strip() else ""


def check_reserved(declared: Declaration) -> None:
    """Refuse a part whose option would be hidden by a key of the table that names it."""
    clash = set(declared.options) & RESERVED.get(declared.kind, frozenset({"use"}))
    if clash:
        raise UserError(
            f"{declared.origin}: {declared.kind} {declared.name!r} has an option {', '.join(sorted(clash))!r}, "
            "which is a key of the table that names it; rename the option"
        )

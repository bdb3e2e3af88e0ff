"""Names to parts: what exists, with which options, found without importing it; building a part imports it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deo_bench.declarations import KINDS, REQUIRED, Declaration, Option, check_reserved, read_declarations
from deo_bench.errors import UserError, nearest, unknown

PACKAGE = Path(__file__).parent
ENTRY_POINTS = "deo_bench.parts"
C = TypeVar("C", bound=type)


class Registry:
    """The parts of the project, of installed packages (entry points `deo_bench.parts`) and of a user's own files."""

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self._parts: dict[str, dict[str, Declaration]] = {kind: {} for kind in KINDS}
        for package in sorted(set(KINDS.values())):
            for path in sorted((PACKAGE / package).rglob("*.py")):
                inside = path.relative_to(PACKAGE).with_suffix("").parts
                self._add(read_declarations(path, ".".join(("deo_bench", *inside))))
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
            self._add(_installed(point))
        for path in files:
            found = read_declarations(path, _private_name(path), own=True)
            if not found:
                raise UserError(f'{path}: declares no part; put a decorator such as @loss("{path.stem}") on a class')
            self._add(found)

    def _add(self, declarations: Iterable[Declaration]) -> None:
        for new in declarations:
            _refuse_duplicate(self._parts[new.kind].get(new.name), new)
            self._parts[new.kind][new.name] = new

    def all(self, kind: str) -> dict[str, Declaration]:
        """Every part of a kind by name, those defined in a running notebook included."""
        if kind not in KINDS:
            raise unknown("kind of part", kind, KINDS)
        for name, new in _DEFINED[kind].items():
            _refuse_duplicate(self._parts[kind].get(name), new)
        return dict(sorted({**self._parts[kind], **_DEFINED[kind]}.items()))

    def get(self, kind: str, name: str, where: str = "") -> Declaration:
        """The declaration of a part, or an error with the nearest name."""
        parts = self.all(kind)
        if name not in parts:
            raise unknown(kind, name, parts, where)
        return parts[name]

    def find(self, name: str) -> list[Declaration]:
        """Every part of that name, whatever its kind."""
        return [parts[name] for kind in KINDS if name in (parts := self.all(kind))]

    def options(
        self, kind: str, name: str, given: Mapping[str, Any], where: str, beside: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The given options checked against the part's signature, with every default filled in.

        beside: keys that stand in the part's table and are none of its options; a mistyped one is told the nearest.
        """
        declared = self.get(kind, name, where)
        for key in given:
            if key not in declared.options:
                hint = nearest(key, declared.options, beside)
                raise UserError(f"{where}.{key}: {kind} {name!r} has no option {key!r}{hint}")
        resolved = {}
        for key, option in declared.options.items():
            if key in given:
                resolved[key] = option.check(given[key], where)
            elif option.default is REQUIRED:
                raise UserError(f"{where}: {kind} {name!r} needs {key} = … ({option.annotation})")
            else:
                resolved[key] = option.default
        return resolved

    def load(self, kind: str, name: str) -> Any:
        """The class or function of a part; this imports it."""
        declared = self.get(kind, name)
        if declared.content and declared.path and declared.module.startswith("deo_bench_parts."):
            module = _import_file(declared.path, declared.module)
        else:
            module = sys.modules.get(declared.module) or importlib.import_module(declared.module)
        return getattr(module, declared.attribute)

    def build(self, kind: str, name: str, *given: Any, options: Mapping[str, Any] | None = None) -> Any:
        """A part, built from what the engine hands in (`given`) and its options.

        A part of a family is given its own name first. A ValueError from its constructor becomes the user's to read.
        """
        declared = self.get(kind, name)
        checked = self.options(kind, name, options or {}, f"{kind} {name}")
        first = (name,) if declared.is_family else ()
        try:
            return self.load(kind, name)(*first, *given, **checked)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{kind} {name!r}: {error}") from error
        except Exception as error:
            if not declared.content:
                raise
            told = f"{type(error).__name__}: {error}"
            raise UserError(f"{declared.origin}: {kind} {name!r} fails when it is built: {told}") from error


_DEFINED: dict[str, dict[str, Declaration]] = {kind: {} for kind in KINDS}


def decorator(kind: str, base: type) -> Callable[..., Callable[[C], C]]:
    """The noun decorator of a kind (`@loss("cosine", paper=…)`): checks the base class and marks the class.

    Files are found by reading them; only what is defined in `__main__` (a notebook) registers by running.
    """

    def noun(name: str | Mapping[str, Mapping[str, Any]], **facts: Any) -> Callable[[C], C]:
        def mark(part: C) -> C:
            if not (isinstance(part, type) and issubclass(part, base)):
                raise TypeError(f"{kind} {name!r} must inherit {base.__module__}.{base.__qualname__}")
            part.kind = kind  # type: ignore[attr-defined]
            part.facts = facts  # type: ignore[attr-defined]
            if isinstance(name, str):
                part.part_name = name  # type: ignore[attr-defined]
            if part.__module__ == "__main__":
                _define(kind, name, part, facts)
            return part

        return mark

    return noun


def _refuse_duplicate(old: Declaration | None, new: Declaration) -> None:
    if old is not None and (old.module, old.attribute) != (new.module, new.attribute):
        raise UserError(f"two parts are called {new.kind} {new.name!r}: {old.origin} and {new.origin}")


def _installed(point: importlib.metadata.EntryPoint) -> list[Declaration]:
    """The parts of the module that an installed package's entry point names; of a package, of all its modules."""
    try:
        spec = importlib.util.find_spec(point.module)
    except ImportError as error:
        raise UserError(f"entry point {point.name!r} of {ENTRY_POINTS} names {point.module!r}: {error}") from None
    if spec is None or spec.origin is None:
        raise UserError(f"entry point {point.name!r} of {ENTRY_POINTS} names {point.module!r}, which is not there")
    found = []
    base = Path(spec.origin).parent
    for path in sorted(base.rglob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]:
        inside = path.relative_to(base).with_suffix("").parts if spec.submodule_search_locations else ()
        module = ".".join((point.module, *(part for part in inside if part != "__init__")))
        found += read_declarations(path, module, own=True)
    return found


def _define(kind: str, name: str | Mapping[str, Mapping[str, Any]], part: type, facts: Mapping[str, Any]) -> None:
    """Register what a notebook defines: its cell run again replaces the part, another class of that name does not."""
    entries = {name: {}} if isinstance(name, str) else name
    for entry, own in entries.items():
        new = _declare_running(kind, entry, part, {**facts, **own}, not isinstance(name, str))
        check_reserved(new)
        _refuse_duplicate(_DEFINED[kind].get(entry), new)
        _DEFINED[kind][entry] = new


def _declare_running(kind: str, name: str, part: type, facts: Mapping[str, Any], is_family: bool) -> Declaration:
    doc = inspect.getdoc(part) or ""
    options = {}
    for argument in inspect.signature(part).parameters.values():
        if argument.kind is inspect.Parameter.KEYWORD_ONLY:
            default = REQUIRED if argument.default is argument.empty else argument.default
            default = dict(facts.get("options", {})).get(argument.name, default)
            default = list(default) if isinstance(default, tuple) else default
            options[argument.name] = Option(argument.name, _spelled(argument.annotation), default)
    try:
        content = hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
    except (OSError, TypeError):
        content = hashlib.sha256(repr(part).encode()).hexdigest()
    summary = doc.splitlines()[0] if doc else ""
    version = int(getattr(part, "version", 1))
    return Declaration(
        kind=kind,
        name=name,
        summary=str(facts.get("summary", summary)),
        doc=doc,
        facts=facts,
        options=options,
        version=version,
        module="__main__",
        attribute=part.__qualname__,
        origin="a notebook",
        is_family=is_family,
        content=content,
    )


def _spelled(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "Any"
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation).replace("typing.", "")


def _private_name(path: Path) -> str:
    """Of the file's place and content: a part file edited while a notebook runs is another module."""
    content = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(str(path.resolve()).encode() + content).hexdigest()[:8]
    return f"deo_bench_parts.{path.stem}_{digest}"


def _import_file(path: Path, name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise UserError(f"{path}: fails when imported: {type(error).__name__}: {error}") from error
        raise
    return module

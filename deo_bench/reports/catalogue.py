"""The catalogue: tables of parts, made from what they declare and from nothing else, so that drift can be checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from deo_bench.declarations import REQUIRED, Declaration
from deo_bench.errors import UserError
from deo_bench.registry import PACKAGE, Registry

PAGES = {"teachers/README.md": ("teacher",), "students/README.md": ("student", "stem"), "losses/README.md": ("loss",)}
"""The pages that hold a catalogue, and the kinds of parts on each, each between markers of its own."""

Column = tuple[str, Callable[[Declaration], str]]


def table(declarations: Iterable[Declaration]) -> str:
    """A markdown table, a row a part; columns that would be empty are left out, a family's options stand once."""
    rows = list(declarations)
    columns = [column for column in _COLUMNS if any(column[1](row) for row in rows)]
    lines = [" | ".join(title for title, _ in columns), " | ".join("---" for _ in columns)]
    first: dict[tuple[Path | None, str], str] = {}
    for row in rows:
        named = first.setdefault((row.path, _options(row)), row.name)
        repeated = f"as `{named}`" if row.options and named != row.name else ""
        told = (repeated if repeated and title == "options" else text(row) for title, text in columns)
        lines.append(" | ".join(_cell(cell) for cell in told))
    return "\n".join(f"| {line} |" for line in lines)


def render(text: str, kind: str, registry: Registry, where: str) -> str:
    """A page with the table of a kind put anew between its markers."""
    begin, end = f"<!-- catalogue: {kind} -->", f"<!-- end of catalogue: {kind} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(f"{where}: expected {begin} and after it {end}, once each")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    ours = [declared for declared in registry.all(kind).values() if not declared.content]
    return f"{before}{begin}\n{table(ours)}\n{end}{after}"


def pages(root: Path) -> dict[Path, str]:
    """Every page of a checkout as it should be."""
    registry = Registry()
    wanted = {}
    for name, kinds in PAGES.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        for kind in kinds:
            text = render(text, kind, registry, str(path))
        wanted[path] = text
    return wanted


def stale(root: Path) -> list[Path]:
    """The pages that are not as they should be."""
    return [path for path, text in pages(root).items() if path.read_text(encoding="utf-8") != text]


def write(root: Path) -> list[Path]:
    """Write the pages that are stale, and say which they were."""
    wanted = pages(root)
    changed = stale(root)
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8")
    return changed


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(declared: Declaration) -> str:
    """The part's name, a link to its file."""
    inside = declared.path.relative_to(PACKAGE.parent).as_posix() if declared.path else ""
    return f"[`{declared.name}`](../{inside})"


def _options(declared: Declaration) -> str:
    told = []
    for option in declared.options.values():
        default = "…" if option.default is REQUIRED else _value(option.default)
        told.append(f"`{option.name}` {default}")
    return ", ".join(told)


def _value(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _paper(declared: Declaration) -> str:
    link = str(declared.facts.get("paper", ""))
    return f"[{link.removeprefix('https://').removeprefix('doi.org/')}]({link})" if link else ""


def _licence(declared: Declaration) -> str:
    licence = str(declared.facts.get("licence", ""))
    return f"{licence} (gated)" if declared.facts.get("gated") else licence


def _weights(declared: Declaration) -> str:
    weights = str(declared.facts.get("weights", ""))
    return "" if weights == "none" else weights.removeprefix("hub:")


def _list(fact: str) -> Callable[[Declaration], str]:
    def told(declared: Declaration) -> str:
        value = declared.facts.get(fact, "")
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return told


_COLUMNS: tuple[Column, ...] = (
    ("name", _code),
    ("what it is", lambda declared: declared.summary),
    ("takes", _list("takes")),
    ("M parameters", _list("parameters")),
    ("GMACs", _list("gmacs")),
    ("options", _options),
    ("paper", _paper),
    ("weights", _weights),
    ("licence", _licence),
    ("trained on", _list("trained_on")),
)

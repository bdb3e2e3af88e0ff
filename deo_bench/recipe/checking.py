"""Tables held against what they should be; whatever does not fit is one line with the place and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from deo_bench.errors import UserError, nearest, place, shown, wanted

M = TypeVar("M", bound=BaseModel)


def plain(value: Any) -> Any:
    """A value as JSON would give it back: paths as text, tuples as lists, located strings as plain ones."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str | Path) else value


def checked(model: type[M], table: Any, where: str) -> M:
    """A pydantic model of a table; what does not fit is one line with the key, what was given and the nearest name."""
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: expected a table, got {shown(table)}")
    try:
        return model.model_validate(plain(table))
    except ValidationError as error:
        first = error.errors()[0]
        way = place(first, table)
        # After a file's name comes a colon, after a table's a dot.
        here = f"{where}{'' if not way else '.' if ': ' in where else ': '}{'.'.join(way)}"
        if first["type"] == "extra_forbidden":
            raise UserError(f"{here}: unknown key{nearest(way[-1], _known_keys(model, way[:-1]))}") from None
        is_told = first["type"] == "missing" or (first["type"] == "value_error" and isinstance(first["input"], Mapping))
        given = "" if is_told else f", got {shown(first['input'])}"
        raise UserError(f"{here}: {wanted(first)}{given}") from None


def _known_keys(model: type[BaseModel], way: tuple[str, ...]) -> list[str]:
    """The keys of the table at a place in a model's own."""
    for key in way:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        annotation = fields[key].annotation if key in fields else None
        found = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
        model = next((each for each in found if issubclass(each, BaseModel)), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def refuse_repeats(values: Iterable[Any], where: str) -> None:
    """Refuse a list that says something twice: it would be made, fed or shown twice."""
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise UserError(f"{where}: {shown(value)} is there twice; say it once")
        seen.append(value)

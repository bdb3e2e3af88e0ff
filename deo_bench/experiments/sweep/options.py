"""A choice by name with options, `"tpe"` or `{ use = "tpe", group = true }`, held against what there is."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.exceptions import ExperimentalWarning

from deo_bench.errors import UserError, shown, unknown
from deo_bench.recipe.checking import checked
from deo_bench.recipe.models import Table

Made = TypeVar("Made")


def chosen(entry: Any, known: Mapping[str, type[Table]], what: str, where: str) -> tuple[str, dict[str, Any]]:
    """A name and the options that were given for it.

    known: name -> its options; what: `sampler`; where: file and key. Unknown names and options, and values that an
    option cannot have, are UserErrors with the nearest that is right.
    """
    name, given = (entry.get("use"), entry) if isinstance(entry, Mapping) else (entry, {})
    if name is None:
        raise UserError(f"{where}.use: is missing, and says which {what}")
    if not isinstance(name, str):
        raise UserError(f"{where}: has to be the name of a {what}, got {shown(name)}")
    if name not in known:
        raise unknown(what, name, known, where)
    options = checked(known[name], {key: value for key, value in given.items() if key != "use"}, where)
    return name, options.model_dump(exclude_none=True)


def told(name: str, options: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """A choice as JSON, for a study's identity: an option that is written out as it is anyway is none."""
    return {"use": name, **{key: value for key, value in options.items() if key not in usual or value != usual[key]}}


def defaults_of(make: Callable[..., Any]) -> dict[str, Any]:
    """What a class of Optuna's takes where nothing is said."""
    return {name: each.default for name, each in inspect.signature(make).parameters.items()}


def quietly(make: Callable[[], Made]) -> Made:
    """What a call gives, without Optuna's remarks that it may change it one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make()


def made(make: Callable[[], Made], where: str) -> Made:
    """What a call makes of options; options that do not go together are one line in Optuna's words."""
    try:
        return quietly(make)
    except ValueError as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None

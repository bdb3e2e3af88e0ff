"""Libraries that only some parts need: whether they are here, and what brings them; importing this imports none."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from deo_bench.errors import MissingInput

EXTRAS = {"cmaes": "cmaes", "open_clip": "clip", "psycopg": "postgresql", "torchgeo": "geo"}
"""The extra of this project that brings a library, by the name it is imported by."""


def remedy(library: str) -> str:
    """How to get a library, empty where it is here or none is named; nothing is imported."""
    return "" if not library or find_spec(library) else f"pip install 'deo-bench[{EXTRAS[library]}]'"


def import_library(module: str, who: str) -> Any:
    """A module of such a library; who: the part that needs it.

    A library that is not here, or that cannot be imported, is a MissingInput with the command that brings it.
    """
    library = module.partition(".")[0]
    if told := remedy(library):
        raise MissingInput(f"{who}: needs {library}, which is not installed", told)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        told = f"pip install 'deo-bench[{EXTRAS[library]}]'"
        raise MissingInput(f"{who}: {module} cannot be imported ({error})", told) from None

"""A run as data and its identity: what people write, resolved, checked and digested."""

from deo_bench.recipe.identity import Identifier, Prerequisite, canonical, digest
from deo_bench.recipe.models import (
    INIT,
    PIXELS,
    HeadTable,
    InitTable,
    PartTable,
    Recipe,
    StudentTable,
    TeacherTable,
    Term,
    Train,
)
from deo_bench.recipe.presets import find_preset, presets_root
from deo_bench.recipe.resolve import as_untrained, part, resolve
from deo_bench.recipe.toml import Located, locate, merge, parse_value, read_toml, set_path

__all__ = [
    "INIT",
    "PIXELS",
    "HeadTable",
    "Identifier",
    "InitTable",
    "Located",
    "PartTable",
    "Prerequisite",
    "Recipe",
    "StudentTable",
    "TeacherTable",
    "Term",
    "Train",
    "as_untrained",
    "canonical",
    "digest",
    "find_preset",
    "locate",
    "merge",
    "parse_value",
    "part",
    "presets_root",
    "read_toml",
    "resolve",
    "set_path",
]

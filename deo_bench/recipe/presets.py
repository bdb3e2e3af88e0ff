"""Files that ship with the project: experiments, recipes and reports, found by bare name."""

from __future__ import annotations

from pathlib import Path

from deo_bench.errors import UserError, nearest
from deo_bench.recipe.toml import expanded

_PACKAGE = Path(__file__).parents[1]


def presets_root() -> Path:
    """The folder that holds `experiments/` and `reports/`: in a wheel `deo_bench/presets`, else the checkout."""
    shipped = _PACKAGE / "presets"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def find_preset(name: str, folder: str) -> Path:
    """A TOML file by path, or by bare name in `folder` of the working folder, then of the presets."""
    given = expanded(name)
    if given.suffix == ".toml" or given.is_file():
        if not given.is_file():
            what = "is a folder; name a file in it" if given.is_dir() else "there is no such file"
            raise UserError(f"{given}: {what}")
        return given
    places = [Path(folder), presets_root() / folder]
    for place in places:
        if (place / f"{name}.toml").is_file():
            return place / f"{name}.toml"
    known = {str(path.relative_to(place).with_suffix("")) for place in places for path in place.rglob("*.toml")}
    raise UserError(f"there is no {folder}/{name}.toml, here or among the presets{nearest(name, known)}")

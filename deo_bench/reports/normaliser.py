"""Bounds between which scores are normalised: those that a benchmark fixes, or a `normalizer.json` of GEO-Bench's."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from deo_bench.errors import StoreError, UserError, nearest, shown
from deo_bench.files import read_json

Bounds = Mapping[str, tuple[float, float]]

GEOBENCH2: Bounds = {
    "treesatai": (0.538814, 0.671967),
    "forestnet": (0.464250, 0.608258),
    "benv2": (0.713873, 0.766472),
    "so2sat": (0.511156, 0.654158),
    "cloudsen12": (0.589221, 0.706931),
    "dynamic_earthnet": (0.166076, 0.356178),
    "spacenet2": (0.843139, 0.884474),
    "spacenet7": (0.391287, 0.640255),
    "fotw": (0.555282, 0.617908),
    "caffe": (0.559690, 0.700260),
    "burn_scars": (0.649802, 0.901709),
    "pastis": (0.203868, 0.433249),
    "kuro_siwo": (0.320717, 0.702735),
    "flair2": (0.406231, 0.550340),
    "biomassters": (0.948234, 0.960094),
    "everwatch": (0.217701, 0.315550),
    "nzcattle": (0.281951, 0.401745),
    "pastis_r": (0.084836, 0.166144),
    "substation": (0.124440, 0.203193),
}
"""Of GEO-Bench-2's leaderboard, utils/normalizer/leaderboard_combined/normalizer.json (commit f977fd51)."""

NORMALISERS = {"geobench-2": GEOBENCH2}


def read_normaliser(given: str) -> Bounds:
    """Bounds by data set, of a benchmark's name or a file (`{"m-eurosat": [0.7, 0.97]}`)."""
    if given in NORMALISERS:
        return NORMALISERS[given]
    path, known = Path(given), ", ".join(NORMALISERS)
    if not path.is_file():
        hint = nearest(path.name, NORMALISERS)
        raise UserError(f"normaliser: {given} is no file{hint}; say a normalizer.json, or {known}")
    try:
        table = read_json(path)
    except StoreError as error:
        raise UserError(f"normaliser: {error}") from None
    if not isinstance(table, dict):
        raise UserError(f"{path}: expected a table of data sets with a least and a greatest score each")
    return {name: _pair(values, f"{path}: {name}") for name, values in table.items()}


def bounds_of(task: str, bounds: Bounds) -> tuple[float, float] | None:
    """The bounds of a task, whose data set may be called without `gb2-` in front; none where there are none."""
    return bounds.get(task, bounds.get(task.removeprefix("gb2-")))


def _pair(values: object, where: str) -> tuple[float, float]:
    is_pair = isinstance(values, list) and len(values) == 2 and all(type(each) in (int, float) for each in values)
    if not is_pair:
        raise UserError(f"{where}: expected a least and a greatest score, got {shown(values)}")
    low, high = map(float, values)  # type: ignore[call-overload]
    if not (isfinite(low) and isfinite(high) and low < high):
        raise UserError(f"{where}: the bounds have to ascend, got {shown(values)}")
    return low, high

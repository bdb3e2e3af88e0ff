"""Which teachers, which student and which losses matter when Earth-observation backbones are distilled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from deo_bench.bands import Unit
    from deo_bench.engine.plain import PlainStudent

__version__ = "0.1.0"


def scores(store: str | Path = "runs") -> pd.DataFrame:
    """All scores of a store as one tidy table: a row a score, no torch needed."""
    from deo_bench.reports.frame import read_scores

    return read_scores(Path(store))


def load_student(
    path: str | Path, weights: str | None = None, unit: Unit | None = None, parts: Sequence[str | Path] = ()
) -> PlainStudent:
    """A trained student as a plain `nn.Module` with timm's habits, from an export or from a run's folder in a store.

    weights: `student` or `ema`, of a run's folder; unit: what your images are in, where it is not the student's own;
    parts: part files of your own that the student is made of.
    """
    from deo_bench.engine.plain import load_student as load

    return load(path, weights, unit, parts)

"""Which teachers, which student and which losses matter when Earth-observation backbones are distilled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__version__ = "0.1.0"


def scores(store: str | Path = "runs") -> pd.DataFrame:
    """All scores of a store as one tidy table: a row a score, no torch needed."""
    from deo_bench.reports.frame import read_scores

    return read_scores(Path(store))

"""Runs of one model on one task to a mean with its interval; what a reader has to know of it is a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from deo_bench.reports.published.frame import PublishedFrame
from deo_bench.reports.published.torchgeo_bench import TWICE
from deo_bench.reports.statistics import LEVEL, Interquartile, interquartile, observed_bounds

Key = tuple[str, str, str]
"""Model, task, metric."""


@dataclass(frozen=True)
class PublishedCell:
    """One number of a table.

    value: a mean where there are several runs, none where the source contradicts itself; half: of the 95 % interval's
    width, over runs where there are several, else over test images as the source states it; seeds: different ones
    among the runs.
    """

    value: float | None
    half: float | None
    runs: int
    seeds: int
    confidence: str
    notes: tuple[str, ...] = ()


def cells_of(frame: PublishedFrame) -> dict[Key, PublishedCell]:
    """A cell for each model, task and metric of one table; fewer seeds than the most of the table are noted."""
    found = {
        (str(model), str(task), str(metric)): rows
        for (model, task, metric), rows in frame.groupby(["model", "task", "metric"], sort=False)
    }
    counts = {key: _counts(rows) for key, rows in found.items()}
    most = max((seeds for _, seeds in counts.values()), default=1)
    return {key: _cell(rows, *counts[key], most) for key, rows in found.items()}


def normalised_means(frame: PublishedFrame) -> dict[str, Interquartile]:
    """Model -> inter-quartile mean of every run of one table, tasks scaled to the least and the most of them all.

    Only of models that ran on every task, several times: on fewer tasks it would be another quantity.
    """
    whole = frame[~frame["note"].str.startswith(TWICE)]
    rows = {
        str(model): {str(task): of["value"].tolist() for task, of in runs.groupby("task", sort=False)}
        for model, runs in whole.groupby("model", sort=False)
    }
    bounds = observed_bounds(rows.values())
    if not all(high > low for low, high in bounds.values()):
        return {}
    return {
        model: interquartile(values, bounds)
        for model, values in rows.items()
        if values.keys() == bounds.keys() and min(map(len, values.values())) > 1
    }


def _counts(rows: PublishedFrame) -> tuple[int, int]:
    """Runs and different seeds behind a cell; a number without either counts as one."""
    if len(rows) > 1:
        return len(rows), max(int(rows["seed"].nunique()), 1)
    row = rows.iloc[0]
    runs = _whole(row["runs"])
    return runs, _whole(row["seeds"], runs)


def _cell(rows: PublishedFrame, runs: int, seeds: int, most: int) -> PublishedCell:
    notes = dict.fromkeys(note for note in rows["note"] if note)
    first = rows.iloc[0]
    if any(note.startswith(TWICE) for note in notes):
        return PublishedCell(None, None, 1, 1, first["confidence"], tuple(notes))
    said = [_seeds_note(runs, seeds, most)] if seeds < most else []
    return PublishedCell(
        float(rows["value"].mean()), _half(rows, runs), runs, seeds, first["confidence"], (*said, *notes)
    )


def _seeds_note(runs: int, seeds: int, most: int) -> str:
    again = f" ({runs} runs: some seeds ran again)" if runs > seeds else ""
    return f"{seeds} {'seed' if seeds == 1 else 'seeds'}{again}, other cells up to {most}"


def _half(rows: PublishedFrame, runs: int) -> float | None:
    first = rows.iloc[0]
    spread = float(rows["value"].std(ddof=1)) if len(rows) > 1 else float(first["spread"])
    if runs > 1 and np.isfinite(spread):
        return float(stats.t.ppf((1 + LEVEL) / 2, runs - 1)) * spread / float(np.sqrt(runs))
    half = (float(first["high"]) - float(first["low"])) / 2
    return half if np.isfinite(half) else None


def _whole(value: Any, without: int = 1) -> int:
    return without if pd.isna(value) else int(value)

"""All scores of a store as one tidy table, read fast and trusted little."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from deo_bench.score import Score
from deo_bench.store.scores import printable, read_score

_FIELDS = tuple(name for name in Score.model_fields if name != "role")
"""The fields of a score on the report split, the only ones that are read here."""
_in_order = itemgetter(*_FIELDS)
_RUN = re.compile(r"([0-9a-f]{12})-s(-?\d+)")
_BOUND = re.compile(r"backbones/[0-9a-f]{12}-s(-?\d+)\+.+")
"""A run's features beside a frozen teacher's: it has the run's seed, and is not the run."""

COLUMNS = (*_FIELDS, "run", "seed", "path")
"""The fields of a score, then the 12 hex that a recipe's runs share (none for what is not a run), seed, predictions."""


def read_scores(
    store: Path, problems: list[str] | None = None, subjects: Collection[str] | None = None
) -> pd.DataFrame:
    """A row a score of every run and backbone in a store, or of these subjects alone.

    Columns are a score's fields, then `run` (the 12 hex that all seeds of a recipe share), `seed` (none for what is
    not a run) and `path` (the predictions beside the score). A file that is torn, foreign or unreadable is named in
    `problems` and never used, and a folder that cannot be read likewise.
    """
    found: list[str] = [] if problems is None else problems
    rows: list[tuple[Any, ...]] = []
    with _no_collection():
        for subject in _every_subject(store, found) if subjects is None else sorted(set(subjects), key=_runs_first):
            run, seed = _run_of(subject)
            folder = f"{store}/{subject}/scores"
            for name in _score_files(folder, found, subject):
                try:
                    score = read_score(folder, name, subject)
                    rows.append((*_in_order(score.__dict__), run, seed, f"{folder}/{name[:-5]}.npz"))
                except (OSError, ValueError) as error:
                    found.append(f"{printable(f'{subject}/scores/{name}')}: not used, {_reason(error)}")
        table = pd.DataFrame(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else [], columns=COLUMNS)
    for name in ("seed", "step", "num_groups", "n"):
        table[name] = table[name].astype("Int64")
    for name in ("value", "low", "high"):
        table[name] = table[name].astype("float64")
    return table


@contextmanager
def _no_collection() -> Iterator[None]:
    """A block without garbage collection: it would walk every new row again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _every_subject(store: Path, problems: list[str]) -> list[str]:
    """Names of the runs, then of the backbones, in order."""
    runs = [name for name in _folders(store, "", problems) if _RUN.fullmatch(name)]
    return runs + [f"backbones/{name}" for name in _folders(store, "backbones/", problems)]


def _runs_first(subject: str) -> tuple[bool, str]:
    return "/" in subject, subject


def _folders(store: Path, prefix: str, problems: list[str]) -> list[str]:
    names = []
    try:
        with os.scandir(store / prefix) as entries:
            for entry in entries:
                try:
                    if entry.is_dir():
                        names.append(entry.name)
                except OSError as error:
                    problems.append(f"{printable(prefix + entry.name)}: not used, {_reason(error)}")
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{printable(prefix or str(store))}: not used, {_reason(error)}")
    return sorted(names)


def _score_files(folder: str, problems: list[str], subject: str) -> list[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a Path a file doubles the time)
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{printable(subject)}/scores: not used, {_reason(error)}")
        return []
    return sorted(name for name in names if name.endswith(".json") and name[0] != ".")


def _reason(error: Exception) -> str:
    """What an exception says, without the path that an operating system's error repeats."""
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)


def _run_of(subject: str) -> tuple[str | None, int | None]:
    if match := _RUN.fullmatch(subject):
        return match[1], int(match[2])
    bound = _BOUND.fullmatch(subject)
    return None, int(bound[1]) if bound else None

"""All scores of a store as one tidy table, read fast and trusted little."""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from deo_bench.score import Score

_FIELDS = Score.model_fields
_REQUIRED = frozenset(name for name, field in _FIELDS.items() if field.is_required())
_NUMBER, _NUMBER_OR_NONE = (float, int), (float, int, type(None))
_in_order = itemgetter(*_FIELDS)
_optional_numbers = itemgetter("low", "high", "step", "num_groups")
_RUN = re.compile(r"([0-9a-f]{12})-s(-?\d+)")
_BOUND = re.compile(r"backbones/[0-9a-f]{12}-s(-?\d+)\+.+")
"""A run's features beside a frozen teacher's: it has the run's seed, and is not the run."""
_LARGEST = 1 << 16
"""Bytes of the largest score file that is believed to be one; a real one has about a thousand."""

COLUMNS = (*_FIELDS, "run", "seed", "path")
"""The fields of a score, then the 12 hex that a recipe's runs share (none for what is not a run), seed, predictions."""


def read_scores(store: Path, problems: list[str] | None = None) -> pd.DataFrame:
    """A row a score of every run and backbone in a store.

    Columns are a score's fields, then `run` (the 12 hex that all seeds of a recipe share), `seed` (none for what is
    not a run) and `path` (the predictions beside the score). A file that is torn, foreign or unreadable is named in
    `problems` and never used.
    """
    found: list[str] = [] if problems is None else problems
    rows: list[tuple[Any, ...]] = []
    with _no_collection():
        for subject, folder in _subjects(store):
            run, seed = _run_of(subject)
            for path in _score_files(folder, found, subject):
                try:
                    rows.append((*_read_score(path, subject), run, seed, path[:-5] + ".npz"))
                except (OSError, ValueError) as error:
                    found.append(f"{path.removeprefix(f'{store}/')}: not used, {_reason(error)}")
        table = pd.DataFrame(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else [], columns=COLUMNS)
    for name in ("seed", "step", "num_groups", "n"):
        table[name] = table[name].astype("Int64")
    for name in ("value", "low", "high"):
        table[name] = table[name].astype("float64")
    return table


@contextmanager
def _no_collection() -> Iterator[None]:
    """A block without garbage collection: it would walk every new dictionary again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _subjects(store: Path) -> Iterator[tuple[str, str]]:
    """Names and score folders of the runs, then of the backbones, in order."""
    for name in _folders(store):
        if _RUN.fullmatch(name):
            yield name, f"{store}/{name}/scores"
    for name in _folders(store / "backbones"):
        yield f"backbones/{name}", f"{store}/backbones/{name}/scores"


def _folders(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def _score_files(folder: str, problems: list[str], subject: str) -> list[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a Path a file doubles the time)
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{subject}/scores: not used, {_reason(error)}")
        return []
    return [f"{folder}/{name}" for name in sorted(names) if name.endswith(".json") and name[0] != "."]


def _reason(error: Exception) -> str:
    """What an exception says, without the path that an operating system's error repeats."""
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)


def _run_of(subject: str) -> tuple[str | None, int | None]:
    if match := _RUN.fullmatch(subject):
        return match[1], int(match[2])
    bound = _BOUND.fullmatch(subject)
    return None, int(bound[1]) if bound else None


def _read_score(path: str, subject: str) -> tuple[Any, ...]:
    """The fields of one score file in order; a ValueError that says what is wrong with it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
    try:
        data = json.loads(content.decode())
    except ValueError:
        raise ValueError("it is torn or no JSON") from None
    if not isinstance(data, dict) or not data.keys() >= _REQUIRED:
        missing = ", ".join(sorted(_REQUIRED - set(data))) if isinstance(data, dict) else "everything"
        raise ValueError(f"it is no score: it lacks {missing}")
    if len(data) < len(_FIELDS):
        data = {name: field.get_default() for name, field in _FIELDS.items() if not field.is_required()} | data
    if len(data) > len(_FIELDS) or not data.keys() <= _FIELDS.keys():
        raise ValueError(f"it is no score of this version: unknown {', '.join(sorted(data.keys() - _FIELDS.keys()))}")
    _check(data, subject, path)
    return _in_order(data)


def _check(data: dict[str, Any], subject: str, path: str) -> None:
    if data["subject"] != subject:
        raise ValueError(f"it belongs to {data['subject']}")
    if not path.endswith(f"/{data['task']}.{data['probe']}.{data['digest']}.json"):
        raise ValueError("its name is not its task, probe and digest")
    if type(data["value"]) not in _NUMBER or not isfinite(data["value"]) or type(data["n"]) is not int:
        raise ValueError("its value or n is no number")
    if any(type(value) not in _NUMBER_OR_NONE for value in _optional_numbers(data)):
        raise ValueError("its interval, step or groups are no numbers")

"""A submission to GEO-Bench-2's leaderboard: its rows and its notes, from scores under the protocol `gb2-hpo16`.

Format: https://github.com/The-AI-Alliance/GEO-Bench-2-Leaderboard (README, utils/constants.py, utils/input_validation).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from deo_bench.errors import UserError, nearest, shown, unknown
from deo_bench.probes.record import ProtocolRecord
from deo_bench.reports.entries import Entry

PROTOCOL = "gb2-hpo16"
SEEDS = 5
"""Rows of each backbone on each data set that the leaderboard takes, no more and no fewer."""

DATASETS = (
    "so2sat", "forestnet", "benv2", "treesatai", "burn_scars", "caffe", "cloudsen12", "dynamic_earthnet", "flair2",
    "fotw", "kuro_siwo", "pastis", "spacenet2", "spacenet7",
)  # fmt: skip
"""The leaderboard's data sets with a class or several an image, or a class a pixel; its others are no such task."""

CLASSIFICATION = DATASETS[:4]
"""A capability of its own: a submission is listed where it has all data sets of one."""

METRICS = {"accuracy": "Overall_Accuracy", "macro_f1": "Multilabel_F1_Score", "miou": "Multiclass_Jaccard_Index"}
BOARDS = {"finetune": "full_ft", "frozen": "frozen"}
"""Probe of the protocol -> what the leaderboard calls it; each is submitted by itself."""

COLUMNS = (
    "dataset", "Metric", "experiment_name", "partition name", "backbone", "decoder", "batch_size_selection",
    "frozen_or_full_ft", "early_stop_patience", "n_trials", "Seed", "data_percentages", "batch_size", "weight_decay",
    "lr", "test metric",
)  # fmt: skip
ROWS, NOTES = "results_and_parameters.csv", "additional_info.json"
FILES = (ROWS, NOTES)

_PARTITION = re.compile(r"(\d\.\d\d)x_train")
_HOW = (
    "Each seed is a backbone of its own, pre-trained with that seed. It has the best, on the validation split, of "
    "{trials} settings that were drawn at random, the same for all seeds and data sets; the head's start and the order "
    "of images are the same for all seeds, too. Images of 224 pixels, z-scores of the data set; a linear layer on the "
    "pooled vector, or the decoder on four levels of maps."
)


@dataclass(frozen=True)
class Asked:
    """Which scores are submitted; bands: none for the one set that there is."""

    experiment: str
    probe: str = "finetune"
    partition: str = "default"
    weights: str = "student"
    bands: str | None = None
    tasks: Sequence[str] = ()
    allow_fewer: bool = False


@dataclass(frozen=True)
class Submission:
    """Rows as the leaderboard has them, what it asks beside them, and lines for whoever sends them."""

    rows: list[dict[str, Any]]
    info: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def files(self) -> dict[str, bytes]:
        """The two files by name."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        told = json.dumps(self.info, indent=4, ensure_ascii=False) + "\n"
        return {ROWS: text.getvalue().encode(), NOTES: told.encode()}


def submission(frame: pd.DataFrame, entries: Sequence[Entry], protocol: ProtocolRecord, asked: Asked) -> Submission:
    """The submission of an experiment's cells.

    frame: scores as `read_scores` gives them, those of the plan alone; protocol: the record that they were made under.
    Errors: another protocol, a data set that the leaderboard does not know, fewer than 5 seeds, several band sets.
    """
    if protocol.id != PROTOCOL:
        raise UserError(
            f"{asked.experiment}: protocol {protocol.id} is none that the leaderboard takes; it is {PROTOCOL}"
        )
    wanted = (frame["protocol"] == PROTOCOL) & (frame["probe"] == asked.probe) & frame["step"].isna()
    wanted &= (frame["partition"] == asked.partition) & (frame["weights"] == asked.weights)
    scores = frame[wanted & ((frame["bands"] == asked.bands) if asked.bands else True)]
    cells = [entry for entry in entries if entry.kind == "cell"]
    tasks = _tasks(list(dict.fromkeys(frame["task"])), asked)
    if asked.probe not in protocol.probes:
        raise unknown("probe", asked.probe, protocol.probes, f"{asked.experiment}: protocols.probes")
    options = protocol.probes[asked.probe].options
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    backbones: list[dict[str, str]] = []
    for entry in cells:
        name = _backbone(asked.experiment, entry.label)
        made = [row for task in tasks for row in _rows(scores, entry, task, name, options, asked, notes)]
        rows += made
        if made:
            size = f"{entry.parameters:g}M" if entry.parameters else "N/A"
            backbones.append({"model_display_name": name, "model_size": size, "unique_backbone_key": name})
    if not rows:
        raise UserError(f"{asked.experiment}: no cell has a score of probe {asked.probe!r} under {PROTOCOL} yet")
    lacks = [name for name in CLASSIFICATION if name not in {row["dataset"] for row in rows}]
    if lacks:
        notes.append(f"the leaderboard lists classification where all of it is there; this lacks {', '.join(lacks)}")
    return Submission(rows, _info(backbones, options), notes)


def _tasks(there: list[str], asked: Asked) -> list[str]:
    """The data sets that are submitted: those asked for, else all of the experiment's."""
    for task in asked.tasks:
        if task not in there:
            raise UserError(f"--task {task}: the experiment has no score on it{nearest(task, there)}")
    chosen = list(asked.tasks) or there
    for task in chosen:
        if data_set(task) not in DATASETS:
            told = f"task {shown(task)} is no data set of the leaderboard{nearest(data_set(task), DATASETS)}"
            raise UserError(f"{asked.experiment}: {told}; --task chooses among the experiment's")
        if sum(data_set(other) == data_set(task) for other in chosen) > 1:
            raise UserError(f"{asked.experiment}: several tasks are {data_set(task)}; --task says which counts")
    return sorted(chosen, key=lambda task: DATASETS.index(data_set(task)))


def data_set(task: str) -> str:
    """What the leaderboard calls a task: `gb2-so2sat`, as it is called here, is `so2sat`."""
    return task.removeprefix("gb2-")


def _rows(
    scores: pd.DataFrame, entry: Entry, task: str, name: str, options: dict[str, Any], asked: Asked, notes: list[str]
) -> list[dict[str, Any]]:
    """A row a seed of one cell on one data set."""
    seeds = {subject: seed for seed, subject in entry.subjects}
    found = scores[(scores["task"] == task) & scores["subject"].isin(list(seeds))]
    bands = sorted(set(found["bands"]))
    if len(bands) > 1:
        raise UserError(
            f"{asked.experiment}: {entry.label!r} is scored on {', '.join(bands)}; --bands says which counts"
        )
    by_seed = {int(seeds[str(row.subject)] or 0): row for row in found.itertuples(index=False)}
    if len(by_seed) < len(found):
        raise UserError(
            f"{asked.experiment}: {entry.label!r} has several versions of its scores on {task}; score it anew"
        )
    chosen = sorted(by_seed)[:SEEDS]
    if len(chosen) < SEEDS and not asked.allow_fewer:
        told = f"seeds {', '.join(map(str, chosen))}" if chosen else "no seed"
        raise UserError(
            f"{asked.experiment}: {entry.label!r} has scores of {told} on {task}, the leaderboard takes {SEEDS}; "
            "run more seeds, or say --allow-fewer"
        )
    if len(by_seed) > SEEDS:
        notes.append(f"{entry.label!r} on {task}: the first {SEEDS} of {len(by_seed)} seeds, as many as are taken")
    return [_row(by_seed[seed], seed, name, options, asked) for seed in chosen]


def _row(score: Any, seed: int, name: str, options: dict[str, Any], asked: Asked) -> dict[str, Any]:
    if score.metric not in METRICS:
        raise UserError(f"{score.path}: {score.metric!r} is none of the leaderboard's metrics")
    lacks = [key for key in ("batch", "weight_decay", "learning_rate") if key not in score.chosen]
    if lacks:
        raise UserError(f"{score.path}: its chosen settings lack {', '.join(lacks)}; score it anew")
    share = _PARTITION.fullmatch(score.partition)
    percent = 100 * float(share[1]) if share else 100.0
    return {
        "dataset": data_set(score.task), "Metric": METRICS[score.metric], "experiment_name": asked.experiment,
        "partition name": f"{percent / 100:.2f}x train", "backbone": name,
        "decoder": options["decoder"] if score.metric == "miou" else "linear",
        "batch_size_selection": "optimized" if options["batches"] else "fixed",
        "frozen_or_full_ft": BOARDS[asked.probe], "early_stop_patience": options["patience"],
        "n_trials": options["trials"], "Seed": seed, "data_percentages": round(percent),
        "batch_size": score.chosen["batch"], "weight_decay": score.chosen["weight_decay"],
        "lr": score.chosen["learning_rate"], "test metric": score.value,
    }  # fmt: skip


def _backbone(experiment: str, label: str) -> str:
    return experiment if label == experiment else f"{experiment}: {label}"


def _info(backbones: list[dict[str, str]], options: dict[str, Any]) -> dict[str, Any]:
    """What the leaderboard asks beside the rows, in its own keys (one ends in a space)."""
    return {
        "Paper Link": "N/A",
        "Code Repository Link ": "N/A",
        "License": "N/A",
        "Number of HPO trials": str(options["trials"]),
        "Additional information about submission": _HOW.format(trials=options["trials"]),
        "Comments on new models in submission": "N/A",
        "New model info": backbones,
    }

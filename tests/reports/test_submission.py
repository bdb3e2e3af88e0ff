"""GEO-Bench-2's submission: the leaderboard's columns and keys, which scores are in it, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from deo_bench.errors import UserError
from deo_bench.probes.record import ProtocolRecord, resolve
from deo_bench.reports.entries import Entry
from deo_bench.reports.frame import read_scores
from deo_bench.reports.submission import Asked, Submission, submission
from tests.reports.conftest import FakeStore

CHOSEN = {"learning_rate": 3.2e-05, "head_learning_rate": 3.2e-05, "batch": 16, "weight_decay": 0.01, "value": 0.6}
TEXT = ["dataset", "Metric", "experiment_name", "partition name", "backbone", "decoder", "batch_size_selection"]
WHOLE = ["early_stop_patience", "n_trials", "Seed", "data_percentages", "batch_size"]
REAL = ["weight_decay", "lr", "test metric"]
ASKED = Asked("grid")


@pytest.fixture(scope="module")
def protocol() -> ProtocolRecord:
    return resolve("gb2-hpo16")


def cell(fake: FakeStore, label: str = "clip", task: str = "so2sat", seeds: int = 5, **fields: Any) -> Entry:
    given = {"probe": "finetune", "protocol": "gb2-hpo16", "chosen": CHOSEN, "size": 40, **fields}
    return fake.cell(label, [0.5 + 0.025 * seed for seed in range(seeds)], task, **given)


def made(fake: FakeStore, protocol: ProtocolRecord, *entries: Entry, **asked: Any) -> Submission:
    return submission(read_scores(fake.root), entries, protocol, replace(ASKED, **asked))


def table(found: Submission) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(found.files()["results_and_parameters.csv"]))


def test_the_columns_and_their_types_are_the_leaderboards(fake: FakeStore, protocol: ProtocolRecord) -> None:
    """As its `check_csv_columns_datatypes` and `check_correct_entries_per_dataset` have them."""
    entry = cell(fake)
    cell(fake, task="benv2", metric="macro_f1", kind="multi")
    cell(fake, task="gb2-burn_scars", metric="miou")
    found = table(made(fake, protocol, entry))
    assert list(found) == [*TEXT, "frozen_or_full_ft", *WHOLE, *REAL]
    assert all(pd.api.types.is_numeric_dtype(found[name]) for name in [*WHOLE, *REAL])
    assert not any(pd.api.types.is_numeric_dtype(found[name]) for name in [*TEXT, "frozen_or_full_ft"])
    assert set(found["frozen_or_full_ft"]) <= {"frozen", "full_ft"}
    each = found.groupby(["backbone", "dataset"])
    assert set(each["test metric"].count()) == set(each["Seed"].nunique()) == {5}
    assert dict(zip(found["dataset"], found["Metric"], strict=True)) == {
        "so2sat": "Overall_Accuracy",
        "benv2": "Multilabel_F1_Score",
        "burn_scars": "Multiclass_Jaccard_Index",
    }
    assert dict(zip(found["dataset"], found["decoder"], strict=True)) == {
        "so2sat": "linear", "benv2": "linear", "burn_scars": "upernet",
    }  # fmt: skip


def test_a_row_holds_what_the_probe_chose(fake: FakeStore, protocol: ProtocolRecord) -> None:
    rows = list(
        csv.DictReader(made(fake, protocol, cell(fake)).files()["results_and_parameters.csv"].decode().split("\n"))
    )
    assert rows[2] == {
        "dataset": "so2sat", "Metric": "Overall_Accuracy", "experiment_name": "grid", "partition name": "1.00x train",
        "backbone": "grid: clip", "decoder": "linear", "batch_size_selection": "optimized",
        "frozen_or_full_ft": "full_ft", "early_stop_patience": "10", "n_trials": "16", "Seed": "2",
        "data_percentages": "100", "batch_size": "16", "weight_decay": "0.01", "lr": "3.2e-05", "test metric": "0.55",
    }  # fmt: skip


def test_the_notes_have_the_keys_of_the_leaderboards_example(fake: FakeStore, protocol: ProtocolRecord) -> None:
    entries = [replace(cell(fake), parameters=22.0), cell(fake, "grid")]
    info = json.loads(made(fake, protocol, *entries).files()["additional_info.json"])
    keys = ["Paper Link", "Code Repository Link ", "License", "Number of HPO trials"]
    keys += ["Additional information about submission", "Comments on new models in submission", "New model info"]
    assert list(info) == keys and all(isinstance(info[key], str) for key in keys[:-1])
    assert info["Number of HPO trials"] == "16"
    told = made(fake, protocol, *entries).files()["additional_info.json"].decode()
    assert "16 settings that were drawn at random, the same for all seeds" in told and "anew" not in told
    assert info["New model info"] == [
        {"model_display_name": "grid: clip", "model_size": "22M", "unique_backbone_key": "grid: clip"},
        {"model_display_name": "grid", "model_size": "N/A", "unique_backbone_key": "grid"},
    ]


def test_only_the_scores_asked_for_are_in_it(fake: FakeStore, protocol: ProtocolRecord) -> None:
    entry = cell(fake)
    others: list[dict[str, Any]] = [
        {"protocol": "gb1-finetune"}, {"probe": "frozen"}, {"weights": "ema"}, {"step": 4},
        {"partition": "0.10x_train"},
    ]  # fmt: skip
    for fields in others:
        cell(fake, **{"value": 0.9, **fields})
    fake.single("dinov3", 0.9, task="so2sat", probe="finetune", protocol="gb2-hpo16", chosen=CHOSEN)
    assert table(made(fake, protocol, entry))["test metric"].tolist() == pytest.approx([0.5, 0.525, 0.55, 0.575, 0.6])
    frozen = table(made(fake, protocol, entry, probe="frozen"))
    assert set(frozen["frozen_or_full_ft"]) == {"frozen"} and set(frozen["test metric"]) == {0.9}
    few = table(made(fake, protocol, entry, partition="0.10x_train"))
    assert set(few["partition name"]) == {"0.10x train"} and set(few["data_percentages"]) == {10}


def test_fewer_than_five_seeds_are_refused_and_more_are_left_out(fake: FakeStore, protocol: ProtocolRecord) -> None:
    few = cell(fake, "few", seeds=3)
    with pytest.raises(UserError, match=r"'few' has scores of seeds 0, 1, 2 on so2sat.*takes 5.*--allow-fewer") as told:
        made(fake, protocol, few)
    assert "\n" not in str(told.value)
    assert len(table(made(fake, protocol, few, allow_fewer=True))) == 3
    many = made(fake, protocol, cell(fake, "many", seeds=7))
    assert table(many)["Seed"].tolist() == [0, 1, 2, 3, 4]
    assert "'many' on so2sat: the first 5 of 7 seeds, as many as are taken" in many.notes
    with pytest.raises(UserError, match="'none' has scores of no seed on so2sat"):
        made(fake, protocol, Entry("none", "cell", [(0, "000000000000-s0")]))


def test_a_capability_that_is_not_whole_is_said(fake: FakeStore, protocol: ProtocolRecord) -> None:
    entry = cell(fake)
    assert made(fake, protocol, entry).notes[-1].endswith("this lacks forestnet, benv2, treesatai")
    for task in ("gb2-forestnet", "benv2", "gb2-treesatai"):
        cell(fake, task=task)
    assert made(fake, protocol, entry).notes == []


def test_what_is_no_submission_is_one_line(fake: FakeStore, protocol: ProtocolRecord) -> None:
    entry = cell(fake)
    with pytest.raises(UserError, match="grid: protocol custom-1 is none that the leaderboard takes; it is gb2-hpo16"):
        made(fake, protocol.model_copy(update={"id": "custom-1"}), entry)
    with pytest.raises(UserError, match="--task so2sta: .*did you mean 'so2sat'"):
        made(fake, protocol, entry, tasks=["so2sta"])
    with pytest.raises(UserError, match="no cell has a score of probe 'frozen' under gb2-hpo16 yet"):
        made(fake, protocol, entry, probe="frozen", allow_fewer=True)
    cell(fake, task="benv2", metric="macro_f1", digest="00000000")
    cell(fake, task="benv2", metric="macro_f1", digest="00000001")
    with pytest.raises(UserError, match="'clip' has several versions of its scores on benv2; score it anew"):
        made(fake, protocol, entry)
    cell(fake, bands="rgb")
    with pytest.raises(UserError, match="'clip' is scored on rgb, s2_10; --bands says which"):
        made(fake, protocol, entry)
    cell(fake, task="gb2-so2sat")
    with pytest.raises(UserError, match="several tasks are so2sat; --task says which"):
        made(fake, protocol, entry, bands="rgb")
    cell(fake, task="cover")
    with pytest.raises(UserError, match="task 'cover' is no data set of the leaderboard; .*--task chooses"):
        made(fake, protocol, entry, bands="rgb")
    assert len(table(made(fake, protocol, entry, bands="rgb", tasks=["so2sat"]))) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "micro_map"}, r"so2sat.finetune.\w+.npz: 'micro_map' is none of the leaderboard's metrics"),
        ({"chosen": {"c": 1.0}}, "its chosen settings lack batch, weight_decay, learning_rate; score it anew"),
    ],
)
def test_a_score_that_lacks_what_a_row_says_is_named(
    fake: FakeStore, protocol: ProtocolRecord, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        made(fake, protocol, cell(fake, **fields))

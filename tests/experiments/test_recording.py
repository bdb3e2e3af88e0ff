"""Expectations on record: once and in time, through kills, torn files, other processes, merges and prunings."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from deo_bench.experiments.answer import check_own_report, entries_of, expected_of, report_of, scope_of
from deo_bench.experiments.events import Scored
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.recording import put_on_record
from deo_bench.files import one_at_a_time
from deo_bench.reports.declared import read_records
from deo_bench.reports.report import Report, make_report
from deo_bench.store import Store
from deo_bench.store.prune import Wanted, look
from tests.experiments.conftest import Place
from tests.experiments.test_expectations import HELD, beside_cache
from tests.tiny import EXPERIMENT


def record(place: Place) -> dict[str, Any]:
    (path,) = (place.store / "expected").glob("*.json")
    return dict(json.loads(path.read_text()))


def expecting(place: Place, text: str = HELD, *overrides: str) -> Plan:
    place.file.write_text(f"{EXPERIMENT}\n{text}")
    return place.plan(*overrides)


def told(plan: Plan) -> tuple[str, str, str]:
    """Verdict, standing and what stands in the report about it, of the only comparison."""
    report: Report = make_report(report_of(plan), entries_of(plan), scope_of(plan), plan.store.root, expected_of(plan))
    (judged,) = report.answer.answered[0].comparisons
    notes = [note for each in report.sections for grid in each.grids for note in grid.footnotes]
    return judged.verdict, judged.standing, "\n".join([*notes, *report.problems])


def test_declared_before_the_first_step_tested_after_the_last_score(place: Place) -> None:
    """The whole life of it: on record at zero scores, never touched again, and with more seeds still a prediction."""
    plan = expecting(place)
    assert put_on_record(plan, expected_of(plan)) == []
    one = record(place)
    assert (one["scores_there"], one["scores"], one["experiment"], one["why"]) == (0, 4, "tiny", "it is trained")
    assert one["comparisons"][0]["seeds"] == [0, 1] and one["words"] == "weight=1.0 better than untrained"
    assert told(plan)[0] == "not tested"
    place.carry_out(plan)
    before = {path: path.read_bytes() for path in (place.store / "expected").iterdir()}
    again = place.plan()
    assert put_on_record(again, expected_of(again)) == []
    assert {path: path.read_bytes() for path in (place.store / "expected").iterdir()} == before
    verdict, standing, notes = told(again)
    assert verdict in ("held", "refuted", "undecided") and standing == "before" and "it is trained" in notes
    more = place.plan("seeds=[0, 1, 2]")
    put_on_record(more, expected_of(more))
    place.carry_out(more)
    verdict, standing, notes = told(more)
    assert standing == "before" and "seeds added since it was declared: 2" in notes


def test_declared_after_the_scores_is_late_and_said(finished: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(finished.store, place.store)
    plan = expecting(place)
    assert told(plan)[1] == "not on record"
    put_on_record(plan, expected_of(plan))
    assert (record(place)["scores_there"], record(place)["comparisons"][0]["differences_there"]) == (4, 1)
    assert told(plan)[1] == "late" and "declared late: 4 of 4 scores were there" in told(plan)[2]


def test_other_seeds_of_the_same_recipes_are_known_too(finished: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(finished.store, place.store)
    plan = expecting(place, HELD, "seeds=[7, 8]")
    put_on_record(plan, expected_of(plan))
    one = record(place)["comparisons"][0]
    assert (one["scores"], one["scores_there"], one["differences_there"]) == (8, 4, 1)


def test_scores_of_one_side_tell_no_difference(finished: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shutil.copytree(finished.store, place.store)
    for _, name in finished.plan().rows[1].subjects:
        shutil.rmtree(place.store / name)
    plan = expecting(place)
    put_on_record(plan, expected_of(plan))
    one = record(place)["comparisons"][0]
    assert (one["scores"], one["scores_there"], one["differences_there"]) == (4, 2, 0)


def test_stopped_between_two_scores_it_is_late_by_what_was_there(place: Place) -> None:
    place.file.write_text(EXPERIMENT)
    events = Launch(place.plan(), "cpu").events()
    scored = [event for event, _ in zip((e for e in events if isinstance(e, Scored)), range(7), strict=False)]
    events.close()
    assert len(scored) == 7
    plan = expecting(place, HELD.replace("untrained", "weight=0.0"))
    put_on_record(plan, expected_of(plan))
    there = record(place)["comparisons"][0]["scores_there"]
    knn = [event for event in scored if event.probe == "knn5_l2" and event.label.startswith("weight")]
    assert there == len(knn) and 0 < there < 4


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"digest": "x"}', b"\xff\xfe"])
def test_a_torn_record_is_named_and_written_again(place: Place, left: bytes) -> None:
    plan = expecting(place)
    put_on_record(plan, expected_of(plan))
    (path,) = (place.store / "expected").glob("*.json")
    whole = path.read_bytes()
    path.write_bytes(left)
    assert told(plan)[1] == "not on record" and f"expected/{path.name}: not used" in told(plan)[2]
    (said,) = put_on_record(plan, expected_of(plan))
    assert str(path) in said and "torn or foreign" in said and path.read_bytes() == whole


def test_a_write_that_is_cut_off_leaves_nothing_that_counts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = expecting(place)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            put_on_record(plan, expected_of(plan))
    assert read_records(place.store).said == [] and read_records(place.store).problems == []
    put_on_record(plan, expected_of(plan))
    assert record(place)["scores_there"] == 0


def test_who_comes_second_waits_and_leaves_what_the_first_wrote(place: Place) -> None:
    """Another process holds the folder, and writes while this one waits; this one must look again."""
    plan = expecting(place)
    expected = expected_of(plan)
    folder = place.store / "expected"
    elsewhere = Place(place.folder / "elsewhere")
    other = expecting(elsewhere)
    put_on_record(other, expected_of(other))
    (made,) = (elsewhere.store / "expected").glob("*.json")
    first = json.dumps({**json.loads(made.read_text()), "experiment": "the first"})
    with one_at_a_time(folder / "record"):
        second = threading.Thread(target=put_on_record, args=(plan, expected))
        second.start()
        second.join(1.0)
        assert second.is_alive()
        (folder / made.name).write_text(first)
    second.join(30)
    assert not second.is_alive() and (folder / made.name).read_text() == first


def test_a_store_that_is_copied_into_another_takes_its_records_along(finished: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    plan = expecting(place)
    put_on_record(plan, expected_of(plan))
    merged = tmp_path / "merged"
    shutil.copytree(finished.store, merged)
    shutil.copytree(place.store, merged, dirs_exist_ok=True)
    there = place.plan(store=merged)
    assert put_on_record(there, expected_of(there)) == [] and told(there)[1] == "before"


def test_pruning_keeps_what_is_on_record_and_takes_what_a_kill_left(place: Place) -> None:
    plan = expecting(place)
    put_on_record(plan, expected_of(plan))
    left = place.store / "expected" / ".0123.json.1.ab.tmp"
    left.write_text("{")
    os.utime(left, (0, 0))
    found = look(Store(place.store), place.store / "cache", Wanted(keep=frozenset(), scores=True))
    assert [path for item in found.items for path in item.paths] == [left]
    assert found.left == []


def test_the_command_puts_it_on_record_before_the_first_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deo_bench.cli import main

    place.file.write_text(f"{EXPERIMENT}\n{HELD}")
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(Launch, "events", lambda self: iter(()))
    with pytest.raises(SystemExit, match="0"):
        main(["run", str(place.file), "--store", str(place.store), "--data", str(place.data), "--plain"])
    assert record(place)["scores_there"] == 0 and "What was expected" in capsys.readouterr().out


def test_an_experiment_without_expectations_leaves_no_record(place: Place) -> None:
    plan = place.plan()
    check_own_report(plan)
    assert put_on_record(plan, expected_of(plan)) == [] and not beside_cache(place)

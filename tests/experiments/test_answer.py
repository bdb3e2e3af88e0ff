"""What a plan hands to its report, and what of a run is recorded for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deo_bench.engine import artefacts
from deo_bench.errors import UserError
from deo_bench.experiments.answer import check_report, entries_of, scope_of
from deo_bench.files import read_json
from deo_bench.reports.spec import ReportSpec
from tests.experiments.conftest import Place, files


def logs(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("train.jsonl")}


def test_counting_what_a_run_costs_changes_no_byte_of_it(
    finished: Place, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = [read_json(path)["compute"] for path in sorted(finished.store.glob("*-s*/run.json"))]
    assert len(counted) == 6 and all(one["train_pflops"] is not None for one in counted)
    monkeypatch.setattr(artefacts, "compute_of", lambda *_: None)
    place.carry_out(place.plan())
    assert [read_json(path)["compute"] for path in place.store.glob("*-s*/run.json")] == [None] * 6
    assert files(place.store) == files(finished.store)
    assert logs(place.store) == logs(finished.store)


def test_a_report_is_told_the_classes_and_how_many_labels_there_are(finished: Place) -> None:
    plan = finished.plan()
    scope = ReportSpec().narrow(scope_of(plan))
    assert scope.classes == {"tiny": ("a", "b", "c")}
    assert scope.labelled == {"tiny": {"default": 48}}


def test_declared_parameters_are_those_of_a_student_as_it_is_declared(finished: Place) -> None:
    """The tiny student has a width of its own, so what its part declares says nothing of it."""
    assert {entry.parameters for entry in entries_of(finished.plan())} == {None}
    usual = [f"student.{key}={value}" for key, value in {"width": 128, "depth": 4, "heads": 4, "size": 64}.items()]
    assert entries_of(finished.plan(*usual))[0].parameters == 0.9


def test_rows_of_a_confusion_matrix_that_are_not_there_are_said_before_anything_runs(finished: Place) -> None:
    plan = finished.plan()
    check_report(ReportSpec(confusion=("weight=1.0",)), plan, "report.toml")
    with pytest.raises(UserError, match=r"report.toml: confusion: no row is called 'weight=1'.*weight=1.0"):
        check_report(ReportSpec(confusion=("weight=1",)), plan, "report.toml")
    with pytest.raises(UserError, match=r"report.toml: segmentation: no row is called 'wait=\*'"):
        check_report(ReportSpec(segmentation=("wait=*",)), plan, "report.toml")

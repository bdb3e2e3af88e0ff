"""A study hands out its trials once each, remembers what they measured, and ends with its budget."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from deo_bench.errors import CannotWrite, StoreError
from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.experiments.sweep.storage import open_storage
from deo_bench.reports.searched import Aim
from deo_bench.store.lease import Lease, LeaseLost
from tests.experiments.sweep.conftest import (
    AIM,
    BETA,
    COST,
    GRID,
    LOSS,
    PLAIN,
    RATE,
    WEIGHT,
    opened,
    space,
    story,
    swept,
    tried,
    work,
    worth,
)


def claim(study: Any) -> Claimed:
    """The next trial, which there has to be."""
    claimed = study.claim()
    assert claimed is not None
    return claimed


def test_a_budget_is_spent_and_no_more(store: Path) -> None:
    study, other = opened(store, swept(3, "random")), opened(store, swept(3, "random"))
    held = [claim(study), claim(other), claim(study)]
    assert [each.number for each in held] == [0, 1, 2]
    assert study.claim() is None and other.claim() is None and not study.is_over
    held[0].complete([0.5])
    held[1].prune()
    held[2].fail("no luck")
    assert study.is_over and study.finished == 3 and other.claim() is None
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "PRUNED", "FAIL"]
    assert study.trials()[2].user_attrs["reason"] == "no luck"
    assert not list(store.rglob("*.lease"))
    more = opened(store, swept(5, "random"))
    assert not more.is_over and claim(more).number == 3


@pytest.mark.parametrize("sampler", ["random", "qmc", {"use": "tpe", "n_startup_trials": 3}])
def test_lines_of_a_space_that_change_places_change_no_draw(store: Path, sampler: Any) -> None:
    lines = {"weight": WEIGHT, "rate": RATE, "loss": LOSS, "beta": BETA}
    spaces = [space(**dict(items)) for items in (lines.items(), reversed(lines.items()))]
    found = []
    for name, other in zip("ab", spaces, strict=True):
        for trials, each in ((4, spaces[0]), (8, other)):
            work(opened(store, swept(trials, sampler), each, name=name))
        found.append(story(opened(store, swept(8, sampler), other, name=name)))
    assert found[0] == found[1]
    assert [each.path for each in spaces[0].dimensions] == [each.path for each in spaces[1].dimensions]


def test_a_trial_that_is_let_go_is_taken_up_as_it_was(store: Path) -> None:
    study = opened(store, swept(3, "random"))
    first = claim(study)
    first.note("0123456789ab-s0", "worker one")
    first.report(10, 0.25)
    first.report(20, 0.5)
    first.report(20, 0.75)
    first.release()
    again = claim(opened(store, swept(3, "random")))
    assert (again.number, again.params, again.settings) == (0, first.params, first.settings)
    assert again.measured == {10: 0.25, 20: 0.5}, "what was measured first stays"
    assert study.trials()[0].user_attrs["run"] == "0123456789ab-s0"
    again.complete([1.0])
    assert claim(study).number == 1


def test_a_trial_is_not_taken_from_one_who_lives(store: Path) -> None:
    held = claim(opened(store, swept(2, "random")))
    other = claim(opened(store, swept(2, "random")))
    assert held.number != other.number


def test_who_was_taken_for_dead_writes_no_more(store: Path) -> None:
    study = opened(store, swept(1, "random"))
    slow = claim(study)
    lease = next(store.rglob("*.lease"))
    lease.write_text("elsewhere:1:1:abc 7")
    for write in (lambda: slow.report(10, 0.5), lambda: slow.complete([0.1]), slow.prune, lambda: slow.fail("x")):
        with pytest.raises(LeaseLost, match="trial 0 of mine 0a1b2c3d was taken over"):
            write()
    other = opened(store, swept(1, "random"), patience=0.0)
    assert other.claim() is None, "it has to be seen standing still first"
    quick = claim(other)
    quick.complete([0.75])
    slow.release()
    assert study.trials()[0].values == [0.75] and study.trials()[0].intermediate_values == {}


def test_what_was_told_twice_counts_once(store: Path) -> None:
    study = opened(store, swept(1, "random"))
    one = claim(study)
    two = Claimed(study._study, study._storage, study.trials()[0], one.settings, one._lease, ())
    one.complete([0.5])
    assert one._lease.take()
    two.complete([0.75])
    assert one._lease.take()
    two.prune()
    assert one._lease.take()
    two.report(30, 0.1)
    trial = study.trials()[0]
    assert (trial.state.name, trial.values, trial.intermediate_values) == ("COMPLETE", [0.5], {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_a_failure(value: float, store: Path) -> None:
    study = opened(store, swept(1, "random"))
    claim(study).complete([value])
    assert (
        study.trials()[0].state.name == "FAIL" and study.trials()[0].user_attrs["reason"] == f"its values are {value}"
    )


def test_the_first_trial_is_the_recipe_as_it_stands(store: Path) -> None:
    default = {"objective.weight": 1.0, "objective.rate": 0.0, "objective.loss": "mse", "heads.hidden": 32}
    study = opened(store / "a", swept(3), default=default)
    work(study)
    assert study.trials()[0].params == default
    assert [trial.user_attrs.get("default") for trial in study.trials()] == [True, None, None]
    part = {"objective.weight": 1.0}
    first = claim(opened(store / "b", swept(3), default=part))
    assert first.is_default and first.params.items() > part.items() and first.params.keys() == default.keys()


def test_a_grid_is_tried_once_each_and_then_over(store: Path) -> None:
    study = opened(store, swept(50, "grid"), GRID, default={"heads.hidden": 16, "objective.loss": "mse"})
    assert study.wanted == 12
    one, two = claim(study), claim(opened(store, swept(50, "grid"), GRID))
    one.complete([0.5])
    two.fail("no luck")
    work(study)
    assert study.is_over
    points = {tuple(sorted(trial.params.items())) for trial in study.trials()}
    assert len(points) == len(study.trials()) == 12
    assert opened(store / "few", swept(5, "grid"), GRID).wanted == 5


def test_the_best_come_first_and_no_settings_twice(store: Path) -> None:
    study = opened(store / "one", swept(6, "random"), space(loss=["cosine", "mse", "smooth_l1"]))
    for value in (0.1, 0.9, 0.5, 0.7, 0.3):
        claim(study).complete([value])
    claim(study).fail("no luck")
    params = {trial.number: trial.params["objective.loss"] for trial in study.trials()}
    wanted: list[int] = []
    for number in (1, 3, 2, 4, 0):
        if params[number] not in {params[other] for other in wanted}:
            wanted.append(number)
    assert study.best(10) == wanted and study.best(1) == [1]


def test_of_several_objectives_the_best_are_those_that_none_beats(store: Path) -> None:
    study = opened(store, swept(5, "random"), aims=(AIM, COST))
    for values in ([0.5, 10], [0.9, 30], [0.4, 20], [0.7, 15], [0.2, 5]):
        claim(study).complete(values)
    assert study.best(9) == [1, 3, 0, 4]
    assert study.best(2) == [1, 3]
    assert not claim(opened(store, swept(6, "random"), aims=(AIM, COST))).should_prune()


@pytest.mark.parametrize(
    "pruner", ["median", "hyperband", {"use": "hyperband", "min_resource": 5, "reduction_factor": 4}]
)
def test_a_verdict_is_the_same_however_often_it_is_asked(pruner: Any, store: Path) -> None:
    study = opened(store, swept(20, "random", pruner))
    verdicts: list[bool] = []
    while (claimed := study.claim()) is not None:
        final, is_given_up = worth(claimed.params), False
        for percent in range(10, 100, 10):
            claimed.report(percent, final)
            is_given_up = claimed.should_prune()
            assert all(claimed.should_prune() == is_given_up for _ in range(2))
            if is_given_up:
                break
        verdicts.append(is_given_up)
        claimed.prune() if is_given_up else claimed.complete([final])
    assert any(verdicts) and not all(verdicts)


def test_hyperband_judges_as_optuna_does(store: Path) -> None:
    """Asked once a measurement, the verdicts are those of a study that Optuna keeps itself."""
    study = opened(store, swept(20, "random", "hyperband"))
    work(study)
    theirs = optuna.create_study(
        study_name=study.name,
        direction="maximize",
        pruner=optuna.pruners.HyperbandPruner(min_resource=20, max_resource=100),
    )
    for mine in study.trials():
        theirs.enqueue_trial(mine.params)
        trial = theirs.ask()
        final, is_given_up = worth(PLAIN.suggest(trial)), False
        for percent in (20, 40, 60, 80):
            trial.report(final - 1.0 / percent, percent)
            is_given_up = trial.should_prune()
            if is_given_up:
                break
        theirs.tell(trial, None if is_given_up else final, optuna.trial.TrialState.PRUNED if is_given_up else None)
        assert theirs.trials[-1].intermediate_values == mine.intermediate_values
        assert theirs.trials[-1].state == mine.state
    assert {trial.state.name for trial in theirs.trials} == {"COMPLETE", "PRUNED"}


def test_a_study_of_another_kind_or_another_store_is_refused(store: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    work(opened(store, swept(2, "random"), url=url))
    with pytest.raises(StoreError, match="is another's, with other objectives"):
        opened(store, swept(2, "random"), url=url, aims=(AIM, COST))
    with pytest.raises(StoreError, match="is another's, with other objectives"):
        opened(store, swept(2, "random"), url=url, aims=(Aim("knn", "min", True),))
    with pytest.raises(StoreError, match="is worked on from another store"):
        opened(tmp_path / "other", swept(2, "random"), url=url)
    theirs = optuna.create_study(storage=open_storage(url, store, "mine"), study_name="foreign", direction="maximize")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StoreError, match="study foreign: is another's"):
        opened(store, swept(2, "random"), url=url, name="foreign")


def test_what_somebody_put_into_the_queue_is_left_there(store: Path) -> None:
    study = opened(store, swept(3, "random"))
    work_one = claim(study)
    tried(work_one)
    study._study.enqueue_trial({"objective.weight": 1.0})
    work(study)
    states = [trial.state.name for trial in study.trials()]
    assert states == ["COMPLETE", "WAITING", "COMPLETE", "COMPLETE"] and study.is_over


def test_a_full_disk_is_one_line_and_nothing_is_lost(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(store, swept(2, "random"))
    claimed = claim(study)

    def full(self: JournalFileBackend, logs: object) -> None:
        with Path(self._file_path).open("ab") as stream:
            stream.write(b'{"op_code":6,"trial')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", full)
        with pytest.raises(CannotWrite, match="free some space, and the same command goes on"):
            claimed.report(10, 0.5)
        with pytest.raises(CannotWrite):
            opened(store, swept(2, "random")).claim()
    claimed.report(10, 0.5)
    claimed.complete([0.5])
    work(study)
    assert story(opened(store, swept(2, "random"))) == story(study)
    assert study.finished == 2 and study.trials()[0].intermediate_values == {10: 0.5}


@pytest.fixture
def asked(store: Path) -> Callable[[str], Any]:
    """What Optuna's dashboard answers over our storage."""
    dashboard = pytest.importorskip("optuna_dashboard")
    work(opened(store, swept(4, "random", "hyperband")))
    serve = dashboard.wsgi(open_storage(None, store, "mine"))

    def ask(path: str) -> Any:
        said: list[str] = []
        environ = {
            **{"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "here", "SERVER_PORT": "80"},
            **{"wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http"},
        }
        body = b"".join(serve(environ, lambda status, headers, *rest: said.append(status)))
        assert said[0].startswith("200"), f"{path}: {said[0]} {body[:300]!r}"
        return json.loads(body)

    return ask


def test_it_opens_in_optunas_dashboard(asked: Callable[[str], Any]) -> None:
    (listed,) = asked("/api/studies")["study_summaries"]
    assert listed["study_name"] == "mine 0a1b2c3d" and listed["directions"] == ["maximize"]
    shown = asked(f"/api/studies/{listed['study_id']}")
    assert [trial["number"] for trial in shown["trials"]] == [0, 1, 2, 3]
    names = {param["name"] for trial in shown["trials"] for param in trial["params"]}
    assert names == {"objective.weight", "objective.rate", "objective.loss", "heads.hidden"}
    assert shown["objective_names"] == ["knn"]
    assert shown["trials"][0]["intermediate_values"]


def test_a_trial_that_ended_while_its_claim_was_taken_is_not_handed_out_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, other = opened(store, swept(2, "random")), opened(store, swept(2, "random"))
    held = claim(study)
    real = Lease.take

    def take(self: Lease) -> bool:
        monkeypatch.setattr(Lease, "take", real)
        held.complete([0.5])  # between the other's look at the study and its claim
        return real(self)

    monkeypatch.setattr(Lease, "take", take)
    assert claim(other).number == 1
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "RUNNING"]
    assert [path.name for path in store.rglob("*.lease")] == ["mine-0a1b2c3d-1.lease"]


def test_workers_that_died_over_a_trial_are_counted_and_those_that_let_it_go_are_not(store: Path) -> None:
    claim(opened(store, swept(1, "random"))).release()
    for number in range(3):
        study = opened(store, swept(1, "random"))
        claimed = claim(study)
        assert claimed.deaths == number
        claimed._lease._stop.set()
        lease = next(store.rglob("*.lease"))
        lease.write_text(lease.read_text().replace(f":{os.getpid()}:", ":999999999:"))
    last = claim(opened(store, swept(1, "random")))
    assert last.deaths == 3
    last.report(50, 0.5)
    assert last.deaths == 0 and study.trials()[0].user_attrs["deaths"] == 0

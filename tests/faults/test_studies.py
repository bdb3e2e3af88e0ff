"""Workers of a study that die at any moment: what is tried stays the same, and every trial counts once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from deo_bench.experiments.sweep import study as study_module
from deo_bench.experiments.sweep.claimed import Claimed
from deo_bench.store import Lease
from tests.experiments.sweep.conftest import CONDITIONAL, GRID, NUMBERS, PLAIN, opened, story, swept, tried, work
from tests.faults.children import Arm, Befall, Child, after, before, dies
from tests.postgresql import postgresql, postgresql_server  # noqa: F401 (fixtures)

TRIALS = 12
DEFAULT = {"objective.weight": 1.0, "objective.loss": "smooth_l1", "objective.beta": 1.0, "heads.hidden": 32}


def half_a_line(nth: int) -> Arm:
    """The moment at which half of the nth entry is in the journal."""

    def arm(befall: Befall) -> None:
        original, seen = JournalFileBackend.append_logs, [0]

        def patched(self: Any, logs: list[dict[str, Any]]) -> None:
            seen[0] += 1
            original(self, logs)
            if seen[0] == nth:
                path = Path(self._file_path)
                lines = path.read_bytes().splitlines(keepends=True)
                path.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
                befall()

        JournalFileBackend.append_logs = patched  # type: ignore[method-assign]

    return arm


DEATHS: tuple[Arm, ...] = (
    after(optuna, "create_study"),  # the study is there, and does not say yet what it is
    after(study_module, "drawn", nth=2),  # a trial is drawn, and not put in place
    before(Lease, "take", nth=2),  # it is there, and nobody's
    before(Claimed, "report", nth=6),  # claimed, and nothing measured
    after(Claimed, "report", nth=6),  # in the middle
    after(Claimed, "should_prune", nth=3),  # judged
    before(optuna.Study, "tell", nth=2),  # all is measured
    after(optuna.Study, "tell", nth=1),  # ended, and still claimed
    half_a_line(4),
    half_a_line(7),
)
OF_PRUNERS: tuple[Arm, ...] = (
    before(Claimed, "prune"),  # given up, and nobody told
    after(Claimed, "report", nth=2),  # measured, and not judged
    after(Claimed, "should_prune", nth=2),
    before(Claimed, "prune"),
)


@pytest.mark.parametrize(
    ("sampler", "space", "more"),
    [
        ({"use": "tpe", "n_startup_trials": 3}, PLAIN, {}),
        ({"use": "tpe", "n_startup_trials": 3, "multivariate": False}, CONDITIONAL, {"default": DEFAULT}),
        ({"use": "tpe", "n_startup_trials": 3, "group": True}, CONDITIONAL, {}),
        ({"use": "tpe", "n_startup_trials": 3}, PLAIN, {"pruner": "hyperband"}),
        ({"use": "tpe", "n_startup_trials": 3}, CONDITIONAL, {"pruner": {"use": "median", "n_startup_trials": 2}}),
        ("grid", GRID, {}),
        ("qmc", CONDITIONAL, {"default": DEFAULT}),
        ("random", CONDITIONAL, {}),
        ({"use": "cmaes", "popsize": 4}, NUMBERS, {}),
        ({"use": "gauss", "n_startup_trials": 7}, NUMBERS, {}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_study_that_was_killed_tries_what_one_tries_that_was_not(
    sampler: Any, space: Any, more: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    default, pruner = more.get("default"), more.get("pruner")
    sweep = swept(TRIALS, sampler, pruner or "none", seed=3)
    whole = opened(store / "whole", sweep, space, default=default)
    work(whole)
    for number, arm in enumerate(OF_PRUNERS if pruner else DEATHS):
        trace = tmp_path / f"death-{number}"

        def live(arm: Arm = arm, trace: Path = trace) -> None:
            arm(dies(trace))
            work(opened(store / "killed", sweep, space, default=default))

        Child(live, tmp_path / f"said-{number}").wait()
        assert trace.exists(), f"death {number} never came"
    left = opened(store / "killed", sweep, space, default=default)
    assert left.finished < TRIALS, "the deaths were to come before the end"
    work(left)
    assert story(left) == story(whole)
    assert left.is_over and left.best(3) == whole.best(3)
    assert [trial.user_attrs.get("default") for trial in left.trials()] == [
        default is not None or None,
        *[None] * (TRIALS - 1),
    ]


def four_workers(store: Path, url: str | None, tmp_path: Path) -> None:
    """Four processes on one study, one of which is killed in the middle of its second trial."""
    trials, sweep = 14, swept(14, {"use": "tpe", "n_startup_trials": 3})

    def once(claimed: Claimed) -> None:
        taken_up = "again" if claimed.measured else "first"
        print(f"began {claimed.number} {taken_up}", flush=True)  # noqa: T201
        time.sleep(0.02)
        tried(claimed)
        print(f"ended {claimed.number}", flush=True)  # noqa: T201

    def live(arm: Callable[[], None] = lambda: None) -> None:
        arm()
        study = opened(store, sweep, url=url)
        while not study.is_over:
            work(study, once)
            time.sleep(0.02)

    trace = tmp_path / "death"
    victim = Child(lambda: live(lambda: after(Claimed, "report", nth=6)(dies(trace))), tmp_path / "said-0")
    others = [Child(live, tmp_path / f"said-{number}") for number in (1, 2, 3)]
    victim.wait()
    said = [victim.said, *(other.ended() for other in others)]
    assert trace.exists()
    lost = int(said[0].split()[-2])
    assert said[0].split()[-3:] == ["began", str(lost), "first"]
    ended = Counter(int(line.split()[1]) for text in said for line in text.splitlines() if line.startswith("ended"))
    assert ended == dict.fromkeys(range(trials), 1)
    assert sum(f"began {lost} again" in text for text in said[1:]) == 1
    study = opened(store, sweep, url=url)
    found = study.trials()
    assert [trial.number for trial in found] == list(range(trials))
    assert study.is_over and study.finished == trials and all(trial.state.name == "COMPLETE" for trial in found)
    assert all(len(trial.intermediate_values) == 4 for trial in found)
    assert len({str(trial.params) for trial in found}) == trials, "two workers drew the same"


def test_four_workers_on_a_journal(store: Path, tmp_path: Path) -> None:
    four_workers(store, None, tmp_path)


@pytest.mark.slow
def test_four_workers_on_sqlite(store: Path, tmp_path: Path) -> None:
    four_workers(store, f"sqlite:///{tmp_path}/study.db", tmp_path)


@pytest.mark.system
def test_four_workers_on_postgresql(store: Path, tmp_path: Path, postgresql: str) -> None:  # noqa: F811
    four_workers(store, postgresql, tmp_path)


@pytest.mark.system
def test_a_study_in_postgresql_that_was_killed(store: Path, tmp_path: Path, postgresql: str) -> None:  # noqa: F811
    sweep = swept(8, {"use": "tpe", "n_startup_trials": 3, "group": True}, seed=3)
    whole = opened(store / "whole", sweep, CONDITIONAL)
    work(whole)
    for number, arm in enumerate(DEATHS[:8]):

        def live(arm: Arm = arm, trace: Path = tmp_path / f"death-{number}") -> None:
            arm(dies(trace))
            work(opened(store, sweep, CONDITIONAL, url=postgresql))

        Child(live, tmp_path / f"said-{number}").wait()
        assert (tmp_path / f"death-{number}").exists()
    left = opened(store, sweep, CONDITIONAL, url=postgresql)
    work(left)
    assert story(left) == story(whole)


def test_half_a_line_does_not_hinder_those_who_live(store: Path, tmp_path: Path) -> None:
    sweep = swept(6, "random")
    study = opened(store, sweep)
    first = study.claim()
    assert first is not None

    def live() -> None:
        half_a_line(2)(dies(tmp_path / "death"))
        work(opened(store, sweep))

    Child(live, tmp_path / "said").wait()
    assert (tmp_path / "death").exists()
    assert not (store / "sweeps" / "mine.journal").read_bytes().endswith(b"\n")
    tried(first)
    work(study)
    assert story(study) == story(opened(store, sweep)) and study.finished == len(study.trials()) == 6

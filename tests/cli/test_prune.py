"""`deo-bench runs` lists, and `deo-bench runs prune` says what would go and deletes only when it is told to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deo_bench.cli.prune import read_age
from deo_bench.errors import UserError
from deo_bench.files import write_bytes
from deo_bench.store import Lease, Store
from deo_bench.store.disk import read_size
from tests.cli.stored import Call, Stored, files, typed


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEO_BENCH_DATA", str(tmp_path / "data"))
    return Stored(tmp_path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


def test_runs_are_listed_without_saying_so(stored: Stored, call: Call) -> None:
    made = stored.make()
    told = call("runs")
    assert told == call("runs", "list") and told.count("done") == 6
    assert call("runs", "--store", "elsewhere") == "elsewhere: no runs\n"
    shutil.rmtree(stored.root / made["weight=0.0"][1])
    of_one = call("runs", "tiny.toml")
    assert of_one.count("done") == 5 and of_one.count("missing") == 1 and "weight=0.0" in of_one
    assert "prune" in call("runs", "--help") and "--older-than" in call("runs", "prune", "--help")


def test_without_yes_nothing_is_deleted(stored: Stored, call: Call) -> None:
    stored.make()
    others = stored.make("train.steps=7")
    lonely = next(names for label, names in others.items() if label == "weight=1.0")[0]
    stored.scores.score(lonely, "tiny")
    before = files(stored.root)
    told = call("runs", "prune", "--keep", "tiny.toml", "--cache")
    assert files(stored.root) == before
    (line,) = (line for line in told.splitlines() if lonely in line)
    assert "7 B" in line and "not named by tiny.toml; its scores stay" in line
    assert "packs" in told and told.rstrip().endswith("nothing was deleted: --yes deletes them")


def test_with_yes_only_what_was_told_is_deleted(stored: Stored, call: Call) -> None:
    kept = {name for names in stored.make().values() for name in names}
    others = stored.make("train.steps=7")
    going = {name for names in others.values() for name in names} - kept
    assert len(kept) == 6 and len(going) == 4, "the untrained student is one of both"
    told = call("runs", "prune", "--keep", "tiny.toml", "--yes")
    assert {run.name for run in Store(stored.root).runs()} == kept
    assert "4 items" in told and "freed" in told
    assert "nothing to prune" in call("runs", "prune", "--keep", "tiny.toml", "--yes")


def test_what_stays_is_told_with_the_reason(stored: Stored, call: Call) -> None:
    first, second = stored.make()["weight=1.0"]
    stored.mark(first, state="failed", reason="objective.expand is nan")
    stored.mark(second, state="failed", reason="objective.expand is nan")
    (stored.root / "thesis.tex").write_text("mine")
    lease = Lease(stored.root / first / "lease")
    assert lease.take()
    told = call("runs", "prune", "--unfinished", "--yes")
    lease.release()
    assert f"  {first}: claimed by process" in told and "  thesis.tex: not of deo-bench" in told
    assert (stored.root / first).is_dir() and not (stored.root / second).exists()


def test_what_could_not_be_deleted_is_exit_status_one(
    stored: Stored, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stored.make()["weight=1.0"][0]
    stored.mark(name, state="failed")

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    told = call("runs", "prune", "--unfinished", "--yes", status=1)
    assert f"failed: {name}: cannot be deleted: Permission denied" in told and "1 of 1 items stay" in told


def test_what_was_not_asked_for_is_offered(stored: Stored, call: Call) -> None:
    stored.mark(stored.make()["weight=1.0"][0], state="failed")
    write_bytes(stored.root / "cache" / "embeddings" / "a.npy", b"x" * 5000)
    told = call("runs", "prune")
    assert "1 failed or unfinished runs (--unfinished)" in told and "in the cache (--cache)" in told
    assert "nothing to prune" in told


def test_an_experiment_whose_runs_cannot_be_named_keeps_everything(
    stored: Stored, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.make()
    text = (stored.folder / "tiny.toml").read_text()
    (stored.folder / "tiny.toml").write_text(text + 'teachers.optical.use = ["none", "dinov3_vitb16"]\n')
    with_optical = '[objective.optical]\nloss = "cosine"\ntoward = "optical"\nsees = "rgb"\n\n[train]'
    (stored.folder / "tiny.toml").write_text((stored.folder / "tiny.toml").read_text().replace("[train]", with_optical))
    monkeypatch.setenv("HF_HOME", str(stored.folder / "hub"))
    before = files(stored.root)
    told = call("runs", "prune", "--keep", "tiny.toml", "--yes", status=2)
    assert "cannot tell which runs it names" in told and "dinov3_vitb16" in told
    assert files(stored.root) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--keep", "tiny.tml"), "there is no experiments/tiny.tml.toml"),
        (("--keep", "other.toml"), "none of the 6 runs it names is in runs, so every run would go"),
        (("--max-size", "1GB"), "--max-size is how large the cache may be; say --cache as well"),
        (("--scores",), "--scores is about runs that are pruned; say which"),
        (("--cache", "--older-than", "soon"), "--older-than 'soon': expected a number of hours, days or weeks"),
        (("--cache", "--max-size", "big"), "--max-size 'big': expected a size such as 500MB or 20GB"),
        (("--store", "nowhere"), "nowhere: there is no such store"),
    ],
)
def test_a_mistake_is_one_line_and_status_two(stored: Stored, call: Call, words: tuple[str, ...], told: str) -> None:
    stored.make()
    text = (stored.folder / "tiny.toml").read_text()
    (stored.folder / "other.toml").write_text(text.replace("seeds = [0, 1]", "seeds = [5, 6]"))
    before = files(stored.root)
    said = call("runs", "prune", *words, "--yes", status=2)
    assert said.startswith("error: ") and told in said and said.count("\n") == 1
    assert files(stored.root) == before


def test_ages_and_sizes_are_read_as_written() -> None:
    assert (read_age("12h"), read_age("1.5 d"), read_age("2W")) == (43_200, 129_600, 1_209_600)
    assert (read_size("500"), read_size("1.5kB"), read_size("20GB"), read_size("2t")) == (
        500,
        1500,
        20 * 10**9,
        2 * 10**12,
    )
    for wrong in ("", "-3d", "3", "3m"):
        with pytest.raises(UserError):
            read_age(wrong)
    with pytest.raises(UserError):
        read_size("20 Gio")

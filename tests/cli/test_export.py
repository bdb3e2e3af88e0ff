"""`deo-bench export` writes a student with its card, whole or not at all, and replaces exports alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import deo_bench
from tests.cli.stored import Call, files, typed

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return typed(capsys)


@pytest.fixture
def name(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A working folder with the experiment and its store; the name of a run."""
    place, run = trained
    for each in ("data", "runs"):
        shutil.copytree(place.folder / each, tmp_path / each)
    shutil.copy(place.file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEO_BENCH_DATA", str(tmp_path / "data"))
    return str(run)


def record(name: str, **changes: Any) -> None:
    path = Path("runs") / name / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_is_found_as_compare_finds_it_and_gives_the_same_bytes(name: str, call: Call) -> None:
    before = files(Path("runs") / name)
    told = call("export", "tiny.toml#2", "--to", "a")
    assert told == f'a: run {name}, {told.split(", ")[1].partition(";")[0]}; deo_bench.load_student("a") loads it\n'
    call("export", name[:8], "--to", "deep/b")
    call("export", name)
    assert files(Path("a")) == files(Path("deep/b")) == files(Path("exports") / name)
    assert set(files(Path("a"))) == {"README.md", "recipe.json", "student.safetensors"}
    assert files(Path("runs") / name) == before
    assert not [path for path in Path().rglob(".*") if path.name.endswith(".tmp")]


def test_the_readmes_three_lines_do(name: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("export", "tiny.toml#2", "--to", "export")
    shutil.rmtree("runs")
    shutil.rmtree("data")
    block = re.search(r"<!-- student -->\n```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block and len([line for line in block[1].splitlines() if line.strip()]) == 3
    place: dict[str, Any] = {"images": torch.rand(2, 10, 16, 16)}
    exec(block[1], place)  # a user would see it in a notebook
    assert place["features"].shape == (2, 4, 16)
    in_card = re.search(r"```python\n(.*?)```", Path("export/README.md").read_text(), re.DOTALL)
    assert in_card
    exec(in_card[1].replace("FOLDER", "export"), place)


def test_the_card_says_what_is_needed(name: str, call: Call) -> None:
    call("export", name, "--to", "out")
    card = Path("out/README.md").read_text()
    content = Path("out/student.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() in card and f"{len(content):,} bytes" in card
    model = deo_bench.load_student("out")
    lines = card.splitlines()
    rows = [f"| {b} | {m:.6g} | {s:.6g} |" for b, m, s in zip(model.bands, model.mean, model.std, strict=True)]
    assert lines[lines.index(rows[0]) :][:10] == rows and "10 bands in this order, in `reflectance`" in card
    assert "| late | 1 | 16 | 8 |" in lines
    scores = [json.loads(path.read_text()) for path in Path("runs", name, "scores").glob("*.json")]
    assert len(scores) == 3
    for score in scores:
        value, low, high = (f"{100 * score[key]:.1f}" for key in ("value", "low", "high"))
        of_probe = [line for line in lines if f"| {score['probe'].replace('_', chr(92) + '_')} |" in line]
        assert [line.endswith(f"| {value} | [{low}, {high}] | {score['n']} |") for line in of_probe] == [True]
    assert "- seed 3" in lines and "- training: 6 steps of 8 images, adamw, lr 0.001 to 1e-06, 32-true" in lines
    assert "- spectral: ema, made from the student or drawn: no weights of others" in lines
    assert "- marked by deo-bench: the rgb stem got no gradient" in lines
    assert "timm" in card and "student vit_nano 1" in card
    assert Path("out/recipe.json").read_bytes() == Path("runs", name, "recipe.json").read_bytes()


def test_teachers_are_named_with_licence_and_what_they_saw() -> None:
    from deo_bench.registry import Registry
    from deo_bench.reports.card import _teachers
    from deo_bench.store import Store

    tables = {"optical": {"use": "dinov3_vitb16"}, "small": {"use": "tiny_optical"}}
    weights = {"optical": "ab" * 32, "small": "0123456789ab-s0"}
    contents = {"recipe": {"teachers": tables, "student": {"use": "vit_nano"}}, "weights": weights}
    optical, small, behind = _teachers(contents, Registry(), Store(Path("nowhere")))
    assert "licence DINOv3 License" in optical and "trained on LVD-1689M" in optical and "ab" * 32 in optical
    assert "licence MIT" in small and "scenes (renderings of another seed" in small
    assert behind == "of it, whoever taught 0123456789ab-s0 is not known here: the run is not whole in this store"


def test_ema_weights_are_exported_by_name(name: str, call: Call) -> None:
    call("export", name, "--weights", "ema")
    card = Path(f"exports/{name}-ema/README.md").read_text()
    assert "weights of its moving average (ema)" in card and "The store has none of these weights." in card
    assert deo_bench.load_student(f"exports/{name}-ema").about["weights"] == "ema"


def kept() -> dict[str, bytes]:
    """Everything but the cache, which naming a cell's run may fill."""
    return {path: content for path, content in files(Path()).items() if "/cache/" not in path}


def refused(call: Call, *words: str) -> str:
    before = kept()
    told = call("export", *words, status=2)
    assert told.startswith("error: ") and told.count("\n") == 1
    assert kept() == before
    return told


def test_what_cannot_be_exported_is_one_line(name: str, call: Call) -> None:
    assert f"did you mean '{name}'?" in refused(call, f"{name[:10]}{'1' if name[10] == '0' else '0'}")
    assert "no cell '9'" in refused(call, "tiny.toml#9")
    assert "has 2 cells; name one" in refused(call, "tiny.toml")
    assert "there are student and ema" in refused(call, name, "--weights", "teacher")
    assert "there is no run of seed 9; there are 3" in refused(call, "tiny.toml#2", "--seed", "9")
    assert "none of its runs is in elsewhere" in refused(call, "tiny.toml#2", "--store", "elsewhere")
    Path("runs", name, "ema.safetensors").rename("ema")
    record(name, sizes={})
    assert "has no ema weights; no teacher" in refused(call, name, "--weights", "ema")
    record(name, state="failed")
    assert f"run {name} is failed; `deo-bench run`" in refused(call, name)
    record(name, state="pruned")
    assert "pruned, its weights are gone" in refused(call, name)
    Path("runs", name, "run.json").unlink()
    assert f"run {name} is started" in refused(call, name)


def test_weights_that_are_not_what_was_written_are_refused(name: str, call: Call) -> None:
    path = Path("runs", name, "student.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "not the bytes that were written" in refused(call, name)
    path.write_bytes(content[:-1])
    assert "torn" in refused(call, name)


def test_a_student_that_looks_at_a_teacher_stays(name: str, call: Call) -> None:
    from deo_bench.recipe import digest

    path = Path("runs", name, "recipe.json")
    contents = json.loads(path.read_text())
    contents["recipe"]["student"]["teacher"] = {"use": "random", "options": {}}
    path.write_text(json.dumps(contents))
    other = f"{digest(contents)}-s3"
    Path("runs", name).rename(Path("runs", other))
    assert "its student looks at teacher 'random'" in refused(call, other)


def test_an_existing_target_is_replaced_only_where_it_is_an_export(name: str, call: Call) -> None:
    call("export", name, "--to", "out")
    made = files(Path("out"))
    assert "is there already; name another place, or say --force" in refused(call, name, "--to", "out")
    Path("out/README.md").write_text("edited")
    call("export", name, "--to", "out", "--force")
    assert files(Path("out")) == made
    Path("out/thesis.tex").write_text("mine")
    assert "holds thesis.tex" in refused(call, name, "--to", "out", "--force")
    Path("file").write_text("mine")
    assert "is no folder" in refused(call, name, "--to", "file", "--force")
    Path("link").symlink_to("out")
    assert "is no folder" in refused(call, name, "--to", "link", "--force")


def test_a_write_that_fails_leaves_what_was_there(name: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("export", name, "--to", "out")
    Path("out/README.md").write_text("before")
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith("out") and ".new." in str(source):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused(call, name, "--to", "out", "--force")
    assert Path("out/README.md").read_text() == "before"
    assert "No space left on device" in refused(call, name, "--to", "fresh/out")


def test_a_score_that_cannot_be_used_is_named_and_left_out(name: str, call: Call) -> None:
    (Path("runs", name, "scores") / "tiny.knn.00000000.json").write_text("{")
    assert "not on the card: " in call("export", name, "--to", "out")

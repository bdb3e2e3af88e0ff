"""Wrong arguments, places, reports and part files: each is one line that names the place and what would be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deo_bench.cli import main
from tests.wrong.typed import PLAN, TINY, refused, typed

TASK = '{use="npz", path="tiny.npz", unit="dn"}'
RUN = ("run", "tiny.toml", "--data", "data")
SCORE = ("score", "image_stats", "--task", TASK, "--protocol", "scenes-v1", "--data", "data")

WORDS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    # How a command is written
    (("lst",), ("No such command 'lst'. Did you mean 'list'?", "deo-bench --help")),
    (("run",), ("Missing argument 'experiment'", "deo-bench run --help")),
    (("run", "--stroe", "x"), ("No such option: --stroe", "--store", "deo-bench run --help")),
    (("run", "tiny.toml", "more"), ("unexpected extra argument(s) (more)",)),
    (("run", "tiny.toml", "--store"), ("Option '--store' requires an argument",)),
    ((*RUN, "--threads", "two"), ("Invalid value for '--threads'", "integer")),
    ((*RUN, "--threads", "0"), ("Invalid value for '--threads'", "greater than or equal to 1")),
    (("score", "x"), ("Missing option '--task'", "deo-bench score --help")),
    (("data", "lst"), ("No such command 'lst'. Did you mean 'list'?", "deo-bench data --help")),
    ((*RUN, "--format", "xml"), ("--format 'xml'", "csv, latex, markdown, rich")),
    ((*RUN, "--device", "tpu"), ("--device 'tpu'", "say auto, cpu, cuda")),
    ((*SCORE, "--device", ""), ("--device ''", "say auto, cpu, cuda")),
    ((*RUN, "--out", "tiny.toml"), ("--out tiny.toml: is a file", "name a folder")),
    # Files of experiments
    (("plan", "gone.toml"), ("gone.toml: there is no such file",)),
    (("plan", "quickstrat"), ("there is no experiments/quickstrat.toml", "did you mean 'quickstart'?")),
    (("plan", "folder.toml"), ("folder.toml: is a folder; name a file in it",)),
    (("plan", ""), ("there is no experiments/.toml", "there are: aa, deo/ablation")),
    (("plan", "x" * 300 + ".toml"), ("xxx", "file name too long; name a shorter place")),
    (("plan", "a\nb\x1b[2J.toml"), ("a b\\x1b[2J.toml: there is no such file",)),
    (("show", "gone.toml"), ("gone.toml: there is no such file",)),
    (("show", "cosin"), ("unknown name 'cosin'", "did you mean 'cosine'?")),
    (("runs", "gone.toml"), ("gone.toml: there is no such file",)),
    # Stores
    ((*PLAN, "--store", "tiny.toml"), ("Invalid value for '--store'", "tiny.toml is a file; name a folder of runs")),
    ((*PLAN, "--store", ""), ("Invalid value for '--store'", "is empty; name a folder of runs")),
    ((*PLAN, "--store", "tiny.toml/x"), ("tiny.toml/x", "cannot be written")),
    (("runs", "--store", "tiny.toml"), ("Invalid value for '--store'", "tiny.toml is a file")),
    # Data
    (("plan", "tiny.toml"), ("npz file 'tiny.npz': no folder of data is given", "say --data FOLDER")),
    (("plan", "tiny.toml", "--data", "no"), ("no/tiny.npz is not there; no is no folder", "point --data")),
    (("plan", "tiny.toml", "--data", "tiny.toml"), ("tiny.npz is not there; tiny.toml is no folder", "point --data")),
    (("plan", "tiny.toml", "--data", "empty"), ("empty/tiny.npz is not there; put it under empty",)),
    (("plan", "tiny.toml", "--data", "torn"), ("torn/tiny.npz",)),
    (("plan", "tiny.toml", "--set", 'data.paths=["/gone/tiny.npz"]'), ("/gone/tiny.npz is not there",)),
    (("data", "list", "--data", "no"), ("--data no (or DEO_BENCH_DATA): is no folder",)),
    (("data", "check", "m-eurosta"), ("unknown task or experiment 'm-eurosta'", "did you mean 'm-eurosat'?")),
    (("data", "check", "m-eurosat", "--data", "no"), ("GEO-Bench data set 'm-eurosat'", "no is no folder", "--data")),
    (("data", "check", "m-eurosat", "--data", "empty"), ("no m-eurosat/task_specs.pkl under empty", "download it")),
    (("data", "check", "gone.toml"), ("gone.toml: there is no such file",)),
    (("data", "pack", "tiny.toml", "--data", "torn"), ("torn/tiny.npz",)),
    # Scores
    (("score", "zz", "--task", TASK), ("unknown run, backbone or file 'zz'", "best_snapshot")),
    (("score", "ema", "--task", TASK), ("'ema' follows a student", "--weights ema")),
    (("score", "run", "--task", TASK), ("teacher 'run' needs run = the name of a stored run",)),
    (("score", "dinov2_vitb14", "--task", TASK, "--data", "data"), ("its weights are not here", "hf download")),
    (("score", "image_stats", "--task", "m-eurosta"), ("--task.use: unknown task", "did you mean 'm-eurosat'?")),
    (("score", "image_stats", "--task", "3"), ("--task: expected a name or a table with use = …, got 3",)),
    (
        (*SCORE[:-4], "--protocol", "x"),
        ("--protocol: unknown protocol 'x'", "there are: calibration-v1, dinov3-logreg"),
    ),
    ((*SCORE, "--bands", "rgbb"), ("bands: unknown band set 'rgbb'", "did you mean 'rgb'?")),
    (
        (*SCORE, "--protocol", "pangaea-linear"),
        ("--protocol pangaea-linear: 'image_stats' has no score on task", "need maps of features", "have one: "),
    ),
    ((*SCORE, "--protocol", "gb1-finetune"), ("its probes need a network to train, which 'image_stats' does not",)),
    (
        (*SCORE, "--protocol", "missing-swir", "--bands", "rgb"),
        ("it takes B11, B12 away, of which rgb has none", "say --bands"),
    ),
    ((*SCORE, "--weights", "emma"), ("weights.0: has to be 'student' or 'ema', got 'emma'",)),
    # Parts
    (("check", "cosin"), ("unknown part 'cosin'", "did you mean 'cosine'?")),
    (("check", "gone.py"), ("gone.py: cannot be read as a part file: no such file",)),
    (("check", "cosine", "--kind", "loses"), ("unknown kind of part 'loses'", "did you mean 'losses'?")),
    (("check", "cosine", "--set", "x"), ("--set x: expected OPTION=VALUE",)),
    (("list", "loses"), ("unknown thing to list 'loses'", "did you mean 'losses'?")),
    (("list", "--parts", "folder.toml"), ("folder.toml: cannot be read as a part file: is a directory",)),
    (("new", "los", "x"), ("unknown kind of part 'los'", "did you mean 'loss'?")),
    (("new", "loss", "x", "--into", "tiny.toml"), ("tiny.toml: no folder can be made there", "say --into another")),
    (("catalogue", "--root", "no"), ("is no checkout of deo-bench",)),
]


@pytest.mark.parametrize(("words", "said"), WORDS, ids=[" ".join(words)[:70] for words, _ in WORDS])
def test_a_wrong_command(folder: Path, words: tuple[str, ...], said: tuple[str, ...]) -> None:
    for name in ("folder.toml", "empty", "torn"):
        (folder / name).mkdir()
    whole = (folder / "data" / "tiny.npz").read_bytes()
    (folder / "torn" / "tiny.npz").write_bytes(whole[: len(whole) // 2])
    refused(words, said, folder / "runs")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DEO_BENCH_STORE", "tiny.toml", ("'--store'", "DEO_BENCH_STORE", "tiny.toml is a file")),
        ("DEO_BENCH_STORE", "x" * 300, ("file name too long; name a shorter place",)),
        ("DEO_BENCH_CACHE", "tiny.toml", ("tiny.toml", "cannot be written")),
        ("DEO_BENCH_DATA", "tiny.toml", ("tiny.toml is no folder", "DEO_BENCH_DATA")),
        ("DEO_BENCH_DATA", "no", ("no is no folder", "DEO_BENCH_DATA")),
        ("GEO_BENCH_DIR", "", ("no folder of data is given", "DEO_BENCH_DATA or GEO_BENCH_DIR")),
    ],
)
def test_a_wrong_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, value)
    words = PLAN if variable in ("DEO_BENCH_STORE", "DEO_BENCH_CACHE") else PLAN[:2]
    refused(words, said, folder / "runs")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "tiny.toml").chmod(0)
    refused(PLAN, ("tiny.toml: cannot be read: permission denied",), folder / "runs")


REPORTS: list[tuple[str, tuple[str, ...]]] = [
    ("probes = ['knn5']", ("answer.toml: the report asks for probe 'knn5'", "did you mean 'knn5_l2'?")),
    ("probes = 3", ("answer.toml: probes: has to be a list, got 3",)),
    ("tasks = ['tinny']", ("answer.toml: the report asks for task 'tinny'", "did you mean 'tiny'?")),
    ("bands = ['rgbb']", ("answer.toml: the report asks for band set 'rgbb'", "s2_10")),
    ("weights = ['emma']", ("answer.toml: the report asks for kind of weights 'emma'", "student")),
    ("baseline = 'untraned'", ("answer.toml: baseline: no row is called 'untraned'", "did you mean 'untrained'?")),
    ("sort = 'tinny'", ("answer.toml: sort: 'tinny' is no task of the report", "did you mean 'tiny'?")),
    ("formats = ['word']", ("answer.toml: formats.0: has to be 'markdown'", "got 'word'")),
    ("formats = []", ("answer.toml: formats: has to have 1 or more values",)),
    ("format = ['csv']", ("answer.toml: unknown key 'format'", "did you mean 'formats'?")),
    ("[x", ("answer.toml: not valid TOML", "line 2, column 3")),
]


@pytest.mark.parametrize("by", ["run", "plan", "report"])
@pytest.mark.parametrize(("text", "said"), REPORTS, ids=[text for text, _ in REPORTS])
def test_a_wrong_report_is_said_before_anything_is_trained(
    folder: Path, by: str, text: str, said: tuple[str, ...]
) -> None:
    (folder / "answer.toml").write_text(f"experiment = 'tiny.toml'\n{text}\n")
    own = ("answer.toml",) if by == "report" else ("tiny.toml", "--set", 'report="answer.toml"')
    refused((by, *own, "--data", "data"), said, folder / "runs")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", ("answer.toml: experiment = … is missing",)),
        (b"experiment = 3", ("answer.toml: experiment: has to be a text, got 3",)),
        (b"experiment = 'gone.toml'", ("gone.toml: there is no such file",)),
        (b"\xff\xfe", ("answer.toml: is no TOML file",)),
        (TINY.encode(), ("answer.toml: is an experiment", 'a file of its own that says experiment = "answer.toml"')),
    ],
)
def test_a_report_of_nothing(folder: Path, text: bytes, said: tuple[str, ...]) -> None:
    (folder / "answer.toml").write_bytes(text)
    refused(("report", "answer.toml", "--data", "data"), said, folder / "runs")


HEAD = "from deo_bench.losses import PairLoss, loss\n"


def own(body: str = '    """Own."""\n', above: str = "", called: str = '"own"') -> str:
    """A part file with one loss."""
    return f"{HEAD}{above}@loss({called})\nclass Own(PairLoss):\n{body}"


def option(text: str) -> str:
    """A part file whose loss has an option."""
    return own(f'    """Own."""\n    def __init__(self, *, {text}):\n        super().__init__()\n')


PARTS: list[tuple[str, str | bytes, tuple[str, ...]]] = [
    ("syntax", "def f(:\n", ("own.py:1: not valid Python",)),
    ("binary", b"\xff\xfe\x00", ("own.py: cannot be read as a part file", "UTF-8")),
    ("null bytes", b"x = 1\x00", ("own.py", "not valid Python")),
    ("nested in the sky", "x = " + "-" * 100_000 + "1\n", ("own.py: not valid Python: nested too deeply",)),
    ("no part", "x = 1\n", ("own.py: declares no part", "@loss(")),
    ("a name that is there", own(called='"cosine"'), ("two parts are called loss 'cosine'", "cosine.py", "own.py:3")),
    ("twice", own() + own()[len(HEAD) :].replace("Own(", "B("), ("two parts are called loss 'own'", ":3", ":6")),
    ("no name", own(called=""), ("own.py:3: a part's decorator takes a name",)),
    ("a number", own(called="3"), ("own.py:3: 3 is no name for a part", "letters")),
    ("a path", own(called='"a/b"'), ("own.py:3: 'a/b' is no name for a part",)),
    ("a family of numbers", own(above="E = {1: {}}\n", called="E"), ("own.py:4: 1 is no name for a part",)),
    ("options that are none", own(called='"own", options=3'), ("own.py:3: a part's decorator takes",)),
    ("options of nobody", own(called='"own", options={"z": 1}'), ("own.py:3: an entry sets z",)),
    ("a key of the table", option("weight: float = 1"), ("own.py:3: loss 'own' has an option 'weight'", "rename")),
    ("an unknown type", option("a: Foo = 1"), ("own.py:3: loss own.a: an option's type is made of", "'Foo' is not")),
    ("half a type", option('a: "Literal[1" = 1'), ("own.py:3: loss own.a: an option's type is made of",)),
    ("a default of another type", option('a: float = "x"'), ("own.py:3: loss own.a: expected float, got 'x'",)),
    ("a default that is computed", option("a: float = f()"), ("own.py:3: the default of option 'a' is not a literal",)),
    ("a version in words", own('    """Own."""\n    version = "two"\n'), ("own.py:3: version = 'two' has to be an",)),
]  # fmt: skip


@pytest.mark.parametrize("by", ["plan", "check"])
@pytest.mark.parametrize(("name", "text", "said"), PARTS, ids=[name for name, _, _ in PARTS])
def test_a_wrong_part_file(folder: Path, by: str, name: str, text: str | bytes, said: tuple[str, ...]) -> None:
    (folder / "own.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    words = (*PLAN, "--set", 'parts=["own.py"]') if by == "plan" else ("check", "own.py")
    refused(words, said, folder / "runs")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import nothing_of_the_kind\n", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(0)\n", "SystemExit"),
    ],
)
def test_a_part_that_fails_when_imported_is_said_before_the_first_run(folder: Path, line: str, said: str) -> None:
    (folder / "own.py").write_text(own(above=line))
    words = ("--set", 'parts=["own.py"]', "--set", 'objective.compress={loss="own", toward="spectral"}')
    refused((*RUN, *words), ("own.py: fails when imported", said), folder / "runs")


def test_a_part_that_cannot_be_built_is_a_failed_run(folder: Path) -> None:
    (folder / "own.py").write_text(own('    """Own."""\n    def __init__(self):\n        raise KeyError("x")\n'))
    words = ("--set", 'parts=["own.py"]', "--set", 'objective.compress={loss="own", toward="spectral"}')
    status, out, err = typed(*RUN, "--plain", "--set", "tasks=[]", *words)
    assert status == 1 and "Traceback" not in out + err
    assert "own.py:3: loss 'own' fails when it is built: KeyError: 'x'" in out


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("grid.student.heads=[2, 5]", "width 16 is not a multiple of heads 5"),
        ("grid.views.global.size=[16, 15]", "patch 8 does not divide images of 15 x 15"),
        ("grid.train.lr=[1e-3, 1e30]", "not finite at step 1"),
        ('objective.expand={loss="cosine", toward="spectral", on="lat"}', "objective.expand.on: Vit has no 'lat'"),
    ],
)
def test_what_only_building_or_training_shows_fails_its_run_and_the_others_go_on(
    folder: Path, override: str, said: str
) -> None:
    status, out, err = typed(*RUN, "--plain", "--set", "tasks=[]", "--set", override)
    assert status == 1 and "Traceback" not in out + err
    assert "failed: " in out and said in out
    assert list((folder / "runs").glob("*/student.safetensors"))


def test_ctrl_c_is_130_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deo_bench.experiments.plan.cells_of", stop)
    assert typed(*PLAN) == (130, "", "interrupted\n")


def test_a_bug_keeps_its_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise FileNotFoundError(2, "No such file", "of the program's own")

    monkeypatch.setattr("deo_bench.experiments.plan.cells_of", stop)
    with pytest.raises(FileNotFoundError):
        main(PLAN)

"""`deo-bench published`: sources, their tables in every format, result files, and one line for a mistake."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from deo_bench.reports.published import COLUMNS, source_names
from tests.cli.stored import Call, typed
from tests.reports.published.conftest import GEOBENCH


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    return typed(capsys)


@pytest.fixture
def results(tmp_path: Path) -> str:
    rows = [
        {**GEOBENCH, "partition name": f"{share} train", "seed": str(seed), "test metric": str(0.5 + seed / 10)}
        for share in ("0.10x", "1.00x")
        for seed in range(3)
    ]
    with (tmp_path / "results.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(GEOBENCH))
        writer.writeheader()
        writer.writerows(rows)
    return "results.csv"


def test_without_a_name_it_lists_what_ships_and_what_the_letters_mean(call: Call) -> None:
    lines = call("published").splitlines()
    assert [line.split()[0] for line in lines[: len(source_names())]] == source_names()
    assert "confidence AS; 53 numbers" in next(line for line in lines if line.startswith("deo "))
    assert "contradicts deo" in next(line for line in lines if line.startswith("deo-conflicting"))
    assert any(line.startswith("S: secondary") for line in lines)


def test_a_source_in_every_format(call: Call) -> None:
    assert "80.83 ¹" in call("published", "deo", "--task", "spacenet-v1")
    said = call("published", "deo", "--format", "markdown")
    assert said.count("### published: ") == 7 and "80.83<sup>1,2</sup>" in said
    said = call("published", "deo", "--format", "latex")
    assert said.count("Published, in percent") >= 7, "a wide table is several"
    assert r"80.83\textsuperscript{1,2}" in said
    rows = list(csv.DictReader(io.StringIO(call("published", "deo", "--format", "csv"))))
    assert len(rows) == 53 and list(rows[0]) == list(COLUMNS)
    assert (rows[0]["task"], rows[0]["value"], rows[0]["confidence"]) == ("m-bigearthnet", "0.5843", "A")


def test_a_result_file_narrowed_to_a_partition(call: Call, results: str) -> None:
    both = call("published", results, "--format", "markdown")
    assert both.count("### published: ") == 2
    one = call("published", results, "--format", "markdown", "--partition", "1.00x")
    assert one.count("### published: ") == 1 and "partition 1.00x" in one and "60.00 ±" not in one
    assert "60.0 ±24.8" in one, "the mean of .5, .6 and .7; t of 2 degrees of freedom times .1 over the root of 3"


WRONG = {
    "a source": (("deoo",), "did you mean 'deo'?"),
    "a file that is not there": (("none.csv",), "none.csv: there is no such file"),
    "a task": (("deo", "--task", "m-eurosatt"), "--task: 'deo' has no task 'm-eurosatt', did you mean 'm-eurosat'?"),
    "a partition": (("deo", "--partition", "2x"), "--partition: 'deo' has no partition '2x'"),
    "both": (("deo", "--task", "oscd", "--partition", "0.10x"), "no partition '0.10x'"),
    "a format": (("deo", "--format", "pdf"), "--format 'pdf' is none"),
    "no name": (("--task", "oscd"), "name it, or a CSV"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_and_status_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deo_bench.cli import main

    monkeypatch.chdir(tmp_path)
    words, said = WRONG[case]
    with pytest.raises(SystemExit) as ended:
        main(["published", *words])
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == ""
    assert told.err.count("\n") == 1 and told.err.startswith("error: ") and said in told.err


def test_it_loads_no_torch() -> None:
    code = (
        "import sys\nfrom deo_bench.cli import main\n"
        "try:\n    main(['published', 'deo'])\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr

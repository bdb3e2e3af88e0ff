"""What the README and CONTRIBUTING promise can be done as they say it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from deo_bench.cli.app import app
from deo_bench.engine import contract
from deo_bench.registry import Registry

ROOT = Path(__file__).parents[1]
PAGES = {
    page: (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
}


def commands() -> dict[str, set[str]]:
    """Every command, and those below it."""
    group = typer.main.get_command(app)
    found = group.commands  # type: ignore[attr-defined]
    return {name: set(getattr(command, "commands", ())) for name, command in found.items()}


def test_it_opens_with_the_question() -> None:
    assert re.match(r"# deo-bench\n\n\*\*Which teachers, which student, which losses.*\?\*\*\n", PAGES["README.md"])


def test_two_commands_do_all_set_up() -> None:
    lines = [line.strip() for line in PAGES["README.md"].splitlines() if "python3 -m venv" in line]
    assert len(lines) == 2
    assert lines[0].endswith("deo-bench run quickstart")
    assert lines[1].endswith("python -m pytest -n auto --dist loadfile")
    assert all(line.count("&&") == 2 and "pip install -e" in line for line in lines)


def test_scores_are_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.reports.conftest import FakeStore

    fake = FakeStore(tmp_path / "runs")
    fake.cell("a", [0.5, 0.7])
    monkeypatch.chdir(tmp_path)
    block = re.search(r"<!-- scores -->\n```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert block is not None
    *lines, last = block[1].strip().splitlines()
    place: dict[str, object] = {}
    exec("\n".join([*lines, f"made = {last}"]), place)  # a user would see it in a notebook
    assert place["made"]["mean"].tolist() == [pytest.approx(0.6)]  # type: ignore[index]


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for page, text in PAGES.items():
        for extra in re.findall(r"-e '\.\[(\w+)\]'", text):
            assert extra in extras, f"{page}: there is no extra {extra!r}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_named_exist(page: str) -> None:
    known = commands()
    named = re.findall(r"deo-bench +([a-z]+)(?: +([a-z]+))?", PAGES[page])
    for first, second in named:
        assert first in known, f"{page}: there is no command {first!r}"
        if known[first] and second:
            assert second in known[first], f"{page}: there is no command {first} {second!r}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", PAGES[page]):
        assert (ROOT / target).exists(), f"{page}: {target} is not there"


def test_the_loss_of_ones_own_is_twelve_lines_and_keeps_its_contract(part_file: Callable[..., Path]) -> None:
    block = re.search(r"<!-- loss -->\n```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert block and block[1].count("\n") <= 12
    registry = Registry([part_file(block[1])])
    assert not [finding for finding in contract.check(registry, "loss", "smooth") if finding.problem]

"""The catalogue is what the parts declare, no more and no less."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deo_bench.cli import main
from deo_bench.errors import UserError
from deo_bench.registry import Registry
from deo_bench.reports.catalogue import PAGES, render, stale, table, write

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for page in PAGES:
        (tmp_path / page).parent.mkdir()
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def test_the_pages_of_the_checkout_are_fresh() -> None:
    assert stale(ROOT) == [], "run `deo-bench catalogue`"


@pytest.mark.parametrize("page", PAGES)
def test_every_part_has_a_row_and_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for kind in PAGES[page]:
        for name, declared in Registry().all(kind).items():
            assert f"[`{name}`](../{declared.path.relative_to(ROOT).as_posix()})" in text  # type: ignore[union-attr]


def test_a_stale_page_is_found_and_mended(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = checkout / "losses" / "README.md"
    fresh = page.read_text(encoding="utf-8")
    page.write_text(fresh.replace("[`coding_rate`]", "[`coding_late`]"), encoding="utf-8")
    assert stale(checkout) == [page]
    with pytest.raises(SystemExit) as ended:
        main(["catalogue", "--check", "--root", str(checkout)])
    assert ended.value.code == 1 and "is stale" in capsys.readouterr().out
    assert write(checkout) == [page]
    assert page.read_text(encoding="utf-8") == fresh and stale(checkout) == []


def test_words_around_the_table_are_kept(checkout: Path) -> None:
    page = checkout / "losses" / "README.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nMy own words.\n", encoding="utf-8")
    assert stale(checkout) == []


def test_a_page_without_markers_is_an_error() -> None:
    with pytest.raises(UserError, match="page: expected <!-- catalogue: loss -->"):
        render("no markers", "loss", Registry(), "page")


def test_a_pipe_does_not_break_a_row() -> None:
    rows = table(Registry().all("loss").values()).splitlines()
    widths = {row.replace("\\|", "").count("|") for row in rows}
    assert len(widths) == 1


def test_a_family_says_its_options_once():
    lines = [line for line in (ROOT / "teachers" / "README.md").read_text().splitlines() if "[`dinov2_" in line]
    assert "`file` none" in lines[0] and len(lines) == 8
    assert all("| as `dinov2_vitb14` |" in line and "`white`" not in line for line in lines[1:])

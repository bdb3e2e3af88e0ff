"""Whatever a file is, reading it gives numbers or one line that names the file."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.errors import UserError
from deo_bench.reports.published import COLUMNS, published_tables, read_published
from tests.reports.published.conftest import GEOBENCH, TORCHGEO

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text_of(base: dict[str, str], rows: int = 3) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(base)
    writer.writerows([list({**base, "seed": str(seed)}.values()) for seed in range(rows)])
    return stream.getvalue()


TEXTS = [text_of(TORCHGEO), text_of(GEOBENCH)]


def is_fine(path: Path) -> bool:
    """Whether a file gives numbers that can be drawn; else it is refused in one line with its name."""
    try:
        frame = read_published(path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 600
        return False
    assert list(frame.columns) == list(COLUMNS) and frame["value"].between(0, 1).all()
    assert published_tables(frame)
    return True


@SETTINGS
@given(st.sampled_from(TEXTS), st.data())
def test_bytes_that_were_changed_cut_or_put_in(tmp_path: Path, text: str, data: st.DataObject) -> None:
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(place, min(place + 40, len(content))))
        content[place:end] = data.draw(st.binary(max_size=12))
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    is_fine(path)


CELLS = [
    "",
    " ",
    "nan",
    "inf",
    "-0.1",
    "1.5",
    "1e400",
    "-1",
    "0.5.5",
    "x",
    "\x00",
    "\u202e",
    "0x1",
    "9" * 400,
    "1_0",
    "½",
    "a\nb",
    "=1+1",
]


@SETTINGS
@given(st.sampled_from([TORCHGEO, GEOBENCH]), st.data())
def test_any_cell_may_hold_anything(tmp_path: Path, base: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(base)))
    given_ = data.draw(st.sampled_from(CELLS) | st.text(max_size=20))
    path = tmp_path / "results.csv"
    with path.open("w", newline="", encoding="utf-8", errors="replace") as stream:
        writer = csv.writer(stream)
        writer.writerow(base)
        writer.writerow({**base, name: given_}.values())
    is_fine(path)


@pytest.mark.parametrize("text", TEXTS, ids=["torchgeo-bench", "GEO-Bench"])
def test_what_is_whole_is_fine_and_a_torn_row_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text)
    assert is_fine(path)
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert is_fine(path), "a mark of byte order is no part of a name"
    path.write_text(text[: text.rindex(",")])
    with pytest.raises(UserError, match=r"line 4: .*torn"):
        read_published(path)


def test_a_missing_column_a_column_twice_and_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    head, *rest = TEXTS[1].split("\n")
    path.write_text("\n".join([head.replace("test metric", "test_metric"), *rest]))
    with pytest.raises(UserError, match="expected GEO-Bench's results .*lacks column test metric"):
        read_published(path)
    path.write_text("\n".join([head.replace("encoder type", "seed"), *rest]))
    with pytest.raises(UserError, match="has column 'seed' twice"):
        read_published(path)
    path.write_text(head + "\n")
    with pytest.raises(UserError, match="has no rows"):
        read_published(path)


WRONG = {
    "metric_value": ("1.2", "a share from 0 to 1"), "ci_lower": ("0.95", "at most ci_upper"),
    "image_size": ("22.5", "an integer"), "name": ("", "a text"), "c_range_start": ("low", "a number"),
    "n_test": ("many", "an integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_cell_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    value, expected = WRONG[name]
    path = tmp_path / "results.csv"
    path.write_text(text_of(TORCHGEO, 1) + ",".join({**TORCHGEO, name: value}.values()) + "\n")
    with pytest.raises(UserError) as caught:
        read_published(path)
    assert f"line 3: {name}: expected {expected}" in str(caught.value) and repr(value) in str(caught.value)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "latin.csv").write_bytes(b"mod\xe8le\n")
    (tmp_path / "zeros.csv").write_bytes(b"\0" * 5000)
    for name in ("pipe.csv", "other.csv", "empty.csv", "latin.csv", "zeros.csv", "none.csv", "."):
        with pytest.raises(UserError) as caught:
            read_published(tmp_path / name)
        assert str(tmp_path) in str(caught.value) and "expected a result CSV of torchgeo-bench or of GEO-Bench" in str(
            caught.value
        )
    with pytest.raises(UserError):
        read_published(Path("a\0b.csv"))


def test_a_file_of_many_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.truncate(10 << 30)
    with pytest.raises(UserError, match="10240 MB, too many"):
        read_published(path)

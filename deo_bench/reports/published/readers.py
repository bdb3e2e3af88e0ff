"""Others' result files, told apart by their header."""

from __future__ import annotations

from pathlib import Path

from deo_bench.errors import UserError
from deo_bench.reports.published import geobench, torchgeo_bench
from deo_bench.reports.published.delimited import read_header
from deo_bench.reports.published.frame import PublishedFrame
from deo_bench.reports.published.geobench import read_geobench
from deo_bench.reports.published.torchgeo_bench import read_torchgeo_bench

__all__ = ["read_geobench", "read_published", "read_torchgeo_bench"]

_READERS = ((torchgeo_bench, read_torchgeo_bench), (geobench, read_geobench))


def read_published(path: Path) -> PublishedFrame:
    """A result CSV of torchgeo-bench or of GEO-Bench v1; whatever else it is, one line says what was expected."""
    path = Path(path)
    expected = "a result CSV of torchgeo-bench or of GEO-Bench"
    header = set(read_header(path, expected))
    # A header that is torn still has most of its columns: the format it is nearest to says what is missing.
    format_, read = max(_READERS, key=lambda each: len(header & set(each[0].REQUIRED)) / len(each[0].REQUIRED))
    if len(header & set(format_.REQUIRED)) < len(format_.REQUIRED) / 2:
        raise UserError(f"{path}: expected {expected}; its columns are neither's")
    return read(path)

"""Published numbers: those that ship, with source, protocol and confidence, and readers of others' result files.

A published number is never averaged with ours, and stands in a column of ours only where protocol, probe, metric, bands
and partition are the same; see `beside`.
"""

from __future__ import annotations

from deo_bench.reports.published.beside import Beside, Companion, beside
from deo_bench.reports.published.frame import COLUMNS, CONFIDENCE, PublishedFrame
from deo_bench.reports.published.readers import read_geobench, read_published, read_torchgeo_bench
from deo_bench.reports.published.sources import EVERY, Source, check_sources, numbers_of, read_source, source_names
from deo_bench.reports.published.summary import cells_of, normalised_means
from deo_bench.reports.published.tables import published_sections, published_tables, source_title

__all__ = [
    "COLUMNS",
    "CONFIDENCE",
    "EVERY",
    "Beside",
    "Companion",
    "PublishedFrame",
    "Source",
    "beside",
    "cells_of",
    "check_sources",
    "normalised_means",
    "numbers_of",
    "published_sections",
    "published_tables",
    "read_geobench",
    "read_published",
    "read_source",
    "read_torchgeo_bench",
    "source_names",
    "source_title",
]

"""Tables as tidy numbers: a row a cell, so that anybody can draw them anew."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from deo_bench.reports.cells import Column
from deo_bench.reports.table import Cell, Row, Table

FIELDS = (
    "label", "kind", "group", "task", "probe", "protocol", "metric", "protocol_metric", "direction", "bands",
    "band_labels", "weights", "partition", "step", "n", "groups", "runs",
    "value", "low", "high", "df", "interval", "best", "second", "against", "difference",
    "difference_low", "difference_high", "difference_p", "difference_p_holm", "resolved", "difference_df",
    "difference_runs", "pairing", "seen", "missing", "notes",
)  # fmt: skip
"""Columns of the CSV. Values are shares, not percent, or in a unit of their own; `interval` says over what; p is
two-sided, and corrected over the table's comparisons where it says `holm`; `protocol_metric` stands where
`metric` is another."""


def tidy(table: Table) -> list[dict[str, Any]]:
    """A record a cell; what does not exist is none, never zero."""
    return [
        _record(table, row, column, cell)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]


def comma_separated(tables: Iterable[Table]) -> str:
    """All tables as one CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for record in tidy(table):
            writer.writerow({name: _plain(value) for name, value in record.items()})
    return text.getvalue()


def _record(table: Table, row: Row, column: Column, cell: Cell) -> dict[str, Any]:
    estimate, gain = cell.estimate, cell.difference
    record: dict[str, Any] = dict.fromkeys(FIELDS)
    record |= {
        "label": row.label, "kind": row.kind, "group": row.group or None, "task": column.task, "probe": column.probe,
        "protocol": column.protocol, "metric": column.metric or None,
        "protocol_metric": column.protocol_metric or None, "direction": column.direction, "bands": column.bands,
        "band_labels": column.band_labels or None, "weights": column.weights, "partition": column.partition,
        "step": "last" if column.step is None else column.step, "n": column.n or None, "groups": column.groups,
        "seen": "; ".join(seen.words for seen in cell.seen) or None, "missing": cell.reason or None,
        "notes": "; ".join([*row.notes, *cell.notes]) or None,
    }  # fmt: skip
    if estimate:
        record |= {
            "runs": estimate.seeds, "value": estimate.value, "low": estimate.low, "high": estimate.high,
            "df": estimate.df, "interval": "seeds and images" if estimate.df else "images", "best": cell.is_best,
            "second": cell.is_second,
        }  # fmt: skip
    if gain:
        record |= {
            "against": table.against, "difference": gain.value, "difference_low": gain.low,
            "difference_high": gain.high, "difference_p": gain.p, "difference_p_holm": cell.corrected,
            "resolved": None if cell.corrected is None else cell.is_resolved, "difference_df": gain.df,
            "difference_runs": gain.seeds, "pairing": gain.pairing,
        }  # fmt: skip
    return record


def _plain(value: Any) -> Any:
    """Floats to nine digits: the last ones differ from machine to machine."""
    return f"{value:.9g}" if isinstance(value, float) else value

"""GEO-Bench v1's result CSV: fine-tuned segmentation baselines, a row a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deo_bench.reports.published.delimited import Row, read_rows
from deo_bench.reports.published.frame import PublishedFrame, make_frame

WHAT = "GEO-Bench's results (one row a run: model, dataset, partition name, seed, test metric)"
REQUIRED = (
    "model",
    "dataset",
    "partition name",
    "seed",
    "in chans",
    "test metric",
    "lr backbone",
    "lr head",
    "batch size",
)
PROTOCOL = "published:geobench-finetune"


def read_geobench(path: Path) -> PublishedFrame:
    """Every run, a row each: macro mIoU on the test split, the partition as `1.00x`.

    The file has several runs of one seed, of which it does not say how they differ, and some with settings of their
    own; none is left out, and a note says so.
    """
    rows = read_rows(Path(path), REQUIRED, WHAT)
    settings: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for row in rows:
        settings.setdefault(_cell(row), set()).add(_settings(row))
    return make_frame(_record(row, len(settings[_cell(row)])) for row in rows)


def _cell(row: Row) -> tuple[str, ...]:
    return tuple(row.text(name) for name in ("model", "dataset", "partition name"))


def _settings(row: Row) -> tuple[str, ...]:
    return tuple(row.cells[name].strip() for name in ("lr backbone", "lr head", "batch size"))


def _record(row: Row, num_settings: int) -> dict[str, Any]:
    channels = row.whole("in chans")
    return {
        "source": row.path.name, "model": row.text("model"), "task": row.text("dataset"),
        "probe": "finetune", "protocol": PROTOCOL, "metric": "miou", "value": row.share("test metric"),
        "bands": "rgb" if channels == 3 else f"{channels} bands", "band_set": "rgb" if channels == 3 else "",
        "partition": row.text("partition name").removesuffix(" train"), "seed": row.whole("seed"), "runs": 1,
        "seeds": 1, "confidence": "?", "measured": "backbone and decoder fine-tuned",
        "note": f"runs of {num_settings} different settings" if num_settings > 1 else "",
    }  # fmt: skip

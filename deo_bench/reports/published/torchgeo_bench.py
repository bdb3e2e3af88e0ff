"""torchgeo-bench's result CSV: kNN and linear probes, each with image size, bands and normalisation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from deo_bench.bands import BAND_SETS, canonical
from deo_bench.errors import UserError
from deo_bench.probes.record import ProtocolRecord, resolve
from deo_bench.reports.published.delimited import Row, read_rows
from deo_bench.reports.published.frame import PublishedFrame, make_frame

WHAT = "torchgeo-bench's results (one row a data set, method and model)"
REQUIRED = (
    "dataset", "method", "metric_name", "metric_value", "ci_lower", "ci_upper", "n_train", "n_test", "seed", "name",
    "normalization", "image_size", "interpolation", "partition", "bands", "c_range_start", "c_range_stop",
    "c_range_num", "merge_val", "bootstrap",
)  # fmt: skip
OUR_RECORD = "tgb-v0.4"

TWICE = "stands several times in the source, with different values"
"""How the note of such a number starts."""

_NO_SCORE = ("profile", "intrinsic_dim")
_METRICS = {"accuracy": "accuracy", "micro_mAP": "micro_map", "mIoU": "miou"}
_NORMALISE = {"bandspec_zscore": "dataset", "model_native": "native"}
_LABEL_KINDS = {"accuracy": "single", "micro_map": "multi"}
_NOT_SENTINEL2 = ("m-forestnet", "m-pv4ger")


def read_torchgeo_bench(path: Path) -> PublishedFrame:
    """The probes' numbers, a row each; profiles and intrinsic dimensions are left out, as they are no scores.

    A number has protocol `tgb-v0.4` only where every field of that record is its own; else image size, interpolation,
    normalisation, bands, pooling and grid of C are in its protocol's name. A number that stands twice, with all of
    this the same, is taken once; where the two differ, both stay and say so.
    """
    rows = [row for row in read_rows(Path(path), REQUIRED, WHAT) if row.text("method") not in _NO_SCORE]
    if not rows:
        raise UserError(f"{path}: has no scores; expected {WHAT} of method knn5 or linear")
    made: dict[tuple[Any, ...], dict[float, dict[str, Any]]] = {}
    for record in map(_record, rows):
        key = tuple(record[name] for name in ("model", "task", "probe", "protocol", "bands", "partition", "seed"))
        made.setdefault(key, {}).setdefault(record["value"], record)
    return make_frame(record for same in made.values() for record in _with_twins(same))


def _with_twins(same: dict[float, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    values = ", ".join(f"{100 * value:.1f}" for value in sorted(same))
    note = f"{TWICE}: {values}" if len(same) > 1 else ""
    for record in same.values():
        yield record | {"note": note}


def _record(row: Row) -> dict[str, Any]:
    name = row.text("metric_name")
    probe, protocol = _protocol(row, _METRICS.get(name, name))
    low, high = _interval(row)
    return {
        "source": row.path.name, "model": row.text("name"), "task": row.text("dataset"),
        "probe": probe, "protocol": protocol, "metric": _METRICS.get(name, name), "value": row.share("metric_value"),
        "low": low, "high": high, "bands": row.text("bands"), "band_set": _band_set(row), "confidence": "?",
        "normalisation": row.text("normalization"), "image_size": row.whole("image_size"),
        "partition": row.text("partition"), "seed": row.whole("seed"), "runs": 1, "seeds": 1,
        "n_train": row.whole("n_train"), "n_test": row.whole("n_test"),
        "measured": f"{row.text('method')} on the frozen backbone",
    }  # fmt: skip


def _interval(row: Row) -> tuple[float | None, float | None]:
    """The bootstrap interval; empty or two zeros mean that it was not computed."""
    if not row.cells["ci_lower"].strip() and not row.cells["ci_upper"].strip():
        return None, None
    low, high = row.share("ci_lower"), row.share("ci_upper")
    if low > high:
        raise row.wrong("ci_lower", f"at most ci_upper = {high}")
    return (low, high) if high > 0 else (None, None)


def _protocol(row: Row, metric: str) -> tuple[str, str]:
    """Probe and protocol: of our record where all fields agree, else a name that says them."""
    method, model = row.text("method"), row.text("name")
    size, normalisation = row.whole("image_size"), row.text("normalization")
    record = _record_of_ours()
    same_view = (size, row.text("interpolation"), _NORMALISE.get(normalisation)) == (
        record.size, record.interpolation, record.normalise,
    )  # fmt: skip
    same_rules = (
        (row.text("merge_val") == "True", row.whole("bootstrap")) == (record.merge, record.bootstrap)
        and record.metrics.get(_LABEL_KINDS.get(metric, "")) == metric
        and not model.endswith("_cls")
    )
    probe = _probe_of_ours(row, method, record)
    if same_view and same_rules and probe:
        return probe, record.id
    seen = f"{size}px" if size else "own-px"
    parts = ["published:torchgeo-bench", seen, row.text("interpolation"), normalisation, _band_word(row)]
    parts += ["cls"] if model.endswith("_cls") else []
    parts += [f"C-{_grid_word(row)}"] if method == "linear" else []
    parts += [f"bootstrap-{row.text('bootstrap')}"] if row.whole("bootstrap") != record.bootstrap else []
    parts += ["unmerged"] if row.text("merge_val") != "True" else []
    return method, "-".join(parts)


@cache
def _record_of_ours() -> ProtocolRecord:
    return resolve(OUR_RECORD)


def _probe_of_ours(row: Row, method: str, record: ProtocolRecord) -> str | None:
    """The probe of the record that does what this row's method did."""
    grid = {
        "num_c": row.whole("c_range_num"), "log10_low": row.number("c_range_start"),
        "log10_high": row.number("c_range_stop"), "standardise": False,
    }  # fmt: skip
    done: dict[str, tuple[str, dict[str, Any]]] = {
        "knn5": ("knn", {"k": 5, "metric": "l2", "vote": "plain"}),
        "linear": ("linear", grid),
    }
    part, options = done.get(method, ("", {}))
    same = [name for name, use in record.probes.items() if use.use == part and options.items() <= use.options.items()]
    return same[0] if same else None


def _grid_word(row: Row) -> str:
    return f"{row.text('c_range_num')}-from-1e{row.text('c_range_start')}-to-1e{row.text('c_range_stop')}"


def _band_word(row: Row) -> str:
    """Bands in a protocol's name: a band set of ours, the source's own word, or their number and a digest."""
    given = row.text("bands")
    if _band_set(row):
        return _band_set(row)
    if "," not in given:
        return given
    return f"{given.count(',') + 1}-bands-{hashlib.sha256(given.encode()).hexdigest()[:4]}"


def _band_set(row: Row) -> str:
    """Our band set, where it is certain: `all` says what was offered to a model, and not what it took."""
    given = row.text("bands")
    if given == "rgb":
        return "rgb"
    if "," not in given or row.text("dataset") in _NOT_SENTINEL2:
        return ""
    try:
        names = {canonical(_spelling(band)) for band in given.split(",")}
    except UserError:
        return ""
    return next((name for name, bands in BAND_SETS.items() if set(bands) == names), "")


def _spelling(band: str) -> str:
    words = band.strip().replace("_", " ")
    return {"coastal aerosol": "coastal"}.get(words, words)

"""How numbers, headings, captions and footnotes are worded, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, log10

from deo_bench.reports.cells import Column
from deo_bench.reports.entries import Axis, Kind
from deo_bench.reports.statistics import Difference, Estimate
from deo_bench.reports.table import Row, Table

UNRESOLVED = "unresolved"
BLOCKS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("", ("cell",)),
    ("with a frozen teacher beside it", ("bound",)),
    ("not trained here", ("baseline",)),
    ("references", ("reference",)),
)
"""Heading and kinds of a table's blocks, in order."""

_FEW = {0: "None", 1: "One"}
_METRICS = {
    "accuracy": "accuracy",
    "micro_map": "micro-mAP",
    "macro_map": "macro-mAP",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "pixel_f1": "macro-F1 of pixels",
    "change_iou": "IoU of change",
    "change_f1": "F1 of change",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "mean_cost": "measured cost",
    "mean_rate": "measured rate",
}
_MEASURED = {
    "retrieval": "retrieval mAP",
    "profile_parameters": "parameters, millions",
    "profile_gmacs": "GMACs an image",
    "profile_images_per_second": "images a second",
    "profile_peak_memory": "peak memory, MiB",
}
"""By the probe, where a metric is the mean of whatever that measured."""
_DIGITS = 3
_WEIGHTS = {"student": "the student's weights", "ema": "weights of the student's moving average (ema)"}


def number(value: float, signed: bool = False, is_share: bool = True, beside: Sequence[float] = ()) -> str:
    """A share as percent with one decimal, signed where it is a difference; no minus zero.

    What is no share stands in its own unit, with as many decimals as give three digits to the largest of it and of
    what stands beside it.
    """
    if not is_share:
        text = f"{value:{'+' if signed else ''},.{_decimals([value, *beside])}f}"
        return text.lstrip("+-") if not text.strip("+-0.") else text
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return text[1:] if text == "-0.0" else ("0.0" if text == "+0.0" else text)


def estimate_text(estimate: Estimate) -> str:
    """`54.1 ±1.3`: the value and half of its interval's width."""
    half = (estimate.high - estimate.low) / 2
    told = (number(each, False, estimate.is_share, (estimate.value, half)) for each in (estimate.value, half))
    return " ±".join(told)


def difference_text(gain: Difference) -> str:
    """`+9.0 [5.5, 12.0]`."""
    every = (gain.value, gain.low, gain.high)
    low, high = (number(each, False, gain.is_share, every) for each in every[1:])
    return f"{number(gain.value, True, gain.is_share, every)} [{low}, {high}]"


def scale(columns: Sequence[Column], word: str = "percent") -> str:
    """What the numbers of some columns are in: `percent`, and of those that are no shares their own unit."""
    own = {metric_word(column.metric, column.probe): None for column in columns if not column.is_share}
    if not own:
        return word
    told = f"in {'its own unit' if len(own) == 1 else 'their own units'}"
    is_alone = not any(column.is_share and column.metric for column in columns)
    return f"{' and '.join(own)} {told}" if is_alone else f"{word} ({' and '.join(own)}: {told})"


def begun(text: str) -> str:
    """A text as a sentence begins."""
    return text[:1].upper() + text[1:]


def p_text(p: float) -> str:
    """`.012`, `< .001`."""
    return "< .001" if p < 0.0005 else "1" if p > 0.9995 else f"{p:.3f}".replace("0.", ".", 1)


def unresolved_text(p: float) -> str:
    """What stands beside a difference that is not resolved: the word, and its corrected p value."""
    return f"{UNRESOLVED}, p {'= 1' if p > 0.9995 else f'= {p:.2f}'.replace('0.', '.', 1)}"


def _decimals(values: Sequence[float]) -> int:
    """How many give the largest of some numbers three digits."""
    most = max((abs(value) for value in values if isfinite(value)), default=0.0)
    return max(_DIGITS - 1 - floor(log10(most)), 0) if most > 0 else 1


def metric_name(column: Column) -> str:
    """The metric as a heading says it; where less is better it says so."""
    name = metric_word(column.metric, column.probe) or "no score"
    return f"{name}, less is better" if column.direction == "min" else name


def metric_remark(column: Column) -> str:
    """What a heading adds where a metric is not the protocol's."""
    return "not the protocol's" if column.protocol_metric else ""


def metric_word(metric: str, probe: str = "") -> str:
    """A metric's name as people write it; a mean is called by what the probe measured."""
    if metric.startswith("mean") and probe in _MEASURED:
        return _MEASURED[probe]
    return _METRICS.get(metric, metric)


def where(column: Column, axes: Sequence[Axis]) -> str:
    """What tells a column from others of its task: `rgb`, `0.01x_train, step 40`."""
    words = {
        "bands": column.bands,
        "probe": column.probe,
        "weights": f"{column.weights} weights",
        "partition": f"{column.partition} labels",
        "step": "last step" if column.step is None else f"step {column.step:,}",
    }
    return ", ".join(words[axis] for axis in axes if axis in words)


def blocks_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows in blocks with their headings, in order; cells that are grouped in a block a group."""
    made = []
    for heading, kinds in BLOCKS:
        for group in dict.fromkeys(row.group for row in rows if row.kind in kinds):
            made.append((group or heading, [row for row in rows if row.kind in kinds and row.group == group]))
    return made


def size(column: Column) -> str:
    """`n = 1,000`, with the groups where images are not independent."""
    if not column.n:
        return ""
    groups = f" in {column.groups:,} groups" if column.groups and column.groups != column.n else ""
    return f"n = {column.n:,}{groups}"


def title(table: Table) -> str:
    """What a table is of, in a few words."""
    only = f" of {table.columns[0].task}" if table.is_of_one_task else ""
    return f"{table.protocol}{only}, probe {table.probe}, bands {table.bands}, {table.weights} weights{_rest(table)}"


def caption(table: Table) -> str:
    """What is needed to read a table of scores."""
    runs = [row.runs for row in table.block("cell")]
    few, many = min(runs, default=0), max(runs, default=0)
    seeds = f"{many} {'seed' if many == 1 else 'seeds'}" if few == many else f"{few} to {many} seeds"
    has_single = any(row.runs == 1 for row in table.rows)
    over_seeds = f"Mean over {seeds} ± half of its 95 % t interval over seeds and test images together" + (
        "; rows of one run: ± half of a 95 % bootstrap interval over test images only." if has_single else "."
    )
    one_seed = (
        "One run a row, ± half of a 95 % bootstrap interval over test images only: how much seeds vary is not known, "
        "and nothing is called best or resolved."
    )
    sentences = [
        f"{begun(scale(table.columns))} on test images; protocol {table.protocol}{_origin(table)}, "
        f"probe {table.probe}, bands {table.bands}, "
        f"{' and '.join(_WEIGHTS.get(each, each) for each in table.weights.split(', '))}{_rest(table)}.",
        over_seeds if many > 1 else one_seed,
        *_leading(table),
        *_asked_metric(table),
    ]
    labels = sorted({column.band_labels for column in table.columns} - {"", "published"})
    if labels:
        sentences.append(f"Band labels: {', '.join(labels)}.")
    return " ".join([*sentences, *_source(table)])


def difference_caption(table: Table) -> str:
    """What is needed to read a table of differences."""
    less = " Where less is better, a minus is a gain." if any(c.direction == "min" for c in table.columns) else ""
    count = _comparisons(table)
    many = f"Holm's correction over the {count} comparisons" if count > 1 else "no correction: it is the one comparison"
    sentences = [
        *_count_of_resolved(table, count),
        f"{begun(scale(table.columns, 'points'))} against {table.against!r} with 95 % t intervals over seeds and "
        f"test images, paired by seed and by test image{_single_side(table)}.{less}",
        f"Intervals are each by itself; {UNRESOLVED}: p ≥ .05 after {many} of this table. They are exploratory; "
        "bold numbers and what an experiment declares beforehand are tested apart, among fewer comparisons, and "
        f"may be resolved where a difference here is not. Protocol {table.protocol}{_origin(table)}, "
        f"probe {table.probe}, bands {table.bands}{_rest(table)}.",
        *_asked_metric(table),
    ]
    return " ".join([*sentences, *_source(table)])


def measured_under(table: Table) -> str:
    """What a table's numbers were measured under, as a sentence, and for which experiment."""
    told = f"Protocol {table.protocol}{_origin(table)}, probe {table.probe}, bands {table.bands}"
    return " ".join([f"{told}, {table.weights} weights{_rest(table)}.", *_source(table)])


def pairing_note(row: Row, against: str | None) -> tuple[str, ...]:
    """Says of a row with seeds that its difference is not paired by seed, or rests on one or on fewer than it has."""
    gains = [cell.difference for cell in row.cells if cell.difference]
    if any(gain.pairing == "unpaired" for gain in gains):
        return (f"no seed in common with {against!r}: unpaired by seed, paired by test image",)
    fewest = min((gain.seeds for gain in gains), default=row.runs)
    if fewest == 1:
        return (f"one seed{' in common' if row.runs > 1 else ''}: the interval is over test images only",)
    if fewest < row.runs:
        return (f"over {fewest} of {row.runs} seeds in one column at the least: those that both sides have",)
    return ()


def has_differences(table: Table) -> bool:
    """Whether there is any difference of a cell to show."""
    return any(cell.difference for row in table.block("cell") for cell in row.cells)


def resolved(table: Table) -> list[str]:
    """The differences that are resolved, a few words each: `optical=tiny_optical on scenes-parcels +13.0`."""
    return [
        f"{row.label} on {', '.join(filter(None, (column.task, where(column, table.varying))))} "
        f"{number(cell.difference.value, True, cell.difference.is_share)}"
        f"{'' if column.is_share else f' ({metric_name(column)})'}"
        for row in table.block("cell")
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.difference and cell.is_resolved
    ]


def _count_of_resolved(table: Table, count: int) -> list[str]:
    """The answer before how it was reached."""
    found = len(resolved(table))
    verb = "is" if found < 2 else "are"
    return [f"{_FEW.get(found, found)} of the {count} differences {verb} resolved."] if count > 1 else []


def _single_side(table: Table) -> str:
    """Said only where a difference may have a single run on a side; a baseline row that is not shown may be one."""
    sides = [row.runs for row in table.rows if row.kind == "cell" or row.label == table.against]
    is_shown = any(row.label == table.against for row in table.rows)
    return (
        ""
        if is_shown and min(sides, default=1) > 1
        else "; where one side is a single run, only the other's seeds vary"
    )


def _leading(table: Table) -> list[str]:
    """What bold and underlined mean, and how many columns were corrected for; nothing where no two cells compete."""
    contested = sum(
        sum(row.cells[place].estimate is not None for row in table.block("cell")) > 1
        for place in range(len(table.columns))
    )
    if not contested:
        return []
    over = f", Holm over {contested} columns" if contested > 1 else ""
    cells = [cell for row in table.block("cell") for cell in row.cells]
    if not any(cell.is_best or cell.is_second for cell in cells):
        return [f"Nothing is bold: no cell is better than every other of the experiment (each p < .05{over})."]
    second = "; underlined: second to it, and better than every cell below likewise"
    has_second = any(cell.is_second for cell in cells)
    return [f"Bold: better than every other cell of the experiment (each p < .05{over}){second if has_second else ''}."]


def _asked_metric(table: Table) -> list[str]:
    """Says of a metric that was asked for that it is not the protocol's, and which that is."""
    asked = [column for column in table.columns if column.protocol_metric]
    if not asked:
        return []
    own = " or ".join(dict.fromkeys(metric_word(column.protocol_metric, column.probe) for column in asked))
    return [
        f"{metric_word(asked[0].metric, asked[0].probe)} is what this report asks for, computed anew from the "
        f"predictions; the protocol's metric is {own}."
    ]


def _rest(table: Table) -> str:
    """What is seldom another: the partition and the step."""
    partition = "" if table.partition == "default" else f", partition {table.partition}"
    return partition + ("" if table.step == "last" else f", weights of step {table.step}")


def _comparisons(table: Table) -> int:
    if table.comparisons is not None:
        return table.comparisons
    return sum(cell.corrected is not None for row in table.rows for cell in row.cells)


def _origin(table: Table) -> str:
    """The project's own scenes are never shown as anything else."""
    made = [column.task for column in table.columns if column.task.startswith("scenes-")]
    return (
        f" ({', '.join(made) if len(made) < len(table.columns) else 'every task'} on generated scenes)" if made else ""
    )


def _source(table: Table) -> list[str]:
    return [f"Experiment: {table.experiment}."] if table.experiment else []

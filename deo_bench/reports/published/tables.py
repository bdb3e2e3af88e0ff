"""Published numbers as tables: one a source, protocol, probe, band set and partition; models below one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.published.frame import CONFIDENCE, PublishedFrame
from deo_bench.reports.published.sources import read_source, source_names
from deo_bench.reports.published.summary import Key, PublishedCell, cells_of, normalised_means
from deo_bench.reports.section import Section
from deo_bench.reports.statistics import Interquartile

METRICS = {
    "accuracy": "accuracy",
    "micro_map": "micro-mAP",
    "miou": "macro mIoU",
    "f1": "F1",
    "mixed": "of several metrics",
    "unstated": "metric not said",
}
IQM = "normalised IQM"


def published_tables(frame: PublishedFrame) -> list[Grid]:
    """Tables of published numbers, never of numbers of different protocols, band sets or partitions together."""
    return [_grid(rows) for rows in parts_of(frame)]


def published_sections(frame: PublishedFrame) -> list[Section]:
    """A section for each source, with its tables."""
    return [
        Section(source_title(str(name)), tuple(published_tables(of)))
        for name, of in frame.groupby("source", sort=False)
    ]


def source_title(name: str) -> str:
    """A source's title; of a file its name."""
    return read_source(name).title if name in source_names() else name


def parts_of(frame: PublishedFrame) -> list[PublishedFrame]:
    """The numbers of each table, in the frame's order."""
    # A list of bands may be spelt in several ways for one band set of ours.
    bands = frame["band_set"].where(frame["band_set"] != "", frame["bands"]).rename("fed")
    together = [frame[name] for name in ("source", "what", "protocol", "probe", "partition")]
    return [rows for _, rows in frame.groupby([*together, bands], sort=False)]


def value_text(value: float, half: float | None, digits: int) -> str:
    """A share as percent, with half of its interval where there is one."""
    text = f"{100 * value:.{digits}f}"
    return text if half is None else f"{text} ±{100 * half:.{digits}f}"


def digits_of(cells: Sequence[PublishedCell]) -> int:
    """Two decimals where the source has them; one where an interval over test images says that they mean nothing."""
    values = [cell.value for cell in cells if cell.value is not None]
    if any(cell.half is not None and cell.runs == 1 for cell in cells):
        return 1
    return 2 if any(abs(1000 * value - round(1000 * value)) > 1e-6 for value in values) else 1


def _grid(frame: PublishedFrame) -> Grid:
    cells, means, number = cells_of(frame), normalised_means(frame), Footnotes()
    columns = list(dict.fromkeys((task, metric) for _, task, metric in cells))
    models = list(dict.fromkeys(model for model, _, _ in cells))
    digits = digits_of(list(cells.values()))
    lines = []
    for model in models:
        slots = [_slot(cells, (model, *column), digits, number) for column in columns]
        slots += [_mean_slot(means.get(model), number)] if means else []
        lines.append(Line(model, None, tuple(slots)))
    headings = [Heading(task, METRICS.get(metric, metric), _size(frame, task)) for task, metric in columns]
    headings += [Heading(IQM, f"{len(columns)} tasks")] if means else []
    return Grid(
        "published", title_of(frame), _caption(frame, cells, means), tuple(headings), (("", tuple(lines)),),
        tuple(number.notes), corner="published",
    )  # fmt: skip


def title_of(frame: PublishedFrame) -> str:
    """What a table is of; it says that it is published."""
    first = frame.iloc[0]
    bands = first["band_set"] or first["bands"]
    if "," in bands and not first["what"]:
        bands = f"{bands.count(',') + 1} by name"
    parts = [first["what"], first["protocol"], f"probe {first['probe']}", f"bands {bands}"]
    parts += [f"partition {first['partition']}"] if first["partition"] != "default" else []
    return f"published: {', '.join(part for part in parts if part)}"


def _slot(cells: Mapping[Key, PublishedCell], key: Key, digits: int, number: Footnotes) -> Slot:
    cell = cells.get(key)
    if cell is None:
        return Slot(HOLE)
    if cell.value is None:
        return Slot(HOLE, notes=number(cell.notes))
    letters = {one.confidence for one in cells.values()}
    marks = [f"confidence {cell.confidence}"] if len(letters) > 1 and cell.confidence != min(letters) else []
    return Slot(value_text(cell.value, cell.half, digits), notes=number([*marks, *cell.notes]))


def _mean_slot(mean: Interquartile | None, number: Footnotes) -> Slot:
    if mean is None:
        return Slot(HOLE, notes=number(["not on every task of the table, or single runs"]))
    return Slot(f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]")


def _size(frame: PublishedFrame, task: str) -> str:
    sizes = frame.loc[frame["task"] == task, "n_test"]
    known = sizes.dropna().unique()
    return f"n = {int(known[0]):,}" if len(known) == 1 and not sizes.isna().any() else ""


def _caption(frame: PublishedFrame, cells: Mapping[Key, PublishedCell], means: Mapping[str, Interquartile]) -> str:
    first = frame.iloc[0]
    sentences = [
        "Published, in percent, none of it this project's.",
        f"Source: {_source(str(first['source']))}.",
    ]
    letters = sorted(set(frame["confidence"]))
    told = [f"{letter} ({CONFIDENCE[letter]})" for letter in letters]
    sentences.append(f"Confidence {', where marked '.join(told)}.")
    sentences.append(f"Protocol {first['protocol']}: {first['measured']}.")
    if any(cell.half is not None and cell.runs > 1 for cell in cells.values()):
        again = any(cell.runs > cell.seeds for cell in cells.values())
        taken = ", runs of one seed taken as independent" if again else ""
        sentences.append(f"Mean over runs ± half of a 95 % t interval over them{taken}.")
    if any(cell.half is not None and cell.runs == 1 for cell in cells.values()):
        sentences.append("± half of the source's 95 % interval over test images.")
    if means:
        sentences.append(
            f"{IQM}: every task scaled to the least and the most of all runs of this table, then the inter-quartile "
            "mean over tasks and runs, in percent, with a 95 % bootstrap interval stratified by task."
        )
    note = read_source(str(first["source"])).note if first["source"] in source_names() else ""
    return " ".join([*sentences, *([f"{note[0].upper()}{note[1:]}."] if note else [])])


def _source(name: str) -> str:
    if name not in source_names():
        return f"the file {name}"
    source = read_source(name)
    return f"{source.title}, {source.url}" + (f", arXiv {source.paper}" if source.paper else "")

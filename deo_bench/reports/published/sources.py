"""The published numbers that ship: one TOML file a source in `sources/`, its tables as wide as they were printed.

A row is a model's name and a cell a task: a share, `""` where there is none, or a table with `value` and what is
particular to it (`low`, `high`, `spread`, `runs`, `seeds`, `n_train`, `n_test`, `confidence`, `note`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deo_bench.bands import BAND_SETS
from deo_bench.errors import UserError, unknown, wanted
from deo_bench.recipe import read_toml
from deo_bench.recipe.checking import plain
from deo_bench.reports.published.frame import PublishedFrame, join, make_frame

FOLDER = Path(__file__).parent / "sources"
EVERY = "all"
"""In a report's list of sources: all that ship and do not contradict a better one."""

Letter = Literal["A", "C", "R", "S"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Number(_Strict):
    """One number of a table, a share, with what is particular to it."""

    value: Share
    low: Share | None = None
    high: Share | None = None
    spread: Share | None = None
    runs: Count | None = None
    seeds: Count | None = None
    n_train: Count | None = None
    n_test: Count | None = None
    confidence: Letter | None = None
    note: str = ""


class Block(_Strict):
    """One table of a source: everything that its numbers share.

    metrics: of the tasks whose metric is another one; rows: a model's name, then a cell a task.
    """

    what: str
    protocol: str
    probe: str
    measured: str
    metric: str
    metrics: dict[str, str] = {}
    bands: str
    normalisation: str = ""
    image_size: Count | None = None
    partition: str = "default"
    confidence: Letter | None = None
    tasks: tuple[str, ...]
    rows: tuple[tuple[str | Share | Number, ...], ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Block:
        for row in self.rows:
            if len(row) != 1 + len(self.tasks) or not isinstance(row[0], str):
                raise ValueError(f"{self.what}: a row is a model and {len(self.tasks)} cells, got {row[:1]}")
            if any(isinstance(cell, str) and cell for cell in row[1:]):
                raise ValueError(
                    f"{self.what}: a cell of {row[0]} is a text; leave out what is unknown with an empty one"
                )
        if not set(self.metrics) <= set(self.tasks):
            raise ValueError(f"{self.what}: metrics names a task that the table lacks")
        return self


class Source(_Strict):
    """Where numbers come from.

    version: which state of it was read; confidence: of its numbers, where they say no other; conflicts_with: another
    source that says otherwise and is preferred, so that this one is shown only when it is asked for by name.
    """

    name: str
    title: str
    url: str
    version: str
    confidence: Letter
    paper: str = ""
    note: str = ""
    conflicts_with: str = ""
    table: tuple[Block, ...]


def source_names() -> list[str]:
    """The sources that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def read_source(name: str) -> Source:
    """A source that ships, by name."""
    if name not in source_names():
        raise unknown("source of published numbers", name, source_names())
    return check_source(FOLDER / f"{name}.toml")


def check_source(path: Path) -> Source:
    """A source from its file; a mistake in it is one line with the place."""
    content: dict[str, Any] = plain(read_toml(path))
    try:
        return Source(name=path.stem, table=content.get("table", ()), **content.get("source", {}))
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            raise UserError(f"{path}: expected [source] and [[table]]") from None
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {place}: {wanted(first)}") from None


def numbers_of(source: Source) -> PublishedFrame:
    """The numbers of a source, a row each."""
    return make_frame(record for block in source.table for record in _records(source, block))


def preferred_sources() -> list[str]:
    """The sources that are shown without being named: those that no other one contradicts."""
    return [name for name in source_names() if not read_source(name).conflicts_with]


def check_sources(names: Sequence[str], where: str) -> None:
    """Refuse a source that does not ship and a result CSV that is not there."""
    for name in names:
        if name.endswith(".csv"):
            if not Path(name).is_file():
                raise UserError(f"{where}: there is no file {name}")
        elif name not in source_names() and tuple(names) != (EVERY,):
            raise unknown("source of published numbers", name, [*source_names(), EVERY], where)


def shipped(names: list[str]) -> PublishedFrame:
    """The numbers of these sources together."""
    return join(numbers_of(read_source(name)) for name in names)


def _records(source: Source, block: Block) -> Iterator[dict[str, Any]]:
    shared = block.model_dump(include={"what", "protocol", "probe", "measured", "bands", "normalisation", "partition"})
    shared |= {"image_size": block.image_size, "band_set": block.bands if block.bands in BAND_SETS else ""}
    for model, *cells in block.rows:
        for task, cell in zip(block.tasks, cells, strict=True):
            if isinstance(cell, str):
                continue
            number = cell if isinstance(cell, Number) else Number(value=cell)
            yield {
                **shared,
                **number.model_dump(),
                "source": source.name,
                "model": model,
                "task": task,
                "metric": block.metrics.get(task, block.metric),
                "confidence": number.confidence or block.confidence or source.confidence,
            }

"""`deo-bench data`: what images are there, how to get the rest, whether they are sound, and packing them now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deo_bench.cli.arguments import STORE, DataOption, PartsOption, StoreOption
from deo_bench.declarations import REQUIRED, Declaration
from deo_bench.errors import MissingInput, UserError, unknown
from deo_bench.registry import Registry

if TYPE_CHECKING:
    from deo_bench.data import Pack, Places

data = typer.Typer(
    help="Say what data are there, download the rest, check them, pack them now.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NamesArgument = Annotated[list[str], typer.Argument(help="Tasks by name, or experiments (file or preset).")]
Source = tuple[str, str, Any]
"""What something is called, its kind (`task` or `data`), and the part."""


@data.command("list")
def list_(store: StoreOption = STORE, where: DataOption = None, parts: PartsOption = None) -> None:
    """Say which tasks and pre-training images are there, which are missing, and how to get them."""
    from deo_bench.data import Places

    registry, places = Registry(parts or ()), Places.of(store, where)
    if places.root is not None and not places.root.is_dir():
        raise UserError(f"--data {places.root} (or DEO_BENCH_DATA): is no folder; name the one that holds the data")
    typer.echo(
        f"data: {places.root or 'no folder given (--data, DEO_BENCH_DATA, GEO_BENCH_DIR)'}; cache: {places.cache}"
    )
    for kind in ("task", "data"):
        declared = registry.all(kind)
        typer.echo("tasks" if kind == "task" else "images to pre-train on")
        width = max(map(len, declared), default=0)
        for name, part in declared.items():
            typer.echo(f"  {name:<{width}}  {_state(registry, part, places)}")


@data.command()
def check(
    names: NamesArgument, store: StoreOption = STORE, where: DataOption = None, parts: PartsOption = None
) -> None:
    """Read data, say what they are, and exit with 1 where a reported image was also trained or fitted on."""
    from deo_bench.data import Places

    places = Places.of(store, where)
    packs: dict[str, list[tuple[str, Pack]]] = {"task": [], "data": []}
    for label, kind, source in _sources(names, parts):
        packs[kind].append((label, source.pack(places)))
        typer.echo(f"{label}\n{_described(packs[kind][-1][1])}")
    if sum(_tell_shared(label, pack, packs["data"]) for label, pack in packs["task"]):
        raise typer.Exit(1)


@data.command()
def pack(names: NamesArgument, store: StoreOption = STORE, where: DataOption = None, parts: PartsOption = None) -> None:
    """Pack data now, so that the first run finds them ready."""
    from deo_bench.data import Places

    places = Places.of(store, where)
    for label, _, source in _sources(names, parts):
        packed = source.pack(places)
        typer.echo(f"{label}: {len(packed)} images, {packed.images.nbytes / 1e6:.0f} MB, content {packed.content[:12]}")


@data.command()
def download(
    names: NamesArgument, store: StoreOption = STORE, where: DataOption = None, parts: PartsOption = None
) -> None:
    """Download data sets into the folder of data, check and unpack them; goes on where an earlier call stopped."""
    from deo_bench.cli.downloads import bring_all
    from deo_bench.data import Places

    places = Places.of(store, where)
    offered = [(label, source, source.downloads(places)) for label, _, source in _sources(names, parts)]
    wanted = dict.fromkeys((label, each) for label, _, files in offered for each in files)
    if wanted and places.root is None:
        raise MissingInput("no folder of data is given", "say --data FOLDER, or set DEO_BENCH_DATA or GEO_BENCH_DIR")
    missing = bring_all(wanted, places.root)
    for label, source, files in offered:
        if not files:
            try:
                found = source.inputs(places)
            except MissingInput as error:
                missing.append(error)
                continue
            typer.echo(f"{label}: nothing to download, " + (f"it is at {found[0]}" if found else "it is generated"))
    for told in missing[:-1]:
        typer.echo(f"error: {told}", err=True)
    if missing:
        raise missing[-1]


def _state(registry: Registry, declared: Declaration, places: Places) -> str:
    """Whether a part's data are there, as far as that can be said without options and without reading them."""
    required = [option.name for option in declared.options.values() if option.default is REQUIRED]
    if required:
        return f"needs {', '.join(f'{name} = …' for name in required)}"
    try:
        part = registry.build(declared.kind, declared.name)
        found = part.inputs(places)
    except MissingInput as error:
        size = sum(max(each.bytes, each.unpacked) for each in part.downloads(places))
        return f"missing: {error}" + (f" ({size / 1e9:.2f} GB or more)" if size else "")
    if not found:
        return "generated when it is needed"
    return f"there: {', '.join(map(str, found))} ({sum(map(_size, found)) / 1e9:.2f} GB)"


def _size(path: Path) -> int:
    """Bytes of a file, or of what stands in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _sources(names: list[str], parts: list[Path] | None) -> Iterator[Source]:
    """The tasks named, and the tasks and pre-training images of the experiments named."""
    from deo_bench.cli.names import preset_files

    registry = Registry(parts or ())
    tasks = registry.all("task")
    for name in names:
        if name in tasks:
            yield name, "task", registry.build("task", name)
        elif Path(name).suffix == ".toml" or name in preset_files("experiments"):
            yield from _of_experiment(name)
        else:
            raise unknown("task or experiment", name, [*tasks, *preset_files("experiments")])


def _of_experiment(name: str) -> Iterator[Source]:
    from deo_bench.experiments.file import read_experiment
    from deo_bench.recipe import part

    experiment = read_experiment(name)
    for task in experiment.tasks:
        yield task.name, "task", experiment.registry.build("task", task.part.use, options=task.part.options)
    if "data" not in experiment.recipe:
        raise UserError(f"{experiment.path}: its recipe has no [data]")
    table = part("data", experiment.recipe["data"], experiment.registry, f"{experiment.path}: data")
    yield f"data {table.use}", "data", experiment.registry.build("data", table.use, options=table.options)


def _described(pack: Pack) -> str:
    count, _, height, width = pack.images.shape
    what = "images" if pack.later is None else "pairs of images at two dates"
    lines = [f"{count} {what} of {height} x {width} px, {pack.unit}, {pack.images.dtype}, content {pack.content[:12]}"]
    if pack.labels is not None:
        lines.append(_labels(pack))
    if pack.splits:
        lines.append("splits: " + ", ".join(f"{role} {len(rows)}" for role, rows in pack.splits.items()))
    if pack.groups is not None:
        lines.append(f"{len(set(pack.groups.tolist()))} groups of images that belong together")
    lines.append(f"band names as {pack.band_labels}; mean and standard deviation:")
    lines += [f"  {band:<4} {m:10.4g} {s:10.4g}" for band, m, s in zip(pack.bands, pack.mean, pack.std, strict=True)]
    return "\n".join(f"  {line}" for line in lines)


def _labels(pack: Pack) -> str:
    assert pack.labels is not None
    if pack.label_kind == "regression":
        low, high = pack.labels.min(), pack.labels.max()
        return f"a number an image, from {low:.6g} to {high:.6g}, mean {pack.labels.mean():.6g}"
    maps = {"segmentation": "maps of", "change": "maps of change,"}
    kind = maps.get(pack.label_kind, f"{pack.label_kind}-label,")
    ignored = f"; pixels of {pack.ignore} count nowhere" if pack.label_kind in maps and pack.ignore is not None else ""
    return f"{kind} {len(pack.classes)} classes: {', '.join(pack.classes)}{ignored}"


def _tell_shared(label: str, pack: Pack, trained: list[tuple[str, Pack]]) -> int:
    """How much of a task's report split is also fitted, selected or pre-trained on; each sort is said."""
    import numpy as np

    from deo_bench.data.shared import shared_images

    report = pack.splits.get("report", np.arange(0))
    against = [(f"its own {role} split", pack, pack.splits[role]) for role in ("fit", "select") if role in pack.splits]
    against += [(name, other, other.splits.get("fit", np.arange(len(other)))) for name, other in trained]
    total = 0
    for name, other, rows in against:
        found = shared_images(other, rows, pack, report)
        if found:
            typer.echo(
                f"{label}: {len(found)} of {len(report)} reported images are also in {name}, such as {found[0][1]}"
            )
        total += len(found)
    if pack.groups is not None and "fit" in pack.splits:
        both = np.intersect1d(pack.groups[report], pack.groups[pack.splits["fit"]])
        if len(both):
            typer.echo(f"{label}: {len(both)} groups have images in the report split and in the fit split")
        total += len(both)
    return total

"""`deo-bench runs prune`: say what of a store can go, and delete it where that is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deo_bench.cli.arguments import STORE, DataOption, StoreOption
from deo_bench.cli.storage import StorageOption
from deo_bench.errors import StoreError, UserError

if TYPE_CHECKING:
    from deo_bench.store.prune import Found, Wanted

_SHOWN = 20
_AGE = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}

KeepOption = Annotated[
    list[str] | None,
    typer.Option("--keep", help="Prune every run but those that this experiment (file or preset) names; repeat."),
]
AgeOption = Annotated[
    str | None,
    typer.Option("--older-than", help="Of all that is asked for, only what nobody touched for 12h, 30d, 2w."),
]
SizeOption = Annotated[
    str | None, typer.Option("--max-size", help="With --cache: what was used last stays, up to 20GB in all.")
]


def prune(
    keep: KeepOption = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Prune failed and unfinished runs; with --keep, of the others alone.")
    ] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Let scores and records of pruned runs go, too: nothing of them stays.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Prune packs, embeddings, statistics and scenes; they are made again.")
    ] = False,
    older_than: AgeOption = None,
    max_size: SizeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it, only what would go is said.")] = False,
    store: StoreOption = STORE,
    data: DataOption = None,
    storage: StorageOption = None,
) -> None:
    """Say what of a store can go, and with --yes delete it.

    Leftover temporary files and the checkpoints of finished runs always go: nobody needs them. Runs and the cache go
    where an option asks for them.

    Of a pruned run its weights, log and checkpoint go. Its recipe, its record and its scores stay, so that reports
    still show it; `deo-bench run` would train it again, to the same bytes on the same machine. --scores lets all of
    it go.

    Never touched: a run that a process trains or scores now, a run that another run which stays has as a teacher,
    scores of baselines, and whatever deo-bench did not make; what of it stands in the way is named. Runs that were
    made with --set or other --seeds are not named by the file.
    """
    from deo_bench.data import Places
    from deo_bench.store import Store
    from deo_bench.store.disk import read_size
    from deo_bench.store.prune import Wanted, look

    if max_size is not None and not cache:
        raise UserError("--max-size is how large the cache may be; say --cache as well")
    if scores and not (keep or unfinished):
        raise UserError("--scores is about runs that are pruned; say which: --keep EXPERIMENT, or --unfinished")
    if not store.is_dir():
        raise UserError(f"{store}: there is no such store; name one with --store")
    names = None if not keep else _kept(keep, store, data, storage)
    wanted = Wanted(
        keep=names,
        kept_by=" or ".join(keep or ()),
        unfinished=unfinished,
        scores=scores,
        cache=cache,
        older_than=0.0 if older_than is None else read_age(older_than),
        max_size=None if max_size is None else read_size(max_size),
    )
    found = look(Store(store), Places.of(store, data).cache, wanted)
    _tell(found, wanted, yes)
    if yes and not _remove(Store(store), found):
        raise typer.Exit(1)


def read_age(text: str) -> float:
    """`12h`, `30d` or `2w` in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdw])", text.strip().lower())
    if not match:
        raise UserError(f"--older-than {text!r}: expected a number of hours, days or weeks such as 12h, 30d or 2w")
    return float(match[1]) * _AGE[match[2]]


def _kept(experiments: list[str], store: Path, data: Path | None, storage: str | None) -> frozenset[str]:
    """Every run that the experiments name; refused where none is here, since nearly always another store is meant."""
    from deo_bench.experiments.named import runs_named
    from deo_bench.store import Store

    here = {run.name for run in Store(store).runs()}
    kept: frozenset[str] = frozenset()
    for name in experiments:
        named = runs_named(name, store, data, storage)
        if here and not named & here:
            raise UserError(
                f"--keep {name}: none of the {len(named)} runs it names is in {store}, so every run would go; "
                "other data or parts, --set and other seeds give runs other names"
            )
        kept |= named
    return kept


def _tell(found: Found, wanted: Wanted, is_deleted: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from deo_bench.store.disk import size_text

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(box=None, pad_edge=False)
    table.add_column("going" if is_deleted else "would go", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("why")
    for item in found.items:
        table.add_row(Text(item.name), size_text(item.size), Text(item.why))
    if found.items:
        console.print(table)
    if found.left:
        typer.echo("left alone")
        for name, why in found.left[:_SHOWN]:
            typer.echo(f"  {name}: {why}")
        if len(found.left) > _SHOWN:
            typer.echo(f"  and {len(found.left) - _SHOWN} more")
    for option, (count, size) in found.offers.items():
        what = "in the cache" if option == "--cache" else "failed or unfinished runs"
        typer.echo(f"not asked for: {size_text(size)}, {count} {what} ({option})")
    told = f"{len(found.items)} items, {size_text(found.size)}" if found.items else "nothing to prune"
    typer.echo(told if is_deleted or not found.items else f"{told}; nothing was deleted: --yes deletes them")


def _remove(store, found: Found) -> bool:  # type: ignore[no-untyped-def]
    """Delete what was found, one by one; whether all of it went."""
    from deo_bench.store.disk import size_text
    from deo_bench.store.removal import remove

    freed, failed = 0, 0
    for item in found.items:
        try:
            remove(store, item)
            freed += item.size
        except StoreError as error:
            failed += 1
            typer.echo(f"failed: {error}", err=True)
    if found.items:
        typer.echo(f"freed {size_text(freed)}" + (f"; {failed} of {len(found.items)} items stay" if failed else ""))
    return not failed

"""The whole examination, section by section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deo_bench.doctor.findings import Finding, Section, looked_at

if TYPE_CHECKING:
    from deo_bench.declarations import Declaration

QUICKSTART = "quickstart"


def examine(store: Path, data: Path | None = None, parts: Iterable[Path] = ()) -> Iterator[Section]:
    """Everything that is looked at, in order; nothing is made, and nothing but this machine is asked.

    Libraries are imported inside the sections that need them, so that one which is broken is told and the rest is
    still looked at.
    """
    from deo_bench.doctor.machine import machine
    from deo_bench.doctor.packages import packages

    yield looked_at("installation", packages, is_needed=True)
    yield looked_at("machine", machine)
    yield looked_at("store", lambda: _stores(store, data), is_needed=True)
    yield looked_at("data", lambda: _data(store, data, parts))
    yield looked_at("weights", lambda: _weights(parts))
    yield looked_at("presets", _presets, is_needed=True)
    yield looked_at(QUICKSTART, lambda: _quickstart(store, data), is_needed=True)


def _stores(store: Path, data: Path | None) -> Iterator[Finding]:
    from deo_bench.data import Places
    from deo_bench.doctor.places import stores

    return stores(store, Places.of(store, data).cache)


def _data(store: Path, given: Path | None, parts: Iterable[Path]) -> Iterator[Finding]:
    from deo_bench.data import Places
    from deo_bench.doctor.content import data
    from deo_bench.registry import Registry

    return data(Places.of(store, given), given, Registry(parts))


def _presets() -> Iterator[Finding]:
    from deo_bench.doctor.content import presets

    return presets()


def _weights(parts: Iterable[Path]) -> Iterator[Finding]:
    """Of each teacher that loads any whether its weights are here, and the hub's cache that they are looked for in."""
    from huggingface_hub import constants

    from deo_bench.registry import Registry

    is_offline = bool(constants.HF_HUB_OFFLINE)
    told = f"{constants.HF_HUB_CACHE}" + ("; HF_HUB_OFFLINE is set, so nothing is downloaded" if is_offline else "")
    yield Finding("hub's cache", "ok", told, facts={"path": constants.HF_HUB_CACHE, "offline": is_offline})
    for name, declared in Registry(parts).all("teacher").items():
        if declared.facts.get("needs") not in ("run", "student", "bands"):
            yield from _weights_of(name, declared)


def _weights_of(name: str, declared: Declaration) -> Iterator[Finding]:
    from deo_bench.errors import UserError
    from deo_bench.store.disk import size_text
    from deo_bench.weights import look

    try:
        found = look(declared)
    except UserError as error:
        yield Finding(name, "problem", str(error))
        return
    if not found.needed:
        return
    size, gated = "" if found.size is None else size_text(found.size), bool(declared.facts.get("gated"))
    facts = {"path": None if found.path is None else str(found.path), "bytes": found.size, "gated": gated}
    facts["family"] = declared.path.stem if declared.path else None
    if found.path is not None:
        yield Finding(name, "ok", f"there, {size}: {found.path}", facts=facts)
        return
    told = ["not there", *(["gated"] if gated else []), *([f"about {size}"] if size else [])]
    yield Finding(name, "missing", ", ".join(told), found.remedy, facts=facts)


def _quickstart(store: Path, data: Path | None) -> Iterator[Finding]:
    """Whether `deo-bench run quickstart` would start: its file, its cells, its report, planned and not carried out."""
    from deo_bench.errors import UserError
    from deo_bench.experiments.answer import report_of, scope_of
    from deo_bench.experiments.file import read_experiment
    from deo_bench.experiments.plan import make_plan

    try:
        plan = make_plan(read_experiment(QUICKSTART), store, data)
        report_of(plan).narrow(scope_of(plan))
    except UserError as error:
        yield Finding("plan", "problem", str(error), is_needed=True)
        return
    runs, scores = len(plan.runs_to_do()), len(plan.scores_to_do())
    facts = {"runs": len(plan.runs), "runs_to_do": runs, "scores": len(plan.requests), "scores_to_do": scores}
    text = f"{len(plan.runs) - runs} of {len(plan.runs)} runs and {len(plan.requests) - scores} of "
    text += f"{len(plan.requests)} scores are there"
    yield Finding("plan", "ok", text, is_needed=True, facts=facts)

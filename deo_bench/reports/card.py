"""The card of a student that leaves its store: what it is, what taught it, what it scores, what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from deo_bench.files import read_json
from deo_bench.probes.metrics import METRICS
from deo_bench.recipe.differences import written
from deo_bench.registry import Registry
from deo_bench.reports.render_markdown import escape
from deo_bench.reports.wording import metric_word, number
from deo_bench.store import Store
from deo_bench.store.runs import RUN_NAME

_DEEPEST = 8
"""Runs that taught runs that taught …: farther back nobody is named."""


@dataclass(frozen=True)
class Card:
    """What a card is made of.

    about: the metadata of the exported file; contents: the run's `recipe.json`; info: its `run.json`; scores: rows of
    `read_scores` of the run; checksum, size: of the file.
    """

    about: Mapping[str, Any]
    contents: Mapping[str, Any]
    info: Mapping[str, Any]
    scores: pd.DataFrame
    checksum: str
    size: int


def card(given: Card, registry: Registry, store: Store) -> str:
    """The card as Markdown; the same run with the same scores gives the same text."""
    about, recipe = given.about, given.contents["recipe"]
    which = "the student's own weights" if about["weights"] == "student" else "weights of its moving average (ema)"
    parts = [
        f"# {recipe['student']['use']}, run {about['run']}",
        f"A student that deo-bench trained, {which}. Three lines load it:",
        '```python\nimport deo_bench\n\nmodel = deo_bench.load_student("FOLDER")  # where this card is\n'
        f"features = model.forward_features(images)  # [B, {len(next(iter(about['bands'].values())))}, H, W] as below\n"
        "```",
        "## Images",
        *_images(about),
        "## Features",
        *_features(about),
        "## Recipe",
        _list(_recipe(given.contents, given.info)),
        "## Teachers",
        _list(list(_teachers(given.contents, registry, store)) or ["none"]),
        "A card says what a teacher's source says of its licence; whether what was distilled from it is bound by it is "
        "for its user to judge.",
        "## Scores",
        *_scores(given.scores),
        "## File",
        _list(_file(given)),
    ]
    return "\n\n".join(parts) + "\n"


def _images(about: Mapping[str, Any]) -> Iterator[str]:
    for place, (name, bands) in enumerate(about["bands"].items()):
        own = about["normalisation"][name]
        meant = ", meant where none is named" if not place else f', as `sees="{name}"`'
        yield f"Band set `{name}`{meant}: {len(bands)} bands in this order, in `{own['unit']}`{_unit(own)}."
        rows = [[band, f"{m:.6g}", f"{s:.6g}"] for band, m, s in zip(bands, own["mean"], own["std"], strict=True)]
        yield _table(["band", "mean", "std"], rows)
    yield "Images are normalised inside, (x - mean) / std, unless `normalise=False` says that they are already."


def _unit(normalisation: Mapping[str, Any]) -> str:
    told = {
        "dn": " (reflectance times 10,000)",
        "display": f" (0 to 1, white is reflectance {normalisation['white']:g})",
        "uint8": " (0 to 255)",
    }.get(normalisation["unit"], "")
    if normalisation["max_scaled"]:
        told += "; red, green and blue are divided by their joint maximum in each image first"
    if normalisation["two_sigma"]:
        told += "; stretched from mean - 2 std to mean + 2 std over 256 levels in [0, 1] instead of a z-score"
    return told


def _features(about: Mapping[str, Any]) -> Iterator[str]:
    pooled = [f"`{name}` {width}" for name, width in about["pooled"].items()]
    yield f"Pooled vectors and their widths: {', '.join(pooled)}; `model(images)` gives `{about['default']}`."
    rows = [[name, *(str(level[key]) for key in ("number", "channels", "stride"))] for name, level in _levels(about)]
    if rows:
        yield _table(["level", "block or stage", "channels", "stride in pixels"], rows)


def _levels(about: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(about["levels"].items(), key=lambda item: int(item[1]["number"]))


def _recipe(contents: Mapping[str, Any], info: Mapping[str, Any]) -> list[str]:
    recipe = contents["recipe"]
    student, train = recipe["student"], recipe["train"]
    told = [
        f"student: {_part(student)}; stem {_part(student['stem'])}; normalised by {student['normalise']}",
        f"images: data {_part(recipe['data'])}, fingerprint {contents['data']}",
    ]
    for name, term in recipe["objective"].items():
        toward = f" toward {' and '.join(term['toward'])}" if term["toward"] else ""
        told.append(
            f"term {name}: {term['loss']}{_options(term)}{toward}, sees {term['sees']}, "
            f"on {' and '.join(term['on'])}, weight {written(term['weight'])}"
        )
    told += [] if recipe["objective"] else ["no term: the student is as it was initialised"]
    told += [
        f"balance: {_part(recipe['balance'])}",
        f"training: {info.get('steps', train['steps'])} steps of {train['batch']} images, {train['optimiser']}, "
        f"lr {train['lr']:g} to {train['lr_end']:g}, {train['precision']}",
        f"seed {info['seed']}",
        "everything else is in `recipe.json`, beside this card",
    ]
    told += [f"marked by deo-bench: {mark}" for mark in info.get("marks", ())]
    return told


def _part(table: Mapping[str, Any]) -> str:
    return f"{table['use']}{_options(table)}"


def _options(table: Mapping[str, Any]) -> str:
    told = [f"{name} {written(value)}" for name, value in table.get("options", {}).items() if value is not None]
    return f" ({', '.join(told)})" if told else ""


def _teachers(contents: Mapping[str, Any], registry: Registry, store: Store, depth: int = 0) -> Iterator[str]:
    recipe = contents["recipe"]
    roles = {**recipe["teachers"], **({"student": held} if (held := recipe["student"].get("teacher")) else {})}
    for role, table in roles.items():
        weights = (contents.get("weights") or {}).get(role)
        yield f"{'of it, ' * depth}{role}: {_teacher(table, weights, registry)}"
        if weights and RUN_NAME.fullmatch(weights):
            yield from _behind(weights, registry, store, depth + 1)


def _behind(name: str, registry: Registry, store: Store, depth: int) -> Iterator[str]:
    """The teachers of a run that is a teacher, since a student learns from them through it."""
    run = store.run(name)
    if depth > _DEEPEST or run.state == "missing" or run.problem():
        yield f"{'of it, ' * depth}whoever taught {name} is not known here: the run is not whole in this store"
        return
    yield from _teachers(read_json(run.path / "recipe.json"), registry, store, depth)


def _teacher(table: Mapping[str, Any], weights: str | None, registry: Registry) -> str:
    use = table["use"]
    known = registry.all("teacher").get(use)
    if known is None:
        return f"{use}, a part that is not here; nothing is known of its licence"
    facts = known.facts
    if weights is None:
        return f"{use}, made from the student or drawn: no weights of others"
    licence = f"licence {facts['licence']}" if facts.get("licence") else "its licence is not stated"
    if facts.get("gated"):
        licence += " (gated)"
    seen = facts.get("trained_on") or ()
    trained = f"trained on {', '.join([seen] if isinstance(seen, str) else seen)}" if seen else "trained on: not stated"
    source = f", {facts['paper']}" if facts.get("paper") else ""
    what = f"run {weights}" if RUN_NAME.fullmatch(weights) else f"weights sha256 {weights}"
    return f"{use}{source}, {licence}, {trained}; {what}"


def _scores(scores: pd.DataFrame) -> Iterator[str]:
    if scores.empty:
        yield "The store has none of these weights."
        return
    rows, has_own_unit = [], False
    keys = ["task", "protocol", "bands", "partition", "probe"]
    for row in scores.sort_values([*keys, "digest"]).to_dict("records"):
        is_share = row["metric"] not in METRICS or METRICS[row["metric"]].is_share
        told_as = partial(number, is_share=is_share, beside=() if is_share else (row["value"],))
        has_own_unit = has_own_unit or not is_share
        interval = "" if pd.isna(row["low"]) else f"[{told_as(row['low'])}, {told_as(row['high'])}]"
        metric = metric_word(row["metric"], row["probe"]) + (", less is better" if row["direction"] == "min" else "")
        told = [*(str(row[key]) for key in keys), metric, told_as(row["value"]), interval, f"{row['n']:,}"]
        rows.append([escape(each) for each in told])
    yield _table([*keys, "metric", "score", "95 % interval", "n"], rows)
    generated = " Tasks called scenes-… are generated scenes." if scores["task"].str.startswith("scenes-").any() else ""
    yield (
        f"Percent{'; what is no share in its own unit' if has_own_unit else ''}. Intervals are over test images alone: "
        "this is one run, and how much seeds vary they do not say. "
        f"Compare recipes over several seeds, `deo-bench compare`.{generated}"
    )


def _file(given: Card) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(given.about["versions"].items()))
    parts = ", ".join(f"{part} {version}" for part, version in sorted(given.about["parts"].items()))
    return [
        f"`student.safetensors`, {given.size:,} bytes, sha256 {given.checksum}",
        f"trained with {versions or 'versions that were not recorded'}",
        f"versions of parts: {parts}; written by deo-bench {given.about['written_by']}",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)

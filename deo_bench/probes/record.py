"""Protocols: frozen, versioned ways to evaluate; whatever is overridden makes another one, with an id of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deo_bench.bands import canonical
from deo_bench.declarations import PART_NAME
from deo_bench.errors import UserError, shown, unknown, wanted
from deo_bench.features import POOLED
from deo_bench.probes import LABEL_KINDS
from deo_bench.probes.metrics import METRICS
from deo_bench.registry import Registry

_LATER = ("levels", "window", "absent", "pad")
_LATER_OPTIONS: dict[str, dict[str, Any]] = {"linear": {"double": False}}
"""Options that probes got later, with what was done before: so told, they say nothing."""
USUAL = {"regression": "rmse", "segmentation": "miou", "change": "change_f1"}
"""Metrics of the kinds of labels where a protocol says none."""


class ProbeUse(BaseModel):
    """A probe as a protocol uses it: the part, and every option of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str
    options: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """What of it counts in an identity: an option that came later only where it says something."""
        options = self.model_dump(mode="json")["options"]
        later = _LATER_OPTIONS.get(self.use, {})
        return {"use": self.use, "options": {k: v for k, v in options.items() if k not in later or later[k] != v}}


class ProtocolRecord(BaseModel):
    """A way to evaluate, complete: two scores share a column only under the same id.

    size: pixels that images are resized to, none for their own; interpolation: how; normalise: the backbone's own
    statistics or the data set's; pooling: the pooled vector that is probed; levels: with a number, maps of so many
    levels of the backbone's own, averaged over their cells and side by side, are probed in its place; window: side in
    pixels of random crops to fit on and of the overlapping windows that a test image is seen through, for probes on
    maps; absent: bands that the report images lack, filled with their mean; pad: whether bands that a backbone wants
    and the data lack are filled with the mean; merge: whether probes that select refit on fit and select; metrics:
    label kind -> metric; bootstrap: resamples of an interval; probes: name in tables -> probe.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    size: int | None = Field(default=None, ge=1)
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    normalise: Literal["native", "dataset"] = "native"
    pooling: str = "default"
    levels: int = Field(default=0, ge=0, le=16)
    window: int | None = Field(default=None, ge=8)
    absent: tuple[str, ...] = ()
    pad: bool = False
    merge: bool = False
    metrics: dict[str, str]
    bootstrap: int = Field(default=1000, ge=1, le=1_000_000)
    probes: dict[str, ProbeUse]

    @property
    def content(self) -> str:
        """8 hex of everything but the id."""
        text = json.dumps(self.told(exclude={"id"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def told(self, exclude: set[str]) -> dict[str, Any]:
        """The record as JSON; fields and metrics that came later are in it where they say something.

        So the ids and digests of what was there before them stay what they were.
        """
        told = self.model_dump(mode="json", exclude=exclude)
        for key in _LATER:
            if getattr(self, key) == ProtocolRecord.model_fields[key].get_default():
                told.pop(key, None)
        if "probes" in told:
            told["probes"] = {name: use.told() for name, use in self.probes.items()}
        return told | {"metrics": {k: v for k, v in self.metrics.items() if v != USUAL.get(k)}}

    def metric(self, label_kind: str) -> str:
        """The metric of a kind of labels; an error names the kinds there are."""
        if label_kind not in self.metrics:
            raise unknown("kind of labels", label_kind, self.metrics, f"protocol {self.id}")
        return self.metrics[label_kind]


def resolve(
    entry: str | Mapping[str, Any], registry: Registry | None = None, where: str = "protocols"
) -> ProtocolRecord:
    """The record of a name, or of `{use = NAME, …}` with whatever else it says overridden.

    Every probe's options are checked and complete. An override of a probe (`probes.knn5_l2.k = 7`) changes that
    option alone; one that says `use` is a probe of its own. Where something differs from the published record, the
    id becomes `custom-<8 hex of the content>`. A list of probes' names is a choice, in that order, of those that the
    record has: its id stays, since their scores are the same ones.
    """
    registry = registry or Registry()
    if isinstance(entry, str):
        entry = {"use": entry}
    overrides = {key: value for key, value in entry.items() if key != "use"}
    name = entry.get("use")
    if not isinstance(name, str):
        raise UserError(f'{where}: a protocol is a name or a table with use = "tgb-v0.4", got {shown(dict(entry))}')
    if isinstance(overrides.get("probes"), list | tuple):
        chosen = overrides.pop("probes")
        whole = resolve({"use": name, **overrides}, registry, where)
        return whole.model_copy(update={"probes": _chosen(whole.probes, chosen, where)})
    base = _record(name, {}, registry, where)
    if not overrides:
        return base
    if "probes" in overrides:
        overrides["probes"] = _merged(base, overrides["probes"], registry, where)
    if "metrics" in overrides:
        given = registry.options("protocol", name, {"metrics": overrides["metrics"]}, where)["metrics"]
        overrides["metrics"] = {**base.metrics, **(given or {})}
    record = _record(name, overrides, registry, where)
    if record.content == base.content:
        return base
    return record.model_copy(update={"id": f"custom-{record.content}"})


def _record(name: str, overrides: Mapping[str, Any], registry: Registry, where: str) -> ProtocolRecord:
    options = registry.options("protocol", name, overrides, where)
    try:
        record: ProtocolRecord = registry.load("protocol", name)(name, **options).record
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}.{place}: {wanted(first)}, got {shown(first['input'])}") from None
    if record.pooling not in POOLED:
        raise unknown("pooled vector", record.pooling, POOLED, f"{where}.pooling")
    for kind, metric in record.metrics.items():
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS, f"{where}.metrics.{kind}")
        if kind in LABEL_KINDS and kind not in METRICS[metric].kinds:
            fitting = ", ".join(key for key, each in METRICS.items() if kind in each.kinds)
            raise UserError(f"{where}.metrics.{kind}: {metric!r} says nothing of such labels; say one of {fitting}")
    absent = tuple(sorted({canonical(band) for band in record.absent}))
    probes = {
        key: ProbeUse(use=each.use, options=registry.options("probe", each.use, each.options, f"{where}.probes.{key}"))
        for key, each in record.probes.items()
    }
    return record.model_copy(update={"probes": probes, "absent": absent})


def _merged(base: ProtocolRecord, given: Any, registry: Registry, where: str) -> dict[str, dict[str, Any]]:
    """The base's probes with what is given on top, each as `{use, option, …}`."""
    probes = {key: {"use": each.use, **each.options} for key, each in base.probes.items()}
    if not isinstance(given, Mapping):
        told = 'tables by name (probes.knn5_l2.k = 7) or a list of names (probes = ["knn5_l2"])'
        raise UserError(f"{where}.probes: expected {told}, got {shown(given)}")
    for key, options in given.items():
        if not isinstance(options, Mapping):
            raise UserError(f"{where}.probes.{key}: expected a table of options, got {shown(options)}")
        if not PART_NAME.fullmatch(key):
            raise UserError(f"{where}.probes: {shown(key)} is no name for a probe; letters, digits, _ . and - make one")
        if not isinstance(options.get("use", ""), str):
            raise UserError(f"{where}.probes.{key}.use: expected the name of a probe, got {shown(options['use'])}")
        if "use" not in options and key not in probes:
            raise unknown("probe", key, probes, f"{where}.probes (a new one says use = …)")
        probes[key] = dict(options) if "use" in options else {**probes[key], **options}
    return probes


def _chosen(probes: Mapping[str, ProbeUse], names: Sequence[Any], where: str) -> dict[str, ProbeUse]:
    """Those of a record's probes that are named, in the order of the names."""
    if not names:
        raise UserError(f"{where}.probes: names no probe; name one of {', '.join(probes)}, or leave it out for all")
    for name in names:
        if not isinstance(name, str) or name not in probes:
            raise unknown("probe", name, probes, f"{where}.probes")
    return {name: probes[name] for name in names}

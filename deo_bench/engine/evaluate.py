"""Scores: a probe on a backbone's embeddings of a task, with its interval and its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.embed import Evaluated
from deo_bench.engine.predict import WAYS, Case
from deo_bench.engine.request import Request
from deo_bench.errors import UserError
from deo_bench.probes.intervals import interval, resamples
from deo_bench.probes.metrics import METRICS, measure
from deo_bench.registry import Registry
from deo_bench.score import Score
from deo_bench.store.embeddings import Embeddings
from deo_bench.students import Student

Fresh = Callable[[Pack], Student]


@dataclass
class Evaluator:
    """Evaluates requests one by one; packs are opened once, embeddings come from the cache where they are."""

    registry: Registry
    places: Places
    device: torch.device

    def __post_init__(self) -> None:
        self._packs: dict[str, Pack] = {}
        self.kept = Embeddings(self.places.cache / "embeddings")

    def pack(self, request: Request) -> Pack:
        """The pack of a request's task."""
        if request.task_content not in self._packs:
            task = self.registry.build("task", request.task_part.use, options=request.task_part.options)
            self._packs[request.task_content] = task.pack(self.places)
        return self._packs[request.task_content]

    def score(
        self, request: Request, subject: Evaluated | None, fresh: Fresh | None = None
    ) -> tuple[Score, dict[str, Any], int]:
        """A score, the arrays of its predictions, and how many images were encoded for it.

        subject: the backbone, for probes that look at one; fresh: builds an untrained student, for those that train it.
        """
        pack = self.pack(request)
        rows = rows_of(pack, request)
        probe = self.registry.build("probe", request.probe_part.use, options=request.probe_part.options)
        way = WAYS[self.registry.get("probe", request.probe_part.use).facts.get("needs", "features")]
        answered = way(Case(request, pack, rows, probe, subject, fresh, self.kept, self.device))
        arrays = dict(answered.arrays)
        if pack.groups is not None and answered.is_by_image:
            arrays["groups"] = pack.groups[rows["predicted"]]
        return _scored(request, pack, answered.chosen, arrays), arrays, answered.encoded


def rows_of(pack: Pack, request: Request) -> dict[str, np.ndarray]:
    """Indices of *fit* (a partition is a smaller one), of *select*, and of what is `predicted`: the request's role."""
    task, partition, roles = request.task, request.partition, dict.fromkeys(("fit", "select", request.role))
    missing = [role for role in roles if len(pack.splits.get(role, ())) == 0]
    if missing or pack.labels is None:
        lacks = "labels" if pack.labels is None else f"a {', '.join(missing)} split"
        raise UserError(f"task {task!r} has no {lacks}, so nothing can be scored on it")
    places = {"fit": "fit", "select": "select", "predicted": request.role}
    rows = {place: np.asarray(pack.splits[role]) for place, role in places.items()}
    if partition != "default":
        if partition not in pack.partitions:
            raise UserError(f"task {task!r} has no partition {partition!r}; it has {', '.join(pack.partitions)}")
        rows["fit"] = np.asarray(pack.partitions[partition])
        if not len(rows["fit"]):
            raise UserError(f"task {task!r}: partition {partition!r} is empty; there is nothing to fit on")
    return rows


def _scored(request: Request, pack: Pack, chosen: dict[str, Any], arrays: dict[str, Any]) -> Score:
    metric = request.metric
    truth, scores, labels = arrays["truth"], arrays["scores"], arrays.get("predicted")
    groups = arrays.get("groups")
    value = float(measure(metric, truth, scores, labels)[0])
    drawn = resamples(len(truth), request.protocol.bootstrap, request.task_content, request.partition, groups=groups)
    low, high = interval(metric, truth, scores, labels, drawn)
    chosen = dict(chosen)
    return Score(
        subject=request.subject,
        task=request.task,
        probe=request.probe,
        protocol=request.protocol.id,
        metric=metric,
        direction=METRICS[metric].direction,  # type: ignore[arg-type]
        value=value,
        low=low,
        high=high,
        n=len(arrays["truth"]),
        num_groups=None if groups is None else len(np.unique(groups)),
        bands=request.bands,
        weights=request.weights,
        step=request.step,
        partition=request.partition,
        band_labels=pack.band_labels,
        task_content=request.task_content,
        on_edge=bool(chosen.pop("on_edge", False)),
        chosen=chosen,
        role=request.role,
        digest=request.digest,
    )

"""Scores: a probe on a backbone's embeddings of a task, with its interval and its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deo_bench.data import Pack, Places
from deo_bench.engine.embed import Evaluated, embed, joined
from deo_bench.engine.request import Request
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Prediction, Select
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.intervals import interval, resamples
from deo_bench.probes.metrics import METRICS, measure
from deo_bench.registry import Registry
from deo_bench.score import Score
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

        subject: the backbone, for probes on features; fresh: builds an untrained student, for probes that train one.
        """
        pack = self.pack(request)
        rows = _rows(pack, request.partition, request.task)
        needs = self.registry.get("probe", request.probe_part.use).facts.get("needs", "features")
        encoded = 0
        if needs == "images":
            assert fresh is not None
            prediction = self._on_images(request, pack, rows, fresh(pack))
        else:
            vectors = np.zeros((len(pack), 1), dtype=np.float32)
            if needs == "features":
                assert subject is not None
                vectors, encoded = self._embedded(request, pack, rows["fit"], subject)
            prediction = self._on_features(request, pack, rows, vectors)
        report = rows["report"]
        arrays: dict[str, Any] = {"truth": pack.labels[report], "scores": prediction.scores.astype(np.float32)}  # type: ignore[index]
        if prediction.labels is not None:
            arrays["predicted"] = prediction.labels
        if pack.groups is not None:
            arrays["groups"] = pack.groups[report]
        return _scored(request, pack, prediction, arrays), arrays, encoded

    def _embedded(self, request: Request, pack: Pack, fit: np.ndarray, subject: Evaluated) -> tuple[np.ndarray, int]:
        """A subject's vectors, beside another's where it has one, and how many images were encoded for them."""
        where = request.protocol, self.places.cache, self.device
        vectors, encoded = embed(subject, pack, request.bands, *where)
        if subject.beside is None:
            return vectors, encoded
        others, more = embed(subject.beside.subject, pack, subject.beside.bands, *where)
        return joined([vectors, others], fit), encoded + more

    def _on_features(
        self, request: Request, pack: Pack, rows: dict[str, np.ndarray], vectors: np.ndarray
    ) -> Prediction:
        assert pack.labels is not None
        fit = Fit(np.asarray(vectors[rows["fit"]]), pack.labels[rows["fit"]])
        select = Select(np.asarray(vectors[rows["select"]]), pack.labels[rows["select"]])
        probe = self._probe(request)
        report = np.asarray(vectors[rows["report"]])
        prediction: Prediction = probe.predict(fit, select, report, len(pack.classes), request.protocol.merge)
        return prediction

    def _on_images(self, request: Request, pack: Pack, rows: dict[str, np.ndarray], student: Student) -> Prediction:
        assert pack.labels is not None

        def images(role: str) -> ImageSource:
            return ImageSource(pack.images, pack.bands, pack.unit, rows[role], pack.mean, pack.std)

        fit = LabelledImages(images("fit"), pack.labels[rows["fit"]])
        select = LabelledImages(images("select"), pack.labels[rows["select"]])
        given = (student, fit, select, images("report"), len(pack.classes))
        prediction: Prediction = self._probe(request).predict_images(*given, sees=request.bands, seed=0)
        return prediction

    def _probe(self, request: Request) -> Any:
        return self.registry.build("probe", request.probe_part.use, options=request.probe_part.options)


def _rows(pack: Pack, partition: str, task: str) -> dict[str, np.ndarray]:
    """Indices by role; a partition is a smaller *fit*."""
    missing = [role for role in ("fit", "select", "report") if len(pack.splits.get(role, ())) == 0]
    if missing or pack.labels is None:
        lacks = "labels" if pack.labels is None else f"a {', '.join(missing)} split"
        raise UserError(f"task {task!r} has no {lacks}, so nothing can be scored on it")
    rows = {role: np.asarray(pack.splits[role]) for role in ("fit", "select", "report")}
    if partition != "default":
        if partition not in pack.partitions:
            raise UserError(f"task {task!r} has no partition {partition!r}; it has {', '.join(pack.partitions)}")
        rows["fit"] = np.asarray(pack.partitions[partition])
    return rows


def _scored(request: Request, pack: Pack, prediction: Prediction, arrays: dict[str, Any]) -> Score:
    metric = request.metric
    truth, scores, labels = arrays["truth"], arrays["scores"], arrays.get("predicted")
    groups = arrays.get("groups")
    value = float(measure(metric, truth, scores, labels)[0])
    drawn = resamples(len(truth), request.protocol.bootstrap, request.task_content, request.partition, groups=groups)
    low, high = interval(metric, truth, scores, labels, drawn)
    chosen = dict(prediction.chosen)
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
        digest=request.digest,
    )

"""A cheap look at a student between two steps: nearest neighbours on *select*. Nothing of its training is changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from deo_bench.backbone import Backbone
from deo_bench.data import Pack
from deo_bench.draws import global_seed, numpy_generator
from deo_bench.engine.embed import vectors_of
from deo_bench.engine.evaluate import Evaluator, rows_of
from deo_bench.engine.request import Request
from deo_bench.engine.training import Training
from deo_bench.engine.view import View
from deo_bench.experiments.sweep.settings import Measure
from deo_bench.probes import Fit, Select
from deo_bench.probes.metrics import measure


@dataclass
class Neighbours:
    """Measures a student as `knn` scores it (the cosine, a weighted vote), on the same few images in every trial.

    requests: one a task, on *select*; seed: of which images are chosen. The value is the mean over the tasks of the
    protocol's metric.
    """

    evaluator: Evaluator
    requests: Sequence[Request]
    settings: Measure
    seed: int
    _rows: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def __call__(self, training: Training) -> float:
        """The value of a run as it is between two steps; not a number where its features are not finite."""
        backbone = _measured(training, self.requests[0].weights)
        with _untouched(backbone), global_seed(self.seed, "measure", training.step):
            values = [self._of_task(backbone, request) for request in self.requests]
        return sum(values) / len(values)

    def _of_task(self, backbone: Backbone, request: Request) -> float:
        pack, protocol = self.evaluator.pack(request), request.protocol
        assert pack.labels is not None
        rows = self._chosen(pack, request)
        views = {"fit": View(protocol, request.bands), "select": View(protocol, request.bands, protocol.absent)}
        vectors = {
            role: np.concatenate(list(vectors_of(backbone, pack, view, rows[role], self.evaluator.device)))
            for role, view in views.items()
        }
        if not all(np.isfinite(each).all() for each in vectors.values()):
            return math.nan
        labels = {role: np.asarray(pack.labels[rows[role]]) for role in rows}
        options = {"k": self.settings.k, "metric": "cosine", "vote": "weighted"}
        probe = self.evaluator.registry.build("probe", "knn", options=options)
        fit, select = Fit(vectors["fit"], labels["fit"]), Select(vectors["select"], labels["select"])
        said = probe.predict(fit, select, vectors["select"], len(pack.classes), False)
        scores = said.scores.astype(np.float32)
        return float(measure(protocol.metric(request.label_kind), labels["select"], scores, said.labels)[0])

    def _chosen(self, pack: Pack, request: Request) -> dict[str, np.ndarray]:
        """The images that are looked at, the same whenever and by whomever it is asked."""
        if request.task not in self._rows:
            most = {"fit": self.settings.images, "select": self.settings.images // 4}
            every = rows_of(pack, request)
            self._rows[request.task] = {
                role: _some(every[role], count, self.seed, request.task, role) for role, count in most.items()
            }
        return self._rows[request.task]


def looks(settings: Measure, steps: int) -> dict[int, tuple[int, ...]]:
    """After which steps a training is looked at, and of which percents of it that tells.

    Percents are the same for every length; a training of fewer steps tells several of them by one look, and none by
    its end, which is scored.
    """
    found: dict[int, tuple[int, ...]] = {}
    for percent in settings.percents:
        step = math.ceil(percent * steps / 100)
        if step < steps:
            found[step] = (*found.get(step, ()), percent)
    return found


def _some(rows: np.ndarray, count: int, *stream: int | str) -> np.ndarray:
    """So many of the rows, drawn; all of them, as they are, where there are no more."""
    if len(rows) <= count:
        return rows
    return np.sort(numpy_generator("measure", *stream).permutation(rows)[:count])


def _measured(training: Training, weights: str) -> Backbone:
    """The student, or what follows it where its moving average is scored."""
    following = {role: teacher for role, teacher in training.teachers.items() if teacher.follows}
    if weights == "student" or not following:
        return training.student
    named = [role for role in following if training.recipe.teachers[role].use == "ema"]
    backbone: Backbone = following[(named or list(following))[0]].backbone
    return backbone


@contextmanager
def _untouched(backbone: nn.Module) -> Iterator[None]:
    """A block after which every module is in the mode that it was in."""
    modes = [(module, module.training) for module in backbone.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

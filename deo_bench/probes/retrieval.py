"""Retrieval: how well images of the same class are found by likeness of features, without fitting anything."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count
from deo_bench.errors import UserError
from deo_bench.probes import Fit, Labelled, Prediction, Probe, Select, probe
from deo_bench.probes.checks import check_split

HELD = 1 << 26
"""Likenesses held at once, 256 MiB: the bank is read once for as many queries as that allows."""

SORTED = 1 << 22
"""Likenesses sorted at once; ranks and what is relevant take some twenty times their bytes."""

ROWS = 16_384
"""Rows of the bank that are compared in one go."""


@probe("retrieval", needs="truth", metric="mean", kinds=["single", "multi"], paper="https://arxiv.org/abs/2403.02059")
class Retrieval(Probe):
    """Mean average precision of retrieval: every report image queries the *fit* split.

    Relevant is what shares the query's class, of zeros and ones at least one label with it. Average precision is the
    mean, over the relevant images found, of the share that is relevant down to each: among all of *fit*, or among the
    `k` most alike (as torchmetrics' `RetrievalMAP(top_k=k)`: divided by how many were found there). A query that
    finds nothing relevant counts 0. `metric` compares by the cosine or by distance; of equals the lowest row first.

    Nothing is fitted or chosen, so this alone may see the report split's labels: by `judge`, which no other probe has.
    """

    def __init__(self, *, k: Count | None = None, metric: Literal["cosine", "l2"] = "cosine") -> None:
        self.k, self.metric = k, metric

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """Predicts nothing: use `judge`."""
        raise UserError("probe 'retrieval' predicts nothing; it judges the report split by its labels")

    def judge(self, fit: Fit, report: Labelled, num_classes: int) -> Prediction:
        """Scores [N, 1]: the average precision of each query, in the order of the report images."""
        check_split(fit.features, fit.labels, num_classes, "fit", None)
        check_split(report.features, report.labels, num_classes, "report", fit.features.shape[1])
        if fit.labels.ndim != report.labels.ndim:
            raise UserError("the fit split has one label an image and the report split several, or the other way round")
        bank, queries = (torch.from_numpy(_one_hot(each.labels, num_classes)) for each in (fit, report))
        found, num = [], len(fit.features)
        for at in range(0, len(report.features), max(HELD // num, 1)):
            here = slice(at, at + max(HELD // num, 1))
            blocks = (each.split(max(SORTED // num, 1)) for each in (self._likeness(fit, report, here), queries[here]))
            for alike, query in zip(*blocks, strict=True):
                order = alike.sort(dim=1, descending=True, stable=True).indices[:, : self.k]
                found.append(average_precision((query @ bank.T > 0).gather(1, order)))
        return Prediction(torch.cat(found)[:, None].numpy())

    def _likeness(self, fit: Fit, report: Labelled, here: slice) -> Tensor:
        """Likeness [Q, N] of some queries: the cosine, or minus half the squared distance, up to a query's constant.

        Products are in float64 and rounded to float32, so that equal rows of the bank are equally alike.
        """
        bank = fit.features
        mean = bank.mean(0, dtype=np.float64) if self.metric == "l2" else np.zeros(bank.shape[1])
        query, parts = self._rows(report.features[here], mean), []
        for at in range(0, len(bank), ROWS):
            rows = self._rows(bank[at : at + ROWS], mean)
            alike = query @ rows.T
            if self.metric == "l2":
                alike -= rows.square().sum(1) / 2
            parts.append(alike.float())
        return torch.cat(parts, 1)

    def _rows(self, features: np.ndarray, mean: np.ndarray) -> Tensor:
        wide = torch.from_numpy(np.array(features, dtype=np.float64) - mean)
        return wide if self.metric == "l2" else F.normalize(wide, dim=1)


def average_precision(relevant: Tensor) -> Tensor:
    """Average precision [Q] of ranked lists [Q, N], best first, of what is relevant; 0 where nothing is."""
    hits = relevant.cumsum(1).double()
    precision = hits / torch.arange(1, relevant.shape[1] + 1)
    return (precision * relevant).sum(1) / hits[:, -1].clamp_min(1)


def _one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels as zeros and ones [N, K] in float32, whose products say whether two images share one."""
    if labels.ndim == 2:
        return labels.astype(np.float32)
    return np.eye(num_classes, dtype=np.float32)[labels.astype(np.int64)]

"""Nearest neighbours: exact, whatever the features' scale, and streamed, so that they may be larger than memory."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deo_bench.declarations import Count, Positive
from deo_bench.probes import Fit, Prediction, Probe, Select, probe
from deo_bench.probes.checks import check_features, check_regression, check_split

SPARE = 16
"""Candidates kept beyond k: rounding may reorder so many before a row has to be searched again."""

BANK, QUERIES = 16_384, 1024
"""Rows of features compared in one go: 64 MiB of likeness."""

Metric = Literal["l2", "cosine"]


@probe("knn", kinds=["single", "multi", "regression"], paper="https://arxiv.org/abs/1805.01978")
class Knn(Probe):
    """k nearest neighbours of the fit split, with a plain vote or one weighted by exp(likeness / temperature).

    Likeness is the cosine, or minus half the squared distance (on unit vectors the two differ by a constant). Of
    equal distances the lowest index is nearer, of equal votes the lowest class wins. Scores are the shares of the
    vote; of zeros and ones, and of numbers, the neighbours' (weighted) mean label. Fitted on *fit* alone, also where a
    protocol merges, and on all of it where it holds fewer than k.
    """

    def __init__(
        self,
        *,
        k: Count = 5,
        metric: Literal["l2", "cosine"] = "l2",
        vote: Literal["plain", "weighted"] = "plain",
        temperature: Positive = 0.07,
    ) -> None:
        self.k, self.metric, self.vote, self.temperature = k, metric, vote, temperature

    def predict(self, fit: Fit, select: Select, report: np.ndarray, num_classes: int, merge: bool) -> Prediction:
        """The vote of the nearest in *fit*; `chosen` says how many voted where they are fewer than k."""
        if num_classes:
            check_split(fit.features, fit.labels, num_classes, "fit", None)
        else:
            check_regression(fit.features, fit.labels, "fit", None)
        check_features(report, "report", fit.features.shape[1])
        k = min(self.k, len(fit.features))
        places, likeness = nearest_rows(fit.features, report, k, self.metric)
        voices = np.full_like(likeness, 1 / k)
        if self.vote == "weighted":
            voices = np.exp((likeness - likeness[:, :1]) / self.temperature)
            voices /= voices.sum(1, keepdims=True)
        scores = _tally(fit.labels[places], voices, num_classes)
        labels = scores.argmax(1) if num_classes and fit.labels.ndim == 1 else None
        return Prediction(scores, labels, {} if k == self.k else {"k": k})


def nearest_rows(bank: np.ndarray, queries: np.ndarray, k: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `bank` nearest to each query, nearest first, and their likeness: [Q, k] each.

    Candidates come from float32 products; they are compared anew in float64, and a query whose k-th may have been
    missed for rounding is searched again in float64 throughout.
    """
    mean = bank.mean(0, dtype=np.float64) if metric == "l2" else np.zeros(bank.shape[1])
    num = min(k + SPARE, len(bank))
    rough, places = _candidates(bank, queries, num, metric, mean)
    found = np.empty((len(queries), k), np.int64)
    likeness = np.empty((len(queries), k))
    for at in range(0, len(queries), 256):
        here = slice(at, at + 256)
        query = _rows(queries[here], metric, mean, torch.float64)
        order = places[here].sort(1).values
        exact = _exact(_rows(bank[order.numpy()], metric, mean, torch.float64), query, metric)
        best, index = _top(exact, order, k)
        slack = _rounding(query.norm(dim=1), best[:, -1], bank.shape[1], metric)
        doubtful = (best[:, -1] <= rough[here].min(1).values + slack) & (num < len(bank))
        for row in doubtful.nonzero()[:, 0].tolist():
            best[row], index[row] = _search(bank, query[row], k, metric, mean)
        found[here], likeness[here] = index.numpy(), best.numpy()
    return found, likeness


def _candidates(
    bank: np.ndarray, queries: np.ndarray, num: int, metric: Metric, mean: np.ndarray
) -> tuple[Tensor, Tensor]:
    """The `num` most alike by float32 products and their rows, [Q, num] each."""
    rough = torch.full((len(queries), 0), -torch.inf)
    places = torch.zeros((len(queries), 0), dtype=torch.int64)
    for at in range(0, len(bank), BANK):
        rows = _rows(bank[at : at + BANK], metric, mean, torch.float32)
        square = rows.square().sum(1)
        offset = -square / 2 if metric == "l2" else torch.zeros_like(square)
        kept_rough, kept_places = [], []
        for start in range(0, len(queries), QUERIES):
            here = slice(start, start + QUERIES)
            query = _rows(queries[here], metric, mean, torch.float32)
            alike = torch.addmm(offset, query, rows.T)
            if metric == "l2":
                alike -= query.square().sum(1, keepdim=True) / 2
            values, index = alike.topk(min(num, len(rows)), 1)
            values, index = torch.cat([rough[here], values], 1), torch.cat([places[here], index + at], 1)
            values, best = values.topk(min(num, values.shape[1]), 1)
            kept_rough.append(values)
            kept_places.append(index.gather(1, best))
        rough, places = torch.cat(kept_rough), torch.cat(kept_places)
    return rough, places


def _rows(features: np.ndarray, metric: Metric, mean: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Features as they are compared: less the bank's mean, which spares digits, or of length 1."""
    wide = torch.from_numpy(np.array(features, dtype=np.float64))
    wide = wide - torch.from_numpy(mean) if metric == "l2" else F.normalize(wide, dim=-1)
    return wide.to(dtype)


def _exact(rows: Tensor, query: Tensor, metric: Metric) -> Tensor:
    """Likeness [Q, N] of rows [Q, N, D] (or [1, N, D]) and queries [Q, D], without cancellation."""
    if metric == "l2":
        return (rows - query[:, None]).square().sum(-1) / -2
    return (rows * query[:, None]).sum(-1)


def _top(likeness: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k most alike of rows in ascending order of place, the lower place first among equals."""
    order = likeness.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return likeness.gather(1, order), places.gather(1, order)


def _rounding(length: Tensor, likeness: Tensor, width: int, metric: Metric) -> Tensor:
    """How far off a float32 likeness can be, for queries of this length, of a row at least as alike as given."""
    size = length
    if metric == "l2":
        # Such a row lies within a distance of sqrt(-2 likeness), hence its length: other rows do not matter.
        size = (2 * length + (-2 * likeness).clamp_min(0).sqrt()) ** 2
    return size * torch.finfo(torch.float32).eps * (4 + width**0.5)


def _search(bank: np.ndarray, query: Tensor, k: int, metric: Metric, mean: np.ndarray) -> tuple[Tensor, Tensor]:
    """One query's k most alike [k] and their rows, in float64 throughout."""
    alike = [
        _exact(_rows(bank[at : at + BANK], metric, mean, torch.float64)[None], query[None], metric)
        for at in range(0, len(bank), BANK)
    ]
    best, index = _top(torch.cat(alike, 1), torch.arange(len(bank))[None], k)
    return best[0], index[0]


def _tally(labels: np.ndarray, voices: np.ndarray, num_classes: int) -> np.ndarray:
    """Shares of the vote [Q, num_classes] from the neighbours' labels [Q, k] or [Q, k, num_classes]; the mean [Q, 1]
    of numbers.
    """
    if num_classes == 0:
        return np.asarray((voices * labels).sum(1, keepdims=True))
    if labels.ndim == 3:
        return np.einsum("qk,qkc->qc", voices, labels.astype(np.float64))
    scores = np.zeros((len(labels), num_classes))
    for rank in range(labels.shape[1]):
        scores[np.arange(len(labels)), labels[:, rank].astype(np.int64)] += voices[:, rank]
    return scores

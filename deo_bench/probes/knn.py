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

SPARE = 8
"""Candidates kept beyond k: rounding may reorder so many before a row has to be searched again."""

BANK, QUERIES = 4096, 1024
"""Rows of features compared in one go: 16 MiB of likeness, which the allocator keeps."""

EXACT = 16
"""Queries whose candidates are compared anew in one go: few enough to stay in the processor's cache."""

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
    mean = _shift(bank) if metric == "l2" else None
    num = min(k + SPARE, len(bank))
    rough, places = _candidates(bank, queries, num, metric, mean)
    found = np.empty((len(queries), k), np.int64)
    likeness = np.empty((len(queries), k))
    for at in range(0, len(queries), EXACT):
        here = slice(at, at + EXACT)
        query, guessed = _wide(queries[here], metric), rough[here]
        exact = _exact(bank, places[here, :k], query, metric)
        length = _rows(queries[here], metric, mean).norm(dim=1).double()
        # The k-th is at least as near as the farthest of these; what products put further off cannot be nearer.
        worst = exact.min(1).values
        least = worst - _rounding(length, worst, bank.shape[1], metric)
        wanted = int((guessed >= least[:, None]).sum(1).max())
        if wanted > k:
            exact = torch.cat([exact, _exact(bank, places[here, k:wanted], query, metric)], 1)
        best, index = _top(exact, places[here, : max(wanted, k)], k)
        doubtful = (guessed[:, -1] >= least) & (num < len(bank))
        for row in doubtful.nonzero()[:, 0].tolist():
            best[row], index[row] = _search(bank, query[row], k, metric)
        found[here], likeness[here] = index.numpy(), best.numpy()
    return found, likeness


def _shift(bank: np.ndarray) -> np.ndarray:
    """The bank's mean [D] in the bank's own precision: distances from it spare the digits of what all rows share."""
    return bank.mean(0, dtype=np.float64).astype(np.result_type(bank, np.float32))


def _candidates(
    bank: np.ndarray, queries: np.ndarray, num: int, metric: Metric, mean: np.ndarray | None
) -> tuple[Tensor, Tensor]:
    """The `num` most alike by float32 products and their rows, [Q, num] each."""
    asked = _rows(queries, metric, mean)
    length = asked.square().sum(1, keepdim=True) / 2 if metric == "l2" else asked.new_zeros(len(asked), 1)
    held = torch.empty(min(len(bank), BANK) * min(len(queries), QUERIES))
    rough = torch.full((len(queries), 0), -torch.inf)
    places = torch.zeros((len(queries), 0), dtype=torch.int64)
    for at in range(0, len(bank), BANK):
        rows = _rows(bank[at : at + BANK], metric, mean)
        offset = rows.square().sum(1) / -2 if metric == "l2" else rows.new_zeros(len(rows))
        kept_rough, kept_places = [], []
        for start in range(0, len(queries), QUERIES):
            here = slice(start, start + QUERIES)
            alike = held[: len(asked[here]) * len(rows)].view(-1, len(rows))
            torch.addmm(offset, asked[here], rows.T, out=alike)
            values, index = alike.topk(min(num, len(rows)), 1)
            values = torch.cat([rough[here], values - length[here]], 1)
            values, best = values.topk(min(num, values.shape[1]), 1)
            kept_rough.append(values)
            kept_places.append(torch.cat([places[here], index + at], 1).gather(1, best))
        rough, places = torch.cat(kept_rough), torch.cat(kept_places)
    return rough, places


def _rows(features: np.ndarray, metric: Metric, mean: np.ndarray | None) -> Tensor:
    """Features as products compare them, in float32: less the bank's mean, or of length 1."""
    own = np.array(features, dtype=np.result_type(features, np.float32))
    if metric == "cosine":
        return F.normalize(torch.from_numpy(own), dim=-1).float()
    assert mean is not None
    return torch.from_numpy(np.subtract(own, mean, out=own).astype(np.float32, copy=False))


def _wide(features: np.ndarray, metric: Metric) -> Tensor:
    """Features in float64, as they are or of length 1."""
    wide = torch.from_numpy(np.array(features, dtype=np.float64))
    return F.normalize(wide, dim=-1) if metric == "cosine" else wide


def _exact(bank: np.ndarray, places: Tensor, query: Tensor, metric: Metric) -> Tensor:
    """Likeness [Q, N] of the bank's rows at places [Q, N] (or [1, N]) and queries [Q, D], without cancellation."""
    rows = _wide(bank[places.numpy()], metric)
    if metric == "l2":
        return rows.sub_(query[:, None]).square_().sum(-1) / -2
    return rows.mul_(query[:, None]).sum(-1)


def _top(likeness: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k most alike, the lower place first among equals."""
    order = places.sort(1).indices
    likeness, places = likeness.gather(1, order), places.gather(1, order)
    order = likeness.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return likeness.gather(1, order), places.gather(1, order)


def _rounding(length: Tensor, likeness: Tensor, width: int, metric: Metric) -> Tensor:
    """How far off a float32 likeness can be, for queries of this length, of a row at least as alike as given."""
    size = length
    if metric == "l2":
        # Such a row lies within a distance of sqrt(-2 likeness), hence its length: other rows do not matter.
        size = (2 * length + (-2 * likeness).clamp_min(0).sqrt()) ** 2
    return size * torch.finfo(torch.float32).eps * (4 + width**0.5)


def _search(bank: np.ndarray, query: Tensor, k: int, metric: Metric) -> tuple[Tensor, Tensor]:
    """One query's k most alike [k] and their rows, in float64 throughout."""
    every = torch.arange(len(bank))[None]
    alike = [_exact(bank, every[:, at : at + BANK], query[None], metric) for at in range(0, len(bank), BANK)]
    best, index = _top(torch.cat(alike, 1), every, k)
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

"""Nearest neighbours: ours against scikit-learn's and faiss's exact search, in turns, ratios; results compared."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import sklearn
import torch
from linear_probe import made
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from deo_bench.probes import Fit, Select
from deo_bench.probes.knn import Knn, nearest_rows

try:
    import faiss  # type: ignore[import-not-found]
except ImportError:
    faiss = None


def plain_vote(places: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class [Q] that most of the neighbours [Q, k] have; of equal votes the lowest."""
    return np.stack([(labels[places] == each).sum(1) for each in range(classes)], 1).argmax(1)


def contenders(
    bank: np.ndarray, labels: np.ndarray, queries: np.ndarray, classes: int, given: argparse.Namespace
) -> dict[str, Callable[[], np.ndarray]]:
    """Each predicts the classes [Q] of the queries, from fitting to voting; ours checks its input too."""

    def ours() -> np.ndarray:
        fit, select = Fit(bank, labels), Select(bank[:0], labels[:0])
        found = Knn(k=given.k, metric=given.metric).predict(fit, select, queries, classes, False).labels
        assert found is not None
        return found

    def scikit_learn() -> np.ndarray:
        named = {"l2": "euclidean", "cosine": "cosine"}[given.metric]
        model = KNeighborsClassifier(given.k, metric=named, algorithm="brute").fit(bank, labels)
        return np.asarray(model.predict(queries))

    def flat() -> np.ndarray:
        index = (faiss.IndexFlatL2 if given.metric == "l2" else faiss.IndexFlatIP)(bank.shape[1])
        keys, asked = bank, queries
        if given.metric == "cosine":
            keys, asked = bank.copy(), queries.copy()
            faiss.normalize_L2(keys)
            faiss.normalize_L2(asked)
        index.add(keys)
        return plain_vote(index.search(asked, given.k)[1], labels, classes)

    return {"ours": ours, "scikit-learn": scikit_learn, **({"faiss": flat} if faiss else {})}


def is_exact(bank: np.ndarray, queries: np.ndarray, k: int, metric: str) -> bool:
    """Whether our neighbours of some queries are the nearest by float64 differences, in order."""
    asked = queries[:: max(len(queries) // 50, 1)]
    places, _ = nearest_rows(bank, asked, k, metric)  # type: ignore[arg-type]
    keys, asked = bank.astype(np.float64), asked.astype(np.float64)
    if metric == "cosine":
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    ranked = [np.argsort(((keys - row) ** 2).sum(1), kind="stable")[:k] for row in asked]
    return np.array_equal(places, ranked)


def in_turns(each: dict[str, Callable[[], np.ndarray]], rounds: int) -> tuple[dict[str, list[float]], dict]:
    """Median seconds on the clock and of the processor, alternately after one round not counted; the answers."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in each}
    answers = {}
    for turn in range(rounds + 1):
        for name, once in each.items():
            began = time.perf_counter(), time.process_time()
            answers[name] = once()
            if turn:
                taken[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return {
        name: [statistics.median(side) for side in zip(*told, strict=True)] for name, told in taken.items()
    }, answers


def main() -> None:
    """Measure, and print the evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("-k", type=int, default=5)
    parser.add_argument("--metric", default="l2", choices=["l2", "cosine"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if faiss:
        faiss.omp_set_num_threads(given.threads)
    else:
        print("faiss: not importable here, left out (pip install faiss-cpu)")
    features, labels = made(given.bank + given.queries, given.width, given.classes)
    bank, queries = features[: given.bank], features[given.bank :]
    with threadpool_limits(given.threads):
        each = contenders(bank, labels[: given.bank], queries, given.classes, given)
        taken, answers = in_turns(each, given.rounds)
    told = ", ".join(f"{name} {wall:.2f} s ({busy:.2f} s of processor)" for name, (wall, busy) in taken.items())
    ratios = ", ".join(
        f"{name} / ours {wall / taken['ours'][0]:.2f} ({busy / taken['ours'][1]:.2f} of processor), "
        f"{(answers[name] != answers['ours']).sum()} of {given.queries} predictions differ"
        for name, (wall, busy) in taken.items()
        if name != "ours"
    )
    exact = is_exact(bank, queries, given.k, given.metric)
    print(
        f"{told}; {ratios}; ours are the nearest by float64 differences: {exact} (median of {given.rounds}; "
        f"{given.bank} x {given.width}, {given.queries} queries, k {given.k}, {given.metric}; cpu, "
        f"{given.threads} threads, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
        f"{f', faiss {faiss.__version__}' if faiss else ''})"
    )


if __name__ == "__main__":
    main()

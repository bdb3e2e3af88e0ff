"""What a probe says of the split that is asked for, by what it needs: vectors, maps, images, the backbone, nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from deo_bench.backbone import Backbone, Normalise
from deo_bench.data import Pack
from deo_bench.engine.dense import KeptMaps, WindowMaps, kept_maps
from deo_bench.engine.embed import Evaluated, embed, joined, levels_of
from deo_bench.engine.request import Request
from deo_bench.engine.view import View
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes import Fit, Labelled, Prediction, Select
from deo_bench.probes.confusion import confusion_matrices
from deo_bench.probes.dense import MapTuner
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.probes.maps import MapSource
from deo_bench.probes.metrics import MEASURED
from deo_bench.store.embeddings import Embeddings
from deo_bench.students import Student

SHOWN = 6
"""Maps of classes that are kept to be looked at, spread evenly over what is predicted."""


@dataclass(frozen=True)
class Answered:
    """A probe's predictions as they are kept: arrays by name, the settings chosen, and how many images were encoded.

    is_by_image: whether the arrays have a row an image, or one a measurement.
    """

    arrays: dict[str, Any]
    chosen: dict[str, Any] = field(default_factory=dict)
    encoded: int = 0
    is_by_image: bool = True


@dataclass(frozen=True)
class Case:
    """One request with everything that its probe may need.

    rows: of *fit*, of *select* and of what is `predicted` (the report split, or *select* for a sweep); subject: the
    backbone, for what looks at one; fresh: builds an untrained student, for what trains it.
    """

    request: Request
    pack: Pack
    rows: dict[str, np.ndarray]
    probe: Any
    subject: Evaluated | None
    fresh: Callable[[Pack], Student] | None
    kept: Embeddings
    device: torch.device

    @property
    def view(self) -> View:
        """How the images are shown."""
        return View(self.request.protocol, self.request.bands)

    def view_of(self, role: str) -> View:
        """How a role's images are shown: what a protocol takes away, it takes from what is predicted alone."""
        return replace(self.view, absent=self.request.protocol.absent) if role == "predicted" else self.view

    @property
    def merge(self) -> bool:
        """Whether a probe is refitted on *fit* and *select*: where the protocol says so, and *select* is not judged."""
        return self.request.protocol.merge and self.request.role == "report"

    @cached_property
    def encodable(self) -> np.ndarray | None:
        """The rows that may be encoded, ascending; none for all images.

        For what is judged on *select* the report split is not looked at.
        """
        if self.request.role == "report":
            return None
        return np.union1d(self.pack.splits["fit"], self.pack.splits["select"])

    def places(self, role: str) -> np.ndarray:
        """Where a role's rows are among those that were encoded."""
        rows = self.rows[role]
        return rows if self.encodable is None else np.searchsorted(self.encodable, rows)

    @property
    def dates(self) -> list[Pack]:
        """The images, or both dates of them."""
        return [self.pack] if self.pack.later is None else [self.pack, self.pack.at_later()]

    @property
    def labels(self) -> np.ndarray:
        """Of all images."""
        assert self.pack.labels is not None
        return self.pack.labels

    def backbone(self) -> Backbone:
        """The subject, on the device."""
        assert self.subject is not None
        return self.subject.load(self.pack).to(self.device)


def from_vectors(case: Case) -> Answered:
    """Of a probe that is fitted on pooled vectors."""
    return _probed(case, *_vectors_shown(case))


def from_truth(case: Case) -> Answered:
    """Of a probe that fits nothing, and so may hold the labels of what is judged against those of *fit*."""
    vectors, shown, encoded = _vectors_shown(case)
    judged = _taken(vectors, case.places("predicted")) if shown is None else shown
    fit = Fit(_taken(vectors, case.places("fit")), case.labels[case.rows["fit"]])
    said = case.probe.judge(fit, Labelled(judged, case.labels[case.rows["predicted"]]), len(case.pack.classes))
    return _answered(case, said, encoded)


def from_nothing(case: Case) -> Answered:
    """Of a probe that looks at labels alone; of maps every pixel is a sample."""
    if case.labels.ndim < 3:
        return _probed(case, np.zeros((len(case.pack), 1), dtype=np.float32), None, 0)
    fit = _pixels_of(case, "fit")
    given = (Fit(np.zeros((len(fit), 1), np.float32), fit), Select(np.zeros((0, 1), np.float32), fit[:0]))
    said = case.probe.predict(*given, np.zeros((1, 1), np.float32), len(case.pack.classes), case.merge)
    truth = case.labels[case.rows["predicted"]]
    return _dense_answer(case, (np.full_like(each, said.labels[0])[None] for each in truth), {}, 0)


def from_images(case: Case) -> Answered:
    """Of a probe that trains a fresh student on the images."""
    assert case.fresh is not None
    source = _images(case, lambda images: replace(images, pixels=images.pixels.to(case.device)))
    return _trained(case, case.fresh(case.pack).to(case.device), source, "native")


def from_backbone(case: Case) -> Answered:
    """Of a probe that goes on from the backbone's weights, or measures it."""
    if case.labels.ndim == 3 and isinstance(case.probe, MapTuner):
        return _tuned_on_maps(case)
    source = _images(case, lambda images: case.view.sized(replace(images, pixels=images.pixels.to(case.device))))
    return _trained(case, case.backbone(), source, case.request.protocol.normalise)


def from_maps(case: Case) -> Answered:
    """Of a probe that is fitted on frozen maps."""
    source, encoded = _kept_sources(case) if case.request.protocol.window is None else (_window_sources(case), 0)
    sources = [source(role) for role in ("fit", "select", "predicted")]
    maps, chosen = case.probe.predict_maps(*sources, len(case.pack.classes), case.pack.ignore, 0)
    return _dense_answer(case, maps, chosen, encoded)


def _kept_sources(case: Case) -> tuple[Callable[[str], MapSource], int]:
    """Maps from the cache by role, and how many images were encoded for them."""
    assert case.subject is not None
    arrays: dict[tuple[str, ...], list[list[np.ndarray]]] = {}
    encoded = 0
    for view in {case.view_of(role).absent: case.view_of(role) for role in ("fit", "predicted")}.values():
        given = (view, case.probe.levels, case.kept, case.device, case.encodable)
        found = [kept_maps(case.subject, pack, *given) for pack in case.dates]
        arrays[view.absent] = [maps for maps, _ in found]
        encoded += sum(count for _, count in found)

    def source(role: str) -> MapSource:
        labels = None if role == "predicted" else case.labels
        size = (case.labels.shape[1], case.labels.shape[2])
        given = (arrays[case.view_of(role).absent], case.rows[role], labels, size, case.device)
        return KeptMaps(*given, case.places(role))

    return source, encoded


def _window_sources(case: Case) -> Callable[[str], MapSource]:
    """Maps by role that are encoded when they are asked for."""
    backbone, side = case.backbone(), int(case.request.protocol.window or 0)
    levels = levels_of(backbone, case.probe.levels)

    def source(role: str) -> MapSource:
        labels = None if role == "predicted" else case.labels
        given = (backbone, case.dates, case.view_of(role), levels, case.rows[role], labels, side)
        return WindowMaps(*given, case.device)

    return source


def _tuned_on_maps(case: Case) -> Answered:
    """Of a probe that trains the backbone on labels a pixel; without a window images are seen whole."""
    side = case.request.protocol.window or max(case.pack.images.shape[2:])

    def sources(backbone: Backbone, levels: int | tuple[str, ...], flips: bool) -> tuple[MapSource, ...]:
        def source(role: str) -> MapSource:
            labels = None if role == "predicted" else case.labels
            given = (backbone, case.dates, case.view, levels_of(backbone, levels), case.rows[role], labels, side)
            return WindowMaps(*given, case.device, is_live=True, flips=flips)

        return tuple(source(role) for role in ("fit", "select", "predicted"))

    maps, chosen = case.probe.predict_tuned(case.backbone(), sources, len(case.pack.classes), case.pack.ignore, 0)
    return _dense_answer(case, maps, chosen, 0)


WAYS: dict[str, Callable[[Case], Answered]] = {
    "features": from_vectors,
    "truth": from_truth,
    "nothing": from_nothing,
    "images": from_images,
    "backbone": from_backbone,
    "maps": from_maps,
}
"""By a probe's fact `needs`."""


def _vectors(case: Case) -> tuple[np.ndarray, int]:
    """A subject's vectors, beside another's where it has one, and how many images were encoded for them."""
    assert case.subject is not None
    vectors, encoded = embed(case.subject, case.pack, case.view, case.kept, case.device, case.encodable)
    beside = case.subject.beside
    if beside is None:
        return vectors, encoded
    view = replace(case.view, bands=beside.bands)
    others, more = embed(beside.subject, case.pack, view, case.kept, case.device, case.encodable)
    return joined([vectors, others], case.places("fit")), encoded + more


def _vectors_shown(case: Case) -> tuple[np.ndarray, np.ndarray | None, int]:
    """All vectors, those of what is predicted where a protocol takes bands away there, and how many were encoded."""
    vectors, encoded = _vectors(case)
    if not case.request.protocol.absent:
        return vectors, None, encoded
    assert case.subject is not None
    view, rows = case.view_of("predicted"), case.rows["predicted"]
    shown, more = embed(case.subject, case.pack, view, case.kept, case.device, rows)
    return vectors, shown, encoded + more


def _probed(case: Case, vectors: np.ndarray, shown: np.ndarray | None, encoded: int) -> Answered:
    """vectors: of what may be encoded; shown: of what is predicted, where that is shown otherwise."""
    fit, select = (_taken(vectors, case.places(role)) for role in ("fit", "select"))
    predicted = _taken(vectors, case.places("predicted")) if shown is None else shown
    labels = {role: case.labels[case.rows[role]] for role in ("fit", "select")}
    given = (Fit(fit, labels["fit"]), Select(select, labels["select"]), predicted, len(case.pack.classes))
    return _answered(case, case.probe.predict(*given, case.merge), encoded)


def _taken(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array; where they follow one another it stays mapped, and no copy is made."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return np.asarray(vectors[rows[0] : rows[-1] + 1])
    return np.asarray(vectors[rows])


def _images(case: Case, shown: Callable[[Images], Images]) -> Callable[[str], ImageSource]:
    """The images of a role, as `shown` brings them to the backbone."""
    pack = case.pack
    return lambda role: ImageSource(pack.images, pack.bands, pack.unit, case.rows[role], pack.mean, pack.std, shown)


def _trained(case: Case, backbone: Any, images: Callable[[str], ImageSource], normalise: Normalise) -> Answered:
    fit, select = (LabelledImages(images(role), case.labels[case.rows[role]]) for role in ("fit", "select"))
    given = (backbone, fit, select, images("predicted"), len(case.pack.classes))
    prediction = case.probe.predict_images(*given, sees=case.request.bands, seed=0, normalise=normalise)
    return _answered(case, prediction, 0)


def _answered(case: Case, prediction: Prediction, encoded: int) -> Answered:
    truth, scores = case.labels[case.rows["predicted"]], prediction.scores.astype(np.float32)
    is_by_image = case.request.own_metric not in MEASURED
    if not is_by_image:
        truth = np.zeros(len(scores), dtype=np.int64)
    arrays: dict[str, Any] = {"truth": truth, "scores": scores}
    if prediction.labels is not None:
        arrays["predicted"] = prediction.labels
    return Answered(arrays, dict(prediction.chosen), encoded, is_by_image)


def _dense_answer(case: Case, maps: Any, chosen: dict[str, Any], encoded: int) -> Answered:
    """Confusion matrices image by image, and a few of the maps."""
    rows, classes = case.rows["predicted"], len(case.pack.classes)
    places = np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(np.int64))
    counts, shown, done = [], [], 0
    for said in maps:
        truth = case.labels[rows[done : done + len(said)]]
        counts.append(confusion_matrices(truth, said, classes, case.pack.ignore))
        shown += [said[place - done] for place in places if done <= place < done + len(said)]
        done += len(said)
    if done != len(rows):
        raise UserError(f"probe {case.request.probe!r} predicted {done} maps of {len(rows)} images")
    confusion = np.concatenate(counts)
    kind = np.uint8 if classes <= 256 else np.int16
    arrays = {
        "truth": confusion.sum(2),
        "scores": confusion.astype(np.int32),
        "shown": np.stack(shown).astype(kind),
        "shown_truth": np.stack([case.labels[rows[place]] for place in places]),
        "shown_images": places,
    }
    return Answered(arrays, dict(chosen), encoded)


def _pixels_of(case: Case, role: str) -> np.ndarray:
    """The labels of a role's pixels, those that are ignored left out."""
    pixels = np.concatenate([case.labels[row].ravel() for row in case.rows[role]])
    return pixels if case.pack.ignore is None else pixels[pixels != case.pack.ignore]

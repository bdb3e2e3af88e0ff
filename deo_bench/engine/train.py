"""The training loop: one batch, one set of crops and one pass of each frozen teacher for all runs of a cohort."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from deo_bench.data import Pack
from deo_bench.data.crops import clean_views, draw_crops, make_views
from deo_bench.data.view_settings import Views as ViewSettings
from deo_bench.draws import batch_indices, torch_generator
from deo_bench.engine.build import images_of
from deo_bench.engine.clusters import spectral_clusters
from deo_bench.engine.frozen import FrozenTeachers
from deo_bench.engine.passes import CLEAN, Views
from deo_bench.engine.training import NotFinite, Report, Training
from deo_bench.errors import UserError
from deo_bench.features import Images


@dataclass
class Source:
    """Pre-training batches: which images, and their views, as functions of (seed, step).

    clean: whether the global crops are wanted without any change of colours, too; clusters: how many groups images that
    carry none are put into by their mean spectrum, none for no groups.
    """

    pack: Pack
    settings: ViewSettings
    batch: int
    seed: int
    device: torch.device
    clean: bool = False
    clusters: int | None = None

    def __post_init__(self) -> None:
        self.chosen = self.pack.splits.get("fit", np.arange(len(self.pack)))
        if len(self.chosen) == 0:
            raise UserError(f"data {self.pack.name!r} has no images to train on")
        self.groups = None if self.pack.groups is None else _numbered(self.pack.groups)
        if self.groups is None and self.clusters is not None:
            self.groups = spectral_clusters(self.pack, self.clusters)
        self.finer = _finer(self.pack, self.settings, self.seed)

    def at(self, step: int) -> tuple[dict[str, Views], np.ndarray]:
        """The views of a step's batch, and the images' numbers [B]."""
        places = batch_indices(len(self.chosen), self.batch, step, self.seed, "order")
        indices = self.chosen[places]
        images = self._images(indices)
        height, width = images.pixels.shape[-2:]
        drawn = draw_crops(self.settings, self.batch, height, width, self.seed, step)
        finer = None if self.finer is None else torch.from_numpy(self.finer[indices])
        views = stacked(make_views(images, drawn, finer), self.settings)
        if self.clean:
            views[CLEAN] = _together(clean_views(images, drawn, finer))
        return views, indices

    def epochs(self, step: int) -> int:
        """How many epochs have ended before a step."""
        return step * self.batch // len(self.chosen)

    def _images(self, indices: np.ndarray) -> Images:
        """A memory map is read fastest in order; the batch's own order is put back after."""
        order = np.argsort(indices, kind="stable")
        images = images_of(self.pack, indices[order], self.device, with_fine=self.finer is not None)
        back = torch.from_numpy(np.argsort(order))
        fine = None if images.fine is None else replace(images.fine, pixels=images.fine.pixels[back])
        return replace(images, pixels=images.pixels[back], fine=fine)


def stacked(views: Sequence[Images], settings: ViewSettings) -> dict[str, Views]:
    """Views of one size as one batch, view by view."""
    groups: dict[str, list[Images]] = {}
    for image, (group, _, _) in zip(views, settings.crops(), strict=True):
        groups.setdefault(group, []).append(image)
    return {group: _together(images) for group, images in groups.items()}


def _together(images: Sequence[Images]) -> Views:
    return Views(replace(images[0], pixels=torch.cat([image.pixels for image in images])), len(images))


def _finer(pack: Pack, settings: ViewSettings, seed: int) -> np.ndarray | None:
    """Which images [N] show their finer red, green and blue throughout the training; none where that is off."""
    if not settings.fine:
        return None
    if pack.fine is None:
        raise UserError(f"views.fine = {settings.fine}: data {pack.name!r} has no finer images; leave it out, or 0")
    chosen = torch.rand(len(pack), generator=torch_generator(seed, "fine")) < settings.fine
    return chosen.numpy()


@dataclass
class CohortStep:
    """One step of a cohort: each run's report, and the runs that stopped because a loss was not finite."""

    step: int
    reports: dict[str, Report] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    teacher_seconds: float = 0.0


def train(
    runs: Mapping[str, Training], source: Source, frozen: FrozenTeachers, measure_every: int = 20
) -> Iterator[CohortStep]:
    """Train a cohort step by step; each run goes on from its own step and ends at its own last.

    The caller stops by not asking for the next step, and may save any run's state between two.
    """
    active = dict(runs)
    first = min((run.step for run in active.values()), default=0)
    last = max((run.recipe.train.steps for run in active.values()), default=0)
    for step in range(first, last):
        due = {name: run for name, run in active.items() if run.step == step and step < run.recipe.train.steps}
        if not due:
            continue
        began = time.perf_counter()
        views, indices = source.at(step)
        frozen.new_step(views)
        done = CohortStep(step)
        index = torch.from_numpy(indices)
        groups = None if source.groups is None else torch.from_numpy(source.groups[indices])
        epochs = source.epochs(step + 1)
        for name, run in due.items():
            measure = step % measure_every == 0 or step == run.recipe.train.steps - 1
            try:
                done.reports[name] = run.advance(views, index, groups, measure, epochs, epochs > source.epochs(step))
            except (NotFinite, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
                told = error if isinstance(error, NotFinite) else f"a loss is not finite at step {step} ({error})"
                done.failed[name] = f"{told}; the last good state is that after step {step - 1}"
                del active[name]
            except UserError as error:
                done.failed[name] = str(error)
                del active[name]
        done.seconds = time.perf_counter() - began
        yield done


def _numbered(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1]

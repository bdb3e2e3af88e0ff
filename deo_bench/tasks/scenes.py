"""Tasks of the embedded benchmark: four questions about the same made-up scenes."""

from __future__ import annotations

from deo_bench.data import Pack, Places
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.write import LABELLINGS, Sizes, benchmark_fingerprint, pack_benchmark
from deo_bench.declarations import Count
from deo_bench.tasks import Task, task

SCENES = {
    "scenes-cover": {"summary": "What grows on most parcels, 10 classes in 5 pairs alike in RGB: needs spectra."},
    "scenes-moisture": {"summary": "How moist the ground is, 5 levels: needs short-wave infrared."},
    "scenes-parcels": {"summary": "How the land is cut into parcels, 6 layouts: needs shape."},
    "scenes-uses": {"summary": "Which of 6 things are seen (water, forest, orchard …), multi-label: needs both."},
}


@task(SCENES, licence="MIT")
class ScenesTask(Task):
    """A task of the embedded benchmark `scenes`, on made-up Sentinel-2 images (10 bands, 64 px) that all four share.

    fit, select, report: how many images each role has. What is measured here is never shown as anything else.
    """

    version = 1
    data_sets = ("scenes",)

    def __init__(self, name: str, *, fit: Count = 1000, select: Count = 300, report: Count = 1000) -> None:
        self.name = name
        self.sizes = Sizes(fit, select, report)

    def pack(self, places: Places) -> Pack:
        """The scenes under this task's labels, generated at the first call."""
        return pack_benchmark(places, self.name, self.sizes)

    def fingerprint(self, places: Places) -> str:
        """Generator and sizes; nothing is generated for it."""
        return benchmark_fingerprint(self.name, self.sizes)

    def bands(self, places: Places) -> tuple[str, ...]:
        """The ten bands, known without the images."""
        return BANDS

    def label_kind(self, places: Places) -> str:
        """Known without the images."""
        return "multi" if self.name == "scenes-uses" else "single"

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return LABELLINGS[self.name].classes

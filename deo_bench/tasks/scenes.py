"""Tasks of the embedded benchmark: five questions about the same made-up scenes, and one about pairs of dates."""

from __future__ import annotations

from deo_bench.data import Pack, Places
from deo_bench.data.scenes import change
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.data.scenes.write import LABELLINGS, Sizes, benchmark_fingerprint, pack_benchmark
from deo_bench.declarations import Count
from deo_bench.tasks import Task, task

SCENES = {
    "scenes-cover": {"summary": "What grows on most parcels, 10 classes in 5 pairs alike in RGB: needs spectra."},
    "scenes-moisture": {"summary": "How moist the ground is, 5 levels: needs short-wave infrared."},
    "scenes-parcels": {"summary": "How the land is cut into parcels, 6 layouts: needs shape."},
    "scenes-uses": {"summary": "Which of 6 things are seen (water, forest, orchard …), multi-label: needs both."},
    "scenes-land": {"summary": "Land cover of every pixel, 12 classes, clouds ignored: needs spectra and shape."},
}


class _Scenes(Task):
    """What every task of the benchmark has: sizes, ten bands, and nothing generated before it is packed."""

    data_sets = ("scenes",)

    def __init__(self, name: str, *, fit: Count = 1000, select: Count = 300, report: Count = 1000) -> None:
        self.name = name
        self.sizes = Sizes(fit, select, report)

    def bands(self, places: Places) -> tuple[str, ...]:
        """The ten bands, known without the images."""
        return BANDS


@task(SCENES, licence="MIT")
class ScenesTask(_Scenes):
    """A task of the embedded benchmark `scenes`, on made-up Sentinel-2 images (10 bands, 64 px) that all five share.

    fit, select, report: how many images each role has. What is measured here is never shown as anything else.
    """

    version = 1

    def pack(self, places: Places) -> Pack:
        """The scenes under this task's labels, generated at the first call."""
        return pack_benchmark(places, self.name, self.sizes)

    def fingerprint(self, places: Places) -> str:
        """Generator and sizes; nothing is generated for it."""
        return benchmark_fingerprint(self.name, self.sizes)

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return LABELLINGS[self.name].classes

    def label_kind(self, places: Places) -> str:
        """Known without the images."""
        return LABELLINGS[self.name].label_type


PAIRS = {
    "scenes-change": {
        "summary": "Where the ground changed between two dates (built, burnt, felled …), under another light."
    }
}


@task(PAIRS, licence="MIT")
class ScenesPairs(_Scenes):
    """Change detection of the embedded benchmark `scenes`: pairs of made-up Sentinel-2 images (10 bands, 64 px).

    Both dates show the same parcels under another sun, moisture, haze, noise and clouds; some parcels got another cover
    or burnt, a village was built, water or a wood went. Labels are 0 and 1 a pixel, 255 where a cloud hides a date.
    fit, select, report: how many pairs each role has. What is measured here is never shown as anything else.
    """

    version = 1

    def pack(self, places: Places) -> Pack:
        """The pairs, generated at the first call; the later date's images are `Pack.later`."""
        return change.pack_change(places, self.sizes)

    def fingerprint(self, places: Places) -> str:
        """Generator and sizes; nothing is generated for it."""
        return change.change_fingerprint(self.sizes)

    def class_names(self, places: Places) -> tuple[str, ...]:
        """Known without the images."""
        return change.CLASSES

    def label_kind(self, places: Places) -> str:
        """Known without the images."""
        return "change"

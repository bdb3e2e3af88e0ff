"""An untrained backbone of any teacher's architecture: does knowledge help, or only a fixed target?"""

from __future__ import annotations

from typing import Any

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.draws import global_seed
from deo_bench.errors import UserError, nearest
from deo_bench.normalisation import Normalisation
from deo_bench.registry import Registry
from deo_bench.teachers import builds_without_weights, teacher
from deo_bench.teachers._delegate import Delegate
from deo_bench.teachers._timm import IMAGENET_MEAN, IMAGENET_STD

DISPLAY = {"rgb": Normalisation("display", IMAGENET_MEAN, IMAGENET_STD)}


@teacher("random", weights="none", gated=False)
class Random(Delegate):
    """An untrained backbone, frozen: the control that tells a teacher's knowledge from any fixed target.

    Same architecture, bands, native normalisation and levels as the part it is like, its weights drawn from (seed,
    like).

    Layer scales start at 1 instead of pre-training's 1e-5, at which the class token would hardly depend on the image.

    like: a teacher with weights of its own, or a student (which then sees RGB through one stem, normalised as
    ImageNet); settings: options of that part (`{ size = 448 }`).
    """

    def __init__(self, *, like: str = "dinov3_vitb16", seed: int = 0, settings: dict[str, Any] | None = None) -> None:
        registry = Registry()
        teachers = {n for n, part in registry.all("teacher").items() if builds_without_weights(part)}
        students = {n for n, part in registry.all("student").items() if "needs" not in part.facts}
        if like not in teachers and like not in students:
            raise UserError(f"teacher 'random': cannot be like {like!r}{nearest(like, [*teachers, *students])}")
        with global_seed(seed, "random", like):
            super().__init__(_untrained(registry, like, like in teachers, settings or {}))
        self.like = like


def _untrained(registry: Registry, like: str, is_teacher: bool, settings: dict[str, Any]) -> Backbone:
    if is_teacher:
        built: Backbone = registry.build("teacher", like, False, options=settings)
        return built
    bands = {"rgb": BAND_SETS["rgb"]}

    def stem(*sides: int) -> Any:
        return registry.build("stem", "single", bands, *sides)

    built = registry.build("student", like, stem, bands, DISPLAY, options=settings)
    return built

"""Every teacher and student of the registry in its smallest form, untrained, as the engine would build it."""

from __future__ import annotations

from typing import Any

import torch

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.features import Images
from deo_bench.normalisation import Normalisation
from deo_bench.registry import Registry
from deo_bench.students import Stem, Student
from deo_bench.teachers import Teacher
from tests.teachers import radio_checkout

REGISTRY = Registry()
BANDS = {name: BAND_SETS[name] for name in ("s2_10", "rgb")}
NORMALISATIONS = {
    name: Normalisation("reflectance", (0.2,) * len(bands), (0.1,) * len(bands)) for name, bands in BANDS.items()
}
SMALL_VIT = {"embed_dim": 48, "num_heads": 3}
SMALL = {
    "vit": {"width": 24, "heads": 3, "size": 32},
    "swin": {"width": 12, "depths": [1, 2, 1, 1], "heads": [1, 2, 4, 8], "size": 64},
    "timm": {"model": "test_resnet"},
}


def build_student(name: str, stem: str = "dual", **options: Any) -> Student:
    def build_stem(*sides: int) -> Stem:
        return REGISTRY.build("stem", stem, BANDS, *sides)

    given: list[Any] = [build_stem, BANDS, NORMALISATIONS]
    if REGISTRY.get("student", name).facts.get("needs") == "teacher":
        given.append(REGISTRY.build("teacher", "descriptors").freeze())
    torch.manual_seed(0)
    student: Student = REGISTRY.build("student", name, *given, options=options)
    with torch.no_grad():  # what starts at zero or one would hide mistakes
        for parameter in student.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return student


def small_student(name: str, stem: str = "dual", **options: Any) -> Student:
    return build_student(name, stem, **{**SMALL[name.split("_")[0]], **options})


def small_teacher(name: str) -> Teacher:
    """Untrained; architectures of timm's must have been made small by the caller."""
    facts = REGISTRY.get("teacher", name).facts
    needs, weights = facts.get("needs"), str(facts.get("weights", "none"))
    torch.manual_seed(0)
    if needs in ("student", "run"):
        options = {"run": "0123456789ab-s0"} if name == "run" else {}
        built: Teacher = REGISTRY.build("teacher", name, small_student("vit_nano"), options=options)
    elif needs == "bands":
        built = REGISTRY.build("teacher", name, "s2_10", BANDS["s2_10"], NORMALISATIONS["s2_10"])
    else:
        options = radio_checkout.options() if "requires" in REGISTRY.get("teacher", name).facts else {}
        without = [False] if weights == "file" or weights.startswith("hub:") else []
        built = REGISTRY.build("teacher", name, *without, options=options)
    return built


def images(height: int, width: int, count: int = 2, seed: int = 0, sees: str = "s2_10") -> Images:
    """Reflectances of ten bands, or of another set."""
    draw = torch.Generator().manual_seed(seed)
    bands = BAND_SETS[sees]
    return Images(0.3 * torch.rand(count, len(bands), height, width, generator=draw), bands, "reflectance")


def all_bands(height: int, width: int) -> Images:
    """Reflectances of every band of Sentinel-2, for backbones that may want any."""
    return images(height, width, sees="s2_13")


def sizes(backbone: Backbone) -> list[tuple[int, int]]:
    """A square and an oblong that the strides divide."""
    stride = backbone.stride("late") if backbone.levels else 8
    return [(2 * stride, 2 * stride), (2 * stride, 3 * stride)]

"""What every stem, student and teacher keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Declaration
from deo_bench.engine.contract import expect, expect_shape
from deo_bench.features import Features, Images
from deo_bench.levels import NAMED
from deo_bench.normalisation import Normalisation
from deo_bench.registry import Registry
from deo_bench.students import Stem, Student
from deo_bench.teachers import Moment, Teacher, builds_without_weights

SETS = {name: BAND_SETS[name] for name in ("s2_10", "rgb")}
NORMALISATIONS = {name: Normalisation("reflectance", (0.2,) * len(of), (0.1,) * len(of)) for name, of in SETS.items()}
WIDTH, PATCH, IMAGES = 24, 8, 2
SIZES = (64, 96)
LARGEST = 30
"""Million parameters up to which an architecture is checked as it is; beyond, narrow, as far as it can be."""


def build_stem(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Stem:
    """A stem for ten bands and RGB."""
    stem: Stem = registry.build("stem", declared.name, SETS, WIDTH, PATCH, options=options)
    return stem


def build_student(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Student:
    """A student with DEO's stem; one that is handed a teacher gets the one that needs no weights."""

    def stem(*sides: int) -> Stem:
        built: Stem = registry.build("stem", "dual", SETS, *sides)
        return built

    given: list[Any] = [stem, SETS, NORMALISATIONS]
    if declared.facts.get("needs") == "teacher":
        given.append(registry.build("teacher", "descriptors").freeze())
    student: Student = registry.build("student", declared.name, *given, options=options)
    return student.eval()


def build_teacher(
    registry: Registry, declared: Declaration, options: Mapping[str, Any], is_whole: bool = False
) -> Teacher:
    """A teacher; one that needs a student or a run is handed the smallest student, a published one has no weights.

    A contract is about shapes and manners, so nothing is fetched for it; is_whole: at its real size, however large.
    """
    given: list[Any] = []
    if declared.facts.get("needs") in ("student", "run"):
        given = [build_student(registry, registry.get("student", "vit_nano"), {})]
        if "run" in declared.options and "recipe" not in declared.facts:
            options = {"run": "000000000000-s0", **options}
    elif declared.facts.get("needs") == "bands":
        given = ["s2_10", SETS["s2_10"], NORMALISATIONS["s2_10"]]
    elif builds_without_weights(declared):
        given = [False]
        is_large = float(declared.facts.get("parameters", 0)) > LARGEST
        if not is_whole and is_large and registry.load("teacher", declared.name).narrow:
            return _narrow(registry, declared, options)
    teacher: Teacher = registry.build("teacher", declared.name, *given, options=options)
    return teacher.freeze()


def is_published(declared: Declaration) -> bool:
    """Whether its weights are others', so that its card has to say all of them."""
    return str(declared.facts.get("weights", "")).startswith("hub:") or "architecture" in declared.facts


def _narrow(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Teacher:
    """The same architecture in all its depth, but narrow; its real size is counted on tensors without values."""
    with torch.device("meta"):
        whole = registry.build("teacher", declared.name, False, options=options)
    part = registry.load("teacher", declared.name)
    thin = type(part.__name__, (part,), {"overrides": part.narrow})
    checked = registry.options("teacher", declared.name, options, f"teacher {declared.name}")
    teacher: Teacher = thin(declared.name, False, **checked)
    teacher.counted = sum(value.numel() for value in whole.parameters())
    return teacher.freeze()


def makes_tokens_on_a_grid(stem: Stem, declared: Declaration) -> None:
    """Pixels [B, C, H, W] of each band set become tokens [B, D, H/patch, W/patch], of groups [B, D, G, ...]."""
    is_grouped = bool(declared.facts.get("groups"))
    for sees, bands in SETS.items():
        tokens = stem(torch.randn(IMAGES, len(bands), 32, 48), sees)
        count = stem.groups_of(sees)
        expect(count == 1 or is_grouped, f"{count} groups of {sees} without the fact groups=True")
        groups = (count,) if is_grouped else ()
        expect_shape(tokens, (IMAGES, WIDTH, *groups, 32 // PATCH, 48 // PATCH), f"the tokens of {sees}")
        if is_grouped:
            expect_shape(stem.encodings_of(sees), (count, WIDTH), f"the groups' encodings of {sees}")
    counts = [stem.groups_of(sees) for sees in SETS]
    expect(max(counts) > 1 or not is_grouped, "groups=True, and ten bands are one group; leave the fact out")


def keeps_groups_apart(stem: Stem, declared: Declaration) -> None:
    """Each band reaches the tokens of one group and no other's."""
    for sees, bands in SETS.items() if declared.facts.get("groups") else ():
        pixels = torch.randn(IMAGES, len(bands), PATCH, PATCH)
        for index, band in enumerate(bands):
            other = pixels.clone()
            other[:, index] += 1
            moved = (stem(other, sees) - stem(pixels, sees)).abs().amax((0, 1, 3, 4)) > 0
            expect(int(moved.sum()) == 1, f"{band} of {sees} reaches {int(moved.sum())} groups of {len(moved)}")


def names_its_own_parameters(stem: Stem, declared: Declaration) -> None:
    """The parameters it says are a band set's own are reached by that set's pass, and by no other's."""
    for sees, bands in SETS.items():
        stem.zero_grad(set_to_none=True)
        stem(torch.randn(IMAGES, len(bands), 32, 32), sees).square().sum().backward()
        for other in SETS:
            reached = [parameter.grad is not None for parameter in stem.parameters_of(other)]
            expect(all(reached) if other == sees else not any(reached), f"{sees} reaches parameters of {other}")


def declares_what_it_says(backbone: Backbone, declared: Declaration) -> None:
    """Pooled vectors and maps have the widths and strides that it declares, at any size of image."""
    for sees in _sets(backbone):
        for size in SIZES:
            said = _features(backbone, _images(backbone, sees, size), sees)
            expect(said.default in said.pooled, f"its default {said.default!r} is not among {list(said.pooled)}")
            for name, values in said.pooled.items():
                expect_shape(values, (IMAGES, backbone.width(name)), f"{name} of {sees}")
            for level, values in said.maps.items():
                cells = -(-size // backbone.stride(level))
                expect_shape(values, (IMAGES, backbone.width(level), cells, cells), f"{level} of {sees} at {size} px")


def gives_the_maps_asked_for(backbone: Backbone, declared: Declaration) -> None:
    """It gives the levels that are asked for, and no map where none is."""
    sees = backbone.first
    images = _images(backbone, sees, SIZES[0])
    wanted = tuple(backbone.levels)
    with torch.no_grad():
        expect(set(backbone(images, sees, levels=wanted).maps) == set(wanted), f"asked for {wanted}")
        expect(not backbone(images, sees).maps, "maps that nobody asked for")


def sees_images_one_by_one(backbone: Backbone, declared: Declaration) -> None:
    """In evaluation, an image's features do not depend on its company."""
    sees = backbone.first
    images = _images(backbone, sees, SIZES[0])
    alone = Images(images.pixels[:1], images.bands, images.unit, images.mean, images.std)
    together, single = _features(backbone, images, sees), _features(backbone, alone, sees)
    for name in together.pooled:
        close = torch.allclose(together.get(name)[:1], single.get(name), rtol=1e-3, atol=1e-4)
        expect(close, f"{name} differs when the image is alone")


def minds_normalisation(backbone: Backbone, declared: Declaration) -> None:
    """The data set's statistics can stand in for its own."""
    sees = backbone.first
    with torch.no_grad():
        said = backbone(_images(backbone, sees, SIZES[0]), sees, normalise="dataset")
    expect(said.get("default").isfinite().all(), "its features are not finite")


def is_as_large_as_declared(backbone: Backbone, declared: Declaration) -> None:
    """It has as many parameters as its facts say, in millions (a student: with DEO's stem for ten bands and RGB)."""
    counted = getattr(backbone, "counted", None) or sum(value.numel() for value in backbone.parameters())
    said, found = declared.facts.get("parameters"), counted / 1e6
    expect(said is None or abs(found - said) <= 0.05, f"{said} million are declared, it has {found:.2f}")


def trains(student: Student, declared: Declaration) -> None:
    """Gradients reach the stem and the trunk, and are finite."""
    student.train().zero_grad(set_to_none=True)
    sees = student.first
    said = student(_images(student, sees, SIZES[0]), sees, levels=tuple(student.levels)[-1:])
    sum(values.square().mean() for values in (*said.pooled.values(), *said.maps.values())).backward()
    student.eval()
    reached = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    expect(all(gradient.isfinite().all() for gradient in reached), "a gradient is not finite")
    expect(any(parameter.grad is not None for parameter in student.stem.parameters()), "the stem gets no gradient")


def splits_into_stem_and_trunk(student: Student, declared: Declaration) -> None:
    """`extract` is `embed` and then `trunk`, so that crops of one size can share the trunk's pass."""
    sees = student.first
    images = _images(student, sees, SIZES[0])
    with torch.no_grad():
        whole = student(images, sees)
        apart = student.trunk(student.embed(student.prepare(images, sees), sees), ())
    expect(torch.equal(whole.get("default"), apart.get("default")), "the two ways differ")


def is_frozen(teacher: Teacher, declared: Declaration) -> None:
    """It has no gradients and stays in evaluation mode."""
    trained = [name for name, parameter in teacher.named_parameters() if parameter.requires_grad]
    expect(not trained, f"{', '.join(trained[:3])} would be trained")
    expect(not any(module.training for module in teacher.train().modules()), "train() leaves evaluation mode")


def stays_or_follows(teacher: Teacher, declared: Declaration) -> None:
    """One that does not follow the student stays what it is when the student steps."""
    if teacher.follows:
        return
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    teacher.follow(teacher, {}, Moment(1, 10))
    expect(all(torch.equal(before[name], value) for name, value in teacher.state_dict().items()), "it moved")


def has_a_card(teacher: Teacher, declared: Declaration) -> None:
    """Its card says where its weights come from; if they come from others, under which licence and trained on what."""
    wanted = ("weights", "licence", "gated", "trained_on", "paper") if is_published(declared) else ("weights",)
    missing = [fact for fact in wanted if fact not in declared.facts]
    expect(not missing, f"the card lacks {', '.join(missing)}")
    said = list(declared.facts.get("bands", ["rgb"]))
    is_told = not is_published(declared) or said == list(teacher.band_sets)
    expect(is_told, f"its fact `bands` says {', '.join(said)}, it sees {', '.join(teacher.band_sets)}")


_BACKBONE = (
    is_as_large_as_declared,
    declares_what_it_says,
    gives_the_maps_asked_for,
    sees_images_one_by_one,
    minds_normalisation,
)
STEM_RULES = (makes_tokens_on_a_grid, keeps_groups_apart, names_its_own_parameters)
STUDENT_RULES = (*_BACKBONE, splits_into_stem_and_trunk, trains)
TEACHER_RULES = (has_a_card, is_frozen, *_BACKBONE, stays_or_follows)


def _sets(backbone: Backbone) -> list[str]:
    return list(backbone.band_sets)


def _features(backbone: Backbone, images: Images, sees: str) -> Features:
    levels = tuple(level for level in NAMED if level in backbone.levels)
    with torch.no_grad():
        said: Features = backbone(images, sees, levels=levels)
    return said


def _images(backbone: Backbone, sees: str, size: int) -> Images:
    bands = backbone.band_sets[sees]
    pixels = torch.rand(IMAGES, len(bands), size, size) * 0.4
    return Images(pixels, bands, "reflectance", torch.full((len(bands),), 0.2), torch.full((len(bands),), 0.1))

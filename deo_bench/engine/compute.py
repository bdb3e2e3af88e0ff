"""What a run costs in arithmetic: counted on tensors without values once it is trained, so it changes nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from deo_bench.backbone import Backbone
from deo_bench.engine.build import Statistics
from deo_bench.engine.frozen import normalisation_for, roles_and_terms, target_sees
from deo_bench.engine.training import Training
from deo_bench.errors import UserError
from deo_bench.features import Images
from deo_bench.probes.costs import multiply_adds as _multiply_adds
from deo_bench.recipe import canonical

_KNOWN: dict[tuple[Any, ...], int] = {}
_BACKWARD = 2
"""Times the forward pass: gradients of what goes in, and of the weights."""


def compute_of(training: Training, statistics: Statistics) -> dict[str, Any]:
    """Parameters, images seen, GMACs of one image and PFLOPs of the training, for `run.json`.

    GMACs are of one forward pass: of the student by band set and size of crop, of each teacher at the size of the
    global crops. A PFLOP is 10^15 additions and multiplications. Heads, losses and the optimiser are left out.
    """
    views, steps = training.recipe.views, training.step * training.recipe.train.batch
    seen: dict[str, int] = {}
    for _, _, crops in views.crops():
        seen[str(crops.size)] = seen.get(str(crops.size), 0) + steps
    trained = sum(value.numel() for value in training.trained().values())
    own = [value.numel() for value in training.student.parameters() if value.requires_grad]
    told: dict[str, Any] = {
        "parameters": sum(value.numel() for value in training.student.parameters()),
        "parameters_trained": sum(own),
        "parameters_of_heads": trained - sum(own),
        "images": steps,
        "views": seen,
    }
    try:
        counted, an_image = _counted(training, statistics)
    except Exception:
        # A part of anybody's own may do what cannot be counted; its run is no worse for it.
        return told | {"student_gmacs": None, "teacher_gmacs": None, "train_pflops": None}
    return told | counted | {"train_pflops": float(f"{2 * an_image * steps / 1e15:.6g}")}


def step_flops(training: Training, statistics: Statistics) -> int:
    """Additions and multiplications of one step, teachers included, as `compute_of` counts them.

    A UserError where a part does what cannot be counted.
    """
    try:
        return 2 * _counted(training, statistics)[1] * training.recipe.train.batch
    except Exception as error:
        raise UserError(f"what a step costs cannot be counted ({type(error).__name__}: {error})") from None


def _counted(training: Training, statistics: Statistics) -> tuple[dict[str, Any], int]:
    """GMACs of student and teachers, and the multiply-adds that an image of a batch costs in training."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        return _count(training, statistics)


def _count(training: Training, statistics: Statistics) -> tuple[dict[str, Any], int]:
    views, student = training.recipe.views, training.student
    sizes = dict.fromkeys(crops.size for _, _, crops in views.crops())
    kind = (type(student), canonical(training.recipe.student.model_dump(mode="json")))
    macs = {
        sees: {size: _once((*kind, sees, size), student, statistics) for size in sizes} for sees in student.band_sets
    }
    needs, an_image = training.objective.needs, 0
    for sees in (*needs.local, *needs.masked):
        an_image += (1 + _BACKWARD) * views.global_.count * macs[sees][views.global_.size]
    if views.local is not None:
        for sees in (sees for sees, is_local in needs.local.items() if is_local):
            an_image += (1 + _BACKWARD) * views.local.count * macs[sees][views.local.size]
    of_teachers: dict[str, dict[str, int]] = {}
    looks: set[tuple[Any, ...]] = set()
    for role, _, term in roles_and_terms(training.recipe):
        teacher, table = training.teachers[role], training.recipe.teachers[role]
        sees = target_sees(term, teacher)
        # One that follows keeps no band set to itself; frozen ones are looked at once however many roles they have.
        who = role if teacher.follows else canonical(table.model_dump(mode="json"))
        if (who, sees) in looks:
            continue
        looks.add((who, sees))
        own = kind if teacher.follows else ()
        key = (type(teacher), *own, canonical(table.model_dump(mode="json")), sees, views.global_.size)
        other = normalisation_for(table, teacher, sees, student)
        found = of_teachers.setdefault(role, {})[sees] = _once(key, teacher, statistics, other)
        an_image += views.global_.count * found
    return {
        "student_gmacs": {sees: {str(n): _giga(value) for n, value in by.items()} for sees, by in macs.items()},
        "teacher_gmacs": {role: {sees: _giga(value) for sees, value in by.items()} for role, by in of_teachers.items()},
    }, an_image


def _once(key: tuple[Any, ...], backbone: Backbone, statistics: Statistics, other: Any = None) -> int:
    """A backbone's multiply-adds of one image, counted once in a process: the runs of a grid are mostly alike.

    key: what the backbone is, then the band set and the size of the image; other: a normalisation that is not its own.
    """
    if key not in _KNOWN:
        sees, size = key[-2:]
        pixels = _pixels(backbone, sees, size, statistics, other)
        _KNOWN[key] = _multiply_adds(backbone, pixels, sees)
    return _KNOWN[key]


def _pixels(backbone: Backbone, sees: str, size: int, statistics: Statistics, other: Any = None) -> Tensor:
    """Normalised pixels [1, C, size, size] as a backbone takes them of the pre-training images."""
    blank = torch.ones(1, len(statistics.bands), size, size)
    return backbone.prepare(Images(blank, statistics.bands, statistics.unit), sees, other or "native")


def _giga(macs: int) -> float:
    return float(f"{macs / 1e9:.6g}")

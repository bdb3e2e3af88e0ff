"""What a student is: a backbone that trains, with a stem for the band sets it is fed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.registry import decorator


class Stem(nn.Module):
    """First layer: normalised pixels of a band set to the trunk's tokens.

    `__init__(band_sets, width, patch, kernel=None, *, options)`: `band_sets` maps a name to its bands in order,
    `width` is D, `patch` the stride, `kernel` the side of what one token looks at where that is not the patch (a
    ResNet's first convolution). `forward(pixels [B, C, H, W], sees)` gives [B, D, H/patch, W/patch].

    The fact `groups=True`: groups of bands have tokens of their own, [B, D, G, H/patch, W/patch], with
    `groups_of(sees)` and `encodings_of(sees)`. Only a student with the same fact takes such a stem.
    """

    version = 1

    def __init__(
        self, band_sets: Mapping[str, tuple[str, ...]], width: int, patch: int, kernel: int | None = None
    ) -> None:
        super().__init__()
        self.band_sets = dict(band_sets)
        self.width = width
        self.patch = patch
        self.kernel = kernel or patch
        self.padding = (self.kernel - patch + 1) // 2

    def forward(self, pixels: Tensor, sees: str) -> Tensor:
        """Tokens on a grid."""
        raise NotImplementedError

    def groups_of(self, sees: str) -> int:
        """How many tokens a cell has: of a stem without groups one."""
        return 1

    def encodings_of(self, sees: str) -> Tensor:
        """What was added to each group's tokens to tell them apart [G, D], for cells that are masked."""
        raise UserError(f"stem {type(self).__name__.lower()!r} has no groups of bands")

    def parameters_of(self, sees: str) -> list[nn.Parameter]:
        """The parameters that only this band set's pass reaches: none of them moving is worth a mark in the table."""
        return []

    def inflate(self, weight: Tensor, bias: Tensor | None) -> None:
        """Start from a first layer that was trained on red, green and blue: weight [D, 3, k, k], bias [D] or none."""
        raise UserError(f"stem {type(self).__name__.lower()!r} has no filter of a band's own to start from a file")


class Student(Backbone):
    """A backbone that trains: a stem a band set, then a shared trunk.

    `__init__(stem, band_sets, normalisations, *, options)` for a family: `stem(width, patch)` builds the stem, or
    `stem(width, patch, kernel)` where a token looks at more than its patch.
    `embed` and `trunk` are apart so that crops of one size share the trunk's pass across stems; `extract` is the one
    after the other. Students with batch statistics set `has_batch_statistics`, and their passes stay apart.

    The fact `groups=True`: it takes a stem that gives several tokens a cell, and its features are those of a cell.
    The fact `needs="teacher"`: the engine hands in the frozen teacher that the student's table names, or none, before
    the options (`__init__(stem, band_sets, normalisations, teacher, *, options)`). What it adds has to start at zero:
    untrained, the student is the one without a teacher.
    """

    has_batch_statistics = False
    version = 1
    stem: Stem
    fresh: ClassVar[tuple[str, ...]] = ("mask_token",)
    """Starts of names of weights that other students and published models may lack: they stay as drawn then."""
    origin = ""
    """What the weights started from, in one line, where they were not drawn."""

    def declare(self, band_sets: Mapping[str, tuple[str, ...]], normalisations: Mapping[str, Normalisation]) -> None:
        """Set bands and normalisation, as every backbone must."""
        self.band_sets = dict(band_sets)
        self.normalisations = dict(normalisations)

    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """Normalised pixels [B, C, H, W] to the trunk's input; mask [B, h, w]: cells replaced by the mask token."""
        raise NotImplementedError

    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """The trunk's features of embedded tokens, with the maps of the levels wanted."""
        raise NotImplementedError

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """Embed, then the trunk."""
        return self.trunk(self.embed(pixels, sees), levels)

    def pool(self, last: Tensor) -> Mapping[str, Tensor]:
        """The pooled vectors [B, D] of the `last` of this student's features, for a family that gives one."""
        raise UserError(f"{type(self).__name__} does not say what it pools; ask it for the pooled vector itself")

    def start(self, state: Mapping[str, Tensor], source: str, model: str | None = None) -> list[str]:
        """Start from published weights in timm's names, the stem from their first layer; what there is to tell of it.

        source: what they are, in the words of an error; model: timm's name of the architecture, where they need its
        conversion. Weights of another architecture are a UserError with the first name that does not fit.
        """
        raise UserError(f"{source}: {type(self).__name__} has no counterpart of timm's to start from")

    def take_trunk(self, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Take all weights but the stem's, by name and whole; what stays as drawn is told, anything else refused."""
        own = {name: value for name, value in self.state_dict().items() if not name.startswith("stem.")}
        for name, value in own.items():
            if name in state and state[name].shape != value.shape:
                given, wanted = tuple(state[name].shape), tuple(value.shape)
                raise UserError(f"{source}: {name} has shape {given}, this student wants {wanted}")
        drawn = [name for name in own if name not in state and name.startswith(self.fresh)]
        lacking = [name for name in own if name not in state and name not in drawn]
        foreign = [name for name in state if name not in own]
        if lacking or foreign:
            told = [f"{verb} {names[0]}" for verb, names in (("lacks", lacking), ("has", foreign)) if names]
            raise UserError(f"{source}: not weights of this student: it {' and '.join(told)}")
        self.load_state_dict(dict(state), strict=False)
        return [f"{', '.join(drawn)} as drawn"] if drawn else []

    def after_step(self) -> None:
        """Change buffers once the optimiser has stepped, before any teacher follows; nothing by default."""


stem = decorator("stem", Stem)
student = decorator("student", Student)

"""What a teacher is: a backbone without gradients, with a card that says where it comes from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from deo_bench.backbone import Backbone
from deo_bench.declarations import Declaration
from deo_bench.features import Features
from deo_bench.registry import decorator


@dataclass(frozen=True)
class Moment:
    """When a teacher follows: once a step is done.

    step: which, from 0, of steps; epochs: how many epochs of the images have ended, and whether one ended with this
    step; total: the number that was minimised.
    """

    step: int
    steps: int
    epochs: int = 0
    ends_epoch: bool = False
    total: float = 0.0

    def is_time(self, every: int, steps: int | None) -> bool:
        """Whether so many epochs, or steps where they are given, have passed since the last time."""
        if steps is not None:
            return (self.step + 1) % steps == 0
        return self.ends_epoch and self.epochs % every == 0


class Teacher(Backbone):
    """A backbone that is not trained.

    The decorator's facts are its card: `paper`, `licence`, `gated`, `weights` (where they come from: `"hub:…"`,
    `"file"`, `"none"`), `checksum` (only where the source states one), `trained_on` (names of data sets, so that a
    table can mark a teacher that has seen a task), and `needs`: what the engine hands to the constructor before the
    options: `"student"` (the student to follow), `"run"` (a stored run's student), `"bands"` (a baseline on any
    bands: the name of a band set, its bands in order, their normalisation) or nothing. One whose architecture is
    code that the user brings says in `code` where that is published and in `requires` which option names the folder
    and which file has to be in it: without it nothing starts, and the code is part of who a run is.

    `follows` says whether the teacher changes with the student. One that does keeps its own copies of the heads that
    terms toward it use, in `heads`, and the student's moving copy in `backbone`.
    """

    follows = False
    version = 1
    overrides: ClassVar[dict[str, Any]] = {}
    """Arguments of the architecture that tests set to make it small."""
    narrow: ClassVar[dict[str, Any]] = {}
    """Arguments with which an architecture of any size can be checked in seconds; none where it cannot be narrowed."""
    heads: nn.ModuleDict
    backbone: Backbone

    def freeze(self) -> Teacher:
        """Evaluation mode, no gradients; itself."""
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        return self

    @classmethod
    def refuse(cls, options: Mapping[str, Any]) -> None:
        """A UserError where options name no weights that could be had; asked only where an option says which."""

    def adopt(self, heads: Mapping[str, nn.Module]) -> None:
        """Take copies of the heads that terms toward this teacher use; only a following teacher does."""

    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], moment: Moment) -> None:
        """Move toward the student after its step; frozen teachers stay."""

    def train(self, mode: bool = True) -> Teacher:
        """A teacher stays in evaluation mode."""
        return super().train(False)


def without_gradients(extract: Callable[..., Features]) -> Callable[..., Features]:
    """Let no gradient through a teacher's `extract`, as long as none of its parameters is trained.

    A teacher's parameters never are; those of a copy that a probe fine-tunes may be.
    """

    @functools.wraps(extract)
    def frozen(self: Teacher, *given: Any) -> Features:
        is_trained = any(parameter.requires_grad for parameter in self.parameters())
        with torch.set_grad_enabled(is_trained and torch.is_grad_enabled()):
            return extract(self, *given)

    return frozen


def builds_without_weights(declared: Declaration) -> bool:
    """Whether a teacher takes `load = False`: a published one, or one of the project's for any file; a user's own
    may know no such way.
    """
    source = str(declared.facts.get("weights", ""))
    return source.startswith("hub:") or (source == "file" and not declared.content)


teacher = decorator("teacher", Teacher)

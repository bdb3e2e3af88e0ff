"""A moving average of the student, as a teacher of the student."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.declarations import Fraction
from deo_bench.features import Features
from deo_bench.schedules import Schedule
from deo_bench.teachers import teacher
from deo_bench.teachers._delegate import Delegate


@teacher("ema", needs="student", weights="none", paper="https://arxiv.org/abs/2104.14294")
class Ema(Delegate):
    """An exponential moving average of the student (mean teacher; DINO's momentum encoder).

    After each step, by name: `m * teacher + (1 - m) * student` for parameters, floating buffers and its own copies of
    the heads; buffers that are counts are copied. m goes from `start` to `end` along a cosine over the steps. It is
    always in evaluation mode; `drop_path` keeps the student's stochastic depth active in it, as DEO's code has it.
    """

    follows = True
    drop_path = False
    backbone: Any

    def __init__(
        self, student: Backbone, *, start: Fraction = 0.996, end: Fraction = 1.0, drop_path: bool = False
    ) -> None:
        super().__init__(copy.deepcopy(student))
        self.heads = nn.ModuleDict()
        self.momentum = Schedule(start=start, end=end)
        self.drop_path = drop_path
        self.freeze()

    @torch.no_grad()
    def embed(self, pixels: Tensor, sees: str, mask: Tensor | None = None) -> Tensor:
        """As the student embeds, with the teacher's own weights."""
        tokens: Tensor = self.backbone.embed(pixels, sees, mask)
        return tokens

    @torch.no_grad()
    def trunk(self, tokens: Tensor, levels: tuple[str, ...]) -> Features:
        """The student's trunk with the teacher's own weights."""
        features: Features = self.backbone.trunk(tokens, levels)
        return features

    def adopt(self, heads: Mapping[str, nn.Module]) -> None:
        """Take copies of the heads that terms toward this teacher use."""
        self.heads = nn.ModuleDict({name: copy.deepcopy(head) for name, head in heads.items()})
        self.freeze()

    @torch.no_grad()
    def follow(self, student: Backbone, heads: Mapping[str, nn.Module], step: int, steps: int) -> None:
        """Move toward the student and its heads, once its step is done."""
        momentum = self.momentum.at(step, steps)
        _follow(self.backbone, student, momentum)
        for name, head in self.heads.items():
            _follow(head, heads[name], momentum)

    def train(self, mode: bool = True) -> Ema:
        """Evaluation mode, but for stochastic depth where that is asked for."""
        super().train(False)
        for module in self.modules():
            if self.drop_path and isinstance(module, DropPath):
                module.training = True
        return self


def _follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    leading = dict(_tensors(student))
    for name, mine in _tensors(teacher):
        theirs = leading[name]
        if mine.is_floating_point():
            mine.mul_(momentum).add_(theirs.to(mine), alpha=1 - momentum)
        else:
            mine.copy_(theirs)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()

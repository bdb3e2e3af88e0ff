"""Teachers that are a copy of the student: what they share, whatever moves them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.features import Features
from deo_bench.teachers._delegate import Delegate


class Following(Delegate):
    """A copy of the student, with copies of the heads that terms toward it use; a subclass says when it moves.

    It is always in evaluation mode; `drop_path` keeps the student's stochastic depth active in it, as DEO's code has
    it.
    """

    follows = True
    drop_path = False
    backbone: Any

    def __init__(self, student: Backbone, drop_path: bool = False) -> None:
        super().__init__(copy.deepcopy(student))
        self.heads = nn.ModuleDict()
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

    def train(self, mode: bool = True) -> Following:
        """Evaluation mode, but for stochastic depth where that is asked for."""
        super().train(False)
        for module in self.modules():
            if self.drop_path and isinstance(module, DropPath):
                module.training = True
        return self

    @torch.no_grad()
    def move(self, student: Backbone, heads: Mapping[str, nn.Module], momentum: float = 0.0) -> None:
        """`momentum` of itself and the rest of the student and its heads, by name; 0 is a copy, counts are copied."""
        _move(self.backbone, student, momentum)
        for name, head in self.heads.items():
            _move(head, heads[name], momentum)


def _move(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
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

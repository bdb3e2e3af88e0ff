"""What every target transform keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from deo_bench.declarations import Declaration
from deo_bench.engine.contract import expect, expect_shape
from deo_bench.registry import Registry
from deo_bench.targets import Target

WIDTH, ROWS = 8, 96


def build(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Target:
    """A transform, fitted on features whose channels are correlated and differ in scale."""
    transform: Target = registry.build("target", declared.name, WIDTH, options=options)
    transform.fit([_rows()])
    return transform


def keeps_the_shape(transform: Target, declared: Declaration) -> None:
    """[B, D] and [B, D, H, W] keep their shape and type."""
    for shape in ((3, WIDTH), (3, WIDTH, 2, 5)):
        given = torch.randn(shape)
        expect_shape(transform(given), shape, "its output")
        expect(transform(given).dtype == given.dtype, f"{given.dtype} became {transform(given).dtype}")


def treats_cells_as_rows(transform: Target, declared: Declaration) -> None:
    """A map's cell is transformed as the vector that it is."""
    cells = torch.randn(3, WIDTH, 2, 5)
    apart = transform(cells.movedim(1, -1).reshape(-1, WIDTH)).reshape(3, 2, 5, WIDTH).movedim(-1, 1)
    expect(torch.allclose(transform(cells), apart, atol=1e-5), "cells and vectors are transformed differently")


def trains_nothing(transform: Target, declared: Declaration) -> None:
    """It has no trained parameters: what is fitted lives in buffers."""
    trained = [name for name, parameter in transform.named_parameters() if parameter.requires_grad]
    expect(not trained, f"{', '.join(trained)} would be trained")


def ignores_how_it_is_chunked(transform: Target, declared: Declaration) -> None:
    """One chunk or many: the same fit."""
    before = {name: value.clone() for name, value in transform.state_dict().items()}
    transform.fit(_rows().split(17))
    for name, value in transform.state_dict().items():
        expect(torch.allclose(value, before[name], rtol=1e-5, atol=1e-6), f"{name} is another in chunks")


def is_saved_with_the_run(transform: Target, declared: Declaration) -> None:
    """Its state, saved and loaded, transforms alike."""
    given = torch.randn(4, WIDTH)
    before = transform(given)
    state = {name: value.clone() for name, value in transform.state_dict().items()}
    transform.fit([torch.randn(ROWS, WIDTH) + 3])
    transform.load_state_dict(state)
    expect(torch.equal(before, transform(given)), "what is fitted is not in its state")


RULES = (keeps_the_shape, treats_cells_as_rows, trains_nothing, ignores_how_it_is_chunked, is_saved_with_the_run)


def _rows() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(WIDTH, WIDTH, generator=generator)
    return torch.randn(ROWS, WIDTH, generator=generator) @ mixing + torch.arange(WIDTH)

"""Two ranks with half of a batch each give what one rank gives with all of it: values, gradients, memories."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing

from deo_bench.losses import Loss
from tests.contract.test_losses import CASES, FACTS, build, case, fresh

RANKS = 2


def differentiate(loss: Loss, student: torch.Tensor, target: torch.Tensor | None, batch: Any) -> dict[str, Any]:
    """Value, gradients of the student and of the loss's own parameters, and its buffers after the step."""
    student = student.clone().requires_grad_()
    value = loss(student, target, fresh(batch))
    value.backward()
    loss.remember(student.detach(), target, fresh(batch))
    own = {name: parameter.grad for name, parameter in loss.named_parameters()}
    return {"value": value.detach(), "student": student.grad, "own": own, "buffers": dict(loss.named_buffers())}


def part_of(rank: int, student: torch.Tensor, target: torch.Tensor | None, batch: Any) -> tuple[Any, Any, Any]:
    half = slice(rank * student.shape[1] // RANKS, (rank + 1) * student.shape[1] // RANKS)
    mask = None if batch.mask is None else batch.mask[:, half]
    split = replace(batch, index=batch.index[half], groups=batch.groups[half], mask=mask)
    return student[:, half], None if target is None else target[:, half], split


def work(rank: int, folder: str, names: list[tuple[str, str]]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS)
    found = {}
    for name, place in names:
        loss = build(name).double()
        found[name, place] = differentiate(loss, *part_of(rank, *case(name, place, torch.float64)))
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, str], dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("ranks")
    names = list(CASES.args[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    multiprocessing.start_processes(work, (str(folder), names), nprocs=RANKS, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@CASES
def test_two_ranks_are_one(name: str, place: str, halves: list[dict[tuple[str, str], dict[str, Any]]]) -> None:
    whole = differentiate(build(name).double(), *case(name, place, torch.float64))
    parts = [half[name, place] for half in halves]
    value = torch.stack([part["value"] for part in parts])
    torch.testing.assert_close(value.mean(), whole["value"])
    if FACTS[name].get("spans_batch"):
        torch.testing.assert_close(value, whole["value"].expand(RANKS))
    # Data-parallel training takes the mean of the ranks' gradients.
    torch.testing.assert_close(torch.cat([part["student"] for part in parts], 1) / RANKS, whole["student"])
    for key, gradient in whole["own"].items():
        torch.testing.assert_close(sum(part["own"][key] for part in parts) / RANKS, gradient)
    for key, buffer in whole["buffers"].items():
        for part in parts:
            torch.testing.assert_close(part["buffers"][key], buffer)

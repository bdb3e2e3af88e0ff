"""The contract of each kind of part, as rules that a part keeps or breaks, on the CPU and in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deo_bench.declarations import Declaration
from deo_bench.draws import global_seed
from deo_bench.errors import MissingInput, UserError
from deo_bench.registry import Registry

Rule = Callable[[Any, Declaration], None]
Build = Callable[[Registry, Declaration, Mapping[str, Any]], Any]


class BrokenContract(AssertionError):
    """A rule that a part does not keep, with what was expected and what was found."""


@dataclass(frozen=True)
class Finding:
    """One rule's outcome: its sentence, and what is wrong, or nothing."""

    rule: str
    problem: str = ""


def kinds() -> tuple[str, ...]:
    """The kinds of parts that have a contract to check."""
    return tuple(_contracts())


def check(registry: Registry, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Every rule of a part's kind, held against the part.

    Whatever a rule's code raises is a finding; MissingInput (weights that are not here) is the caller's to handle.
    """
    if kind not in kinds():
        raise UserError(f"a {kind} has no contract to check; those that have: {', '.join(kinds())}")
    build, rules = _contracts()[kind]
    declared = registry.get(kind, name)
    with global_seed("contract", kind, name):
        part = build(registry, declared, options or {})
        for rule in rules:
            yield _hold(rule, part, declared)


def _hold(rule: Rule, part: Any, declared: Declaration) -> Finding:
    sentence = (rule.__doc__ or rule.__name__).splitlines()[0].rstrip(".")
    try:
        rule(part, declared)
    except MissingInput:
        raise
    except BrokenContract as broken:
        return Finding(sentence, str(broken))
    except Exception as error:
        return Finding(sentence, f"raised {type(error).__name__}: {error}")
    return Finding(sentence)


def expect(fact: bool | torch.Tensor, otherwise: str) -> None:
    """Break the contract unless something holds."""
    if not bool(fact):
        raise BrokenContract(otherwise)


def expect_shape(values: torch.Tensor, shape: tuple[int, ...], what: str) -> None:
    """Break the contract unless a tensor has this shape and is finite."""
    expect(tuple(values.shape) == shape, f"{what} should be {list(shape)}, is {list(values.shape)}")
    expect(values.isfinite().all(), f"{what} is not finite")


def _contracts() -> dict[str, tuple[Build, tuple[Rule, ...]]]:
    from deo_bench.engine.contract import backbones, balances, heads, losses, targets

    return {
        "loss": (losses.build, losses.RULES),
        "head": (heads.build, heads.RULES),
        "target": (targets.build, targets.RULES),
        "balance": (balances.build, balances.RULES),
        "stem": (backbones.build_stem, backbones.STEM_RULES),
        "student": (backbones.build_student, backbones.STUDENT_RULES),
        "teacher": (backbones.build_teacher, backbones.TEACHER_RULES),
    }

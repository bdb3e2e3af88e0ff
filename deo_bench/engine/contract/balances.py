"""What every balance keeps."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deo_bench.balance import Balance, Moment
from deo_bench.declarations import Declaration
from deo_bench.engine.contract import expect
from deo_bench.registry import Registry

TOWARD: dict[str, tuple[str, ...]] = {"first": ("a",), "second": ("b",), "third": ("b",), "alone": ()}
"""The terms, and what they go toward: two teachers, and nothing."""

WEIGHTS = {"first": 1.0, "second": 0.5, "third": 2.0, "alone": 0.25}
IMAGES, WIDTH, SCALE = 6, 8, 1024.0
LARGE = 1e4


class Case:
    """A student, a head a term, and losses above zero, drawn from a seed: the same each time it is made."""

    def __init__(self, terms: Sequence[str] = tuple(TOWARD), seed: int = 0, larger: str = "") -> None:
        drawing = torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=drawing)

        self.student = [nn.Parameter(drawn(WIDTH, WIDTH)), nn.Parameter(drawn(WIDTH))]
        self.heads = {name: nn.Parameter(drawn(WIDTH, 3)) for name in terms}
        features = torch.tanh(drawn(IMAGES, WIDTH) @ self.student[0] + self.student[1])
        self.images = {}
        for name, head in self.heads.items():
            values = (features @ head - drawn(IMAGES, 3)).square().mean(1)
            self.images[name] = values * (LARGE if name == larger else 1.0)
        self.losses = {name: values.mean() for name, values in self.images.items()}
        self.calls = 0

    def step(self, balance: Balance, step: int = 0, scale: float = 1.0, without: str = "") -> Tensor:
        """One backward pass by a balance, as the engine asks for it; without: a term whose weight is 0."""

        def run_backward(loss: Tensor) -> None:
            self.calls += 1
            (loss * scale).backward()

        asked = {name: self.images[name] for name in balance.needs_images}
        balance.zero_grad(set_to_none=True)
        balance.moment = Moment(step, torch.Generator().manual_seed(step), scale, asked)
        given = {name: 0.0 if name == without else WEIGHTS[name] for name in self.losses}
        total = balance.backward(self.losses, given, self.student, run_backward)
        balance.moment = Moment()
        return total

    def gradients(self, balance: Balance) -> list[Tensor]:
        """Of everything that a step trains; zero where there is none."""
        trained = [*self.student, *self.heads.values(), *balance.parameters()]
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained]


class Maker:
    """Makes a balance for terms; each rule begins with one of its own."""

    def __init__(self, registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> None:
        self._given = registry, declared.name, options
        self._first = self.of(TOWARD)

    def of(self, toward: Mapping[str, tuple[str, ...]]) -> Balance:
        """A balance of these terms."""
        registry, name, options = self._given
        made: Balance = registry.build("balance", name, toward, options=options)
        return made

    def __call__(self) -> Balance:
        """A balance of four terms, toward two teachers and toward none; the same one each time."""
        return copy.deepcopy(self._first)


def build(registry: Registry, declared: Declaration, options: Mapping[str, Any]) -> Maker:
    """What makes the balance."""
    return Maker(registry, declared, options)


def gradients_reach_all(make: Maker, declared: Declaration) -> None:
    """Gradients reach the student, every head and its own parameters, and are finite; terms may differ in size."""
    for larger in ("", "first", "alone"):
        case, mine = Case(larger=larger), make()
        case.step(mine)
        for what, parameters in (("the student", case.student), ("a head", case.heads.values())):
            expect(all(p.grad is not None for p in parameters), f"no gradient reaches {what}")
        silent = [name for name, p in mine.named_parameters() if p.grad is None]
        expect(not silent, f"no gradient reaches {', '.join(silent)}")
        expect(all(value.isfinite().all() for value in case.gradients(mine)), "a gradient is not finite")


def gives_the_number_that_it_minimised(make: Maker, declared: Declaration) -> None:
    """It gives one finite number, detached, and one backward pass."""
    case = Case()
    total = case.step(make())
    expect(total.shape == () and total.isfinite(), f"it gave {total}")
    expect(not total.requires_grad, "what it gave still has its graph")
    expect(case.calls == 1, f"it ran {case.calls} backward passes; the first one frees what the terms share")


def trains_by_the_backward_it_is_given(make: Maker, declared: Declaration) -> None:
    """Where the backward that it is given scales the loss, every gradient is scaled by that, so it may be undone."""
    plain, scaled = make(), make()
    case, other = Case(), Case()
    case.step(plain)
    other.step(scaled, scale=SCALE)
    for one, two in zip(case.gradients(plain), other.gradients(scaled), strict=True):
        expect(torch.allclose(one, two / SCALE, rtol=1e-3, atol=1e-6), "a gradient is not the scaled loss's")
    for name, value in plain.state_dict().items():
        expect(
            torch.allclose(value, scaled.state_dict()[name], rtol=1e-3, equal_nan=True), f"{name} depends on the scale"
        )


def leaves_out_what_weighs_nothing(make: Maker, declared: Declaration) -> None:
    """A term whose weight is 0 at a step teaches nothing at that step, and nothing breaks."""
    for name in TOWARD:
        case, mine = Case(), make()
        case.step(mine, without=name)
        head = case.heads[name].grad
        expect(head is None or not head.any(), f"a gradient reaches the head of {name}, whose weight is 0")
        expect(all(value.isfinite().all() for value in case.gradients(mine)), "a gradient is not finite")


def serves_a_single_term(make: Maker, declared: Declaration) -> None:
    """A single term is taught in the direction of its own gradient."""
    case, alone = Case(("first",)), Case(("first",))
    case.step(make.of({"first": TOWARD["first"]}))
    alone.losses["first"].backward()
    for found, own in zip(case.student, alone.student, strict=True):
        assert found.grad is not None and own.grad is not None
        cosine = torch.cosine_similarity(found.grad.flatten(), own.grad.flatten(), dim=0)
        expect(cosine > 1 - 1e-5, f"its gradient has cosine {cosine.item():.3f} with the term's own")


def goes_on_from_its_state(make: Maker, declared: Declaration) -> None:
    """Two steps, its state saved and loaded, and a third: the same bits as three steps."""
    whole, other = make(), make()
    for step in range(2):
        Case(seed=step).step(whole, step)
    other.load_state_dict(copy.deepcopy(whole.state_dict()))
    case, again = Case(seed=2), Case(seed=2)
    case.step(whole, 2)
    again.step(other, 2)
    for one, two in zip(case.gradients(whole), again.gradients(other), strict=True):
        expect(torch.equal(one, two), "the step after is another: something that it remembers is not in its state")


def draws_from_its_generator_only(make: Maker, declared: Declaration) -> None:
    """The same moment gives the same gradients, and torch's global generator is left alone."""
    before = torch.get_rng_state()
    case, again = Case(), Case()
    one, other = make(), make()
    case.step(one, 5)
    again.step(other, 5)
    expect(torch.equal(before, torch.get_rng_state()), "it drew from torch's global generator")
    for first, second in zip(case.gradients(one), again.gradients(other), strict=True):
        expect(torch.equal(first, second), "the same moment gave other gradients")


RULES = (
    gradients_reach_all,
    gives_the_number_that_it_minimised,
    trains_by_the_backward_it_is_given,
    leaves_out_what_weighs_nothing,
    serves_a_single_term,
    goes_on_from_its_state,
    draws_from_its_generator_only,
)

"""What a balance is: it receives the named losses of the terms and owns the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from deo_bench.features import at_least_float32
from deo_bench.registry import decorator

Backward = Callable[[Tensor], None]


@dataclass(frozen=True)
class Moment:
    """What a balance may know of a step beside losses and weights.

    step; generator: of (seed, "balance", step), on the CPU, the only thing that a balance draws from; scale: what the
    precision plug-in multiplies a loss by, so that small gradients survive half precision; images: each term's values
    an image [B], where the balance asked for them.
    """

    step: int = 0
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    scale: float = 1.0
    images: Mapping[str, Tensor] = field(default_factory=dict)


class Balance(nn.Module):
    """Combines the terms: `__init__(terms, *, options)` with the terms' names, each with the roles it goes toward.

    `backward(losses, weights, shared, run_backward)` must leave gradients on every parameter and return the number
    that was minimised, detached. `shared` are the student's parameters, for schemes that compare gradients;
    `run_backward` is the precision plug-in's backward, to be called instead of `Tensor.backward`, and once: the terms
    share the student's passes. What is taken by `torch.autograd.grad` before is for looking at, not for training.

    `moment` is set before each backward. A balance that compares images sets `needs_images` to the terms whose values
    it wants an image; a loss that has none is then refused before training. Its parameters are trained, its buffers
    change in `backward`; both are saved, so that a run goes on as if it had not stopped. A term whose weight is 0 at a
    step teaches nothing at that step.
    """

    version = 1
    needs_images: tuple[str, ...] = ()

    def __init__(self, terms: Sequence[str] | Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.toward = {name: tuple(terms[name]) if isinstance(terms, Mapping) else () for name in self.terms}
        self.moment = Moment()

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """Gradients on every parameter; the minimised number, detached."""
        raise NotImplementedError

    def stacked(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The losses [K] in the order of the terms, in at least float32."""
        return at_least_float32(torch.stack([losses[name] for name in self.terms]))

    def as_weights(self, weights: Mapping[str, float], like: Tensor) -> Tensor:
        """The weights [K] in the order of the terms."""
        return torch.tensor([weights[name] for name in self.terms], dtype=like.dtype, device=like.device)

    def gradient(self, loss: Tensor, shared: Sequence[nn.Parameter]) -> Tensor:
        """The gradient of one loss on the shared parameters, flat, for looking at; zeros where it does not reach.

        Taken of the loss as the precision plug-in scales it, and divided again.
        """
        trained = [parameter for parameter in shared if parameter.requires_grad]
        found = torch.autograd.grad(loss * self.moment.scale, trained, retain_graph=True, allow_unused=True)
        pairs = zip(found, trained, strict=True)
        flat = [torch.zeros_like(p).flatten() if value is None else value.flatten() for value, p in pairs]
        return torch.cat(flat) / self.moment.scale


balance = decorator("balance", Balance)

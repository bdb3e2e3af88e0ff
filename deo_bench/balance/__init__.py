"""What a balance is: it receives the named losses of the terms and owns the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from deo_bench.registry import decorator

Backward = Callable[[Tensor], None]


class Balance(nn.Module):
    """Combines the terms: `__init__(terms, *, options)` with the terms' names.

    `backward(losses, weights, shared, run_backward)` must leave gradients on every parameter and return the number
    that was minimised, detached. `shared` are the student's parameters, for schemes that compare gradients;
    `run_backward` is the precision plug-in's backward, to be called instead of `Tensor.backward`.
    """

    version = 1

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__()
        self.terms = tuple(terms)

    def backward(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        shared: Sequence[nn.Parameter],
        run_backward: Backward,
    ) -> Tensor:
        """Gradients on every parameter; the minimised number, detached."""
        raise NotImplementedError


balance = decorator("balance", Balance)

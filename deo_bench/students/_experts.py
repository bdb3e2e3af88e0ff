"""A sparse mixture of experts in the place of an MLP: each token passes through the few experts that suit it."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from deo_bench.errors import UserError


class Mixture(nn.Module):
    """Top-k of E experts, each a two-layer MLP; whose load is kept even by a bias that is moved after each step.

    p = softmax(W x) over the experts, in at least float32; the k experts with the largest p + b are chosen; their
    gates are p renormalised over the chosen (of one chosen p itself, as in the Switch Transformer, or the router would
    get no gradient); y = sum_e gate_e * MLP_e(x). Nothing is dropped: an expert takes as many tokens as chose it.

    b is a buffer. `balance` moves it by `speed` toward the experts that got less than the mean: b_e += speed *
    sign(mean load - load_e), of the tokens seen in training since the last time, in all passes and on all ranks.
    """

    bias: Tensor
    load: Tensor

    def __init__(self, width: int, hidden: int, experts: int, top: int, speed: float) -> None:
        super().__init__()
        if top > experts:
            raise UserError(f"top = {top}: a token cannot pass through more than the {experts} experts that there are")
        self.experts, self.top, self.speed = experts, top, speed
        self.router = nn.Linear(width, experts, bias=False)
        nn.init.trunc_normal_(self.router.weight, std=0.02)
        self.rise, self.fall = Layers(experts, width, hidden), Layers(experts, hidden, width)
        self.register_buffer("bias", torch.zeros(experts))
        # Between two steps it is zero, so nothing of it is to be saved.
        self.register_buffer("load", torch.zeros(experts, dtype=torch.long), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] from the same."""
        flat = tokens.flatten(0, -2)
        gates, chosen = self.route(flat)
        expert = chosen.flatten()
        order = expert.argsort(stable=True)
        counts = expert.bincount(minlength=self.experts)
        if self.training:
            self.load += counts
        # Each token once for each of its experts, put in the experts' order: every index is there once, so that the
        # gradient, too, adds nothing in an order that could vary.
        copies = flat[:, None].expand(-1, self.top, -1).flatten(0, 1).index_select(0, order)
        rise, fall = self.rise.each(), self.fall.each()
        parts = [
            functional.linear(functional.gelu(functional.linear(rows, *rise[e])), *fall[e])
            for e, rows in enumerate(copies.split(counts.tolist()))
        ]
        found = torch.cat(parts).index_select(0, order.argsort()).unflatten(0, (-1, self.top))
        return (found * gates[..., None].to(found)).sum(1).view(tokens.shape)

    def route(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Gates and numbers of the experts of tokens [N, D]: [N, k] each, best first."""
        wide = torch.promote_types(flat.dtype, torch.float32)
        with torch.autocast(flat.device.type, enabled=False):
            shares = functional.linear(flat.to(wide), self.router.weight.to(wide)).softmax(-1)
        chosen = (shares.detach() + self.bias.to(wide)).topk(self.top, dim=-1).indices
        gates = shares.gather(-1, chosen)
        return (gates if self.top == 1 else gates / gates.sum(-1, keepdim=True)), chosen

    @torch.no_grad()
    def balance(self) -> None:
        """Move the bias by the load since the last time, and forget that load."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self.load)
        self.bias += self.speed * (self.load.double().mean() - self.load).sign().to(self.bias)
        self.load.zero_()


class Layers(nn.Module):
    """One linear layer of each expert: weight [E, out, in], bias [E, out].

    Stacked, so that an expert without tokens has a gradient of zero and not none: all steps look alike to the
    optimiser, whose weight decay and momentum it keeps.
    """

    def __init__(self, experts: int, inside: int, outside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outside, inside))
        self.bias = nn.Parameter(torch.zeros(experts, outside))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def each(self) -> list[tuple[Tensor, Tensor]]:
        """Weight [out, in] and bias [out] of each expert."""
        return list(zip(self.weight.unbind(), self.bias.unbind(), strict=True))

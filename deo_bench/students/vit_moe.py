"""Vision transformers whose MLPs are sparse mixtures of experts, as students."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from deo_bench.declarations import Count, Fraction, NonNegative, Positive
from deo_bench.errors import UserError
from deo_bench.normalisation import Normalisation
from deo_bench.students import Stem, student
from deo_bench.students._experts import Mixture
from deo_bench.students._vit import VitStudent

ENTRIES = {
    "vit_moe": {
        "summary": "A sparse vision transformer, 384 wide, 12 deep, patch 16, 8 experts in every second block.",
        "parameters": 43.9,
        "gmacs": 4.6,
        "options": {},
    },
    "vit_moe_nano": {
        "summary": "A sparse vision transformer for two CPU cores: 128 wide, 4 deep, patch 8, 8 experts in two blocks.",
        "parameters": 1.7,
        "gmacs": 1.3,
        "options": {"patch": 8, "width": 128, "depth": 4, "heads": 4, "size": 64, "pooling": "mean"},
    },
}


@student(ENTRIES, paper="https://arxiv.org/abs/2106.05974", groups=True)
class VitMoe(VitStudent):
    """A vision transformer with sparse experts (V-MoE, Riquelme et al., 2021; AMoE's student is of this kind).

    The MLP of every `every`-th block (of 12 blocks and 2: the second, the fourth, ... the last) is a mixture of
    `experts`, of which each token passes through `top`; an expert's hidden layer is `expert_ratio` times the width.
    With the default, two experts a token cost what the dense MLP of `ratio` 4 costs: beside `vit_small` (of the nano,
    `vit_nano`) it is a comparison at equal compute. GMACs count what a token passes through, parameters all there is.

    Router: p = softmax(W x), the experts with the largest p + b, gates renormalised over the chosen. The load is kept
    even without a loss of its own, by the bias b (Wang et al., 2024, arXiv 2408.15664; DeepSeek-V3): after each step
    b_e += bias_speed * sign(mean load - load_e). b chooses and weighs nothing, so it pulls on no gradient; it is part
    of the weights, and a teacher that follows the student follows it, too. bias_speed = 0 turns balancing off (their
    value is 0.001, for hundreds of thousands of steps; a short training may need more).

    The other options are those of `vit_small`.
    """

    def __init__(
        self,
        name: str,
        stem: Callable[[int, int], Stem],
        band_sets: Mapping[str, tuple[str, ...]],
        normalisations: Mapping[str, Normalisation],
        *,
        experts: Count = 8,
        top: Count = 2,
        every: Count = 2,
        expert_ratio: Positive = 2.0,
        bias_speed: NonNegative = 0.001,
        patch: Count = 16,
        width: Count = 384,
        depth: Count = 12,
        heads: Count = 6,
        ratio: Positive = 4.0,
        size: Count = 224,
        pooling: Literal["mean", "cls"] = "cls",
        normed: bool = False,
        drop_path: Fraction = 0.0,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__(
            name,
            stem,
            band_sets,
            normalisations,
            patch=patch,
            width=width,
            depth=depth,
            heads=heads,
            ratio=ratio,
            size=size,
            pooling=pooling,
            normed=normed,
            drop_path=drop_path,
            levels=levels,
        )
        if every > depth:
            raise UserError(f"student {name!r}: every = {every} leaves none of {depth} blocks sparse; say that or less")
        for number in range(every - 1, depth, every):
            hidden = max(round(expert_ratio * width), 1)
            self.blocks[number].mlp = Mixture(width, hidden, experts, top, bias_speed)

    def after_step(self) -> None:
        """Move the biases that keep the experts' load even."""
        for module in self.modules():
            if isinstance(module, Mixture):
                module.balance()

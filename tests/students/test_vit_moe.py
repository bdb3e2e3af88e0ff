"""Sparse experts: routing by hand, an even load without a loss of its own, gradients of experts without tokens."""

from __future__ import annotations

import copy
import math
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional

from deo_bench.errors import UserError
from deo_bench.students._experts import Mixture
from tests.contract.backbones import images, small_student

RANKS = 2


def mixture(experts: int = 5, top: int = 2, speed: float = 0.01, width: int = 6) -> Mixture:
    torch.manual_seed(1)
    made = Mixture(width, 9, experts, top, speed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter))
        made.bias.copy_(torch.linspace(-0.3, 0.3, experts))
    return made.double()


def by_hand(made: Mixture, token: torch.Tensor) -> torch.Tensor:
    """One token through all experts, those that were not chosen weighing nothing."""
    logits = [float(weights @ token) for weights in made.router.weight.detach()]
    shares = [math.exp(each) / sum(map(math.exp, logits)) for each in logits]
    ranked = sorted(range(made.experts), key=lambda e: -(shares[e] + float(made.bias[e])))[: made.top]
    whole = sum(shares[e] for e in ranked) if made.top > 1 else 1.0
    out = torch.zeros_like(token)
    for e in ranked:
        hidden = functional.gelu(made.rise.weight[e] @ token + made.rise.bias[e])
        out += shares[e] / whole * (made.fall.weight[e] @ hidden + made.fall.bias[e])
    return out


@pytest.mark.parametrize("top", [1, 2, 5])
def test_a_token_passes_through_its_experts_alone(top: int) -> None:
    made, tokens = mixture(top=top), torch.randn(3, 4, 6, dtype=torch.float64)
    expected = torch.stack([torch.stack([by_hand(made, token) for token in image]) for image in tokens])
    torch.testing.assert_close(made(tokens), expected)


@pytest.mark.parametrize("top", [1, 2])
def test_its_gradients_are_those_of_finite_differences(top: int) -> None:
    made, tokens = mixture(top=top), torch.randn(1, 4, 6, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda given, *_: made(given), (tokens, *made.parameters()))
    made(tokens).square().sum().backward()
    assert made.router.weight.grad.abs().sum() > 0


def test_an_expert_without_tokens_has_a_gradient_of_zero() -> None:
    made = mixture()
    with torch.no_grad():
        made.bias[3] = -10
    made(torch.randn(2, 4, 6, dtype=torch.float64)).sum().backward()
    for parameter in (made.rise.weight, made.rise.bias, made.fall.weight, made.fall.bias):
        assert parameter.grad[3].abs().sum() == 0 and parameter.grad[[0, 1, 2, 4]].abs().sum() > 0


def unevenness(made: Mixture, tokens: torch.Tensor) -> float:
    """The largest load over the mean one: 1 is even."""
    counts = made.route(tokens)[1].flatten().bincount(minlength=made.experts)
    return float(counts.max() / counts.double().mean())


def test_the_bias_evens_the_load_and_moves_by_the_rule() -> None:
    made = mixture(experts=8, speed=0.005).train()
    tokens = torch.randn(512, 6, dtype=torch.float64) + torch.linspace(0, 1, 6, dtype=torch.float64)
    made.bias.zero_()
    before = unevenness(made, tokens)
    made(tokens[None])
    load, mean = made.load.clone(), 512 * 2 / 8
    assert load.sum() == 1024 and before > 1.7
    made.balance()
    expected = [0.005 * ((mean > count) - (mean < count)) for count in load.tolist()]
    torch.testing.assert_close(made.bias, torch.tensor(expected, dtype=torch.float64))
    assert not made.load.any()
    for _ in range(200):
        made(tokens[None])
        made.balance()
    assert unevenness(made, tokens) < 1.3


def test_nothing_is_counted_outside_training_and_nothing_moves_without_speed() -> None:
    made, tokens = mixture(speed=0.0), torch.randn(1, 8, 6, dtype=torch.float64)
    made.eval()(tokens)
    assert not made.load.any()
    made.train()(tokens)
    assert made.load.sum() == 16
    before = made.bias.clone()
    made.balance()
    assert made.bias.equal(before)


def test_the_state_holds_the_bias_and_not_the_load() -> None:
    made = mixture()
    assert "bias" in made.state_dict() and "load" not in made.state_dict()


def test_which_blocks_are_sparse() -> None:
    student = small_student("vit_moe", every=5)
    assert [number for number, block in enumerate(student.blocks) if isinstance(block.mlp, Mixture)] == [4, 9]
    with pytest.raises(UserError, match="more than the 2 experts"):
        small_student("vit_moe_nano", experts=2, top=3)
    with pytest.raises(UserError, match="leaves none of 4 blocks sparse"):
        small_student("vit_moe_nano", every=5)


def test_one_expert_of_ratio_four_is_the_dense_mlp() -> None:
    sparse = small_student("vit_moe_nano", experts=1, top=1, every=1, expert_ratio=4.0).eval()
    dense = small_student("vit_nano").eval()
    state = dict(sparse.state_dict())
    for number in range(sparse.depth):
        for layer, theirs in (("fc1", "rise"), ("fc2", "fall")):
            for kind in ("weight", "bias"):
                state[f"blocks.{number}.mlp.{layer}.{kind}"] = state.pop(f"blocks.{number}.mlp.{theirs}.{kind}")[0]
        del state[f"blocks.{number}.mlp.router.weight"], state[f"blocks.{number}.mlp.bias"]
    dense.load_state_dict(state)
    given = images(32, 32)
    torch.testing.assert_close(sparse(given).get("mean"), dense(given).get("mean"))


def half_a_load(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS)
    made = unbiased()
    made.train()(loads()[rank : rank + 1])
    made.balance()
    torch.save(made.bias, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def unbiased() -> Mixture:
    made = mixture()
    made.bias.zero_()
    return made


def loads() -> torch.Tensor:
    drawn = torch.randn(RANKS, 16, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return drawn + torch.tensor([2.0, -2.0], dtype=torch.float64)[:, None, None]


def test_ranks_balance_by_the_load_of_all(tmp_path: Path) -> None:
    whole, half = unbiased(), unbiased()
    whole.train()(loads())
    half.train()(loads()[:1])
    whole.balance()
    half.balance()
    assert not whole.bias.equal(half.bias), "the halves alone would do the same"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    multiprocessing.start_processes(half_a_load, (str(tmp_path),), nprocs=RANKS, start_method="spawn")
    for rank in range(RANKS):
        assert torch.load(tmp_path / f"{rank}.pt").equal(whole.bias)


def test_a_copy_moves_by_itself() -> None:
    student = small_student("vit_moe_nano").train()
    twin = copy.deepcopy(student)
    student(images(32, 32))
    student.after_step()
    assert not twin.blocks[1].mlp.bias.any() and student.blocks[1].mlp.bias.any()

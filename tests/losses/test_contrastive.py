"""`infonce`, `siglip`, `ntxent` and `cmc` against loops over their equations, closed forms and libraries."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deo_bench.errors import UserError
from deo_bench.losses import Batch, _contrast
from deo_bench.losses._contrast import held, in_chunks
from deo_bench.losses.cmc import ContrastiveMultiviewCoding
from deo_bench.losses.crd import ContrastiveRepresentationDistillation
from deo_bench.losses.infonce import InfoNCE
from deo_bench.losses.ntxent import NTXent
from deo_bench.losses.queue_kl import QueueKL
from deo_bench.losses.siglip import SigLIP
from deo_bench.losses.sigreg import SIGReg

B, D = 5, 6
CROSS = [(1, 0), (0, 1)]
FAMILY = [InfoNCE, SigLIP, NTXent, ContrastiveMultiviewCoding]


def features(seed=0, batch=B, width=D, views=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(views, batch, width, generator=generator, dtype=torch.float64) for _ in range(2)]
    return [values.to(dtype) for values in drawn]


def batch_of(student, pairs=((0, 0),)):
    return Batch(torch.arange(student.shape[1]), pairs, generator=torch.Generator().manual_seed(0))


def cosine(a, b):
    a, b = a.tolist(), b.tolist()
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def infonce(s, t, scale):
    total = 0.0
    for i in range(len(s)):
        right = math.exp(scale * cosine(s[i], t[i]))
        row = sum(math.exp(scale * cosine(s[i], t[j])) for j in range(len(s)))
        column = sum(math.exp(scale * cosine(s[j], t[i])) for j in range(len(s)))
        total -= (math.log(right / row) + math.log(right / column)) / 2
    return total / len(s)


def siglip(s, t, scale, bias):
    total = 0.0
    for i in range(len(s)):
        for j in range(len(s)):
            z = (1 if i == j else -1) * (scale * cosine(s[i], t[j]) + bias)
            total += math.log(1 + math.exp(-z))
    return total / len(s)


def ntxent(s, t, temperature):
    z = [*s, *t]
    total = 0.0
    for i in range(len(z)):
        partner = (i + len(s)) % len(z)
        others = sum(math.exp(cosine(z[i], z[k]) / temperature) for k in range(len(z)) if k != i)
        total -= math.log(math.exp(cosine(z[i], z[partner]) / temperature) / others)
    return total / len(z)


def by_loop(loss, s, t):
    if isinstance(loss, InfoNCE):
        return infonce(s, t, loss.fixed if loss.log_scale is None else math.exp(loss.log_scale.item()))
    if isinstance(loss, SigLIP):
        return siglip(s, t, math.exp(loss.log_scale.item()), loss.bias.item())
    if isinstance(loss, NTXent):
        return ntxent(s, t, loss.temperature)
    return 2 * infonce(s, t, 1 / 0.07)  # a sum of two pairs, where the others are means


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "loss",
    [
        InfoNCE(),
        InfoNCE(temperature=0.3),
        InfoNCE(temperature=0.2, learned=False),
        SigLIP(),
        SigLIP(temperature=0.5, bias=-1.0),
        NTXent(),
        NTXent(temperature=0.1),
        ContrastiveMultiviewCoding(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_equals_its_loop(loss, dtype):
    student, target = features(1)
    expected = sum(by_loop(loss, student[v], target[u]) for v, u in CROSS) / len(CROSS)
    loss = loss.to(dtype)
    value = loss(student.to(dtype), target.to(dtype), batch_of(student, CROSS))
    assert value.item() == pytest.approx(expected, rel=1e-9 if dtype == torch.float64 else 1e-5)


def test_defaults_are_the_papers():
    assert InfoNCE().log_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert SigLIP().log_scale.item() == pytest.approx(math.log(10)) and SigLIP().bias.item() == -10
    assert NTXent().temperature == 0.5 and ContrastiveMultiviewCoding().temperature == 0.07


def test_of_orthonormal_matched_pairs():
    rows = torch.eye(8, dtype=torch.float64)[None]
    value = InfoNCE(learned=False)(rows, rows, batch_of(rows)).item()
    assert value == pytest.approx(math.log1p(7 * math.exp(-1 / 0.07)), rel=1e-9)
    assert value == pytest.approx(4.3741e-6, abs=5e-11)


def test_of_a_collapsed_batch():
    rows = torch.ones(1, 8, 4, dtype=torch.float64)
    assert InfoNCE()(rows, rows, batch_of(rows)).item() == pytest.approx(math.log(8), rel=1e-12)
    assert math.log(8) == pytest.approx(2.0794, abs=5e-5)
    assert NTXent()(rows, rows, batch_of(rows)).item() == pytest.approx(math.log(15), rel=1e-12)
    z = 10 - 10  # every logit of siglip is then a + b = 0
    assert SigLIP()(rows, rows, batch_of(rows)).item() == pytest.approx(8 * math.log(1 + math.exp(z)), rel=1e-6)


@pytest.mark.parametrize("part", FAMILY)
def test_one_rotation_and_any_lengths_change_nothing(part):
    student, target = features(2)
    rotation = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    lengths = torch.rand(1, B, 1, dtype=torch.float64) + 0.1
    loss, batch = part().double(), batch_of(student, CROSS)
    value = loss(student @ rotation * lengths * 1e4, target @ rotation * 1e-6, batch)
    torch.testing.assert_close(value, loss(student, target, batch), rtol=1e-9, atol=0)


@pytest.mark.parametrize("part", FAMILY)
def test_a_target_with_gradients_gets_its_own(part):
    student, target = features(3)
    student.requires_grad_(), target.requires_grad_()
    part().double()(student, target, batch_of(student)).backward()
    assert student.grad[0].abs().min() > 0 and target.grad[0].abs().min() > 0


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_lightly_has_the_same_ntxent(temperature):
    theirs = pytest.importorskip("lightly.loss").NTXentLoss(temperature=temperature)
    student, target = features(5)
    value = NTXent(temperature=temperature)(student, target, batch_of(student))
    torch.testing.assert_close(value, theirs(student[0], target[0]), rtol=1e-9, atol=0)


def test_pytorch_metric_learning_has_the_same_ntxent_and_infonce():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    student, target = features(6)
    both = losses.SelfSupervisedLoss(losses.NTXentLoss(temperature=0.5))(student[0], target[0])
    torch.testing.assert_close(NTXent()(student, target, batch_of(student)), both, rtol=1e-9, atol=0)
    one_way, own = losses.NTXentLoss(temperature=0.07), torch.arange(B)
    rows = one_way(student[0], own, ref_emb=target[0], ref_labels=own.clone())
    columns = one_way(target[0], own, ref_emb=student[0], ref_labels=own.clone())
    value = InfoNCE(learned=False)(student, target, batch_of(student))
    torch.testing.assert_close(value, (rows + columns) / 2, rtol=1e-9, atol=0)


def test_a_learned_scale_stays_in_its_bounds_and_finds_its_way_back():
    loss = InfoNCE()
    with torch.no_grad():
        loss.log_scale.fill_(9.0)
    student, target = features(7, dtype=torch.float32)
    fixed = InfoNCE(temperature=0.01, learned=False)
    torch.testing.assert_close(
        loss(student, target, batch_of(student)), fixed(student, target, batch_of(student)), rtol=1e-5, atol=0
    )
    loss(student, target, batch_of(student)).backward()
    assert loss.log_scale.grad > 0  # wrong pairs: descent lowers the scale, back inside
    with torch.no_grad():
        loss.log_scale.fill_(-1.0)
    loss.log_scale.grad = None
    loss(student, -student, batch_of(student)).backward()
    assert loss.log_scale.grad == 0  # wrong pairs: descent would lower it further


@pytest.mark.parametrize(("value", "sign", "passes"), [(5, 1, True), (5, -1, False), (-1, 1, False), (-1, -1, True)])
def test_only_a_gradient_that_leads_back_passes_the_bounds(value, sign, passes):
    number = torch.tensor(float(value), requires_grad=True)
    inside = held(number, 0, 4)
    assert inside == min(max(value, 0), 4)
    (sign * inside).backward()
    assert number.grad == (sign if passes else 0)


@pytest.mark.parametrize("temperature", [0.005, 1.5])
def test_a_learned_temperature_outside_its_bounds_is_refused(temperature):
    with pytest.raises(UserError, match=r"infonce\.temperature.*between 0\.01 and 1.*learned = false"):
        InfoNCE(temperature=temperature)
    assert InfoNCE(temperature=temperature, learned=False).fixed == 1 / temperature


@pytest.mark.parametrize("part", [SigLIP, InfoNCE])
def test_what_is_not_learned_gets_no_gradient(part):
    loss, (student, target) = part(learned=False), features(8, dtype=torch.float32)
    loss(student.requires_grad_(), target, batch_of(student)).backward()
    assert all(parameter.grad is None for parameter in loss.parameters())


ALL = [*FAMILY, QueueKL, ContrastiveRepresentationDistillation, SIGReg]


@pytest.mark.parametrize("part", ALL)
def test_chunks_change_neither_value_nor_gradient(part, monkeypatch):
    student, target = features(9, batch=7)
    found = []
    for cells in (2**22, 20):
        monkeypatch.setattr(_contrast, "CELLS", cells)
        loss, s, t = part().double(), student.clone().requires_grad_(), target.clone().requires_grad_()
        value = loss(s, t, batch_of(s, CROSS))
        value.backward()
        own = [parameter.grad for parameter in loss.parameters()]
        found.append([value.detach(), s.grad, *([] if part is SIGReg else [t.grad]), *own])
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-14)


def test_chunks_are_as_large_as_told(monkeypatch):
    monkeypatch.setattr(_contrast, "CELLS", 30)
    seen = []
    rows = torch.arange(8.0)
    values = in_chunks(lambda some: seen.append(len(some)) or some * 2, 10, rows)
    assert seen == [3, 3, 2] and values.equal(rows * 2)
    assert in_chunks(lambda some: some, 31, rows).equal(rows)


class Largest(TorchDispatchMode):
    """The most numbers that one result of an operation held."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, torch.Tensor):
                self.most = max(self.most, value.numel())
        return out


@pytest.mark.parametrize("part", ALL)
def test_memory_is_bounded_at_a_batch_of_4096(part):
    """No operation makes more than CELLS numbers, and what autograd keeps is far from a 4096 x 4096 table."""
    student, target = features(10, batch=4096, width=64, views=1, dtype=torch.float32)
    loss = part(slices=256) if part is SIGReg else part()
    kept = []
    saving = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
    with Largest() as largest, saving:
        loss(student.requires_grad_(), target, batch_of(student)).backward()
    assert 4096 * 64 <= largest.most <= _contrast.CELLS
    assert sum(kept) < 4096 * 4096 / 4
    assert student.grad.isfinite().all()

"""`queue_kl` and `crd`: their equations in loops, what they remember, and for how long."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.losses import Batch
from deo_bench.losses._memory import Memory
from deo_bench.losses.crd import ContrastiveRepresentationDistillation
from deo_bench.losses.queue_kl import QueueKL

B, D = 4, 6


def features(seed, views=1, batch=B, width=D):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(views, batch, width, generator=generator, dtype=torch.float64) for _ in range(2)]


def batch_of(index, pairs=((0, 0),)):
    return Batch(torch.as_tensor(index), pairs)


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.sqrt((rows**2).sum(-1, keepdims=True))


def softmax(values):
    weights = np.exp(values)
    return weights / weights.sum()


def kl_by_loop(student, target, queue, temperature):
    total = 0.0
    for s, t in zip(unit(student), unit(target), strict=True):
        p = softmax([t @ q / temperature for q in queue])
        q = softmax([s @ q / temperature for q in queue])
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(student)


def nce_by_the_authors_code(student, target, others, negatives, temperature, images):
    """RepDistiller's ContrastLoss over scores divided by Z = images * c, every negative drawn negatives / n times.

    others: for each row, the vectors of other images. The 1e-7 in its logarithms is left out.
    """
    c = math.exp(1 / (2 * target.shape[1] * temperature**2))
    noise = negatives / images
    total = 0.0
    for s, t, rows in zip(unit(student), unit(target), others, strict=True):
        x = math.exp(s @ t / temperature) / (images * c)
        total -= math.log(x / (x + noise))
        for row in rows:
            x = math.exp(s @ row / temperature) / (images * c)
            total -= negatives / len(rows) * math.log(noise / (x + noise))
    return total / len(student)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_queue_kl_equals_its_loop_as_the_queue_fills(dtype):
    loss, queue = QueueKL(size=10, temperature=0.1).to(dtype), np.zeros((0, D))
    for step in range(5):
        student, target = features(step, views=2)
        queue = np.concatenate([unit(target).reshape(-1, D), queue])[:10]
        expected = np.mean([kl_by_loop(student[v], target[u], queue, 0.1) for v, u in [(0, 0), (1, 0)]])
        given = student.to(dtype), target.to(dtype), batch_of(range(B), [(0, 0), (1, 0)])
        assert loss(*given).item() == pytest.approx(expected, rel=1e-9 if dtype == torch.float64 else 1e-5)
        loss.remember(*given)
        torch.testing.assert_close(loss.queue.kept, torch.as_tensor(queue, dtype=dtype), rtol=1e-6, atol=1e-6)


def test_queue_kl_is_zero_at_the_target_whatever_it_remembers():
    loss, (student, target) = QueueKL(), features(0)
    loss.remember(student, student, batch_of(range(B)))
    assert loss(target, target, batch_of(range(B))).item() == 0
    assert loss(3 * target, target, batch_of(range(B))).item() == pytest.approx(0, abs=1e-12)
    assert loss(student, target, batch_of(range(B))) > 0.1


def test_queue_kl_with_a_batch_larger_than_the_queue_keeps_its_first_rows():
    loss, (student, target) = QueueKL(size=3).double(), features(1)
    loss.remember(student, target, batch_of(range(B)))
    torch.testing.assert_close(loss.queue.kept, torch.as_tensor(unit(target[0, :3])))
    expected = kl_by_loop(student[0], target[0], unit(target[0, :3]), 0.07)
    assert loss(student, target, batch_of(range(B))).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("images", [50, 50_000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_crd_equals_the_authors_code_however_many_images_there_are(dtype, images):
    loss = ContrastiveRepresentationDistillation(temperature=0.2, negatives=40).to(dtype)
    memory: dict[int, np.ndarray] = {}
    for step, index in enumerate([[0, 1, 2, 3], [4, 5, 6, 7], [2, 9, 0, 8]]):
        student, target = features(step)
        others = []
        for i in index:
            here = [row for j, row in zip(index, unit(target[0]), strict=True) if j != i]
            others.append(here + [row for j, row in memory.items() if j not in index])
        expected = nce_by_the_authors_code(student[0], target[0], others, 40, 0.2, images)
        given = student.to(dtype), target.to(dtype), batch_of(index)
        assert loss(*given).item() == pytest.approx(expected, rel=1e-9 if dtype == torch.float64 else 1e-5)
        loss.remember(*given)
        for j, row in zip(index, unit(target[0]), strict=True):
            memory[j] = unit(0.5 * memory[j] + 0.5 * row) if j in memory else row
        kept = dict(zip(loss.images.kept.tolist(), loss.vectors.kept.double().numpy(), strict=True))
        assert kept.keys() == memory.keys()
        for j, row in memory.items():
            np.testing.assert_allclose(kept[j], row, atol=1e-6)


def test_crd_is_the_mean_over_the_pairs_and_remembers_the_mean_of_the_views():
    student, target = features(3, views=2)
    loss = ContrastiveRepresentationDistillation(negatives=16, temperature=0.3).double()
    alone = [loss(student, target, batch_of(range(B), [pair])) for pair in [(0, 0), (1, 1)]]
    both = loss(student, target, batch_of(range(B), [(0, 0), (1, 1)]))
    torch.testing.assert_close(both, torch.stack(alone).mean())
    loss.remember(student, target, batch_of(range(B), [(0, 0), (1, 1)]))
    np.testing.assert_allclose(loss.vectors.kept, unit(unit(target).mean(0)), atol=1e-12)


def test_crd_forgets_the_images_that_were_seen_longest_ago():
    loss = ContrastiveRepresentationDistillation(negatives=6)
    for step, index in enumerate([[0, 1, 2, 3], [4, 5, 0, 6], [7, 1, 0, 8]]):
        student, target = features(step)
        loss.remember(student, target, batch_of(index))
        assert len(loss.vectors.kept) == len(loss.images.kept) <= 6
    assert loss.images.kept.tolist() == [7, 1, 0, 8, 4, 5]


def test_crd_keeps_one_vector_of_an_image_that_comes_twice_and_never_contrasts_it_with_itself():
    loss = ContrastiveRepresentationDistillation(temperature=0.5).double()
    student, target = features(5)
    loss.remember(student, target, batch_of([3, 1, 3, 2]))
    assert loss.images.kept.tolist() == [3, 1, 2]
    np.testing.assert_allclose(loss.vectors.kept, unit(target[0, [0, 1, 3]]), atol=1e-12)
    value = loss(student[:, :2], target[:, :2], batch_of([3, 3]))
    others = [loss.vectors.kept[1:].numpy()] * 2
    expected = nce_by_the_authors_code(student[0, :2], target[0, :2], others, 16384, 0.5, 100)
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_crd_pulls_to_its_target_and_away_from_the_memory():
    loss = ContrastiveRepresentationDistillation(negatives=8, temperature=0.5).double()
    vectors = torch.eye(3, dtype=torch.float64)
    loss.remember(vectors[None, 1:2], vectors[None, 1:2], batch_of([1]))
    student = torch.ones(1, 1, 3, dtype=torch.float64, requires_grad=True)
    loss(student, vectors[None, :1], batch_of([0])).backward()
    down = -student.grad[0, 0]
    assert down[0] > 0 > down[1]


def test_crd_alone_in_the_world_has_nothing_to_contrast_but_is_finite():
    loss = ContrastiveRepresentationDistillation()
    student, target = features(6, batch=1)
    value = loss(student.requires_grad_(), target, batch_of([0]))
    value.backward()
    assert value.isfinite() and student.grad.abs().sum() > 0


@pytest.mark.parametrize("part", [QueueKL, ContrastiveRepresentationDistillation])
def test_both_sides_get_gradients_where_the_target_has_any(part):
    loss, (student, target) = part(), features(7)
    loss(student.requires_grad_(), target.requires_grad_(), batch_of(range(B))).backward()
    assert student.grad.abs().min() > 0 and target.grad.abs().min() > 0


@pytest.mark.parametrize("part", [QueueKL, ContrastiveRepresentationDistillation])
def test_what_is_remembered_survives_saving_exactly(part, tmp_path):
    loss = part().double()
    for step in range(2):
        loss.remember(*features(step), batch_of(range(step, step + B)))
    torch.save(loss.state_dict(), tmp_path / "state.pt")
    resumed = part().double()
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    given = *features(9), batch_of(range(B))
    assert resumed(*given).equal(loss(*given))
    loss.remember(*given), resumed.remember(*given)
    assert all(value.equal(resumed.state_dict()[name]) for name, value in loss.state_dict().items())
    fresh = part().double()
    fresh.load_state_dict(part().double().state_dict())
    assert all(value.numel() == 0 for value in fresh.state_dict().values())


@pytest.mark.parametrize(("part", "name"), [(QueueKL, "queue_kl"), (ContrastiveRepresentationDistillation, "crd")])
def test_another_width_is_refused_by_name(part, name):
    loss = part()
    loss.remember(*features(0), batch_of(range(B)))
    with pytest.raises(UserError, match=rf"{name}: it remembers vectors 6 wide and was given some 9 wide"):
        loss(*features(1, width=9), batch_of(range(B)))


def test_a_memory_keeps_a_copy_in_its_own_kind_of_number():
    memory, value = Memory().double(), torch.ones(2, 3, dtype=torch.float64)
    memory.keep(value)
    value.zero_()
    assert memory.kept.equal(torch.ones(2, 3, dtype=torch.float64))
    assert memory.rows(torch.ones(3), "x").dtype == torch.float32
    numbers = Memory(torch.long).double()
    numbers.keep(torch.tensor([4, 2]))
    assert numbers.kept.dtype == torch.long

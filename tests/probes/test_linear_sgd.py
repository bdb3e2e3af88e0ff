"""The trained linear layer: heads that do not know of each other, the best chosen, the optimum reached."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select, linear_sgd
from deo_bench.probes.linear_sgd import LinearSgd
from deo_bench.probes.logistic import solve

K = 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Problems this small only wait for a second thread."""
    with threadpool_limits(1):
        yield


def made(size: int, seed: int, noise: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, size)
    centres = np.random.default_rng(99).normal(size=(K, 8))
    return (centres[labels] + noise * generator.normal(size=(size, 8))).astype(np.float32), labels


def several(labels: np.ndarray) -> np.ndarray:
    return np.stack([labels == 0, labels > 0], 1).astype(np.uint8)


@pytest.fixture
def splits() -> tuple[Fit, Select, np.ndarray]:
    return Fit(*made(90, 0)), Select(*made(60, 1)), made(50, 2)[0]


def short(**options) -> LinearSgd:
    return LinearSgd(**{"batch": 32, "epochs": 10, **options})


@pytest.mark.parametrize("is_multi", [False, True])
def test_plain_descent_reaches_the_optimum_of_logistic_regression(splits, is_multi: bool) -> None:
    fit, select, report = splits
    labels, num = (several(fit.labels), 2) if is_multi else (fit.labels, K)
    # A whole batch, no norm, and the solver's penalty as a decay of the weights, which leaves the bias alone.
    decay = 1 / (0.5 * 90 * (2 if is_multi else 1))
    probe = LinearSgd(optimiser="sgd", learning_rates=(2.0,), weight_decays=(decay,), batch=256, epochs=300, norm=False)
    found = probe.predict(Fit(fit.features, labels), select, report, num, False)
    logits = solve(fit.features, labels, num, 0.5).logits(report).double()
    expected = (logits.sigmoid() if is_multi else logits.softmax(1)).numpy()
    np.testing.assert_allclose(found.scores, expected, atol=2e-4)
    assert found.chosen == {"learning_rate": 2.0, "weight_decay": decay, "on_edge": False}


@pytest.mark.parametrize("optimiser", ["lars", "sgd", "adamw"])
@pytest.mark.parametrize("is_multi", [False, True])
def test_a_head_is_what_it_would_be_alone(splits, optimiser: str, is_multi: bool) -> None:
    fit, _, report = splits
    labels = several(fit.labels) if is_multi else fit.labels
    settings = [(0.1, 0.0), (0.1, 0.5), (1e30, 0.0), (1e30, 0.5)]
    together = short(optimiser=optimiser, learning_rates=(0.1, 1e30), weight_decays=(0.0, 0.5))
    heads = together._trained([fit.features], labels, K - is_multi, settings)
    scores = heads.probabilities(report)
    for place in (0, 1):
        alone = short(optimiser=optimiser)._trained([fit.features], labels, K - is_multi, [settings[place]])
        np.testing.assert_allclose(scores[place], alone.probabilities(report)[0], rtol=1e-5)
    assert not np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize("merge", [False, True])
def test_the_first_that_is_best_on_select_is_kept_and_trained_on_both(splits, merge: bool) -> None:
    fit, select, report = splits
    rates = (1e-3, 0.3, 1.0, 1e30)
    probe = short(optimiser="sgd", learning_rates=rates)
    found = probe.predict(fit, select, report, K, merge)
    values = []
    for rate in rates[:3]:
        alone = short(optimiser="sgd", learning_rates=(rate,)).predict(fit, select, select.features, K, False)
        values.append((alone.labels == select.labels).mean())
    assert values[0] < max(values)
    assert found.chosen == {"learning_rate": 0.3, "weight_decay": 0.0, "on_edge": False}
    whole = Fit(np.concatenate([fit.features, select.features]), np.concatenate([fit.labels, select.labels]))
    alone = short(optimiser="sgd", learning_rates=(0.3,)).predict(whole if merge else fit, select, report, K, False)
    np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-5)
    assert np.array_equal(found.labels, found.scores.argmax(1))


def test_the_rate_is_of_a_batch_of_256(splits, monkeypatch) -> None:
    fit, select, report = splits
    seen: list[float] = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self, *a: seen.append(self.param_groups[0]["lr"]) or step(self, *a)
    )
    short(optimiser="sgd", learning_rates=(2.0,), epochs=4, warmup=1).predict(fit, select, report, K, False)
    # 4 epochs of 90 in batches of 32 are 12 steps; the first 3 warm up.
    assert len(seen) == 12
    assert seen[:4] == pytest.approx([0, 2 * 32 / 256 / 2, 2 * 32 / 256, 2 * 32 / 256])
    assert seen[-1] == pytest.approx(2 * 32 / 256 * (1 + np.cos(np.pi * 8 / 9)) / 2)


def test_norm_makes_the_scale_of_features_irrelevant(splits) -> None:
    fit, select, report = splits
    scale = np.logspace(-1, 3, 8).astype(np.float32)
    probe = short(learning_rates=(0.5,))
    plain = probe.predict(fit, select, report, K, True)
    scaled = probe.predict(
        Fit(fit.features * scale, fit.labels), Select(select.features * scale, select.labels), report * scale, K, True
    )
    np.testing.assert_allclose(plain.scores, scaled.scores, atol=1e-3)


def test_the_edge_of_the_grid_is_said(splits) -> None:
    for rates, expected in (((1e-9, 1e-8), True), ((1e-9, 0.3, 1e30), False)):
        assert short(optimiser="sgd", learning_rates=rates).predict(*splits, K, False).chosen["on_edge"] is expected


def test_a_head_that_diverged_is_never_chosen(splits) -> None:
    fit, select, report = splits
    # What is not a number is read as class 0, which is all of select here.
    fit = Fit(1e10 * fit.features, fit.labels)
    select = Select(1e10 * select.features, np.zeros(60, int))
    probe = short(optimiser="sgd", learning_rates=(1e-30, 1e38), norm=False)
    diverged = probe._trained([fit.features], fit.labels, K, [(1e38, 0.0)]).probabilities(select.features)
    assert np.isnan(diverged).any() and (diverged[0].argmax(1) == 0).all()
    found = probe.predict(fit, select, report, K, False)
    assert found.chosen["learning_rate"] == 1e-30 and np.isfinite(found.scores).all()


def test_repeats_to_the_byte_and_leaves_the_generator(splits) -> None:
    before = torch.get_rng_state()
    one, two = (short().predict(*splits, K, True) for _ in range(2))
    assert one.scores.tobytes() == two.scores.tobytes()
    assert torch.equal(before, torch.get_rng_state())


def test_blocks_change_nothing(splits, monkeypatch) -> None:
    whole = short().predict(*splits, K, False)
    monkeypatch.setattr(linear_sgd, "BLOCK", 7)
    np.testing.assert_allclose(short().predict(*splits, K, False).scores, whole.scores, rtol=1e-5)


def test_mistakes_are_one_line(splits) -> None:
    fit, select, report = splits
    with pytest.raises(UserError, match="learning_rates = .* must ascend"):
        LinearSgd(learning_rates=(2.0, 1.0))
    with pytest.raises(UserError, match="weight_decays = .* hold a value"):
        LinearSgd(weight_decays=())
    with pytest.raises(UserError, match="less than epochs"):
        LinearSgd(epochs=5, warmup=5)
    with pytest.raises(UserError, match="say norm = false"):
        LinearSgd(batch=1)
    with pytest.raises(UserError, match="fit split has one sample"):
        short().predict(Fit(fit.features[:1], fit.labels[:1]), select, report, K, False)
    with pytest.raises(UserError, match="the select split is empty"):
        short().predict(fit, Select(select.features[:0], select.labels[:0]), report, K, False)
    with pytest.raises(UserError, match="no learning rate gave finite"):
        short(optimiser="sgd", learning_rates=(1e38,), norm=False).predict(
            Fit(1e10 * fit.features, fit.labels), select, report, K, False
        )

"""Fine-tuning starts at the weights given, leaves them alone, and searches where it is told to."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.draws import global_seed
from deo_bench.engine.contract.backbones import build_teacher
from deo_bench.errors import UserError
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.probes import Fit, Select
from deo_bench.probes._training import Predictor, Rates, Target, balanced_loss
from deo_bench.probes.finetune import Finetune, Setting
from deo_bench.probes.images import ImageSource, LabelledImages
from deo_bench.registry import Registry
from deo_bench.schedules import Schedule
from deo_bench.teachers import Teacher

BANDS = ("B04", "B03", "B02")


class Tiny(Backbone):
    """One strided convolution, a norm and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"rgb": BANDS}
        self.normalisations = {"rgb": Normalisation("dn", (1000.0,) * 3, (500.0,) * 3)}
        self.pooled_dims = {"mean": 4}
        self.convolution = nn.Conv2d(3, 4, 4, 4)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.1)

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        return Features({"mean": self.dropout(torch.relu(self.norm(self.convolution(pixels)))).mean((2, 3))})


class Frozen(Tiny, Teacher):
    """The same as a teacher."""


class Untrainable(Frozen):
    """A teacher that lets no gradient through."""

    @torch.no_grad()
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        return super().extract(pixels, sees, levels)


def backbone(kind: type[Tiny] = Tiny, seed: int = 0) -> Tiny:
    with global_seed("tiny", seed):
        return kind().eval()


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Images in digital numbers whose class is the brightest band."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 120)
    images = generator.normal(1000, 300, (120, 3, 8, 8))
    images[np.arange(120), labels] += 400
    return images.clip(0).astype(np.uint16), labels


def split(images: np.ndarray, labels: np.ndarray) -> tuple[LabelledImages, LabelledImages, ImageSource]:
    sources = [ImageSource(images, BANDS, "dn", np.arange(at, at + 40)) for at in (0, 40, 80)]
    return LabelledImages(sources[0], labels[:40]), LabelledImages(sources[1], labels[40:80]), sources[2]


def probe(**options) -> Finetune:
    usual = {"steps": 24, "batch": 20, "learning_rate": 3e-2, "head_learning_rate": 5e-2}
    return Finetune(**{**usual, **options})


@pytest.mark.parametrize("kind", [Tiny, Frozen])
def test_trains_a_copy_to_the_byte_and_leaves_what_was_given(kind, pixels) -> None:
    images, labels = pixels
    given = backbone(kind)
    given.freeze() if kind is Frozen else None
    before, draws = copy.deepcopy(given), torch.get_rng_state()
    found = [probe(batch=16).predict_images(given, *split(images, labels), 3, "rgb", seed=1) for _ in range(2)]
    assert (found[0].labels == labels[80:]).mean() > 0.9
    assert found[0].scores.tobytes() == found[1].scores.tobytes() and found[0].chosen == found[1].chosen
    assert torch.equal(draws, torch.get_rng_state())
    assert not given.training and all(not each.training for each in given.modules())
    for (name, one), two in zip(given.named_parameters(), before.parameters(), strict=True):
        assert one.requires_grad == two.requires_grad and one.grad is None, name
    for (name, one), two in zip(given.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    other = probe(batch=16).predict_images(given, *split(images, labels), 3, "rgb", seed=2)
    assert not np.array_equal(found[0].scores, other.scores)


def test_starts_at_the_weights_given(pixels) -> None:
    fit, select, report = split(*pixels)
    still = probe(steps=2, learning_rate=1e-12, head_learning_rate=1e-12, warmup=0.0)
    for seed in (0, 1):
        # A batch norm's statistics would move in training mode, whatever the rate.
        given = backbone(seed=seed)
        given.norm.momentum = 0.0
        start = Predictor(given, Target("single", 3), None, "native", (0, "finetune"))
        found = still.predict_images(given, fit, select, report, 3)
        np.testing.assert_allclose(found.scores, start.probabilities(report), rtol=1e-5)


def test_frozen_trains_the_layer_alone(pixels) -> None:
    fit, select, report = split(*pixels)
    given = backbone()
    with torch.no_grad():
        features = given(report.batch(np.arange(40))).get("default").double().numpy()
    design = np.concatenate([features, np.ones((40, 1))], 1)
    off = {}
    for frozen in (True, False):
        scores = probe(frozen=frozen).predict_images(given, fit, select, report, 3).scores
        logits = np.log(scores) - np.log(scores[:, :1])
        off[frozen] = np.abs(design @ np.linalg.lstsq(design, logits)[0] - logits).max()
    assert off[True] < 1e-5 < 1e-2 < off[False]


def test_backbone_and_layer_have_their_own_rates_and_nothing_decays_but_matrices(pixels, monkeypatch) -> None:
    fit, select, report = split(*pixels)
    seen = []
    for kind in (torch.optim.AdamW, torch.optim.Adam):
        step = kind.step
        monkeypatch.setattr(
            kind,
            "step",
            lambda self, *given, step=step: (
                seen.append([(g["lr"], g["weight_decay"], len(g["params"])) for g in self.param_groups]),
                step(self, *given),
            ),
        )
    for optimiser in ("adamw", "adam"):
        seen.clear()
        options = {"learning_rate": 1e-3, "head_learning_rate": 1e-2, "weight_decay": 0.1, "warmup": 0.25, "steps": 8}
        probe(optimiser=optimiser, **options).predict_images(backbone(), fit, select, report, 3)
        # Convolution and layer: one matrix each; biases and norm are vectors.
        assert [(decay, num) for _, decay, num in seen[0]] == [(0.1, 1), (0.0, 3), (0.1, 1), (0.0, 1)]
        assert [rate for rate, _, _ in seen[0]] == [0] * 4
        assert [rate for rate, _, _ in seen[1]] == pytest.approx([1e-3, 1e-3, 1e-2, 1e-2])
        assert seen[-1][0][0] == pytest.approx(1e-3 * (1 + np.cos(np.pi * 5 / 6)) / 2)


def test_stops_early_and_looks_as_often_as_told(pixels, monkeypatch) -> None:
    images, labels = pixels
    fit, select, report = split(images, labels)
    seen: list[int] = []
    real = Predictor.probabilities
    monkeypatch.setattr(
        Predictor, "probabilities", lambda self, images, *a: seen.append(len(images)) or real(self, images, *a)
    )
    # 40 images in batches of 5 are 8 steps an epoch; 4 looks. Rates this small gain nothing after the first.
    options = {"steps": None, "epochs": 20, "batch": 5, "looks": 4, "patience": 3, "schedule": "constant"}
    given = backbone()
    given.norm.momentum = 0.0
    still = probe(learning_rate=1e-30, head_learning_rate=1e-30, **options)
    found = still.predict_images(given, fit, select, report, 3)
    assert found.chosen["step"] == 2 and found.chosen["on_edge"] is False
    assert len(seen) == 1 + 3 + 1


def test_a_plateau_divides_the_rates() -> None:
    rates = Rates([Schedule(start=1.0, end=0.0, shape="constant", warmup=3), Schedule(start=2.0, end=0.0)], 10, 2)
    assert rates.at(1) == [0.5, pytest.approx(1 + np.cos(np.pi / 10))]
    for gained, factor in ((True, 1), (False, 1), (False, 0.1), (False, 0.1), (True, 0.1), (False, 0.1), (False, 0.01)):
        rates.looked(gained)
        assert rates.at(5)[0] == pytest.approx(factor)
    endless = Rates([Schedule(start=1.0, end=0.0, shape="constant")], 10)
    for _ in range(20):
        endless.looked(False)
    assert endless.at(9) == [1.0]


def test_the_best_trial_is_kept_and_can_be_repeated_alone(pixels) -> None:
    fit, select, report = split(*pixels)
    searched = probe(
        steps=10, trials=3, rates=(1e-5, 1e-1), head_rates=(1e-4, 1e-1), decays=(1e-4, 1e-1), batches=(8, 20)
    )
    found = searched.predict_images(backbone(), fit, select, report, 3, seed=4)
    trials = found.chosen["trials"]
    values = [each["value"] for each in trials]
    assert len(trials) == 3 and len(set(values)) > 1
    assert found.chosen["value"] == max(values)
    best = {name: found.chosen[name] for name in ("learning_rate", "head_learning_rate", "batch", "weight_decay")}
    assert any(each.items() >= best.items() for each in trials)
    alone = probe(steps=10, **best).predict_images(backbone(), fit, select, report, 3, seed=4)
    assert alone.scores.tobytes() == found.scores.tobytes()


def test_trials_are_drawn_log_uniformly() -> None:
    searched = probe(trials=2, rates=(1e-6, 1e-2), batches=(8, 16, 32), head_learning_rate=None)
    drawn = [searched.setting(0, trial) for trial in range(600)]
    logs = np.log10([each.learning_rate for each in drawn])
    # Uniform between -6 and -2: mean -4, spread 4 / sqrt(12).
    assert logs.min() >= -6 and logs.max() <= -2
    assert logs.mean() == pytest.approx(-4, abs=0.15) and logs.std() == pytest.approx(4 / 12**0.5, abs=0.1)
    assert np.bincount([each.batch for each in drawn])[[8, 16, 32]] == pytest.approx([200] * 3, abs=40)
    assert all(each.head_learning_rate == each.learning_rate and each.weight_decay == 0.05 for each in drawn)
    assert drawn[3] == searched.setting(0, 3) != searched.setting(1, 3)
    fixed = probe(trials=2, rates=None, batches=None)
    assert fixed.setting(0, 1) == Setting(3e-2, 5e-2, 20, 0.05)


def test_a_trial_that_diverges_is_told_and_passed_by(pixels, monkeypatch) -> None:
    fit, select, report = split(*pixels)
    broken, sound = Setting(3e37, 3e37, 20, 0.0), Setting(1e-2, 1e-2, 20, 0.0)
    monkeypatch.setattr(Finetune, "setting", lambda self, seed, trial: (broken, sound)[trial])
    found = probe(trials=2).predict_images(backbone(), fit, select, report, 3)
    assert [each["value"] is None for each in found.chosen["trials"]] == [True, False]
    assert found.chosen["learning_rate"] == 1e-2
    monkeypatch.setattr(Finetune, "setting", lambda self, seed, trial: broken)
    with pytest.raises(UserError, match="the loss of all 2 trials is not finite"):
        probe(trials=2).predict_images(backbone(), fit, select, report, 3)
    with pytest.raises(UserError, match="not finite at"):
        probe().predict_images(backbone(), fit, select, report, 3)


def test_numbers(pixels) -> None:
    images, _ = pixels
    values = 1e3 * (images[:, 0].mean((1, 2)) - images[:, 1].mean((1, 2))) - 5e6
    found = probe(steps=60).predict_images(backbone(), *split(images, values), 0)
    assert found.labels is None and found.scores.shape == (40, 1)
    rest = np.square(found.scores[:, 0] - values[80:]).mean() / values[80:].var()
    assert rest < 0.1
    same = probe(steps=2).predict_images(backbone(), *split(images, np.full(120, 7.0)), 0)
    np.testing.assert_allclose(same.scores, 7, atol=2)
    assert same.chosen["value"] is None, "numbers that do not vary have no R2"
    small = probe(steps=60).predict_images(backbone(), *split(images, 1e-12 * values), 0)
    assert small.chosen["value"] == pytest.approx(found.chosen["value"], abs=1e-3) and small.chosen["value"] > 0.9


def test_where_select_has_no_positive_label_the_loss_chooses(pixels) -> None:
    images, labels = pixels
    several = np.stack([labels == 0, labels != 1], 1).astype(np.uint8)
    several[40:80] = 0
    found = probe(trials=2, rates=(1e-5, 1e-1)).predict_images(backbone(), *split(images, several), 2)
    assert found.chosen["value"] is None and [each["value"] for each in found.chosen["trials"]] == [None, None]
    assert found.chosen["step"] > 0


def test_several_labels_balanced_or_not(pixels) -> None:
    images, labels = pixels
    several = np.stack([labels == 0, labels != 1], 1).astype(np.uint8)
    for balanced in (False, True):
        found = probe(balanced=balanced).predict_images(backbone(), *split(images, several), 2)
        assert found.labels is None and ((found.scores > 0.5) == several[80:]).mean() > 0.85


def test_the_balanced_loss_by_hand() -> None:
    outputs, labels = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    outputs[0, 0] = 1.0
    # -log sigmoid(1) for the one that is there, log 2 for each that is not.
    expected = np.log1p(np.exp(-1)) + np.log(2)
    assert balanced_loss(outputs, labels).item() == pytest.approx(expected)
    assert balanced_loss(outputs[1:], labels[1:]).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    "name", ["dinov3_vitl16", "dinov3_convnext_large", "dofa_vitl16", "clip_vitl14_openai", "satlas_swinv2_base_rgb"]
)
def test_gradients_reach_published_backbones(name: str, registry: Registry) -> None:
    teacher = build_teacher(registry, registry.get("teacher", name), {})
    bands = next(iter(teacher.band_sets.values()))
    source = ImageSource(np.ones((1, len(bands), 32, 32), np.uint16), bands, "dn", np.arange(1))
    predictor = Predictor(teacher, Target("single", 2), None, "native", (0, "finetune"))
    assert not predictor.eval().features(source.batch(np.arange(1))).requires_grad
    for parameter in teacher.parameters():
        parameter.requires_grad_(True)
    assert predictor.features(source.batch(np.arange(1))).requires_grad


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def test_mistakes_are_one_line(pixels) -> None:
    fit, select, report = split(*pixels)
    with pytest.raises(UserError, match="Untrainable has nothing that can be trained; say frozen = true"):
        probe().predict_images(backbone(Untrainable), fit, select, report, 3)
    assert probe(frozen=True).predict_images(backbone(Untrainable), fit, select, report, 3).scores.shape == (40, 3)
    with pytest.raises(UserError, match="the fit split's label 2"):
        probe().predict_images(backbone(), fit, select, report, 2)
    with pytest.raises(UserError, match="the select split is empty"):
        empty = LabelledImages(ImageSource(fit.images.pixels, BANDS, "dn", np.arange(0)), np.zeros(0))
        probe().predict_images(backbone(), fit, empty, report, 0)
    with pytest.raises(UserError, match="rates = .* must be a lowest and a highest"):
        probe(rates=(1e-2, 1e-3))
    with pytest.raises(UserError, match=r"batches = \[\] must hold a value"):
        probe(batches=())
    with pytest.raises(UserError, match="works on images"):
        nothing = np.zeros((1, 1)), np.zeros(1)
        probe().predict(Fit(*nothing), Select(*nothing), nothing[0], 2, True)

"""The probe on maps: what it learns, what it never sees, what it repeats, and its losses by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select, segmentation
from deo_bench.probes._decoders import HIDDEN
from deo_bench.probes._pixel_loss import PixelLoss, class_weights
from deo_bench.probes._segmenter import Segmenter, mean_iou
from deo_bench.probes.confusion import confusion_matrices
from deo_bench.probes.metrics import measure
from deo_bench.probes.segmentation import Plan, Segmentation
from deo_bench.registry import Registry
from tests.probes.held_maps import HeldMaps, separable


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(autouse=True)
def one_thread(own_surroundings):
    torch.set_num_threads(1)


def predicted(probe, fit, report=None, select=None, classes=3, ignore=255, seed=0):
    select, report = fit if select is None else select, fit if report is None else report
    maps, chosen = probe.predict_maps(fit, select, report, classes, ignore, seed)
    return np.concatenate(list(maps)), chosen


def miou(source, said, classes=3, ignore=255):
    confusion = confusion_matrices(source.labels.numpy(), said, classes, ignore)
    return measure("miou", confusion.sum(2), confusion)[0]


def quick(**options):
    return Segmentation(**{"head": "linear", "steps": 4, "batch": 8, "hidden": 4, "learning_rate": 1e-2, **options})


@pytest.mark.parametrize("head", HIDDEN)
def test_every_head_solves_a_separable_problem(head):
    fit, report = separable(0), separable(1)
    said, chosen = predicted(quick(head=head, hidden=12, steps=30), fit, report)
    assert said.shape == (16, 6, 6)
    assert miou(report, said) > 0.99
    assert chosen == {"step": 30, "on_edge": False}


def noise():
    """Ten images whose labels have nothing to do with their maps."""
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(10, 1, 8, side, side, generator=generator) for side in (4, 4, 2, 1)]
    return HeldMaps(levels, torch.randint(3, (10, 4, 4), generator=generator))


@pytest.mark.parametrize(("head", "steps"), [("conv", 150), ("fpn", 40), ("upernet", 40), ("dpt", 40)])
def test_fits_ten_images_of_noise(head, steps):
    said, _ = predicted(quick(head=head, hidden=40, steps=steps, batch=10), noise())
    assert miou(noise(), said) > 0.95


def test_labels_are_met_at_their_own_resolution():
    fit = separable(0, side=3)
    fit.labels = fit.labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    fit.size = (12, 12)
    said, _ = predicted(quick(steps=30), fit)
    assert said.shape == (16, 12, 12)
    assert (said == fit.labels.numpy()).mean() > 0.8


@pytest.mark.parametrize("loss", ["ce", "weighted_ce", "dice"])
def test_what_is_ignored_plays_no_part(loss):
    found = []
    for ignore, hidden_label in ((255, 255), (7, 7), (2, 2)):
        source = separable(0, classes=2)
        source.labels[:, :2] = hidden_label
        probe = quick(head="conv", loss=loss, select_every=2, batch=6, steps=6)
        found.append(predicted(probe, source, ignore=ignore))
    assert all(np.array_equal(found[0][0], said) for said, _ in found[1:])
    assert all(found[0][1] == chosen for _, chosen in found[1:])


@pytest.mark.parametrize("loss", ["ce", "weighted_ce", "dice"])
def test_ignored_pixels_have_no_gradient(loss):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.randint(3, (2, 4, 4))
    labels[0, :2] = 255
    measured = PixelLoss(loss, 3, 255, torch.tensor([1.0, 2.0, 3.0]) if loss == "weighted_ce" else None)
    value = measured(logits, labels)
    value.backward()
    assert logits.grad[0, :, :2].abs().max() == 0
    assert logits.grad[0, :, 2:].abs().min() > 0
    changed = logits.detach().clone()
    changed[0, :, :2] = 1e4
    assert torch.equal(measured(changed, labels), value)
    nothing = measured(logits, torch.full_like(labels, 255))
    assert nothing == 0 and torch.autograd.grad(nothing, logits)[0].abs().max() == 0


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 4.0])])
def test_cross_entropy_as_torch(weights):
    logits, labels = torch.randn(3, 3, 5, 5), torch.randint(3, (3, 5, 5))
    labels[1] = 255
    expected = F.cross_entropy(logits, labels, weights, ignore_index=255)
    torch.testing.assert_close(PixelLoss("ce", 3, 255, weights)(logits, labels), expected)


def test_dice_by_its_closed_form():
    # Equal logits of 2 classes say a half everywhere; 3 of the 8 pixels that count are of class 1.
    labels = torch.tensor([[[0, 0, 0, 0, 0], [1, 1, 1, 9, 9]]])
    expected = 1 - np.mean([(2 * n / 2 + 1) / (8 / 2 + n + 1) for n in (5, 3)])
    assert PixelLoss("dice", 2, 9)(torch.zeros(1, 2, 2, 5), labels).item() == pytest.approx(expected)
    sure = 100 * F.one_hot(labels.clamp(max=1), 2).movedim(-1, 1).float()
    assert PixelLoss("dice", 2, 9)(sure, labels).item() == pytest.approx(0, abs=1e-6)
    # A class that is nowhere in the batch does not count.
    apart = torch.cat([torch.zeros(1, 2, 2, 5), torch.full((1, 1, 2, 5), -100.0)], 1)
    assert PixelLoss("dice", 3, 9)(apart, labels).item() == pytest.approx(expected)


def test_class_weights_by_hand_and_as_scikit_learn():
    source = separable(0, num=4, classes=2)
    source.labels[:] = 0
    source.labels[:, :2] = 2
    source.labels[0, 5] = 255
    # 48 pixels of class 2, 96 - 6 of class 0, 138 in all, none of class 1.
    found = class_weights(source, 3, 255, 3)
    torch.testing.assert_close(found, torch.tensor([138 / (2 * 90), 0.0, 138 / (2 * 48)]))
    flat = source.labels[source.labels != 255].numpy()
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=flat)
    np.testing.assert_allclose(found[[0, 2]].numpy(), expected, rtol=1e-6)


def test_weights_help_the_rare_class():
    source = separable(0)
    source.levels = [
        each + torch.randn(each.shape, generator=torch.Generator().manual_seed(1)) * 3 for each in source.levels
    ]
    source.labels = torch.where(source.labels == 2, 1, 0)
    source.labels[torch.rand(source.labels.shape, generator=torch.Generator().manual_seed(2)) < 0.3] = 0
    shares = [(predicted(quick(loss=loss, steps=30), source)[0] == 1).mean() for loss in ("ce", "weighted_ce")]
    assert shares[1] > shares[0]


def test_the_order_of_dates_matters_only_side_by_side():
    source = separable(0, dates=2)
    swapped = HeldMaps([each.flip(1) for each in source.levels], source.labels)
    pair = [predicted(quick(combine="difference", head="fpn"), each)[0] for each in (source, swapped)]
    assert np.array_equal(*pair)
    model = Segmenter("linear", source, 3, 4, True, "concat").eval()
    assert not torch.equal(model(source.levels), model(swapped.levels))
    with torch.no_grad():
        expected = sum(
            layer(torch.cat([maps[:, 0], maps[:, 1]], 1))
            for layer, maps in zip(model.decoder.levels, source.levels, strict=True)
        )
    torch.testing.assert_close(model(source.levels), expected)


@pytest.mark.parametrize("combine", ["difference", "concat"])
def test_change_between_dates_is_found(combine):
    def changing(seed):
        generator = torch.Generator().manual_seed(seed)
        before, moved = torch.randn(16, 5, 6, 6, generator=generator), torch.rand(16, 6, 6, generator=generator) < 0.3
        after = before + 3 * moved[:, None] + 0.1 * torch.randn(16, 5, 6, 6, generator=generator)
        return HeldMaps([torch.stack([before, after], 1)], moved.long())

    fit, report = changing(0), changing(1)
    said, _ = predicted(quick(combine=combine, head="conv", hidden=16, steps=60), fit, report, classes=2)
    assert miou(report, said, 2) > 0.95


def test_the_first_best_state_on_select_predicts(monkeypatch):
    values, seen = iter([0.2, 0.9, 0.9, 0.1]), []

    def look(model, source, *others):
        seen.append(np.concatenate(list(report.predicted(model.logits))))
        return next(values)

    monkeypatch.setattr(segmentation, "mean_iou", look)
    report = noise()
    said, chosen = predicted(quick(head="conv", select_every=2, steps=None, epochs=7), noise(), report)
    assert len(seen) == 4
    assert np.array_equal(said, seen[1])
    assert all(not np.array_equal(said, seen[place]) for place in (0, 2, 3))
    assert chosen == {"step": 8, "miou": 0.9, "on_edge": False}


def test_the_last_state_is_looked_at_and_may_be_best(monkeypatch):
    values = iter([0.1, 0.2])
    monkeypatch.setattr(segmentation, "mean_iou", lambda *given: next(values))
    _, chosen = predicted(quick(select_every=2, steps=None, epochs=3), separable(0))
    assert chosen == {"step": 6, "miou": 0.2, "on_edge": True}


def test_what_is_looked_at_is_the_metric_of_all_pixels():
    source = separable(3)
    source.labels[:5, :3] = 255
    torch.manual_seed(0)
    model = Segmenter("conv", source, 3, 4, True, "difference")
    said = np.concatenate(list(source.predicted(model.logits)))
    assert mean_iou(model, source, 3, 255, 3) == pytest.approx(miou(source, said))
    source.labels[:] = 255
    assert mean_iou(model, source, 3, 255, 3) == 0


@pytest.mark.parametrize("head", ["upernet", "dpt"])
def test_seeds_repeat_to_the_byte_and_differ(head):
    before = torch.get_rng_state()
    drawn = []

    def logits(seed, own=0):
        probe, source = quick(head=head, steps=3, seed=own), separable(0)
        kept = []
        source.predicted = lambda model: iter([kept.append(model(source.levels)) or np.zeros((16, 6, 6))])
        predicted(probe, source, seed=seed)
        drawn.append(source.drawn)
        return kept[0]

    one = logits(1)
    assert torch.equal(one, logits(1))
    assert not torch.equal(one, logits(2))
    assert not torch.equal(one, logits(1, own=1))
    assert drawn[0] == drawn[1] and len(set(drawn[0] + drawn[2] + drawn[3])) == 9
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_dropped_is_drawn_anew_at_each_step(monkeypatch):
    drawn = []

    class Noted(PixelLoss):
        def __call__(self, logits, labels):
            drawn.append(torch.rand(()).item())
            return super().__call__(logits, labels)

    monkeypatch.setattr(segmentation, "PixelLoss", Noted)
    for seed in (1, 1, 2):
        predicted(quick(), separable(0), seed=seed)
    assert drawn[:4] == drawn[4:8]
    assert len(set(drawn)) == 8


def test_epochs_are_permutations_cut_into_batches():
    plan = Plan.of(10, 4, False, 2, None)
    epochs = [[plan.places(step, 1, "t").tolist() for step in range(at, at + 3)] for at in (0, 3)]
    assert (plan.per_epoch, plan.steps) == (3, 6)
    assert [len(each) for each in epochs[0]] == [4, 4, 2]
    assert all(sorted(place for each in epoch for place in each) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert Plan.of(10, 4, True, 3, None) == Plan(10, 4, 2, 6)
    assert Plan.of(3, 4, True, 3, None) == Plan(3, 3, 1, 3)
    assert Plan.of(10, 4, False, 3, 5).steps == 5


def test_the_report_split_is_never_asked_for_labels():
    fit, report = separable(0), separable(1)
    predicted(quick(select_every=1), fit, report, separable(2))
    assert fit.asked and not report.asked


def test_an_epoch_may_end_with_one_image():
    assert predicted(quick(head="upernet", steps=None, epochs=1), separable(0, num=9))[0].shape == (9, 6, 6)


def rates(probe, plan):
    return [probe.rate(step, plan) for step in range(plan.steps)]


def reference(scheduler, steps, every=1, **options):
    """The rates that a scheduler of torch's gives, stepped after every so many steps."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    made, found = scheduler(optimiser, **options), []
    for step in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if (step + 1) % every == 0:
            made.step()
    return found


def test_schedules_as_torch():
    schedulers = torch.optim.lr_scheduler
    plan = Plan.of(30, 8, False, 5, None)
    probe = quick(learning_rate=0.5, epochs=5, steps=None)
    expected = reference(schedulers.CosineAnnealingLR, 20, 4, T_max=5, eta_min=1e-6)
    assert rates(probe, plan) == pytest.approx(expected)
    expected = reference(schedulers.CosineAnnealingLR, 20, T_max=20, eta_min=1e-6)
    assert rates(quick(learning_rate=0.5, steps=20), Plan.of(30, 8, False, 5, 20)) == pytest.approx(expected)
    expected = reference(schedulers.MultiStepLR, 20, milestones=[12, 18])
    assert rates(quick(learning_rate=0.5, schedule="multistep"), plan) == pytest.approx(expected)
    assert rates(quick(learning_rate=0.5, schedule="constant"), plan) == [0.5] * 20
    assert rates(quick(learning_rate=1e-7, steps=20), plan) == pytest.approx([1e-7] * 20)


def test_a_loss_that_is_not_finite_is_one_line():
    source = separable(0, num=32)
    order = Plan.of(32, 8, False, 1, None)
    source.levels[0][order.places(2, 0, 0, "segmentation")[0]] = torch.nan
    with pytest.raises(
        UserError, match="^probe 'segmentation': the loss is not finite at step 2; lower learning_rate$"
    ):
        predicted(quick(), source)


def test_mistakes_are_one_line():
    good, bad = separable(0), separable(1)
    bad.labels[3, 2, 1] = 9
    with pytest.raises(UserError, match="^the fit split's label 9 is no class from 0 to 2, nor 255, which is ignored$"):
        predicted(quick(batch=16), bad)
    with pytest.raises(UserError, match="^the fit split's label 9 is no class from 0 to 2$"):
        predicted(quick(loss="weighted_ce"), bad, ignore=None)
    with pytest.raises(UserError, match="^the select split's label 9 is no class"):
        predicted(quick(select_every=1), good, select=bad)
    empty = HeldMaps([each[:0] for each in good.levels], good.labels[:0])
    with pytest.raises(UserError, match="^the fit split is empty"):
        predicted(quick(), empty, good)
    with pytest.raises(UserError, match="the select split is empty; select_every = 0 keeps the last state"):
        predicted(quick(select_every=1), good, select=empty)
    with pytest.raises(UserError, match="is fitted on maps, not on a backbone's vectors"):
        vectors = np.zeros((2, 3)), np.zeros(2)
        quick().predict(Fit(*vectors), Select(*vectors), vectors[0], 2, True)
    assert predicted(quick(), good, select=empty)[1]["on_edge"] is False
    flat = separable(0)
    flat.levels, flat.shapes = [], ()
    with pytest.raises(UserError, match="^probe 'segmentation': this backbone has no maps, only vectors"):
        predicted(quick(), flat)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"head": "fpm"}, "probes.head: has to be 'linear', 'conv', 'fpn', 'upernet' or 'dpt'"),
        ({"hidden": 0}, "probes.hidden"),
        ({"schedule": "step"}, "probes.schedule"),
        ({"betas": [0.9]}, "probes.betas"),
        ({"select_every": -1}, "probes.select_every"),
        ({"levels": 0}, "probes.levels"),
        ({"neckk": True}, "did you mean 'neck'"),
    ],
)
def test_options_are_checked_when_they_are_read(registry, options, told):
    with pytest.raises(UserError, match=told) as raised:
        registry.options("probe", "segmentation", options, "probes")
    assert "\n" not in str(raised.value)


def test_options_that_only_the_probe_can_check(registry):
    with pytest.raises(UserError, match="segmentation.betas: have to be below 1, got"):
        Segmentation(betas=(0.9, 1.0))
    with pytest.raises(UserError, match="segmentation.levels: expected a number, or names that differ, got \\['late'"):
        Segmentation(levels=["late", "late"])
    assert Segmentation(levels=["mid", "late"]).levels == ("mid", "late")
    options = registry.options("probe", "segmentation", {"levels": ["late"]}, "probes")
    assert Segmentation(**options).levels == ("late",)

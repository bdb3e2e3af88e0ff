"""`deo-code` to the digit: steps of the product against the same steps by hand, both in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deo_bench.bands import BAND_SETS
from deo_bench.engine.build import Statistics, build_frozen
from deo_bench.engine.frozen import FrozenTeachers
from deo_bench.engine.passes import Views
from deo_bench.engine.training import Report, Training
from deo_bench.features import Images
from deo_bench.recipe import presets_root, read_toml, resolve, set_path
from deo_bench.registry import Registry
from deo_bench.teachers._vit import TimmVit
from tests.golden.deo_by_hand import BANDS, ByHand, Swin, Vit

REGISTRY = Registry()
BATCH, LOCAL = 8, 2
STEPS, WARMUP, LR = 10, 2, 1e-2
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}

SMALL: dict[str, dict[str, Any]] = {
    "swin": {
        "student.width": 8,
        "student.depths": [1, 2, 2, 1],
        "student.heads": [1, 1, 2, 2],
        "student.window": 2,
        "student.size": 64,
        "views.global.size": 64,
        "views.local.size": 32,
    },
    "vit": {
        "student": {
            "use": "vit_small",
            "bands": ["s2_10", "rgb"],
            "stem": "dual",
            "normalise": "hr_maxscale",
            "width": 24,
            "depth": 4,
            "heads": 2,
            "patch": 16,
            "size": 64,
        },
        "views.global.size": 64,
        "views.local.size": 32,
    },
}
BY_HAND = {
    "swin": Swin((1, 2, 2, 1), (1, 1, 2, 2), 2),
    "vit": Vit(patch=16, depth=4, heads=2, side=4, mid=1, late=3),
}


@pytest.fixture(autouse=True)
def small_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimmVit, "overrides", {"embed_dim": 24, "depth": 2, "num_heads": 2})


def small_recipe(name: str, **changes: Any) -> Any:
    """The preset itself, its sizes made small and what is drawn switched off."""
    tables = read_toml(presets_root() / "experiments" / "recipes" / "deo-code.toml")
    sizes = {
        "student.drop_path": 0.0,
        "teachers.optical": {
            "use": "random",
            "like": "dinov3_vitb16",
            "settings": {"levels": [0, 0, 1]},
            "normalise": "student",
        },
        "heads.views.width": 16,
        "heads.views.hidden": 12,
        "train.steps": STEPS,
        "train.warmup": WARMUP / STEPS,
        "train.batch": BATCH,
        "train.lr": LR,
        "train.precision": "32-true",
        **{f"objective.{term}.head.hidden": 12 for term in ("optical", "optical_mid", "optical_late")},
        **SMALL[name],
        **changes,
    }
    if name == "vit":
        tables["student"] = {}
        del sizes["student.drop_path"]
    for path, value in sizes.items():
        tables = set_path(tables, path, value)
    return resolve(tables, REGISTRY, "deo-code")


def training(recipe: Any) -> Training:
    """The product's run, its weights moved away from zeros and ones and made float64."""
    statistics = Statistics(BAND_SETS["s2_13"], "dn", np.ones(13), np.ones(13))
    frozen = FrozenTeachers(lambda table: build_frozen(table, lambda _: None, REGISTRY))  # type: ignore[arg-type, return-value]
    run = Training(recipe, 0, statistics, frozen, REGISTRY, torch.device("cpu"))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in (run.student, run.objective):
            for value in module.parameters():
                value.add_(0.1 * torch.randn(value.shape, generator=draw))
    for module in (run.student, run.objective, *run.teachers.values()):
        module.double()
    # The moving averages start from the student as it is now.
    copied = run.teachers["spectral"]
    copied.backbone.load_state_dict(run.student.state_dict())
    copied.heads["views"].load_state_dict(run.objective.heads["views"].state_dict())
    return run


def views(recipe: Any, step: int) -> dict[str, Views]:
    """Crops as the augmentation leaves them: red, green and blue in [0, 1], the rest digital numbers."""
    draw = torch.Generator().manual_seed(100 + step)
    rgb = [BANDS.index(band) for band in BAND_SETS["rgb"]]
    found = {}
    for group, crops, count in (("global", recipe.views.global_, 2), ("local", recipe.views.local, LOCAL)):
        size = crops.size
        pixels = 3000 * torch.rand(count * BATCH, 10, size, size, generator=draw, dtype=torch.float64)
        pixels[:, rgb] = pixels[:, rgb] / 3000
        found[group] = Views(Images(pixels, BANDS, "dn", rgb_unit="display"), count)
    return found


def advance(run: Training, crops: dict[str, Views]) -> Report:
    run.frozen.new_step(crops)
    return run.advance(crops, torch.arange(BATCH), None, measure=False)


def by_hand(name: str, run: Training, **changes: Any) -> ByHand:
    def frozen(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """timm's own model: class token and both levels after its final norm (FACTS 1.4)."""
        model = run.teachers["optical"].backbone.model  # type: ignore[union-attr]
        tokens, maps = model.forward_intermediates(rgb, indices=[0, 1], norm=True)
        return tokens[:, 0], *maps

    student = {key: value.clone() for key, value in run.student.state_dict().items() if "index" not in key}
    heads = {}
    for key, value in run.objective.heads.state_dict().items():
        term, _, rest = key.partition(".")
        heads[f"{term.partition(':')[0]}.{rest}"] = value.clone()
    settings = {"steps": STEPS, "warmup": WARMUP, "lr": LR, "devices": 4, "clip": 3.0}
    return ByHand(BY_HAND[name], student, heads, frozen, **{**settings, **changes})  # type: ignore[arg-type]


def compare(run: Training, hand: ByHand) -> None:
    """Every gradient as it was handed to the optimiser, every weight, every moving average."""
    for name, value in run.student.named_parameters():
        if name in hand.gradients:
            torch.testing.assert_close(value.grad, hand.gradients[name], **TOLERANCE, msg=lambda m, n=name: f"{n}: {m}")
        else:
            assert value.grad is None and "mask_token" in name
        torch.testing.assert_close(value.detach(), hand.student[name].detach(), **TOLERANCE)
    for key, value in run.objective.heads.named_parameters():
        term, _, rest = key.partition(".")
        name = f"{term.partition(':')[0]}.{rest}"
        torch.testing.assert_close(value.grad, hand.gradients[name], **TOLERANCE, msg=lambda m, n=name: f"{n}: {m}")
        torch.testing.assert_close(value.detach(), hand.heads[name].detach(), **TOLERANCE)
    teacher = run.teachers["spectral"]
    for name, value in teacher.backbone.named_parameters():
        torch.testing.assert_close(value, hand.ema[name], **TOLERANCE)
    for name, value in teacher.heads["views"].named_parameters():
        torch.testing.assert_close(value, hand.ema[f"views.{name}"], **TOLERANCE)


@pytest.mark.parametrize("name", ["swin", "vit"])
@pytest.mark.parametrize(("clip_by", "clip"), [("tensor", 3.0), ("tensor", 0.05), ("global", 0.05)])
def test_steps_of_deo_code_are_the_steps_by_hand(name: str, clip_by: str, clip: float) -> None:
    recipe = small_recipe(name, **{"train.clip_by": clip_by, "train.clip": clip})
    run = training(recipe)
    hand = by_hand(name, run, clip=clip, by_tensor=clip_by == "tensor")
    for step in range(3):
        crops = views(recipe, step)
        done = advance(run, crops)
        parts, total = hand.advance(crops["global"].images.pixels, crops["local"].images.pixels)
        for term, value in done.terms.items():
            constant = 1.0 if term.startswith("optical") else 0.0
            assert value == pytest.approx(constant - parts[term], rel=1e-6, abs=1e-8), term
        assert done.terms.keys() == parts.keys()
        # The cosine losses are 1 - cos: the product's sum is larger by the weights of the optical terms.
        assert done.total == pytest.approx(total + 0.5 + 0.25 + 0.25, rel=1e-6)
        compare(run, hand)


def test_one_step_moves_every_weight() -> None:
    """So that the comparison above is of something: at step 1 the learning rate is at its height."""
    recipe = small_recipe("swin")
    run = training(recipe)
    before = {name: value.clone() for name, value in run.student.named_parameters()}
    for step in range(2):
        advance(run, views(recipe, step))
    moved = {name for name, value in run.student.named_parameters() if not torch.equal(value, before[name])}
    assert before.keys() - moved == {"mask_token"}


def test_the_presets_differ_where_they_say(tmp_path: Path) -> None:
    """Weights, clipping, pairs, the teacher's input, devices, stochastic depth, max-scaling."""
    recipes = presets_root() / "experiments" / "recipes"
    code, paper = (resolve(read_toml(recipes / f"deo-{name}.toml"), REGISTRY, name) for name in ("code", "paper"))
    weights = {
        name: [made.objective[term].weight for term in ("optical", "optical_mid", "optical_late")]
        for name, made in (("code", code), ("paper", paper))
    }
    assert weights == {"code": [0.5, 0.25, 0.25], "paper": [1.0, 0.5, 0.5]}
    assert (code.train.clip_by, paper.train.clip_by) == ("tensor", "global")
    assert (code.objective["optical"].pairs, paper.objective["optical"].pairs) == ("cross", "same")
    shown = [(made.teachers["optical"].views, made.teachers["optical"].normalise) for made in (code, paper)]
    assert shown == [("augmented", "student"), ("clean", "native")]
    devices = [made.objective["expand"].options for made in (code, paper)]
    assert [(options["virtual_world_size"], options["reduce_cov"]) for options in devices] == [(4, False), (16, True)]
    assert [made.teachers["spectral"].options["drop_path"] for made in (code, paper)] == [True, False]
    assert (code.views.rgb_range, paper.views.rgb_range) == ("max", "white")
    assert (code.student.normalise, paper.student.normalise) == ("hr_maxscale", "dataset_zscore")
    # FACTS 1.5: half of the paper's optical weight, 22 pairs of 12 crops, hence no other difference in the terms.
    assert code.views.num_views == paper.views.num_views == 12

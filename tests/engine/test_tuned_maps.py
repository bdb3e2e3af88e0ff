"""A backbone fine-tuned on labels a pixel: live maps let gradients through, labels are flipped alike, and it learns."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

from deo_bench.backbone import Backbone
from deo_bench.bands import BAND_SETS
from deo_bench.data import Pack
from deo_bench.data.pack import write_pack
from deo_bench.data.pack_images import Dated
from deo_bench.draws import global_seed
from deo_bench.engine.dense import WindowMaps
from deo_bench.engine.embed import Evaluated
from deo_bench.engine.predict import WAYS, Answered, Case
from deo_bench.engine.request import Request
from deo_bench.engine.view import View
from deo_bench.features import Features
from deo_bench.normalisation import Normalisation
from deo_bench.probes.finetune import Finetune
from deo_bench.probes.metrics import measure
from deo_bench.probes.record import resolve
from deo_bench.recipe.models import PartTable
from deo_bench.registry import Registry
from deo_bench.store.embeddings import Embeddings

CPU = torch.device("cpu")
RGB = BAND_SETS["rgb"]
SIDE = 12


class Mixed(Backbone):
    """Its map is a mixture of its pixels that hides the second band; a norm and a dropout know its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.band_sets = {"rgb": RGB}
        self.normalisations = {"rgb": Normalisation("uint8", (100.0,) * 3, (60.0,) * 3)}
        self.pooled_dims, self.levels = {"mean": 2}, {"late": 0}
        self.mixture = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.mixture.weight[:, 1] = 0
        self.norm, self.dropout = nn.BatchNorm2d(2), nn.Dropout(0.1)

    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        maps = self.dropout(self.norm(self.mixture(pixels)))
        return Features({"mean": maps.mean((2, 3))}, dict.fromkeys(levels, maps))

    def map_width(self, level: str) -> int:
        return 2

    def stride(self, level: str) -> int:
        return 1


def backbone() -> Mixed:
    with global_seed("mixed"):
        return Mixed().eval()


def packed(folder: Path, is_pair: bool) -> Pack:
    """The label is whether the second band is high, or has changed much; a frame is ignored."""
    draws = np.random.default_rng(0)
    before, after = draws.integers(0, 200, (2, 16, 3, SIDE, SIDE), dtype=np.uint8)
    moved = np.abs(after[:, 1].astype(int) - before[:, 1]) > 70
    labels = (moved if is_pair else before[:, 1] > 100).astype(np.uint8)
    labels[:, 0] = 255
    images: list[Any] = [Dated(*pair) for pair in zip(before, after, strict=True)] if is_pair else list(before)
    return write_pack(
        folder / "pack",
        name="pairs",
        images=images,
        count=16,
        bands=RGB,
        unit="uint8",
        labels=labels,
        classes=["no", "yes"],
        ignore=255,
        splits={"fit": range(8), "select": range(8, 12), "report": [15, 12, 13, 14]},
    )


def live(pack: Pack, model: Backbone, side: int, **more: Any) -> WindowMaps:
    view = View(resolve("scenes-v1", Registry()), "rgb")
    return WindowMaps(model, [pack], view, ("late",), pack.splits["fit"], pack.labels, side, CPU, **more)


def test_gradients_reach_a_live_backbone_alone_in_the_mode_it_was_put_in(tmp_path: Path) -> None:
    pack, model = packed(tmp_path, False), backbone()
    (maps,), _ = live(pack, model, 6).batch(np.arange(2))
    assert not maps.requires_grad
    source = live(pack, model, 6, is_live=True)
    before = copy.deepcopy(model.norm.running_mean)
    assert not model.training and source.batch(np.arange(2))[0][0].requires_grad
    assert torch.equal(model.norm.running_mean, before)
    model.train()
    source.batch(np.arange(2))
    assert model.training and not torch.equal(model.norm.running_mean, before)
    with torch.no_grad():
        assert not source.batch(np.arange(2))[0][0].requires_grad


def test_images_are_flipped_with_their_labels(tmp_path: Path) -> None:
    pack, model = packed(tmp_path, False), backbone()
    with torch.no_grad():
        model.mixture.weight[:, :, 0, 0], model.mixture.bias[:] = torch.tensor([[0.0, 1, 0], [1, 0, 0]]), 0
    source, seen = live(pack, model, SIDE, is_live=True, flips=True), set()
    for seed in range(12):
        (maps,), labels = source.batch(np.array([3]), torch.Generator().manual_seed(seed))
        assert labels is not None
        known = labels != 255
        # Normalised, 100 is 0.
        assert_array_equal(labels[known], (maps[:, 0, 0] > 0)[known].long())
        seen.add(tuple(labels.flatten().tolist()))
    assert len(seen) == 4
    _, labels = source.batch(np.array([3]))
    assert labels is not None
    assert_array_equal(labels[0], pack.labels[3])  # type: ignore[index]


def answered(pack: Pack, folder: Path, model: Backbone, window: int | None = None, **options: Any) -> Answered:
    usual = {"decoder": "linear", "levels": ["late"], "steps": 60, "batch": 4, "learning_rate": 3e-2, "patience": 99}
    probe = Finetune(**{**usual, "head_learning_rate": 3e-2, "weight_decay": 0.0, **options})
    protocol = resolve("scenes-v1", Registry())
    protocol = protocol if window is None else protocol.model_copy(update={"window": window})
    part = PartTable(use="finetune")
    request = Request("own", "pairs", part, "content", protocol, "own", part, "1", "rgb", label_kind=pack.label_kind)
    roles = {"fit": "fit", "select": "select", "predicted": "report"}
    rows = {place: np.asarray(pack.splits[role]) for place, role in roles.items()}
    case = Case(request, pack, rows, probe, Evaluated("weights", lambda _: model), None, Embeddings(folder), CPU)
    return WAYS["backbone"](case)


@pytest.mark.parametrize("is_pair", [False, True])
def test_it_learns_what_the_frozen_maps_hide_to_the_byte(tmp_path: Path, is_pair: bool) -> None:
    pack, model = packed(tmp_path, is_pair), backbone()
    before = copy.deepcopy(model.state_dict())
    found = {}
    for frozen in (False, True):
        said = answered(pack, tmp_path, model, frozen=frozen, steps=120 if is_pair else 60)
        found[frozen] = measure("miou", said.arrays["truth"], said.arrays["scores"])[0]
    assert said.arrays["scores"].sum() == 4 * (SIDE - 1) * SIDE
    assert found[False] > 0.8 > 0.6 > found[True]
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert not model.training


def test_trials_windows_and_repetition(tmp_path: Path) -> None:
    pack, model = packed(tmp_path, False), backbone()
    options = {"trials": 2, "steps": 6, "rates": (1e-3, 1e-1), "batches": (2, 4)}
    one, two = (answered(pack, tmp_path, model, window=6, **options) for _ in range(2))
    assert_array_equal(one.arrays["scores"], two.arrays["scores"])
    assert one.chosen == two.chosen
    assert one.chosen["value"] == max(each["value"] for each in one.chosen["trials"]) > 0
    other = answered(pack, tmp_path, model, window=6, **{**options, "trials": 1})
    assert "trials" not in other.chosen and other.chosen["learning_rate"] == 3e-2


def test_costs_are_measured_on_tasks_of_maps_too(tmp_path: Path) -> None:
    pack = packed(tmp_path, True)
    registry = Registry()
    protocol = resolve("scenes-v1", registry)
    part = PartTable(use="profile_gmacs")
    request = Request("own", "pairs", part, "content", protocol, "own", part, "1", "rgb", own_metric="mean_cost")
    roles = {"fit": "fit", "select": "select", "predicted": "report"}
    rows = {place: np.asarray(pack.splits[role]) for place, role in roles.items()}
    model, kept = Evaluated("weights", lambda _: backbone()), Embeddings(tmp_path)
    case = Case(request, pack, rows, registry.build("probe", "profile_gmacs"), model, None, kept, CPU)
    said = WAYS["backbone"](replace(case))
    assert said.arrays["scores"].tolist() == [[pytest.approx(SIDE**2 * 2 * 3 / 1e9)]]

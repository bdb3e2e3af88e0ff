"""What torchgeo's transformers share: their cards are torchgeo's, their files load for real, wrong ones are refused."""

from __future__ import annotations

import os
import re
import sys

import pytest
import torch
import torchgeo.models
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deo_bench import libraries
from deo_bench.bands import BAND_SETS
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Images
from tests.teachers.blocks import NAMES, REGISTRY, SMALLEST, TINY, build, drawn, in_cache, saved, scene
from tests.teachers.blocks import tiny as tiny

WEIGHTS = {
    "dofa_vitb16": torchgeo.models.DOFABase16_Weights.DOFA_MAE,
    "dofa_vitl16": torchgeo.models.DOFALarge16_Weights.DOFA_MAE,
    "croma_vitb8": torchgeo.models.CROMABase_Weights.CROMA_VIT,
    "croma_vitl8": torchgeo.models.CROMALarge_Weights.CROMA_VIT,
    "copernicusfm_vitb16": torchgeo.models.CopernicusFM_Base_Weights.CopernicusFM_ViT,
    "panopticon_vitb14": torchgeo.models.Panopticon_Weights.VIT_BASE14,
    "scalemae_vitl16": torchgeo.models.ScaleMAELarge16_Weights.FMOW_RGB,
}
each_family = pytest.mark.parametrize("family", list(TINY))


def published(family):
    """A state dict as this family publishes it, of drawn weights; and a name that has to be in it."""
    state = drawn(REGISTRY.build("teacher", SMALLEST[family], False).model).state_dict()
    if family == "croma":
        parts = {name.partition(".")[0] for name in state} - {"attn_bias"}
        cut = {p: {n.partition(".")[2]: v for n, v in state.items() if n.startswith(f"{p}.")} for p in sorted(parts)}
        return {**cut, "s1_encoder": {"linear_input.weight": torch.zeros(2, 2)}}
    if family == "panopticon":
        return {**state, "mask_token": torch.zeros(1, 24)}
    return {name: value for name, value in state.items() if not name.startswith("fc_norm")}


def flat(content):
    if not all(isinstance(value, dict) for value in content.values()):
        return content
    return {f"{part}.{name}": value for part, inner in content.items() for name, value in inner.items()}


def test_every_family_is_known():
    assert sorted(WEIGHTS) == sorted(NAMES) and set(SMALLEST) == set(TINY)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_card_is_what_torchgeo_says_of_its_weights(name):
    facts, known = REGISTRY.get("teacher", name).facts, WEIGHTS[name]
    owner, repository, revision, filename = re.fullmatch(
        r"https://(?:hf\.co|huggingface\.co)/([^/]+)/([^/]+)/resolve/([0-9a-f]{40})/(.+)", known.url
    ).groups()
    assert facts["weights"] == f"hub:{owner}/{repository}@{revision}"
    assert facts["filename"] == filename
    stated = re.search(r"-([0-9a-f]{8})\.", filename)
    assert facts.get("checksum") == (stated and stated[1])
    assert facts["paper"] == known.meta["publication"]
    assert facts["library"] == "torchgeo" and not facts["gated"] and facts["trained_on"]
    assert callable(getattr(torchgeo.models, facts["architecture"]))


@pytest.mark.parametrize("name", WEIGHTS)
def test_it_is_as_large_and_costs_what_is_declared(name):
    """At full size, on tensors without values; Panopticon looks into its channels' numbers, so it has some."""
    facts = REGISTRY.get("teacher", name).facts
    with torch.device("cpu" if "panopticon" in name else "meta"):
        teacher = REGISTRY.build("teacher", name, False)
        pixels = torch.zeros(1, len(teacher.band_sets[teacher.first]), 224, 224)
    assert round(sum(value.numel() for value in teacher.parameters()) / 1e6, 1) == facts["parameters"]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        said = teacher.extract(pixels, teacher.first, ("late",))
    assert round(counter.get_total_flops() / 2e9, 1) == facts["gmacs"]
    assert said.get("default").shape[1] == teacher.width("default")
    depth = len(teacher.blocks)
    assert list(teacher.levels.values()) == [depth * share // 4 - 1 for share in (2, 3, 4)]
    if "croma" not in name:  # whose file holds the radar's tower too
        assert round(4 * facts["parameters"]) == pytest.approx(facts["megabytes"], abs=1)


def test_cromas_file_is_as_large_as_all_its_parts():
    for name in ("croma_vitb8", "croma_vitl8"):
        facts = REGISTRY.get("teacher", name).facts
        with torch.device("meta"):
            whole = getattr(torchgeo.models, facts["architecture"])(image_size=8)
        assert round(4 * sum(value.numel() for value in whole.parameters()) / 1e6) == facts["megabytes"]


@pytest.mark.usefixtures("tiny")
class TestTiny:
    @each_family
    def test_the_hubs_cache_is_found_and_its_checksum_held(self, family, tmp_path, monkeypatch):
        name, content = SMALLEST[family], published(family)
        path, digest = in_cache(name, content, tmp_path, monkeypatch)
        part = REGISTRY.load("teacher", name)
        entry = sys.modules[part.__module__].ENTRIES[name]
        if "checksum" in entry:
            with pytest.raises(UserError, match=f"{path.name} has checksum {digest}, its source states") as refused:
                build(name)
            assert "\n" not in str(refused.value)
        monkeypatch.setitem(entry, "checksum", digest)
        loaded, state = build(name).model.state_dict(), flat(content)
        same = [loaded[key].equal(value) for key, value in state.items() if key in loaded]
        assert all(same) and len(same) > 20

    @each_family
    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("wrong shape", "has shape"),
            ("truncated", "cannot be read as weights"),
            ("code", "pickled objects or code"),
            ("a block lacks", "lacks "),
            ("other names", "not weights of this architecture"),
        ],
    )
    def test_what_is_not_whole_or_not_ours_is_refused_in_one_line(self, family, kind, told, tmp_path):
        state = dict(flat(published(family)))
        some = next(name for name in state if ".0." in name and name.endswith("weight") and "s2_GAP" not in name)
        if kind == "wrong shape":
            state[some] = torch.zeros(3, 5)
        elif kind == "a block lacks":
            del state[some]
        elif kind == "other names":
            state = {"layer.weight": torch.zeros(2)}
        elif kind == "code":
            state["own"] = Runs(tmp_path / "ran")
        path = saved(state, tmp_path)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match=told) as refused:
            build(SMALLEST[family], path)
        assert path.name in str(refused.value) and "\n" not in str(refused.value)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("family", [family for family in TINY if family != "scalemae"])
    def test_a_name_that_torchgeo_does_not_allow_is_refused(self, family, tmp_path):
        state = {**flat(published(family)), "decoder.weight": torch.zeros(2)}
        with pytest.raises(UserError, match=r"has decoder\.weight"):
            build(SMALLEST[family], saved(state, tmp_path))

    @each_family
    @torch.no_grad()
    def test_bands_are_picked_by_name(self, family, tmp_path):
        teacher = build(SMALLEST[family], saved(published(family), tmp_path))
        batch = scene(32, 32)
        turned = Images(batch.pixels.flip(1), tuple(reversed(batch.bands)), batch.unit)
        for sees in teacher.band_sets:
            assert teacher(batch, sees).get("default").equal(teacher(turned, sees).get("default"))

    @each_family
    @torch.no_grad()
    def test_images_are_resized_to_what_the_patch_divides(self, family, tmp_path):
        teacher = build(SMALLEST[family], saved(published(family), tmp_path))
        patch = teacher.stride("late")
        said = teacher(scene(patch + 1, 2 * patch), levels=("late",)).get("late")
        assert said.shape == (2, teacher.width("late"), 2, 2)
        larger = build(SMALLEST[family], tmp_path / "own.pth", size=4 * patch)
        assert larger(scene(2 * patch, 3 * patch), levels=("late",)).get("late").shape[2:] == (4, 6)

    @each_family
    @torch.no_grad()
    def test_half_precision_is_near(self, family, tmp_path):
        teacher = build(SMALLEST[family], saved(published(family), tmp_path))
        batch = scene(32, 64)
        exact = teacher(batch, levels=("late",))
        assert exact.get("default").dtype == torch.float32
        half = teacher.bfloat16()(Images(batch.pixels.bfloat16(), batch.bands, batch.unit), levels=("late",))
        for place in [*exact.pooled, "late"]:
            assert half.get(place).dtype == torch.bfloat16
            assert (half.get(place).float() - exact.get(place)).abs().mean() < 0.2 * exact.get(place).std()

    @each_family
    def test_no_gradient_and_no_training(self, family, tmp_path):
        teacher = build(SMALLEST[family], saved(published(family), tmp_path)).train()
        batch = scene(32, 32)
        batch.pixels.requires_grad_()
        said = teacher(batch, levels=("early",))
        assert not said.get("default").requires_grad and not said.get("early").requires_grad
        assert not teacher.training and not any(value.requires_grad for value in teacher.parameters())

    @each_family
    @torch.no_grad()
    def test_the_untrained_control_is_built_alike(self, family):
        made = [REGISTRY.build("teacher", "random", options={"like": SMALLEST[family], "seed": s}) for s in (0, 0, 1)]
        one, again, other = (teacher(scene(32, 32)).get("default") for teacher in made)
        assert one.equal(again) and not torch.allclose(one, other)
        assert not torch.allclose(one[0], one[1], atol=1e-4)


def test_without_torchgeo_one_line_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    for name in NAMES:
        with pytest.raises(MissingInput, match=rf"{name}: needs torchgeo.*pip install 'deo-bench\[geo\]'"):
            REGISTRY.build("teacher", name, False)


def test_band_sets_are_named_alike():
    with torch.device("meta"):
        teachers = [REGISTRY.build("teacher", name, False) for name in NAMES]
    for teacher in teachers:
        assert all(BAND_SETS.get(key, bands) == bands for key, bands in teacher.band_sets.items())


class Runs:
    """Would make a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)

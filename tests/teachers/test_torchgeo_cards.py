"""What the entries declare is what the installed torchgeo says of its weights, so that drift is seen."""

from __future__ import annotations

import re

import pytest
import torch
import torchgeo.models
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models._api import WeightsEnum

from tests.contract.backbones import REGISTRY
from tests.teachers.torchgeo_weights import HEADS, NAMES, architecture, bands, published, steps

LEFT_OUT = ("CLOSP", "NDVI", "GASSL", "CITYSCAPES")
"""Text-aligned encoders, a channel that is no band, photographs."""
ADDRESS = re.compile(r"https://(?:hf\.co|huggingface\.co)/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/([^/]+)")


def meta(name):
    with torch.device("meta"):
        return REGISTRY.build("teacher", name, False)


def test_the_families_are_whole():
    enums = {name: getattr(torchgeo.models, name) for name in dir(torchgeo.models) if "_Weights" in name}
    kinds = [name for name in enums if name.startswith(("ViT", "ResNet", "Swin"))]
    known = {f"{name}.{member.name}" for name in kinds for member in enums[name] if isinstance(member, WeightsEnum)}
    other = ("LANDSAT", "SENTINEL1", "NAIP", *LEFT_OUT)
    expected = {name for name in known if not any(word in name.upper() for word in other)}
    assert {REGISTRY.get("teacher", name).facts["torchgeo"] for name in NAMES} == expected
    assert len(NAMES) == len(expected) == 38


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_what_torchgeo_says_of_its_weights(name):
    facts, record = REGISTRY.get("teacher", name).facts, published(name)
    repository, revision, filename = ADDRESS.fullmatch(record.url).groups()
    assert facts["weights"] == f"hub:{repository}@{revision}" and facts["filename"] == filename
    stated = re.search(r"-([0-9a-f]{8})\.pth$", filename)
    assert facts.get("checksum") == (stated and stated[1])
    assert facts["paper"] == record.meta["publication"] and facts["trained_on"] == [record.meta["dataset"]]
    method = record.meta.get("ssl_method", "satlas").replace("-", "")
    assert method in name.replace("_", "")
    assert facts.get("library") == ("torchgeo" if "swin" in name else None)
    number = facts["torchgeo"].split("_MI_")
    assert name.endswith("_mi") == (len(number) == 2)


@pytest.mark.parametrize("name", NAMES)
def test_its_bands_and_their_scale_are_torchgeos(name):
    teacher, own = meta(name), bands(name)
    assert list(teacher.band_sets.values()) == [own] and len(own) == published(name).meta["in_chans"]
    normalisation = teacher.normalisations[teacher.first]
    if name in ("seco_resnet18", "seco_resnet50"):  # not followed: its order is blue, green, red, and it scales twice
        imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        assert steps(name) == [([3, 2, 0], [85, 101, 129]), ([0], [1 / 255]), imagenet]
        return
    ((mean, std),) = steps(name)
    factor = len(own) // len(mean)
    assert normalisation.unit == "dn" and list(normalisation.mean) == factor * mean
    if name.startswith("satlas"):  # 255 of a true-colour image are digital number 3,558
        std = [3558 if value == 255 else value for value in factor * std]
        assert normalisation.white == 0.3558
        assert normalisation.low == (0,) * len(own) and normalisation.high == (1,) * len(own)
    assert list(normalisation.std) == pytest.approx((len(own) // len(std)) * std, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_its_network_is_torchgeos_and_costs_what_is_declared(name):
    """At full size without memory: names and shapes, parameters, multiply-adds of 224 px, the file's size."""
    facts, teacher = REGISTRY.get("teacher", name).facts, meta(name)
    with torch.device("meta"):
        known = {key: value.shape for key, value in architecture(name).state_dict().items() if key not in HEADS}
        pixels = torch.empty(1, len(teacher.band_sets[teacher.first]), 224, 224)
    assert {key: value.shape for key, value in teacher.model.state_dict().items()} == known
    parameters = sum(value.numel() for value in teacher.parameters())
    assert round(parameters / 1e6, 1) == facts["parameters"]
    assert round(4 * parameters / 1e6) == facts["megabytes"]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        said = teacher.extract(pixels, teacher.first, ("late",))
    assert round(counter.get_total_flops() / 2e9, 1) == facts["gmacs"]
    cells = 224 // (32 if "vit" not in name else 14 if "14" in name else 16)
    assert said.get("late").shape == (1, teacher.width("default"), cells, cells)

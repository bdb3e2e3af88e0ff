"""CLIP's image towers are open_clip's own, whose checkpoints they load and whose vectors and maps they give."""

from __future__ import annotations

import pickle

import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deo_bench import libraries
from deo_bench.bands import BAND_SETS
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Images
from deo_bench.teachers import _clip
from tests.contract.backbones import REGISTRY, images

CARDS = {name: part.facts for name, part in REGISTRY.all("teacher").items() if name.startswith("clip_")}
PUBLISHED = [name for name, facts in CARDS.items() if "tag" in facts]
SMALL = {"width": 48, "heads": 3}
KINDS = {"clip_vitb16_openai": "ViT-B-16-quickgelu", "clip_vitb32_laion2b": "ViT-B-32", "clip_vitb16_siglip2": "siglip"}
TEXT = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_clip.ClipTeacher, "overrides", SMALL)


def reference(name):
    """open_clip's own model of both towers, narrow, with weights that are not as they were initialised."""
    config = open_clip.get_model_config(CARDS[name]["architecture"])
    vision = config["vision_cfg"]
    torch.manual_seed(1)
    if name.endswith("siglip2"):
        model = CustomTextCLIP(config["embed_dim"], vision, TEXT)
        fresh = _clip.SiglipTower(CARDS[name]["architecture"], None, SMALL, "test")
        model.visual.trunk = fresh.trunk
    else:
        vision = {**vision, "width": 48, "head_width": 16}
        model = CLIP(config["embed_dim"], vision, TEXT, quick_gelu=config.get("quick_gelu", False))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
    return model.eval()


def build(name, file=None, **options):
    return REGISTRY.build("teacher", name, options={"file": file and str(file), **options})


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_card_is_what_open_clip_says_of_its_weights(name):
    facts = CARDS[name]
    known = get_pretrained_cfg(facts["architecture"], facts["tag"])
    assert facts["weights"] == f"hub:{known['hf_hub'].rstrip('/')}"
    assert tuple(facts.get("mean", _clip.MEAN)) == tuple(known["mean"])
    assert tuple(facts.get("std", _clip.STD)) == tuple(known["std"])
    assert bool(known.get("quick_gelu")) == ("quickgelu" in facts["architecture"])
    assert facts["licence"] and facts["trained_on"] and facts["paper"] and facts["megabytes"] > 4 * facts["parameters"]


@pytest.mark.parametrize("name", CARDS)
def test_it_is_as_large_and_costs_what_is_declared(name, monkeypatch):
    monkeypatch.setattr(_clip.ClipTeacher, "overrides", {})
    with torch.device("meta"):
        teacher = REGISTRY.build("teacher", name, False)
        pixels = torch.empty(1, 3, 224, 224)
    assert round(sum(value.numel() for value in teacher.parameters()) / 1e6, 1) == CARDS[name]["parameters"]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        said = teacher.extract(pixels, "rgb", ("late",))
    assert round(counter.get_total_flops() / 2e9, 1) == CARDS[name]["gmacs"]
    assert said.get("default").shape[1] == teacher.width("default")
    assert list(teacher.levels.values()) == [teacher.tower.depth * share // 4 - 1 for share in (2, 3, 4)]


@torch.no_grad()
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_vectors_and_maps_are_those_of_the_library(name, normed, tmp_path):
    model = reference(name)
    save_file(model.state_dict(), tmp_path / "both.safetensors")
    teacher = build(name, tmp_path / "both.safetensors", normed=normed)
    batch = images(224, 224)
    said = teacher(batch, levels=("block_2", "early", "mid", "late"))
    pixels = teacher.prepare(batch)
    theirs = model.visual.forward_intermediates(pixels, indices=[2, 5, 8, 11], normalize_intermediates=normed)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(said.get("projected"), model.encode_image(pixels), **close)
    torch.testing.assert_close(said.get("projected"), theirs["image_features"], **close)
    for level, values in zip(("block_2", "early", "mid", "late"), theirs["image_intermediates"], strict=True):
        torch.testing.assert_close(said.get(level), values, **close)
    if normed:
        torch.testing.assert_close(said.get("mean"), said.get("late").mean((2, 3)), **close)
    if "siglip" not in name:
        torch.testing.assert_close(said.get("cls") @ model.visual.proj, said.get("projected"), **close)


@torch.no_grad()
@pytest.mark.parametrize("name", ["clip_vitb16_openai", "clip_vitb16_siglip2"])
def test_another_size_is_what_the_library_makes_of_resampled_positions(name, tmp_path):
    model = reference(name)
    save_file(model.state_dict(), tmp_path / "both.safetensors")
    teacher, batch = build(name, tmp_path / "both.safetensors"), images(96, 64)
    pixels = teacher.prepare(batch)
    if "siglip" in name:
        model.visual.trunk.set_input_size((96, 64))
    else:
        model.visual.grid_size, state = (6, 4), model.state_dict()
        state["visual.positional_embedding"] = reference(name).state_dict()["visual.positional_embedding"]
        open_clip.model.resize_pos_embed(state, model)
        model.visual.positional_embedding = torch.nn.Parameter(state["visual.positional_embedding"])
    said = teacher(batch, levels=("late",))
    torch.testing.assert_close(said.get("projected"), model.encode_image(pixels), atol=1e-5, rtol=1e-5)
    assert said.get("late").shape == (len(pixels), 48, 6, 4)


def test_quick_gelu_is_another_function_and_an_option(tmp_path):
    save_file(reference("clip_vitb16_openai").state_dict(), tmp_path / "both.safetensors")
    batch = images(64, 64)
    own = build("clip_vitb16_openai", tmp_path / "both.safetensors")(batch).get("default")
    other = build("clip_vitb16_openai", tmp_path / "both.safetensors", quick_gelu=False)(batch).get("default")
    again = build("clip_vitb16_laion2b", tmp_path / "both.safetensors", quick_gelu=True)(batch).get("default")
    assert not torch.allclose(own, other, atol=1e-3) and torch.equal(own, again)


def test_which_vector_is_meant_is_an_option():
    def default(name, **options):
        return REGISTRY.build("teacher", name, False, options=options).default

    assert [default("clip_vitb16_openai", pooling=place) for place in (None, "projected")] == ["cls", "projected"]
    assert [default("clip_vitb16_siglip2", pooling=place) for place in (None, "mean")] == ["projected", "mean"]
    with pytest.raises(UserError, match="clip_vitb16_siglip2: pooling = 'cls'.*no class token"):
        default("clip_vitb16_siglip2", pooling="cls")


def test_red_is_normalised_as_openai_did():
    teacher = REGISTRY.build("teacher", "clip_vitb16_openai", False)
    batch = Images(torch.full((1, 4, 32, 32), 1500.0), ("B02", "B03", "B08", "B04"), "dn")
    batch.pixels[:, 3] = 3000.0
    pixels = teacher.prepare(batch)
    red, blue = (1 - 0.48145466) / 0.26862954, (0.5 - 0.40821073) / 0.27577711
    torch.testing.assert_close(pixels[0, :, 0, 0][[0, 2]], torch.tensor([red, blue]))
    assert teacher.band_sets == {"rgb": BAND_SETS["rgb"]}


@pytest.mark.parametrize("name", ["clip_vitb32_remoteclip", "clip_vitb16_siglip2"])
def test_it_runs_in_bfloat16_without_a_gradient(name):
    teacher = REGISTRY.build("teacher", name, False).freeze()
    with torch.autocast("cpu", torch.bfloat16):
        said = teacher(images(64, 64), levels=("mid",))
    assert said.get("default").isfinite().all() and not said.get("mid").requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def put(tmp_path, monkeypatch, repository, filename):
    """Where the hub's cache would keep a file."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    path = folder / "snapshots" / ("a" * 40) / filename
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("filename", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_the_hubs_file_of_both_towers_loads(filename, tmp_path, monkeypatch):
    model = reference("clip_vitb16_dfn2b")
    path = put(tmp_path, monkeypatch, "apple/DFN2B-CLIP-ViT-B-16", filename)
    save_file(model.state_dict(), path) if path.suffix == ".safetensors" else torch.save(model.state_dict(), path)
    teacher = build("clip_vitb16_dfn2b")
    torch.testing.assert_close(teacher.tower.visual.proj, model.visual.proj)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not any("text" in key or "token_embedding" in key for key in teacher.state_dict())


def test_a_trainers_checkpoint_loads(tmp_path):
    """open_clip's trainer keeps an optimiser beside the state dict, whose names DDP puts `module.` before."""
    model = reference("clip_vitb32_georsclip")
    state = {f"module.{key}": value.half() for key, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "epoch_3.pt")
    teacher = build("clip_vitb32_georsclip", tmp_path / "epoch_3.pt")
    torch.testing.assert_close(teacher.tower.visual.conv1.weight, model.visual.conv1.weight.half().float())


class Code:
    def __reduce__(self):
        return print, ("never",)


def spoil(kind, path, model):
    state = model.state_dict()
    if kind == "another width":
        state["visual.conv1.weight"] = torch.zeros(64, 3, 16, 16)
    if kind == "no image tower":
        state = {key: value for key, value in state.items() if not key.startswith("visual.")}
    if kind == "a block too few":
        state = {key: value for key, value in state.items() if "resblocks.11" not in key}
    torch.save(state, path) if kind != "code" else path.write_bytes(pickle.dumps({"state_dict": Code()}))
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("another width", r"visual.conv1.weight has shape \(64, 3, 16, 16\)"),
        ("no image tower", "it has no image tower"),
        ("a block too few", r"it lacks visual.transformer.resblocks.11"),
        ("truncated", "fetch it again"),
        ("code", "pickled objects or code"),
    ],
)
def test_what_is_not_whole_or_not_its_own_is_refused(kind, told, tmp_path, capsys):
    spoil(kind, tmp_path / "own.pt", reference("clip_vitb16_openai"))
    with pytest.raises(UserError, match=told) as caught:
        build("clip_vitb16_openai", tmp_path / "own.pt")
    assert "own.pt" in str(caught.value) and "\n" not in str(caught.value) and "never" not in capsys.readouterr().out


def test_without_weights_or_library_it_says_what_brings_them(monkeypatch, tmp_path):
    with pytest.raises(
        MissingInput, match="clip_vitl14_remoteclip: no weights are named; name its weights, file = PATH"
    ):
        build("clip_vitl14_remoteclip")
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(MissingInput, match=r"needs open_clip, which is not installed; pip install 'deo-bench\[clip\]'"):
        build("clip_vitb16_openai")


def test_the_untrained_control_takes_the_architecture_of_one_from_a_file():
    control = REGISTRY.build("teacher", "random", options={"like": "clip_vitb32_remoteclip", "seed": 3})
    assert control(images(64, 64)).get("default").shape[1] == 48

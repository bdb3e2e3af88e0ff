"""CLIP's image towers are open_clip's own, whose checkpoints they load and whose vectors and maps they give."""

from __future__ import annotations

import functools
import pickle

import open_clip
import pytest
import timm
import torch
from huggingface_hub import constants
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deo_bench import libraries
from deo_bench.bands import BAND_SETS
from deo_bench.data.same import is_same_data_set
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Images
from deo_bench.teachers import _clip
from deo_bench.teachers.clip import ENTRIES
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
        narrow = functools.partial(timm.create_model, embed_dim=48, num_heads=3)
        with pytest.MonkeyPatch.context() as patch:  # open_clip has no way to make timm's towers small
            patch.setattr(timm, "create_model", narrow)
            model = CustomTextCLIP(config["embed_dim"], vision, TEXT)
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
    assert known["interpolation"] == _clip.INTERPOLATION


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_whole(name):
    """The file is of both towers in float32; a licence that is only on a page has that page beside it."""
    facts = CARDS[name]
    assert facts["trained_on"] and facts["paper"] and tuple(facts["filename"]) == _clip.FILES
    assert (facts["licence"] == "see its page") == ("licence_url" in facts)
    if facts["weights"] == "file":
        return
    config = open_clip.get_model_config(facts["architecture"])
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    with torch.device("meta"):
        whole = kind(**config)
    assert round(4 * sum(value.numel() for value in whole.parameters()) / 1e6) == facts["megabytes"]


def test_tasks_that_a_remote_sensing_teacher_has_seen_are_known_by_their_names():
    def has_seen(name, data_set):
        return any(is_same_data_set(known, data_set) for known in CARDS[name]["trained_on"])

    for size in ("vitb32", "vitl14", "vith14"):
        assert has_seen(f"clip_{size}_georsclip", "bigearthnet") and has_seen(f"clip_{size}_georsclip", "fmow-sentinel")
        assert not has_seen(f"clip_{size}_georsclip", "eurosat")
    assert has_seen("clip_vitb32_remoteclip", "uc-merced") and not has_seen("clip_vitb32_openai", "uc-merced")


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
    norm = model.visual.trunk.norm if "siglip" in name else model.visual.ln_post
    cells = said.get("late").flatten(2).transpose(1, 2)
    torch.testing.assert_close(said.get("mean"), (cells if normed else norm(cells)).mean(1), **close)
    fewer = teacher(batch, levels=("early",))
    assert all(torch.equal(fewer.get(place), said.get(place)) for place in (*teacher.pooled_dims, "early"))
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


@torch.no_grad()
@pytest.mark.parametrize("name", ["clip_vitb16_openai", "clip_vitb16_siglip2"])
def test_images_are_resized_as_the_weights_own_were(name):
    teacher, batch = REGISTRY.build("teacher", name, False), images(33, 48)
    pixels = teacher.prepare(batch)
    cubic = functional.interpolate(pixels, (48, 48), mode="bicubic", align_corners=False, antialias=True)
    said, expected = teacher(batch, levels=("mid",)), teacher.extract(cubic, "rgb", ("mid",))
    assert said.get("mid").shape[2:] == (3, 3)
    torch.testing.assert_close(said.get("mid"), expected.get("mid"))
    larger = REGISTRY.build("teacher", name, False, options={"size": 64})
    assert larger(images(32, 48), levels=("late",)).get("late").shape[2:] == (4, 6)


def test_a_size_leaves_no_trace(tmp_path):
    """Positions stand in for one call: what is said of other sizes afterwards is the same as before."""
    save_file(reference("clip_vitb16_openai").state_dict(), tmp_path / "both.safetensors")
    teacher = build("clip_vitb16_openai", tmp_path / "both.safetensors")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    large, small = images(96, 96), images(32, 64)
    first = teacher(large).get("default")
    teacher(small)
    assert torch.equal(teacher(large).get("default"), first)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_quick_gelu_is_another_function_and_an_option(tmp_path):
    save_file(reference("clip_vitb16_openai").state_dict(), tmp_path / "both.safetensors")
    batch = images(64, 64)
    own = build("clip_vitb16_openai", tmp_path / "both.safetensors")(batch).get("default")
    other = build("clip_vitb16_openai", tmp_path / "both.safetensors", quick_gelu=False)(batch).get("default")
    again = build("clip_vitb16_laion2b", tmp_path / "both.safetensors", quick_gelu=True)(batch).get("default")
    assert not torch.allclose(own, other, atol=1e-3) and torch.equal(own, again)
    with pytest.raises(UserError, match="clip_vitb16_siglip2: quick_gelu = True: its tower is timm's"):
        REGISTRY.build("teacher", "clip_vitb16_siglip2", False, options={"quick_gelu": True})


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
    assert len(teacher.state_dict()) == len(model.visual.state_dict())
    monkeypatch.setitem(ENTRIES["clip_vitb16_dfn2b"], "checksum", "0" * 8)
    with pytest.raises(UserError, match=f"{filename} has checksum .* its source states 00000000"):
        build("clip_vitb16_dfn2b")


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
    if kind == "code":
        path.write_bytes(pickle.dumps({"state_dict": Code()}, protocol=2))
    else:
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize("filename", ["own.pt", "own.safetensors"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("another width", r"visual.conv1.weight has shape \(64, 3, 16, 16\)"),
        ("no image tower", "it has no image tower"),
        ("a block too few", r"it lacks visual.transformer.resblocks.11"),
        ("truncated", "fetch it again"),
        ("code", "pickled objects or code|not a whole safetensors file"),
    ],
)
def test_what_is_not_whole_or_not_its_own_is_refused(kind, told, filename, tmp_path, capsys):
    spoil(kind, tmp_path / filename, reference("clip_vitb16_openai"))
    with pytest.raises(UserError, match=told) as caught:
        build("clip_vitb16_openai", tmp_path / filename)
    assert filename in str(caught.value) and "\n" not in str(caught.value) and "never" not in capsys.readouterr().out


def test_without_weights_or_library_it_says_what_brings_them(monkeypatch, tmp_path):
    with pytest.raises(
        MissingInput, match="clip_vitl14_remoteclip: no weights are named; name its weights, file = PATH"
    ):
        build("clip_vitl14_remoteclip")
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(MissingInput, match=r"needs open_clip, which is not installed; pip install 'deo-bench\[clip\]'"):
        build("clip_vitb16_openai")


@torch.no_grad()
@pytest.mark.parametrize("like", ["clip_vitb32_remoteclip", "clip_vitb16_siglip2"])
def test_the_untrained_control_takes_the_architecture(like):
    def control(seed):
        return REGISTRY.build("teacher", "random", options={"like": like, "seed": seed})(batch).get("default")

    batch = images(64, 64)
    said = control(3)
    assert said.shape[1] == 48 and torch.equal(said, control(3)) and not torch.allclose(said, control(4), atol=1e-2)
    assert not torch.allclose(said[0], said[1], atol=1e-3)

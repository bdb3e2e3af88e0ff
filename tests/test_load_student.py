"""`load_student`: a plain module that gives what the engine gives, or one line that says why not."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

import deo_bench
from deo_bench.bands import convert
from deo_bench.data import Pack, Places
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.export import KEY, _digest, exported
from deo_bench.engine.plain import PlainStudent
from deo_bench.engine.stored import stored_student
from deo_bench.errors import UserError
from deo_bench.recipe import StudentTable
from deo_bench.registry import Registry
from deo_bench.store import Run, Store
from tests.tiny import encode

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(trained: Any) -> Run:
    place, name = trained
    return Store(place.store).run(name)


@pytest.fixture(scope="module")
def pack(trained: Any) -> Pack:
    place, _ = trained
    data = Registry().build("data", "npz", options={"paths": ["tiny.npz"], "unit": "dn"})
    made: Pack = data.pack(Places.of(place.store, place.data))
    return made


@pytest.fixture(scope="module")
def file(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "student.safetensors"
    path.write_bytes(exported(run, Registry())[0])
    return path


@pytest.fixture
def images(pack: Pack) -> Tensor:
    return torch.from_numpy(np.asarray(pack.images[:7], dtype=np.float32))


@pytest.mark.parametrize("bands", ["s2_10", "rgb"])
def test_it_gives_what_the_engine_scores(run: Run, pack: Pack, file: Path, images: Tensor, bands: str) -> None:
    protocol = Registry().load("protocol", "scenes-v1")("native", size=None).record
    wanted = encode(stored_student(run, Registry()), pack, bands, protocol, CPU)[:7]
    model = deo_bench.load_student(file)
    shown = images if bands == "s2_10" else images[:, [2, 1, 0]]
    # Dividing by 10,000 rounds otherwise than the engine's factor, which alone moves features by 1e-6.
    reflectance = convert(shown, "dn", "reflectance")
    assert np.abs(model(reflectance, sees=bands).detach().numpy() - wanted).max() < 1e-6
    as_dn = deo_bench.load_student(file, unit="dn")
    assert np.abs(as_dn(shown, sees=bands).detach().numpy() - wanted).max() < 1e-6
    in_store = deo_bench.load_student(run.path)
    assert np.abs(in_store(reflectance, sees=bands).detach().numpy() - wanted).max() < 1e-6
    assert np.ptp(wanted, axis=0).max() > 1e-3, "images that all look the same would prove nothing"


@pytest.mark.parametrize("unit", ["reflectance", "dn"])
def test_what_it_declares_is_what_it_does(file: Path, images: Tensor, unit: Any) -> None:
    model = deo_bench.load_student(file, unit=unit)
    x = images if unit == "dn" else images / 10_000
    assert (model.unit, len(model.bands), model.num_features, model.training) == (unit, 10, 16, False)
    by_hand = (x - torch.tensor(model.mean).view(1, -1, 1, 1)) / torch.tensor(model.std).view(1, -1, 1, 1)
    assert by_hand.mean().abs() < 0.2 and 0.5 < by_hand.std() < 2
    torch.testing.assert_close(model(by_hand.float(), normalise=False), model(x), atol=1e-5, rtol=0)


def test_ema_weights_are_others(run: Run, images: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "ema.safetensors"
    path.write_bytes(exported(run, Registry(), "ema")[0])
    model, own = deo_bench.load_student(path), deo_bench.load_student(run.path)
    x = images / 10_000
    torch.testing.assert_close(model(x), deo_bench.load_student(run.path, weights="ema")(x), atol=1e-6, rtol=0)
    assert not torch.allclose(model(x), own(x), atol=1e-6)
    with pytest.raises(UserError, match="holds ema weights, not student"):
        deo_bench.load_student(path, weights="student")


TABLES = {
    "vit": {"use": "vit_nano", "options": {"width": 16, "depth": 3, "heads": 2, "size": 16, "pooling": "cls"}},
    "moe": {"use": "vit_moe_nano", "options": {"width": 16, "depth": 3, "heads": 2, "size": 16, "experts": 3}},
    "injected": {"use": "vit_injected_nano", "options": {"width": 16, "depth": 3, "heads": 2, "size": 16}},
    "swin": {"use": "swin_tiny", "options": {"width": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "window": 2}},
}
LAYOUT = {"vit": (2, 5, 16), "moe": (2, 4, 16), "injected": (2, 4, 16), "swin": (2, 2, 2, 64)}


def plain(family: str, **options: Any) -> PlainStudent:
    """A student of a family as it is initialised, for images of 16 pixels (Swin: 64)."""
    given = {**TABLES[family]["options"], **options}  # type: ignore[dict-item]
    table = StudentTable.model_validate(
        {"use": TABLES[family]["use"], "options": given, "bands": ["rgb"], "stem": {"use": "dual"}}
    )
    statistics = Statistics(("B04", "B03", "B02"), "reflectance", [0.1] * 3, [0.1] * 3)
    return PlainStudent(build_student(table, statistics, Registry(), 0).eval(), {})


@pytest.mark.parametrize("family", TABLES)
def test_every_family_has_timms_habits(family: str) -> None:
    model = plain(family)
    x = torch.rand(2, 3, 64, 64) if family == "swin" else torch.rand(2, 3, 16, 16)
    last = model.forward_features(x)
    assert last.shape == LAYOUT[family]
    torch.testing.assert_close(model.forward_head(last), model(x))
    final, maps = model.forward_intermediates(x)
    torch.testing.assert_close(final, last)
    assert len(maps) == (4 if family == "swin" else 3)
    (late,) = model.forward_intermediates(x, indices=["late"], intermediates_only=True)
    (deepest,) = model.forward_intermediates(x, indices=1, intermediates_only=True)
    back, front = model.forward_intermediates(x, indices=[-1, 0], output_fmt="NLC", intermediates_only=True)
    assert torch.equal(late, deepest) and torch.equal(maps[-1], late)
    assert torch.equal(back, late.flatten(2).mT) and torch.equal(front, maps[0].flatten(2).mT)
    # Normed by the final norm, the last map is what the tokens are.
    cells = late.flatten(2).mT
    normed = model.student.norm(cells)  # type: ignore[operator]
    tokens = last.flatten(1, 2) if family == "swin" else last[:, -cells.shape[1] :]
    torch.testing.assert_close(normed, tokens)


def test_it_trains_and_goes_through_torchs_own_doors(file: Path, images: Tensor, tmp_path: Path) -> None:
    model, x = deo_bench.load_student(file), images / 10_000
    before = model(x).detach()
    through = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(through(x), before, atol=1e-6, rtol=0)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    model(x).square().sum().backward()
    optimiser.step()
    assert model.training and not torch.allclose(model.eval()(x), before, atol=1e-4)
    model.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(model(x), before)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m, x: m(x[:, :3]), "expected images [B, 10, H, W] of B02, B03"),
        (lambda m, x: m(x[0]), "expected images [B, 10, H, W]"),
        (lambda m, x: m(x, sees="rbg"), "did you mean 'rgb'?"),
        (lambda m, x: m(x[..., :12, :12]), "patch 8 does not divide images of 12 x 12"),
        (lambda m, x: m.forward_intermediates(x, indices=[2]), "there is no level 2, there are 2"),
        (lambda m, x: m.forward_intermediates(x, indices=3), "indices = 3: there are 2 levels"),
        (lambda m, x: m.forward_intermediates(x, indices=["block_9"]), "block_9"),
        (lambda m, x: m.forward_intermediates(x, output_fmt="NHWC"), "there are NCHW and NLC"),
    ],
)
def test_a_wrong_call_is_one_line(file: Path, images: Tensor, call: Callable[..., Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        call(deo_bench.load_student(file), images)
    assert told in str(error.value) and "\n" not in str(error.value)


def forged(content: bytes, change: Callable[[dict[str, Any], dict[str, Tensor]], None], is_signed: bool) -> bytes:
    """The file with something changed, signed anew as a forger would or left as damage leaves it."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    told, state = json.loads(header["__metadata__"][KEY]), load(content)
    change(told, state)
    if is_signed:
        told["digest"] = _digest(told, state)
    return save(state, metadata={KEY: json.dumps(told)})


def tensor(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    state["norm.weight"][0] += 1


def mean(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["statistics"]["mean"][0] = 0.5


def shape(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    state["norm.weight"] = state["norm.weight"][:-1].clone()


def precision(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    state["norm.weight"] = state["norm.weight"].double()


def missing(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    del state["norm.weight"]


def more(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    state["zzz"] = torch.zeros(2)


def huge(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["student"]["options"]["width"] = 2 * 10**6


def option(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["student"]["options"]["withd"] = 16


def part(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["student"]["use"] = "vit_nana"


def version(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["parts"]["student vit_nano"] = "7"


def short(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["statistics"]["mean"] = [0.1]


def no_student(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["student"] = ["vit_nano"]


def later(told: dict[str, Any], state: dict[str, Tensor]) -> None:
    told["format"] = 99


@pytest.mark.parametrize(
    ("change", "is_signed", "line"),
    [
        (tensor, False, "damaged, or changed since it was exported"),
        (mean, False, "damaged, or changed since it was exported"),
        (shape, True, "norm.weight is (15,) float32, the student that it says it is wants (16,) float32"),
        (precision, True, "norm.weight is (16,) float64"),
        (missing, True, "it lacks norm.weight"),
        (more, True, "it has zzz"),
        (huge, True, "wants (2000000,)"),
        (option, True, "has no option 'withd', did you mean 'width'?"),
        (part, True, "did you mean 'vit_nano'?"),
        (version, True, "was made by version 7 of student vit_nano, here is 1"),
        (short, True, "its metadata describe no student"),
        (no_student, True, "its metadata describe no student"),
        (later, True, "has format 99, this deo-bench reads 1"),
    ],
)
def test_a_changed_file_is_refused_in_one_line(
    file: Path, tmp_path: Path, change: Callable[..., None], is_signed: bool, line: str
) -> None:
    path = tmp_path / "student.safetensors"
    path.write_bytes(forged(file.read_bytes(), change, is_signed))
    refused(path, line)


def refused(path: Path, line: str) -> None:
    with pytest.raises(UserError) as error:
        deo_bench.load_student(path)
    assert line in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_torn_or_anothers_is_refused(file: Path, run: Run, tmp_path: Path) -> None:
    path, content = tmp_path / "x.safetensors", file.read_bytes()
    for kept in (0, 5, 400, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        refused(path, "not a whole safetensors file")
    path.write_bytes(pickle.dumps({"a": torch.zeros(3)}))
    refused(path, "not a whole safetensors file")
    path.write_bytes(save({"a": torch.zeros(3)}))
    refused(path, "is no exported student")
    path.write_bytes(save({"a": torch.zeros(3)}, metadata={KEY: "[1]"}))
    refused(path, "is no exported student")
    path.write_bytes(run.weights().read_bytes())
    refused(path, "is no exported student; `deo-bench export RUN` writes one")
    refused(tmp_path / "nowhere", "is not there")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no exported student")


def test_an_unknown_unit_or_weights_is_refused(file: Path, run: Run) -> None:
    with pytest.raises(UserError, match="unknown unit 'percent'"):
        deo_bench.load_student(file, unit="percent")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="there are student and ema"):
        deo_bench.load_student(run.path, weights="teacher")


def test_it_needs_no_data_and_no_store(file: Path, tmp_path: Path) -> None:
    code = "import deo_bench, sys; assert 'torch' not in sys.modules; "
    code += f"print(deo_bench.load_student({str(file)!r}).bands)"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0 and "B8A" in told.stdout, told.stderr
    assert not list(tmp_path.iterdir())

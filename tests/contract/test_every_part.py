"""Every part of the project, of the shelves and of the test parts keeps the contract that `deo-bench check` holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deo_bench.engine import contract
from deo_bench.engine.contract import backbones
from deo_bench.features import Images
from deo_bench.registry import Registry

ROOT = Path(__file__).parents[2]
SHELVES = [path for folder in ("losses", "teachers", "students") for path in (ROOT / folder / "examples").glob("*.py")]
OWN = [path for path in sorted((ROOT / "tests" / "parts").glob("*.py")) if path.stem in ("losses", "balances")]
REGISTRY = Registry([*SHELVES, *OWN])
LARGE = {"swin_base", "vit_base", "vit_base8", "timm", "random"}
PARTS = [
    pytest.param(kind, name, marks=[pytest.mark.slow] if name in LARGE else [])
    for kind in contract.kinds()
    for name, declared in REGISTRY.all(kind).items()
    if "requires" not in declared.facts  # of code that the user brings; their own tests bring some
]
Write = Callable[..., Path]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_it_keeps_its_contract(kind: str, name: str) -> None:
    broken = [finding for finding in contract.check(REGISTRY, kind, name) if finding.problem]
    assert not broken


def test_what_is_too_large_is_counted_whole_and_checked_narrow() -> None:
    declared = REGISTRY.get("teacher", "dinov3_vit7b16")
    teacher = backbones.build_teacher(REGISTRY, declared, {})
    assert teacher.counted == 6_716_030_976 and len(teacher.model.blocks) == 40
    assert sum(value.numel() for value in teacher.parameters()) < 4e6
    wrong = replace(declared, facts={**declared.facts, "parameters": 6000.0})
    with pytest.raises(contract.BrokenContract, match=r"6000.0 million are declared, it has 6716.03"):
        backbones.is_as_large_as_declared(teacher, wrong)


@pytest.mark.parametrize(
    "name", [n for n, part in REGISTRY.all("student").items() if "gmacs" in part.facts and n not in LARGE]
)
def test_a_student_costs_what_it_declares(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm.layers

    # Fused attention on the CPU is not counted.
    timm.layers.set_fused_attn(False)
    try:
        student = backbones.build_student(REGISTRY, REGISTRY.get("student", name), {})
    finally:
        timm.layers.set_fused_attn(True)
    images = Images(torch.rand(1, 3, 224, 224), student.band_sets["rgb"], "reflectance")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        student(images, "rgb")
    assert counter.get_total_flops() / 2e9 == pytest.approx(REGISTRY.get("student", name).facts["gmacs"], abs=0.05)


@pytest.mark.parametrize("name", sorted(LARGE & set(REGISTRY.all("student")) - {"timm"}))
def test_a_large_student_is_counted_without_memory(name: str) -> None:
    facts = REGISTRY.get("student", name).facts
    with torch.device("meta"):
        student = backbones.build_student(REGISTRY, REGISTRY.get("student", name), {})
        pixels = torch.empty(1, 3, 224, 224)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        student.extract(pixels, "rgb", ())
    assert round(counter.get_total_flops() / 2e9, 1) == facts["gmacs"]
    assert round(sum(value.numel() for value in student.parameters()) / 1e6, 1) == facts["parameters"]


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_the_catalogue_says_what_every_architecture_costs(kind: str) -> None:
    """Blank only where it depends on an option, on another run, or on code that the user brings."""
    free = {"timm", "random", "checkpoint"} | {name for name in REGISTRY.all(kind) if "radio" in name}
    for name, declared in REGISTRY.all(kind).items():
        facts = declared.facts
        is_own = kind == "student" or str(facts.get("weights", "")).partition(":")[0] in ("hub", "file")
        if is_own and name not in free and not declared.content:
            assert facts.get("parameters", 0) > 0 and facts.get("gmacs", 0) > 0, name
            assert kind == "student" or facts["weights"] == "file" or facts["megabytes"] > 0, name


BROKEN = {
    "loss": (
        """
import torch
from deo_bench.losses import PairLoss, loss

@loss("own", zero_at_target=True)
class Own(PairLoss):
    '''It is not zero at its target, draws from the global generator, and remembers in forward.'''

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def pair(self, student, target):
        self.seen += 1
        return (student.detach().flatten(1).mean(1) * torch.rand(()) + student.flatten(1).mean(1)).float()
""",
        {
            "zero where student and target agree",
            "torch's global generator",
            "changes no buffer",
            "float64 stays float64",
        },
    ),
    "head": (
        """
from torch import nn
from deo_bench.heads import Head, head

@head("own")
class Own(Head):
    '''Its width is wrong, and a parameter is not used.'''

    def __init__(self, in_width, out_width):
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.unused = nn.Linear(2, 2)

    def forward(self, features):
        return features
""",
        {"becomes [B, P]", "every parameter"},
    ),
    "target": (
        """
import torch
from torch import nn
from deo_bench.targets import Target, target

@target("own")
class Own(Target):
    '''It remembers the last chunk only, outside its state, and trains.'''

    def __init__(self, width):
        super().__init__()
        self.width, self.last, self.scale = width, 0.0, nn.Parameter(torch.ones(()))

    def fit(self, features):
        for chunk in features:
            self.last = chunk.mean()

    def forward(self, features):
        return (features - self.last) * self.scale
""",
        {"no trained parameters", "saved and loaded"},
    ),
    "balance": (
        """
import torch
from torch import nn
from deo_bench.balance import Balance, balance

@balance("own")
class Own(Balance):
    '''It leaves out a term and keeps one of weight 0, runs its own backward, draws, and remembers outside its state.'''

    def __init__(self, terms):
        super().__init__(terms)
        self.seen = 0

    def backward(self, losses, weights, shared, run_backward):
        self.seen += 1
        values = torch.stack([losses[name] for name in self.terms[1:]])
        total = (values * torch.rand(len(values))).sum() * self.seen
        total.backward(retain_graph=True)
        run_backward(0 * total)
        return total
""",
        {
            "Gradients reach the student, every head",
            "one finite number, detached",
            "scales the loss, every gradient is scaled",
            "whose weight is 0 at a step teaches nothing",
            "single term",
            "its state saved and loaded",
            "torch's global generator",
        },
    ),
    "stem": (
        """
from torch import nn
from deo_bench.students import Stem, stem

@stem("own")
class Own(Stem):
    '''Its grid is that of the pixels, and it claims what is shared.'''

    def __init__(self, band_sets, width, patch):
        super().__init__(band_sets, width, patch)
        self.layers = nn.ModuleDict({name: nn.Conv2d(len(bands), width, 1) for name, bands in band_sets.items()})

    def forward(self, pixels, sees):
        return self.layers[sees](pixels)

    def parameters_of(self, sees):
        return list(self.layers.parameters())
""",
        {"tokens [B, D, H/patch, W/patch]", "reached by that set's pass"},
    ),
    "teacher": (
        """
import torch
from torch import nn
from deo_bench.normalisation import Normalisation
from deo_bench.features import Features
from deo_bench.teachers import Teacher, teacher

@teacher("own")
class Own(Teacher):
    '''No card, it trains, its mean is of the batch, and it leaves a prefix token in its map.'''

    def __init__(self):
        super().__init__()
        self.band_sets = {"rgb": ("B04", "B03", "B02")}
        self.normalisations = {"rgb": Normalisation("reflectance", (0.1,) * 3, (0.1,) * 3)}
        self.pooled_dims, self.levels = {"mean": 3}, {"late": 0}
        self.layer = nn.Conv2d(3, 3, 8, 8)

    def freeze(self):
        return self

    def train(self, mode=True):
        return nn.Module.train(self, mode)

    def map_width(self, level):
        return 3

    def stride(self, level):
        return 8

    def extract(self, pixels, sees, levels):
        cells = self.layer(pixels - pixels.mean(0, keepdim=True))
        return Features({"mean": cells.mean((2, 3))}, {level: cells.flatten(2)[..., None] for level in levels})
""",
        {"card says", "evaluation mode", "do not depend on its company", "widths and strides that it declares"},
    ),
}


MIXED = """
import torch
from torch import nn
from deo_bench.students import Stem, stem

@stem("own", groups=True)
class Own(Stem):
    '''Both of its groups see all bands.'''

    def __init__(self, band_sets, width, patch):
        super().__init__(band_sets, width, patch)
        self.layers = nn.ModuleDict({name: nn.Conv2d(len(of), width, patch, patch) for name, of in band_sets.items()})

    def forward(self, pixels, sees):
        return torch.stack([self.layers[sees](pixels)] * 2, 2)

    def groups_of(self, sees):
        return 2

    def encodings_of(self, sees):
        return torch.zeros(2, self.width)

    def parameters_of(self, sees):
        return list(self.layers[sees].parameters())
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("nothing", "nothing", "reaches 2 groups of 2"),
        (", groups=True", "", "2 groups of s2_10 without the fact groups=True"),
        ("return 2", "return 1", "the tokens of s2_10"),
        ("torch.zeros(2, self.width)", "torch.zeros(2)", "the groups' encodings of s2_10"),
    ],
)
def test_a_stem_whose_groups_are_none_is_found(old: str, new: str, told: str, part_file: Write) -> None:
    found = contract.check(Registry([part_file(MIXED.replace(old, new))]), "stem", "own")
    problems = [str(finding.problem) for finding in found if finding.problem]
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("kind", BROKEN)
def test_what_breaks_a_contract_is_found(kind: str, part_file: Write) -> None:
    text, expected = BROKEN[kind]
    broken = [found.rule for found in contract.check(Registry([part_file(text)]), kind, "own") if found.problem]
    for words in expected:
        assert any(words in rule for rule in broken), f"{words!r} is not among {broken}"

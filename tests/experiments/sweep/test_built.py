"""What a constructor refuses is one line before the first trial, without data and without weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deo_bench.errors import UserError
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.grid import cells_of
from deo_bench.experiments.sweep.built import Tried, check_built
from deo_bench.experiments.sweep.space import space_of
from deo_bench.experiments.sweep.space_checks import check_space
from tests.experiments.sweep.conftest import BASE

OPTICAL = """
[teachers.optical]
use = "{use}"
{more}
[objective.optical]
loss = "{loss}"
toward = "optical"
sees = "rgb"
"""


def built(folder: Path, space: str, more: str = "", base: str = BASE) -> None:
    """The checks of a sweep of a recipe whose data are nowhere."""
    (folder / "e.toml").write_text(f"{base}\n{more}\n[sweep.space]\n{space}\n")
    experiment = read_experiment(str(folder / "e.toml"))
    read, cells = space_of(experiment), cells_of(experiment)
    assert experiment.settings.sweep is not None
    check_space(read, experiment.settings.sweep, experiment, cells)
    check_built(read, experiment, cells)


REFUSED = [
    ("student.heads = { low = 1, high = 4, integer = true }", "", "student.heads: 3 is refused: student 'vit_nano'"),
    (
        "student.heads = [2, 3]",
        "",
        "student.heads: 3 is refused: student 'vit_nano': width 16 is not a multiple of heads 3",
    ),
    (
        "views.global.size = { low = 16, high = 24, step = 2, integer = true }",
        "",
        "views.global.size: 18 is refused: student 'vit_nano': patch 8 does not divide images of 18 x 18",
    ),
    ('objective.maps.on = ["late", "block_9"]', "", "objective.maps.on: 'block_9' is refused: objective.maps.on: "),
    ('objective.maps.on = [["late"], ["mid", "block_9"]]', "", "objective.maps.on: ['mid', 'block_9'] is refused"),
    (
        'objective.maps.loss = ["cosine", "vid"]\n'
        'objective.maps.initial = { low = 1e-9, high = 1.0, log = true, when = { objective.maps.loss = "vid" } }',
        "",
        "objective.maps.initial: 1e-09 is refused (with objective.maps.loss = 'vid'): loss 'vid': initial = 1e-09 has",
    ),
    (
        "student.depth = [2, 3]",
        "[grid]\nstudent.heads = [2, 3]\n[sweep]",
        "e.toml: the recipe in the cell 'heads=3': student 'vit_nano': width 16 is not a multiple of heads 3",
    ),
    (
        "student.heads = [2, 4]",
        "[grid]\nstudent.width = [16, 18]\n[sweep]",
        "student.heads: 4 is refused in the cell 'width=18': student 'vit_nano': width 18 is not a multiple of heads 4",
    ),
    (
        'objective.optical.head = [{ use = "linear" }, "none"]',
        OPTICAL.format(use="dinov2_vitb14", more="", loss="cosine"),
        "objective.optical.head: 'none' is refused: objective.optical: default is 16 wide and the target from",
    ),
    (
        "objective.optical.initial = { low = 1e-9, high = 1.0, log = true }",
        OPTICAL.format(use="run", more='run = "000000000000-s0"', loss="vid"),
        "objective.optical.initial: 1e-09 is refused: loss 'vid': initial = 1e-09 has to be above",
    ),
]


@pytest.mark.parametrize(("space", "more", "said"), REFUSED, ids=[space[:40] for space, _, _ in REFUSED])
def test_what_a_constructor_refuses_is_one_line(tmp_path: Path, space: str, more: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        built(tmp_path, space, more)
    told = str(refused.value)
    assert said in told and told.startswith(f"{tmp_path / 'e.toml'}: ") and len(told.splitlines()) == 1, told


def test_a_part_of_a_users_own_is_built_with_values_where_it_needs_them(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "from torch.nn import functional as F\n"
        "from deo_bench.losses import PairLoss, loss\n\n\n"
        '@loss("own", takes="both", dimension_free=True)\n'
        "class Own(PairLoss):\n"
        '    """A loss."""\n\n'
        "    def __init__(self, *, most: float = 1.0) -> None:\n"
        "        super().__init__()\n"
        "        if torch.tensor(most).sqrt().item() > 2:\n"
        '            raise ValueError("most is above 4")\n\n'
        "    def pair(self, student, target):\n"
        "        return F.mse_loss(student, target)\n"
    )
    base = BASE.replace("seeds = [0, 1]", 'seeds = [0]\nparts = ["own.py"]').replace('"cosine"', '"own"')
    built(tmp_path, "objective.maps.most = { low = 0.5, high = 4.0 }", base=base)
    with pytest.raises(UserError, match=r"objective.maps.most: 5.0 is refused: loss 'own': most is above 4"):
        built(tmp_path, "objective.maps.most = { low = 0.5, high = 5.0 }", base=base)


def test_what_can_be_built_passes_and_draws_nothing_from_the_global_generator(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    space = """
    student.stem = ["dual", { use = "wavelength", dim = 8 }]
    balance = ["fixed", "pcgrad"]
    heads.views.hidden = { low = 8, high = 16, integer = true }
    objective.maps.on = ["late", ["mid", "late"]]
    train.lr = { low = 1e-4, high = 1e-2, log = true }
    """
    built(tmp_path, space, OPTICAL.format(use="clip_vitb16_openai", more="", loss="cosine"))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", ["quickstart", "deo/losses-tiny", "systems/amoe-tiny", "systems/wedepth-tiny"])
def test_no_preset_is_refused(name: str) -> None:
    experiment = read_experiment(name)
    tried = Tried(experiment.registry)
    assert [tried(cell.recipe) for cell in cells_of(experiment)] == [None] * len(cells_of(experiment))


def test_recipes_that_are_built_alike_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    whole = Tried._build
    monkeypatch.setattr(Tried, "_build", lambda self, *given: (count.append(1), whole(self, *given))[1])
    built(tmp_path, "train.lr = { low = 1e-4, high = 1e-2 }\nobjective.maps.weight = { low = 0.1, high = 1.0 }")
    assert len(count) == 1

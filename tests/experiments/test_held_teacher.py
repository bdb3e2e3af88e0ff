"""A student that holds a frozen teacher, and a frozen teacher beside students at probe time: made and told apart."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from deo_bench.data import Places
from deo_bench.engine.embed import joined
from deo_bench.engine.evaluate import Evaluator
from deo_bench.engine.stored import stored_student
from deo_bench.errors import MissingInput, StoreError, UserError
from deo_bench.experiments.answer import entries_of, scope_of, untrained_label
from deo_bench.experiments.named import runs_named
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.single import plan_of_one
from deo_bench.files import read_json, write_json
from deo_bench.probes import Fit, Select
from deo_bench.reports.build import build_tables
from deo_bench.reports.cells import Scores
from deo_bench.reports.frame import read_scores
from deo_bench.reports.wording import BLOCKS
from deo_bench.store import Store
from tests.experiments.conftest import Place, files
from tests.tiny import encode

TEACHER = """
[data]
use = "npz"
paths = ["tiny.npz"]
unit = "dn"
[views]
global = { count = 1, size = 16, scale = [0.4, 1.0] }
[student]
use = "vit_nano"
bands = ["rgb"]
width = 16
depth = 2
heads = 2
size = 16
[teachers.handmade]
use = "descriptors"
[objective.describe]
loss = "mse"
toward = "handmade"
pairs = "same"
crops = "global"
[train]
steps = 2
batch = 8
"""


def set_up(place: Place) -> Place:
    """One seed, one cell injecting and one not, and the teacher beside both."""
    (place.folder / "optical.toml").write_text(TEACHER)
    text = place.file.read_text().split("[grid]")[0].replace("seeds = [0, 1]", "seeds = [0, 1]\nfrozen_concat = [TOLD]")
    text = text.replace('[student]\nuse = "vit_nano"', '[student]\nuse = "vit_injected_nano"\nteacher = TOLD')
    text = text.replace('baselines = ["image_stats", "majority", "untrained"]', "baselines = [TOLD]")
    text = text.replace("TOLD", '{ use = "run", recipe = "optical.toml" }')
    place.file.write_text(f'{text}\n[grid]\nstudent.teacher.use = ["none", "run"]\n')
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Carried out; to be read, not changed."""
    place = set_up(Place(tmp_path_factory.mktemp("held")))
    outcome, _ = place.carry_out(place.plan())
    assert not outcome.failed
    return place


def injecting(plan: Plan) -> str:
    row = next(row for row in plan.rows if row.recipe is not None and row.recipe.student.teacher is not None)
    return row.subjects[0][1]


def test_the_teacher_is_trained_first_and_once(place: Place) -> None:
    plan = set_up(place).plan()
    optical = [run for run in plan.runs.values() if run.depth]
    assert len(optical) == 1 and optical[0].recipe.student.bands == ("rgb",)
    assert [len(cohort) for cohort in plan.cohorts()] == [1, 2, 2]
    assert plan.cohorts()[0][0] is optical[0]
    assert runs_named(str(place.file), place.store, place.data) == frozenset(plan.runs)


def test_a_teacher_that_only_a_student_holds_is_trained_first_too(place: Place) -> None:
    set_up(place)
    kept = [line for line in place.file.read_text().splitlines() if not line.startswith(("frozen_concat", "baselines"))]
    place.file.write_text("\n".join(["baselines = []", *kept]))
    plan = place.plan()
    assert sorted(run.depth for run in plan.runs.values()) == [0, 0, 0, 0, 1]
    assert len({row.kind for row in plan.rows}) == 1


def test_it_is_part_of_who_the_run_is(place: Place) -> None:
    before = set_up(place).plan()
    (place.folder / "optical.toml").write_text(TEACHER.replace("steps = 2", "steps = 3"))
    after = place.plan()
    assert injecting(before) != injecting(after)
    assert before.rows[0].subjects == after.rows[0].subjects, "a run without the teacher has another name"
    bounds = [
        {subject for row in plan.rows if row.kind == "bound" for _, subject in row.subjects} for plan in (before, after)
    ]
    assert not bounds[0] & bounds[1]


def test_the_untrained_student_is_one_and_needs_no_teacher(place: Place) -> None:
    set_up(place)
    place.file.write_text(place.file.read_text().replace("baselines = [", 'baselines = ["untrained", '))
    plan = place.plan()
    (untrained,) = [row for row in plan.rows if row.label == "untrained"]
    assert untrained.recipe is not None and untrained.recipe.student.teacher is None
    assert untrained_label(plan) == "untrained"


def test_it_is_carried_out_and_nothing_is_left(made: Place) -> None:
    plan = made.plan()
    assert not plan.runs_to_do() and not plan.scores_to_do()
    run = plan.store.run(injecting(plan))
    contents = read_json(run.path / "recipe.json")
    assert contents["weights"]["student"] == next(name for name, each in plan.runs.items() if each.depth)
    stored = stored_student(run, plan.experiment.registry)
    assert stored.held is not None and len(stored.projections) == 2
    assert not any("held" in name for name in torch.nn.Module.state_dict(stored))
    optical = plan.store.run(contents["weights"]["student"])
    theirs = stored_student(optical, plan.experiment.registry).state_dict()
    mine = stored.held.teacher.backbone.state_dict()
    assert all(theirs[name].equal(mine[name]) for name in theirs)


def test_what_it_was_taught_by_is_needed_to_score_it(made: Place, tmp_path: Path) -> None:
    plan = made.plan()
    run = plan.store.run(injecting(plan))
    contents = read_json(run.path / "recipe.json")
    away = Store(tmp_path)
    (tmp_path / run.name).mkdir()
    for path in run.path.glob("*.*"):
        (tmp_path / run.name / path.name).write_bytes(path.read_bytes())
    with pytest.raises(MissingInput, match="is missing"):
        stored_student(away.run(run.name), plan.experiment.registry)
    other = {**contents, "weights": {**contents["weights"], "student": "0" * 64}}
    other["recipe"] = copy.deepcopy(contents["recipe"])
    other["recipe"]["student"]["teacher"] = {"use": "descriptors", "options": {}}
    write_json(tmp_path / run.name / "recipe.json", other)
    with pytest.raises(StoreError, match="'descriptors' has other weights"):
        stored_student(away.run(run.name), plan.experiment.registry)


def test_a_stored_run_that_holds_a_teacher_is_scored_by_its_name(made: Place) -> None:
    plan = made.plan()
    task = {"use": "npz", "path": "tiny.npz", "name": "again", "unit": "dn"}
    one = plan_of_one(injecting(plan), [task], ["scenes-v1"], made.store, made.data)
    outcome, _ = made.carry_out(one)
    assert outcome.scored == 3 and not outcome.failed


def bound_and_plain(plan: Plan) -> tuple[str, str]:
    cell = next(row for row in plan.rows if row.kind == "cell")
    bound = next(row for row in plan.rows if row.kind == "bound")
    assert bound.label == f"{cell.label} + run"
    return bound.subjects[0][1], cell.subjects[0][1]


def test_every_cell_has_a_second_row_with_scores_of_its_own(made: Place) -> None:
    plan = made.plan()
    kinds = [row.kind for row in plan.rows]
    assert kinds == ["cell", "cell", "bound", "bound", "baseline"]
    bound, plain = bound_and_plain(plan)
    scores = read_scores(made.store)
    mine = scores[(scores["subject"] == bound) & (scores["task"] == "tiny")]
    assert len(mine) == 3 and set(mine["seed"]) == {0} and mine["run"].isna().all()
    theirs = scores[(scores["subject"] == plain) & (scores["task"] == "tiny")].set_index("probe")["value"]
    assert not mine.set_index("probe")["value"].equals(theirs)


def test_its_probes_see_both_backbones_vectors(made: Place) -> None:
    plan = made.plan()
    bound, plain = bound_and_plain(plan)
    registry, cpu = plan.experiment.registry, torch.device("cpu")
    requests = [one for one in plan.requests if one.subject == bound]
    evaluator = Evaluator(registry, Places.of(made.store, made.data), cpu)
    pack, protocol = evaluator.pack(requests[0]), requests[0].protocol
    optical = next(name for name, run in plan.runs.items() if run.depth)
    blocks = [
        encode(stored_student(plan.store.run(name), registry), pack, bands, protocol, cpu)
        for name, bands in ((plain, "s2_10"), (optical, "rgb"))
    ]
    fit = pack.splits["fit"]
    scaled = []
    for block in blocks:
        centred = block - block[fit].mean(0)
        scaled.append(centred / np.sqrt((centred[fit] ** 2).sum(1).mean()))
    expected = np.concatenate(scaled, 1)
    np.testing.assert_allclose(joined(blocks, fit), expected, rtol=1e-4, atol=1e-5)
    rows = {role: np.asarray(pack.splits[role]) for role in ("fit", "select", "report")}
    vectors = joined(blocks, fit)
    assert pack.labels is not None
    for request in requests:
        found = np.load(plan.store.subject(bound).score_path(request.stem).with_suffix(".npz"))["scores"]
        probe = registry.build("probe", request.probe_part.use, options=request.probe_part.options)
        sides = {role: (vectors[rows[role]], pack.labels[rows[role]]) for role in ("fit", "select")}
        prediction = probe.predict(Fit(*sides["fit"]), Select(*sides["select"]), vectors[rows["report"]], 3, False)
        np.testing.assert_allclose(found, prediction.scores, atol=1e-5)


def test_a_block_keeps_its_geometry_and_none_rules() -> None:
    draws = np.random.default_rng(0)
    small, large = draws.normal(5, 0.01, (40, 3)).astype(np.float32), draws.normal(0, 100, (40, 30)).astype(np.float32)
    both = joined([small, large], np.arange(20))
    assert both.shape == (40, 33) and both.dtype == np.float32
    for block, part in ((small, both[:, :3]), (large, both[:, 3:])):
        assert np.trace(np.cov(part[:20].T, bias=True)) == pytest.approx(1, rel=1e-4)
        ratio = np.linalg.norm(part[:5, None] - part[5:10], axis=-1) / np.linalg.norm(
            block[:5, None] - block[5:10], axis=-1
        )
        assert ratio == pytest.approx(ratio[0, 0], rel=1e-2)
    assert joined([np.ones((4, 2), np.float32)], np.arange(2)).tolist() == [[0, 0]] * 4


def test_the_table_shows_it_as_a_bound_and_not_as_a_cell(made: Place) -> None:
    plan = made.plan()
    entries, scope = entries_of(plan), scope_of(plan)
    every = build_tables(Scores(read_scores(made.store), entries, scope), entries, scope)
    tables = [table for table in every if table.bands == "s2_10"]
    assert len(tables) == 3
    for table in tables:
        shown = [row.label for row in table.block("bound")]
        assert shown == [f"{row.label} + run" for row in table.block("cell")]
        assert all(cell.estimate and cell.estimate.seeds == 2 for row in table.block("bound") for cell in row.cells)
        assert not any(cell.is_best or cell.notes for row in table.block("bound") for cell in row.cells)
    assert any("bound" in kinds and "a frozen teacher beside it" in heading for heading, kinds in BLOCKS)


def test_the_same_again_does_nothing(made: Place) -> None:
    before = files(made.store)
    outcome, events = made.carry_out(made.plan())
    assert events == [] and outcome.encoded == 0 and files(made.store) == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("frozen_concat = [", 'frozen_concat = ["ema", ', "frozen_concat: expected a frozen teacher .* got 'ema'"),
        ("frozen_concat = [", 'frozen_concat = ["dinov9", ', "frozen_concat.use: unknown teacher 'dinov9'"),
        (
            'use = "vit_injected_nano"',
            'use = "vit_nano"',
            "student.teacher: student 'vit_nano' takes no teacher; those",
        ),
        ('["none", "run"]', '["none", "ema"]', "student.teacher: expected a frozen teacher"),
        (
            'student.teacher.use = ["none", "run"]',
            'student.teacher = ["ema"]',
            "expected a frozen teacher .* got 'ema'",
        ),
    ],
)
def test_what_cannot_be_is_one_line(place: Place, old: str, new: str, told: str) -> None:
    set_up(place)
    place.file.write_text(place.file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=told):
        place.plan()

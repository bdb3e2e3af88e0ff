"""Equal budgets, against closed forms and against what runs put on record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deo_bench.data import Places
from deo_bench.engine import compute
from deo_bench.errors import UserError
from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.launch import Launch
from deo_bench.experiments.plan import make_plan
from deo_bench.experiments.sweep.budget import FILE, Costs, with_budget
from deo_bench.experiments.sweep.settings import Budget
from deo_bench.recipe import Identifier, resolve
from deo_bench.registry import Registry
from deo_bench.store import Store
from tests.engine.test_compute import vit_macs
from tests.experiments.conftest import Place
from tests.tiny import EXPERIMENT, recipe

REGISTRY = Registry()


def costs(place: Place) -> Costs:
    return Costs(REGISTRY, Places.of(place.store, place.data), Store(place.store))


def steps(place: Place, budget: Budget | None, **changes: Any) -> int:
    tables = with_budget(recipe(**changes), budget, costs(place), "x.toml")
    return int(tables["train"]["steps"])


def test_steps_and_images_by_their_closed_form(place: Place) -> None:
    assert steps(place, None) == 6
    assert steps(place, Budget(steps=40)) == 40
    assert [steps(place, Budget(images=400), train={"batch": batch}) for batch in (8, 16, 24, 32)] == [50, 25, 17, 13]
    assert steps(place, Budget(images=4), train={"batch": 8}) == 1


def test_pflops_by_the_closed_form_and_the_nearest_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_KNOWN", {})
    # As `test_compute` has it: two global crops and a local one, three passes each, and the moving average.
    image = 2 * (3 * (2 * vit_macs(16, 10) + vit_macs(8, 10)) + 2 * vit_macs(16, 10))
    for batch in (8, 16):
        given = {"train": {"batch": batch}}
        step = image * batch / 1e15
        found = [steps(place, Budget(pflops=share * step), **given) for share in (1.0, 9.9, 10.4, 10.6)]
        assert found == [1, 10, 10, 11]
        with pytest.raises(UserError, match=r"x\.toml: sweep\.budget: pflops = .* is less than half a step.*more"):
            steps(place, Budget(pflops=0.4 * step), **given)


def test_cells_of_different_cost_get_different_steps_and_spend_the_same_pflops(place: Place) -> None:
    text = place.file.read_text().partition("[grid]")[0]
    place.file.write_text(text.replace('baselines = ["image_stats", "majority", "untrained"]', "baselines = []"))
    spent = {}
    for depth, batch in ((1, 8), (2, 8), (4, 16)):
        experiment = read_experiment(str(place.file), (f"student.depth={depth}", f"train.batch={batch}"), (0,))
        one = with_budget(experiment.recipe, Budget(pflops=1.5e-7), costs(place), "x.toml")
        cost = costs(place).of_step(resolve(one, REGISTRY)) / 1e15
        plan = make_plan(
            read_experiment(
                str(place.file),
                (f"student.depth={depth}", f"train.batch={batch}", f"train.steps={one['train']['steps']}"),
                (0,),
            ),
            place.store,
            place.data,
        )
        plan.requests.clear()
        (name,) = (row.subjects[0][1] for row in plan.rows if row.kind == "cell")
        list(Launch(plan, "cpu").events())
        info = plan.store.run(name).info
        assert abs(info["compute"]["train_pflops"] - 1.5e-7) <= 0.501 * cost, "to the nearest step, as put on record"
        spent[depth] = info["steps"]
    assert len(set(spent.values())) == 3 and spent[1] > spent[2] > spent[4] > 5


def test_the_budget_is_in_the_recipes_identity(place: Place) -> None:
    identifier = Identifier(REGISTRY, Places.of(place.store, place.data))

    def name(budget: Budget) -> str:
        return identifier.digest(resolve(with_budget(recipe(), budget, costs(place), "x"), REGISTRY))

    assert name(Budget(steps=50)) == name(Budget(images=400)) != name(Budget(images=408))


def test_a_teacher_that_is_a_run_need_not_be_trained_to_be_counted(place: Place) -> None:
    optical = {"use": "tiny_optical"}
    term = {"loss": "cosine", "toward": "optical", "sees": "rgb", "on": "mean"}
    one, other = (
        resolve(recipe(teachers={"optical": optical}, heads={}, objective={"optical": each}), REGISTRY)
        for each in (term, {**term, "weight": 0.5})
    )
    counted = costs(place)
    found = counted.of_step(one)
    table = counted._frozen._teachers  # type: ignore[union-attr]
    assert found > 0 and len(table) == 1 and not list(place.store.glob("*-s*"))
    assert counted.of_step(other) == found and len(counted._known) == 1, "weights of terms cost nothing"


def test_a_recipe_that_trains_nothing_spends_nothing(place: Place) -> None:
    tables = with_budget(recipe(objective={}, heads={}, teachers={}), Budget(pflops=1.0), costs(place), "x")
    assert resolve(tables, REGISTRY).train.steps == 0


def test_what_was_counted_is_kept_once_it_is_asked_for_and_builds_nothing_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (resolve(recipe(train={"batch": batch}), REGISTRY) for batch in (8, 16))
    counted, path = costs(place), place.store / "sweeps" / FILE
    first = counted.of_step(one)
    assert not path.parent.exists(), "looking makes nothing"
    counted.keep()
    second = counted.of_step(other)
    assert sorted(json.loads(path.read_text()).values()) == [first, second]

    with monkeypatch.context() as patched:
        patched.setattr(Costs, "_counted", lambda *_: pytest.fail("was counted again"))
        again = costs(place)
        assert [again.of_step(each) for each in (one, other)] == [first, second]
        text, again = path.read_text(), costs(place)
        again.of_step(one)
        again.keep()
        assert path.read_text() == text, "what others counted stays"

    others = [text.replace(str(first), other) for other in (f'"{first}"', "true", "-1")]
    for torn in (text[: len(text) // 2], "[1]", *others):
        path.write_text(torn)
        again = costs(place)
        again.keep()
        assert again.of_step(one) == first and first in json.loads(path.read_text()).values()


def test_what_a_run_that_teaches_is_made_of_counts(place: Place) -> None:
    file = place.folder / "teacher.toml"
    text = EXPERIMENT[EXPERIMENT.index("[data]") : EXPERIMENT.index("[grid]")]
    term = {"loss": "cosine", "toward": "optical", "sees": "rgb", "on": "mean"}
    teachers = {"optical": {"use": "run", "recipe": str(file)}}
    found = set()
    for each in (text, text.replace("depth = 2", "depth = 3"), text.replace("width = 16", "width = 32")):
        file.write_text(each)
        one = resolve(recipe(teachers=teachers, heads={}, objective={"optical": term}), REGISTRY)
        found.add(json.dumps(costs(place)._told(one)))
    assert len(found) == 3


@pytest.mark.parametrize(
    ("given", "told"), [({}, "there is none"), ({"steps": 3, "images": 4}, "got steps and images")]
)
def test_one_budget_is_said(place: Place, given: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=rf"x\.toml: sweep\.budget: say one of steps, images, pflops; {told}"):
        steps(place, Budget(**given))


def test_what_cannot_be_counted_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise NotImplementedError("aten::mystery")

    monkeypatch.setattr(compute, "_count", fail)
    with pytest.raises(UserError, match="cannot be counted .*mystery.*; say images or steps in the place of pflops"):
        steps(place, Budget(pflops=1.0))

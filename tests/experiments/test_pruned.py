"""What was pruned can be made again, and nothing of it is other than it was."""

from __future__ import annotations

from deo_bench.store import removal
from deo_bench.store.prune import Wanted, look
from tests.experiments.conftest import Place, files


def test_a_pruned_run_is_trained_again_to_the_same_bytes_and_its_scores_still_count(place: Place) -> None:
    place.carry_out(place.plan())
    before = files(place.store)
    plan = place.plan()
    found = look(plan.store, plan.places.cache, Wanted(keep=frozenset(), cache=True))
    for item in found.items:
        removal.remove(plan.store, item)
    weights = {name for name in before if name.endswith(".safetensors")}
    assert weights and files(place.store) == {name: content for name, content in before.items() if name not in weights}
    plan = place.plan()
    assert len(plan.runs_to_do()) == len(plan.runs) and plan.scores_to_do() == []
    outcome, _ = place.carry_out(plan)
    assert outcome.trained == len(plan.runs) and outcome.scored == 0 and not outcome.failed
    assert files(place.store) == before
    assert not place.plan().runs_to_do()

"""What an experiment expects, from its file to comparisons of its rows; a mistake in it is one line, told at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deo_bench.errors import UserError
from deo_bench.experiments.answer import expected_of
from deo_bench.experiments.plan import Plan
from deo_bench.reports.declared import Expectation
from tests.experiments.conftest import Place
from tests.tiny import EXPERIMENT, write_npz

HELD = '[[expect]]\nbetter = "weight=1.0"\nthan = "untrained"\nwhy = "it is trained"\n'


def declared(place: Place, text: str, *overrides: str, **given: bool) -> list[Expectation]:
    """The expectations of the tiny experiment with these tables at its end."""
    place.file.write_text(f"{EXPERIMENT}\n{text}")
    return expected_of(place.plan(*overrides, **given))


def beside_cache(place: Place) -> list[str]:
    """What is in the store beside what planning keeps there."""
    return sorted({path.name for path in place.store.glob("*")} - {"cache"})


def pairs(expectations: list[Expectation]) -> list[tuple[str, str]]:
    return [(one.ours, one.theirs) for each in expectations for one in each.comparisons]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where files are written and planned, and nothing is run."""
    return Place(tmp_path_factory.mktemp("planned"))


def test_every_pair_on_every_task_is_a_comparison_with_what_the_experiment_says_first(shared: Place) -> None:
    (one,) = declared(shared, '[[expect]]\nbetter = "weight=*"\nthan = ["untrained", "image_stats"]\nby = -0.5\n')
    assert one.words == "weight=* not worse than untrained and image_stats by more than 0.5 points"
    assert pairs([one]) == [
        ("weight=0.0", "untrained"), ("weight=0.0", "image_stats"),
        ("weight=1.0", "untrained"), ("weight=1.0", "image_stats"),
    ]  # fmt: skip
    first = one.comparisons[0]
    assert (first.tasks, first.protocol, first.probe, first.bands) == (("tiny",), "scenes-v1", "knn5_l2", "s2_10")
    assert (first.weights, first.partition, first.by, first.within) == ("student", "default", -0.005, None)
    assert len({each.digest for each in one.comparisons}) == 4


def test_a_pattern_passes_over_the_row_itself_and_means_cells_before_others(shared: Place) -> None:
    assert pairs(declared(shared, '[[expect]]\nbetter = "weight=1.0"\nthan = "*"\n')) == [("weight=1.0", "weight=0.0")]
    assert pairs(declared(shared, '[[expect]]\nalike = "weight=?.0"\nwithin = 1\n')) == [("weight=0.0", "weight=1.0")]
    assert pairs(declared(shared, '[[expect]]\nbetter = "weight=1.0"\nthan = "image*"\n'))[0][1] == "image_stats"


def test_a_label_with_brackets_is_a_label_first(shared: Place) -> None:
    label = "scale=[0.4, 1.0]"
    cells = f'[[cells]]\nname = "{label}"\n[[cells]]\nname = "scale=0"\ntrain.steps = 7\n'
    grid = EXPERIMENT.replace("[grid]\nobjective.expand.weight = [0.0, 1.0]", cells)
    shared.file.write_text(f"{grid}\n[[expect]]\nbetter = {label!r}\nthan = 'untrained'\n")
    assert pairs(expected_of(shared.plan())) == [(label, "untrained")]


def test_together_is_one_comparison_and_else_each_task_one(shared: Place) -> None:
    write_npz(shared.data, "other.npz", seed=5)
    two = EXPERIMENT.replace(
        "tasks = [", 'tasks = [{ use = "npz", path = "other.npz", name = "other", unit = "dn", groups = "place" }, '
    )
    made = {}
    for together in ("true", "false"):
        shared.file.write_text(f"{two}\n{HELD}together = {together}\n")
        made[together] = [one.tasks for one in expected_of(shared.plan())[0].comparisons]
    assert made == {"true": [("other", "tiny")], "false": [("other",), ("tiny",)]}


def test_bands_are_named_where_both_rows_are_scored_on_several(shared: Place) -> None:
    both = ("bands=['s2_10', 'rgb']",)
    with pytest.raises(UserError, match=r"expect\.0: bands is missing; name one or more of s2_10, rgb"):
        declared(shared, HELD, *both)
    (one,) = declared(shared, HELD + 'bands = ["rgb", "s2_10"]\n', *both)
    assert [each.bands for each in one.comparisons] == ["rgb", "s2_10"]
    assert len({each.digest for each in one.comparisons}) == 2


def test_the_majority_class_is_there_under_any_bands(shared: Place) -> None:
    """Its one score is under the largest of the students' sets, and stands beside a student of another."""
    cells = '[[cells]]\nname = "rgb"\nstudent.bands = ["rgb"]\n[[cells]]\nname = "ten"\nstudent.bands = ["s2_10"]\n'
    text = EXPERIMENT.replace("[grid]\nobjective.expand.weight = [0.0, 1.0]", cells)
    shared.file.write_text(f'{text}\n[[expect]]\nbetter = ["rgb", "ten"]\nthan = "majority class"\n')
    assert [one.bands for one in expected_of(shared.plan())[0].comparisons] == ["rgb", "s2_10"]


def test_untrained_is_also_the_cell_that_is(shared: Place) -> None:
    text = EXPERIMENT.replace("objective.expand.weight = [0.0, 1.0]", "train.steps = [0, 6]")
    shared.file.write_text(f'{text}\n[[expect]]\nbetter = "steps=6"\nthan = "untrained"\n')
    assert pairs(expected_of(shared.plan())) == [("steps=6", "steps=0")]


TWO = 'better = "weight=1.0"\nthan = "untrained"\n'
MISTAKES = {
    "": r"expect\.0: lacks 'better'; say `better` and `than`, or",
    'better = "weight=1.0"': r"expect\.0: has 'better' and lacks 'than'; say",
    'than = "weight=1.0"': r"expect\.0: has 'than' and lacks 'better'; say",
    'alike = ["weight=0.0", "weight=1.0"]': r"expect\.0: has 'alike' and lacks 'within'",
    "within = 1": r"expect\.0: has 'within' and lacks 'alike'",
    TWO + 'within = 1': r"expect\.0: says two things",
    'alike = ["weight=0.0", "untrained"]\nwithin = 1\nby = 1': r"expect\.0: says two things",
    'beter = "weight=1.0"\nthan = "untrained"': r"expect\.0\.beter: unknown key, did you mean 'better'\?",
    'better = "weigt=1.0"\nthan = "untrained"':
        r"expect\.0\.better: no row is called 'weigt=1\.0', did you mean 'weight=1\.0'\?",
    'better = "wheight=*"\nthan = "untrained"': r"expect\.0\.better: no row matches 'wheight=\*'",
    'better = "weight=1.0"\nthan = "untraind"':
        r"expect\.0\.than: no row is called 'untraind', did you mean 'untrained'\?",
    'better = "weight=1.0"\nthan = "weight=1.0"': r"expect\.0: 'weight=1\.0' is compared with itself",
    'better = "weight=1.0"\nthan = "*1.0"': r"expect\.0: 'weight=1\.0' is compared with itself alone",
    'better = "*"\nthan = "*"': r"are each to be better than the other",
    'alike = "weight=1.0"\nwithin = 1': r"expect\.0\.alike: 'weight=1\.0' is one row",
    'better = ["weight=1.0", "weight=1.0"]\nthan = "untrained"': r"better: 'weight=1\.0' is there twice",
    'better = []\nthan = "untrained"': r"expect\.0\.better: has to have 1 or more values",
    'better = 3\nthan = "untrained"': r"expect\.0\.better: has to be a list, got 3",
    'better = ""\nthan = "untrained"': r"expect\.0\.better.*is empty",
    TWO + 'by = inf': r"expect\.0\.by: has to be a finite number",
    TWO + 'by = nan': r"expect\.0\.by: has to be a finite number",
    TWO + 'by = "1"': r"expect\.0\.by: has to be a number",
    TWO + 'by = 101': r"expect\.0\.by: has to be less than or equal to 100",
    'alike = "weight=*"\nwithin = 0': r"expect\.0\.within: has to be greater than 0",
    'alike = "weight=*"\nwithin = -1': r"expect\.0\.within: has to be greater than 0",
    'alike = "weight=*"\nwithin = inf': r"expect\.0\.within: has to be a finite number",
    TWO + 'tasks = "tinny"': r"expect\.0\.tasks: unknown task 'tinny', did you mean 'tiny'\?",
    TWO + 'probe = "knn5"': r"expect\.0\.probe: unknown probe 'knn5', did you mean",
    TWO + 'protocol = "scene-v1"': r"expect\.0\.protocol: unknown protocol .*'scenes-v1'",
    TWO + 'weights = "ema"': r"expect\.0\.weights: unknown weights 'ema'",
    TWO + 'bands = "rgb"': r"expect\.0\.bands: 'weight=1\.0' is not scored on 'rgb' of task",
    TWO + 'partition = "0.01x"': r"expect\.0\.partition: unknown partition",
    TWO + 'together = "yes"': r"expect\.0\.together: has to be",
    HELD.removeprefix("[[expect]]\n") + HELD:
        r"expect\.1: 'weight=1\.0' and 'untrained' are compared so already, in expect\.0",
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_before_anything_runs(shared: Place, text: str) -> None:
    with pytest.raises(UserError, match=MISTAKES[text]) as caught:
        declared(shared, f"[[expect]]\n{text}\n")
    assert str(shared.file) in str(caught.value) and "\n" not in str(caught.value)
    assert not beside_cache(shared)


def test_what_a_setting_removes_is_named_with_a_way_out(shared: Place) -> None:
    with pytest.raises(UserError, match=r"expect\.0\.better: no row is called 'weight=1\.0'.* --set expect=\[\]"):
        declared(shared, HELD, "grid.objective.expand.weight=[0.0, 0.5]")
    assert declared(shared, HELD, "grid.objective.expand.weight=[0.0, 0.5]", "expect=[]") == []


def test_two_names_of_one_run_are_not_compared(shared: Place) -> None:
    cells = EXPERIMENT.replace("[grid]\nobjective.expand.weight = [0.0, 1.0]", "")
    cells += '[[cells]]\nname = "a"\n[[cells]]\nname = "b"\nobjective.expand.weight = 1.0\n'
    shared.file.write_text(f'{cells}\n[[expect]]\nbetter = "a"\nthan = "b"\n')
    with pytest.raises(UserError, match="'a' and 'b' are one and the same run"):
        expected_of(shared.plan())


def test_more_comparisons_than_could_ever_be_decided_are_refused(shared: Place) -> None:
    many = EXPERIMENT.replace("[0.0, 1.0]", str([i / 64 for i in range(64)]))
    shared.file.write_text(f'{many}\n[[expect]]\nalike = "weight=*"\nwithin = 1\n')
    with pytest.raises(UserError, match="2,016 pairs of rows, more than 1,000"):
        expected_of(shared.plan())


def test_plan_and_run_say_a_mistake_with_status_2_and_write_nothing(
    shared: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    from deo_bench.cli import main

    shared.file.write_text(f"{EXPERIMENT}\n{HELD.replace('=1.0', '=2.0')}")
    for command in ("plan", "run"):
        given = [command, str(shared.file), "--store", str(shared.store), "--data", str(shared.data)]
        with pytest.raises(SystemExit) as ended:
            main(given)
        told = capsys.readouterr()
        assert ended.value.code == 2 and "no row is called 'weight=2.0'" in told.err, command
        assert len(told.err.strip().splitlines()) == 1
    assert not beside_cache(shared)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from(["weight=*", "untrained", "*", "", "[", "s2_10"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["better", "by"]), inner, max_size=2),
    max_leaves=4,
)
KEYS = ["better", "than", "by", "alike", "within", "tasks", "together", "bands", "probe", "why", "protocol", "more"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.dictionaries(st.sampled_from(KEYS), ANY, max_size=5))
def test_whatever_is_written_is_comparisons_or_one_line(planned: Plan, table: dict[str, Any]) -> None:
    from dataclasses import replace

    from deo_bench.experiments.file import checked_settings

    try:
        made = checked_settings({"expect": [table]}, "any.toml")
        given = planned.experiment.settings.model_copy(update={"expect": made.expect})
        plan = replace(planned, experiment=replace(planned.experiment, settings=given))
        found = expected_of(plan)
    except UserError as error:
        assert "expect" in str(error) and "\n" not in str(error)
    else:
        assert all(one.digest and one.ours != one.theirs for each in found for one in each.comparisons)


@pytest.fixture(scope="module")
def planned(shared: Place) -> Plan:
    shared.file.write_text(EXPERIMENT)
    return shared.plan()


def test_what_is_compared_names_a_record_and_nothing_else_does(shared: Place) -> None:
    def digest(text: str, *overrides: str) -> str:
        return declared(shared, text, *overrides)[0].comparisons[0].digest

    same = digest(HELD)
    assert digest(HELD.replace("it is trained", "another reason"), "seeds=[5, 6, 7]", "title='x'") == same
    assert digest(HELD + 'bands = "s2_10"\nprobe = "knn5_l2"\ntogether = true\n') == same
    others = [
        digest(HELD + "by = 1\n"), digest(HELD + 'probe = "linear"\n'), digest(HELD, "train.steps=7"),
        digest(HELD.replace("untrained", "image_stats")), digest(HELD.replace("1.0", "0.0")),
        digest('[[expect]]\nbetter = "untrained"\nthan = "weight=1.0"\n'),
    ]  # fmt: skip
    assert len({same, *others}) == 7
    alike = [
        '[[expect]]\nalike = ["{}", "{}"]\nwithin = 1\n'.format(*each)
        for each in (("weight=0.0", "weight=1.0"), ("weight=1.0", "weight=0.0"))
    ]
    assert digest(alike[0]) == digest(alike[1])


def test_what_is_left_out_is_not_an_error_and_says_so(shared: Place) -> None:
    text = EXPERIMENT.replace('"image_stats", ', '"image_stats", "dinov2_vitb14", ')
    text = text.replace(
        "[grid]\nobjective.expand.weight = [0.0, 1.0]",
        '[[cells]]\nname = "plain"\n[[cells]]\nname = "lost"\ndata.paths = ["lost.npz"]\n',
    )
    shared.file.write_text(
        f'{text}\n[[expect]]\nbetter = ["plain", "lost"]\nthan = "untrained"\n'
        '[[expect]]\nbetter = "plain"\nthan = "dinov2_vitb14"\n'
    )
    first, second = expected_of(shared.plan(skip_missing=True))
    assert [(one.ours, one.left_out) for one in first.comparisons] == [("plain", ""), ("lost", "lost is left out")]
    assert [one.left_out for one in second.comparisons] == ["dinov2_vitb14 is left out"]

"""What a part file declares is read without importing it, and what it declares wrongly is said with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deo_bench.declarations import REQUIRED, Declaration, Option, read_declarations
from deo_bench.errors import UserError

Write = Callable[..., Path]

PART = '''
raise RuntimeError("reading must not run this")

@loss("huber", paper="https://example.org", zero_at_target=True)
class Huber(PairLoss):
    """Squared near zero, linear far away.

    More.
    """

    version = 3

    def __init__(self, delta=9.0, *, near: float = 1.0, shape: Literal["a", "b"] = "a", sizes: list[int] = (1, 2)):
        pass
'''

FAMILY = '''
ENTRIES = {
    "tower_small": {"summary": "A small tower.", "options": {"width": 8}},
    "tower_large": {"licence": "MIT"},
}

class Base(Teacher):
    def __init__(self, name, *, width: int = 16, weights: Path | None = None):
        pass

@teacher(ENTRIES, licence="Apache-2.0")
class Tower(Base):
    """A tower."""
'''


def only(path: Path, **options: bool) -> Declaration:
    (declared,) = read_declarations(path, "own", **options)
    return declared


def test_a_part_is_read_without_running_it(part_file: Write) -> None:
    declared = only(part_file(PART))
    assert (declared.kind, declared.name, declared.version) == ("loss", "huber", 3)
    assert declared.summary == "Squared near zero, linear far away."
    assert declared.facts == {"paper": "https://example.org", "zero_at_target": True}
    assert declared.origin.endswith("own.py:5")
    assert declared.identity == "3"


def test_options_are_the_keyword_only_arguments(part_file: Write) -> None:
    options = only(part_file(PART)).options
    assert {name: option.default for name, option in options.items()} == {"near": 1.0, "shape": "a", "sizes": [1, 2]}


def test_the_content_of_a_users_own_file_is_its_identity(part_file: Write) -> None:
    first = only(part_file(PART), own=True).identity
    second = only(part_file(PART + "\n# changed\n"), own=True).identity
    assert first.startswith("3+") and first != second


def test_a_family_is_one_literal(part_file: Write) -> None:
    small, large = read_declarations(part_file(FAMILY), "own")
    assert (small.name, small.summary, small.facts["licence"]) == ("tower_small", "A small tower.", "Apache-2.0")
    assert (large.name, large.summary, large.facts["licence"]) == ("tower_large", "A tower.", "MIT")
    assert small.is_family and small.attribute == "Tower"
    assert small.options["width"].default == 8 and large.options["width"].default == 16
    assert small.options["weights"].is_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@loss(\n", r"own\.py:1: not valid Python"),
        ("@loss(name)\nclass A: pass", r"own\.py:2: a part's decorator takes a name, or a family's literal"),
        ("@loss()\nclass A: pass", r"own\.py:2: a part's decorator takes"),
        ("@loss('a', paper=where())\nclass A: pass", r"own\.py:2: .* literal facts"),
        ("@loss('a')\nclass A:\n  def __init__(self, *, b=c()): pass", r"own\.py:2: the default of option 'b'"),
        ("E = {'a': {'options': {'x': 1}}}\n@loss(E)\nclass A: pass", r"own\.py:3: an entry sets x, which are no opti"),
        (
            "@loss('a')\nclass A:\n  def __init__(self, *, weight=1.0): pass",
            "loss 'a' has an option 'weight', which is",
        ),
        ("@head('a')\nclass A:\n  def __init__(self, *, width=1): pass", "head 'a' has an option 'width'"),
        ("@task('a')\nclass A:\n  def __init__(self, *, use=1): pass", "task 'a' has an option 'use'"),
    ],
)
def test_what_is_declared_wrongly_is_said_with_its_line(part_file: Write, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_declarations(part_file(text), "own")


def test_a_part_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.py: cannot be read"):
        read_declarations(tmp_path / "nowhere.py", "own")


@pytest.mark.parametrize(
    ("annotation", "given", "checked"),
    [
        ("float", 1, 1.0),
        ("int", 2.0, 2),
        ("int | None", None, None),
        ("float | str", "auto", "auto"),
        ("Positive | None", 2, 2.0),
        ("list[float]", [1, 2.5], [1.0, 2.5]),
        ("tuple[int, int]", [3, 4], [3, 4]),
        ("Path", "weights.safetensors", Path("weights.safetensors")),
        ('Literal["cross", "same"]', "same", "same"),
        ("bool", False, False),
        ("Any", "5", "5"),
    ],
)
def test_a_value_becomes_what_the_option_says(annotation: str, given: object, checked: object) -> None:
    value = Option("eps", annotation).check(given, "objective.expand")
    assert value == checked and type(value) is type(checked)


@pytest.mark.parametrize(
    ("annotation", "given", "said"),
    [
        ("float", "0.5", r"objective\.expand\.eps: expected float, got '0.5'"),
        ("float", True, r"objective\.expand\.eps: expected float, got True"),
        ("int", 1.5, r"objective\.expand\.eps: .*integer.* \(expected int, got 1.5\)"),
        ("Positive", 0, r"greater than 0"),
        ("Fraction", 1.5, r"less than or equal to 1"),
        ("Count", 0, r"greater than or equal to 1"),
        ('Literal["cross", "same"]', "samee", r"'cross' or 'same'"),
        ("float", None, r"expected float, got None"),
        ("Sequence[int]", [1], r"an option's type is made of .*; 'Sequence\[int\]' is not"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(annotation: str, given: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Option("eps", annotation).check(given, "objective.expand")


def test_an_option_without_a_default_is_required(part_file: Write) -> None:
    declared = only(part_file("@task('a')\nclass A:\n  def __init__(self, *, path: Path): pass"))
    assert declared.options["path"].default is REQUIRED

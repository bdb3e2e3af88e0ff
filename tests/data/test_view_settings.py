"""What a recipe's `views` may say."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from deo_bench.data.view_settings import Views, of_view

TABLE = {
    "global": {"count": 2, "size": 224, "scale": [0.4, 1.0]},
    "local": {"count": 10, "size": 96, "scale": [0.05, 0.4]},
    "blur": [1.0, 0.1, 0.5],
}


def test_it_reads_a_recipes_table_and_writes_it_again():
    views = Views.model_validate(TABLE)
    assert (views.num_views, views.global_.size, views.local.count) == (12, 224, 10)
    written = json.loads(json.dumps(views.model_dump(mode="json", by_alias=True)))
    assert "global" in written and Views.model_validate(written) == views


def test_by_default_there_are_two_global_views_and_no_colours_change():
    views = Views()
    assert (views.num_views, views.local, views.is_photometric) == (2, None, False)
    assert Views.model_validate({"global": TABLE["global"]}) == views


@pytest.mark.parametrize("name", ["jitter", "grayscale", "blur", "solarise"])
def test_any_one_operation_makes_it_photometric(name):
    assert Views.model_validate({name: 0.1}).is_photometric


def test_views_come_global_first():
    places = [(group, number, crops.size) for group, number, crops in Views.model_validate(TABLE).crops()]
    assert places[:3] == [("global", 0, 224), ("global", 1, 224), ("local", 0, 96)]
    assert places[-1] == ("local", 9, 96) and len(places) == 12


def test_the_last_probability_holds_for_the_rest():
    views = Views.model_validate(TABLE)
    assert [of_view(views.blur, view) for view in (0, 1, 2, 3, 11)] == [1.0, 0.1, 0.5, 0.5, 0.5]
    assert Views(blur=0.3) == Views(blur=[0.3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global": {"count": 2, "size": 224, "scale": [0.6, 0.4]}}, "low to high"),
        ({"global": {"count": 2, "size": 224, "scale": [0.0, 0.4]}}, "low to high"),
        ({"global": {"count": 0, "size": 224, "scale": [0.4, 1]}}, "greater than or equal to 1"),
        ({"global": {"count": 2, "size": 224, "scale": [0.4, 1.5]}}, "less than or equal to 1"),
        ({"global": {"count": 2, "scale": [0.4, 1]}}, "required"),
        ({"blur": [0.1] * 13}, "13 probabilities for 12 views"),
        ({"blur": []}, "at least 1"),
        ({"blur": True}, "tuple"),
        ({"solarise": 1.2}, "less than or equal to 1"),
        ({"blur_sigma": [2.0, 0.1]}, "low to high"),
        ({"hue": 0.6}, "less than or equal to 0.5"),
        ({"interpolation": "nearest"}, "bilinear"),
        ({"locals": {}}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Views.model_validate({**TABLE, **change})


def test_planning_needs_no_torch():
    code = "import sys, deo_bench.data.view_settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

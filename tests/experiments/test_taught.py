"""A teacher whose bands the images lack is told before anything runs."""

from __future__ import annotations

import pytest

from deo_bench.errors import UserError
from tests.experiments.conftest import Place

OPTICAL = ("teachers.optical={use='random', like='LIKE'}", "objective.optical={loss='cosine', toward='optical'}")


def plan(place: Place, like: str, *more: str) -> None:
    place.plan(*(text.replace("LIKE", like) for text in OPTICAL), *more)


def test_bands_that_a_teacher_is_shown_have_to_be_there(place: Place) -> None:
    told = r"'random' is shown s2_13 by objective.optical, and the images of data 'npz' lack B01, B09, B10"
    with pytest.raises(UserError, match=told):
        plan(place, "ssl4eo_resnet18_moco")
    with pytest.raises(
        UserError, match="is shown s2_12 by objective.optical, and the images of data 'scenes' lack B01, B09"
    ):
        plan(place, "dofa_vitb16", "data={use='scenes'}", "objective.optical.target_sees='s2_12'")
    plan(place, "ssl4eo_resnet18_moco_rgb")
    plan(place, "dofa_vitb16")

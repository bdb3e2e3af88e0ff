"""Scenes to pre-train on: packed directly, named without being generated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.data import Data, Places
from deo_bench.data.scenes import source
from deo_bench.data.scenes.spectra import BANDS
from deo_bench.errors import UserError
from deo_bench.registry import Registry


def _build(**options: object) -> Data:
    found = Registry().build("data", "scenes", options=options)
    assert isinstance(found, Data)
    return found


def test_packs_as_many_scenes_as_asked_for(tmp_path: Path) -> None:
    places = Places(None, tmp_path)
    few, more = _build(count=3, seed=1).pack(places), _build(count=5, seed=1).pack(places)
    assert few.images.shape == (3, 10, 64, 64) and few.bands == BANDS and few.unit == "dn"
    assert few.labels is None and few.splits["fit"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(more.images[:3], few.images)
    assert (_build(count=3, seed=2).pack(places).images != few.images).any(axis=(1, 2, 3)).all()


def test_the_fingerprint_generates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "pretraining_scene", lambda *_: pytest.fail("generated"))
    places = Places(None, tmp_path / "cache")
    prints = {_build(count=count, seed=seed).fingerprint(places) for count in (3, 4) for seed in (0, 1)}
    assert len(prints) == 4 and not (tmp_path / "cache").exists()
    assert _build().fingerprint(places) == _build(count=4000, seed=0).fingerprint(places)


def test_no_scenes_at_all_are_refused() -> None:
    with pytest.raises(UserError, match="count"):
        _build(count=0)

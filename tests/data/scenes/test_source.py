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

CONTENT = "65709905b3a098cbfdbf84bac66291adedcec0ce7754b2c54d605d601c50b505"
"""Of the pack of five scenes of seed 1, as it was before there were finer images."""


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


def test_finer_images_stand_beside_the_same_scenes(tmp_path: Path) -> None:
    places = Places(None, tmp_path)
    bare, twice, four = (_build(count=2, seed=1, fine=fine).pack(places) for fine in (1, 2, 4))
    assert bare.fine is None
    for pack, factor in ((twice, 2), (four, 4)):
        assert pack.fine is not None and pack.fine.shape == (2, 3, 64 * factor, 64 * factor)
        assert pack.pixels == bare.pixels and pack.content != bare.content
        average = pack.fine.reshape(2, 3, 64, factor, 64, factor).mean(axis=(3, 5))
        for image, finer in zip(pack.images[:, [2, 1, 0]], average, strict=True):
            alike = np.corrcoef(np.stack([*image.reshape(3, -1), *finer.reshape(3, -1)]))[:3, 3:]
            assert (alike.diagonal() > 0.9).all() and (alike.argmax(axis=0) == range(3)).all(), "red, green, blue"


def test_runs_on_scenes_without_finer_images_keep_their_names(tmp_path: Path) -> None:
    places = Places(None, tmp_path)
    assert _build(count=5, seed=1).fingerprint(places) == "scenes generator 1, 5 images of seed 1"
    assert len({_build(count=5, seed=1, fine=fine).fingerprint(places) for fine in (1, 2, 4)}) == 3
    assert _build(count=5, seed=1).pack(places).content == CONTENT


@pytest.mark.parametrize("fine", [0, 3, 8, True, "2"])
def test_other_factors_are_refused(fine: object) -> None:
    with pytest.raises(UserError, match="fine"):
        _build(fine=fine)


def test_no_scenes_at_all_are_refused() -> None:
    with pytest.raises(UserError, match="count"):
        _build(count=0)

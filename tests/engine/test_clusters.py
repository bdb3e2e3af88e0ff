"""Groups of images that carry none, from their mean spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deo_bench.engine.clusters import spectral_clusters
from deo_bench.engine.train import Source, train
from tests.tiny import recipe


def test_images_of_like_spectra_fall_together(pack: Any) -> None:
    """Three classes that differ in the near infrared alone (tests/tiny.py), and noise elsewhere."""
    images = np.asarray(pack.images, dtype=np.float32).copy()
    images[:, [band for band in range(10) if band != 6]] = 1000
    clusters = spectral_clusters(replace(pack, images=images), 3)
    classes = np.rint((images[:, 6].mean((1, 2)) - 1500) / 400)
    assert set(classes) == {0, 1, 2} and len(set(clusters)) == 3
    for number in range(3):
        assert len(set(clusters[classes == number])) == 1
    assert np.array_equal(clusters, spectral_clusters(replace(pack, images=images), 3))


def test_more_clusters_than_images_are_as_many_as_images(pack: Any) -> None:
    few = replace(pack, images=pack.images[:4])
    assert len(set(spectral_clusters(few, 9))) <= 4


@pytest.mark.parametrize("clusters", [None, 3])
def test_the_batch_carries_them_where_the_images_have_none(
    pack: Any, cohort: Callable[..., Any], clusters: Any
) -> None:
    runs, source, frozen = cohort(a={"train": {**recipe()["train"], "clusters": clusters}})
    bare = replace(pack, groups=None)
    own = Source(bare, source.settings, source.batch, 0, source.device, clusters=clusters)
    assert (own.groups is None) == (clusters is None)
    seen = []
    run = runs["a"]
    advance = run.advance

    def spying(views: Any, index: Any, groups: Any, *rest: Any) -> Any:
        seen.append((index, groups))
        return advance(views, index, groups, *rest)

    run.advance = spying
    next(iter(train(runs, own, frozen)))
    index, groups = seen[0]
    assert groups is None if clusters is None else np.array_equal(groups.numpy(), own.groups[index.numpy()])

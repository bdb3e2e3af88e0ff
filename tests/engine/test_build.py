"""Batches of a pack: float32, in the order asked for, with finer images only when they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deo_bench.data import Pack
from deo_bench.data.pack import write_pack
from deo_bench.engine.build import images_of


def _pack(folder: Path, finer: np.ndarray | None) -> Pack:
    images = np.random.default_rng(0).integers(0, 4000, (5, 2, 4, 4)).astype("int16")
    samples = iter(images) if finer is None else zip(images, finer, strict=True)
    return write_pack(
        folder, name="set", images=samples, count=5, bands=("B08", "B11"), unit="dn", splits={"fit": range(5)}
    )


def test_finer_images_come_when_asked_for_and_are_of_the_same_rows(tmp_path: Path) -> None:
    finer = np.random.default_rng(1).integers(0, 4000, (5, 3, 12, 12)).astype("uint16")
    pack = _pack(tmp_path / "p", finer)
    rows = np.array([3, 0, 3])
    images = images_of(pack, rows, with_fine=True)
    assert images.fine is not None and images.fine.fine is None
    assert (images.fine.bands, images.fine.unit, images.fine.pixels.dtype) == (
        ("B04", "B03", "B02"),
        "dn",
        torch.float32,
    )
    np.testing.assert_array_equal(images.fine.pixels, finer[rows])
    np.testing.assert_array_equal(images.pixels, pack.images[rows])
    assert images_of(pack, rows).fine is None, "they are many times larger, and most runs do not look at them"


@pytest.mark.parametrize("with_fine", [False, True])
def test_a_pack_without_them_gives_none(tmp_path: Path, with_fine: bool) -> None:
    images = images_of(_pack(tmp_path / "p", None), np.array([1, 2]), with_statistics=True, with_fine=with_fine)
    assert images.fine is None and images.pixels.dtype == torch.float32
    assert images.mean is not None and images.mean.shape == (2,)

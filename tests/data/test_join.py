"""Packs put together to pre-train on: their fit images, cut alike, with finer images where all have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deo_bench.data import Pack, Places
from deo_bench.data.join import join_fit_splits
from deo_bench.data.pack import write_pack
from deo_bench.errors import UserError


def _coordinates(count: int, size: int, scale: int, channels: int) -> np.ndarray:
    """Images [N, C, size * scale, size * scale] of the row and column of the 10 m pixel that each pixel lies in."""
    line = np.arange(size * scale) // scale
    place = line[:, None] * 100 + line[None]
    return np.broadcast_to(
        place + 10_000 * np.arange(1, count + 1)[:, None, None, None], (count, channels, *place.shape)
    )


def _pack(folder: Path, scale: int, size: int = 10, count: int = 4, kind: str = "uint16", **changed: object) -> Pack:
    images = _coordinates(count, size, 1, 2).astype("uint16")
    finer = _coordinates(count, size, scale, 3).astype(kind)
    return write_pack(
        folder,
        **{  # type: ignore[arg-type]
            "name": folder.name,
            "images": iter(images) if scale == 1 else zip(images, finer, strict=True),
            "count": count,
            "bands": ("B02", "B03"),
            "unit": "dn",
            "splits": {"fit": [0, 2], "report": [1, 3]},
            **changed,
        },
    )


@pytest.mark.parametrize("patch", [None, 4])
def test_finer_images_are_of_the_images_they_came_with(tmp_path: Path, patch: int | None) -> None:
    packs = [_pack(tmp_path / "a", 2), _pack(tmp_path / "b", 2, kind="float32")]
    joined = join_fit_splits(Places(None, tmp_path), "both", packs, patch)
    assert joined.fine is not None and joined.fine.dtype == np.float32
    assert len(joined) == (4 if patch is None else 16)
    side = patch or 10
    assert joined.images.shape[1:] == (2, side, side) and joined.fine.shape[1:] == (3, 2 * side, 2 * side)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        np.testing.assert_array_equal(joined.fine[:, 1, row::2, column::2], joined.images[:, 0])
    assert (joined.images[:, 0] // 10_000).reshape(4, -1)[:, 0].tolist() == [1, 3, 1, 3]


@pytest.mark.parametrize("scales", [(2, 1), (1, 2), (1, 1), (2, 3)])
def test_they_stay_behind_where_not_all_have_them_alike(tmp_path: Path, scales: tuple[int, int]) -> None:
    packs = [_pack(tmp_path / name, scale) for name, scale in zip("ab", scales, strict=True)]
    joined = join_fit_splits(Places(None, tmp_path), "both", packs)
    assert joined.fine is None and len(joined) == 4
    bare = [_pack(tmp_path / f"bare-{name}", 1) for name in "ab"]
    assert join_fit_splits(Places(None, tmp_path), "bare", bare).content == joined.content


def test_packs_of_other_sizes_are_cut_alike(tmp_path: Path) -> None:
    packs = [_pack(tmp_path / "a", 2), _pack(tmp_path / "b", 2, size=6)]
    with pytest.raises(UserError, match="say patch"):
        join_fit_splits(Places(None, tmp_path), "both", packs)
    joined = join_fit_splits(Places(None, tmp_path), "both", packs, 3)
    assert joined.fine is not None and len(joined) == 2 * 9 + 2 * 4
    np.testing.assert_array_equal(joined.fine[:, 0, ::2, ::2], joined.images[:, 0])


def test_images_in_another_unit_are_refused(tmp_path: Path) -> None:
    packs = [_pack(tmp_path / "a", 1), _pack(tmp_path / "b", 1, unit="reflectance")]
    with pytest.raises(UserError, match="b is in reflectance, a in dn"):
        join_fit_splits(Places(None, tmp_path), "both", packs)


def test_joined_once_and_again_when_the_finer_images_change(tmp_path: Path) -> None:
    places = Places(None, tmp_path)
    first = join_fit_splits(places, "one", [_pack(tmp_path / "a", 2)])
    again = join_fit_splits(places, "one", [_pack(tmp_path / "a2", 2)])
    bare = join_fit_splits(places, "one", [_pack(tmp_path / "b", 1)])
    assert first.content == again.content != bare.content
    assert first.fine is not None and bare.fine is None
    assert len([path for path in (tmp_path / "packs").iterdir() if path.is_dir()]) == 2

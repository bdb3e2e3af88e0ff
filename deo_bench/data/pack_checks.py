"""What must be true of a pack's rows, labels and groups, and the statistics of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deo_bench.errors import UserError


class Moments:
    """Count, mean and sum of squared deviations per band, merged block by block (Chan, Golub and LeVeque 1979)."""

    def __init__(self, bands: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(bands), np.zeros(bands)

    def add(self, block: np.ndarray) -> None:
        """Take in images [N, C, H, W]."""
        new = block.size // block.shape[1]
        pixels = block.astype(np.float64)
        mean = pixels.mean(axis=(0, 2, 3))
        pixels -= mean[:, None, None]
        squares = np.einsum("nchw,nchw->c", pixels, pixels)
        total, shift = self.count + new, mean - self.mean
        self.mean = self.mean + shift * (new / total)
        self.squares = self.squares + squares + shift**2 * (self.count * new / total)
        self.count = total

    @property
    def std(self) -> np.ndarray:
        """Of the whole population, as data sets publish it."""
        return np.sqrt(self.squares / max(self.count, 1))


def row_indices(rows: np.ndarray | Sequence[int], count: int, where: str) -> np.ndarray:
    """Rows of a split or partition as [n] int64; a row twice or beyond the images is an error."""
    found = np.asarray(rows, dtype=np.int64).reshape(-1)
    if len(found) and (found.min() < 0 or found.max() >= count):
        raise UserError(f"{where} names an image beyond the {count} there are")
    if len(np.unique(found)) != len(found):
        raise UserError(f"{where} names an image twice")
    return found


def check_roles(name: str, roles: Mapping[str, np.ndarray], partitions: Mapping[str, np.ndarray]) -> None:
    """Roles must be disjoint, and every partition a part of what is fitted on."""
    rows = np.concatenate([np.empty(0, dtype=np.int64), *roles.values()])
    if len(np.unique(rows)) != len(rows):
        raise UserError(f"{name}: an image is in two splits; splits must be disjoint")
    fit = roles.get("fit", np.empty(0, dtype=np.int64))
    for key, smaller in partitions.items():
        if not np.isin(smaller, fit).all():
            raise UserError(f"{name}: partition {key!r} has images outside the fit split")


def checked_labels(name: str, labels: np.ndarray, described: Mapping[str, Any], ignore: int | None) -> np.ndarray:
    """Labels as [N] int64, [N] float64, [N, K] uint8 or [N, H, W] as given; each is a number, a class or to be ignored.

    Floats are numbers to be predicted (regression): they have no classes, and nothing of them is ignored.
    """
    count, _, *size = described["shape"]
    classes = len(described["classes"])
    if len(labels) == count and labels.dtype.kind == "f" and labels.ndim == 1:
        return _checked_numbers(name, labels, classes)
    if len(labels) != count or labels.dtype.kind not in "iub" or labels.ndim not in (1, 2, 3):
        raise UserError(
            f"{name}: labels are {labels.shape} of {labels.dtype}, expected whole numbers for {count} images"
        )
    if labels.ndim == 3 and list(labels.shape[1:]) != size:
        raise UserError(f"{name}: label maps are {labels.shape[1:]}, images {tuple(size)}")
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all() or (classes and labels.shape[1] != classes):
            raise UserError(f"{name}: multi-labels are {labels.shape}, expected zeros and ones for {classes} classes")
        return labels.astype(np.uint8)
    values = np.unique(labels) if labels.size else labels
    wrong = [int(value) for value in values if value != ignore and not 0 <= value < (classes or np.inf)]
    if wrong:
        raise UserError(
            f"{name}: labels {wrong[:5]} are none of {classes} classes; say ignore = {wrong[-1]} where it means none"
        )
    return labels.astype(np.int64) if labels.ndim == 1 else labels.astype(labels.dtype.newbyteorder("<"))


def _checked_numbers(name: str, labels: np.ndarray, classes: int) -> np.ndarray:
    if classes:
        raise UserError(
            f"{name}: labels are {labels.dtype}, and there are {classes} classes; classes are whole numbers"
        )
    wrong = np.flatnonzero(~np.isfinite(labels))
    if len(wrong):
        raise UserError(f"{name}: label {labels[wrong[0]]} of image {wrong[0]} is no number")
    return labels.astype(np.float64)


def checked_groups(name: str, groups: np.ndarray, count: int) -> np.ndarray:
    """Group ids, one an image, as numbers from 0 in the order of their ids."""
    if groups.shape != (count,):
        raise UserError(f"{name}: groups are {groups.shape}, expected one id for each of {count} images")
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def skipped_note(where: str, what: str, reasons: Sequence[str], total: int) -> list[str]:
    """What is said of inputs that were left out: how many, and the first three with their names; nothing of none."""
    if not reasons:
        return []
    more = " …" if len(reasons) > 3 else ""
    return [f"{where}: {len(reasons)} of {total} {what} skipped; the first: {'; '.join(reasons[:3])}{more}"]

"""What every probe asks of its splits before it is fitted; each mistake is one line."""

from __future__ import annotations

import numpy as np

from deo_bench.errors import UserError
from deo_bench.probes import Fit, Select

BLOCK = 65_536
"""Rows looked at in one go: features may be memory-mapped and larger than memory."""


def check_labels(labels: np.ndarray, num_classes: int, role: str) -> None:
    """Labels [N] in 0 to `num_classes` - 1, or [N, `num_classes`] of zeros and ones; at least one of them."""
    if len(labels) == 0:
        raise UserError(f"the {role} split is empty; a probe needs at least one sample in it")
    if labels.ndim == 1:
        outside = (labels < 0) | (labels >= num_classes) | (labels != np.floor(labels))
        expected = f"a class from 0 to {num_classes - 1}"
    elif labels.ndim == 2 and labels.shape[1] == num_classes:
        outside = ((labels != 0) & (labels != 1)).any(1)
        expected = "zeros and ones"
    else:
        raise UserError(
            f"labels of the {role} split have shape {labels.shape}; "
            f"expected [N] class ids or [N, {num_classes}] zeros and ones"
        )
    if outside.any():
        row = int(outside.argmax())
        raise UserError(f"the {role} split's label {labels[row]} (row {row}) is not {expected}")


def check_features(features: np.ndarray, role: str, width: int | None = None) -> None:
    """Features [N, D], finite, at least one row; `width` is the D that is expected."""
    if features.ndim != 2:
        raise UserError(f"features of the {role} split have shape {features.shape}; expected [N, D]")
    if len(features) == 0:
        raise UserError(f"the {role} split is empty; a probe needs at least one sample in it")
    if width is not None and features.shape[1] != width:
        raise UserError(
            f"features of the {role} split are {features.shape[1]} wide, those of the fit split {width}; "
            "they must come from one backbone"
        )
    for at in range(0, len(features), BLOCK):
        finite = np.isfinite(features[at : at + BLOCK]).all(1)
        if not finite.all():
            row = at + int(finite.argmin())
            raise UserError(
                f"features of the {role} split are not finite (first in row {row}); "
                "the backbone diverged or its input was not normalised"
            )


def check_split(features: np.ndarray, labels: np.ndarray, num_classes: int, role: str, width: int | None) -> None:
    """Features and labels of one role, as many of the one as of the other."""
    check_features(features, role, width)
    check_labels(labels, num_classes, role)
    if len(features) != len(labels):
        raise UserError(f"the {role} split has {len(features)} rows of features and {len(labels)} of labels")


def check_select(fit: Fit, select: Select, num_classes: int, without: str | None) -> None:
    """*Select*, for a choice of settings by it or a refit on both: as `check_split`, and of one kind with *fit*.

    without: which settings make a choice unnecessary, as a user writes them; none where nothing is chosen.
    """
    check_split(select.features, select.labels, num_classes, "select", fit.features.shape[-1])
    _check_alike(fit.labels, select.labels)
    if without is not None:
        _check_positive(select.labels, without)


def _check_alike(fit: np.ndarray, select: np.ndarray) -> None:
    if fit.ndim != select.ndim:
        kinds = {1: "class ids", 2: "zeros and ones"}
        raise UserError(
            f"the fit split's labels are {kinds[fit.ndim]}, those of the select split {kinds[select.ndim]}; "
            "they must be of one kind"
        )


def _check_positive(labels: np.ndarray, without: str) -> None:
    if labels.ndim == 2 and not labels.any():
        raise UserError(f"the select split has no positive label, so micro-mAP can choose nothing on it; say {without}")


def check_numbers(numbers: np.ndarray, role: str) -> None:
    """Finite numbers [N] to be predicted, at least one."""
    if len(numbers) == 0:
        raise UserError(f"the {role} split is empty; a probe needs at least one sample in it")
    if numbers.ndim != 1:
        raise UserError(f"labels of the {role} split have shape {numbers.shape}; expected one number a sample")
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(finite.argmin())
        raise UserError(f"the {role} split's label {numbers[row]} (row {row}) is not a finite number")


def check_regression(features: np.ndarray, numbers: np.ndarray, role: str, width: int | None) -> None:
    """Features of one role, and as many finite numbers to be predicted from them."""
    check_features(features, role, width)
    check_numbers(numbers, role)
    if len(features) != len(numbers):
        raise UserError(f"the {role} split has {len(features)} rows of features and {len(numbers)} of labels")

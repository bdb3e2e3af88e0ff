"""The one shape of published numbers: a row a number, with all that says what it may be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pandas as pd

PublishedFrame: TypeAlias = pd.DataFrame
"""A row a published number, with exactly the columns of `COLUMNS`."""

COLUMNS: dict[str, str] = {
    "source": "name of a source that ships, or of the file",
    "what": "the source's table that it stands in, empty of a file",
    "model": "as the source calls it",
    "task": "our name of it, a name of `OTHER_TASKS`, or of a mean",
    "probe": "the probe's name in our protocol, or what was used instead",
    "protocol": "an id of ours where every field is that record's, else `published:…`",
    "metric": "accuracy, micro_map, miou, f1 (micro or macro not said), mixed (of a mean), unstated",
    "value": "a share in [0, 1]",
    "low": "lower end of the source's 95 % interval, NaN where it states none",
    "high": "upper end of it",
    "spread": "standard deviation over runs, NaN where it is not known",
    "bands": "what was fed, in the source's words",
    "band_set": "our band set where it is exactly that one, else empty",
    "normalisation": "in the source's words, empty where it is not known",
    "image_size": "pixels, none where it is not known or the model's own",
    "partition": "`default`, or a share of the training set such as `0.10x`",
    "seed": "of this run, none where the number is no single run or its seed is not known",
    "runs": "runs behind the number, none where it is not known",
    "seeds": "different seeds among them, none where it is not known",
    "n_train": "training images, none where it is not known",
    "n_test": "test images, none where it is not known",
    "confidence": "a letter of `CONFIDENCE`",
    "measured": "how: decoder, frozen or fine-tuned",
    "is_mean": "whether the task is a mean over tasks",
    "note": "whatever a reader has to know of this number",
}
"""Column -> what it holds."""

CONFIDENCE: dict[str, str] = {
    "A": "stated by the model's authors in a public repository",
    "C": "read in a repository's code or results",
    "R": "computed from published result files",
    "S": "secondary: notes, a blog or an aggregator; not checked against the paper",
    "?": "of a file that was given",
}
"""Letter -> how far a number can be trusted."""

OTHER_TASKS: dict[str, str] = {
    "spacenet-v1": "segmentation: buildings, RGB",
    "levir-cd": "change detection: buildings, RGB",
}
"""Tasks of published numbers that are none of ours."""

MEANS: dict[str, tuple[str, ...]] = {
    "mean-classification": ("m-bigearthnet", "m-so2sat", "m-eurosat"),
    "mean-optical-segmentation": ("spacenet-v1", "m-nz-cattle", "m-pv4ger-seg", "m-chesapeake"),
    "mean-multispectral-segmentation": ("m-SA-crop-type", "m-cashew-plant", "sen1floods11", "pastis"),
    "mean-segmentation": ("mean-optical-segmentation", "mean-multispectral-segmentation"),
    "mean-change-detection": ("levir-cd", "oscd"),
    "mean-ablation-optical": (),
    "mean-ablation-multispectral": (),
    "mean-ablation-overall": ("mean-ablation-optical", "mean-ablation-multispectral"),
    "mean-geobench-classification": (
        "m-bigearthnet", "m-brick-kiln", "m-eurosat", "m-forestnet", "m-pv4ger", "m-so2sat",
    ),
    "mean-geobench-segmentation": (
        "m-cashew-plant", "m-chesapeake", "m-NeonTree", "m-nz-cattle", "m-pv4ger-seg", "m-SA-crop-type",
    ),
}  # fmt: skip
"""Means that sources print -> what they are over; none where that is not known."""

_TEXT = (
    "source", "what", "model", "task", "probe", "protocol", "metric", "bands", "band_set", "normalisation", "partition",
    "confidence", "measured", "note",
)  # fmt: skip
_WHOLE = ("image_size", "seed", "runs", "seeds", "n_train", "n_test")
_REAL = ("value", "low", "high", "spread")


def make_frame(records: Iterable[Mapping[str, Any]]) -> PublishedFrame:
    """A frame of records that may leave out what is not known; no records make an empty frame of the same columns."""
    given = list(records)
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        values = [record.get(name) for record in given]
        if name in _TEXT:
            columns[name] = pd.array([value or "" for value in values], dtype=object)
        elif name in _WHOLE:
            columns[name] = pd.array(values, dtype="Int64")
        elif name in _REAL:
            columns[name] = pd.array(values, dtype="float64")
    columns["is_mean"] = [record.get("task") in MEANS for record in given]
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def join(frames: Iterable[PublishedFrame]) -> PublishedFrame:
    """Frames under one another, source by source; nothing is merged."""
    given = [frame for frame in frames if len(frame)]
    return pd.concat(given, ignore_index=True) if given else make_frame([])

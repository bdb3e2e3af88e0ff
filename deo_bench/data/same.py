"""Which names mean the same data set: as tasks, cards of teachers and files of pre-training images spell them."""

from __future__ import annotations

import re

_ALIASES = {
    "eurosat": ("eurosat-ms", "eurosat-rgb", "eurosat-allbands", "sentinel-2-eurosat", "eurosat-sentinel-2"),
    "bigearthnet": (
        "bigearthnet-s2", "bigearthnet-s1", "bigearthnet-mm", "bigearthnet-v1", "bigearthnet-v1-0", "bigearthnet-v2",
        "bigearthnet-v2-0", "bigearthnet-19", "bigearthnet-43", "rebigearthnet", "reben",
    ),
    "so2sat": ("so2sat-lcz42", "so2sat-pop", "lcz42"),
    "forestnet": ("forest-net", "forestnet-dataset"),
    "pv4ger": ("pv4ger-seg", "pv4ger-cls", "pv4ger-classification"),
    "brick-kiln": ("brick-kilns", "brickkiln", "bangladesh-brick-kiln", "sustainbench-brick-kiln"),
    "chesapeake": ("chesapeake-landcover", "chesapeake-land-cover", "chesapeakecvpr"),
    "cashew-plant": ("cashew-plantation", "smallholder-cashew", "benin-smallholder-cashews", "beninsmallholdercashews"),
    "sa-crop-type": ("south-africa-crop-type", "southafricacroptype"),
    "nz-cattle": ("nz-cattle-detection", "nzcattle"),
    "neontree": ("neon-tree", "neontreeevaluation"),
    "fmow": (
        "functional-map-of-the-world", "fmow-rgb", "fmow-sentinel", "fmow-sentinel-2", "fmow-sentinel2", "fmow-s2",
        "fmow-full", "wilds-fmow",
    ),
    "resisc45": ("nwpu-resisc45", "resisc-45"),
    "ucmerced": ("uc-merced", "uc-merced-land-use", "ucm"),
    "cropharvest": ("crop-harvest",),
}  # fmt: skip
"""The name and others of it, in small letters with hyphens between words. Versions and sensors of one data set are one:
they show the same places under the same labels. SSL4EO, LVD and the like have no task's labels and no entry."""
_NAMES = {other: name for name, others in _ALIASES.items() for other in others}

_OTHER_IMAGES = ("scenes (renderings of another seed, no labels)",)
"""Names that sound like a data set and are none of its images."""


def known_as(name: str) -> str:
    """The one name of a data set, however it is spelt; brackets behind it count only where they tell versions."""
    if name in _OTHER_IMAGES:
        return name
    return next((_NAMES[each] for each in (_key(name), _key(_bare(name))) if each in _NAMES), _key(_bare(name)))


def is_same_data_set(one: str, other: str) -> bool:
    """Whether two names mean one data set."""
    return known_as(one) == known_as(other) != ""


def _bare(name: str) -> str:
    return re.sub(r"\(.*?\)", "", name)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-").removeprefix("m-")

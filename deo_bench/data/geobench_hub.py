"""Where GEO-Bench v1's data sets are published: one archive each, in a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import PurePosixPath

from deo_bench.data.download import Download, hub_file

REPOSITORY = "recursix/geo-bench-1.0"
"""As `geobench_download.py` of the library names it; about 33 GB of archives, 57 GB unpacked."""
BENCHMARKS = {
    "classification_v1.0": ("m-eurosat", "m-forestnet", "m-so2sat", "m-pv4ger", "m-brick-kiln", "m-bigearthnet"),
    "segmentation_v1.0": (
        *("m-pv4ger-seg", "m-chesapeake", "m-cashew-plant"),
        *("m-SA-crop-type", "m-nz-cattle", "m-NeonTree"),
    ),
}


def archives(*names: str) -> tuple[Download, ...]:
    """The archives of data sets by name (`m-eurosat`, or with its benchmark before it); none of unknown ones.

    The publisher states no checksums: the hub's own are held, and what was first downloaded.
    """
    known = {name: f"{benchmark}/{name}" for benchmark, inside in BENCHMARKS.items() for name in inside}
    places = [known.get(PurePosixPath(name).name, "") for name in names]
    return tuple(
        Download(
            hub_file(REPOSITORY, f"{place}.zip"),
            to=place,
            unpack="zip",
            has=("task_specs.pkl", "default_partition.json"),
            page=f"https://huggingface.co/datasets/{REPOSITORY}",
        )
        for place in places
        if place
    )

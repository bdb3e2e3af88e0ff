"""Where GEO-Bench v1's data sets are published: one archive each, in a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import PurePosixPath

from deo_bench.data.download import Download, hub_file

REPOSITORY = "recursix/geo-bench-1.0"
"""As `geobench_download.py` of the library names it; about 33 GB of archives, 57 GB unpacked."""
BENCHMARKS = {
    "classification_v1.0": {
        "m-eurosat": 0.43,
        "m-forestnet": 5.6,
        "m-so2sat": 1.6,
        "m-pv4ger": 4.2,
        "m-brick-kiln": 1.8,
        "m-bigearthnet": 3.5,
    },
    "segmentation_v1.0": {
        "m-pv4ger-seg": 1.6,
        "m-chesapeake": 1.6,
        "m-cashew-plant": 3.2,
        "m-SA-crop-type": 8.8,
        "m-nz-cattle": 0.66,
        "m-NeonTree": 0.92,
    },
}
"""Benchmark -> data set -> gigabytes at least, unpacked: images x planes x pixels x bytes as the sets are described.

The publisher says of none how large it is; some keep wider numbers than they need.
"""


def archives(*names: str) -> tuple[Download, ...]:
    """The archives of data sets by name (`m-eurosat`, or with its benchmark before it); none of unknown ones.

    The publisher states no checksums: the hub's own are held, and what was first downloaded.
    """
    known = {name: (f"{benchmark}/{name}", size) for benchmark, of in BENCHMARKS.items() for name, size in of.items()}
    found = [known[PurePosixPath(name).name] for name in names if PurePosixPath(name).name in known]
    return tuple(
        Download(
            hub_file(REPOSITORY, f"{place}.zip"),
            to=place,
            unpack="zip",
            has=("task_specs.pkl", "default_partition.json"),
            unpacked=int(gigabytes * 1e9),
            page=f"https://huggingface.co/datasets/{REPOSITORY}",
        )
        for place, gigabytes in found
    )

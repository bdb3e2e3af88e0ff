"""Has torchgeo fetch a data set into its folder under the root of data, and says in one line why it could not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deo_bench.data import Places
from deo_bench.data.torchgeo_sets import open_set
from deo_bench.errors import MissingInput, UserError

ELSEWHERE = {"Sen1Floods11": "gsutil -m rsync -r gs://sen1floods11/v1.1 {folder}"}
"""What torchgeo has no class of, and the command that fetches it."""


def download_set(of: str, places: Places, folder: str, options: Sequence[Mapping[str, Any]]) -> Path:
    """The folder, once every part that `options` (of torchgeo's class `of`) name is in it, checksums compared.

    What is there is not fetched again. Without a root of data, offline, on a broken checksum and where torchgeo needs a
    program that is not installed it is a UserError.
    """
    if places.root is None:
        raise MissingInput("no folder of data is given", "say --data FOLDER, or set DEO_BENCH_DATA")
    target = places.root / folder
    if command := ELSEWHERE.get(of):
        raise MissingInput(f"{of} is not fetched by torchgeo", command.format(folder=target))
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{target}: cannot be made: {error.strerror}") from None
    for chosen in options:
        open_set(of, target, download=True, checksum=True, **chosen)
    return target

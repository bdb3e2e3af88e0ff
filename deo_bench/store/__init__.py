"""Runs, scores and claims on disk."""

from deo_bench.files import checksum, read_json, write_arrays, write_bytes, write_json, write_whole
from deo_bench.store.lease import Lease, LeaseLost, claimant
from deo_bench.store.runs import RUN_NAME, Run, Store, Subject

__all__ = [
    "RUN_NAME",
    "Lease",
    "LeaseLost",
    "Run",
    "Store",
    "Subject",
    "checksum",
    "claimant",
    "read_json",
    "write_arrays",
    "write_bytes",
    "write_json",
    "write_whole",
]

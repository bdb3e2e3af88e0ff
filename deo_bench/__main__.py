"""`python -m deo_bench`: the command line, where its script is not on the path."""

from __future__ import annotations

from deo_bench.cli import main

main()

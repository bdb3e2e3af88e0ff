"""What `show` and `check` say of a teacher's weights: whether they are here, how large they are, how to get them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deo_bench.declarations import Declaration
from deo_bench.libraries import remedy
from deo_bench.store.disk import size_text
from deo_bench.weights import Weights, look, recorded


def weights_lines(declared: Declaration, options: Mapping[str, Any], cache: Path | None = None) -> Iterator[str]:
    """Lines under the heading `weights`; none for a part that loads nothing.

    cache: a folder that remembers checksums from when a file was first loaded.
    """
    if declared.kind != "teacher":
        return
    found = look(declared, options)
    if not found.needed:
        return
    yield "weights"
    if told := remedy(str(declared.facts.get("library", ""))):
        yield f"  needs {declared.facts['library']}, which is not installed; {told}"
    if found.path is None:
        gated = "gated, " if declared.facts.get("gated") else ""
        size = f", about {size_text(found.size)}" if found.size else ""
        yield f"  {gated}not here{size}: {found.remedy}"
        return
    yield f"  here, {size_text(found.path.stat().st_size)}: {found.path}"
    known = recorded(found.path, cache) if cache else ""
    if known:
        yield f"  sha256 {known}, as first loaded"


def has_weights(declared: Declaration, options: Mapping[str, Any], largest: int) -> bool:
    """Whether a part has weights to load, they and the library are here, and they have at most so many bytes."""
    found: Weights = look(declared, options)
    is_here = found.needed and found.path is not None and not remedy(str(declared.facts.get("library", "")))
    return is_here and (found.size or 0) <= largest

"""Commands typed in one process, and what must be true of one that was given something wrong."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from deo_bench.cli import main
from tests.tiny import EXPERIMENT

TINY = EXPERIMENT.replace("seeds = [0, 1]", "seeds = [0]").replace("steps = 6", "steps = 2")
"""The tiny experiment; what a case gets wrong is laid over it."""

PLAN = ("plan", "tiny.toml", "--data", "data")


def typed(*words: str) -> tuple[int, str, str]:
    """A command's status, and what it said on both streams; an error that nobody expected comes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as stopped:
            return int(stopped.code or 0), out.getvalue(), err.getvalue()


def refused(words: Sequence[str], said: Sequence[str], store: Path) -> str:
    """The one line that a command answers a mistake with: it says all of this, and no run or score was begun."""
    status, out, err = typed(*words)
    assert status == 2, f"status {status}: {out}{err}"
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert "Traceback" not in out + err
    for words_of_it in said:
        assert words_of_it in err, f"{words_of_it!r} is not in: {err}"
    assert not begun(store)
    return err


def begun(store: Path) -> list[str]:
    """What is in a store beside the cache, which anything may fill and anybody may delete."""
    found = [path.relative_to(store) for path in store.rglob("*") if path.is_file()] if store.is_dir() else []
    return [str(path) for path in found if path.parts[0] != "cache"]

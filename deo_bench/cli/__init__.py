"""The command line: parse, call, draw."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0, 1 where runs failed, 2 for a mistake of the user's, 130 after Ctrl-C.

    Only what a user can mend becomes one line; anything else keeps its traceback.
    """
    # Read when torch's thread pool starts, so it has to be here: waiting threads that spin slow down busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from deo_bench.cli.app import app
    from deo_bench.errors import UserError

    try:
        app(None if arguments is None else list(arguments), prog_name="deo-bench")
    except UserError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    sys.exit(0)

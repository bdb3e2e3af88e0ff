"""The command line: parse, call, draw."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

WRONG_USE = 2
INTERRUPTED = 130

_PLACES = {
    errno.ENAMETOOLONG: "name a shorter place",
    errno.ENOTDIR: "a part of the path is a file; name a folder",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of the quota",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or name another place"),
    **dict.fromkeys((errno.EISDIR, errno.ELOOP), "name a file"),
}
"""What a system refuses a user, not a bug of the program's, and what mends it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0, 1 where runs failed, 2 for a mistake of the user's, 130 after Ctrl-C.

    Only what a user can mend becomes one line; anything else keeps its traceback.
    """
    # Read when torch's thread pool starts, so it has to be here: waiting threads that spin slow down busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import typer

    from deo_bench.cli.app import app
    from deo_bench.errors import UserError, shown

    usage: type[Exception] = typer.BadParameter.__bases__[0]
    try:
        status = app(None if arguments is None else list(arguments), prog_name="deo-bench", standalone_mode=False)
    except UserError as error:
        _refuse(str(error))
    except usage as error:
        _refuse_usage(error)
    except OSError as error:
        if error.errno not in _PLACES or error.filename is None:
            raise
        _refuse(f"{shown(error.filename)}: {(error.strerror or str(error)).lower()}; {_PLACES[error.errno]}")
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        sys.stderr.write("interrupted\n")
    sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str) -> NoReturn:
    """One line, whatever the user's files and arguments put into it, and the status of a mistake."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in " ".join(message.split()))
    sys.stderr.write(f"error: {line}\n")
    sys.exit(WRONG_USE)


def _refuse_usage(error: Any) -> NoReturn:
    """A wrong command, argument or option in one line; a group without a command shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(WRONG_USE)
    command = error.ctx.command_path if error.ctx is not None else "deo-bench"
    _refuse(f"{error.format_message().rstrip('.')}; see `{command} --help`")

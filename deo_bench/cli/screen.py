"""Where work is shown while it is done: something live in a terminal, lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live


class Screen:
    """A context in which work is shown. plain: lines in a terminal, too; else as the console is."""

    def __init__(self, console: Console, live: Live, plain: bool | None = None) -> None:
        self.console = console
        self.is_plain = not console.is_terminal if plain is None else plain
        self._live = live

    def __enter__(self) -> Self:
        if not self.is_plain:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.is_plain:
            self._live.stop()

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

"""A screen whose picture a test can look at."""

from __future__ import annotations

import io

from codex_runtime.cli._screen import Screen
from tests.cli.command_line import picture


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Picture:
    """A screen, on a terminal or on a file, and what stands on it. COLUMNS and TERM say which terminal."""

    def __init__(self, *, terminal: bool = True) -> None:
        self._stream = _Terminal() if terminal else io.StringIO()
        self.screen = Screen(self._stream)

    @property
    def raw(self) -> str:
        """All that was written."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        """The lines as they are seen."""
        return picture(self.raw).splitlines()

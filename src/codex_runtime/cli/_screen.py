"""Where a command writes for people: whole lines, text that flows in, and one line that says what is going on.

All text passes through here and is made visible (see :mod:`codex_runtime._sansio.display`), so nothing that a model or a
command says can steer the terminal; styles are ours alone. Colours follow ``NO_COLOR`` and ``TERM``; a terminal that
cannot move its cursor, or a file, gets the lines and the text without the moving part.

The one idea: the screen knows whether the cursor stands at the start of a line, so callers never print newlines.
"""

from __future__ import annotations

import asyncio
import textwrap
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from codex_runtime._sansio.display import one_line, visible
from codex_runtime.cli._wrap import Wrapper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from rich.console import RenderableType

__all__ = ["Screen"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK = 0.1
_CLEAR_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


class Screen:
    """Writes to ``stream``. ``is_terminal`` says whether somebody looks at it, ``is_live`` whether lines can be redrawn."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, legacy_windows=False)
        self.is_terminal = self._console.is_terminal
        self.is_live = self.is_terminal and not self._console.is_dumb_terminal
        self._at_start = True
        self._wrapper: Wrapper | None = None  # of the text that flows
        self._flow_style = ""
        self._status = ""
        self._drawn = False
        self._frame = 0

    @property
    def width(self) -> int:
        """Cells in a line."""
        return self._console.width

    def line(
        self, text: str = "", style: str = "", *, mark: str = "", mark_style: str = "", crop: bool = False
    ) -> None:
        """Write one line, or several if ``text`` holds newlines, with an optional mark in front of the first.

        ``crop`` cuts what does not fit, instead of letting it run on in the next line.
        """
        self.fresh_line()
        for number, part in enumerate(visible(text).split("\n")):
            head = mark if number == 0 else " " * cell_len(mark)
            shown = self._cropped(part, self.width - cell_len(head)) if crop else part
            self._print(Text.assemble((head, mark_style or style), (shown, style)))

    def paragraph(self, text: str, style: str = "", *, mark: str, mark_style: str = "") -> None:
        """Write a text behind a mark; on a terminal it is wrapped, and stays in its column."""
        if self.is_terminal:
            room = max(self.width - cell_len(mark), 20)
            text = "\n".join(textwrap.wrap(visible(text), room, break_long_words=False, break_on_hyphens=False))
        self.line(text, style, mark=mark, mark_style=mark_style)

    def lines(self, lines: Iterable[tuple[str, str]], *, indent: str = "", crop: bool = True) -> None:
        """Write lines of text and style behind a dim ``indent``."""
        for text, style in lines:
            self.line(text, style, mark=indent, mark_style="dim", crop=crop)

    def flow(self, text: str, style: str = "") -> None:
        """Write the next piece of a text, just behind the last one. On a terminal, lines are broken between words."""
        shown = visible(text)
        if self.is_live:
            self._flow_style = style
            if self._wrapper is None:
                self._wrapper = Wrapper(self.width)
            shown = self._wrapper.feed(shown)
        self._write(shown, style)

    def prompt(self, text: str) -> None:
        """Write what somebody is to type an answer behind."""
        self.fresh_line()
        self._write(visible(text), "bold")

    def show(self, renderable: RenderableType) -> None:
        """Write something of rich's own, a table for instance. Its texts must be ours, or visible."""
        self.fresh_line()
        self._console.print(renderable)

    def fresh_line(self) -> None:
        """End the line that was begun, if one was."""
        if self._wrapper is not None:
            rest, self._wrapper = self._wrapper.flush(), None
            self._write(rest, self._flow_style)
        self._erase()
        if not self._at_start:
            self._console.print()
            self._at_start = True

    def was_typed_into(self) -> None:
        """Note that somebody typed, and that the terminal has ended the line."""
        self._at_start = True

    # -- the line that says what is going on ---------------------------------------------------------------------

    def status(self, text: str = "") -> None:
        """Say what is going on, in a line that vanishes as soon as something is written. Nothing ends it."""
        self._status = one_line(text)
        if not text:
            self._erase()

    @asynccontextmanager
    async def animated(self) -> AsyncIterator[None]:
        """Keep the status line moving inside of this block."""
        ticker = asyncio.create_task(self._tick(), name="codex-runtime status line") if self.is_live else None
        try:
            yield
        finally:
            self.status()
            if ticker is not None:
                ticker.cancel()
                with suppress(asyncio.CancelledError):
                    await ticker

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if self._status and self._at_start:
                self._erase()
                frame = _FRAMES[self._frame % len(_FRAMES)]
                self._frame += 1
                self._print(Text(f"{frame} {self._cropped(self._status, self.width - 3)}", "dim"), end="")
                self._console.file.flush()
                self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._console.control(_CLEAR_LINE)
            self._drawn = False

    # -- inside --------------------------------------------------------------------------------------------------

    def _write(self, text: str, style: str) -> None:
        if text:
            self._erase()
            self._print(Text(text, style), end="")
            self._at_start = text.endswith("\n")

    def _print(self, text: Text, *, end: str = "\n") -> None:
        # Not by rich: it would wrap each piece by itself.
        self._console.print(text, end=end, soft_wrap=True)

    def _cropped(self, text: str, room: int) -> str:
        text = text.expandtabs(4)
        if not self.is_terminal or cell_len(text) <= room:
            return text
        return f"{set_cell_size(text, max(room - 1, 0)).rstrip()}…"

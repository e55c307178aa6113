"""Breaks lines between words, in a text that comes piece by piece.

The one idea: a line is broken in front of a word, so a word is held back, with the blanks before it, until its end is
known. Lines that look like code or tables are left as they are, for there the form is the content.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

__all__ = ["Wrapper"]

_BLANK = re.compile(r"\s")
_PIECES = re.compile(r"\n|[^\S\n]*\S+|[^\S\n]+")
_FENCE = "```"


class Wrapper:
    """Takes visible text and gives it back with newlines added, so that prose fits into ``width`` cells."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._begin()

    def _begin(self) -> None:
        self._held: list[str] = []  # one piece, as it came: only at its end is it looked at as a whole
        self._is_blank = True
        self._column = 0
        self._is_prose = True
        self._in_fence = False

    def feed(self, text: str) -> str:
        """Take the next piece of the text; return what can be written now."""
        if self._held and self._goes_on(text):
            self._held.append(text)
            return ""
        pieces = _PIECES.findall("".join(self._held) + text)
        self._held = [pieces.pop()] if pieces and pieces[-1] != "\n" else []
        self._is_blank = not self._held or self._held[0].isspace()
        return "".join(map(self._placed, pieces))

    def flush(self) -> str:
        """Return what was held back; the text ends here, and the next one begins a line."""
        rest = self._placed("".join(self._held)) if self._held else ""
        self._begin()
        return rest

    def _goes_on(self, text: str) -> bool:
        """Tell whether what is held back ends nowhere in ``text``: a word goes on, or blanks do."""
        if _BLANK.search(text) is None:
            self._is_blank = False
            return True
        return self._is_blank and text.isspace() and "\n" not in text

    def _placed(self, piece: str) -> str:
        """Place a newline, or a word with the blanks before it."""
        if piece == "\n":
            self._column = 0
            return piece
        if self._column == 0:
            fences = piece.startswith(_FENCE)
            self._in_fence ^= fences
            self._is_prose = not (self._in_fence or fences or piece[0].isspace() or piece[0] == "|")
        size = cell_len(piece.expandtabs(8))
        if not (self._is_prose and self._column and self._column + size > self._width):
            self._column += size
            return piece
        word = piece.lstrip()
        self._column = (cell_len(word) - 1) % self._width + 1  # one that is too long for any line goes on in the next
        return f"\n{word}"

"""The last words of the app server: the end of its stderr, bounded, fit to show to a person.

It keeps bytes and cleans them only when asked, because nearly nobody asks. It never interprets what it holds.
"""

from __future__ import annotations

import re

__all__ = ["StderrTail"]

# CSI; then OSC, DCS, SOS, PM and APC up to their terminator; then the short escapes. No alternative can re-scan what
# another has consumed, so hostile text costs linear time.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class StderrTail:
    """Takes chunks, keeps the last ``limit`` bytes of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take one chunk."""
        self._kept += data
        if len(self._kept) > 2 * self._limit:  # cut now and then, not at each chunk
            del self._kept[: len(self._kept) - self._limit]

    def text(self) -> str:
        """Return the tail: what is not UTF-8 replaced, escape sequences and controls but newline and tab left out."""
        tail = bytes(self._kept[max(0, len(self._kept) - self._limit) :])
        return _CONTROLS.sub("", _ESCAPES.sub("", tail.decode("utf-8", "replace")))

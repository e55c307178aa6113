"""Text that grows piece by piece within a number of bytes.

It is held in pieces and joined when somebody looks, and it is cut between two characters.
"""

from __future__ import annotations

__all__ = ["Text", "byte_size", "cut"]

LOOSE = 512  # So many loose pieces are joined into one: a piece costs 50 bytes, the delta in it often five.


class Text:
    """Text that grows up to a number of bytes.

    ``room`` is how many it still takes, or -1 when it takes no more. ``parts`` is the same list for life, so that a
    loop may keep its ``append``; who appends there lowers ``room`` itself.
    """

    __slots__ = ("_joined", "_limit", "held", "parts", "room", "truncated")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._joined = 0
        self.parts: list[str] = []
        self.room = limit
        self.held = 0
        self.truncated = False

    def add(self, more: str) -> None:
        """Append as much as fits."""
        if self.room < 0 or not more:
            return
        size = byte_size(more)
        if size <= self.room:
            self.room -= size
            self.parts.append(more)
        else:
            self.parts.append(cut(more, self.room))
            self.room = -1
            self.truncated = True

    def book(self, before: int) -> int:
        """Return how many bytes came in since ``room`` was ``before``, and count them as held."""
        added = before - max(self.room, 0)
        self.held += added
        if len(self.parts) - self._joined > LOOSE:
            self.parts[self._joined :] = ["".join(self.parts[self._joined :])]
            self._joined += 1
        return added

    def end(self) -> None:
        """Take no more."""
        self.room = -1

    def replace(self, told: str | None) -> None:
        """Take ``told`` for all that came, if there is any."""
        if told:
            kept = cut(told, self._limit)
            self.parts[:] = [kept]
            self._joined = 1
            self.held = byte_size(kept)
            self.truncated = len(kept) < len(told)

    def value(self) -> str:
        """Return all of it."""
        if len(self.parts) > 1:
            self.parts[:] = ["".join(self.parts)]
            self._joined = 1
        return self.parts[0] if self.parts else ""


def byte_size(text: str) -> int:
    """Return the size of ``text`` in UTF-8. Lone surrogates, which JSON can carry, count as three bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def cut(text: str, limit: int) -> str:
    """Return ``text``, or as many whole characters from its start as fit into ``limit`` bytes."""
    if byte_size(text) <= limit:
        return text
    data = text[:limit].encode("utf-8", "surrogatepass")
    end = min(limit, len(data))
    while 0 < end < len(data) and 0x80 <= data[end] < 0xC0:  # noqa: PLR2004  # in the middle of a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass")

"""Makes of the fuzzer's bytes what a target needs: choices, and a stream that is cut somewhere."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Choices", "cut"]


class Choices:
    """Reads choices from the start of the bytes; where they end, the first choice is taken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """True once there is nothing left to choose by."""
        return self._at >= len(self._data)

    def below(self, count: int) -> int:
        """Return a number from 0 on, below ``count``."""
        if self.is_over:
            return 0
        self._at += 1
        return self._data[self._at - 1] % count

    def take(self, count: int) -> bytes:
        """Return some of the bytes as they are."""
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))


def cut(stream: bytes, choices: Choices) -> Iterator[bytes]:
    """Cut a stream: in single bytes, in pieces of some sizes, or not at all."""
    sizes = [1 + choices.below(64) for _ in range(choices.below(6))]
    if not sizes:
        yield stream
        return
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        yield stream[at : at + size]
        at, turn = at + size, turn + 1

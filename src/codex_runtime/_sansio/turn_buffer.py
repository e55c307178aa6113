"""Buffers for text that comes faster than it is read.

:class:`TurnBuffer` holds the events of a turn for one reader. When the reader lags, it merges deltas instead of dropping
them, so that a text is never cut. :class:`TextWindow` keeps the beginning and the end of a text that may be endless,
such as the output of a command.

The one idea: pieces are kept as they came and joined once, when they are read. Nothing is copied per piece.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeAlias, TypeVar, cast

from codex_runtime._sansio.turn_events import CommandOutput, PlanDelta, ReasoningDelta, TextDelta

__all__ = ["DEFAULT_BUFFER_LIMIT", "OUTPUT_LIMIT", "TextWindow", "TurnBuffer"]

DEFAULT_BUFFER_LIMIT = 1024

# What the server itself keeps of a command's output, half of it from each end.
OUTPUT_LIMIT = 1024 * 1024

EventT = TypeVar("EventT")
Delta: TypeAlias = TextDelta | ReasoningDelta | PlanDelta | CommandOutput
Key: TypeAlias = tuple[type[Delta], str, bool]

_DELTAS: frozenset[type] = frozenset({TextDelta, ReasoningDelta, PlanDelta, CommandOutput})


class TextWindow:
    """The first and the last half of ``limit`` characters of a text; a line says how much is missing between them."""

    __slots__ = ("_half", "_head", "_head_room", "_left_out", "_tail", "_tail_size")

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._half = self._head_room = max(1, limit // 2)
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._left_out = 0

    @property
    def is_truncated(self) -> bool:
        """True if something is missing in the middle."""
        return self._left_out > 0 or self._tail_size > self._half

    def append(self, text: str) -> None:
        """Add ``text`` at the end."""
        if self._head_room:
            head = text[: self._head_room]
            self._head.append(head)
            self._head_room -= len(head)
            text = text[len(head) :]
            if not text:
                return
        if len(text) > self._half:
            self._left_out += self._tail_size + len(text) - self._half
            self._tail.clear()
            text = text[-self._half :]
            self._tail_size = 0
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= self._half:
            size = len(self._tail.popleft())
            self._tail_size -= size
            self._left_out += size

    def text(self) -> str:
        """What is left of the text."""
        tail = "".join(self._tail)
        left_out = self._left_out + max(0, len(tail) - self._half)
        if not left_out:
            return "".join(self._head) + tail
        return f"{''.join(self._head)}\n[... {left_out} characters left out ...]\n{tail[-self._half :]}"


class _Run:
    """Deltas of one item that wait to be read as one."""

    __slots__ = ("first", "key", "pieces")

    def __init__(self, key: Key, first: Delta) -> None:
        self.key = key
        self.first = first
        self.pieces: list[str] | TextWindow = TextWindow() if isinstance(first, CommandOutput) else []

    def merged(self) -> Delta:
        first, pieces = self.first, self.pieces
        if isinstance(first, CommandOutput):
            window = cast("TextWindow", pieces)
            return CommandOutput(window.text(), first.item_id, window.is_truncated)
        text = "".join(cast("list[str]", pieces))
        if isinstance(first, ReasoningDelta):
            return ReasoningDelta(text, first.item_id, first.summary)
        return type(first)(text, first.item_id)


class TurnBuffer(Generic[EventT]):
    """The events that one reader has not read yet.

    Up to ``limit`` events wait as they came. Beyond it, a delta is joined to the waiting delta of its item, unless
    another kind of event came in between. So the buffer grows beyond ``limit`` only by events that are no deltas, of
    which none is ever dropped, and by the text itself. Only :class:`CommandOutput` may lose its middle, and says so.
    """

    __slots__ = ("_limit", "_queue", "_runs", "merged")

    def __init__(self, limit: int = DEFAULT_BUFFER_LIMIT) -> None:
        self._limit = limit
        self._queue: deque[EventT | _Run] = deque()
        self._runs: dict[Key, _Run] = {}  # that a further delta may join: nothing but deltas came after them
        self.merged = 0  #: how many deltas were joined to others

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._queue)

    def push(self, event: EventT) -> None:
        """Add an event at the end."""
        if len(self._queue) < self._limit and not self._runs:
            self._queue.append(event)
        elif event.__class__ in _DELTAS:
            self._merge(event)
        else:
            self._runs.clear()
            self._queue.append(event)

    def pop(self) -> EventT | None:
        """Take the oldest event; ``None`` if there is none."""
        if not self._queue:
            return None
        entry = self._queue.popleft()
        if not isinstance(entry, _Run):
            return entry
        if self._runs.get(entry.key) is entry:
            del self._runs[entry.key]
        return cast("EventT", entry.merged())

    def _merge(self, event: EventT) -> None:
        delta = cast("Delta", event)
        key: Key = (delta.__class__, delta.item_id, isinstance(delta, ReasoningDelta) and delta.summary)
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = _Run(key, delta)
            self._queue.append(run)
        else:
            self.merged += 1
        run.pieces.append(delta.text)

"""Buffers for text that comes faster than it is read.

:class:`TurnBuffer` holds the events of a turn for one reader. When the reader lags, it merges deltas instead of
dropping them, so that a text is never cut, and keeps only the latest of what is replaced by its next.
:class:`TextWindow` keeps the beginning and the end of a text that may be endless, such as the output of a command.

The one idea: pieces are kept as they came and joined once, when they are read. Nothing is copied per piece.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeAlias, TypeVar, cast

from codex_runtime._sansio.turn_events import (
    CommandOutput,
    DiffUpdated,
    FileChangeUpdated,
    PlanDelta,
    PlanUpdated,
    ReasoningDelta,
    RetryNotice,
    TextDelta,
    TokenUsageUpdated,
    ToolProgress,
)

__all__ = ["DEFAULT_BUFFER_LIMIT", "OUTPUT_LIMIT", "TextWindow", "TurnBuffer"]

DEFAULT_BUFFER_LIMIT = 1024

# What the server itself keeps of a command's output, half of it from each end.
OUTPUT_LIMIT = 1024 * 1024

MISSED = "\n[... what came while the connection was broken ...]\n"

EventT = TypeVar("EventT")
Delta: TypeAlias = TextDelta | ReasoningDelta | PlanDelta | CommandOutput
Key: TypeAlias = tuple[type[Delta], str, bool]
Standing: TypeAlias = tuple[type, str]

_DELTAS: frozenset[type] = frozenset({TextDelta, ReasoningDelta, PlanDelta, CommandOutput})
# How something stands now: whoever knows the latest has no use for those before. Some stand so for one item each.
_STANDINGS: frozenset[type] = frozenset(
    {DiffUpdated, FileChangeUpdated, PlanUpdated, RetryNotice, TokenUsageUpdated, ToolProgress}
)


class TextWindow:
    """The first and the last half of ``limit`` characters of a text; a line says how much is missing between them."""

    __slots__ = ("_half", "_has_gap", "_head", "_head_room", "_left_out", "_tail", "_tail_size")

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._half = self._head_room = max(1, limit // 2)
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._left_out = 0
        self._has_gap = False

    @property
    def is_truncated(self) -> bool:
        """True if something is missing in the middle."""
        return self._has_gap or self._left_out > 0 or self._tail_size > self._half

    def miss(self) -> None:
        """Take note that something may be missing here."""
        self._has_gap = True
        self.append(MISSED)

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


class _Latest:
    """How something stands; empty once there is news of it further behind."""

    __slots__ = ("event", "key")

    def __init__(self, key: Standing, event: object) -> None:
        self.key = key
        self.event: object | None = event


class TurnBuffer(Generic[EventT]):
    """The events that one reader has not read yet.

    Up to ``limit`` events wait as they came. Beyond it, a delta is joined to the waiting delta of its item, unless
    another kind of event came in between; and what tells how something stands (diff, plan, usage, the progress of an item)
    takes the place of what told it before, and lets deltas pass. So the buffer grows beyond ``limit`` only by events that
    happen once, of which none is ever dropped, and by the text itself. Only :class:`CommandOutput` may lose its middle,
    and says so.
    """

    __slots__ = ("_latest", "_limit", "_queue", "_runs", "_stale", "merged")

    def __init__(self, limit: int = DEFAULT_BUFFER_LIMIT) -> None:
        self._limit = limit
        self._queue: deque[EventT | _Run | _Latest] = deque()
        self._runs: dict[Key, _Run] = {}  # that a further delta may join: nothing that happens once came after them
        self._latest: dict[Standing, _Latest] = {}
        self._stale = 0  # how many of those that wait are empty
        self.merged = 0  #: how many events were joined to others or replaced by them

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._queue) - self._stale

    def push(self, event: EventT) -> None:
        """Add an event at the end."""
        if len(self._queue) < self._limit and not self._runs:
            self._queue.append(event)
        elif event.__class__ in _DELTAS:
            self._merge(event)
        elif event.__class__ in _STANDINGS:
            self._replace(event)
        else:
            self._runs.clear()
            self._queue.append(event)

    def pop(self) -> EventT | None:
        """Take the oldest event; ``None`` if there is none."""
        while self._queue:
            entry = self._queue.popleft()
            if isinstance(entry, _Run):
                if self._runs.get(entry.key) is entry:
                    del self._runs[entry.key]
                return cast("EventT", entry.merged())
            if not isinstance(entry, _Latest):
                return entry
            if entry.event is not None:
                del self._latest[entry.key]
                return cast("EventT", entry.event)
            self._stale -= 1
        return None

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

    def _replace(self, event: EventT) -> None:
        """Let the latest wait where it came: the diff over a change must not come before that change."""
        key: Standing = (event.__class__, getattr(event, "item_id", ""))
        if (before := self._latest.get(key)) is not None:
            before.event = None
            self._stale += 1
            self.merged += 1
        self._latest[key] = latest = _Latest(key, event)
        self._queue.append(latest)
        if self._stale > self._limit:
            # Rarely, and then all at once: taking each out of the middle would cost as much as all that wait.
            self._queue = deque(each for each in self._queue if not (isinstance(each, _Latest) and each.event is None))
            self._stale = 0

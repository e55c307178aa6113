"""The working copy of the state: the mutable nodes behind a snapshot, and what is read out of rarer messages.

A node holds the value that the last snapshot saw of it (``frozen``); whoever changes a node drops that value and its
parents'. Text is held in pieces and joined when somebody looks. The rules of what changes when are the projection's;
this file never decides.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct, field

from codex_runtime._sansio.envelope import DECODE_ERRORS, Envelope, params_of
from codex_runtime._sansio.state import ItemState, ItemStatus, StateLimits, ThreadState, TurnState

__all__ = [
    "ItemNode",
    "Text",
    "ThreadNode",
    "TurnNode",
    "TurnReport",
    "byte_size",
    "cut",
    "error_of",
    "item_content",
    "turn_report",
]

CONTENT_KINDS = frozenset({"agentMessage", "plan", "commandExecution", "reasoning"})  # whose end tells their content
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


class ItemNode:
    """An item that may still change.

    The line that completes it may be megabytes long, and tells text and output anew. It is read when somebody looks
    (``unread``), so that this costs nobody else anything.
    """

    __slots__ = (
        "completed",
        "frozen",
        "id",
        "kind",
        "last_seq",
        "output",
        "started",
        "status",
        "text",
        "turn",
        "unread",
        "weight",
    )

    def __init__(self, item_id: str, turn: TurnNode, limits: StateLimits) -> None:
        self.id = item_id
        self.turn = turn
        self.kind = "unknown"
        self.status: ItemStatus = "closed"
        self.text = Text(limits.text_bytes)
        self.output = Text(limits.output_bytes)
        self.started: bytes | None = None
        self.completed: bytes | None = None
        self.last_seq = 0
        self.unread = False
        self.weight = 0
        self.frozen: ItemState | None = None

    def complete(self, line: bytes, *, keep: bool) -> None:
        """Take the line that completes the item. Deltas that come later are late and change nothing."""
        self.status = "completed"
        self.text.end()
        self.output.end()
        self.completed = line if keep else None
        self.unread = keep
        if not keep:
            self._read(line)

    def size(self) -> int:
        """Return how many bytes it holds, or will hold at most when what is unread has been read."""
        completed = len(self.completed or b"")
        held = len(self.started or b"") + completed + self.text.held + self.output.held
        return held + completed if self.unread and self.kind in CONTENT_KINDS else held

    def _read(self, line: bytes) -> None:
        # The server loses pieces of a command's output on the way; what it says at the end is the truth.
        text, output = item_content(self.kind, line)
        self.text.replace(text)
        self.output.replace(output)

    def freeze(self) -> ItemState:
        """Return the value, the same one until the node changes."""
        if self.unread and self.completed is not None:
            self._read(self.completed)
            self.unread = False
        if self.frozen is None:
            self.frozen = ItemState(
                id=self.id,
                kind=self.kind,
                status=self.status,
                text=self.text.value(),
                output=self.output.value(),
                truncated=self.text.truncated or self.output.truncated,
                last_seq=self.last_seq,
                started_line=self.started,
                completed_line=self.completed,
            )
        return self.frozen


class TurnNode:
    """A turn that may still change. ``open_items`` are those that nobody completed or closed."""

    __slots__ = (
        "completed_at",
        "error",
        "frozen",
        "id",
        "items",
        "last_seq",
        "open_items",
        "started_at",
        "status",
        "thread",
        "weight",
    )

    def __init__(self, turn_id: str, thread: ThreadNode) -> None:
        self.id = turn_id
        self.thread = thread
        self.status = "inProgress"
        self.items: OrderedDict[str, ItemNode] = OrderedDict()
        self.open_items: dict[str, ItemNode] = {}
        self.error: bytes | None = None
        self.started_at: float | None = None
        self.completed_at: float | None = None
        self.last_seq = 0
        self.weight = 0
        self.frozen: TurnState | None = None

    @property
    def is_open(self) -> bool:
        """True until the turn has ended."""
        return self.status == "inProgress"

    def freeze(self) -> TurnState:
        """Return the value, the same one until the node or an item of it changes."""
        if self.frozen is None:
            self.frozen = TurnState(
                id=self.id,
                status=self.status,
                items=MappingProxyType({key: item.frozen or item.freeze() for key, item in self.items.items()}),
                started_at=self.started_at,
                completed_at=self.completed_at,
                last_seq=self.last_seq,
                error_json=self.error,
            )
        return self.frozen


class ThreadNode:
    """A thread that may still change. ``open`` are its turns that have not ended, ``active`` the one that runs."""

    __slots__ = (
        "active",
        "archived",
        "cwd",
        "diff",
        "flags",
        "frozen",
        "goal",
        "id",
        "last_seq",
        "model",
        "name",
        "open",
        "plan",
        "status",
        "turns",
        "usage",
    )

    def __init__(self, thread_id: str) -> None:
        self.id = thread_id
        self.turns: OrderedDict[str, TurnNode] = OrderedDict()
        self.open: dict[str, TurnNode] = {}
        self.active: TurnNode | None = None
        self.name: str | None = None
        self.status: str | None = None
        self.flags: tuple[str, ...] = ()
        self.archived = False
        self.model: str | None = None
        self.cwd: str | None = None
        self.diff: str | None = None
        self.plan: bytes | None = None
        self.usage: bytes | None = None
        self.goal: bytes | None = None
        self.last_seq = 0
        self.frozen: ThreadState | None = None

    def freeze(self) -> ThreadState:
        """Return the value, the same one until the node or a turn of it changes."""
        if self.frozen is None:
            self.frozen = ThreadState(
                id=self.id,
                turns=MappingProxyType({key: turn.frozen or turn.freeze() for key, turn in self.turns.items()}),
                name=self.name,
                status=self.status,
                active_flags=self.flags,
                active_turn=self.active.id if self.active else None,
                archived=self.archived,
                model=self.model,
                cwd=self.cwd,
                diff=self.diff,
                last_seq=self.last_seq,
                plan_line=self.plan,
                usage_line=self.usage,
                goal_line=self.goal,
            )
        return self.frozen


# -- text --------------------------------------------------------------------------------------------------------------


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


# -- rarer messages ----------------------------------------------------------------------------------------------------


class TurnReport(Struct, frozen=True, rename="camel"):
    """What is used of the turn in ``turn/started`` and ``turn/completed``, without the items that it may repeat."""

    id: str | None = None
    root_turn_id: str | None = None
    status: str | None = None
    error: Raw = field(default_factory=lambda: Raw(b"null"))
    started_at: float | None = None
    completed_at: float | None = None


class _TurnParams(Struct):
    turn: TurnReport


class _TurnLine(Struct):
    params: _TurnParams


class _Content(Struct, rename="camel"):
    text: str | None = None
    aggregated_output: str | None = None
    summary: list[str] = []
    content: list[str] = []


class _ContentParams(Struct):
    item: _Content


class _ContentLine(Struct):
    params: _ContentParams


class _ErrorParams(Struct):
    error: Raw = Raw(b"null")


class _ErrorLine(Struct):
    params: _ErrorParams


_decode_error = msgspec.json.Decoder(_ErrorLine).decode
_decode_turn = msgspec.json.Decoder(_TurnLine).decode
_decode_content = msgspec.json.Decoder(_ContentLine).decode


def turn_report(envelope: Envelope) -> TurnReport:
    """Read the turn that a message is about. Where its details cannot be read, its id and status still count."""
    try:
        return _decode_turn(envelope.raw).params.turn
    except DECODE_ERRORS:
        turn = params_of(envelope).get("turn")
        status = turn.get("status") if isinstance(turn, dict) else None
        ref = envelope.shallow.turn
        return TurnReport(id=ref.id if ref else None, status=status if isinstance(status, str) else None)


def error_of(envelope: Envelope) -> bytes:
    """Return the error that a message tells, as JSON text; ``null`` where there is none."""
    try:
        return bytes(_decode_error(envelope.raw).params.error)
    except DECODE_ERRORS:
        return b"null"


def item_content(kind: str, line: bytes) -> tuple[str | None, str | None]:
    """Return text and output as a completed item tells them; ``None`` for what it does not hold or cannot be read."""
    if kind not in CONTENT_KINDS:
        return None, None
    try:
        item = _decode_content(line).params.item
    except DECODE_ERRORS:
        return None, None
    if kind == "reasoning":
        return "\n\n".join(item.summary), "".join(item.content)
    return item.text, item.aggregated_output

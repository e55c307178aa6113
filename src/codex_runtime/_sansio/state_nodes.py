"""The working copy of the state: the mutable nodes behind a snapshot.

A node holds the value that the last snapshot saw of it (``frozen``); whoever changes a node drops that value and its
parents'. The rules of what changes when are the projection's;
this file never decides.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

from codex_runtime._sansio.state import NO_NOTES, ItemState, ItemStatus, Notes, StateLimits, ThreadState, TurnState
from codex_runtime._sansio.state_messages import CONTENT_KINDS, item_content
from codex_runtime._sansio.state_text import Text

__all__ = ["THREAD_BOOKS", "THREAD_LINES", "THREAD_WORDS", "Book", "ItemNode", "ThreadNode", "TurnNode"]

# What a thread node and its value have under the same name: as it is, as a line, and as notes.
THREAD_WORDS = (
    "name",
    "status",
    "active_flags",
    "archived",
    "model",
    "cwd",
    "parent",
    "forked_from",
    "nickname",
    "role",
    "agent_path",
    "project",
    "environments",
    "diff",
    "last_seq",
    "queue_seq",
)
THREAD_LINES = (
    "details",
    "settings",
    "plan",
    "usage",
    "goal",
    "queue",
    "read_state",
    "prediction",
    "realtime",
)
THREAD_BOOKS = ("mcp_servers", "attachments", "hooks")


class Book:
    """The notes of one sort that may still change, and how many bytes they hold."""

    __slots__ = ("_frozen", "lines", "weight")

    def __init__(self) -> None:
        self.lines: dict[str, bytes] = {}
        self.weight = 0
        self._frozen: Notes | None = NO_NOTES

    def put(self, name: str, line: bytes | None, most: int) -> bool:
        """Note what was told last; ``None`` takes a note out. Returns whether the oldest one had to go for it."""
        before = self.lines.pop(name, b"") if line is None else self.lines.get(name, b"")
        if line is not None:
            self.lines[name] = line
        self.weight += len(line or b"") - len(before)
        self._frozen = None
        if len(self.lines) <= most:
            return False
        self.weight -= len(self.lines.pop(next(iter(self.lines))))
        return True

    def freeze(self) -> Notes:
        """Return the value, the same one until a note changes."""
        if self._frozen is None:
            self._frozen = Notes(MappingProxyType(dict(self.lines))) if self.lines else NO_NOTES
        return self._frozen


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
        "patch",
        "started",
        "status",
        "stdin",
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
        self.stdin: Text | None = None  # few items have any
        self.patch: bytes | None = None
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
        self.patch = None
        self.completed = line if keep else None
        self.unread = keep
        if not keep:
            self._read(line)

    def size(self) -> int:
        """Return how many bytes it holds, or will hold at most when what is unread has been read."""
        completed = len(self.completed or b"")
        held = len(self.started or b"") + completed + self.text.held + self.output.held + len(self.patch or b"")
        if self.stdin is not None:
            held += self.stdin.held
        return held + completed if self.unread and self.kind in CONTENT_KINDS else held

    @property
    def truncated(self) -> bool:
        """True when something of it was cut at its limit."""
        return self.text.truncated or self.output.truncated or (self.stdin is not None and self.stdin.truncated)

    def _read(self, line: bytes) -> None:
        # The server loses pieces of a command's output on the way; what it says at the end is the truth.
        text, output = item_content(self.kind, line)
        self.text.replace(text)
        self.output.replace(output)

    def read(self) -> None:
        """Read the line that completed it, if that was not done yet."""
        if self.unread and self.completed is not None:
            self._read(self.completed)
            self.unread = False

    def freeze(self) -> ItemState:
        """Return the value, the same one until the node changes."""
        self.read()
        if self.frozen is None:
            self.frozen = ItemState(
                id=self.id,
                kind=self.kind,
                status=self.status,
                text=self.text.value(),
                output=self.output.value(),
                stdin=self.stdin.value() if self.stdin is not None else "",
                truncated=self.truncated,
                last_seq=self.last_seq,
                started_line=self.started,
                completed_line=self.completed,
                patch_line=self.patch,
            )
        return self.frozen


class TurnNode:
    """A turn that may still change. ``open_items`` are those that nobody completed or closed."""

    __slots__ = (
        "completed_at",
        "duration",
        "error",
        "frozen",
        "hooks",
        "id",
        "items",
        "last_seq",
        "open_items",
        "reviews",
        "root",
        "started_at",
        "status",
        "thread",
        "told",
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
        self.duration: float | None = None
        self.root: str | None = None
        self.hooks = Book()
        self.reviews = Book()
        self.told = Book()
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
                duration=self.duration,
                root=self.root,
                last_seq=self.last_seq,
                error_json=self.error,
                hooks=self.hooks.freeze(),
                reviews=self.reviews.freeze(),
                told=self.told.freeze(),
            )
        return self.frozen


class ThreadNode:
    """A thread that may still change. ``open`` are its turns that have not ended, ``active`` the one that runs."""

    __slots__ = (
        "active",
        "active_flags",
        "agent_path",
        "archived",
        "attachments",
        "cwd",
        "details",
        "diff",
        "environments",
        "forked_from",
        "frozen",
        "goal",
        "hooks",
        "id",
        "last_seq",
        "mcp_servers",
        "model",
        "name",
        "nickname",
        "open",
        "parent",
        "plan",
        "prediction",
        "project",
        "queue",
        "queue_seq",
        "read_state",
        "realtime",
        "role",
        "settings",
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
        self.active_flags: tuple[str, ...] = ()
        self.archived = False
        self.model: str | None = None
        self.cwd: str | None = None
        self.parent: str | None = None
        self.forked_from: str | None = None
        self.nickname: str | None = None
        self.role: str | None = None
        self.agent_path: str | None = None
        self.project: str | None = None
        self.environments: tuple[str, ...] = ()
        self.diff: str | None = None
        self.details: bytes | None = None
        self.settings: bytes | None = None
        self.plan: bytes | None = None
        self.usage: bytes | None = None
        self.goal: bytes | None = None
        self.queue: bytes | None = None
        self.queue_seq: int | None = None
        self.read_state: bytes | None = None
        self.prediction: bytes | None = None
        self.realtime: bytes | None = None
        self.mcp_servers = Book()
        self.attachments = Book()
        self.hooks = Book()
        self.last_seq = 0
        self.frozen: ThreadState | None = None

    def freeze(self) -> ThreadState:
        """Return the value, the same one until the node or a turn of it changes."""
        if self.frozen is None:
            self.frozen = ThreadState(
                id=self.id,
                turns=MappingProxyType({key: turn.frozen or turn.freeze() for key, turn in self.turns.items()}),
                active_turn=self.active.id if self.active else None,
                **{name: getattr(self, name) for name in THREAD_WORDS},
                **{f"{name}_line": getattr(self, name) for name in THREAD_LINES},
                **{name: getattr(self, name).freeze() for name in THREAD_BOOKS},
            )
        return self.frozen

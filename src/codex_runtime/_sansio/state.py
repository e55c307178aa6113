"""The state of a runtime as plain values: what it knows about its threads, turns and items at one moment.

Everything here is frozen and is shared between snapshots, so hold a snapshot as long as you like and compare parts of
two of them by identity. It never changes under you and never knows how it came about; that is the projection's work.

What the server told as JSON is kept as the line it came in and decoded on each use, so that you get a value of your
own and pay only for what you read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from codex_runtime._sansio.envelope import DECODE_ERRORS, JsonValue, loads
from codex_runtime.errors import ConfigError

__all__ = [
    "Connection",
    "Evicted",
    "ItemState",
    "ItemStatus",
    "PendingRequest",
    "Phase",
    "RuntimeState",
    "StateLimits",
    "ThreadState",
    "TurnState",
]

Phase: TypeAlias = Literal["starting", "handshaking", "running", "restarting", "closing", "closed", "dead"]
ItemStatus: TypeAlias = Literal["open", "completed", "closed"]

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class StateLimits(Struct, frozen=True, kw_only=True):
    """How much state is kept. The oldest goes first; what goes is counted in :attr:`RuntimeState.evicted`.

    ``text_bytes`` and ``output_bytes`` bound the text of one item, in UTF-8. ``line_bytes`` bounds each line that is
    kept for its JSON; a longer one is not kept. ``total_bytes`` bounds all items together, approximately: beyond it
    whole turns are forgotten, never one that is running.
    """

    threads: int = 256
    turns_per_thread: int = 256
    items_per_turn: int = 256
    text_bytes: int = 262_144
    output_bytes: int = 262_144
    line_bytes: int = 8_388_608
    total_bytes: int = 67_108_864

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
                raise ConfigError(f"state_limits.{name}", f"must be a whole number above 0, not {value!r}")


class Quiet(Struct, frozen=True):
    """A value whose repr leaves out the raw JSON that it keeps."""

    def __repr__(self) -> str:
        """Name every other field."""
        names = [name for name in self.__struct_fields__ if not name.endswith(("_line", "_json"))]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


class Connection(Struct, frozen=True):
    """Where the runtime stands with its app server.

    ``generation`` counts the app servers of this runtime from 0. ``cause`` says why, for phases that have a reason.
    """

    phase: Phase = "starting"
    generation: int = 0
    cause: str | None = None


class PendingRequest(Struct, frozen=True, kw_only=True):
    """A request of the server that waits for its answer.

    ``opened_at`` is Unix time in seconds; ``deadline``, on the clock of the event loop, is when it is answered for you,
    ``None`` if never.
    """

    ticket_id: str
    method: str
    thread_id: str | None = None
    turn_id: str | None = None
    item_id: str | None = None
    opened_at: float = 0.0
    deadline: float | None = None
    generation: int = 0


class ItemState(Quiet, frozen=True, kw_only=True):
    """One item of a turn.

    ``kind`` is the server's word (``agentMessage``, ``commandExecution``, ...), ``"unknown"`` until it was told.
    ``status``: ``"open"`` while it runs, ``"completed"`` when the server said so, ``"closed"`` when its turn ended
    without a word about it. An item of an ended turn is never open.

    ``text`` is what the item says: the message, the plan, the summary of the reasoning. ``output`` is what comes out
    of it: output of a command or of a file change, progress of a tool, the raw reasoning. ``truncated`` is true when
    either was cut at its limit.
    """

    id: str
    kind: str
    status: ItemStatus
    text: str = ""
    output: str = ""
    truncated: bool = False
    last_seq: int = 0
    started_line: bytes | None = None
    completed_line: bytes | None = None

    @property
    def started(self) -> JsonValue:
        """The item as it was when it started, decoded on each use; ``None`` if that was not told or not kept."""
        return json_part(self.started_line, "item")

    @property
    def completed(self) -> JsonValue:
        """The item as it was when it completed, decoded on each use; ``None`` if that was not told or not kept."""
        return json_part(self.completed_line, "item")


class TurnState(Quiet, frozen=True, kw_only=True):
    """One turn of a thread.

    ``status`` is the server's word (``inProgress``, ``completed``, ``interrupted``, ``failed``) or ``"lost"`` when the
    app server went away in mid-turn. ``items`` go from the oldest to the newest. Times are Unix seconds, as told.
    """

    id: str
    status: str
    items: Mapping[str, ItemState]
    started_at: float | None = None
    completed_at: float | None = None
    last_seq: int = 0
    error_json: bytes | None = None

    @property
    def error(self) -> JsonValue:
        """What the server said went wrong, decoded on each use; while the turn runs it may be trouble it retries."""
        return json_part(self.error_json)


class ThreadState(Quiet, frozen=True, kw_only=True):
    """One thread.

    ``status`` is the server's word (``idle``, ``active``, ``systemError``, ``notLoaded``), ``None`` until it was told.
    ``active_turn`` is the id of the turn that runs now. ``turns`` go from the oldest to the newest.
    """

    id: str
    turns: Mapping[str, TurnState]
    name: str | None = None
    status: str | None = None
    active_flags: tuple[str, ...] = ()
    active_turn: str | None = None
    archived: bool = False
    model: str | None = None
    cwd: str | None = None
    diff: str | None = None
    last_seq: int = 0
    plan_line: bytes | None = None
    usage_line: bytes | None = None
    goal_line: bytes | None = None

    @property
    def plan(self) -> JsonValue:
        """The steps of the plan as last told, decoded on each use."""
        return json_part(self.plan_line, "plan")

    @property
    def usage(self) -> JsonValue:
        """The token usage as last told, decoded on each use."""
        return json_part(self.usage_line, "tokenUsage")

    @property
    def goal(self) -> JsonValue:
        """The goal of the thread, decoded on each use; ``None`` if it has none."""
        return json_part(self.goal_line, "goal")


class Evicted(Struct, frozen=True):
    """What the limits cost so far.

    ``refused`` counts messages for a new thread that found no room, because every thread that is kept runs a turn.
    """

    threads: int = 0
    turns: int = 0
    items: int = 0
    refused: int = 0


class RuntimeState(Quiet, frozen=True, kw_only=True):
    """What a runtime knows, at one moment."""

    connection: Connection = Connection()
    threads: Mapping[str, ThreadState] = field(default_factory=lambda: NOTHING)
    pending: Mapping[str, PendingRequest] = field(default_factory=lambda: NOTHING)
    evicted: Evicted = Evicted()
    rate_limits_line: bytes | None = None

    @property
    def rate_limits(self) -> JsonValue:
        """The account's rate limits as last told, decoded on each use."""
        return json_part(self.rate_limits_line, "rateLimits")


def json_part(line: bytes | None, name: str | None = None) -> JsonValue:
    """Decode a kept document, or one parameter of a kept message; ``None`` for what is not there."""
    if not line:
        return None
    try:
        document = loads(line)
    except DECODE_ERRORS:
        return None
    if name is None:
        return document
    params = document.get("params") if isinstance(document, dict) else None
    return params.get(name) if isinstance(params, dict) else None

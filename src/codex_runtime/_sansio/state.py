"""The state of a runtime as plain values: what it knows about its threads, turns and items at one moment.

Everything here is frozen and is shared between snapshots, so hold a snapshot as long as you like and compare parts of
two of them by identity. It never changes under you and never knows how it came about; that is the projection's work.

What the server told as JSON is kept as the line it came in and decoded on each use, so that you get a value of your
own and pay only for what you read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "Notes",
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
    kept for its JSON; a longer one is not kept. ``notes`` bounds each of the :class:`Notes`. ``total_bytes`` bounds all
    items together, approximately: beyond it whole turns are forgotten, never one that is running.
    """

    threads: int = 256
    turns_per_thread: int = 256
    items_per_turn: int = 256
    text_bytes: int = 262_144
    output_bytes: int = 262_144
    line_bytes: int = 8_388_608
    notes: int = 64
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


class Notes(Mapping[str, JsonValue]):
    """What was told last of each of several things, by name: the parameters of that message, decoded on each use."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Mapping[str, bytes] = NOTHING) -> None:
        self._lines = lines

    @property
    def lines(self) -> Mapping[str, bytes]:
        """The messages as they came."""
        return self._lines

    def __getitem__(self, name: str) -> JsonValue:
        return json_part(self._lines[name], whole=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return self._lines == other._lines if isinstance(other, Notes) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as any mapping

    def __repr__(self) -> str:
        """Name them."""
        return f"Notes({', '.join(self._lines)})"


NO_NOTES: Final = Notes()


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
    of it: output of a command or of a file change, progress of a tool, the raw reasoning. ``stdin`` is what was written
    to a command while it ran. ``truncated`` is true when one of them was cut at its limit.

    ``last_seq``, here and above, is the number of the last message about it; below 0 if that was in an earlier run of the
    program, from which a state store brought it back.
    """

    id: str
    kind: str
    status: ItemStatus
    text: str = ""
    output: str = ""
    stdin: str = ""
    truncated: bool = False
    last_seq: int = 0
    started_line: bytes | None = None
    completed_line: bytes | None = None
    patch_line: bytes | None = None

    @property
    def started(self) -> JsonValue:
        """The item as it was when it started, decoded on each use; ``None`` if that was not told or not kept."""
        return json_part(self.started_line, "item")

    @property
    def completed(self) -> JsonValue:
        """The item as it was when it completed, decoded on each use; ``None`` if that was not told or not kept."""
        return json_part(self.completed_line, "item")

    @property
    def started_at(self) -> float | None:
        """When it started, in Unix seconds, decoded on each use; ``None`` if that was not told or not kept."""
        return _seconds(json_part(self.started_line, "startedAtMs"))

    @property
    def completed_at(self) -> float | None:
        """When it completed, in Unix seconds, decoded on each use; ``None`` if that was not told or not kept."""
        return _seconds(json_part(self.completed_line, "completedAtMs"))

    @property
    def patch(self) -> JsonValue:
        """The changes of a file change that is still being written, decoded on each use; ``None`` if there are none."""
        return json_part(self.patch_line, "changes")


class TurnState(Quiet, frozen=True, kw_only=True):
    """One turn of a thread.

    ``status`` is the server's word (``inProgress``, ``completed``, ``interrupted``, ``failed``) or ``"lost"`` when the
    app server went away in mid-turn. ``items`` go from the oldest to the newest. Times are Unix seconds, as told, and
    ``duration`` is in seconds. ``root`` is the turn on whose behalf it runs: its own id, or that of the turn, mostly in
    another thread, that began it.

    ``hooks`` are the runs of the server's own hooks by their id, ``reviews`` the automatic reviews of approvals by theirs,
    ``told`` the rarer messages about the turn by their method: that another model took over, for example.
    """

    id: str
    status: str
    items: Mapping[str, ItemState]
    started_at: float | None = None
    completed_at: float | None = None
    duration: float | None = None
    root: str | None = None
    last_seq: int = 0
    error_json: bytes | None = None
    hooks: Notes = NO_NOTES
    reviews: Notes = NO_NOTES
    told: Notes = NO_NOTES

    @property
    def error(self) -> JsonValue:
        """What the server said went wrong, decoded on each use; while the turn runs it may be trouble it retries."""
        return json_part(self.error_json)


class ThreadState(Quiet, frozen=True, kw_only=True):
    """One thread.

    ``status`` is the server's word (``idle``, ``active``, ``systemError``, ``notLoaded``), ``None`` until this app server
    told it. ``active_turn`` is the id of the turn that runs now. ``turns`` go from the oldest to the newest.

    A sub-agent works in a thread of its own, whose ``parent`` is the thread that began it; ``nickname``, ``role`` and
    ``agent_path`` are what it is called. ``forked_from`` is the thread that it began as a copy of.

    ``environments`` are connected now. ``mcp_servers`` are by name, ``attachments`` and ``hooks`` (those of no turn) by id.
    ``queue_seq`` is the number of the last message that said that other prompts wait for their turn than before.
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
    parent: str | None = None
    forked_from: str | None = None
    nickname: str | None = None
    role: str | None = None
    agent_path: str | None = None
    project: str | None = None
    environments: tuple[str, ...] = ()
    diff: str | None = None
    last_seq: int = 0
    queue_seq: int | None = None
    details_line: bytes | None = None
    settings_line: bytes | None = None
    plan_line: bytes | None = None
    usage_line: bytes | None = None
    goal_line: bytes | None = None
    queue_line: bytes | None = None
    read_state_line: bytes | None = None
    prediction_line: bytes | None = None
    realtime_line: bytes | None = None
    mcp_servers: Notes = NO_NOTES
    attachments: Notes = NO_NOTES
    hooks: Notes = NO_NOTES

    @property
    def details(self) -> JsonValue:
        """The thread as it was described last, decoded on each use: where it came from, when, its file and so on."""
        return json_part(self.details_line, "thread")

    @property
    def settings(self) -> JsonValue:
        """Its settings as last told, decoded on each use; ``None`` until one of them was changed."""
        return json_part(self.settings_line, "threadSettings")

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

    @property
    def queue(self) -> JsonValue:
        """The prompts that wait for their turn, as the server listed them last, decoded on each use.

        ``None`` until a list was asked for with ``thread/queue/list`` and while the one that came is out of date.
        """
        return json_part(self.queue_line, "data")

    @property
    def read_state(self) -> JsonValue:
        """What of it is unread, as last told, decoded on each use."""
        return json_part(self.read_state_line, "readState")

    @property
    def prediction(self) -> JsonValue:
        """What the server thinks will be asked next, as last told, decoded on each use."""
        return json_part(self.prediction_line, "result")

    @property
    def realtime(self) -> JsonValue:
        """The spoken conversation that goes on in it now, decoded on each use; ``None`` if there is none."""
        return json_part(self.realtime_line, whole=True)


class Evicted(Struct, frozen=True):
    """What the limits cost so far, earlier runs of the program included if a state store brought them back.

    ``refused`` counts messages for a new thread that found no room, because every thread that is kept runs a turn.
    """

    threads: int = 0
    turns: int = 0
    items: int = 0
    refused: int = 0
    notes: int = 0


class RuntimeState(Quiet, frozen=True, kw_only=True):
    """What a runtime knows, at one moment.

    ``mcp_servers`` are those of no thread, by name; ``told`` are rarer messages about the server, by their method: who is
    signed in, for example.
    """

    connection: Connection = Connection()
    threads: Mapping[str, ThreadState] = field(default_factory=lambda: NOTHING)
    pending: Mapping[str, PendingRequest] = field(default_factory=lambda: NOTHING)
    evicted: Evicted = Evicted()
    rate_limits_line: bytes | None = None
    mcp_servers: Notes = NO_NOTES
    told: Notes = NO_NOTES

    @property
    def rate_limits(self) -> JsonValue:
        """The account's rate limits as last told, decoded on each use."""
        return json_part(self.rate_limits_line, "rateLimits")

    def children(self, thread_id: str) -> tuple[ThreadState, ...]:
        """Return the threads of the sub-agents that a thread began."""
        return tuple(thread for thread in self.threads.values() if thread.parent == thread_id)


def json_part(line: bytes | None, name: str | None = None, *, whole: bool = False) -> JsonValue:
    """Decode a kept document, or of a kept message one parameter or the whole of them; ``None`` for what is not there."""
    if not line:
        return None
    try:
        document = loads(line)
    except DECODE_ERRORS:
        return None
    if name is None and not whole:
        return document
    params = document.get("params") if isinstance(document, dict) else None
    if whole:
        return params
    return params.get(name) if isinstance(params, dict) else None


def _seconds(milliseconds: JsonValue) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None

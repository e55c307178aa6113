"""Fold messages into the state of the runtime.

The projection is the one place that remembers. It is fed every message of the server, in order, one call per read, and
hands out immutable snapshots. It has no clock, waits for nothing, and nothing that a server writes makes it raise:
what it does not know or cannot read changes nothing.

The idea needed to read it: nearly every message adds text to the same item as the message before. Such a *run* of
deltas is appended inside :meth:`Projection.fold` itself and booked once, at its end. All else takes the careful road.
What has changed since the last snapshot is known because the careful road drops the cached values of what it touches;
a snapshot rebuilds what was dropped, shares the rest, and ends the run, so that the next delta is careful again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Protocol

from codex_runtime._sansio.envelope import Envelope, JsonValue, params_of
from codex_runtime._sansio.state import NOTHING, Connection, PendingRequest, RuntimeState, StateLimits
from codex_runtime._sansio.state_answers import ANSWERS, answer, as_line, result_of
from codex_runtime._sansio.state_facts import AGENT_KINDS, FACTS, adopt, short
from codex_runtime._sansio.state_messages import error_of, turn_report
from codex_runtime._sansio.state_nodes import Book, ItemNode, ThreadNode, TurnNode
from codex_runtime._sansio.state_restore import restore
from codex_runtime._sansio.state_text import Text, byte_size
from codex_runtime._sansio.state_tree import StateTree

__all__ = ["TELLING", "Connection", "Projection", "RuntimeState", "StateLimits"]

# Which deltas are kept: the kind of their item, and whether they are its output (else its text).
DELTAS: Final[dict[str | None, tuple[str, bool]]] = {
    "item/agentMessage/delta": ("agentMessage", False),
    "item/plan/delta": ("plan", False),
    "item/reasoning/summaryTextDelta": ("reasoning", False),
    "item/reasoning/textDelta": ("reasoning", True),
    "item/commandExecution/outputDelta": ("commandExecution", True),
    "item/fileChange/outputDelta": ("fileChange", True),
}
RATE_LIMITS = "account/rateLimits/read"
TELLING = frozenset({*ANSWERS, RATE_LIMITS})  # requests whose answers are folded as well
OF_THE_SERVER = "remoteControl/status/changed"  # what is true of one app server only, of all that is told


class _Run:
    """A stretch of deltas for one text of one item. Its ids are compared with each message."""

    __slots__ = ("item", "item_id", "method", "room", "text", "thread_id", "turn_id")

    def __init__(self, envelope: Envelope, item: ItemNode, text: Text) -> None:
        shallow = envelope.shallow
        self.method: object = envelope.method
        self.thread_id = shallow.thread_id
        self.turn_id = shallow.turn_id
        self.item_id = shallow.item_id
        self.item = item
        self.text = text
        self.room = max(text.room, 0)


class _Road(Protocol):
    def __call__(self, projection: Projection, envelope: Envelope, /) -> _Run | None: ...


class Projection:
    """The state of a runtime, folded from its messages, within ``limits``.

    ``pending`` tells which requests of the server wait for their answer; it is asked for a snapshot, not for each of them.
    ``on_turn_end`` is called in the fold, whenever a turn has ended; it may only take note.
    """

    def __init__(
        self,
        limits: StateLimits | None = None,
        *,
        pending: Callable[[], Mapping[str, PendingRequest]] = lambda: NOTHING,
    ) -> None:
        self._limits = limits or StateLimits()
        self._tree = StateTree(self._limits, self._turn_ended)
        self.on_turn_end: Callable[[], object] | None = None
        self._connection = Connection()
        self._pending = pending
        self._frozen_pending: Mapping[str, PendingRequest] | None = NOTHING  # none: to be made for the next snapshot
        self._rate_limits: bytes | None = None
        self._mcp_servers = Book()
        self._told = Book()
        self._no_run = _Run(Envelope(), ItemNode("", TurnNode("", ThreadNode("")), self._limits), Text(1))
        self._no_run.method = object()  # equal to nothing that a server can write
        self._run = self._no_run
        self._frozen: RuntimeState | None = None

    # -- what is told ----------------------------------------------------------------------------------------------

    def fold(self, envelopes: list[Envelope]) -> None:
        """Take in the messages of one read, in order. Costs about 0.2 µs per delta."""
        run = self._run
        method, item_id, turn_id, thread_id = run.method, run.item_id, run.turn_id, run.thread_id
        text, room, append = run.text, run.text.room, run.text.parts.append
        latest: Envelope | None = None
        for envelope in envelopes:
            shallow = envelope.shallow
            if (
                (delta := shallow.delta) is not None
                and shallow.item_id == item_id
                and envelope.method == method
                and shallow.turn_id == turn_id
                and shallow.thread_id == thread_id
            ):
                latest = envelope
                if room >= 0:
                    size = len(delta) if delta.isascii() else byte_size(delta)
                    if size <= room:
                        room -= size
                        append(delta)
                    else:
                        text.room = room
                        text.add(delta)
                        room = text.room
            elif (road := self._ROADS.get(envelope.method)) is not None:
                if latest is not None:
                    text.room = room
                    self._book(run, latest.seq)
                    latest = None
                run = road(self, envelope) or self._no_run
                method, item_id, turn_id, thread_id = run.method, run.item_id, run.turn_id, run.thread_id
                text, room, append = run.text, run.text.room, run.text.parts.append
        if latest is not None:
            text.room = room
            self._book(run, latest.seq)
        self._run = self._no_run if self._tree.shed() else run

    def fold_with_answers(self, envelopes: list[Envelope], answers: list[tuple[str, JsonValue, Envelope]]) -> None:
        """As :meth:`fold`, for a read with answers that tell something: ``TELLING`` names the methods.

        Each of them, in order, comes with the method and the parameters of our request.
        """
        done, first = 0, envelopes[0].seq if envelopes else 0
        for method, asked, envelope in answers:
            upto = envelope.seq - first
            self.fold(envelopes[done:upto])
            self._run = self._no_run
            if method == RATE_LIMITS and result_of(envelope) is not None:
                self._rate_limits, self._frozen = _bounded(as_line(envelope), self._limits.text_bytes), None
            answer(self._tree, method, asked, envelope)
            done = upto
        self.fold(envelopes[done:])

    def set_connection(self, connection: Connection) -> None:
        """Note where the runtime stands with its app server."""
        if connection != self._connection:
            self._connection, self._frozen = connection, None

    def pending_changed(self) -> None:
        """The requests of the server that wait for their answer are others now. The next snapshot asks which."""
        self._frozen_pending = self._frozen = None

    def end_generation(self) -> None:
        """The app server went away, and with it all that only lived there.

        Turns that ran are lost, their items closed, and no thread is known to be loaded.
        """
        self._run = self._no_run
        for thread in self._tree.threads.values():
            self._tree.unload(thread, None)
        if self._mcp_servers.lines or OF_THE_SERVER in self._told.lines:
            self._mcp_servers, self._frozen = Book(), None
            self._tree.note(self._told, OF_THE_SERVER, None)

    def restore(self, state: RuntimeState) -> None:
        """Begin with what an earlier program knew, before anything else is told. Of its server nothing is left."""
        self._run, self._frozen = self._no_run, None
        restore(self._tree, state)
        self._rate_limits = state.rate_limits_line
        for name, line in state.told.lines.items():
            self._tree.note(self._told, name, None if name == OF_THE_SERVER else line)

    # -- what is known ---------------------------------------------------------------------------------------------

    def snapshot(self) -> RuntimeState:
        """Return the state as it is now: the identical object for as long as nothing changes."""
        if self._frozen is None or self._tree.changed:
            self._run = self._no_run
            if self._frozen_pending is None:
                self._frozen_pending = self._pending()
            self._frozen = RuntimeState(
                connection=self._connection,
                threads=self._tree.freeze(),
                pending=self._frozen_pending,
                evicted=self._tree.evicted,
                rate_limits_line=self._rate_limits,
                mcp_servers=self._mcp_servers.freeze(),
                told=self._told.freeze(),
            )
        return self._frozen

    # -- items -----------------------------------------------------------------------------------------------------

    def _on_delta(self, envelope: Envelope) -> _Run | None:
        delta = envelope.shallow.delta
        if delta is None or (item := self._item(envelope)) is None:
            return None
        kind, is_output = DELTAS[envelope.method]
        if item.kind == "unknown":
            item.kind = kind
        return self._add(envelope, item, item.output if is_output else item.text, delta)

    def _on_item_started(self, envelope: Envelope) -> None:
        if (item := self._item(envelope)) is not None:
            before, item.started = item.started, self._kept(envelope, self._limits.line_bytes)
            self._tree.weigh(item, len(item.started or b"") - len(before or b""))
            if item.kind in AGENT_KINDS:
                adopt(self._tree, item, envelope)

    def _on_item_completed(self, envelope: Envelope) -> None:
        if (item := self._item(envelope)) is None:
            return
        item.turn.open_items.pop(item.id, None)
        item.complete(envelope.raw, keep=len(envelope.raw) <= self._limits.line_bytes)
        self._tree.weigh(item, item.size() - item.weight)
        if item.kind in AGENT_KINDS:
            adopt(self._tree, item, envelope)

    def _on_summary_part(self, envelope: Envelope) -> None:
        """Part the parts of a reasoning summary by an empty line."""
        if (item := self._item(envelope)) is not None and item.text.parts:
            self._add(envelope, item, item.text, "\n\n")

    def _on_tool_progress(self, envelope: Envelope) -> None:
        message = params_of(envelope).get("message")
        if isinstance(message, str) and (item := self._item(envelope)) is not None:
            if item.kind == "unknown":
                item.kind = "mcpToolCall"
            self._add(envelope, item, item.output, message + "\n")

    def _on_written(self, envelope: Envelope) -> None:
        """Take what was written to a command, and what a file change will be, while either is under way."""
        item = self._item(envelope)
        if item is None or item.status == "completed":
            return
        if envelope.method == "item/fileChange/patchUpdated":
            item.patch = self._kept(envelope, self._limits.line_bytes)
        elif isinstance(written := params_of(envelope).get("stdin"), str):
            text = item.stdin = item.stdin or Text(self._limits.text_bytes)
            before = max(text.room, 0)
            text.add(written)
            text.book(before)
        self._tree.weigh(item, item.size() - item.weight)

    def _item(self, envelope: Envelope) -> ItemNode | None:
        """Find or make the item that a message names, or holds, and touch it."""
        shallow = envelope.shallow
        ref = shallow.item
        item = self._tree.item(shallow.thread_id, shallow.turn_id, ref.id if ref else shallow.item_id, envelope.seq)
        # What completed an item is read late, and by its kind; so that is settled by then.
        if item is not None and ref is not None and (item.status != "completed" or envelope.method == "item/completed"):
            item.read()
            item.kind = short(ref.type) or item.kind
        return item

    def _add(self, envelope: Envelope, item: ItemNode, text: Text, more: str) -> _Run:
        run = _Run(envelope, item, text)
        text.add(more)
        self._book(run, envelope.seq)
        return run

    def _book(self, run: _Run, seq: int) -> None:
        """Write down what a run added."""
        item = run.item
        item.last_seq = item.turn.last_seq = item.turn.thread.last_seq = seq
        self._tree.weigh(item, run.text.book(run.room))
        run.room = max(run.text.room, 0)

    # -- turns -----------------------------------------------------------------------------------------------------

    def _on_turn_started(self, envelope: Envelope) -> None:
        thread = self._tree.threads.get(envelope.shallow.thread_id or "")
        report = turn_report(envelope)
        # A review announces itself under a second id; its items and its end carry the id of the root.
        by_root = thread is not None and report.root_turn_id in thread.open
        turn_id = report.root_turn_id if by_root else report.id
        if (turn := self._tree.turn(envelope.shallow.thread_id, turn_id, envelope.seq)) is not None:
            self._tree.begin_turn(turn)
            turn.started_at = report.started_at
            turn.root = short(report.root_turn_id) or turn.root

    def _on_turn_completed(self, envelope: Envelope) -> None:
        report = turn_report(envelope)
        if (turn := self._tree.turn(envelope.shallow.thread_id, report.id, envelope.seq)) is not None:
            status = short(report.status) or "completed"
            self._tree.end_turn(turn, status if status != "inProgress" else "completed")
            self._set_error(turn, bytes(report.error))
            turn.started_at = report.started_at if report.started_at is not None else turn.started_at
            turn.completed_at = report.completed_at
            turn.duration = None if report.duration_ms is None else report.duration_ms / 1000
            turn.root = short(report.root_turn_id) or turn.root

    def _on_error(self, envelope: Envelope) -> None:
        shallow = envelope.shallow
        if (turn := self._tree.turn(shallow.thread_id, shallow.turn_id, envelope.seq)) is not None:
            self._set_error(turn, error_of(envelope))

    def _set_error(self, turn: TurnNode, error: bytes) -> None:
        turn.error = error if error != b"null" and len(error) <= self._limits.text_bytes else None

    # -- all else --------------------------------------------------------------------------------------------------

    def _on_fact(self, envelope: Envelope) -> None:
        FACTS[envelope.method](self._tree, envelope)

    def _on_mcp_server(self, envelope: Envelope) -> None:
        """Take how an MCP server is, which belongs to a thread or to none."""
        thread_id, name = envelope.shallow.thread_id, params_of(envelope).get("name")
        if thread_id is None:
            self._tree.note(self._mcp_servers, name, envelope.raw)
            self._frozen = None
        elif (thread := self._tree.thread(thread_id, envelope.seq)) is not None:
            self._tree.note(thread.mcp_servers, name, envelope.raw)

    def _on_told(self, envelope: Envelope) -> None:
        self._tree.note(self._told, envelope.method, envelope.raw)
        self._frozen = None

    def _on_rate_limits(self, envelope: Envelope) -> None:
        self._rate_limits, self._frozen = self._kept(envelope, self._limits.text_bytes), None

    def _kept(self, envelope: Envelope, limit: int) -> bytes | None:
        return _bounded(envelope.raw, limit)

    def _turn_ended(self) -> None:
        if self.on_turn_end is not None:
            self.on_turn_end()

    _ROADS: ClassVar[Mapping[str | None, _Road]] = {
        **dict.fromkeys(DELTAS, _on_delta),
        "item/started": _on_item_started,
        "item/completed": _on_item_completed,
        "item/reasoning/summaryPartAdded": _on_summary_part,
        "item/mcpToolCall/progress": _on_tool_progress,
        "turn/started": _on_turn_started,
        "turn/completed": _on_turn_completed,
        "error": _on_error,
        "item/commandExecution/terminalInteraction": _on_written,
        "item/fileChange/patchUpdated": _on_written,
        **dict.fromkeys(FACTS, _on_fact),
        "mcpServer/startupStatus/updated": _on_mcp_server,
        "account/updated": _on_told,
        OF_THE_SERVER: _on_told,
        "account/rateLimits/updated": _on_rate_limits,
    }


def _bounded(line: bytes, limit: int) -> bytes | None:
    return line if len(line) <= limit else None

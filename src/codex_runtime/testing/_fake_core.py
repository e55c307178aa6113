"""The rules of the fake app server, without the I/O: lines in, lines and faults out.

It speaks the wire of the real one: the greeting, the texts of its refusals, its silence about what it cannot read, server
requests that count from 0 in each process. It never waits and never touches a pipe; the same rules serve a fake in memory
and one in a real process.

The one idea: everything that takes time is a generator, parked under a key. The core says what it waits for and goes on
when it is told that this happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, final

from codex_runtime.testing._fake_items import Outcome
from codex_runtime.testing._fake_log import Answer, Asked, History, JsonObject, Received
from codex_runtime.testing._fake_methods import Call, Methods, RefusedError
from codex_runtime.testing._fake_orders import Moment, Orders, Refusal
from codex_runtime.testing._fake_script import Die, Fault, Step
from codex_runtime.testing._fake_threads import FakeDisk, FakeThread
from codex_runtime.testing._fake_turn import Play, Request, TurnPlay, play_anytime
from codex_runtime.testing._reply import Hold, Pause, Stall

__all__ = ["FakeServerCore", "Output", "Waiting"]

MAX_ID = 2**63 - 1
MAX_DEPTH = 128
OVERLOADED = Refusal(-32001, "Server overloaded; retry later.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The core waits: call :meth:`FakeServerCore.proceed` with ``key`` when the pause is over or the gate open."""

    key: int
    until: Pause | Hold


Output: TypeAlias = bytes | Waiting | Fault
"""What the core wants done: bytes for stdout, something to wait for, something to do to the process."""


@dataclass(slots=True)
class _Runner:
    """A generator that is being played, and the turn it is, if it is one."""

    play: Play
    turn: TurnPlay | None = None


class _DiedError(Exception):
    """The process is over; whoever was at work stops here."""


@final
class FakeServerCore:
    """One process of a fake app server. Each method returns what it caused, in order."""

    def __init__(
        self,
        *,
        generation: int,
        disk: FakeDisk,
        orders: Orders,
        history: History,
        wall: Callable[[], float],
        pid: int = 1,
    ) -> None:
        self.generation = generation
        self.disk = disk
        self.orders = orders
        self.pid = pid
        self.client: JsonObject | None = None
        self.is_over = False
        self.plays: dict[str, TurnPlay] = {}
        self.statuses: dict[str, JsonObject] = {}
        self.subscribed: set[str] = set()
        self.hanging: dict[str, list[Call]] = {}
        self._history = history
        self._wall = wall
        self._out: list[Output] = []
        self._methods = Methods(self)
        self._parked: dict[int, _Runner] = {}
        self._open: dict[int, tuple[Asked, Request, _Runner]] = {}
        self._next_key = 0
        self._next_id = 0

    # -- what happens to it ------------------------------------------------------------------------------------------

    def start(self) -> list[Output]:
        """The process runs; it may die before it reads anything."""
        with suppress(_DiedError):
            self._die_if_ordered("launch", "before")
        return self._drain()

    def receive(self, line: bytes) -> list[Output]:
        """The client wrote a line."""
        with suppress(_DiedError):
            if not self.is_over:
                self._receive(line)
        return self._drain()

    def proceed(self, key: int) -> list[Output]:
        """What :class:`Waiting` named has happened. Nothing happens if nobody waits for it any more."""
        with suppress(_DiedError):
            if not self.is_over and (runner := self._parked.pop(key, None)) is not None:
                self._advance(runner)
        return self._drain()

    def play(self, steps: Iterable[Step]) -> list[Output]:
        """Play steps that need no turn, now."""
        with suppress(_DiedError):
            self._advance(_Runner(self._play(steps)))
        return self._drain()

    def end(self) -> None:
        """The process is gone. Safe to call again."""
        self.is_over = True
        self.disk.release(self.generation, self._wall())
        self._history.alive.discard(self.generation)
        for runner in [*self._parked.values(), *(runner for _, _, runner in self._open.values())]:
            runner.play.close()
        self._parked.clear()
        self._open.clear()

    def disconnect(self) -> None:
        """The client is gone and the process lives on, as one does that listens on a socket."""
        self.client = None
        self.subscribed.clear()

    # -- what methods and turns do with it ---------------------------------------------------------------------------

    def now(self) -> float:
        """Unix time."""
        return self._wall()

    def capability(self, name: str) -> object:
        """What the client said of itself in the greeting."""
        capabilities = self.client.get("capabilities") if self.client is not None else None
        return capabilities.get(name) if isinstance(capabilities, dict) else None

    def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification, unless the client opted out of it or has left its thread."""
        opted_out = self.capability("optOutNotificationMethods")
        if isinstance(opted_out, list) and method in opted_out:
            return
        thread_id = params.get("threadId")
        if thread_id in self.statuses and thread_id not in self.subscribed and method != "thread/status/changed":
            return
        self._send({"method": method, "params": params, "emittedAtMs": int(self.now() * 1000)}, method)

    def write(self, data: bytes) -> None:
        """Put bytes on stdout."""
        self._emit(data)

    def inflict(self, fault: Fault) -> None:
        """Do something to the process."""
        self._emit(fault)

    def set_status(self, thread: FakeThread, status: JsonObject) -> None:
        """Tell a change of a thread's status, if it is one."""
        if self.statuses.get(thread.id) != status:
            self.statuses[thread.id] = status
            self.notify("thread/status/changed", {"threadId": thread.id, "status": status})

    def begin(self, play: TurnPlay) -> None:
        """Begin a turn."""
        self.plays[play.thread.id] = play
        self._advance(_Runner(play.play, play))

    def interrupt(self, play: TurnPlay) -> None:
        """Break a turn off. What it waited for may still happen, and finds nobody."""
        play.play.close()
        play.finish("interrupted")

    def turn_ends(self, play: TurnPlay) -> None:
        """Answer the interrupts that came too late for the turn before; the real server does it only now."""
        for call in self.hanging.pop(play.thread.id, []):
            self.reply(call, {})

    def turn_ended(self, play: TurnPlay) -> None:
        """Withdraw what the turn had asked and nobody answered."""
        self.plays.pop(play.thread.id, None)
        for rpc_id, (_, request, runner) in list(self._open.items()):
            if runner.turn is play:
                del self._open[rpc_id]
                self._tell_resolved(rpc_id, request)

    def ask_again(self, thread: FakeThread) -> None:
        """Ask a client that was not there before what the thread still waits for, under the same id."""
        for asked, _, runner in list(self._open.values()):
            if runner.turn is not None and runner.turn.thread is thread:
                self._send({"method": asked.method, "id": asked.rpc_id, "params": asked.params}, asked.method)

    def reply(self, call: Call, result: JsonObject) -> None:
        """Answer a request, now or as ordered."""
        if call.order is not None and call.order.how == "drop":
            return
        line = {"id": call.rpc_id, "result": result}
        if call.order is not None and call.order.gate is not None:
            self._advance(_Runner(self._reply_later(line, call.method, Hold(call.order.gate))))
        else:
            self._send(line, call.method, moments=("during", "after"))

    # -- lines in ----------------------------------------------------------------------------------------------------

    def _receive(self, line: bytes) -> None:
        message = _read(line)
        self._history.received.append(Received(self.generation, line, message))
        try:
            line.decode()
        except UnicodeDecodeError:
            self._emit(Die(code=0))  # the real one stops reading and leaves
        if message is None or not _is_readable(message, line):
            return  # the real one drops it and says nothing
        method = message.get("method")
        if method is None:
            self._take_answer(message)
            return
        self._die_if_ordered(method, "before")
        if "id" in message:
            self._take_request(message, method)
        else:
            self._die_if_ordered(method, "after")

    def _take_request(self, message: JsonObject, method: str) -> None:
        order = self.orders.reply_order(method)
        call = Call(message["id"], method, message.get("params"), order)
        if order is not None and order.how == "swallow":
            return
        try:
            if order is not None and order.how == "overload":
                raise RefusedError(OVERLOADED)
            self._methods.handle(call)
        except RefusedError as refused:
            error: JsonObject = {"code": refused.refusal.code, "message": refused.refusal.message}
            if refused.refusal.data is not None:
                error["data"] = refused.refusal.data
            self._send({"error": error, "id": call.rpc_id}, method, moments=("during", "after"))

    def _take_answer(self, message: JsonObject) -> None:
        rpc_id = message.get("id")
        error = message.get("error")
        found = self._open.pop(rpc_id, None) if isinstance(rpc_id, int) else None
        asked = found[0] if found is not None else self._asked(rpc_id)
        self._history.answers.append(
            Answer(self.generation, rpc_id, asked, message.get("result"), error, counted=found is not None)
        )
        if found is None:
            return
        _, request, runner = found
        self._tell_resolved(int(asked.rpc_id) if asked is not None else 0, request)
        self._advance(runner, Outcome(message.get("result"), error))

    def _asked(self, rpc_id: object) -> Asked | None:
        mine = (asked for asked in self._history.asked if asked.generation == self.generation)
        return next((asked for asked in mine if asked.rpc_id == rpc_id), None)

    # -- generators --------------------------------------------------------------------------------------------------

    def _advance(self, runner: _Runner, outcome: Outcome | None = None) -> None:
        try:
            wait = next(runner.play) if outcome is None else runner.play.send(outcome)
        except StopIteration:
            return
        match wait:
            case Request(method, params):
                asked = Asked(self.generation, self._next_id, method, params)
                self._next_id += 1
                self._open[asked.rpc_id] = (asked, wait, runner)
                self._history.asked.append(asked)
                self._send({"method": method, "id": asked.rpc_id, "params": params}, method)
            case Pause() | Hold():
                self._next_key += 1
                self._parked[self._next_key] = runner
                self._emit(Waiting(self._next_key, wait))
            case Stall():
                self._next_key += 1
                self._parked[self._next_key] = runner

    def _play(self, steps: Iterable[Step]) -> Play:
        for step in steps:
            yield from play_anytime(self, step, {})

    def _reply_later(self, message: JsonObject, method: str, hold: Hold) -> Play:
        yield hold
        self._send(message, method, moments=("during", "after"))

    # -- lines out ---------------------------------------------------------------------------------------------------

    def _tell_resolved(self, rpc_id: int, request: Request) -> None:
        thread_id = request.params.get("threadId")
        if request.resolves and thread_id is not None:
            self.notify("serverRequest/resolved", {"threadId": thread_id, "requestId": rpc_id})

    def _send(
        self, message: JsonObject, method: str, *, moments: tuple[Moment, ...] = ("before", "during", "after")
    ) -> None:
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for moment in moments:
            if (die := self.orders.death(method, moment)) is not None:
                self._emit({"before": b"", "during": line[: len(line) // 2], "after": line}[moment])
                self._emit(die)
        self._emit(line)

    def _die_if_ordered(self, method: str, moment: Moment) -> None:
        if (die := self.orders.death(method, moment)) is not None:
            self._emit(die)

    def _emit(self, output: Output) -> None:
        if self.is_over:
            raise _DiedError
        self._out.append(output)
        if isinstance(output, bytes):
            self._history.lines_sent += output.count(b"\n")
        elif isinstance(output, Die):
            self.is_over = True
            raise _DiedError

    def _drain(self) -> list[Output]:
        out, self._out = self._out, []
        return out


def _read(line: bytes) -> JsonObject | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _is_readable(message: JsonObject, line: bytes) -> bool:
    """Whether the real server would read this object as a message; the rest it drops without a word."""
    if "id" in message:
        rpc_id = message["id"]
        if not isinstance(rpc_id, int | str) or isinstance(rpc_id, bool):
            return False
        if isinstance(rpc_id, int) and not -MAX_ID - 1 <= rpc_id <= MAX_ID:
            return False
    elif not isinstance(message.get("method"), str):
        return False
    if not isinstance(message.get("method"), str | None) or _depth(message) > MAX_DEPTH:
        return False
    if b"\\u" in line:
        try:
            json.dumps(message, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
    return True


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [inner for part in level for inner in _inside(part)]:
        depth += 1
    return depth + 1


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

"""What a runtime has to do, without any of what makes it do it: no task, no future, no buffer, no clock.

It is told what the caller does and what passes the seam, and keeps the books: who has which outcome, what was written, what
each counter says, when the next server is due. It is written from the documents, never from the sources.

The one idea: whatever happens, happens in an order, and each thing is over before the next begins.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ASK", "Bounds", "Call", "Reference", "Ticket"]

ASK = "item/commandExecution/requestApproval"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The settings. No two kinds of waiting end at the same moment, if whatever is done is done at a half second."""

    max_in_flight: int = 2
    request_deadline: float = 6.2
    ticket_deadline: float = 3.3
    max_open_tickets: int = 3
    start_deadline: float = 4.25
    line_limit: int = 2000
    budget: int = 3
    window: float = 40.0
    backoff: float = 1.0
    max_backoff: float = 4.0
    stable: float = 10.0


@dataclass(eq=False)
class Call:
    """A request or notification of ours. ``sent`` is where it is in flight; ``outcome`` is a value or the name of an error."""

    kind: str
    due: float
    sent: tuple[int, int] | None = None
    outcome: object = None


@dataclass(eq=False)
class Ticket:
    """A request of the server. What it says decides what its handler does."""

    generation: int
    message: dict[str, Any]
    due: float
    outcome: str | None = None

    @property
    def rpc_id(self) -> object:
        """The server's own id of it."""
        return self.message["id"]

    @property
    def behave(self) -> str:
        """What its handler does."""
        return str(self.message.get("params", {}).get("behave"))


@dataclass
class Reference:
    """The books of one runtime, opened at ``now``."""

    bounds: Bounds
    now: float
    phase: str = "running"
    generation: int = 0
    next_id: int = 2
    greeting: int | None = 1  # its id, while it has no answer
    next_start: str = "up"
    due: float = math.inf  # of the next start, or of the end of one that does not come about
    ready_at: float = 0.0
    restarts: list[float] = field(default_factory=list)
    streak: int = 0
    is_stalled: bool = False
    is_deaf: bool = False  # it is gone, and what it said before is only now being heard
    is_closing: bool = False
    line: list[Call] = field(default_factory=list)
    in_flight: dict[tuple[int, int], Call] = field(default_factory=dict)
    tickets: list[Ticket] = field(default_factory=list)  # those that are open
    spoilt: set[tuple[int, Any]] = field(default_factory=set)  # ids that were used for two things
    answers: dict[int, list[tuple[object, str]]] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    launched_at: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    tail: bytes = b""

    def __post_init__(self) -> None:
        self.launched_at.append(self.now)
        self.ready_at = self.now
        self.counts["requests"] = 1

    # -- the caller --------------------------------------------------------------------------------------------------

    def call(self, kind: str, deadline: float | None = None) -> Call:
        """A request or a notification is begun."""
        call = Call(kind, self.now + (self.bounds.request_deadline if deadline is None else deadline))
        if self.phase in ("dead", "closed"):
            self._end(call, f"Runtime{self.phase.capitalize()}Error")
        else:
            self.line.append(call)
            self._pump()
        return call

    def cancel(self, call: Call) -> None:
        """Its caller goes away."""
        self._end(call, "CancelledError")

    def answer(self, ticket: Ticket, outcome: str) -> bool:
        """Somebody answers a server request. False: it is settled already."""
        if ticket.outcome is not None:
            return False
        self._settle(ticket, outcome)
        return True

    def close(self) -> None:
        """The runtime begins to end."""
        self.is_closing = True
        self.due = math.inf
        for call in list(self.line):
            self._lose(call, "RuntimeClosedError")

    # -- the server --------------------------------------------------------------------------------------------------

    def stalls(self, *, stalled: bool) -> None:
        """The server reads no more, or again."""
        self.is_stalled = stalled
        self._pump()

    def says(self, data: bytes, *, is_deaf: bool) -> None:
        """A read: all of it is told, then asked, then withdrawn, then settled."""
        self.is_deaf = is_deaf
        self.counts["bytes_in"] += len(data)
        *lines, self.tail = (self.tail + data).split(b"\n")
        read = [self._understand(line + b"\n") for line in lines if line.strip() or len(line) >= self.bounds.line_limit]
        asked = [message for message in read if "id" in message and "method" in message]
        for message in asked:
            if any(other["id"] == message["id"] and other != message for other in asked):
                self.spoilt.add((self.generation, message["id"]))
        for message in asked:
            self._open(message)
        for message in read:
            if message.get("method") == "serverRequest/resolved":
                wanted = (self.generation, message["params"]["requestId"])
                for ticket in [each for each in self.tickets if (each.generation, each.rpc_id) == wanted]:
                    self._settle(ticket, "withdrawn")
        for message in read:
            if "id" in message and "method" not in message:
                self._answered(message)

    def ends(self, *, clean: bool) -> None:
        """The server is gone."""
        was, self.phase = self.phase, "closed" if self.is_closing else "gone"
        if self.tail:
            self.counts["messages"] += 1
            self.counts["malformed"] += 1
            self.tail = b""
        for call in list(self.in_flight.values()):
            self._lose(call, "RuntimeClosedError" if self.is_closing else "ConnectionLostError")
        for ticket in list(self.tickets):
            self._settle(ticket, "withdrawn")
        self.is_stalled = False
        if was == "running" and not self.is_closing:
            self._decide(clean=clean, uptime=self.now - self.ready_at)
        elif was == "handshaking" and not self.is_closing:
            self.counts["requests_lost"] += 1  # the greeting
            self._decide(clean=False, uptime=0.0)
        elif not self.is_closing:
            self.phase = was  # one that never came up

    # -- time --------------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Everything that was ready has run: coroutines that end without an answer have said no."""
        for ticket in [each for each in self.tickets if each.behave == "silent"]:
            self._settle(ticket, "declined")

    def catch_up(self, now: float) -> None:
        """It is so late: whatever was due until then has happened, in its order."""
        if now > self.now:
            self.rest()
        while True:
            calls = [*self.line, *self.in_flight.values()]
            waits: list[Any] = sorted([*calls, *self.tickets], key=lambda each: each.due)
            due = min(self.due, waits[0].due if waits else math.inf)
            if due > now:
                self.now = now
                return
            self.now = due
            if self.due == due:
                self._start_or_fail()
            elif isinstance(waits[0], Call):
                self.counts["requests_timed_out"] += 1
                self._end(waits[0], "RequestTimeoutError")
            else:
                self._settle(waits[0], "declined")

    def _start_or_fail(self) -> None:
        if self.phase == "handshaking":
            self._decide(clean=False, uptime=0.0)
            return
        self.generation += 1
        self.launched_at.append(self.now)
        how, self.next_start = self.next_start, "up"
        if how != "refuses to launch":
            self.greeting, self.next_id = self.next_id, self.next_id + 1
            self.counts["requests"] += 1
        match how:
            case "up":
                self.phase, self.ready_at, self.due = "running", self.now, math.inf
                self._pump()
            case "never answers":
                self.phase, self.due = "handshaking", self.now + self.bounds.start_deadline
            case _:
                self.counts["requests_lost"] += how == "dies at once"
                self._decide(clean=False, uptime=0.0)

    def _decide(self, *, clean: bool, uptime: float) -> None:
        bounds = self.bounds
        recent = [at for at in self.restarts if self.now - at < bounds.window]
        if clean or len(recent) >= bounds.budget:
            self.phase, self.due = "dead", math.inf
            for call in list(self.line):
                self._lose(call, "RuntimeDeadError")
            return
        self.streak = 0 if uptime >= bounds.stable else self.streak
        delay = min(bounds.backoff * 2.0**self.streak, bounds.max_backoff)
        self.phase, self.due = "restarting", self.now + delay
        self.restarts, self.streak = [*recent, self.now], self.streak + 1

    # -- calls -------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        while self.line and self.phase == "running" and not self.is_stalled and not self.is_closing:
            if len(self.in_flight) >= self.bounds.max_in_flight:
                return
            call = self.line[0]
            if call.kind == "notify":
                self._end(call, "sent")
                return
            self.line.pop(0)
            call.sent = (self.generation, self.next_id)
            self.in_flight[call.sent] = call
            self.next_id += 1
            self.counts["requests"] += 1

    def _lose(self, call: Call, error: str) -> None:
        self.counts["requests_lost"] += 1
        self._end(call, error)

    def _end(self, call: Call, outcome: object) -> None:
        assert call.outcome is None
        call.outcome = outcome
        if call.kind == "request" and isinstance(outcome, str) and outcome != "CancelledError":
            self.counts["requests_failed"] += 1
        if call in self.line:
            self.line.remove(call)
        if call.sent is not None:
            del self.in_flight[call.sent]
        self._pump()

    def _answered(self, message: dict[str, Any]) -> None:
        call = self.in_flight.get((self.generation, message["id"]))
        if call is not None:
            bad = (
                "RemoteProtocolError" if "unusable" in message else "RequestFailedError" if "error" in message else None
            )
            self._end(call, bad or message["result"])
        elif message["id"] == self.greeting:
            self.greeting = None
        elif "unusable" not in message:
            self.counts["late_answers"] += 1

    # -- messages ----------------------------------------------------------------------------------------------------

    def _understand(self, line: bytes) -> dict[str, Any]:
        self.counts["messages"] += 1
        if len(line) > self.bounds.line_limit:
            self.counts["too_long"] += 1
        else:
            try:
                message: Any = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict) and ("method" in message or "id" in message):
                self._fold(message)
                return message
            self.counts["malformed"] += 1
        start = b'{"id":'
        return {"id": int(line[len(start) :].split(b",")[0]), "unusable": True} if line.startswith(start) else {}

    def _fold(self, message: dict[str, Any]) -> None:
        if message.get("method") == "thread/started":
            self.names.setdefault(message["params"]["thread"]["id"], None)
        elif message.get("method") == "thread/name/updated":
            self.names[message["params"]["threadId"]] = message["params"]["threadName"]

    # -- tickets -----------------------------------------------------------------------------------------------------

    def _open(self, message: dict[str, Any]) -> None:
        ticket = Ticket(self.generation, message, self.now + self.bounds.ticket_deadline)
        twin = next(
            (each for each in self.tickets if (each.generation, each.rpc_id) == (self.generation, message["id"])), None
        )
        if twin is not None and twin.message == message:
            return  # the same once more
        self.counts["server_requests"] += 1
        if twin is not None:
            self._settle(twin, "withdrawn")
            self.spoilt.add((self.generation, message["id"]))
        self.tickets.append(ticket)
        if message["method"] != ASK:
            self._settle(ticket, "refused")
        elif (self.generation, message["id"]) in self.spoilt or len(self.tickets) > self.bounds.max_open_tickets:
            self._settle(ticket, "declined")
        elif ticket.behave == "raise":
            self.counts["guest_errors"] += 1
            self._settle(ticket, "declined")
        elif ticket.behave == "accept":
            self._settle(ticket, "accepted")

    def _settle(self, ticket: Ticket, outcome: str) -> None:
        ticket.outcome = outcome
        self.tickets.remove(ticket)
        self.settled[outcome] += 1
        if outcome != "withdrawn" and not self.is_deaf:
            self.answers.setdefault(ticket.generation, []).append((ticket.rpc_id, outcome))

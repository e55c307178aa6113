"""The whole runtime against its reference: whatever callers and servers do, in any order, the books agree after each step.

The runtime is the real one, on a puppet server and a clock that stands still. After each rule everything that is ready has
run, so that there is one right answer to every question; what may happen in between is the matter of ``test_schedules``.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from codex_runtime._sansio.restart import Exit, RestartPolicy
from codex_runtime.errors import AlreadySettledError, RuntimeDeadError
from codex_runtime.runtime import Gap, Runtime, RuntimeConfig
from codex_runtime.testing import ManualClock
from tests.model import reference
from tests.model.laws import runtime_is_at_rest, tiles
from tests.model.puppet import Puppet
from tests.model.reference import ASK, Bounds, Reference
from tests.support.effort import PATIENCE, searching

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from codex_runtime.runtime import Envelope, Subscription, Ticket

pytestmark = pytest.mark.timeout(PATIENCE)

BOUNDS = Bounds()
BLOCK_PATIENCE = 2.4
SAMPLE = st.integers(0, 30)  # picks one of those that there are
DEADLINES = st.sampled_from([None, None, 1.2, 0.7])
THREADS = st.sampled_from(["t1", "t2"])
NO_MESSAGES = {
    "words": b"thread 'main' panicked",
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[1]",
    "bytes": b"\xff\x00",
    "too long": b'{"method":"%s"}' % (b"x" * BOUNDS.line_limit),
}
COUNTED = (
    "messages",
    "malformed",
    "too_long",
    "late_answers",
    "bytes_in",
    "requests",
    "requests_failed",
    "requests_timed_out",
    "requests_lost",
    "server_requests",
    "guest_errors",
)


class Reader:
    """A subscription, and what was read of it."""

    def __init__(self, subscription: Subscription, capacity: int, first: int) -> None:
        self.subscription = subscription
        self.capacity = capacity
        self.first = first
        self.items: list[Envelope | Gap] = []
        self.is_over = False
        self.error: BaseException | None = None
        self.blocked_for = 0.0

    async def read(self, count: int) -> None:
        """Read so many, if there are so many; then go away in mid-wait."""
        for _ in range(count):
            if self.is_over:
                return
            reading = asyncio.ensure_future(anext(self.subscription))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])
                return
            if (error := reading.exception()) is not None:
                self.is_over, self.error = True, error
            else:
                self.items.append(reading.result())


class RuntimeMachine(RuleBasedStateMachine):
    """Rules are what callers and servers may do; invariants are what has to hold after each."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.unseen: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.unseen.append(str(context)))
        self.clock = ManualClock()
        self.puppet = Puppet(self.clock)
        self.puppet.witness = self
        self.model = Reference(BOUNDS, self.clock.monotonic())
        self.calls: list[tuple[asyncio.Task[Any], reference.Call]] = []
        self.tickets: list[tuple[Ticket, reference.Ticket]] = []
        self.readers: list[Reader] = []
        self.told: list[object] = []
        self.decisions: list[Any] = []
        self.snapshot: tuple[Any, dict[str, str | None]] | None = None
        self.is_open = False

    @initialize()
    def open(self) -> None:
        """The runtime is open and its first server is up."""
        self.runtime = Runtime(
            RuntimeConfig(
                launcher=self.puppet,
                clock=self.clock,
                watchdog=None,
                max_in_flight=BOUNDS.max_in_flight,
                request_deadline=BOUNDS.request_deadline,
                server_request_deadline=BOUNDS.ticket_deadline,
                max_open_server_requests=BOUNDS.max_open_tickets,
                start_deadline=BOUNDS.start_deadline,
                line_limit=BOUNDS.line_limit,
                block_patience=BLOCK_PATIENCE,
                on_server_request=self.handle,
                on_restart=self.told.append,
                on_dead=self.told.append,
                on_decision=self.decisions.append,
                restart=RestartPolicy(
                    budget=BOUNDS.budget,
                    window=BOUNDS.window,
                    backoff=BOUNDS.backoff,
                    max_backoff=BOUNDS.max_backoff,
                    stable=BOUNDS.stable,
                    jitter=0.0,
                ),
            )
        )
        self.run(self.runtime.open())
        self.is_open = True

    # -- the witness, and the handler of the settings ------------------------------------------------------------------

    def says(self, generation: int, data: bytes) -> None:
        """Bytes reach the runtime."""
        self.catch_up()
        assert generation == self.model.generation
        self.model.says(data, is_deaf=self.puppet.latest.is_over)

    def ends(self, generation: int, exit: Exit) -> None:  # noqa: A002
        """The runtime learns of an end."""
        self.catch_up()
        if generation == self.model.generation:
            self.model.ends(clean=exit.clean)

    def catch_up(self) -> None:
        """Let the model know what time it is."""
        self.model.catch_up(self.clock.monotonic())

    def handle(self, ticket: Ticket) -> Any:
        """Do with a server request what that itself says."""
        match ticket.params["behave"]:
            case "raise":
                raise ZeroDivisionError("a guest's fault")
            case "accept":
                ticket.accept()
            case "silent":
                return asyncio.sleep(0)
            case "hang":
                return asyncio.get_running_loop().create_future()
        return None

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something, and let everything run that is ready then."""

        async def and_settle() -> None:
            await work
            await self.clock.advance(0)

        self.loop.run_until_complete(and_settle())
        self.catch_up()
        self.model.rest()
        self.find_tickets()

    def find_tickets(self) -> None:
        """Pair the tickets that are new with those of the model."""
        known = {id(mine) for _, mine in self.tickets}
        fresh = [mine for mine in self.model.tickets if id(mine) not in known]
        old = {id(theirs) for theirs, _ in self.tickets}
        found = [theirs for theirs in self.runtime.tickets if id(theirs) not in old]
        opened = [theirs.envelope.rpc_id for theirs in found]
        assert opened == [mine.rpc_id for mine in fresh], f"{opened} were opened and should be {fresh}"
        self.tickets += zip(found, fresh, strict=True)

    async def say(self, *messages: object, cut: int = 0) -> None:
        """Have the server say this, in one read or in two."""
        data = b"".join(
            (each if isinstance(each, bytes) else json.dumps(each, separators=(",", ":")).encode()) + b"\n"
            for each in messages
        )
        place = cut % len(data)
        for piece in (data[:place], data[place:]):
            if piece:
                self.puppet.latest.say(piece)

    # -- rules: callers ------------------------------------------------------------------------------------------------

    def is_usable(self) -> bool:
        """A server is there."""
        return self.is_open and self.model.phase == "running" and not self.model.is_closing

    @rule(kinds=st.lists(st.sampled_from(["request", "request", "notify"]), min_size=1, max_size=4), deadline=DEADLINES)
    def call(self, kinds: list[str], deadline: float | None) -> None:
        """Ask or tell, several times in one turn of the loop."""

        async def begin() -> None:
            for kind in kinds if self.model.phase not in ("dead", "closed") else kinds[:1]:
                method = getattr(self.runtime, kind)
                theirs = asyncio.ensure_future(method(kind, {"n": len(self.calls)}, deadline=deadline))
                self.calls.append((theirs, self.model.call(kind, deadline)))

        self.run(begin())

    @precondition(lambda self: any(mine.outcome is None for _, mine in self.calls))
    @rule(which=SAMPLE, answered=st.booleans())
    def cancel(self, which: int, answered: bool) -> None:  # noqa: FBT001
        """A caller goes away; what it asked may be answered all the same."""
        pending = [pair for pair in self.calls if pair[1].outcome is None]
        theirs, mine = pending[which % len(pending)]

        async def go_away() -> None:
            theirs.cancel()
            self.model.cancel(mine)

        self.run(go_away())
        if answered and mine.sent is not None and self.is_usable():
            self.run(self.say({"id": mine.sent[1], "result": {"to": mine.sent[1]}}))

    @precondition(lambda self: self.tickets)
    @rule(which=SAMPLE, how=st.sampled_from(["accept", "decline", "cancel"]))
    def answer(self, which: int, how: str) -> None:
        """Answer a server request: one that waits, or one that was settled long ago."""
        theirs, mine = self.tickets[-1 - which % len(self.tickets)]

        async def give() -> None:
            outcome = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}[how]
            try:
                getattr(theirs, how)()
            except AlreadySettledError:
                assert not self.model.answer(mine, outcome)
            else:
                assert self.model.answer(mine, outcome)

        self.run(give())

    @rule(capacity=st.integers(1, 4), overflow=st.sampled_from(["drop", "block"]))
    def subscribe(self, capacity: int, overflow: Any) -> None:
        """Begin to follow everything."""
        if len(self.readers) < 4 and self.model.phase not in ("dead", "closed"):
            subscription = self.runtime.subscribe(capacity=capacity, overflow=overflow)
            self.readers.append(Reader(subscription, capacity, self.model.counts["messages"]))

    @precondition(lambda self: self.readers)
    @rule(which=SAMPLE, count=st.integers(1, 5))
    def read(self, which: int, count: int) -> None:
        """Read some."""
        self.run(self.readers[which % len(self.readers)].read(count))

    @precondition(lambda self: self.readers)
    @rule(which=SAMPLE)
    def unsubscribe(self, which: int) -> None:
        """Stop following; what is in the window can still be read."""

        async def stop() -> None:
            reader = self.readers.pop(which % len(self.readers))
            was_open = any(each is reader.subscription for each in self.runtime._fanout.subscriptions)
            until = self.model.counts["messages"]
            reader.subscription.close()
            await reader.read(1000)
            if was_open:
                assert tiles(reader.items, reader.first) == until
            assert reader.is_over
            self.forget(reader)

        self.run(stop())

    def forget(self, reader: Reader) -> None:
        """Keep the count of what a reader missed."""
        missed = [item for item in reader.items if isinstance(item, Gap)]
        self.model.counts["missed"] += sum(gap.count for gap in missed)
        self.model.counts["gaps"] += len(missed)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, 12.0]))
    def time_passes(self, seconds: float) -> None:
        """Wait."""
        for reader in self.readers:
            reader.blocked_for = reader.blocked_for + seconds if reader.subscription.is_blocking else 0.0
        self.run(self.clock.advance(seconds))

    @precondition(lambda self: len(self.model.launched_at) > 2)
    @rule()
    def close(self) -> None:
        """The end."""

        async def end() -> None:
            self.model.close()
            await self.runtime.aclose()
            await self.runtime.aclose()

        self.run(end())
        self.model.phase = self.model.phase if self.model.phase == "dead" else "closed"

    # -- rules: the server ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_usable() and self.model.in_flight)
    @rule(which=SAMPLE, how=st.sampled_from(["result", "error", "not JSON", "too long", "twice"]), cut=SAMPLE)
    def reply(self, which: int, how: str, cut: int) -> None:
        """Answer a request, in whichever order, well or badly."""
        generation, rpc_id = list(self.model.in_flight)[which % len(self.model.in_flight)]
        assert generation == self.puppet.latest.number
        good = {"id": rpc_id, "result": {"to": rpc_id}}
        match how:
            case "error":
                messages: list[object] = [{"id": rpc_id, "error": {"code": -32600, "message": "no"}}]
            case "not JSON":
                messages = [b'{"id":%d,"result":' % rpc_id]
            case "too long":
                messages = [{"id": rpc_id, "result": "x" * BOUNDS.line_limit}]
            case "twice":
                messages = [good, {"id": rpc_id, "result": {"to": "nobody"}}]
            case _:
                messages = [good]
        self.run(self.say(*messages, cut=cut))

    @precondition(lambda self: self.is_usable() and self.model.in_flight)
    @rule(backwards=st.booleans(), more=st.booleans())
    def reply_to_all(self, backwards: bool, more: bool) -> None:  # noqa: FBT001
        """Answer all requests in one read, and tell something between."""
        messages: list[object] = [{"id": rpc_id, "result": {"to": rpc_id}} for _, rpc_id in self.model.in_flight]
        if more:
            messages.insert(1, {"method": "x"})
        self.run(self.say(*(reversed(messages) if backwards else messages)))

    def settled_here(self) -> list[int]:
        """The ids of requests to this server that have their outcome, however they came to it."""
        done = [mine.sent for _, mine in self.calls if mine.outcome is not None and mine.sent is not None]
        return [rpc_id for generation, rpc_id in done if generation == self.model.generation]

    @precondition(lambda self: self.is_usable() and self.settled_here())
    @rule(which=SAMPLE)
    def reply_again_or_too_late(self, which: int) -> None:
        """Answer a request that was answered, that timed out, or whose caller has gone away."""
        settled = self.settled_here()
        rpc_id = settled[-1 - which % len(settled)]
        self.run(self.say({"id": rpc_id, "result": {"to": rpc_id}}))

    @precondition(is_usable)
    @rule(rpc_id=st.integers(1, 12))
    def reply_to_whoever_it_may_be(self, rpc_id: int) -> None:
        """Answer under some id: of a request that waits, that was answered, given up or never made."""
        self.run(self.say({"id": rpc_id, "result": {"to": rpc_id}}))

    @precondition(is_usable)
    @rule(thread=THREADS, name=st.sampled_from(["a", "b"]), count=st.integers(1, 5), cut=SAMPLE)
    def notifications(self, thread: str, name: str, count: int, cut: int) -> None:
        """Tell something, in one read."""
        started = {"method": "thread/started", "params": {"thread": {"id": thread, "turns": []}}}
        named = {"method": "thread/name/updated", "params": {"threadId": thread, "threadName": name}}
        self.run(self.say(*[started, named, *[{"method": "x"}] * 3][:count], cut=cut))

    @precondition(is_usable)
    @rule(what=st.sampled_from(sorted(NO_MESSAGES)))
    def garbage(self, what: str) -> None:
        """Say what is no message."""
        self.run(self.say(NO_MESSAGES[what]))

    @precondition(is_usable)
    @rule(
        asked=st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(["keep", "raise", "accept", "silent", "hang", "unknown"])),
            min_size=1,
            max_size=3,
        ),
        resolved=st.none() | st.integers(0, 2),
    )
    def ask(self, asked: list[tuple[int, str]], resolved: int | None) -> None:
        """Ask for leave, maybe twice under one id, maybe to take it back at once."""
        messages = [
            {"id": rpc_id, "method": "made/up" if behave == "unknown" else ASK, "params": {"behave": behave}}
            for rpc_id, behave in asked
        ]
        if resolved is not None:
            messages.append({"method": "serverRequest/resolved", "params": {"threadId": "t1", "requestId": resolved}})  # type: ignore[dict-item]
        self.run(self.say(*messages))

    @precondition(is_usable)
    @rule(rpc_id=st.integers(0, 2))
    def resolve(self, rpc_id: int) -> None:
        """Take a question back."""
        self.run(self.say({"method": "serverRequest/resolved", "params": {"threadId": "t1", "requestId": rpc_id}}))

    @precondition(is_usable)
    @rule()
    def stall(self) -> None:
        """Read no more, or again."""

        async def turn() -> None:
            if self.model.is_stalled:
                self.model.stalls(stalled=False)
                self.puppet.latest.read_on()
            else:
                self.puppet.latest.stall()
                self.model.stalls(stalled=True)

        self.run(turn())

    @precondition(lambda self: self.is_open and self.model.phase in ("running", "handshaking"))
    @rule(code=st.sampled_from([None, None, 3, 3, 0]), half=st.booleans(), answer=st.booleans())
    def die(self, code: int | None, half: bool, answer: bool) -> None:  # noqa: FBT001
        """End, perhaps in the middle of a line, perhaps right after an answer."""

        async def end() -> None:
            latest = self.puppet.latest
            if answer and self.model.in_flight:
                _, rpc_id = next(iter(self.model.in_flight))
                await self.say({"id": rpc_id, "result": {"to": rpc_id}})
            if half:
                latest.say(b'{"method":"half')
            latest.end(Exit(signal=9) if code is None else Exit(code=code))

        self.run(end())

    @precondition(lambda self: self.is_open and self.model.phase in ("restarting", "handshaking"))
    @rule()
    def next_one_comes(self) -> None:
        """Wait for the next server, or for the end of one that does not answer."""
        wait = self.model.due - self.clock.monotonic()
        self.time_passes(math.ceil(wait * 2) / 2)

    @precondition(lambda self: self.is_open and self.model.phase == "restarting")
    @rule(how=st.sampled_from(["refuses to launch", "dies at once", "never answers", "refuses the greeting"]))
    def next_one_fails(self, how: Any) -> None:
        """The next server will not come up."""
        self.puppet.next_start = self.model.next_start = how

    # -- invariants ----------------------------------------------------------------------------------------------------

    @invariant()
    def all_laws_hold(self) -> None:
        """After each rule, and at the end."""
        if self.is_open:
            self.each_call_has_its_one_outcome()
            self.each_question_has_its_one_answer()
            self.the_books_agree()
            self.the_restart_law_holds()
            self.readers_miss_nothing_untold()
            self.the_state_is_the_fold()
            self.nobody_failed_unseen()

    def each_call_has_its_one_outcome(self) -> None:
        """I1, I2."""
        for theirs, mine in self.calls:
            if mine.outcome is None:
                assert not theirs.done(), f"{theirs} should wait"
                continue
            assert theirs.done(), f"should have ended with {mine.outcome!r}"
            if theirs.cancelled():
                assert mine.outcome == "CancelledError"
            elif (error := theirs.exception()) is not None:
                assert type(error).__name__ == mine.outcome
            elif mine.kind == "notify":
                assert mine.outcome == "sent"
            else:
                assert theirs.result() == mine.outcome

    def each_question_has_its_one_answer(self) -> None:
        """I6, I7: what was written to each server is what was decided, in order; a yes only where somebody said it."""
        words = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}
        for each in self.puppet.generations:
            written = [
                (answer["id"], words[answer["result"]["decision"]] if "result" in answer else "refused")
                for answer in each.answers()
            ]
            assert written == self.model.answers.get(each.number, [])
        for theirs, mine in self.tickets:
            assert theirs.outcome == mine.outcome

    def the_books_agree(self) -> None:
        """I8, I19: each counter, by an independent count; and what is held is bounded."""
        metrics, model = self.runtime.metrics, self.model
        for name in COUNTED:
            counted, expected = getattr(metrics, name), model.counts[name]
            assert counted == expected, f"{name} is {counted} and should be {expected}"
        assert metrics.settled == model.settled
        assert Counter(decision.outcome for decision in self.decisions) == model.settled
        assert metrics.bytes_out == self.puppet.bytes_written
        greetings = model.phase == "handshaking"
        assert (metrics.in_flight, metrics.queued) == (len(model.in_flight) + greetings, len(model.line))
        assert metrics.open_server_requests == len(model.tickets) <= BOUNDS.max_open_tickets + 1
        assert sum(metrics.restarts.values()) == sum(1 for each in self.told if not isinstance(each, RuntimeDeadError))
        seen = [item for reader in self.readers for item in reader.items if isinstance(item, Gap)]
        assert metrics.gaps == model.counts["gaps"] + len(seen)
        pending = sum(reader.subscription._gap.count for reader in self.readers if reader.subscription._gap is not None)
        assert metrics.dropped == model.counts["missed"] + sum(gap.count for gap in seen) + pending

    def the_restart_law_holds(self) -> None:
        """I10, I11: started exactly when the rule says so."""
        assert self.puppet.launched_at == self.model.launched_at
        assert self.runtime.connection.phase == self.model.phase
        if self.model.phase != "closed":
            assert self.runtime.generation == self.model.generation
        assert sum(isinstance(each, RuntimeDeadError) for each in self.told) == (self.model.phase == "dead")

    def readers_miss_nothing_untold(self) -> None:
        """I3, I4, I8: what was read is in order and without a hole; the window is bounded; who blocks loses nothing in vain."""
        for reader in self.readers:
            tiles(reader.items, reader.first)
            if reader.subscription._overflow == "drop":  # else a server that ends is heard out
                assert reader.subscription.pending <= reader.capacity + 5
        if self.is_usable():
            held = any(reader.subscription.is_blocking for reader in self.readers)
            assert self.puppet.latest.is_paused == held
        for reader in self.readers:
            if (
                reader.subscription._overflow == "block"
                and reader.blocked_for == 0.0
                and not reader.subscription._gave_way
            ):
                assert reader.subscription._gap is None

    def the_state_is_the_fold(self) -> None:
        """I18: of all that was heard; what was shown before does not change."""
        if self.snapshot is not None:
            state, names = self.snapshot
            assert {each: thread.name for each, thread in state.threads.items()} == names
        state = self.runtime.state
        assert {each: thread.name for each, thread in state.threads.items()} == self.model.names
        assert {each.ticket_id for each in state.pending.values()} == {each.id for each in self.runtime.tickets}
        assert state.connection == self.runtime.connection
        self.snapshot = (state, dict(self.model.names))

    def nobody_failed_unseen(self) -> None:
        """What the loop is told of is a defect."""
        assert self.unseen == []

    def teardown(self) -> None:
        """Close, and read to the end: the books have to be even."""
        try:
            if self.is_open:
                note("the end")
                self.close()
                self.each_call_has_its_one_outcome()
                self.each_question_has_its_one_answer()
                self.the_books_agree()
                runtime_is_at_rest(self.runtime)
                for reader in self.readers:
                    self.run(reader.read(1000))
                    assert tiles(reader.items, reader.first) == self.model.counts["messages"]
                    assert isinstance(
                        reader.error, RuntimeDeadError if self.model.phase == "dead" else StopAsyncIteration
                    )
                assert self.clock.planned == 0
                left = asyncio.all_tasks(self.loop)
                assert left == set()
        finally:
            self.loop.close()
        self.nobody_failed_unseen()


def test_the_runtime_agrees_with_its_reference() -> None:
    """I1 to I4, I6 to I8, I10, I11, I18, I19, after each of many steps."""
    run_state_machine_as_test(RuntimeMachine, settings=searching(60, steps=40))  # type: ignore[no-untyped-call]

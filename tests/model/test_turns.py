"""One session and its turns against the server's own book of them, whatever happens in between.

What the fake server wrote down of a turn is the truth: after each step the turn on our side is either over, with an end that
fits it, or runs on because it does. The runtime, the session and the turns are the real ones; time is turned by hand.
"""

from __future__ import annotations

import asyncio
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

from codex_runtime import Client, RestartPolicy, RuntimeConfig, TextDelta, TurnCompleted
from codex_runtime.client import Reconnected
from codex_runtime.errors import (
    ConnectionLostError,
    RequestFailedError,
    RequestTimeoutError,
    SessionBusyError,
)
from codex_runtime.testing import Command, FailTurn, FakeAppServer, Gate, Hold, ManualClock, Say, Script, Stall
from tests.model.laws import answers_are_lawful, runtime_is_at_rest
from tests.support.effort import PATIENCE, searching

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from codex_runtime import Turn, TurnResult
    from codex_runtime.testing._fake_threads import FakeTurn

pytestmark = pytest.mark.timeout(PATIENCE)

PAUSE = 1.0
"""Between two servers, in seconds."""
WORDS = ("one two three", "four five", "six")


class Story:
    """One turn: what the server was told to do, and what we have seen of it."""

    def __init__(self, name: str, segments: list[str], end: str, *, is_slow: bool) -> None:
        self.gates = [Gate() for segment in segments if segment == "hold"]
        self.starts = Gate() if is_slow else None
        gates, says = iter(self.gates), 0
        steps: list[Any] = []
        self.texts: list[str] = []
        for segment in segments:
            match segment:
                case "say":
                    self.texts.append(f"{name} {WORDS[says % 3]}")
                    steps.append(Say(self.texts[-1], pace=0.5))
                    says += 1
                case "command":
                    steps.append(Command(f"{name} ls {len(steps)}", output="out\n", approval=True))
                case _:
                    steps.append(Hold(next(gates)))
        steps += {"completes": [], "fails": [FailTurn("no")], "hangs": [Stall()]}[end]
        self.script = Script(*steps, starts=self.starts)
        self.name = name
        self.entering: asyncio.Task[Any]
        self.leaving: asyncio.Task[Any] | None = None
        self.stopping: list[asyncio.Task[Any]] = []
        self.events: list[Any] = []
        self.crashes = 0
        self.deadline: float | None = None
        self.result: TurnResult | None = None


class TurnMachine(RuleBasedStateMachine):
    """Rules are what callers, servers and time may do to a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.unseen: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.unseen.append(str(context)))
        self.clock = ManualClock()
        self.story: Story | None = None
        self.turn: Turn
        self.told = 0
        self.over = 0
        self.slow: list[Gate] = []
        self.consented: set[str] = set()

    @initialize(chunk=st.sampled_from([None, 20]))
    def open(self, chunk: int | None) -> None:
        """A client with a session."""

        async def enter() -> None:
            self.fake = FakeAppServer(clock=self.clock, chunk=chunk)
            policy = RestartPolicy(when="always", budget=1000, backoff=PAUSE, max_backoff=PAUSE, jitter=0.0)
            self.client = Client(
                RuntimeConfig(
                    launcher=self.fake, clock=self.clock, restart=policy, watchdog=None, server_request_deadline=4.0
                )
            )
            await self.client.open()
            self.session = await self.client.start_session(approvals="stream", approval_policy="untrusted")

        self.run(enter())

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something, and let everything run that is ready then."""

        async def and_settle() -> None:
            await work
            await self.clock.advance(0)

        self.loop.run_until_complete(and_settle())
        self.conclude()

    def conclude(self) -> None:
        """Take note of a turn that was left, or that could not be entered."""
        story = self.story
        if story is None:
            return
        if story.entering.done() and (story.entering.cancelled() or story.entering.exception() is not None):
            if not story.entering.cancelled():
                error = story.entering.exception()
                assert isinstance(
                    error, SessionBusyError | RequestFailedError | ConnectionLostError | RequestTimeoutError
                )
            self.story = None
        elif story.leaving is not None and story.leaving.done():
            story.leaving.result()
            assert self.turn.is_over
            self.read(-1)
            assert isinstance(story.events[-1], TurnCompleted) or self.turn.turn_id is None
            assert self.session.turn is None
            server = self.on_the_server()
            if server is not None and self.is_connected and server.status == "inProgress":
                assert self.turn.may_run_on or self.turn.result.status == "lost"
            self.story = None
        if self.story is None:
            self.over += 1
            for each in story.stopping:
                each.cancel()

    @property
    def is_connected(self) -> bool:
        """A server is there for everyone."""
        return self.client.runtime.connection.phase == "running"

    def on_the_server(self) -> FakeTurn | None:
        """What the server wrote down of our turn."""
        threads = self.fake._disk.threads.values()
        return next((each for thread in threads for each in thread.turns if each.id == self.turn.turn_id), None)

    def is_running(self) -> bool:
        """A turn has been entered and not left."""
        return self.story is not None and self.story.entering.done() and self.story.leaving is None

    # -- rules: callers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.story is None)
    @rule(
        segments=st.lists(st.sampled_from(["say", "say", "command", "hold"]), max_size=5),
        end=st.sampled_from(["completes", "completes", "fails", "hangs"]),
        is_slow=st.integers(0, 5).map(lambda n: n == 0),
        deadline=st.sampled_from([None, None, 3.3, 9.3]),
        on_crash=st.sampled_from(["reconcile", "reconcile", "reconcile", "lose"]),
    )
    def start(self, segments: list[str], end: str, is_slow: bool, deadline: float | None, on_crash: Any) -> None:  # noqa: FBT001
        """Begin a turn."""

        async def enter() -> None:
            self.told += 1
            story = Story(f"<{self.told}>", segments, end, is_slow=is_slow)
            self.fake.on_turn(story.script, match=story.name)
            self.turn = self.session.stream(story.name, deadline=deadline, on_crash=on_crash)
            story.deadline = None if deadline is None else self.clock.monotonic() + deadline
            self.slow += [] if story.starts is None else [story.starts]
            story.entering = asyncio.ensure_future(self.turn.__aenter__())
            self.story = story

        self.run(enter())

    @precondition(lambda self: self.story is not None and not self.story.entering.done())
    @rule()
    def cancel_the_start(self) -> None:
        """Its caller goes away."""

        async def cancel() -> None:
            assert self.story is not None
            self.story.entering.cancel()

        self.run(cancel())

    @precondition(is_running)
    @rule()
    def interrupt(self) -> None:
        """Stop it."""

        async def stop() -> None:
            assert self.story is not None
            self.story.stopping.append(asyncio.ensure_future(self.turn.interrupt()))

        self.run(stop())

    @precondition(is_running)
    @rule()
    def leave(self) -> None:
        """Leave the block, whatever the turn is at."""

        async def leave() -> None:
            assert self.story is not None
            self.story.leaving = asyncio.ensure_future(self.turn.__aexit__(None, None, None))

        self.run(leave())

    @precondition(is_running)
    @rule(count=st.integers(1, 6))
    def read(self, count: int) -> None:
        """Read some events; -1 are all."""

        async def take() -> None:
            assert self.story is not None
            while len(self.story.events) != wanted:
                reading = asyncio.ensure_future(anext(self.turn))
                await asyncio.sleep(0)
                if not reading.done():
                    reading.cancel()
                    await asyncio.wait([reading])
                    return
                if reading.exception() is not None:
                    assert isinstance(reading.exception(), StopAsyncIteration)
                    return
                self.story.events.append(reading.result())

        wanted = -1 if count < 0 or self.story is None else len(self.story.events) + count
        self.loop.run_until_complete(take())

    @precondition(lambda self: bool(self.told) and self.client.runtime.tickets)
    @rule(how=st.sampled_from(["accept", "decline", "cancel"]))
    def answer(self, how: str) -> None:
        """Answer what the server asks."""

        async def give() -> None:
            ticket = self.client.runtime.tickets[0]
            if how == "accept":
                self.consented.add(ticket.params["command"])
            getattr(ticket, how)()

        self.run(give())

    # -- rules: the server, and time -----------------------------------------------------------------------------------

    @precondition(lambda self: self.story is not None)
    @rule()
    def go_on(self) -> None:
        """The server goes on, whether anybody hears it or not."""

        async def open_gate() -> None:
            assert self.story is not None
            gates = [self.story.starts] if self.story.starts is not None else []
            for gate in (*gates, *self.story.gates):
                if not gate.is_open:
                    gate.open()
                    return

        self.run(open_gate())

    @precondition(lambda self: self.told and self.fake._live and self.is_connected)
    @rule(lives_on=st.booleans())
    def crash(self, lives_on: bool) -> None:  # noqa: FBT001
        """The server dies, or only the connection breaks."""

        async def break_off() -> None:
            if self.story is not None:
                self.story.crashes += 1
            if lives_on:
                self.fake.disconnect()
            else:
                self.fake.die()

        self.run(break_off())

    @precondition(lambda self: self.told)
    @rule(seconds=st.sampled_from([0.5, 1.0, 1.0, 3.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        """Wait; also for the next server."""
        self.run(self.clock.advance(seconds))

    # -- invariants ----------------------------------------------------------------------------------------------------

    @invariant()
    def the_turn_fits_the_book(self) -> None:
        """I5: it runs on only while the server's turn does, or nobody can tell; and its end is the server's, or ours."""
        story = self.story
        if story is None or not story.entering.done():
            return
        turn, server = self.turn, self.on_the_server()
        written = "unknown" if server is None else server.status
        status = turn.result.status
        if not turn.is_over:
            assert not self.is_connected or written == "inProgress", f"it waits, and the server says {written}"
            return
        is_late = story.deadline is not None and self.clock.monotonic() >= story.deadline
        is_stopped = bool(story.stopping or story.leaving)
        match status:
            case "completed" | "failed":
                assert written == status
            case "interrupted":
                assert written == "interrupted" or turn.may_run_on or turn.turn_id is None
                assert is_stopped or any(answer.decision == "cancel" for answer in self.fake.answers)
            case "timed_out":
                assert is_late
                assert written == "interrupted" or turn.may_run_on or turn.turn_id is None
            case "lost":
                assert story.crashes
            case _:
                raise AssertionError(status)
        if turn.may_run_on and turn.turn_id is not None:
            assert status in ("interrupted", "timed_out")

    @invariant()
    def the_text_is_exact(self) -> None:
        """Nothing of what came is missing, and what came is what was said."""
        if (story := self.story) is None:
            return
        result = self.turn.result
        heard = [message.text for message in result.messages]
        assert all(said.startswith(text) for said, text in zip(story.texts, heard, strict=False)) or story.crashes
        assert len(heard) <= len(story.texts)
        if result.status == "completed":
            assert heard == story.texts
        for message in result.messages:
            if message.is_complete:
                assert message.text in story.texts
        server = self.on_the_server()
        if server is not None and self.is_connected and not story.crashes:
            written = [item["text"] for item in server.items if item["type"] == "agentMessage"]
            assert heard[: len(written)] == written

    @invariant()
    def the_end_is_the_end(self) -> None:
        """I5: told once, counted once, and final."""
        if (story := self.story) is not None and story.entering.done():
            ends = [place for place, event in enumerate(story.events) if isinstance(event, TurnCompleted)]
            assert ends in ([], [len(story.events) - 1])
            if self.turn.is_over:
                story.result = story.result or self.turn.result
                assert self.turn.result == story.result
                if ends:
                    assert story.events[-1].result == story.result
            if not any(isinstance(event, Reconnected) for event in story.events):
                said = "".join(event.text for event in story.events if isinstance(event, TextDelta))
                assert "".join(story.texts).startswith(said)
        if self.told:
            counted = sum(each.count for each in self.client.runtime.metrics.turns.values())
            assert counted == self.over + (self.story is not None and self.turn.is_over)
            assert not self.session.is_closed
            assert self.client.runtime.metrics.guest_errors == 0
        assert self.unseen == []

    def teardown(self) -> None:
        """Leave, run once more, and close."""
        try:
            if not hasattr(self, "session"):
                return
            note("the end")
            self.fake._orders.rules.clear()
            for gate in self.slow:
                gate.open()  # one that has not begun cannot be interrupted, and keeps the thread busy
            for _ in range(30):
                if self.is_running():
                    self.leave()
                if self.story is not None:
                    self.time_passes(0.5)
            assert self.story is None, "it does not end"
            self.time_passes(6.0)
            self.run(self.run_once_more())
            self.run(self.client.aclose())
            self.run(self.fake.aclose())
            runtime_is_at_rest(self.client.runtime)
            answers_are_lawful(self.fake, self.consented)
            assert self.clock.planned == 0
            left = asyncio.all_tasks(self.loop)
            assert left == set()
        finally:
            self.loop.close()
        assert self.unseen == []

    async def run_once_more(self) -> None:
        """Whatever was, the session is good for another turn."""
        for _ in range(3):
            running = asyncio.ensure_future(self.session.run("again"))
            while not running.done():
                await self.clock.advance(0.5)
            if isinstance(running.exception(), SessionBusyError):
                continue  # what was given up ran on until now
            assert running.exception() is None
            assert running.result().text == "Hello!"
            return
        raise AssertionError("the session stays busy")


def test_turns_agree_with_the_server_s_book() -> None:
    """I5, I16: one end each, the right one, and the exact text, after each of many steps."""
    run_state_machine_as_test(TurnMachine, settings=searching(60, steps=30))  # type: ignore[no-untyped-call]

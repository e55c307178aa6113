"""The runtime as a whole: what it shows of itself, and a machine that does everything to it in any order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import (
    CodexError,
    ConnectionLostError,
    LocalProtocolError,
    RequestTimeoutError,
    RuntimeClosedError,
)
from codex_runtime.runtime import Envelope, RestartPolicy, Runtime, RuntimeConfig, Ticket
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_script import Stderr
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import STEADY, Wire, config, restart, running, turns, until

if TYPE_CHECKING:
    from codex_runtime._sansio.state import Phase


# -- what it shows -----------------------------------------------------------------------------------------------------


async def test_the_phases_of_a_life_are_seen_in_order() -> None:
    """By whoever looks at the state after each turn of the loop."""
    fake, clock = FakeAppServer(), ManualClock()
    runtime = Runtime(config(fake, clock, restart=RestartPolicy(budget=1, backoff=1.0, max_backoff=1.0, jitter=0.0)))
    seen: list[tuple[Phase, int]] = []

    async def watch() -> None:
        while runtime.connection.phase != "dead":
            if seen[-1:] != [(runtime.connection.phase, runtime.generation)]:
                seen.append((runtime.connection.phase, runtime.generation))
                assert runtime.state.connection == runtime.connection
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await runtime.open()
    await restart(fake, runtime, clock)
    fake.die()
    await watcher
    await runtime.aclose()
    assert seen == [
        ("starting", 0),
        ("handshaking", 0),
        ("running", 0),
        ("restarting", 0),
        ("handshaking", 1),
        ("running", 1),
    ]


async def test_stderr_and_pid_are_those_of_the_current_server() -> None:
    """Before there is one, there are none; a server in memory has no pid."""
    fake = FakeAppServer()
    runtime = Runtime(config(fake))
    assert (runtime.pid, runtime.stderr_tail, runtime.metrics.uptime) == (None, "", 0.0)
    await runtime.open()
    fake.play(Stderr("warning: something\n"))
    assert (runtime.pid, runtime.stderr_tail) == (None, "warning: something\n")
    await runtime.aclose()
    assert runtime.stderr_tail == "warning: something\n"


async def test_a_real_process_is_run_and_ended() -> None:
    """The command line of the settings, its environment and folder; and its pid."""
    async with FakeAppServer(process=True) as fake:
        settings = {"command": fake.argv, "restart": STEADY}
        async with Runtime(RuntimeConfig(**settings)) as runtime:
            assert runtime.pid is not None
            assert await runtime.request("account/read")
        assert runtime.pid is None
        assert runtime.connection.phase == "closed"


async def test_leaving_the_block_by_an_error_ends_the_server() -> None:
    """G7: and the error goes on."""
    fake = FakeAppServer()
    with pytest.raises(ZeroDivisionError):
        async with running(fake):
            raise ZeroDivisionError
    assert fake._live == {}


async def test_waiting_for_ready_returns_with_the_next_server() -> None:
    """Any number may wait."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        waiters = [asyncio.create_task(runtime.wait_ready()) for _ in range(3)]
        await turns()
        assert not any(waiter.done() for waiter in waiters)
        await clock.advance(1.0)
        await asyncio.gather(*waiters)


async def test_the_state_is_the_same_object_until_something_changes() -> None:
    """Cheap to look at, safe to keep."""
    wire = Wire()
    async with running(wire) as runtime:
        before = runtime.state
        assert runtime.state is before
        wire.say({"method": "thread/started", "params": {"thread": {"id": "t", "turns": []}}})
        assert "t" in runtime.state.threads
        assert "t" not in before.threads


async def test_turns_in_flight_are_lost_with_their_server() -> None:
    """I5: the state says so, once."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        thread = (await runtime.request("thread/start"))["thread"]["id"]
        fake.die_at("item/started", "after")
        with pytest.raises(ConnectionLostError):
            await asyncio.gather(
                runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "x"}]}),
                runtime.request("never/answered"),
            )
        (turn,) = runtime.state.threads[thread].turns.values()
        assert turn.status == "lost"
        assert runtime.state.threads[thread].active_turn is None


# -- everything in any order -------------------------------------------------------------------------------------------


class Call:
    """A request of the machine, and its outcomes: there must be one."""

    def __init__(self, runtime: Runtime, name: str, deadline: float, until_time: float) -> None:
        self.name = name
        self.until = until_time
        self.outcomes: list[Any] = []
        self.task = asyncio.create_task(self._run(runtime, deadline))

    async def _run(self, runtime: Runtime, deadline: float) -> None:
        try:
            self.outcomes.append(await runtime.request("ask", {"name": self.name}, deadline=deadline))
        except CodexError as error:
            self.outcomes.append(error)


class Machine:
    """A runtime, a server made of bytes, and the little model that both are held against."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wire = Wire()
        self.calls: list[Call] = []
        self.tickets: list[Ticket] = []
        self.answered: set[int] = set()  # ids that the server of now has answered
        self.born = 0  # the first line that was written to the server of now
        self.next_ask = 0
        policy = RestartPolicy(budget=3, window=60.0, backoff=1.0, max_backoff=1.0, jitter=0.0, when="always")
        self.runtime = Runtime(
            config(self.wire, self.clock, restart=policy, max_in_flight=3, on_server_request=self._take)
        )

    async def _take(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        await ticket.wait()

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The requests of the current server that it has not answered."""
        asked = [message for message in self.wire.sent[self.born :] if message.get("method") == "ask"]
        return [message for message in asked if message["id"] not in self.answered]

    async def step(self, what: str, n: int) -> None:
        """Do one thing, if it can be done now."""
        await getattr(self, what)(n)
        await turns(12)

    async def ask(self, n: int) -> None:
        """Make a request."""
        deadline = 1.0 + n
        self.calls.append(Call(self.runtime, f"call {len(self.calls)}", deadline, self.clock.monotonic() + deadline))

    async def cancel(self, n: int) -> None:
        """Cancel one."""
        if self.calls:
            self.calls[n % len(self.calls)].task.cancel()

    async def answer(self, n: int) -> None:
        """Answer one, in any order."""
        if self.waiting and not self.wire.is_lost:
            message = self.waiting[n % len(self.waiting)]
            self.answered.add(message["id"])
            self.wire.say({"id": message["id"], "result": message["params"]["name"]})

    async def lie(self, n: int) -> None:
        """Answer one that was answered before, or that nobody asked."""
        if not self.wire.is_lost:
            known = [*sorted(self.answered), 10_000]
            self.wire.say({"id": known[n % len(known)], "result": "a lie"})

    async def demand(self, _n: int) -> None:
        """Have the server ask."""
        if not self.wire.is_lost:
            self.wire.say({"id": self.next_ask, "method": "item/fileChange/requestApproval", "params": {}})
            self.next_ask += 1

    async def settle(self, n: int) -> None:
        """Say yes to one of those."""
        if self.tickets and not (ticket := self.tickets[n % len(self.tickets)]).is_settled:
            ticket.accept()

    async def kill(self, n: int) -> None:
        """End the server."""
        if not self.wire.is_lost:
            self.wire.end(Exit(code=n % 2))
            self.born, self.next_ask = len(self.wire.sent), 0
            self.answered.clear()

    async def wait(self, n: int) -> None:
        """Let time pass."""
        await self.clock.advance(n / 2)

    def check(self) -> None:
        """Hold what can be seen against the model."""
        now = self.clock.monotonic()
        for call in self.calls:
            assert len(call.outcomes) <= 1
            if not call.task.done():
                assert call.until > now, "I1: nobody waits longer than they said"
            for outcome in call.outcomes:
                if isinstance(outcome, RequestTimeoutError):
                    assert call.until <= now, "nor shorter"
                elif not isinstance(outcome, CodexError):
                    assert outcome == call.name, "I2: the answer is one's own"
        metrics = self.runtime.metrics
        assert metrics.in_flight <= 3
        open_calls = sum(not call.task.done() for call in self.calls)
        assert metrics.in_flight + metrics.queued == open_calls
        if self.runtime.connection.phase not in ("running", "handshaking"):
            assert metrics.in_flight == 0
        assert self.wire.launches <= 4, "I10: three restarts within the window"
        self._check_answers()

    def _check_answers(self) -> None:
        """I6, I7: one answer for each request at most, and consent only where the test gave it."""
        accepted = [message for message in self.wire.sent if message.get("result") == {"decision": "accept"}]
        assert len(accepted) <= sum(ticket.outcome == "accepted" for ticket in self.tickets)
        ids = [message["id"] for message in self.wire.sent[self.born :] if "method" not in message]
        assert len(ids) == len(set(ids))
        assert set(ids) <= set(range(self.next_ask))

    async def finish(self) -> None:
        """Close, and see that everyone was told."""
        await self.runtime.aclose()
        await turns()
        assert all(call.task.done() for call in self.calls)
        assert all(len(call.outcomes) == 1 or call.task.cancelled() for call in self.calls)
        assert all(ticket.is_settled for ticket in self.tickets)
        assert self.clock.planned == 0
        metrics = self.runtime.metrics
        assert (metrics.in_flight, metrics.queued, metrics.open_server_requests) == (0, 0, 0)
        assert sum(metrics.settled.values()) == metrics.server_requests


WORDS = ["ask", "ask", "answer", "answer", "lie", "cancel", "demand", "settle", "kill", "wait"]


@given(steps=st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 6)), max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_happens_every_call_has_one_outcome_of_its_own(steps: list[tuple[str, int]]) -> None:
    """I1, I2, I6, I7, I10: against a model that only counts."""
    machine = Machine()
    await machine.runtime.open()
    subscription = machine.runtime.subscribe(outbound=True)
    try:
        for step in steps:
            await machine.step(*step)
            machine.check()
    finally:
        await machine.finish()
    seqs = [envelope.seq for batch in _batches(subscription) for envelope in batch]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True


def _batches(subscription: Any) -> list[list[Envelope]]:
    found = []
    while (batch := subscription._take()) is not None:
        found.append(batch)
    return found


async def test_many_runtimes_live_side_by_side() -> None:
    """Nothing is shared between them."""
    fakes = [FakeAppServer() for _ in range(5)]
    runtimes = [Runtime(config(fake)) for fake in fakes]
    await asyncio.gather(*(runtime.open() for runtime in runtimes))
    fakes[0].die(code=0)
    await until(lambda: runtimes[0].connection.phase == "dead")
    await asyncio.gather(*(runtime.request("account/read") for runtime in runtimes[1:]))
    await asyncio.gather(*(runtime.aclose() for runtime in runtimes))
    with pytest.raises(RuntimeClosedError):
        await runtimes[1].request("account/read")


def test_another_event_loop_is_told_so_and_harms_nothing() -> None:
    """It would wait for ever, and a close from there would take the owner's own close along."""
    runtime = Runtime(config(FakeAppServer()))
    with asyncio.Runner() as owner:
        owner.run(runtime.open())
        with asyncio.Runner() as stranger:
            for attempt in (runtime.request("thread/list"), runtime.aclose(), runtime.wait_ready()):
                with pytest.raises(LocalProtocolError, match="another one"):
                    stranger.run(attempt)
        owner.run(runtime.aclose())
    assert runtime.connection.phase == "closed"

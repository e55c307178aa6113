"""Where a runtime stands: its opening, what is told of its steps, and its end from any state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import (
    LocalProtocolError,
    RuntimeClosedError,
    RuntimeDeadError,
    StartError,
)
from codex_runtime.runtime import Graces, Restarted, RestartPolicy, Runtime
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_script import IgnoreTerm, StopReading
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import Wire, cancelled_at, config, failure, running, start, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime.runtime._reattach import Request


# -- the opening --------------------------------------------------------------------------------------------------------


async def test_an_open_runtime_has_been_greeted() -> None:
    """I12: and knows who is there."""
    fake = FakeAppServer()
    async with running(fake, client_name="me", opt_out=("noise",), request_attestation=True) as runtime:
        assert runtime.connection.phase == "running"
        assert runtime.state.connection == runtime.connection
        assert runtime.server_info.user_agent.startswith("me/0.163.0")
        assert runtime.server_info.platform_os == "linux"
        await runtime.wait_ready()
        await turns()
        assert [entry.method for entry in fake.received] == ["initialize", "initialized"]
        assert fake.received[0].params == {
            "clientInfo": {"name": "me", "title": "codex-runtime", "version": "0.1.0"},
            "capabilities": {
                "experimentalApi": True,
                "requestAttestation": True,
                "optOutNotificationMethods": ["noise"],
            },
        }
    assert runtime.connection.phase == "closed"
    assert fake.most_alive == 1


async def test_without_the_experimental_api_the_greeting_does_not_ask_for_it() -> None:
    """A plain client."""
    fake = FakeAppServer()
    async with running(fake, experimental_api=False):
        assert fake.received[0].params["capabilities"] == {}


async def test_a_runtime_opens_only_once() -> None:
    """Open, opening, closed: the second attempt is refused and changes nothing."""
    fake = FakeAppServer()
    runtime = Runtime(config(fake))
    async with task(runtime.open()) as opening:
        with pytest.raises(LocalProtocolError, match="only once"):
            await runtime.open()
        await opening
        with pytest.raises(LocalProtocolError, match="only once"):
            await runtime.open()
        await runtime.aclose()
    with pytest.raises(LocalProtocolError, match="only once"):
        await runtime.open()
    assert fake.launches == 1


@pytest.mark.parametrize("late", [False, True])
async def test_opening_may_be_cancelled_at_any_await(late: bool) -> None:  # noqa: FBT001
    """I16: nothing is left, and the runtime is closed."""
    for k in range(1, 20):
        fake = FakeAppServer()
        runtime = Runtime(config(fake))
        if not await cancelled_at(runtime.open(), k, late=late):
            await runtime.aclose()
            assert k > 1
            return
        await runtime.aclose()
        assert runtime.connection.phase == "closed"
        assert len(fake._live) == 0
    raise AssertionError("it never completed")


async def test_opening_may_be_cancelled_at_any_turn_of_the_loop() -> None:
    """Wherever the supervisor is just then."""
    for k in range(40):
        fake = FakeAppServer()
        runtime = Runtime(config(fake))
        async with task(runtime.open()) as opening:
            for _ in range(k):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            assert len(fake._live) == (0 if opening.cancelled() else 1)
            await runtime.aclose()
            assert len(fake._live) == 0
            if not opening.cancelled():
                return
    raise AssertionError("it never completed")


# -- callbacks ---------------------------------------------------------------------------------------------------------


async def test_restarts_and_death_are_told() -> None:
    """With what ended and why."""
    fake, clock = FakeAppServer(), ManualClock()
    told: list[Any] = []
    policy = RestartPolicy(budget=1, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy, on_restart=told.append, on_dead=told.append) as runtime:
        fake.die(code=3)
        await turns()
        await clock.advance(1.0)
        assert told == [Restarted(1, Exit(code=3))]
        fake.die(code=4)
        await turns()
        assert isinstance(told[1], RuntimeDeadError)
        assert (told[1].exit, runtime.connection.cause) == (Exit(code=4), str(told[1]))


async def test_callbacks_that_raise_are_counted_and_change_nothing() -> None:
    """I15."""
    fake, clock = FakeAppServer(), ManualClock()

    def bad(_: object) -> None:
        raise ZeroDivisionError

    policy = RestartPolicy(budget=1, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy, on_restart=bad, on_dead=bad) as runtime:
        fake.die()
        await turns()
        await clock.advance(1.0)
        assert await runtime.request("account/read")
        assert runtime.metrics.guest_errors == 1
        fake.die()
        await turns()
        assert runtime.connection.phase == "dead"
        assert runtime.metrics.guest_errors == 2


async def test_everyone_who_waits_sees_the_death() -> None:
    """Calls, line, subscriptions, server requests, waiters, callbacks: each with the cause."""
    fake, clock = FakeAppServer(), ManualClock()
    told: list[RuntimeDeadError] = []
    policy = RestartPolicy(budget=1, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy, on_dead=told.append) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        fake.fail_next_launch(StartError("really gone"))
        async with (
            task(failure(runtime.request("a"))) as request,
            task(failure(runtime.notify("a"))) as notification,
            task(failure(runtime.wait_ready())) as waiter,
            task(failure(anext(runtime.subscribe()))) as subscriber,
            task(failure(anext(runtime.server_requests()))) as answerer,
        ):
            await turns()
            await clock.advance(1.0)
            errors = [await each for each in (request, notification, waiter, subscriber, answerer)]
        errors += [await failure(runtime.wait_ready()), await failure(anext(runtime.server_requests())), *told]
        assert {type(error) for error in errors} == {RuntimeDeadError}
        assert len({id(error) for error in errors}) == 8
        assert {str(error) for error in errors} == {str(errors[0])}
        assert "really gone" in str(errors[0])
        assert runtime.state.connection.phase == "dead"


# -- the end -----------------------------------------------------------------------------------------------------------


async def never_opened(runtime: Runtime, _fake: FakeAppServer, _clock: ManualClock) -> None:
    """Nothing was done."""


async def opened(runtime: Runtime, _fake: FakeAppServer, _clock: ManualClock) -> None:
    """It runs."""
    await runtime.open()


async def backing_off(runtime: Runtime, fake: FakeAppServer, _clock: ManualClock) -> None:
    """It waits to start the next server."""
    await runtime.open()
    fake.die()
    await until(lambda: runtime.connection.phase == "restarting")


async def greeting_again(runtime: Runtime, fake: FakeAppServer, clock: ManualClock) -> None:
    """It greets a server that does not answer."""
    await backing_off(runtime, fake, clock)
    fake.never_answer("initialize")
    await clock.advance(1.0)
    assert runtime.connection.phase == "handshaking"


async def reattaching(runtime: Runtime, fake: FakeAppServer, clock: ManualClock) -> None:
    """It waits for a session."""

    async def idle(_: Request) -> None:
        await asyncio.Event().wait()

    await backing_off(runtime, fake, clock)
    runtime.on_restart("idle", idle)
    await clock.advance(1.0)
    assert runtime.connection.phase == "handshaking"


async def dead(runtime: Runtime, fake: FakeAppServer, _clock: ManualClock) -> None:
    """It gave up."""
    await runtime.open()
    fake.die(code=0)
    await until(lambda: runtime.connection.phase == "dead")


async def stubborn(runtime: Runtime, fake: FakeAppServer, _clock: ManualClock) -> None:
    """Its server neither reads nor heeds signals."""
    await runtime.open()
    fake.play(StopReading(), IgnoreTerm())


STATES = [never_opened, opened, backing_off, greeting_again, reattaching, dead, stubborn]


@pytest.mark.parametrize("bring", STATES)
@pytest.mark.parametrize("how", ["plain", "twice", "at once", "cancelled"])
async def test_a_runtime_closes_from_any_state(bring: Callable[..., Any], how: str) -> None:
    """I13, G7: idempotent, safe twice at once, safe to cancel; nothing runs, nothing is planned."""
    fake, clock = FakeAppServer(), ManualClock()
    runtime = Runtime(config(fake, clock))
    await bring(runtime, fake, clock)
    last = "dead" if bring is dead else "closed"
    match how:
        case "plain":
            await runtime.aclose()
        case "twice":
            await runtime.aclose()
            await runtime.aclose()
        case "at once":
            await asyncio.gather(*(runtime.aclose() for _ in range(3)))
        case _:
            for late in (False, True):
                await cancelled_at(runtime.aclose(), 1, late=late)
            await until(lambda: runtime.connection.phase == last)
            await runtime.aclose()
    assert runtime.connection.phase == last
    assert (fake._live, clock.planned) == ({}, 0)
    launches = fake.launches
    await clock.advance(1000.0)
    assert fake.launches == launches
    assert isinstance(await failure(runtime.request("a")), RuntimeDeadError if last == "dead" else RuntimeClosedError)


async def test_closing_during_the_start_ends_the_start() -> None:
    """Who waits for the start learns why; it was not they who were cancelled."""
    for k in range(20):
        fake = FakeAppServer()
        fake.never_answer("initialize")
        runtime = Runtime(config(fake))
        async with task(failure(runtime.open())) as opening:
            for _ in range(k):
                await asyncio.sleep(0)
            await runtime.aclose()
            assert isinstance(await opening, RuntimeClosedError | LocalProtocolError)
        assert fake._live == {}


async def test_closing_waits_for_a_server_whose_end_is_under_way() -> None:
    """G7: also if the supervisor was just busy ending it."""
    wire, clock = Wire(), ManualClock()
    runtime = await start(wire, clock)
    wire.may_end.clear()
    wire.end(Exit(code=1))
    await wire.closing.wait()
    async with task(runtime.aclose()) as closing:
        await turns()
        assert not closing.done()
        wire.may_end.set()
        await closing


async def test_closing_does_not_wait_for_guests_that_will_not_go() -> None:
    """Bounded by the grace of their processes, in real time: nobody waits for ever for somebody else's code."""
    fake, clock = FakeAppServer(), ManualClock()
    release = asyncio.Event()

    async def stays(_: Request) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    runtime = await start(fake, clock, graces=Graces(terminate=0.05))
    runtime.on_restart("stays", stays)
    fake.die()
    await turns()
    await clock.advance(1.0)
    assert runtime.connection.phase == "handshaking"
    async with asyncio.timeout(2.0):
        await runtime.aclose()
    assert runtime.connection.phase == "closed"
    release.set()

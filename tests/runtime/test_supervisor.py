"""Who lives: starts, deaths, restarts and the end, at every point and by the clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import (
    BinaryNotFoundError,
    ConnectionLostError,
    HandshakeError,
    LocalProtocolError,
    RequestFailedError,
    RuntimeClosedError,
    RuntimeDeadError,
    StartError,
)
from codex_runtime.runtime import Graces, Restarted, RestartPolicy, Runtime
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import CloseStdout, IgnoreTerm, Stderr, StopReading
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import STEADY, Wire, cancelled_at, config, restart, running, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime._io.clock import Cancellable
    from codex_runtime._io.transport import Receiver, Transport
    from codex_runtime.runtime._runtime import Request


async def failure(work: Any) -> BaseException | None:
    """The error that something ends in."""
    try:
        await work
    except Exception as error:  # noqa: BLE001
        return error
    return None


async def start(fake: object, clock: ManualClock | None = None, **options: Any) -> Runtime:
    """Open a runtime that the test itself closes."""
    runtime = Runtime(config(fake, clock, **options))
    await runtime.open()
    return runtime


# -- the first start ---------------------------------------------------------------------------------------------------


async def test_an_open_runtime_has_been_greeted() -> None:
    """I12: and knows who is there."""
    fake = FakeAppServer()
    async with running(fake, client_name="me", opt_out=("noise",), experimental_api=True) as runtime:
        assert runtime.connection.phase == "running"
        assert runtime.state.connection == runtime.connection
        assert runtime.server_info.user_agent.startswith("me/0.163.0")
        assert runtime.server_info.platform_os == "linux"
        await runtime.wait_ready()
        await turns()
        assert [entry.method for entry in fake.received] == ["initialize", "initialized"]
        assert fake.received[0].params == {
            "clientInfo": {"name": "me", "title": "codex-runtime", "version": "0.1.0"},
            "capabilities": {"experimentalApi": True, "optOutNotificationMethods": ["noise"]},
        }
    assert runtime.connection.phase == "closed"
    assert fake.most_alive == 1


async def test_without_the_experimental_api_the_greeting_does_not_ask_for_it() -> None:
    """A plain client."""
    fake = FakeAppServer()
    async with running(fake, experimental_api=False):
        assert fake.received[0].params["capabilities"] == {}


@pytest.mark.parametrize(
    ("method", "moment"),
    [
        ("launch", "before"),
        ("initialize", "before"),
        ("initialize", "during"),
        ("initialize", "after"),
    ],
)
@pytest.mark.parametrize("how", [{"code": 0}, {"code": 1}, {"signal": 11}])
async def test_a_first_server_that_dies_before_it_is_ready_is_a_start_error(method: str, moment: Any, how: Any) -> None:
    """P1, P5: at once, not at the deadline; with how it ended and what it said; and nothing is left."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.die_at(method, moment, **how)
    runtime = Runtime(config(fake, clock))
    with pytest.raises(HandshakeError) as caught:
        await runtime.open()
    assert caught.value.exit == Exit(**how)
    assert Exit(**how).describe() in str(caught.value)
    assert (fake.launches, runtime.connection.phase) == (1, "closed")
    assert clock.planned == 0
    for work in (runtime.request("a"), runtime.wait_ready()):
        assert isinstance(await failure(work), RuntimeClosedError)


async def test_what_the_first_server_complained_of_is_in_the_error() -> None:
    """P5: the reason is on stderr."""

    class Complains:
        def __init__(self) -> None:
            self.fake = FakeAppServer()

        async def launch(self, receiver: Receiver, /) -> Transport:
            link = await self.fake.launch(receiver)
            self.fake.play(Stderr("Error: no such option\n"))
            self.fake.die(code=1)
            return link

    with pytest.raises(HandshakeError) as caught:
        await Runtime(config(Complains(), ManualClock())).open()
    assert caught.value.exit is not None
    assert caught.value.exit.stderr_tail == "Error: no such option\n"


async def test_a_first_server_that_does_not_answer_is_a_start_error() -> None:
    """P3: at the start deadline, on the runtime's own clock."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("initialize")
    runtime = Runtime(config(fake, clock, start_deadline=7.0))
    async with task(failure(runtime.open())) as opening:
        await clock.advance(6.9)
        assert not opening.done()
        await clock.advance(0.1)
        error = await opening
        assert isinstance(error, HandshakeError)
        assert "not ready within 7 s" in str(error)
        assert error.exit == Exit(code=0)
    assert fake.most_alive == 1


async def test_a_launch_that_hangs_is_a_start_error() -> None:
    """The deadline is for launch and greeting together."""

    class Hangs:
        async def launch(self, _receiver: Receiver, /) -> Transport:
            await asyncio.Event().wait()
            raise AssertionError

    clock = ManualClock()
    async with task(failure(Runtime(config(Hangs(), clock)).open())) as opening:
        await clock.advance(30.0)
        assert isinstance(await opening, HandshakeError)


async def test_a_refused_greeting_is_a_start_error() -> None:
    """P4: with what the server said, and no second try."""
    fake = FakeAppServer()
    fake.on_request("initialize", Refusal(-32600, "Invalid clientInfo.name"))
    with pytest.raises(HandshakeError, match=r"Invalid clientInfo\.name") as caught:
        await Runtime(config(fake)).open()
    assert isinstance(caught.value.__cause__, RequestFailedError)
    assert fake.launches == 1


async def test_a_greeting_of_another_shape_is_a_start_error() -> None:
    """P4: something else speaks there."""
    fake = FakeAppServer()
    fake.on_request("initialize", {"userAgent": 5})
    with pytest.raises(HandshakeError, match="promised shape"):
        await Runtime(config(fake)).open()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(BinaryNotFoundError("none"), BinaryNotFoundError), (OSError("odd"), StartError), (KeyError("x"), StartError)],
)
async def test_a_failed_launch_is_a_start_error(raised: Exception, expected: type[Exception]) -> None:
    """The launcher's own if it has one; a launcher of the caller's that breaks is a failed start like any other."""
    fake = FakeAppServer()
    fake.fail_next_launch(raised)
    with pytest.raises(expected) as caught:
        await Runtime(config(fake)).open()
    assert raised in (caught.value, caught.value.__cause__)


async def test_a_missing_binary_is_found_before_anything_starts() -> None:
    """And the runtime may be opened again once it is there."""
    from codex_runtime.runtime import RuntimeConfig

    runtime = Runtime(RuntimeConfig(binary="/nowhere/codex"))
    with pytest.raises(BinaryNotFoundError):
        await runtime.open()
    await runtime.aclose()
    assert runtime.connection.phase == "closed"


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


# -- restarts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "code", "again"),
    [
        ("never", 1, False),
        ("on_failure", 0, False),
        ("on_failure", 1, True),
        ("always", 0, True),
        ("always", 1, True),
    ],
)
async def test_the_rule_says_who_is_started_again(when: Any, code: int, again: bool) -> None:  # noqa: FBT001
    """By policy and exit status."""
    fake, clock = FakeAppServer(), ManualClock()
    policy = RestartPolicy(when=when, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy) as runtime:
        fake.die(code=code)
        await turns()
        assert runtime.connection.phase == ("restarting" if again else "dead")
        assert runtime.connection.cause is not None
        assert f"exit status {code}" in runtime.connection.cause
        await clock.advance(1.0)
        assert fake.launches == (2 if again else 1)
        assert runtime.generation == (1 if again else 0)
        assert dict(runtime.metrics.restarts) == ({f"exit status {code}": 1} if again else {})


async def test_the_pauses_grow_until_the_budget_is_spent() -> None:
    """I10: by the clock, and not a start more; a quick death does not reset anything."""
    fake, clock = FakeAppServer(), ManualClock()
    policy = RestartPolicy(budget=3, backoff=1.0, max_backoff=3.0, jitter=0.0)
    dead: list[RuntimeDeadError] = []
    runtime = await start(fake, clock, restart=policy, on_dead=dead.append)
    for n, pause in enumerate((1.0, 2.0, 3.0), 1):
        fake.die()
        await turns()
        await clock.advance(pause - 0.01)
        assert fake.launches == n
        await clock.advance(0.01)
        assert (fake.launches, runtime.connection.phase) == (n + 1, "running")
    fake.die(code=9)
    await turns()
    assert runtime.connection.phase == "dead"
    assert [(error.generation, error.exit) for error in dead] == [(3, Exit(code=9))]
    await clock.advance(1000.0)
    assert (fake.launches, fake.most_alive) == (4, 1)
    assert dict(runtime.metrics.restarts) == {"killed by SIGKILL": 3}
    await runtime.aclose()
    assert runtime.connection.phase == "dead"


async def test_a_stable_server_resets_the_pause_but_not_the_window() -> None:
    """P13: flapping just above the stable time still ends."""
    fake, clock = FakeAppServer(), ManualClock()
    policy = RestartPolicy(budget=3, window=60.0, backoff=1.0, max_backoff=30.0, jitter=0.0, stable=10.0)
    async with running(fake, clock, restart=policy) as runtime:
        for _ in range(3):
            await clock.advance(10.0)
            fake.die()
            await turns()
            await clock.advance(1.0)
            assert runtime.connection.phase == "running"
        await clock.advance(10.0)
        fake.die()
        await turns()
        assert runtime.connection.phase == "dead"


async def test_failed_starts_are_tried_again_within_the_budget() -> None:
    """P2, P3: launch errors, deaths and hangs in the greeting, all after the first start."""
    fake, clock = FakeAppServer(), ManualClock()
    policy = RestartPolicy(budget=4, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy, start_deadline=5.0) as runtime:
        fake.fail_next_launch(StartError("no room"))
        fake.die_at("initialize", "during")
        fake.die()
        await turns()
        await clock.advance(1.0)
        assert runtime.connection.cause == "no room"
        await clock.advance(1.0)
        assert fake.launches == 2
        assert "SIGKILL" in str(runtime.connection.cause)
        fake.never_answer("initialize")
        await clock.advance(1.0)
        assert (fake.launches, runtime.connection.phase) == (3, "handshaking")
        await clock.advance(5.0)
        assert "not ready within 5 s" in str(runtime.connection.cause)
        await clock.advance(1.0)
        assert (fake.launches, runtime.connection.phase, runtime.generation) == (4, "running", 4)
        assert fake.most_alive == 1


async def test_a_death_names_its_cause_even_if_there_was_no_process() -> None:
    """The launcher's own words reach everyone who waits."""
    fake, clock = FakeAppServer(), ManualClock()
    policy = RestartPolicy(budget=1, backoff=1.0, max_backoff=1.0, jitter=0.0)
    async with running(fake, clock, restart=policy) as runtime:
        fake.fail_next_launch(StartError("the disk is gone"))
        fake.die()
        await turns()
        await clock.advance(1.0)
        with pytest.raises(RuntimeDeadError, match=r"the disk is gone.*1 restarts within 180 s are used up") as caught:
            await runtime.request("a")
        assert caught.value.generation == runtime.generation == 1


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_a_death_around_any_message_is_seen_and_mended(moment: Any) -> None:
    """P1: whatever was being said."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, restart=RestartPolicy(budget=50, backoff=1.0, max_backoff=1.0)) as runtime:
        for method in ("initialized", "thread/start", "thread/started"):
            if moment == "during" and method == "initialized":
                continue
            fake.die_at(method, moment)
            if method == "initialized":
                fake.die()
            async with task(failure(runtime.request("thread/start"))) as call:
                await clock.advance(5.0)
                error = await call
                assert error is None or isinstance(error, ConnectionLostError)
            await runtime.wait_ready()
            assert await runtime.request("account/read")


async def test_a_server_that_closes_its_stdout_is_gone() -> None:
    """P7: who cannot be heard is of no use."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock, restart=RestartPolicy(when="always", backoff=1.0, jitter=0.0)) as runtime:
        fake.play(CloseStdout())
        await until(lambda: runtime.connection.phase == "restarting")
        await clock.advance(1.0)
        assert runtime.generation == 1


async def test_wall_clock_steps_change_nothing() -> None:
    """I17: deadlines and back-off live on the other clock."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        clock.step_wall(-1e6)
        await clock.advance(0.9)
        clock.step_wall(2e6)
        await turns()
        assert fake.launches == 1
        await clock.advance(0.1)
        assert fake.launches == 2


async def test_the_next_server_waits_for_the_one_before_to_be_gone() -> None:
    """I11: but those who wait for an answer of it do not wait for that."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime, task(failure(runtime.request("ask"))) as call:
        await until(lambda: wire.ids("ask"))
        wire.may_end.clear()
        wire.end(Exit(code=1))
        assert isinstance(await call, ConnectionLostError)
        await clock.advance(10.0)
        assert wire.launches == 1
        wire.may_end.set()
        await turns()
        await clock.advance(1.0)
        await runtime.wait_ready()
        assert wire.launches == 2


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


# -- finding threads again ---------------------------------------------------------------------------------------------


async def test_reattachments_run_before_anybody_else() -> None:
    """The new server knows their threads before it hears of any other call."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("back", {"here": True})
    fake.on_request("echo", {})
    results: list[Any] = []

    async def back(request: Request) -> None:
        results.append(await request("back", {"n": 1}))
        results.append(await request("back", {"n": 2}))

    async with running(fake, clock) as runtime:
        runtime.on_restart("key", back)
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        async with task(runtime.request("echo")) as call:
            await clock.advance(1.0)
            await call
        assert results == [{"here": True}] * 2
        methods = [entry.method for entry in fake.received if entry.generation == 1]
        assert methods == ["initialize", "initialized", "back", "back", "echo"]
        runtime.on_restart("key", None)
        await restart(fake, runtime, clock)
        assert len(results) == 2
        assert runtime.metrics.guest_errors == 0


async def test_a_reattachment_that_fails_is_on_its_own() -> None:
    """Whether the server refuses it or it breaks, even before it is awaited."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.on_request("back", Refusal(-32600, "no"))
    done: list[str] = []

    async def refused(request: Request) -> None:
        await request("back", {})

    def no_coroutine(_: Request) -> Any:
        raise ZeroDivisionError

    async def good(request: Request) -> None:
        await request("account/read", {})
        done.append("good")

    async with running(fake, clock) as runtime:
        for guest in (refused, no_coroutine, good):
            runtime.on_restart(guest, guest)
        await restart(fake, runtime, clock)
        assert done == ["good"]
        assert runtime.metrics.guest_errors == 2


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_reattachment_that_hangs_holds_nobody_up_for_ever(stubborn: bool) -> None:  # noqa: FBT001
    """It gets the start deadline; then the server is everyone's, also if it does not even heed being cancelled."""
    fake, clock = FakeAppServer(), ManualClock()
    release = asyncio.Event()

    async def hangs(_: Request) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise

    async with running(fake, clock, start_deadline=4.0) as runtime:
        runtime.on_restart("key", hangs)
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        await clock.advance(4.9)
        assert runtime.connection.phase == "handshaking"
        await clock.advance(0.1)
        assert runtime.connection.phase == "running"
        assert runtime.metrics.guest_errors == 1
        assert await runtime.request("account/read")
        release.set()


async def test_a_death_while_threads_are_found_again_is_seen_at_once() -> None:
    """Not when some deadline of theirs is over."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("back")
    errors: list[Any] = []

    async def back(request: Request) -> None:
        errors.append(await failure(request("back", {})))

    async def idle(_: Request) -> None:
        await asyncio.Event().wait()

    async with running(fake, clock) as runtime:
        runtime.on_restart("back", back)
        runtime.on_restart("idle", idle)
        fake.die()
        await turns()
        await clock.advance(1.0)
        await fake.wait_for("back")
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        assert [type(error) for error in errors] == [ConnectionLostError]
        assert runtime.metrics.guest_errors == 0
        runtime.on_restart("back", None)
        runtime.on_restart("idle", None)
        await clock.advance(2.0)
        assert (runtime.connection.phase, runtime.generation) == ("running", 2)


async def test_many_threads_are_found_again_without_drowning_the_server() -> None:
    """app-server.md 0.2: no more at a time than any other calls, and an overloaded server is asked again."""
    fake, clock = FakeAppServer(), ManualClock()
    most = 0

    async def back(request: Request) -> None:
        nonlocal most
        most = max(most, runtime.metrics.in_flight)
        assert await request("account/read", {})

    async with running(fake, clock, max_in_flight=8) as runtime:
        for n in range(50):
            runtime.on_restart(n, back)
        fake.die()
        await turns()
        fake.overload(5, method="account/read")
        await clock.advance(1.0)
        await clock.advance(10.0)
        await runtime.wait_ready()
        assert len(fake.requests("account/read")) == 55
        assert runtime.metrics.guest_errors == 0
        assert 0 < most <= 8


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


async def test_a_reattachment_may_close_the_runtime() -> None:
    """A guest that gives up does not wait for itself."""
    fake, clock = FakeAppServer(), ManualClock()
    runtime = await start(fake, clock)

    async def gives_up(_: Request) -> None:
        await runtime.aclose()

    runtime.on_restart("key", gives_up)
    fake.die()
    await turns()
    await clock.advance(1.0)
    await until(lambda: runtime.connection.phase == "closed")


# -- a supervisor that fails -------------------------------------------------------------------------------------------


class BadClock:
    """A clock that cannot sleep; all else is a manual one's."""

    def __init__(self, good: ManualClock) -> None:
        self._good = good

    def monotonic(self) -> float:
        """As it should be."""
        return self._good.monotonic()

    def wall(self) -> float:
        """As it should be."""
        return self._good.wall()

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Cancellable:
        """As it should be."""
        return self._good.call_at(when, callback, *args)

    async def sleep_until(self, _when: float) -> None:
        """Break."""
        raise ZeroDivisionError("no sleep")


async def test_a_supervisor_that_fails_is_a_death() -> None:
    """Whoever waits must not wait for a task that is gone; the cause is in the error."""
    fake = FakeAppServer()
    told: list[RuntimeDeadError] = []
    runtime = Runtime(config(fake, BadClock(ManualClock()), on_dead=told.append))  # type: ignore[arg-type]
    await runtime.open()
    async with task(failure(runtime.wait_ready())), task(failure(anext(runtime.subscribe(methods=["x"])))) as reader:
        fake.die()
        error = await reader
        assert isinstance(error, RuntimeDeadError)
        assert "no sleep" in str(error)
        assert isinstance(error.__cause__, ZeroDivisionError)
    assert runtime.connection.phase == "dead"
    assert len(told) == 1
    assert isinstance(await failure(runtime.request("a")), RuntimeDeadError)
    await runtime.aclose()


async def test_a_supervisor_that_fails_in_the_first_start_raises_there() -> None:
    """And closes what it had."""

    class BadEnd(Wire):
        async def aclose(self) -> Exit:
            await super().aclose()
            raise ZeroDivisionError("no end")

    with pytest.raises(ZeroDivisionError, match="no end"):
        await Runtime(config(BadEnd(greets=False), start_deadline=0.01, restart=STEADY)).open()

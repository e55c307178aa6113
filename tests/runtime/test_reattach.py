"""Finding threads again after a restart: before anybody else, all at once, each on its own, within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import ConnectionLostError, RequestFailedError
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_server import FakeAppServer
from tests.runtime.rig import Wire, failure, restart, running, start, task, turns, until

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime.runtime._reattach import Request
    from codex_runtime.runtime._server_requests import Ticket


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


async def test_a_reattachment_may_take_note_before_what_comes_after_the_answer() -> None:
    """In the dispatch: a refusal is not noted, and what follows the answer in the same read comes after the note."""
    wire, clock = Wire(), ManualClock()
    heard: list[object] = []

    async def back(request: Request) -> None:
        assert isinstance(await failure(request("no", {}, note=heard.append)), RequestFailedError)
        await request("thread/resume", {"threadId": "t"}, note=heard.append)

    async with running(wire, clock) as runtime:
        runtime.on_restart("key", back)
        runtime.listen("t", Listener(heard))
        wire.end(Exit(code=1))
        await clock.advance(1.0)
        await until(lambda: wire.ids("no"))
        wire.say({"id": wire.ids("no")[0], "error": {"code": -32600, "message": "no"}})
        await until(lambda: wire.ids("thread/resume"))
        news = {"method": "item/completed", "params": {"threadId": "t"}}
        wire.say({"id": wire.ids("thread/resume")[0], "result": {"here": True}}, news)
        await runtime.wait_ready()
    assert heard == ["lost", {"here": True}, "item/completed", "ready", "lost"]


class Listener:
    """Somebody who follows a thread, and keeps what befalls it."""

    def __init__(self, heard: list[object]) -> None:
        self._heard = heard

    def envelope(self, envelope: Envelope) -> None:
        """Take note of its method."""
        self._heard.append(envelope.method)

    def ticket(self, ticket: Ticket) -> bool:
        """Not ours."""
        return False

    def known_items(self, turn_id: str) -> tuple[()]:
        """None."""
        return ()

    def lost(self, error: ConnectionLostError) -> None:
        """Take note."""
        self._heard.append("lost")

    def ready(self) -> None:
        """Take note."""
        self._heard.append("ready")


async def test_a_server_that_dies_before_it_is_asked_is_a_lost_connection_like_any_other() -> None:
    """Its death comes between the greeting and the first request; the next server is asked again."""
    wire, clock = Wire(), ManualClock()
    failures: list[BaseException | None] = []

    async def back(request: Request) -> None:
        if wire.launches == 2:
            wire.end(Exit(code=2))
        failures.append(await failure(request("back", {})))

    async with running(wire, clock) as runtime:
        runtime.on_restart("key", back)
        wire.end(Exit(code=1))
        await clock.advance(1.0)
        await until(lambda: failures)
        (error,) = failures
        assert isinstance(error, ConnectionLostError)
        assert (error.generation, error.exit) == (1, Exit(code=2))
        await clock.advance(1.0)
        await until(lambda: wire.ids("back"))
        wire.say({"id": wire.ids("back")[0], "result": {}})
        await runtime.wait_ready()
        assert failures[1:] == [None]


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

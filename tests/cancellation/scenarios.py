"""One world for each thing that users can await, to be cancelled in: see ``tests.support.cancel_everywhere``.

A scenario says by ``@awaits`` which names of the surface it stands for. It yields the work and judges what is left of it; what it has to
judge is what the documents promise: the object is usable or closed, and nothing of ours is left on either side.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from codex_runtime import Client, RestartPolicy, Runtime, RuntimeConfig, quick_run
from codex_runtime.appserver import AppServer
from codex_runtime.errors import SessionBusyError, StoreError, TurnError
from codex_runtime.hooks import Hook, HookContext, HookMatcher, ShellHook, ToolUse
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import Envelope, Gap, JsonlSink, JsonStateStore, read_jsonl
from codex_runtime.testing import (
    Ask,
    Command,
    FakeAppServer,
    Gate,
    Hold,
    IgnoreTerm,
    ManualClock,
    Notify,
    Say,
    Script,
    Stall,
    StopReading,
)
from tests.model.laws import answers_are_lawful, runtime_is_at_rest
from tests.support.leaks import Footprint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
    from pathlib import Path

    from codex_runtime import Session, Ticket, Turn
    from tests.support.cancel_everywhere import Ended

    World = AsyncGenerator[Coroutine[Any, Any, Any], Ended]
    Make = Callable[[Path], World]

__all__ = ["SCENARIOS", "covered"]

SCENARIOS: dict[str, Make] = {}
_COVERED: dict[str, tuple[str, ...]] = {}

COMMAND = "item/commandExecution/requestApproval"
FAR = 77.0
"""The deadline of each turn. Whatever else is planned on the clock is due sooner, so that its alarm can be told by it."""


def awaits(*names: str) -> Callable[[Make], Make]:
    """Register a scenario for these names of the surface."""

    def register(make: Make) -> Make:
        SCENARIOS[make.__name__] = make
        _COVERED[make.__name__] = names
        return make

    return register


def covered() -> set[str]:
    """The names that have a scenario."""
    return {name for names in _COVERED.values() for name in names}


# -- worlds ------------------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], object]) -> None:
    """Let others run until something holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


@asynccontextmanager
async def passing(clock: ManualClock, *, every: float = 0.5) -> AsyncIterator[None]:
    """Let time pass beside the work."""

    async def pass_on() -> None:
        while True:
            await clock.advance(every)

    turning = asyncio.create_task(pass_on(), name="time")
    try:
        yield
    finally:
        turning.cancel()
        await asyncio.wait([turning])


def config(fake: FakeAppServer, clock: ManualClock, **options: Any) -> RuntimeConfig:
    """Restart always, and soon."""
    restart = RestartPolicy(when="always", budget=1000, backoff=1.0, max_backoff=1.0, jitter=0.0)
    return RuntimeConfig(
        launcher=fake, clock=clock, **{"restart": restart, "watchdog": None, "server_request_deadline": 20.0, **options}
    )


def echoing(*scripts: Script | str) -> FakeAppServer:
    """A fake that answers ``echo``."""
    fake = FakeAppServer(*scripts)
    fake.on_request("echo", lambda params: {"said": params})
    return fake


@asynccontextmanager
async def running(fake: FakeAppServer, clock: ManualClock, **options: Any) -> AsyncIterator[Runtime]:
    """A runtime, which is at rest and good for more at the end, and gone thereafter."""
    async with Runtime(config(fake, clock, **options)) as runtime:
        yield runtime
        async with passing(clock):
            await runtime.wait_ready()
            assert await runtime.request("echo", {"still": "there"}) == {"said": {"still": "there"}}
        runtime_is_at_rest(runtime)
    assert clock.planned == 0
    answers_are_lawful(fake, ())


@asynccontextmanager
async def desk(fake: FakeAppServer, **options: Any) -> AsyncIterator[tuple[Client, ManualClock]]:
    """A client; at the end nobody follows any thread, and nothing comes back after a restart."""
    clock = ManualClock()
    hooks = options.pop("hooks", ())
    async with fake, Client(config(fake, clock, **options), hooks=hooks) as client:
        yield client, clock
        runtime_is_at_rest(client.runtime)
        assert client.runtime._reattachments._wanted == {}
        assert set(client.runtime._dispatch._takers) <= {None}
    assert clock.planned == 0


@asynccontextmanager
async def in_session(fake: FakeAppServer, **options: Any) -> AsyncIterator[tuple[Session, ManualClock]]:
    """A session, which runs one more turn at the end."""
    start = {name: options.pop(name) for name in ("approvals", "approval_policy") if name in options}
    async with desk(fake, **options) as (client, clock), await client.start_session(**start) as session:
        yield session, clock
        assert session.turn is None
        fake._orders.scripts.clear()
        await good_for_more(session, clock)


async def good_for_more(session: Session, clock: ManualClock) -> None:
    """Run another turn."""
    async with passing(clock):
        await session.runtime.wait_ready()
        assert (await session.run("again")).text == "Hello!"


def no_turn_runs(fake: FakeAppServer, clock: ManualClock) -> None:
    """I5, S30: what was begun on the server is over there, and our alarm for it is off."""
    for thread in fake._disk.threads.values():
        for turn in thread.turns:
            assert turn.status != "inProgress", f"{turn} runs on unattended"
    assert not [due for due in clock.upcoming if due > FAR / 2], "the alarm of a turn is still set"


async def runs_only_if_told(
    session: Session, turn: Turn, ended: Ended, clock: ManualClock, fake: FakeAppServer
) -> None:
    """Who is cancelled twice does not wait for the interruption, and the turn says so; the next one finishes it off."""
    fake._orders.scripts.clear()
    if turn.may_run_on and ended.moment == "twice":
        async with passing(clock):
            with suppress(SessionBusyError):
                await session.run("finish it off")
    no_turn_runs(fake, clock)


def approved(*more: Any) -> Script:
    """A turn that asks for leave."""
    return Script(Say("one "), Command("ls", output="a\n", approval=True), *more, Say("two"))


# -- the runtime -------------------------------------------------------------------------------------------------------


@awaits("Runtime.open", "Runtime.__aenter__")
async def open_a_runtime(_: Path) -> World:
    """It is open, or it is closed and its server gone."""
    fake, clock = echoing(), ManualClock()
    runtime = Runtime(config(fake, clock))
    ended = yield runtime.__aenter__()
    await until(lambda: runtime.connection.phase == ("closed" if ended.was_cancelled else "running"))
    assert len(fake._live) == (not ended.was_cancelled)
    await runtime.aclose()
    assert (fake._live, clock.planned) == ({}, 0)


@awaits("Runtime.open", "Runtime.aclose")
async def open_and_close_a_runtime_with_files(path: Path) -> World:
    """A log, a journal and a state: the next runtime can have them all, whatever the first had come to."""
    with Journal(path / "journal") as journal:

        def runtime() -> Runtime:
            sinks = (JsonlSink(path / "log"), JournalSink(journal))
            store = JsonStateStore(path / "state")
            return Runtime(config(echoing(), clock, sinks=sinks, state_store=store))

        async def use(first: Runtime) -> None:
            await first.open()
            assert await first.request("echo") == {"said": {}}
            await first.aclose()

        clock = ManualClock()
        first = runtime()
        yield use(first)
        await first.aclose()
        await until(lambda: first.connection.phase == "closed")
        async with asyncio.timeout(20):
            while True:
                second = runtime()
                with suppress(StoreError):
                    await second.open()
                    break
                await second.aclose()
                await asyncio.sleep(0)
        assert await second.request("echo") == {"said": {}}
        await second.aclose()
        await _every_run_ended(journal)
    assert clock.planned == 0


@awaits("Runtime.aclose", "Runtime.__aexit__")
async def close_a_runtime(_: Path) -> World:
    """The closing goes on by itself, with calls in flight and in line, and a server that does not hear."""
    fake, clock = echoing(), ManualClock()
    runtime = Runtime(config(fake, clock, max_in_flight=1))
    await runtime.open()
    fake.never_answer("echo", times=None)
    calls = [asyncio.create_task(runtime.request("echo")) for _ in range(2)]
    await until(lambda: runtime.metrics.in_flight and runtime.metrics.queued)
    fake.play(StopReading(), IgnoreTerm())
    yield runtime.__aexit__(None, None, None)
    await until(lambda: runtime.connection.phase == "closed")
    await asyncio.wait(calls)
    assert {type(call.exception()).__name__ for call in calls} == {"RuntimeClosedError"}
    assert (fake._live, clock.planned) == ({}, 0)
    await runtime.aclose()


@awaits("Runtime.wait_ready")
async def wait_for_a_server(_: Path) -> World:
    """Nothing is kept of who waited."""
    fake, clock = echoing(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        async with passing(clock):
            yield runtime.wait_ready()


def _of_a_call(name: str, call: Callable[[Runtime], Coroutine[Any, Any, Any]]) -> None:
    """A call at once, in line behind another, while there is no server, and again after an overload."""

    @asynccontextmanager
    async def world(case: str) -> AsyncIterator[tuple[Runtime, ManualClock]]:
        fake, clock = echoing(), ManualClock()
        async with running(fake, clock, max_in_flight=1) as runtime:
            first = None
            if case == "in_line":
                gate = Gate()
                fake.hold_answer("echo", gate)
                first = asyncio.create_task(runtime.request("echo", {"first": True}))
                await gate.reached()
                asyncio.get_running_loop().call_soon(gate.open)
            elif case == "restarting":
                fake.die()
                await until(lambda: runtime.connection.phase == "restarting")
            elif case == "overloaded":
                fake.overload(2, method="echo")
            async with passing(clock):
                yield runtime, clock
            if first is not None:
                assert await first == {"said": {"first": True}}
            fake._orders.replies.clear()

    for case in ("at_once", "in_line", "restarting", "overloaded"):

        async def scenario(_: Path, case: str = case) -> World:
            async with world(case) as (runtime, _):
                ended = yield call(runtime)
                if ended.was_cancelled:
                    await until(lambda: not runtime.metrics.in_flight or case == "in_line")
                assert runtime.metrics.queued == 0

        scenario.__name__ = f"{name}_{case}"
        awaits(f"Runtime.{name}")(scenario)


_of_a_call("request", lambda runtime: runtime.request("echo", {"n": 1}))
_of_a_call("request_raw", lambda runtime: runtime.request_raw("echo", {"n": 1}))
_of_a_call("request_and_note", lambda runtime: runtime.request_and_note("echo", {"n": 1}, lambda _: None))
_of_a_call("notify", lambda runtime: runtime.notify("hello", {"n": 1}))


@awaits("AppServer.request", "AppServer.<each method of the server>")
async def call_a_method_by_name(_: Path) -> World:
    """The thinnest door: what it stands on is cancelled."""
    fake, clock = echoing(), ManualClock()
    async with running(fake, clock) as runtime:
        app_server = AppServer(runtime)

        async def both() -> None:
            await app_server.request("echo")
            await app_server.thread_start()

        yield both()


@awaits("Runtime.server_requests")
async def read_server_requests(_: Path) -> World:
    """What is asked when nobody iterates any more is declined; so is what the last one had before it and did not take."""
    fake, clock = echoing(), ManualClock()
    async with running(fake, clock, server_request_deadline=5.0) as runtime:

        async def read() -> None:
            left = 2
            async with aclosing(runtime.server_requests()) as tickets:  # type: ignore[type-var]
                async for ticket in tickets:
                    await asyncio.sleep(0)
                    ticket.decline()
                    left -= 1
                    if not left:
                        return

        asyncio.get_running_loop().call_soon(fake.play, Ask(COMMAND, {"command": "a"}), Ask(COMMAND, {"command": "b"}))
        yield read()
        assert runtime._desk._queues == []
        async with passing(clock):
            await fake.until(lambda: len(fake.answers) == 2)
        assert {answer.decision for answer in fake.answers} == {"decline"}


@awaits("Ticket.wait")
async def wait_for_a_ticket(_: Path) -> World:
    """Who goes away takes nobody along: neither the ticket nor the others who wait for it."""
    fake, clock = echoing(), ManualClock()
    kept: list[Ticket] = []
    async with running(fake, clock, on_server_request=kept.append) as runtime:
        fake.play(Ask(COMMAND, {"command": "a"}))
        await until(lambda: kept)
        other = asyncio.create_task(kept[0].wait())
        for turn in range(3):
            asyncio.get_running_loop().call_later(0.001 * turn, lambda: kept[0].is_settled or kept[0].decline())
        ended = yield kept[0].wait()
        assert ended.was_cancelled or ended.result == "declined"
        assert await other == "declined"
        assert await kept[0].wait() == "declined"
        await until(lambda: len(fake.answers) == 1)
        assert runtime.tickets == ()


def _of_a_reader(name: str, read: Callable[[Any, list[Any]], Coroutine[Any, Any, Any]]) -> None:
    """A reader that is cancelled has missed nothing: whoever goes on gets the rest."""
    for overflow in ("drop", "block"):

        async def scenario(_: Path, overflow: Any = overflow) -> World:
            fake, clock = echoing(), ManualClock()
            async with running(fake, clock) as runtime:
                subscription = runtime.subscribe(methods=["note"], capacity=100, overflow=overflow)
                loop = asyncio.get_running_loop()
                for n in range(4):
                    loop.call_later(
                        0.0005 * n, fake.play, Notify("note", {"n": 2 * n}), Notify("note", {"n": 2 * n + 1})
                    )
                items: list[Any] = []
                yield read(subscription, items)
                await until(lambda: len(items) + subscription.pending == 8)
                subscription.close()
                items += [item async for item in subscription]
                assert [item.message["params"]["n"] for item in items] == list(range(8))
                assert subscription._waiters == []

        scenario.__name__ = f"{name}_{overflow}"
        awaits(f"Subscription.{name}")(scenario)


async def _iterate(subscription: Any, items: list[Any]) -> None:
    async for item in subscription:
        items.append(item)
        if len(items) == 8:
            return


async def _next(subscription: Any, items: list[Any]) -> None:
    while len(items) < 8:
        items.append(await anext(subscription))


async def _batches(subscription: Any, items: list[Any]) -> None:
    async for batch in subscription.batches():
        items.extend(batch)
        if len(items) == 8:
            return


_of_a_reader("__aiter__", _iterate)
_of_a_reader("__anext__", _next)
_of_a_reader("batches", _batches)


# -- the client --------------------------------------------------------------------------------------------------------


@awaits("Client.open", "Client.__aenter__")
async def open_a_client(_: Path) -> World:
    """As for its runtime."""
    fake, clock = echoing(), ManualClock()
    client = Client(config(fake, clock))
    ended = yield client.__aenter__()
    await until(lambda: client.runtime.connection.phase == ("closed" if ended.was_cancelled else "running"))
    await client.aclose()
    assert (fake._live, clock.planned) == ({}, 0)


@awaits("Client.aclose", "Client.__aexit__")
async def close_a_client(_: Path) -> World:
    """In mid-turn: that is lost, and told so."""
    fake, clock = echoing(Script(Say("half"), Stall())), ManualClock()
    client = Client(config(fake, clock))
    await client.open()
    session = await client.start_session()
    turn = asyncio.create_task(session.run("go"))
    await until(lambda: session.turn is not None and session.turn.result.text)
    yield client.__aexit__(None, None, None)
    await until(lambda: client.runtime.connection.phase == "closed")
    await asyncio.wait([turn])
    assert type(turn.exception()).__name__ == "TurnLostError"
    assert (fake._live, clock.planned) == ({}, 0)


@awaits("Client.start_session")
async def start_a_session(_: Path) -> World:
    """There is one, or nothing of ours follows a thread."""
    async with desk(echoing()) as (client, clock):
        ended = yield client.start_session()
        if not ended.was_cancelled:
            await good_for_more(ended.result, clock)
            await ended.result.aclose()


@awaits("Client.start_session")
async def start_a_session_with_hooks(_: Path) -> World:
    """A hook that comes after the start is part of it."""

    async def look(_: HookContext) -> None:
        await asyncio.sleep(0)

    hooks = [Hook("look", look, when=HookMatcher(phases=("pre_session_start", "post_session_start")))]
    async with desk(echoing(), hooks=hooks) as (client, clock):
        ended = yield client.start_session()
        if not ended.was_cancelled:
            await good_for_more(ended.result, clock)
            await ended.result.aclose()


@awaits("Client.resume_session")
async def resume_a_session(_: Path) -> World:
    """The same."""
    async with desk(echoing()) as (client, clock):
        async with await client.start_session() as session, passing(clock):
            await session.run("go")
        ended = yield client.resume_session(session.thread_id)
        if not ended.was_cancelled:
            await good_for_more(ended.result, clock)
            await ended.result.aclose()


@awaits("Client.run")
async def run_a_prompt(_: Path) -> World:
    """A session that lives as long as its turn."""
    fake = echoing(approved())
    async with desk(fake) as (client, clock):
        async with passing(clock):
            ended = yield client.run("go", deadline=FAR)
        assert ended.was_cancelled or ended.result.text == "two"
        no_turn_runs(fake, clock)


@awaits("quick_run")
async def run_quickly(_: Path) -> World:
    """Nothing is left of any of it."""
    fake, clock = echoing(), ManualClock()
    async with passing(clock):
        ended = yield quick_run("go", config=config(fake, clock), deadline=FAR)
        await until(lambda: fake._live == {})
    assert ended.was_cancelled or ended.result.text == "Hello!"
    assert clock.planned == 0


# -- the session -------------------------------------------------------------------------------------------------------


@awaits("Session.run", "Session.carry_out")
async def run_a_turn(_: Path) -> World:
    """What had begun on the server is interrupted there, and the next run is a turn of its own."""
    fake = echoing(approved())
    async with in_session(fake) as (session, clock):
        async with passing(clock):
            ended = yield session.run("go", deadline=FAR)
            await until(lambda: session.turn is None)
        assert ended.was_cancelled or ended.result.text == "two"
        no_turn_runs(fake, clock)
        began = {turn.id for thread in fake._disk.threads.values() for turn in thread.turns}
        told = {entry.params["turnId"] for entry in fake.requests("turn/interrupt")}
        assert told <= began | {""}


@awaits("Session.run")
async def run_a_turn_over_a_crash(_: Path) -> World:
    """While it waits to be found again, too."""
    fake = echoing(Script(Say("one"), Hold(gate := Gate()), Say("two")))
    async with in_session(fake) as (session, clock):

        async def spoil() -> None:
            await gate.reached()
            fake.disconnect()
            gate.open()

        spoiling = asyncio.create_task(spoil())
        async with passing(clock, every=0.2):
            ended = yield session.run("go", deadline=FAR)
            await session.runtime.wait_ready()
        spoiling.cancel()
        await asyncio.wait([spoiling])
        assert ended.was_cancelled or ended.result.text == "two"
        assert not [due for due in clock.upcoming if due > FAR / 2]


@awaits("Session.run")
async def run_a_turn_with_hooks(_: Path) -> World:
    """Hooks at every phase: those after the turn are called however it ends, those that hang are not waited for."""
    told: list[str] = []

    async def look(context: HookContext) -> None:
        told.append(context.phase)
        await asyncio.sleep(0)

    phases = ("pre_run", "post_run", "pre_turn", "post_turn", "pre_tool_use", "post_tool_use")
    fake = echoing(approved())
    options: dict[str, Any] = {
        "approval_policy": "untrusted",
        "hooks": [Hook("look", look, when=HookMatcher(phases=phases))],
    }
    async with in_session(fake, **options) as (session, clock):
        async with passing(clock):
            ended = yield session.run("go", deadline=FAR)
            await until(lambda: session.turn is None)
        no_turn_runs(fake, clock)
        assert ended.was_cancelled or told.count("post_turn") == told.count("post_run") == 1
        assert {answer.decision for answer in fake.answers} <= {"decline"}


@awaits("Session.run")
async def run_a_turn_with_a_handler(_: Path) -> World:
    """A handler that is at work on an approval when the run is cancelled ends, and the answer is no."""
    fake = echoing(approved())

    async def slowly(ticket: Ticket) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        ticket.decline()

    async with in_session(fake, approvals=slowly, approval_policy="untrusted") as (session, clock):
        async with passing(clock):
            yield session.run("go", deadline=FAR)
            await until(lambda: session.turn is None and not session.runtime.tickets)
        no_turn_runs(fake, clock)
        answers_are_lawful(fake, ())


@awaits("Session.interrupt")
async def interrupt_a_session(_: Path) -> World:
    """Whether the server has heard of it or not, it can be said again."""
    async for world in _interrupted(lambda session, _: session.interrupt()):
        ended = yield world
        assert ended is not None


@awaits("Session.__aenter__", "Session.__aexit__", "Session.aclose")
async def close_a_session(_: Path) -> World:
    """In mid-turn: closed it is, and the turn is over."""
    fake = echoing(Script(Say("half"), Stall()))
    async with desk(fake) as (client, clock):
        session = await client.start_session()

        async def use() -> None:
            async with session:
                pass

        async with passing(clock):
            running = asyncio.create_task(session.run("go", deadline=FAR))
            await until(lambda: session.turn is not None and session.turn.result.text)
            yield use()
            assert session.is_closed
            await session.aclose()
            running.cancel()  # where the interruption was called off, the turn is still its caller's
            await asyncio.wait([running])
        no_turn_runs(fake, clock)


@awaits("Session.aclose")
async def archive_a_session(_: Path) -> World:
    """The thread may be put away or not; the session is closed."""
    fake = echoing()
    async with desk(fake) as (client, clock):
        session = await client.start_session()
        async with passing(clock):
            await session.run("go")
            yield session.aclose(archive=True)
        assert session.is_closed
        await session.aclose()


# -- the turn ----------------------------------------------------------------------------------------------------------


@awaits("Turn.__aenter__")
async def enter_a_turn(_: Path) -> World:
    """A turn that was not entered does not run."""
    fake = echoing(Script(Say("half"), Stall()))
    async with in_session(fake) as (session, clock):
        turn = session.stream("go", deadline=FAR)
        async with passing(clock):
            ended = yield turn.__aenter__()
            if not ended.was_cancelled:
                await turn.__aexit__(None, None, None)
        assert turn.is_over
        await runs_only_if_told(session, turn, ended, clock, fake)


@awaits("Turn.__aenter__")
async def enter_a_turn_that_has_to_wait_for_a_server(_: Path) -> World:
    """Nothing was asked for yet; or it was, by the time."""
    fake = echoing(Script(Say("half"), Stall()))
    async with in_session(fake) as (session, clock):
        fake.die()
        await until(lambda: session.runtime.connection.phase == "restarting")
        turn = session.stream("go", deadline=FAR)
        async with passing(clock):
            ended = yield turn.__aenter__()
            if not ended.was_cancelled:
                await turn.__aexit__(None, None, None)
            await session.runtime.wait_ready()
        await runs_only_if_told(session, turn, ended, clock, fake)


@awaits("Turn.__aexit__")
async def leave_a_turn(_: Path) -> World:
    """However the leaving ends, the turn is over on our side, and the server was asked to stop it."""
    fake = echoing(Script(Say("half"), Stall()))
    async with in_session(fake) as (session, clock):
        turn = session.stream("go", deadline=FAR)
        await turn.__aenter__()
        await until(lambda: turn.result.text)
        async with passing(clock):
            yield turn.__aexit__(None, None, None)
        assert turn.is_over
        assert session.turn is None
        await until(lambda: fake.requests("turn/interrupt"))
        no_turn_runs(fake, clock)


@asynccontextmanager
async def _streaming(fake: FakeAppServer, **options: Any) -> AsyncIterator[tuple[Session, Turn, ManualClock]]:
    async with in_session(fake, **options) as (session, clock):
        async with session.stream("go", deadline=FAR) as turn:
            yield session, turn, clock
        no_turn_runs(fake, clock)


def _of_events(name: str, read: Callable[[Turn, list[Any]], Coroutine[Any, Any, Any]]) -> None:
    """Who stops reading has lost no event, and the turn goes on."""

    async def scenario(_: Path) -> World:
        gate = Gate()
        fake = echoing(Script(Say("one two "), Hold(gate), Say("three")))
        async with _streaming(fake) as (_session, turn, _clock):
            asyncio.get_running_loop().call_later(0.002, gate.open)
            events: list[Any] = []
            yield read(turn, events)
            assert (await turn.finish()).text == "three"
            events += [event async for event in turn]
            names = [type(event).__name__ for event in events]
            assert names.count("TurnStarted") == names.count("TurnCompleted") == 1
            assert "".join(event.text for event in events if type(event).__name__ == "TextDelta") == "one two three"

    scenario.__name__ = name
    awaits(f"Turn.{name}")(scenario)


async def _read_events(turn: Turn, events: list[Any]) -> None:
    async for event in turn:
        events.append(event)  # noqa: PERF401  what was read before a cancellation counts


async def _take_events(turn: Turn, events: list[Any]) -> None:
    while taken := await turn.take():
        events.extend(taken)


_of_events("__anext__", _read_events)
_of_events("take", _take_events)


@awaits("Turn.finish")
async def wait_for_the_end_of_a_turn(_: Path) -> World:
    """Who stops waiting stops nothing else."""
    gate = Gate()
    fake = echoing(Script(Say("one"), Hold(gate), Say("two")))
    async with _streaming(fake) as (_, turn, _clock):
        asyncio.get_running_loop().call_later(0.002, gate.open)
        yield turn.finish()
        assert (await turn.finish()).text == "two"
        assert fake.requests("turn/interrupt") == []


async def _interrupted(interrupt: Callable[[Session, Turn], Coroutine[Any, Any, Any]]) -> AsyncGenerator[Any, Ended]:
    fake = echoing(Script(Say("half"), Stall()))
    async with _streaming(fake) as (session, turn, clock):
        await until(lambda: turn.result.text)
        async with passing(clock):
            yield interrupt(session, turn)
            assert (await turn.interrupt()).status == "interrupted"
        assert not turn.may_run_on
        with suppress(TurnError):
            await turn.finish()


@awaits("Turn.interrupt")
async def interrupt_a_turn(_: Path) -> World:
    """Whether the server has heard of it or not, it can be said again."""
    async for world in _interrupted(lambda _, turn: turn.interrupt()):
        ended = yield world
        assert ended is not None


@awaits("Turn.interrupt")
async def interrupt_a_turn_that_has_not_begun(_: Path) -> World:
    """The server refuses that for a while."""
    starts = Gate()
    fake = echoing(Script(Say("half"), Stall(), starts=starts))
    async with _streaming(fake) as (_, turn, clock):
        asyncio.get_running_loop().call_later(0.002, starts.open)
        async with passing(clock, every=0.01):
            yield turn.interrupt()
            await until(lambda: starts.is_open)
            assert (await turn.interrupt()).status == "interrupted"


@awaits("Turn.steer")
async def steer_a_turn(_: Path) -> World:
    """It was said or not; the turn goes on."""
    gate = Gate()
    fake = echoing(Script(Say("one"), Hold(gate), Say("two")))
    async with _streaming(fake) as (session, turn, _clock):
        await gate.reached()
        yield turn.steer("and also")
        assert session.runtime.metrics.in_flight == 0
        gate.open()
        assert (await turn.finish()).text == "two"


# -- hooks, sinks and the journal --------------------------------------------------------------------------------------


@awaits("ShellHook.call")
async def call_a_program(_: Path) -> World:
    """It is ended, with all that it started, and its status is taken."""
    before = Footprint.now()
    context = HookContext(phase="pre_tool_use", tool=ToolUse(kind="command", name="shell", command="ls", argv=("ls",)))
    ended = yield ShellHook("guard", "sleep 0.01 & cat; wait").call(context)
    assert ended.was_cancelled or ended.error is None
    await until(lambda: not Footprint.now() - before)


def _messages(first: int, count: int) -> list[Envelope | Gap]:
    return [
        Envelope(method="m", raw=b'{"method":"m","params":{"n":%d}}\n' % n, seq=n) for n in range(first, first + count)
    ]


async def _write_all(sink: Any) -> None:
    for first in range(0, 6, 2):
        await sink.write(_messages(first, 2))


async def _close_quietly(sink: Any) -> None:
    """Close it, after whatever was cancelled: a thread that is still at it may hold the file for a moment."""
    with suppress(StoreError):
        await sink.aclose()


@awaits("JsonlSink.open")
async def open_a_log(path: Path) -> World:
    """It is open, or it can be opened again."""
    sink = JsonlSink(path / "log")
    ended = yield sink.open()
    if ended.was_cancelled:
        await _opened_again(sink)
    await _write_all(sink)
    await sink.aclose()


async def _opened_again(sink: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreError):
                await sink.open()
                return
            await asyncio.sleep(0)


@awaits("JsonlSink.write")
async def write_a_log(path: Path) -> World:
    """Each batch is there as a whole, once, or not at all."""
    log = path / "log"
    log.unlink(missing_ok=True)
    sink = JsonlSink(log)
    await sink.open()
    yield _write_all(sink)
    await sink.write(_messages(100, 2))
    await sink.aclose()
    _whole_batches([record.seq for record in read_jsonl(log)])


def _whole_batches(numbers: Iterable[int]) -> None:
    *written, last, very_last = numbers
    assert written == list(range(len(written)))
    assert len(written) % 2 == 0
    assert (last, very_last) == (100, 101)


@awaits("JsonlSink.aclose")
async def close_a_log(path: Path) -> World:
    """Closed it is, and what was written is there."""
    log = path / "log"
    log.unlink(missing_ok=True)
    sink = JsonlSink(log)
    await sink.open()
    await _write_all(sink)
    yield sink.aclose()
    await _close_quietly(sink)
    await _opened_again(sink)
    await sink.write(_messages(100, 2))
    await sink.aclose()
    _whole_batches([record.seq for record in read_jsonl(log)])


@awaits("JournalSink.open")
async def open_a_journal(path: Path) -> World:
    """It is open, or it can be opened again; each run that was begun has an end."""
    with Journal(path / "journal") as journal:
        sink = JournalSink(journal)
        ended = yield sink.open()
        if ended.was_cancelled:
            await _opened_again(sink)
        await _write_all(sink)
        await sink.aclose()
        await _every_run_ended(journal)


async def _every_run_ended(journal: Journal) -> None:
    def is_even() -> bool:
        kinds = [entry.kind for entry in journal.read(limit=100_000)]
        return kinds.count("opened") == kinds.count("closed") > 0

    async with asyncio.timeout(20):
        while not is_even():
            await asyncio.sleep(0)


@awaits("JournalSink.write")
async def write_a_journal(path: Path) -> World:
    """Each batch is there as a whole, once, or not at all."""
    with Journal(path / "journal") as journal:
        sink = JournalSink(journal)
        await sink.open()
        yield _write_all(sink)
        await sink.write(_messages(100, 2))
        await sink.aclose()
        _whole_batches(
            [
                entry.seq
                for entry in journal.read(limit=100_000)
                if entry.run == sink_run(journal) and entry.envelope is not None
            ]
        )


def sink_run(journal: Journal) -> int:
    """The youngest run."""
    return max(entry.run for entry in journal.read(limit=100_000))


@awaits("JournalSink.aclose")
async def close_a_journal(path: Path) -> World:
    """The run ends all the same."""
    with Journal(path / "journal") as journal:
        sink = JournalSink(journal)
        await sink.open()
        await _write_all(sink)
        yield sink.aclose()
        await _close_quietly(sink)
        await _every_run_ended(journal)


@awaits("Journal.follow")
async def follow_a_journal(path: Path) -> World:
    """A follower that goes away leaves no thread and no waker; whoever follows from its cursor misses nothing."""
    with Journal(path / "journal") as journal:
        sink = JournalSink(journal)
        await sink.open()
        after = journal.position
        await sink.write(_messages(0, 3))
        seen: list[int] = []

        async def follow() -> None:
            nonlocal after
            async with aclosing(journal.follow(after=after, poll=0.01)) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    after = entry.cursor
                    if entry.envelope is not None:
                        seen.append(entry.seq)
                    if len(seen) == 3:
                        return

        yield follow()
        if len(seen) < 3:
            await follow()
        assert seen == [0, 1, 2]
        assert journal._writing.wakers == set()
        await sink.aclose()

"""One thread: one turn at a time, closing, and coming back after a crash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codex_runtime import ConfigError, RunProfile, TurnInterruptedError, TurnLostError
from codex_runtime.errors import PermissionDeniedError, SessionBusyError, SessionClosedError
from codex_runtime.runtime import WatchdogPolicy
from codex_runtime.testing import Die, FakeAppServer, Gate, Hold, ManualClock, Say, Script, Stall
from codex_runtime.testing._fake_orders import Refusal
from tests.client.desk import AT_ONCE, CancelledAt, at_the_desk, in_a_session, until


async def restarted(session: Any) -> None:
    """Wait for the next app server."""
    generation = session.runtime.generation
    await until(lambda: session.runtime.generation > generation and session.runtime.connection.phase == "running")


# -- turns -------------------------------------------------------------------------------------------------------------


async def test_a_session_runs_one_turn_at_a_time() -> None:
    """The server would take the second for a remark on the first, so it is not even asked."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("one"), Hold(gate)))
    async with in_a_session(fake) as session, session.stream("a") as turn:
        assert session.turn is turn
        with pytest.raises(SessionBusyError):
            await session.run("b")
        second = session.stream("b")
        with pytest.raises(SessionBusyError):
            await second.__aenter__()
        gate.open()
        await turn.finish()
    assert len(fake.requests("turn/start")) == 1


async def test_a_turn_that_found_the_session_busy_may_be_tried_again() -> None:
    """It has not begun."""
    fake = FakeAppServer("one", "two")
    async with in_a_session(fake) as session:
        second = session.stream("b")
        async with session.stream("a") as first:
            with pytest.raises(SessionBusyError):
                await second.__aenter__()
            await first.finish()
        async with second:
            assert (await second.finish()).text == "two"


@pytest.mark.parametrize("option", ["base_instructions", "developer_instructions", "settings", "ephemeral"])
async def test_options_of_the_session_cannot_change_in_a_turn(option: str) -> None:
    """The server would ignore them."""
    fake = FakeAppServer()
    async with in_a_session(fake) as session:
        changed: dict[str, Any] = {option: True}
        with pytest.raises(ConfigError, match="fixed when the session starts") as caught:
            session.stream("go", **changed)
        assert caught.value.field == option
        with pytest.raises(ConfigError):
            await session.run("", model="m")
        assert fake.requests("turn/start") == []


async def test_interrupting_a_session_interrupts_its_turn() -> None:
    """Without one, nothing happens."""
    fake = FakeAppServer(Script(Say("half"), Stall()))
    async with in_a_session(fake) as session:
        await session.interrupt()
        running = asyncio.create_task(session.run("go"))
        await until(lambda: session.turn is not None and session.turn.turn_id)
        await session.interrupt()
        with pytest.raises(TurnInterruptedError):
            await running
        assert session.turn is None


async def test_two_sessions_run_side_by_side() -> None:
    """Each hears of its own thread only."""
    gates = [Gate(), Gate()]
    fake = FakeAppServer()
    for number, gate in enumerate(gates):
        fake.on_turn(Script(Say(f"<{number}"), Hold(gate), Say(f"{number}>")), match=f"#{number}")
    async with at_the_desk(fake) as client:
        sessions = [await client.start_session() for _ in gates]
        running = [asyncio.create_task(session.run(f"#{number}")) for number, session in enumerate(sessions)]
        for gate in gates:
            await gate.reached()
        for gate in reversed(gates):
            gate.open()
        results = await asyncio.gather(*running)
        said = [[message.text for message in result.messages] for result in results]
        assert said == [["<0", "0>"], ["<1", "1>"]]


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_closed_session_runs_nothing() -> None:
    """It says so, once it is closed, by whatever door."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        session = await client.start_session()
        prepared = session.stream("before")
        await session.aclose()
        assert session.is_closed
        with pytest.raises(SessionClosedError, match="the session is closed"):
            session.stream("go")
        with pytest.raises(SessionClosedError):
            await prepared.__aenter__()
        await session.aclose()
        assert [entry.params for entry in fake.requests("thread/unsubscribe")] == [{"threadId": session.thread_id}]


async def test_closing_may_put_the_thread_away() -> None:
    """What the server thinks of it is no error."""
    fake = FakeAppServer()
    fake.on_request("thread/archive", Refusal(-32600, "no"))
    async with in_a_session(fake) as session:
        await session.aclose(archive=True)
        assert len(fake.requests("thread/archive")) == 1
        assert fake.requests("thread/unsubscribe") == []


async def test_closing_interrupts_the_turn_and_lets_no_other_begin() -> None:
    """Also one that its owner would start at once."""
    fake = FakeAppServer(default=Script(Say("half"), Stall()))
    async with in_a_session(fake) as session:

        async def again_and_again() -> None:
            while True:
                try:
                    await session.run("go")
                except TurnInterruptedError:
                    continue

        running = asyncio.create_task(again_and_again())
        await until(lambda: session.turn is not None and session.turn.turn_id)
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await running
        assert len(fake.requests("turn/start")) == len(fake.requests("turn/interrupt")) == 1


async def test_closing_while_a_turn_is_being_started() -> None:
    """The turn is waited for, so that it can be interrupted by its name."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("half"), Stall()))
    fake.hold_answer("turn/start", gate)
    async with in_a_session(fake) as session:
        running = asyncio.create_task(session.run("go"))
        await gate.reached()
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        gate.open()
        await closing
        with pytest.raises(TurnInterruptedError):
            await running
        methods = [entry.method for entry in fake.received]
        assert methods.index("turn/interrupt") < methods.index("thread/unsubscribe")


async def test_closing_needs_no_server() -> None:
    """Nobody follows the thread then, and nobody will: the next server is not told of it."""
    clock = ManualClock()
    fake = FakeAppServer(clock=clock)
    async with in_a_session(fake, clock=clock, restart=type(AT_ONCE)(backoff=9.0, jitter=0.0)) as session:
        await session.run("go")
        fake.die()
        await until(lambda: session.runtime.connection.phase == "restarting")
        await session.aclose()
        await clock.advance(10)
        assert session.runtime.generation == 1
        assert fake.requests("thread/resume") == []


async def test_closing_may_be_cancelled_at_any_wait() -> None:
    """The session is closed all the same, and its turn over."""
    fake = FakeAppServer(default=Script(Say("half"), Stall()))
    async with at_the_desk(fake) as client:
        for at in range(1, 50):
            session = await client.start_session()
            running = asyncio.create_task(session.run("go"))
            await until(lambda: session.turn is not None and session.turn.turn_id)  # noqa: B023  used up within the round
            work = CancelledAt(session.aclose(), at)
            was_cancelled = False
            try:
                await work
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                was_cancelled = True
            running.cancel()
            await asyncio.wait([running])
            assert session.is_closed
            assert session.turn is None
            if not was_cancelled:
                break
        assert at > 1


# -- crashes -----------------------------------------------------------------------------------------------------------


async def test_after_a_crash_the_thread_is_resumed_with_all_its_settings() -> None:
    """Flat fields, the sandbox among them, before anybody can use the new server."""
    fake = FakeAppServer("one")
    profile = RunProfile(sandbox="workspace-write", model="m", developer_instructions="dev", settings={"a.b": 1})
    async with at_the_desk(fake, profile=profile) as client:
        session = await client.start_session()
        await session.run("a")
        thread = session.thread_id
        fake.die()
        assert (await session.run("b")).text == "Hello!"
        assert session.thread_id == thread
        assert fake.requests("thread/resume")[0].params == {
            "threadId": thread,
            "excludeTurns": True,
            "cwd": session.cwd,
            "sandbox": "workspace-write",
            "approvalPolicy": "never",
            "model": "m",
            "developerInstructions": "dev",
            "config": {"a.b": 1},
        }
        second = [entry.method for entry in fake.received if entry.generation == 1]
        assert second[:4] == ["initialize", "initialized", "thread/resume", "turn/start"]


@pytest.mark.parametrize("ephemeral", [False, True])
async def test_a_thread_in_which_nothing_ran_is_started_afresh(ephemeral: bool) -> None:  # noqa: FBT001
    """The server keeps nothing of it. Turns that were prepared before belong to the new one."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        session = await client.start_session(ephemeral=ephemeral)
        thread = session.thread_id
        prepared = session.stream("go")
        fake.die()
        await restarted(session)
        assert session.thread_id != thread
        async with prepared as turn:
            assert (await turn.finish()).thread_id == session.thread_id
        first, second = (entry.params for entry in fake.requests("thread/start"))
        assert first == second


async def test_a_turn_in_line_follows_its_thread_to_the_new_id() -> None:
    """It had the old one in its parameters when the server died."""
    fake = FakeAppServer()
    async with in_a_session(fake, max_in_flight=1) as session:
        fake.never_answer("model/list")
        blocking = asyncio.create_task(session.runtime.request("model/list", {}))
        await fake.wait_for("model/list")
        running = asyncio.create_task(session.run("go"))
        await until(lambda: session.runtime.metrics.queued == 1)
        fake.die()
        assert (await running).thread_id == session.thread_id
        await asyncio.wait([blocking])
        assert blocking.exception() is not None


async def test_a_first_turn_that_left_nothing_on_disk_is_no_memory() -> None:
    """The thread is started afresh; only the turn that is lost was in it."""
    fake = FakeAppServer(Script(Say("half"), Die()))
    fake.on_request("thread/resume", Refusal(-32600, "no rollout found for thread id x"))
    async with in_a_session(fake) as session:
        with pytest.raises(TurnLostError):
            await session.run("a")
        assert (await session.run("b")).text == "Hello!"


@pytest.mark.parametrize(
    "refusal", [Refusal(-32600, "no rollout found for thread id x"), Refusal(-32600, "already has an active writer")]
)
async def test_a_thread_that_cannot_be_brought_back_closes_its_session(refusal: Refusal) -> None:
    """Its memory is gone: to go on without it would not be told from going on with it."""
    fake = FakeAppServer("one")
    fake.on_request("thread/resume", refusal)
    async with at_the_desk(fake, guest_errors=1) as client:
        session = await client.start_session()
        await session.run("a")
        fake.die()
        await restarted(session)
        assert session.is_closed
        with pytest.raises(SessionClosedError, match="could not be resumed"):
            await session.run("b")


async def test_a_server_that_never_answers_the_resumption_closes_the_session() -> None:
    """And holds up nobody else for longer than a start may take."""
    clock = ManualClock()
    fake = FakeAppServer("one", clock=clock)
    fake.never_answer("thread/resume")
    async with in_a_session(fake, clock=clock, start_deadline=4.0, guest_errors=1) as session:
        await session.run("a")
        fake.die()
        await fake.wait_for("thread/resume")
        running = asyncio.create_task(session.run("b"))
        await clock.advance(4.1)
        with pytest.raises(SessionClosedError, match="could not be resumed"):
            await running
        assert session.is_closed


async def test_a_second_crash_during_the_resumption_is_outlived() -> None:
    """The server after that is asked again."""
    fake = FakeAppServer("one")
    async with in_a_session(fake) as session:
        await session.run("a")
        fake.die_at("thread/resume", "before")
        fake.die()
        assert (await session.run("b")).text == "Hello!"
        assert [entry.generation for entry in fake.requests("thread/resume")] == [1, 2]


async def test_a_session_goes_on_when_its_server_is_replaced_between_two_turns() -> None:
    """Because of its memory. Nothing is lost, and the next turn needs no patience."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(Script(Hold(gate), Say("one")), "two", clock=clock)
    fake.on_request("server/diagnostics", {"process": {"residentMemoryBytes": 2000}})
    async with in_a_session(fake, clock=clock, watchdog=WatchdogPolicy(rss_limit=1000)) as session:
        running = asyncio.create_task(session.run("a"))
        await gate.reached()
        await clock.advance(2)
        gate.open()
        assert (await running).text == "one"
        thread_id = session.thread_id
        running = asyncio.create_task(session.run("b"))
        await clock.advance(0)
        assert ((await running).text, session.thread_id) == ("two", thread_id)
        assert [entry.generation for entry in fake.requests("turn/start")] == [0, 1]
        metrics = session.runtime.metrics
        assert (metrics.recycles, dict(metrics.restarts), metrics.turns["completed"].count) == (1, {}, 2)


async def test_a_thread_that_is_kept_in_memory_keeps_its_server() -> None:
    """It could not be found again."""
    clock, gate = ManualClock(), Gate()
    fake = FakeAppServer(Script(Hold(gate), Say("one")), clock=clock)
    fake.on_request("server/diagnostics", {"process": {"residentMemoryBytes": 2000}})
    async with at_the_desk(fake, clock=clock, watchdog=WatchdogPolicy(rss_limit=1000)) as client:
        async with await client.start_session(ephemeral=True) as session:
            running = asyncio.create_task(session.run("a"))
            await gate.reached()
            await clock.advance(2)
            gate.open()
            await running
            await clock.advance(5)
            assert client.runtime.generation == 0
        await clock.advance(2)
        await client.runtime.wait_ready()
        assert client.runtime.generation == 1


async def test_the_double_word_of_a_session_opens_the_gate_for_it_alone() -> None:
    """Also after a crash, for the thread that is resumed; others on the same server still need a word of their own."""
    fake = FakeAppServer(Script(Say("one")), Script(Say("two")))
    full: dict[str, Any] = {"sandbox": "danger-full-access", "allow_full_access": True}
    async with at_the_desk(fake) as client, await client.start_session(**full) as session:
        assert (await session.run("go")).text == "one"
        fake.die()
        await restarted(session)
        assert fake.requests("thread/resume")[0].params["sandbox"] == "danger-full-access"
        assert (await session.run("go on")).text == "two"
        assert [each.params["sandboxPolicy"] for each in fake.requests("turn/start")] == [
            {"type": "dangerFullAccess"}
        ] * 2
        again = await client.resume_session(session.thread_id, **full)
        await again.aclose()
        with pytest.raises(PermissionDeniedError):
            await client.runtime.request(
                "thread/resume", {"threadId": session.thread_id, "sandbox": "danger-full-access"}
            )


async def test_settings_of_a_session_do_not_give_up_the_sandbox_unsaid() -> None:
    """The server's own configuration has words for it as well."""
    fake = FakeAppServer()
    async with at_the_desk(fake) as client:
        for settings in ({"sandbox_mode": "danger-full-access"}, {"default_permissions": ":danger-full-access"}):
            with pytest.raises(PermissionDeniedError, match="config"):
                await client.start_session(settings=settings)
            session = await client.start_session(settings=settings, allow_full_access=True)
            await session.aclose()
        assert len(fake.requests("thread/start")) == 2

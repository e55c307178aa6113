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
    RequestFailedError,
    RuntimeClosedError,
    RuntimeDeadError,
    StartError,
)
from codex_runtime.runtime import RestartPolicy, Runtime
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import CloseStdout, Script, Stderr
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._reply import Stall
from tests.runtime.rig import STEADY, Wire, config, failure, running, start, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime._io.clock import Cancellable
    from codex_runtime._io.transport import Receiver, Transport


# -- the first start ---------------------------------------------------------------------------------------------------


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


async def test_a_server_that_leaves_its_work_undone_has_failed() -> None:
    """Whatever its status: the real one answers any SIGTERM with 0, also when somebody waits for an answer."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("model/list")
    async with running(fake, clock) as runtime, task(failure(runtime.request("model/list"))) as call:
        await fake.wait_for("model/list")
        fake.die(code=0)
        assert isinstance(await call, ConnectionLostError)
        assert runtime.connection.phase == "restarting"
        await clock.advance(1.0)
        await runtime.wait_ready()
        assert runtime.generation == 1
        fake.die(code=0)  # nobody waits for anything now
        await turns()
        assert runtime.connection.phase == "dead"


async def test_a_turn_that_was_begun_by_hand_is_work_as_well() -> None:
    """Nobody listens to it but the state."""
    fake, clock = FakeAppServer(Script(Stall())), ManualClock()
    async with running(fake, clock) as runtime:
        thread = (await runtime.request("thread/start", {}))["thread"]["id"]
        await runtime.request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "go"}]})
        await until(lambda: runtime.state.threads[thread].active_turn is not None)
        fake.die(code=0)
        await turns()
        assert runtime.connection.phase == "restarting"


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

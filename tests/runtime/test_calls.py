"""Requests and notifications: one outcome each, within one deadline, in order, and never a word before the greeting."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.appserver import AppServer
from codex_runtime.errors import (
    ConfigError,
    ConnectionLostError,
    LocalProtocolError,
    OverloadedError,
    PermissionDeniedError,
    RemoteProtocolError,
    RequestFailedError,
    RequestTimeoutError,
    RuntimeClosedError,
    RuntimeDeadError,
)
from codex_runtime.runtime import Envelope, RestartPolicy, Runtime
from codex_runtime.runtime._calls import Call
from codex_runtime.testing._clock import ManualClock
from codex_runtime.testing._fake_orders import Refusal
from codex_runtime.testing._fake_script import Bytes, StopReading
from codex_runtime.testing._fake_server import FakeAppServer
from codex_runtime.testing._gate import Gate
from tests.runtime.rig import Leaps, Wire, cancelled_at, config, running, start, task, turns, until

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def outcome(work: Awaitable[Any]) -> Any:
    """The result, or the error as a value."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001
        return error


def echo(fake: FakeAppServer, method: str = "echo") -> None:
    """Have a method answer what it was asked."""
    fake.on_request(method, lambda params: {"said": params})


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_answers_find_their_callers_in_any_order() -> None:
    """I2: by id, not by place."""
    wire = Wire()
    async with running(wire) as runtime:
        calls = [asyncio.create_task(runtime.request("ask", {"n": n})) for n in range(3)]
        await until(lambda: len(wire.ids("ask")) == 3)
        first, second, third = wire.ids("ask")
        wire.say({"id": third, "result": "c"}, {"id": first, "result": "a"})
        wire.say({"id": second, "result": "b"})
        assert await asyncio.gather(*calls) == ["a", "b", "c"]


async def test_params_and_result_are_carried_as_they_are() -> None:
    """Absent params are told as an empty object, which the server wants; a raw result is the text that came."""
    fake = FakeAppServer()
    echo(fake)
    async with running(fake) as runtime:
        assert await runtime.request("echo", {"a": ["ä", 1.5, None]}) == {"said": {"a": ["ä", 1.5, None]}}
        assert await runtime.request("echo") == {"said": {}}
        assert bytes(await runtime.request_raw("echo", {"b": 1})) == b'{"said":{"b":1}}'
        assert fake.requests("echo")[1].message == {"id": 3, "method": "echo", "params": {}}


async def test_a_refusal_says_what_the_server_said() -> None:
    """Code, message, data and method."""
    fake = FakeAppServer()
    fake.on_request("no", Refusal(-32600, "not today", {"why": 1}))
    async with running(fake) as runtime:
        with pytest.raises(RequestFailedError) as caught:
            await runtime.request("no")
        error = caught.value
        assert (error.method, error.code, error.message, error.data) == ("no", -32600, "not today", {"why": 1})
        assert (runtime.metrics.requests_failed, runtime.metrics.in_flight) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"result": None}, None),
        ({"result": 1, "error": None}, 1),
        ({"result": 1, "error": {"code": 5, "message": "both"}}, 5),
        ({"error": "odd"}, 0),
        ({"error": {"code": "x"}}, 0),
    ],
)
async def test_odd_answers_have_one_outcome(answer: dict[str, Any], expected: object) -> None:
    """M6: an error beside a result wins, an error of another shape is a refusal all the same."""
    wire = Wire()
    async with running(wire) as runtime, task(outcome(runtime.request("ask"))) as call:
        await until(lambda: wire.ids("ask"))
        wire.say({"id": wire.ids("ask")[0], **answer})
        result = await call
        assert (result.code if isinstance(result, RequestFailedError) else result) == expected


async def test_an_answer_that_is_no_json_fails_its_call_at_once() -> None:
    """It is counted, and nobody waits for a deadline to learn of it."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime, task(outcome(runtime.request("ask"))) as call:
        await until(lambda: wire.ids("ask"))
        wire.receiver.data_received(b'{"id":%d,"result":oops}\n' % wire.ids("ask")[0])
        assert runtime.metrics.malformed == 1
        error = await call
        assert isinstance(error, RemoteProtocolError)
        assert str(error).startswith("ask: the answer is not JSON (")


async def test_a_result_that_cannot_be_decoded_is_the_servers_fault() -> None:
    """No line is known that gets this far; should there be one, its caller gets an error of ours."""
    async with running(FakeAppServer()) as runtime:
        with pytest.raises(RemoteProtocolError, match="cannot be decoded"):
            runtime._calls.decoded("ask", Envelope(result=msgspec.Raw(b"oops")))
        assert runtime.metrics.requests_failed == 1


async def test_an_answer_over_the_line_limit_fails_its_call_at_once() -> None:
    """M3: with the size, and without waiting for the deadline; the next line is read as if nothing had been."""
    fake = FakeAppServer()
    fake.on_request("big", {"text": "x" * 5000})
    echo(fake)
    clock = ManualClock()
    async with running(fake, clock, line_limit=2000) as runtime:
        with pytest.raises(RemoteProtocolError, match=r"longer than the line limit \(50\d\d bytes\)"):
            await runtime.request("big")
        assert await runtime.request("echo") == {"said": {}}
        assert (runtime.metrics.too_long, runtime.metrics.in_flight) == (1, 0)


# -- deadlines ---------------------------------------------------------------------------------------------------------


async def test_no_answer_in_time_is_a_timeout_and_a_late_answer_is_dropped() -> None:
    """I1, I2: counted, delivered to nobody, least of all to the next caller."""
    fake, clock, gate = FakeAppServer(), ManualClock(), Gate()
    echo(fake)
    fake.hold_answer("echo", gate)
    async with running(fake, clock, request_deadline=3.0) as runtime:
        async with task(outcome(runtime.request("echo", {"n": 1}))) as call:
            await gate.reached()
            await clock.advance(2.9)
            assert not call.done()
            await clock.advance(0.1)
            error = await call
            assert isinstance(error, RequestTimeoutError)
            assert isinstance(error, TimeoutError)
            assert (error.method, error.seconds) == ("echo", 3.0)
        async with task(runtime.request("echo", {"n": 2})) as call:
            gate.open()
            assert await call == {"said": {"n": 2}}
        await until(lambda: runtime.metrics.late_answers == 1)
        metrics = runtime.metrics
        assert (metrics.requests_timed_out, metrics.requests_failed, metrics.in_flight) == (1, 1, 0)


async def test_the_deadline_covers_the_wait_for_a_server() -> None:
    """A call made during a restart does not wait longer than it would have for an answer."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        async with task(outcome(runtime.request("echo", deadline=0.5))) as call:
            assert runtime.metrics.queued == 1
            await clock.advance(0.5)
            assert isinstance(await call, RequestTimeoutError)
        assert runtime.metrics.queued == 0
        await clock.advance(0.5)
        assert fake.requests("echo") == []


async def test_the_deadline_covers_the_wait_for_a_slot() -> None:
    """Nothing is written for it, then or later."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("slow")
    echo(fake)
    async with running(fake, clock, max_in_flight=1) as runtime, task(outcome(runtime.request("slow"))) as slow:
        await fake.wait_for("slow")
        async with task(outcome(runtime.request("echo", deadline=1.0))) as call:
            await clock.advance(1.0)
            assert isinstance(await call, RequestTimeoutError)
        await clock.advance(29.0)
        assert isinstance(await slow, RequestTimeoutError)
        assert fake.requests("echo") == []
        async with task(runtime.request("echo")) as call:
            await until(call.done)


async def test_the_deadline_covers_the_wait_for_the_pipe() -> None:
    """P10: a server that stopped reading holds nobody longer than they said, and costs no memory."""
    fake, clock = FakeAppServer(), ManualClock()
    async with running(fake, clock) as runtime:
        fake.play(StopReading())
        big = {"text": "x" * 1_500_000}
        async with (
            task(outcome(runtime.request("echo", big, deadline=2.0))) as first,
            task(outcome(runtime.notify("hello", big, deadline=1.0))) as second,
            task(outcome(runtime.request("echo", big, deadline=1.0))) as third,
        ):
            await turns()
            assert (runtime.metrics.queued, runtime.metrics.in_flight) == (2, 1)
            assert 1_400_000 < runtime.metrics.unsent < 1_600_000
            await clock.advance(1.0)
            assert isinstance(await second, RequestTimeoutError)
            assert isinstance(await third, RequestTimeoutError)
            await clock.advance(1.0)
            assert isinstance(await first, RequestTimeoutError)
        assert runtime.metrics.queued == 0


async def test_the_line_moves_on_when_the_pipe_has_room_again() -> None:
    """In the order in which the calls were made, requests and notifications alike."""
    wire = Wire()
    async with running(wire) as runtime:
        wire.unsent = 2_000_000
        async with task(runtime.request("a")) as first, task(runtime.notify("b")) as second:
            await turns()
            assert wire.sent[-1]["method"] == "initialized"
            wire.unsent = 0
            wire.room.set()
            await second
            assert [message["method"] for message in wire.sent[-2:]] == ["a", "b"]
            wire.say({"id": wire.ids("a")[0], "result": 1})
            assert await first == 1


async def test_a_wait_for_the_pipe_ends_with_its_server() -> None:
    """The calls in line go to the next one."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime:
        wire.unsent = 2_000_000
        async with task(runtime.request("ask")) as call:
            await turns()
            wire.end(Exit(code=1))
            await clock.advance(1.0)
            await until(lambda: wire.ids("ask"))
            assert (runtime.generation, wire.launches) == (1, 2)
            wire.say({"id": wire.ids("ask")[0], "result": "here"})
            assert await call == "here"


@pytest.mark.parametrize("kind", ["request", "notification"])
async def test_a_call_that_failed_is_freed_at_once(kind: str) -> None:
    """Its error names where it was raised, and there the call is known: in a circle both wait for the garbage collector."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("slow", times=None)
    async with running(fake, clock, watchdog=None) as runtime:
        gc.collect()
        gc.disable()
        try:
            if kind == "request":
                work = runtime.request("slow", deadline=1.0)
            else:
                fake.play(StopReading())
                await runtime.notify("fill the pipe", {"text": "x" * 2_000_000})
                work = runtime.notify("slow", deadline=1.0)
            async with task(outcome(work)) as call:
                await turns()
                await clock.advance(1.0)
                assert isinstance(await call, RequestTimeoutError)
            del call, work
            await turns()
            assert [each for each in gc.get_objects() if isinstance(each, Call)] == []
        finally:
            gc.enable()


async def test_calls_whose_time_is_over_together_fail_in_the_order_of_their_deadlines() -> None:
    """After our loop stood still: not in the order in which they were made."""
    wire, clock, failed = Wire(), Leaps(), list[str]()

    async def ask(name: str, deadline: float) -> None:
        with pytest.raises(RequestTimeoutError):
            await runtime.request(name, deadline=deadline)
        failed.append(name)

    async with (
        Runtime(config(wire, clock, watchdog=None)) as runtime,
        task(ask("third", 9.0)),
        task(ask("first", 3.0)),
        task(ask("second", 6.0)),
    ):
        await until(lambda: wire.ids("second"))
        await clock.leap(10.0)
        assert failed == ["first", "second", "third"]


async def test_a_close_does_not_wait_for_a_pipe_that_never_gets_room() -> None:
    """Not even one that does not say that it is gone."""

    class Stuck(Wire):
        async def drain(self) -> None:
            await asyncio.Event().wait()

    wire = Stuck()
    runtime = await start(wire)
    wire.unsent = 2_000_000
    async with task(outcome(runtime.request("ask"))) as call:
        await turns()
        async with asyncio.timeout(5):
            await runtime.aclose()
        assert isinstance(await call, RuntimeClosedError)


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
async def test_a_deadline_is_above_zero(deadline: float) -> None:
    """A wrong one is found before anything is written."""
    async with running(FakeAppServer()) as runtime:
        with pytest.raises(ConfigError, match="deadline"):
            await runtime.request("echo", deadline=deadline)


async def test_a_deadline_may_be_endless() -> None:
    """For those who know what they do."""
    fake = FakeAppServer()
    echo(fake)
    async with running(fake) as runtime:
        assert await runtime.request("echo", deadline=float("inf")) == {"said": {}}


# -- the line ----------------------------------------------------------------------------------------------------------


async def test_so_many_are_in_flight_and_the_rest_wait_in_order() -> None:
    """app-server.md 0.2: above some 130 the real server loses requests; 64 is the rule."""
    wire = Wire()
    async with running(wire) as runtime:
        calls = [asyncio.create_task(runtime.request("ask", {"n": n})) for n in range(200)]
        await until(lambda: len(wire.ids("ask")) == 64)
        assert (runtime.metrics.in_flight, runtime.metrics.queued) == (64, 136)
        answered = 0
        while answered < 200:
            waiting = wire.ids("ask")[answered:]
            assert len(waiting) <= 64
            wire.say(*({"id": rpc_id, "result": rpc_id} for rpc_id in waiting))
            answered += len(waiting)
            await turns(4)
        results = await asyncio.gather(*calls)
        assert results == sorted(results)
        assert [m["params"]["n"] for m in wire.sent if m["method"] == "ask"] == list(range(200))


async def test_a_cancelled_caller_frees_its_slot_and_its_id() -> None:
    """I16: the next in line goes at once; an answer that still comes is late."""
    fake, gate = FakeAppServer(), Gate()
    echo(fake)
    fake.hold_answer("echo", gate)
    async with running(fake, max_in_flight=1) as runtime:
        async with task(runtime.request("echo", {"n": 1})) as first:
            await gate.reached()
            async with task(runtime.request("echo", {"n": 2})) as second:
                assert runtime.metrics.queued == 1
                first.cancel()
                assert await second == {"said": {"n": 2}}
        gate.open()
        await until(lambda: runtime.metrics.late_answers == 1)
        assert (runtime.metrics.in_flight, runtime.metrics.queued) == (0, 0)


async def test_a_caller_cancelled_in_line_leaves_it() -> None:
    """And is never written."""
    fake, clock = FakeAppServer(), ManualClock()
    echo(fake)
    async with running(fake, clock) as runtime:
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        async with task(runtime.request("echo", {"n": 1})) as gone, task(runtime.request("echo", {"n": 2})) as stays:
            gone.cancel()
            await turns()
            assert runtime.metrics.queued == 1
            await clock.advance(1.0)
            assert await stays == {"said": {"n": 2}}
        assert [entry.params for entry in fake.requests("echo")] == [{"n": 2}]


# -- overload ----------------------------------------------------------------------------------------------------------


async def test_an_overloaded_server_is_asked_again() -> None:
    """Each time after a longer pause."""
    fake, clock = FakeAppServer(), ManualClock()
    echo(fake)
    fake.overload(3, method="echo")
    async with running(fake, clock) as runtime, task(runtime.request("echo")) as call:
        await turns()
        assert not call.done()
        await clock.advance(1.0)
        assert await call == {"said": {}}
        assert (runtime.metrics.overload_retries, runtime.metrics.requests_failed) == (3, 0)
        assert len(fake.requests("echo")) == 4
        assert runtime.metrics.requests == 5  # the greeting is one


async def test_the_pauses_double_and_are_spread() -> None:
    """Half to one and a half times 50 ms, 100 ms, ...: callers that were refused together do not come back together."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.overload(1000, method="echo")
    spread = set()
    async with running(fake, clock, overload_retries=3) as runtime:
        for _ in range(8):
            async with task(outcome(runtime.request("echo"))) as call:
                for attempt in range(3):
                    await turns()
                    pause = clock.upcoming[0]
                    assert 0.5 * 0.05 * 2**attempt <= pause <= 1.5 * 0.05 * 2**attempt
                    spread.add(pause)
                    await clock.advance(pause)
                assert isinstance(await call, OverloadedError)
    assert len(spread) > 20


async def test_a_server_that_stays_overloaded_is_reported_as_such() -> None:
    """After the retries; a subclass of the plain refusal."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.overload(1000, method="echo")
    async with running(fake, clock, overload_retries=2) as runtime, task(outcome(runtime.request("echo"))) as call:
        await clock.advance(1.0)
        error = await call
        assert isinstance(error, OverloadedError)
        assert isinstance(error, RequestFailedError)
        assert error.code == -32001
        assert len(fake.requests("echo")) == 3
        assert (runtime.metrics.overload_retries, runtime.metrics.requests_failed) == (2, 1)


async def test_retries_stay_within_the_deadline() -> None:
    """A retry that could only end after it is not made."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.overload(1000, method="echo")
    async with running(fake, clock) as runtime, task(outcome(runtime.request("echo", deadline=0.2))) as call:
        await clock.advance(0.2)
        assert call.done()
        assert isinstance(await call, OverloadedError)


async def test_a_deadline_that_passes_in_a_retry_is_told_as_it_was_given() -> None:
    """Not as what was left of it."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.overload(1, method="echo")
    fake.never_answer("echo")
    async with running(fake, clock) as runtime, task(outcome(runtime.request("echo", deadline=4.0))) as call:
        await clock.advance(4.0)
        error = await call
        assert isinstance(error, RequestTimeoutError)
        assert error.seconds == 4.0


async def test_no_retries_means_one_attempt() -> None:
    """For callers that do it themselves."""
    fake = FakeAppServer()
    fake.overload(1, method="echo")
    async with running(fake, overload_retries=0) as runtime:
        with pytest.raises(OverloadedError):
            await runtime.request("echo")


# -- what must not be sent ---------------------------------------------------------------------------------------------


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("params", [{"a": object()}, {"a": "\ud800"}, {"a": 10**5000}, nested(200), nested(5000)])
@pytest.mark.parametrize("call", ["request", "notify"])
async def test_what_the_server_would_drop_is_refused_before_it_is_written(params: object, call: str) -> None:
    """It would answer nothing, or die; the caller would only see a deadline."""
    fake = FakeAppServer()
    async with running(fake) as runtime:
        received = len(fake.received)
        with pytest.raises(LocalProtocolError):
            await getattr(runtime, call)("echo", params)
        await turns()
        assert len(fake.received) == received
        assert (runtime.metrics.in_flight, runtime.metrics.queued) == (0, 0)


async def test_what_goes_wrong_in_writing_costs_the_call_that_was_written() -> None:
    """The line moves in the task of whoever made room; the error is not theirs."""
    wire = Wire()
    async with running(wire, max_in_flight=1) as runtime:
        async with (
            task(runtime.request("ask")) as first,
            task(outcome(runtime.request("bad", {"a": "\ud800"}))) as bad,
            task(outcome(runtime.request("worse"))) as worse,
            task(runtime.request("ask")) as last,
        ):
            wire.breaks_at = "worse"
            wire.say({"id": wire.ids("ask")[0], "result": 1})
            assert await first == 1
            assert isinstance(await bad, LocalProtocolError)
            assert isinstance(await worse, ZeroDivisionError)
            await until(lambda: len(wire.ids("ask")) == 2)
            wire.say({"id": wire.ids("ask")[1], "result": 2})
            assert await last == 2
        assert (runtime.metrics.in_flight, runtime.metrics.queued) == (0, 0)


async def test_a_newline_in_a_raw_value_does_not_cut_the_line() -> None:
    """A line is a message."""
    fake = FakeAppServer()
    echo(fake)
    async with running(fake) as runtime:
        assert await runtime.request("echo", {"a": msgspec.Raw(b"[1,\n2\r\n]")}) == {"said": {"a": [1, 2]}}


# -- outside of a server's life ----------------------------------------------------------------------------------------


async def test_before_it_is_open_a_runtime_carries_nothing() -> None:
    """And says how to open it."""
    runtime = Runtime(config(FakeAppServer()))
    for call in (runtime.request("echo"), runtime.notify("echo"), runtime.wait_ready()):
        with pytest.raises(LocalProtocolError, match="not open"):
            await call


@pytest.mark.parametrize("opened", [True, False])
async def test_after_the_end_a_runtime_carries_nothing(opened: bool) -> None:  # noqa: FBT001
    """I1: also calls made after the end have one."""
    runtime = Runtime(config(FakeAppServer()))
    if opened:
        await runtime.open()
    await runtime.aclose()
    for call in (runtime.request("echo"), runtime.notify("echo"), runtime.wait_ready()):
        with pytest.raises(RuntimeClosedError):
            await call


async def test_calls_in_flight_fail_when_their_server_dies() -> None:
    """At once, with the generation and how it ended; what waits in line is for the next one."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("slow")
    async with running(fake, clock, max_in_flight=1) as runtime:
        async with task(outcome(runtime.request("slow"))) as lost, task(runtime.request("account/read")) as waits:
            await fake.wait_for("slow")
            fake.die(code=7)
            error = await lost
            assert type(error) is ConnectionLostError
            assert (error.generation, error.exit) == (0, Exit(code=7))
            assert "exit status 7" in str(error)
            await clock.advance(1.0)
            assert await waits
        assert fake.requests("account/read")[0].generation == 1
        assert (runtime.metrics.requests_lost, runtime.metrics.requests_failed) == (1, 1)


async def test_calls_made_during_a_restart_go_to_the_next_server() -> None:
    """I12: after its greeting, in order, under ids that no server has seen."""
    fake, clock = FakeAppServer(), ManualClock()
    echo(fake)
    async with running(fake, clock) as runtime:
        await runtime.request("echo", {"n": 0})
        fake.die()
        await until(lambda: runtime.connection.phase == "restarting")
        calls = [asyncio.create_task(runtime.request("echo", {"n": n})) for n in (1, 2, 3)]
        await turns()
        await clock.advance(1.0)
        assert await asyncio.gather(*calls) == [{"said": {"n": n}} for n in (1, 2, 3)]
        second = [entry for entry in fake.received if entry.generation == 1]
        assert [entry.method for entry in second] == ["initialize", "initialized", "echo", "echo", "echo"]
        ids = [entry.rpc_id for entry in fake.received if entry.rpc_id is not None]
        assert len(set(ids)) == len(ids)
        assert fake.most_alive == 1


async def test_a_half_written_answer_is_no_answer() -> None:
    """The call is lost with its server, and half a line does not spill into the next generation."""
    fake, clock = FakeAppServer(), ManualClock()
    echo(fake)
    fake.die_at("echo", "during")
    async with running(fake, clock) as runtime:
        with pytest.raises(ConnectionLostError):
            await runtime.request("echo")
        await clock.advance(1.0)
        assert await runtime.request("echo") == {"said": {}}
        assert (runtime.metrics.malformed, runtime.generation) == (1, 1)


async def test_an_answer_without_a_newline_counts_if_it_is_the_last_line() -> None:
    """The server wrote it and died; the caller has what it asked for."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("ask")
    async with running(fake, clock) as runtime, task(runtime.request("ask")) as call:
        rpc_id = (await fake.wait_for("ask")).rpc_id
        fake.play(Bytes(b'{"id":%d,"result":"last"}' % rpc_id))
        fake.die()
        assert await call == "last"
        assert runtime.metrics.requests_lost == 0


async def test_calls_that_wait_when_the_runtime_dies_learn_it() -> None:
    """In flight, in line and made later; each error is one of its own."""
    fake, clock = FakeAppServer(), ManualClock()
    fake.never_answer("slow")
    policy = RestartPolicy(when="never")
    async with running(fake, clock, max_in_flight=1, restart=policy) as runtime:
        async with (
            task(outcome(runtime.request("slow"))) as in_flight,
            task(outcome(runtime.request("slow"))) as in_line,
            task(outcome(runtime.notify("slow"))) as notification,
        ):
            await fake.wait_for("slow")
            fake.die()
            assert type(await in_flight) is ConnectionLostError
            assert type(await in_line) is RuntimeDeadError
            assert type(await notification) is RuntimeDeadError
            assert await in_line is not await notification
        with pytest.raises(RuntimeDeadError, match=r"killed by SIGKILL.*restarts are off") as caught:
            await runtime.request("slow")
        assert (caught.value.generation, caught.value.exit) == (0, Exit(signal=9))


async def test_calls_that_wait_when_the_runtime_is_closed_learn_it() -> None:
    """I13: closing does not wait for them, and calls made while it closes find it closed."""
    wire = Wire()
    runtime = Runtime(config(wire, max_in_flight=1))
    await runtime.open()
    wire.may_end.clear()
    async with (
        task(outcome(runtime.request("slow"))) as in_flight,
        task(outcome(runtime.request("slow"))) as in_line,
        task(runtime.aclose()) as closing,
    ):
        await wire.closing.wait()
        assert type(await in_line) is RuntimeClosedError
        assert runtime.connection.phase == "closing"
        for call in (runtime.request("slow"), runtime.notify("slow"), runtime.wait_ready()):
            with pytest.raises(RuntimeClosedError):
                await call
        assert not closing.done()
        wire.may_end.set()
        await closing
        assert type(await in_flight) is RuntimeClosedError


# -- notifications -----------------------------------------------------------------------------------------------------


async def test_a_notification_has_no_id_and_keeps_its_place() -> None:
    """It returns when it is on its way."""
    fake = FakeAppServer()
    echo(fake)
    async with running(fake) as runtime:
        async with task(runtime.request("echo")) as call:
            await runtime.notify("one")
            await runtime.notify("two", {"a": 1})
            await call
        methods = [entry.method for entry in fake.received]
        await until(lambda: [entry.method for entry in fake.received][-3:] == ["echo", "one", "two"])
        assert fake.requests("two")[0].message == {"method": "two", "params": {"a": 1}}
        assert fake.requests("one")[0].message == {"method": "one"}, methods
        assert (runtime.metrics.in_flight, runtime.metrics.requests) == (0, 2)


# -- cancellation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["request", "overloaded", "notify", "wait_ready"])
@pytest.mark.parametrize("phase", ["running", "restarting"])
@pytest.mark.parametrize("late", [False, True])
async def test_a_call_may_be_cancelled_at_any_await(call: str, phase: str, late: bool) -> None:  # noqa: FBT001
    """I16: cancelled at its k-th wait, for each k until it completes, it leaves the runtime as it was."""
    fake, clock = FakeAppServer(), ManualClock()
    echo(fake)
    async with running(fake, clock, restart=RestartPolicy(budget=100, backoff=1.0, jitter=0.0)) as runtime:
        for k in range(1, 20):
            if phase == "restarting":
                fake.die()
                await until(lambda: runtime.connection.phase == "restarting")
            if call == "overloaded":
                fake.overload(1, method="busy")
            echo(fake, "busy")
            work: Any = {
                "request": lambda: runtime.request("echo"),
                "overloaded": lambda: runtime.request("busy"),
                "notify": lambda: runtime.notify("hello"),
                "wait_ready": runtime.wait_ready,
            }[call]()
            async with task(clock.advance(60.0)) as passing:
                cancelled = await cancelled_at(work, k, late=late)
                await passing
            await runtime.wait_ready()
            assert (runtime.metrics.in_flight, runtime.metrics.queued) == (0, 0)
            assert await runtime.request("echo", {"k": k}) == {"said": {"k": k}}
            if not cancelled:
                waits = {"request": 1, "overloaded": 3, "notify": 1, "wait_ready": 1}[call]
                assert k - 1 >= (waits if phase == "restarting" else waits - (call in {"notify", "wait_ready"}))
                return
    raise AssertionError("it never completed")


# -- the gate ----------------------------------------------------------------------------------------------------------


async def test_what_gives_up_the_sandbox_is_refused_at_every_door_before_anything_is_written() -> None:
    """Typed, raw, raw as text, and as a notification; a request that keeps it goes through."""
    fake = FakeAppServer()
    fake.on_request("command/exec", {"exitCode": 0, "stdout": "", "stderr": ""})
    free, held = {"type": "dangerFullAccess"}, {"type": "readOnly"}
    async with running(fake) as runtime:
        before = len(fake.received)
        params = {"command": ["ls"], "sandboxPolicy": free}
        for refused in (
            runtime.request("command/exec", params),
            runtime.request_raw("command/exec", params),
            runtime.request_and_note("command/exec", params, lambda _: None),
            runtime.notify("command/exec", params),
            AppServer(runtime).request("command/exec", params),
            AppServer(runtime).process_spawn(command=["ls"], cwd="/", process_handle="1"),
            AppServer(runtime).thread_start(sandbox="danger-full-access"),
        ):
            with pytest.raises(PermissionDeniedError, match="RuntimeConfig"):
                await refused
        assert len(fake.received) == before
        metrics = runtime.metrics
        assert (metrics.in_flight, metrics.queued, metrics.bytes_out) == (0, 0, metrics.bytes_out)
        assert await runtime.request("command/exec", {"command": ["ls"], "sandboxPolicy": held})
        assert fake.requests("command/exec")[0].params == {"command": ["ls"], "sandboxPolicy": held}


async def test_the_second_word_opens_the_gate_for_one_request_or_for_all() -> None:
    """With the request, or in the settings."""
    fake = FakeAppServer()
    fake.on_request("process/spawn", {})
    async with running(fake) as runtime:
        await runtime.request("process/spawn", {"n": 1}, allow_full_access=True)
        await runtime.request_raw("process/spawn", {"n": 2}, allow_full_access=True)
        with pytest.raises(PermissionDeniedError):
            await runtime.request("process/spawn", {"n": 3})
    other = FakeAppServer()
    other.on_request("process/spawn", {})
    async with running(other, allow_full_access=True) as runtime:
        await runtime.request("process/spawn", {"n": 4})
        await AppServer(runtime).process_spawn(command=["ls"], cwd="/", process_handle="5")
    assert [each.params for each in fake.requests("process/spawn")] == [{"n": 1}, {"n": 2}]
    assert len(other.requests("process/spawn")) == 2

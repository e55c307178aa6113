"""Bytes and messages that no good server writes, where only our own client can be asked what it made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codex_runtime import Client
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.turn_events import TurnWarning
from codex_runtime.errors import AlreadySettledError, RemoteProtocolError, RequestTimeoutError
from codex_runtime.testing import Bytes, FakeAppServer, Gate, Hold, ManualClock, Notify, Say, Script, StopReading
from tests.runtime.rig import Wire, config, failure, running, task, turns, until
from verification.faults.bytes import BYTES

MIB = 2**20
THREAD = {"threadId": "t", "turnId": "u", "itemId": "i"}


def asked(rpc_id: object, command: str) -> dict[str, Any]:
    """A question of the server."""
    return {"id": rpc_id, "method": rules.COMMAND, "params": {**THREAD, "command": command}}


def answers(wire: Wire) -> list[tuple[object, object]]:
    """Id and decision of all answers on the wire."""
    return [(line["id"], line.get("result", {}).get("decision")) for line in wire.sent if "result" in line]


# -- M6: answers that are none ---------------------------------------------------------------------------------------

NOTHING = [{}, {"error": None}]


@pytest.mark.parametrize("nothing", NOTHING)
async def test_an_answer_that_holds_nothing_fails_its_call_at_once(nothing: dict[str, Any]) -> None:
    """It is the only one that will come: to wait for a better one is to wait for the deadline."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime, task(runtime.request("ask")) as asking:
        await until(lambda: wire.ids("ask"))
        wire.say({"id": wire.ids("ask")[0], **nothing})
        await until(asking.done)
        assert isinstance(asking.exception(), RemoteProtocolError)
        assert "neither a result nor an error" in str(asking.exception())
        assert (runtime.metrics.in_flight, runtime.metrics.requests_failed) == (0, 1)


@pytest.mark.parametrize("nothing", NOTHING)
async def test_of_an_answer_that_holds_nothing_no_note_is_taken(nothing: dict[str, Any]) -> None:
    """Whoever takes notes of results would take it for an empty one."""
    wire, clock, noted = Wire(), ManualClock(), list[Any]()
    async with running(wire, clock) as runtime, task(runtime.request_and_note("ask", {}, noted.append)) as asking:
        await until(lambda: wire.ids("ask"))
        wire.say({"id": wire.ids("ask")[0], **nothing})
        await until(asking.done)
        assert isinstance(asking.exception(), RemoteProtocolError)
        assert noted == []


async def test_an_answer_that_holds_nothing_and_is_for_nobody_is_counted() -> None:
    """So is every line that is no message."""
    wire = Wire()
    async with running(wire) as runtime:
        wire.say({"id": 99}, {"id": "x"}, {"id": None})
        assert runtime.metrics.malformed == 3


# -- M10: questions --------------------------------------------------------------------------------------------------


async def test_one_id_for_two_questions_gets_one_answer_and_that_is_a_no() -> None:
    """Whatever is written under the id may be taken for the answer to either: a yes to the first would permit the second."""
    wire, kept = Wire(), list[Any]()
    async with running(wire, on_server_request=kept.append) as runtime:
        wire.say(asked(0, "ls"))
        wire.say(asked(0, "rm -rf /"))
        assert answers(wire) == [(0, "decline")]
        assert runtime.tickets == ()
        for ticket in kept:
            assert isinstance(failure_of(ticket.accept), AlreadySettledError)
        wire.say(asked(0, "pwd"))
        assert answers(wire) == [(0, "decline")] * 2, "what is asked under this id is for nobody to allow any more"


async def test_one_id_for_two_questions_in_one_read_gets_noes() -> None:
    """Also from a handler that would answer the first before the second is looked at."""

    def accept(ticket: Any) -> None:
        if ticket.params["command"] != "pwd":
            ticket.accept()

    wire = Wire()
    async with running(wire, on_server_request=accept) as runtime:
        wire.say(asked(7, "ls"), asked("7", "pwd"), asked(7, "rm -rf /"))
        assert answers(wire) == [(7, "decline")] * 2
        assert [ticket.params["command"] for ticket in runtime.tickets] == ["pwd"], "another type is another id"


async def test_a_server_that_asks_and_never_reads_is_ended() -> None:
    """Else its questions would fill our memory with answers, and what it says would pass for a sign of life."""
    question = json.dumps({**asked(0, "x"), "id": "x" * 100_000}).encode() + b"\n"
    fake = FakeAppServer()
    async with running(fake) as runtime:
        fake.play(StopReading())
        most = 0
        for _ in range(1_000):
            if runtime.connection.phase != "running":
                break
            fake.play(Bytes(question * 8))
            await turns(4)
            most = max(most, runtime._life.link.unsent)  # type: ignore[union-attr]
        assert runtime.connection.phase == "restarting"
        assert most < 20 * MIB
        assert "reads no answers" in str(runtime.connection.cause)


def failure_of(call: Any) -> BaseException | None:
    """The error that a call ends in."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        return error
    return None


# -- M3: what is too long --------------------------------------------------------------------------------------------


async def test_a_reader_of_a_turn_is_told_that_a_message_of_it_was_too_long() -> None:
    """Its text is nowhere: to say nothing would be to call the rest the whole."""
    fake = FakeAppServer(Script(Say("one "), Say("x" * 5_000, chunks=1), Say("two")))
    async with Client(config(fake, line_limit=4_500)) as client:
        session = await client.start_session()
        async with session.stream("go") as turn:
            told = [event.message async for event in turn if isinstance(event, TurnWarning)]
            result = await turn.finish()
        assert len(told) == 2, "the piece and the whole"
        assert "longer than the line limit" in told[0]
        assert result.warnings == tuple(told)
        assert client.runtime.metrics.too_long == 2


async def test_what_was_too_long_in_another_thread_is_not_told_here() -> None:
    """Nothing of this turn is missing."""
    stranger = {"threadId": "of-a-stranger", "turnId": "u", "itemId": "i", "delta": "x" * 5_000}
    fake = FakeAppServer(Script(Say("one "), Notify("item/agentMessage/delta", stranger), Say("two")))
    async with Client(config(fake, line_limit=4_500)) as client:
        result = await client.run("go")
        assert result.warnings == ()
        assert client.runtime.metrics.too_long == 1


async def test_an_answer_that_was_too_long_is_told_to_whoever_asked_and_not_to_the_turn() -> None:
    """Though it names the thread, nothing of the turn is missing."""
    gate = Gate()
    fake = FakeAppServer(Script(Say("one "), Hold(gate), Say("two")))
    fake.on_request("big", {"threadId": "thread-1", "filling": "x" * 5_000})
    async with Client(config(fake, line_limit=4_500)) as client:
        session = await client.start_session()
        assert session.thread_id == "thread-1"
        async with task(session.run("go")) as going:
            await fake.wait_for("turn/start")
            await turns()
            assert isinstance(await failure(client.runtime.request("big")), RemoteProtocolError)
            gate.open()
            assert (await going).warnings == ()


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_an_answer_around_the_limit_is_taken_or_fails_at_once(over: int) -> None:
    """Never a stump, and never a wait for what was thrown away."""
    wire, clock, limit = Wire(), ManualClock(), 100_000
    async with running(wire, clock, line_limit=limit) as runtime, task(runtime.request("ask")) as asking:
        await until(lambda: wire.ids("ask"))
        frame = json.dumps({"id": wire.ids("ask")[0], "result": ""}).encode() + b"\n"
        text = "x" * (limit - len(frame) + over)
        line = frame.replace(b'""', json.dumps(text).encode())
        assert len(line) == limit + over
        for at in range(0, len(line), 30_000):
            wire.receiver.data_received(line[at : at + 30_000])
        await until(asking.done)
        if over > 0:
            assert isinstance(asking.exception(), RemoteProtocolError)
        else:
            assert await asking == text


# -- M5: answers to those who have gone ------------------------------------------------------------------------------


async def test_an_answer_to_whoever_has_gone_is_not_given_to_whoever_came_after() -> None:
    """By a deadline, by a cancellation: ids are never used again, not even by the next server."""
    wire, clock = Wire(), ManualClock()
    async with running(wire, clock) as runtime:
        async with task(runtime.request("gone")) as gone, task(runtime.request("late", deadline=1.0)) as late:
            await until(lambda: wire.ids("late"))
            await clock.advance(1.0)
            assert isinstance(await failure(late), RequestTimeoutError)
            gone.cancel()
            await turns()
            async with task(runtime.request("next")) as following:
                await until(lambda: wire.ids("next"))
                for method in ("gone", "late"):
                    wire.say({"id": wire.ids(method)[0], "result": "not yours"})
                await turns()
                assert not following.done()
                wire.say({"id": wire.ids("next")[0], "result": "yours"})
                assert await following == "yours"
        assert runtime.metrics.late_answers == 2


# -- the scenarios themselves ----------------------------------------------------------------------------------------


def test_every_kind_of_fault_of_bytes_has_its_scenarios() -> None:
    """And no two of them have one name: a table of results would show one of them only."""
    assert {scenario.fault for scenario in BYTES} == {f"M{number}" for number in range(1, 12)}
    assert len({scenario.name for scenario in BYTES}) == len(BYTES)

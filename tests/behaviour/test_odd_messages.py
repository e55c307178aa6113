"""What no server of today says, and one of tomorrow or yesterday might: it is never taken for consent, nor for an end."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import pytest

from codex_runtime import RunProfile
from codex_runtime._sansio import server_requests as rules
from codex_runtime.protocol import registry
from codex_runtime.testing import Bytes, FakeAppServer
from tests.client.desk import at_the_desk
from tests.runtime.rig import Wire, running, task, turns, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from codex_runtime import Ticket


@pytest.mark.parametrize("rpc_id", [0, 7, -7, "req 1", ""])
async def test_an_answer_has_the_id_of_its_question_in_the_same_type(rpc_id: Any) -> None:
    """Numbers below zero and texts are ids like any other."""
    wire = Wire()
    async with running(wire):
        wire.say({"id": rpc_id, "method": rules.COMMAND, "params": {}})
        assert wire.sent[-1] == {"id": rpc_id, "result": {"decision": "decline"}}
        assert type(wire.sent[-1]["id"]) is type(rpc_id)


@pytest.mark.parametrize("rpc_id", [1.5, True, None, [1]])
async def test_a_question_under_an_id_that_is_none_is_counted_and_not_answered(rpc_id: Any) -> None:
    """Nobody could match the answer."""
    wire = Wire()
    async with running(wire) as runtime:
        said = len(wire.sent)
        wire.say({"id": rpc_id, "method": rules.COMMAND, "params": {}})
        await turns()
        assert len(wire.sent) == said
        assert (runtime.metrics.malformed, runtime.metrics.server_requests) == (1, 0)


@pytest.mark.parametrize("params", [[1], "rm", None, 5])
async def test_a_question_without_an_object_is_not_for_a_session_to_accept(params: Any) -> None:
    """It names no thread, so a session that accepts everything in its own is not asked; nobody is a no."""
    fake = FakeAppServer()
    async with at_the_desk(fake, profile=RunProfile(approvals="accept")) as client, await client.start_session():
        question = {"id": 99, "method": rules.COMMAND, "params": params}
        fake.play(Bytes(json.dumps(question).encode() + b"\n"))
        await fake.until(lambda: bool(fake.answers))
        assert [(answer.rpc_id, answer.decision) for answer in fake.answers] == [(99, "decline")]
        assert client.runtime.metrics.settled == {"declined": 1}


@pytest.mark.parametrize("method", [method.name for method in registry.of("server_request")])
async def test_each_kind_of_question_reaches_whoever_reads_them(method: str) -> None:
    """As a ticket, and it is open until it is settled."""
    wire = Wire()
    async with (
        running(wire) as runtime,
        aclosing(cast("AsyncGenerator[Ticket]", runtime.server_requests())) as requests,
        task(anext(requests)) as reader,
    ):
        said = len(wire.sent)
        wire.say({"id": 0, "method": method, "params": {"threadId": "t"}})
        ticket = await reader
        assert (ticket.method, ticket.thread_id, runtime.tickets) == (method, "t", (ticket,))
        assert len(wire.sent) == said
        ticket.decline()
        assert wire.sent[-1]["id"] == 0


async def test_lines_may_end_as_they_do_on_windows() -> None:
    """A carriage return before the newline is no part of the message."""
    wire = Wire()
    async with running(wire) as runtime, task(runtime.request("ask")) as call:
        await until(lambda: wire.ids("ask"))
        wire.receiver.data_received(b'{"method":"note"}\r\n{"id":%d,"result":"yes"}\r\n' % wire.ids("ask")[0])
        assert await call == "yes"
        assert runtime.metrics.malformed == 0

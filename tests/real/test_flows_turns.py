"""How turns of the real server are interrupted, steered, survived and failed: flows D, E, F and their neighbours."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_runtime import (
    RestartPolicy,
    RetryNotice,
    TextDelta,
    TurnCompleted,
    TurnFailedError,
    TurnInterruptedError,
    TurnLostError,
    TurnTimeoutError,
)
from codex_runtime.client import Reconnected
from codex_runtime.errors import AlreadySettledError, SessionBusyError
from codex_runtime.testing import Call, Cut, Exec, Fail, Gate, Hold, RateLimits, Reply, Say, Stall
from tests.real.rig import Place, next_ticket

if TYPE_CHECKING:
    from codex_runtime import Client, Session


def kill(client: Client) -> None:
    """End the app server as nothing else can."""
    assert client.runtime.pid is not None
    os.kill(client.runtime.pid, signal.SIGKILL)


async def killed(client: Client) -> None:
    """Do so, and wait until the runtime knows."""
    kill(client)
    async with asyncio.timeout(5):
        while client.runtime.connection.phase == "running":
            await asyncio.sleep(0)


# -- D: interrupting and steering --------------------------------------------------------------------------------------


async def test_d1_an_answer_that_comes_too_late_is_told(place: Place) -> None:
    """Flow D1: the turn is interrupted over an unanswered approval; the ticket is withdrawn, nothing is sent."""
    async with (
        place.client(Reply(Exec("touch z")), "next") as (client, _),
        await client.start_session(cwd=place.workspace, approval_policy="untrusted") as session,
    ):
        async with session.stream("x", approvals="stream") as turn:
            ticket = await next_ticket(turn)
            result = await turn.interrupt()
            assert (result.status, ticket.outcome) == ("interrupted", "withdrawn")
            with pytest.raises(AlreadySettledError):
                ticket.accept()
        assert (await session.run("go")).text == "next"
        assert not (place.workspace / "z").exists()


async def test_d2_a_turn_is_interrupted_while_it_speaks(place: Place) -> None:
    """Flow D2: the partial text is kept; the session goes on."""
    gate = Gate()
    reply = Reply(Say("one two three"), Hold(gate))
    async with (
        place.client(reply, "next") as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("x") as turn:
            await gate.reached()
            async for event in turn:
                if isinstance(event, TextDelta):
                    break
            assert (await turn.interrupt()).text.startswith("one ")
            with pytest.raises(TurnInterruptedError):
                await turn.finish()
        assert (await session.run("go")).text == "next"


async def test_d3_a_running_turn_is_steered(place: Place) -> None:
    """Flow D3: the remark reaches the model with its next request; a second turn is refused on our side."""
    gate = Gate()
    replies = Reply(Say("working."), Hold(gate)), "steered answer"
    async with (
        place.client(*replies) as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("start") as turn:
            await gate.reached()
            await turn.steer("also do B")
            with pytest.raises(SessionBusyError):
                await session.run("another turn")
            gate.open()
            assert (await turn.finish()).text == "steered answer"
        assert "also do B" in model.requests[1].texts()


async def test_d5_a_turn_is_interrupted_right_after_its_start(place: Place) -> None:
    """Flow D5: the server refuses to interrupt what it has only accepted; asked again, it obeys. Twenty times."""
    async with place.client() as (client, model), await client.start_session(cwd=place.workspace) as session:
        model.on("go", *[Reply(Say("never the end"), Stall())] * 40)
        for _ in range(20):
            async with session.stream("go") as turn:
                result = await turn.interrupt()
            assert (result.status, turn.may_run_on) == ("interrupted", False)
        model.on("and now", "here")
        assert (await session.run("and now")).text == "here"


async def test_sub_agents_do_not_disturb(place: Place) -> None:
    """Flow I1: a child thread's turn ends on the same connection, and it is not taken for ours."""
    async with place.client() as (client, model), await client.start_session(cwd=place.workspace) as session:
        spawn = Call("spawn_agent", {"message": "child task please"}, namespace="multi_agent_v1")
        model.on(lambda request: request.prompt == "child task please", "child result")
        model.enqueue(Reply(spawn), Reply(Say("parent done")))
        with client.runtime.subscribe(methods=["turn/completed"]) as ends:
            result = await session.run("delegate")
            assert (result.text, result.thread_id) == ("parent done", session.thread_id)
            async with asyncio.timeout(5):
                threads = {(await anext(ends)).thread_id, (await anext(ends)).thread_id}
        assert session.thread_id in threads
        assert len(threads) == 2


async def test_two_sessions_are_interleaved(place: Place) -> None:
    """Each hears its own words only, whoever speaks when."""
    gates = {name: [Gate(), Gate()] for name in ("red", "blue")}
    async with place.client() as (client, model):
        for name, (first, second) in gates.items():
            model.on(
                name, Reply(Say(f"{name} one "), Hold(first), Say(f"{name} two "), Hold(second), Say(f"{name} three"))
            )

        async def run(session: Session, name: str) -> list[str]:
            return [message.text for message in (await session.run(name)).messages]

        sessions = [await client.start_session(cwd=place.workspace) for _ in gates]
        running = [asyncio.create_task(run(*pair)) for pair in zip(sessions, gates, strict=True)]
        for step in range(2):
            for pair in gates.values():
                await pair[step].reached()
            for pair in gates.values():
                pair[step].open()
        for said, name in zip(await asyncio.gather(*running), gates, strict=True):
            assert "".join(said) == f"{name} one {name} two {name} three"


# -- E: crashes and resumption -----------------------------------------------------------------------------------------


async def test_e1_a_killed_server_loses_the_turn_but_not_the_thread(place: Place) -> None:
    """Flow E1: the next turn of the same session runs on the next server, and the model still knows what was said."""
    gate = Gate()
    replies = "first answer", Reply(Say("half an "), Hold(gate)), "third answer"
    async with (
        place.client(*replies) as (client, model),
        await client.start_session(cwd=place.workspace) as session,
    ):
        await session.run("first question")
        thread = session.thread_id
        async with session.stream("second question") as turn:
            await gate.reached()
            async for event in turn:
                if isinstance(event, TextDelta):
                    break
            kill(client)
            with pytest.raises(TurnLostError) as caught:
                await turn.finish()
        assert caught.value.result.text.startswith("half")
        result = await session.run("third question")
        assert (result.text, result.thread_id, client.runtime.generation) == ("third answer", thread, 1)
        assert [text for text in model.requests[-1].texts() if "question" in text] == [
            "first question",
            "second question",
            "third question",
        ]
        assert "first answer" in model.requests[-1].texts("assistant")


@pytest.mark.parametrize(
    ("words", "expected"),
    [('"method":"turn/completed"', "completed"), ('"method":"thread/tokenUsage/updated"', "lost")],
)
async def test_e1_a_server_killed_at_the_end_of_a_turn(place: Place, words: str, expected: str) -> None:
    """What it had written down is the result, though its last line never came; short of that, the turn is lost."""
    flag = str(place.workspace.parent / "severed")
    command = (sys.executable, str(Path(__file__).with_name("severed.py")), flag, words)
    config = {"binary": None, "command": (*command, str(place.binary), "app-server")}
    async with (
        place.client("the answer", "next", config=config) as (client, _),
        await client.start_session(cwd=place.workspace) as session,
    ):
        async with session.stream("go") as turn:
            events = [event async for event in turn]
            assert client.runtime.generation == 1
            result = turn.result
            assert (result.status, result.text) == (expected, "the answer")
            assert sum(isinstance(event, Reconnected) for event in events) == (expected == "completed")
            assert [type(event) for event in events].count(TurnCompleted) == 1
        assert client.runtime.metrics.turns[expected].count == 1
        assert [item.kind for item in result.items] == ["userMessage", "agentMessage"]
        assert (await session.run("go on")).text == "next"


async def test_e1_a_server_killed_over_an_approval_leaves_no_ticket(place: Place) -> None:
    """The answer could only go to a server that is gone."""
    async with (
        place.client(Reply(Exec("touch z")), "next") as (client, _),
        await client.start_session(cwd=place.workspace, approval_policy="untrusted") as session,
    ):
        async with session.stream("x", approvals="stream") as turn:
            ticket = await next_ticket(turn)
            kill(client)
            with pytest.raises(TurnLostError):
                await turn.finish()
            assert ticket.outcome == "withdrawn"
            with pytest.raises(AlreadySettledError):
                ticket.accept()
        assert (await session.run("go")).text == "next"
        assert not (place.workspace / "z").exists()


async def test_e1_a_session_that_never_ran_is_started_afresh(place: Place) -> None:
    """The server has nothing of it on disk."""
    async with place.client("hello") as (client, _), await client.start_session(cwd=place.workspace) as session:
        thread = session.thread_id
        await killed(client)
        assert (await session.run("hi")).text == "hello"
        assert session.thread_id != thread


@pytest.mark.parametrize("sandbox", ["read-only", "workspace-write"])
async def test_e2_the_sandbox_is_the_same_after_a_crash(place: Place, sandbox: Any) -> None:
    """Flow E2: the server's own configuration says the opposite, so only what we say again can hold."""
    opposite = "workspace-write" if sandbox == "read-only" else "read-only"
    replies = "one", Reply(Exec("touch written")), "two"
    async with (
        place.client(*replies, sandbox=opposite) as (client, model),
        await client.start_session(cwd=place.workspace, sandbox=sandbox, model="gpt-5.5", effort="low") as session,
    ):
        await session.run("a")
        with client.runtime.subscribe(kinds=["response"]) as responses:
            await killed(client)
            assert (await session.run("b")).text == "two"
            resumed = (await anext(responses)).message
            while not (isinstance(resumed, dict) and "sandbox" in resumed.get("result", {})):
                resumed = (await anext(responses)).message
        kinds = {"read-only": "readOnly", "workspace-write": "workspaceWrite"}
        assert resumed["result"]["sandbox"]["type"] == kinds[sandbox]
        assert resumed["result"]["model"] == "gpt-5.5"
        may_write = sandbox == "workspace-write"
        # The server shows no item for a command that its sandbox stops; the model hears of it.
        assert ("Read-only file system" in str(model.requests[2].outputs())) is not may_write
        assert (place.workspace / "written").exists() is may_write


async def test_e2_a_thread_is_resumed_by_a_second_client(place: Place) -> None:
    """With the history of the first one, and with settings of its own."""
    async with place.client("one", "two") as (client, model):
        async with await client.start_session(cwd=place.workspace) as session:
            await session.run("first question")
        await client.aclose()
        async with (
            type(client)(client.runtime.config) as second,
            await second.resume_session(session.thread_id, cwd=place.workspace) as again,
        ):
            assert (await again.run("second question")).text == "two"
        assert "first question" in model.requests[-1].texts()


# -- F: turns that fail ------------------------------------------------------------------------------------------------

CUT = Reply(Say("half "), Cut())


@pytest.mark.parametrize(
    ("reply", "kind", "http_status"),
    [
        pytest.param(Reply.http_error(500), "internalServerError", None, id="f1-http-500"),
        pytest.param(Reply.http_error(429), "responseTooManyFailedAttempts", 429, id="f2-http-429"),
        pytest.param(
            Reply.usage_limit(limits=RateLimits(primary_used=100)), "usageLimitExceeded", None, id="f3-usage-limit"
        ),
        pytest.param(Reply(Fail("context_length_exceeded")), "contextWindowExceeded", None, id="f4-context-window"),
        pytest.param(CUT, "other", None, id="f5-stream-cut"),
        pytest.param(Reply.http_error(401), "httpConnectionFailed", 401, id="f-http-401"),
    ],
)
async def test_f_a_failed_turn_names_its_kind(place: Place, reply: Reply, kind: str, http_status: int | None) -> None:
    """Flows F1 to F5: by the server's own word, in the error's result; the next turn works."""
    async with place.client(reply, default_reply(kind)) as (client, model):
        session = await client.start_session(cwd=place.workspace)
        with pytest.raises(TurnFailedError) as caught:
            await session.run("go")
        error = caught.value.result.error
        assert error is not None
        assert (error.kind, error.http_status, caught.value.result.status) == (kind, http_status, "failed")
        assert error.message in str(caught.value)
        model.on("again", *["fine"] * 3)
        assert (await session.run("again")).text == "fine"


def default_reply(kind: str) -> str:
    """After a full context the server first has the thread summarised."""
    return "a summary" if kind == "contextWindowExceeded" else "fine"


async def test_f6_a_stream_that_is_cut_is_tried_again(place: Place) -> None:
    """Flow F6: the reader is told, the turn completes."""
    async with (
        place.client(CUT, "whole", stream_max_retries=2) as (client, _),
        await client.start_session(cwd=place.workspace) as session,
        session.stream("go") as turn,
    ):
        notices = [event async for event in turn if isinstance(event, RetryNotice)]
        assert [notice.message for notice in notices] == ["Reconnecting... 1/2"]
        assert (turn.result.text, turn.result.retries) == ("whole", 1)


async def test_f7_an_unreachable_model_is_waited_for_until_the_deadline(place: Place) -> None:
    """Flow F7: the server would try for ever."""
    async with place.client() as (client, model):
        await model.aclose()
        with pytest.raises(TurnTimeoutError) as caught:
            await client.run("go", cwd=place.workspace, deadline=1.0)
        assert caught.value.result.retries >= 1


async def test_f7_the_deadline_holds_while_there_is_no_server(place: Place) -> None:
    """Killed, and not yet started again."""
    slow = RestartPolicy(backoff=20.0, jitter=0.0)
    async with place.client("one", config={"restart": slow}) as (client, _):
        session = await client.start_session(cwd=place.workspace)
        await session.run("go")
        await killed(client)
        async with asyncio.timeout(3):
            with pytest.raises(TurnTimeoutError):
                await session.run("again", deadline=0.5)

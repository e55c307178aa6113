"""The state of the real server outlives the program that saw it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from codex_runtime import TextDelta
from codex_runtime.runtime import JsonStateStore, read_state
from codex_runtime.testing import Call, Exec, Gate, Hold, Reply, Say, Stall

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.rig import Place


async def test_a_new_program_knows_the_thread_its_turn_and_its_items(place: Place, tmp_path: Path) -> None:
    """Before anything is asked of its own server, which has not even loaded the thread."""
    path = tmp_path / "state.json"
    config = {"state_store": JsonStateStore(path), "state_store_interval": 600.0}
    replies = (Reply(Exec("echo from the command")), "It says hello.")
    async with place.client(*replies, config=config) as (client, _):
        session = await client.start_session(cwd=place.workspace)
        result = await session.run("look")
        known = client.runtime.state.threads[session.thread_id]
    async with place.client(config=config) as (client, model):
        thread = client.runtime.state.threads[session.thread_id]
        assert model.requests == ()
        assert (thread.status, thread.active_turn, thread.cwd) == (None, None, str(place.workspace))
        assert thread.details == known.details
        assert thread.usage["total"]["totalTokens"] > 0
        turn = thread.turns[result.turn_id]
        assert (turn.status, turn.error, turn.duration) == ("completed", None, known.turns[turn.id].duration)
        assert [item.kind for item in turn.items.values()] == ["userMessage", "commandExecution", "agentMessage"]
        assert {item.status for item in turn.items.values()} == {"completed"}
        _, command, message = turn.items.values()
        assert command.output.endswith("from the command\n")  # a login shell may have said something before
        assert message.text == "It says hello."
        assert thread.last_seq < 0

        resumed = await client.resume_session(session.thread_id, cwd=place.workspace)
        assert resumed.thread_id == thread.id
    assert read_state(path).threads[session.thread_id].turns[result.turn_id].items == turn.items


async def test_a_turn_in_mid_air_is_lost_to_the_next_program(place: Place, tmp_path: Path) -> None:
    """What it had said by then is there."""
    config = {"state_store": JsonStateStore(tmp_path / "state.json")}
    async with place.client(Reply(Say("half a "), Stall()), config=config) as (client, _):
        session = await client.start_session(cwd=place.workspace)
        async with session.stream("go") as turn:
            async for event in turn:
                if isinstance(event, TextDelta):
                    break
            turn_id = turn.turn_id
            await client.aclose()
    async with place.client(config=config) as (client, _):
        turn = client.runtime.state.threads[session.thread_id].turns[turn_id]
        assert turn.status == "lost"
        *_, message = turn.items.values()
        assert (message.kind, message.text) == ("agentMessage", "half a ")
        assert "open" not in {item.status for item in turn.items.values()}


async def test_a_thread_that_is_resumed_brings_its_turns(place: Place) -> None:
    """Without a store, from the answer of the server."""
    async with place.client("one") as (client, _):
        session = await client.start_session(cwd=place.workspace)
        result = await session.run("go")
        known = client.runtime.state.threads[session.thread_id].turns[result.turn_id]
    async with place.client() as (client, _):
        await client.runtime.request("thread/resume", {"threadId": session.thread_id})
        thread = client.runtime.state.threads[session.thread_id]
        assert (thread.status, thread.cwd) == ("idle", str(place.workspace))
        turn = thread.turns[result.turn_id]
        assert (turn.status, turn.root) == ("completed", result.turn_id)
        assert [(item.kind, item.text) for item in turn.items.values()] == [
            (item.kind, item.text) for item in known.items.values()
        ]


async def test_prompts_that_wait_are_in_the_state_once_they_were_asked_for(place: Place) -> None:
    """And are not any more when the queue has moved on."""
    gate = Gate()
    async with place.client(Reply(Say("busy"), Hold(gate)), "next") as (client, _):
        session = await client.start_session(cwd=place.workspace)
        about = {"threadId": session.thread_id}
        runtime = client.runtime
        async with session.stream("go") as turn:
            async for event in turn:
                if isinstance(event, TextDelta):
                    break
            prompt = {"clientUserMessageId": "m1", "input": [{"type": "text", "text": "later"}]}
            await runtime.request("thread/queue/add", {**about, **prompt})
            async with asyncio.timeout(10):
                while runtime.state.threads[session.thread_id].queue_seq is None:
                    await asyncio.sleep(0)
            listed = await runtime.request("thread/queue/list", about)
            assert runtime.state.threads[session.thread_id].queue == listed["data"] != []
            gate.open()
            await turn.finish()
        async with asyncio.timeout(10):
            while len(runtime.state.threads[session.thread_id].turns) < 2:
                await asyncio.sleep(0)
        assert runtime.state.threads[session.thread_id].queue is None


async def test_a_sub_agent_is_known_as_the_child_of_its_thread(place: Place) -> None:
    """The server announces no thread for it."""
    spawn = Call("spawn_agent", {"message": "child task"}, namespace="multi_agent_v1")
    async with place.client() as (client, model):
        model.on("child task", "child result")
        model.on("delegate", Reply(spawn), "done")
        session = await client.start_session(cwd=place.workspace)
        await session.run("delegate")
        state = client.runtime.state
        (child,) = state.children(session.thread_id)
        assert child.parent == session.thread_id
        (turn,) = child.turns.values()
        assert turn.root in state.threads[session.thread_id].turns

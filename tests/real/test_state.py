"""The state of the real server outlives the program that saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_runtime import TextDelta
from codex_runtime.runtime import JsonStateStore, read_state
from codex_runtime.testing import Exec, Reply, Say, Stall

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
        assert (command.output, message.text) == ("from the command\n", "It says hello.")
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

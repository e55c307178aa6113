"""A fake in memory whose connection breaks while it lives on."""

from __future__ import annotations

from typing import Any

import pytest

from codex_runtime._sansio.restart import Exit
from codex_runtime.testing import Command, FakeAppServer, Gate, Hold, Say, Script
from tests.support.line_client import LineClient

PAGE = {"limit": 1, "itemsView": "full", "sortDirection": "desc"}


async def reconnected(fake: FakeAppServer, client: LineClient) -> LineClient:
    """Lose the connection, and connect again."""
    fake.disconnect()
    assert await client.lost() == Exit(reason="the connection broke")
    return await LineClient.launch(fake)


async def resumed(client: LineClient, thread: str) -> Any:
    """Resume a thread, and return the last turn of its record."""
    params = {"threadId": thread, "excludeTurns": True, "initialTurnsPage": PAGE}
    return (await client.call("thread/resume", params))["initialTurnsPage"]["data"][0]


async def test_a_turn_runs_on_without_a_client() -> None:
    """It is the same process: the thread is still loaded, and what was said meanwhile is in the record."""
    gate = Gate()
    async with FakeAppServer(Script(Say("one"), Hold(gate), Say("two"))) as fake:
        client = await LineClient.launch(fake)
        thread = await client.start_thread()
        await client.start_turn(thread)
        await gate.reached()
        client = await reconnected(fake, client)
        assert fake.launches == 1
        turn = await resumed(client, thread)
        assert (turn["status"], [item["id"] for item in turn["items"]]) == ("inProgress", ["item-1", "item-2"])
        gate.open()
        await client.until(lambda: "turn/completed" in client.methods)
        turn = await resumed(client, thread)
        assert (turn["status"], [item["text"] for item in turn["items"][1:]]) == ("completed", ["one", "two"])
        assert all(not item["id"].startswith("item-") for item in turn["items"])


async def test_what_is_still_to_be_answered_is_asked_again_under_the_same_id() -> None:
    """When the thread is resumed, and the command is in the record as one that runs."""
    async with FakeAppServer(Script(Command("ls", approval=True), Say("done"))) as fake:
        client = await LineClient.launch(fake)
        thread = await client.start_thread()
        await client.start_turn(thread)
        first = await client.asked("item/commandExecution/requestApproval")
        client = await reconnected(fake, client)
        turn = await resumed(client, thread)
        assert turn["items"][-1]["status"] == "inProgress"
        second = await client.asked("item/commandExecution/requestApproval")
        assert (second["id"], second["params"]) == (first["id"], first["params"])
        client.write({"id": second["id"], "result": {"decision": "accept"}})
        await client.until(lambda: "turn/completed" in client.methods)
        assert [answer.counted for answer in fake.answers] == [True]


async def test_the_next_client_has_to_greet_and_hears_nothing_before_it_resumes() -> None:
    """The process knows its threads, but not whom it talks to."""
    gate = Gate()
    async with FakeAppServer(Script(Hold(gate), Say("unheard"))) as fake:
        client = await LineClient.launch(fake)
        await client.start_turn(await client.start_thread())
        await gate.reached()
        client = await reconnected(fake, client)
        gate.open()
        await client.call("thread/loaded/list", {})
        assert not any("item/" in method for method in client.methods)


async def test_a_process_has_no_connection_to_lose() -> None:
    """Its pipes are its own."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        with pytest.raises(RuntimeError, match="pipes"):
            fake.disconnect()
        await client.transport.aclose()

"""The fake app server as a real process."""

from __future__ import annotations

from codex_runtime.testing._fake_script import Command
from codex_runtime.testing._fake_script import Script
from codex_runtime.testing._reply import Say
from codex_runtime.testing._fake_server import FakeAppServer
from tests.support.line_client import LineClient


async def test_a_default_turn_says_hello() -> None:
    """Without any script a turn is a whole one."""
    async with FakeAppServer(process=True) as fake:
        client = await LineClient.launch(fake)
        thread = await client.start_thread()
        turn = await client.run_turn(thread)
        print(client.methods)
        assert [item["text"] for item in turn["items"]] == ["Hello!"]
        exit = await client.transport.aclose()
        assert exit.code == 0, exit
        fake.on_turn(Script(Command("ls", approval=True), Say("x")))

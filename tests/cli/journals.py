"""Logs to look at: of real clients, on a scripted app server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from codex_runtime.client import Client
from codex_runtime.errors import TurnLostError
from codex_runtime.journal import Journal, JournalSink
from codex_runtime.runtime import JsonlSink, RestartPolicy, RuntimeConfig
from codex_runtime.testing import Command, Die, FakeAppServer, Say, Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def logged(tmp_path: Path, fake: FakeAppServer) -> AsyncIterator[Client]:
    """Run a client that keeps a journal, and the other log beside it."""
    sinks = (JournalSink(Journal(tmp_path / "j")), JsonlSink(tmp_path / "log"))
    settings = RuntimeConfig(launcher=fake, sinks=sinks, restart=RestartPolicy(when="never"))
    async with Client(settings) as client:
        yield client


async def two_turns(tmp_path: Path) -> str:
    """Keep a journal of two turns, the second of which is lost, and name it."""
    script = Script(Command("ls -l", output="a\nb\x1b[2J\n"), Say("Two \x1b[31mfiles."))
    async with logged(tmp_path, FakeAppServer(script, Script(Say("Half"), Die()))) as client:
        session = await client.start_session(cwd=tmp_path)
        await session.run("list\nthem")
        with pytest.raises(TurnLostError):
            await session.run("again")
    return str(tmp_path / "j")

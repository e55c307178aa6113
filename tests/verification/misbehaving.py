"""Clients that do what none may do: the one who judges clients has to see it.

``python -m verification.faults.worker tests.verification.misbehaving:Leaves`` is one of them at work.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from codex_runtime import (
    ApprovalRequested,
    Client,
    CodexError,
    RunProfile,
    RuntimeConfig,
    Session,
    TextDelta,
    TurnCompleted,
)
from verification.faults.history import Ended, Heard, Missed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from verification.faults.job import Job, Log


class Nothing:
    """Does nothing, and nothing wrong: each of the others differs in one thing."""

    documented = (CodexError,)

    async def open(self, job: Job, log: Log) -> None:
        """Start no server."""

    async def call(self, token: str) -> str:
        """Answer by itself."""
        return token

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """End at once."""
        yield Ended(turn=prompt, how="lost")

    async def close(self) -> None:
        """End nothing."""


class Hangs(Nothing):
    """Waits for ever, wherever it can."""

    async def call(self, token: str) -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return token

    async def close(self) -> None:
        """Never end."""
        await asyncio.Event().wait()


class Leaves(Nothing):
    """Leaves a process behind, and says something where nobody can catch it."""

    async def open(self, job: Job, log: Log) -> None:
        """Start something that is never ended."""
        sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(61.5)"]
        subprocess.Popen(sleeper, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: ASYNC220

        async def fail() -> None:
            raise ZeroDivisionError

        self.lost = asyncio.ensure_future(fail())

    async def close(self) -> None:
        """Forget the task that failed."""
        del self.lost


class Raises(Nothing):
    """Raises what it never told anybody of."""

    async def open(self, job: Job, log: Log) -> None:
        """Fail."""
        raise KeyError("this")


class Invents(Nothing):
    """Ends a turn as complete of which it has read nothing, and answers another's call."""

    async def call(self, token: str) -> str:
        """Answer with something else."""
        return "something else"

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Say that it is complete."""
        yield Ended(turn=prompt, how="completed")


class Dies(Nothing):
    """Is gone in the middle of it all."""

    async def call(self, token: str) -> str:
        """End the process."""
        sys.stdout.flush()
        os._exit(1)


class Twins(Nothing):
    """Starts a second server while the first one lives."""

    def __init__(self) -> None:
        self.servers: list[asyncio.subprocess.Process] = []

    async def open(self, job: Job, log: Log) -> None:
        """Start both, and let both say who they are."""
        pipe = asyncio.subprocess.PIPE
        for _ in range(2):
            server = await asyncio.create_subprocess_exec(*job.command, stdin=pipe, stdout=pipe)
            self.servers.append(server)
            await self.say(server, "initialize", 0)
            await self.hear(server)

    async def close(self) -> None:
        """End them by the end of their stdin."""
        for server in self.servers:
            assert server.stdin is not None
            server.stdin.close()
            await server.wait()

    async def say(self, server: asyncio.subprocess.Process, method: str, rpc_id: int) -> None:
        """Make a request."""
        params = {"clientInfo": {"name": "a", "version": "1"}, "input": [{"type": "text", "text": "first"}]}
        assert server.stdin is not None
        server.stdin.write(json.dumps({"id": rpc_id, "method": method, "params": params}).encode() + b"\n")
        await server.stdin.drain()

    async def hear(self, server: asyncio.subprocess.Process) -> dict[str, Any]:
        """Read a line."""
        assert server.stdout is not None
        return dict(json.loads(await server.stdout.readline()))


class Rude(Twins):
    """Asks before it has greeted."""

    async def open(self, job: Job, log: Log) -> None:
        """Ask at once."""
        pipe = asyncio.subprocess.PIPE
        self.servers = [await asyncio.create_subprocess_exec(*job.command, stdin=pipe, stdout=pipe)]
        await self.say(self.servers[0], "thread/start", 1)
        await self.hear(self.servers[0])


class Forges(Nothing):
    """Says yes to everything, twice, and nobody has told it to: behind the back of a client that would not."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.session: Session | None = None

    async def open(self, job: Job, log: Log) -> None:
        """Open a client that keeps every question."""
        self.client = Client(RuntimeConfig(command=job.command), profile=RunProfile(approvals="stream"))
        await self.client.open()

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Answer in the client's place."""
        assert self.client is not None
        self.session = self.session or await self.client.start_session()
        async with self.session.stream(prompt) as turn:
            async for event in turn:
                match event:
                    case ApprovalRequested(ticket=ticket):
                        link = self.client.runtime._life.link
                        assert link is not None
                        for _ in range(2):
                            link.write(b'{"id":%d,"result":{"decision":"accept"}}\n' % ticket._rpc_id)
                    case TextDelta(text=text):
                        yield Heard(turn=prompt, text=text)
                    case TurnCompleted(result=result):
                        yield Ended(turn=prompt, how=result.status)

    async def close(self) -> None:
        """Close it."""
        assert self.client is not None
        await self.client.aclose()

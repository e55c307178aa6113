"""The other Python client, `codex-app-server-sdk`. It digests every event of a turn, but hands over completed items only.

What is counted is what it has digested. It reads lines through a StreamReader with the default limit: one line above
64 KiB ends the connection, and so the workloads that have such lines fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from codex_app_server_sdk import CodexClient

from benchmarks.contenders import PING
from benchmarks.contenders.asynchronous import AsyncContender

__all__ = ["AppServerSdk"]


async def accept(_request: Any) -> str:
    """Accept whatever is asked."""
    return "accept"


class AppServerSdk(AsyncContender[Any]):
    """`CodexClient.chat`, in the two halves that its own continuations are made of: start the turn, then read it."""

    client: Any

    async def connect(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self.client = CodexClient.connect_stdio(command=command)
        self.client.set_approval_handler(accept)
        await self.client.start()
        await self.client.initialize()

    async def disconnect(self) -> None:
        """End the server."""
        await self.client.close()

    async def new_thread(self) -> str:
        """Start a thread."""
        return str((await self.client.start_thread()).thread_id)

    async def call(self) -> object:
        """Make one request."""
        return await self.client.request("bench/ping", PING)

    async def start(self, thread_id: str, directive: str, *, narrow: bool) -> Any:  # noqa: ARG002
        """Start the turn."""
        nothing = dict.fromkeys(("user", "metadata", "thread_config", "turn_overrides"))
        _, session = await self.client._start_chat_turn(text=directive, thread_id=thread_id, **nothing)  # noqa: SLF001
        return session

    async def read(self, stream: Any) -> tuple[int, int]:
        """Read the turn to its end."""
        rest: AsyncIterator[Any] = self.client.chat(
            continuation=self.client._make_continuation(stream, cursor=0, mode="stream")  # noqa: SLF001
        )
        async for _ in rest:
            pass
        return len(stream.raw_events), 0

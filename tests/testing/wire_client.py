"""A very small HTTP client, so that the mock model is judged by what it puts on the wire."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

Event = dict[str, Any]


def prompt(text: str) -> dict[str, object]:
    """The body of a request whose user says the text."""
    content = [{"type": "input_text", "text": text}]
    return {"model": "m", "input": [{"type": "message", "role": "user", "content": content}]}


@asynccontextmanager
async def connected(base_url: str) -> AsyncIterator[WireClient]:
    """One connection, closed at the end."""
    port = urlsplit(base_url).port
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        yield WireClient(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):  # the other side may have been first
            await writer.wait_closed()


async def ask(base_url: str, text: str = "go", *, thread: str = "t") -> list[Event]:
    """Make one request on a connection of its own, and return the events of the answer."""
    async with connected(base_url) as client:
        await client.send(prompt(text), thread=thread)
        await client.head()
        return [event async for event in client.events()]


def said(events: list[Event]) -> str:
    """The pieces of text in the events, together."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


async def all_ended(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no task is left that was not there before."""
    left = asyncio.all_tasks() - before
    if left:
        _, pending = await asyncio.wait(left, timeout=5)
        assert not pending


@dataclass
class WireClient:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] | None = None

    async def send(self, body: object, *, thread: str = "t", path: str = "/v1/responses") -> None:
        """Send one request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.writer.write(
            f"POST {path} HTTP/1.1\r\nhost: x\r\nthread-id: {thread}\r\ncontent-length: {len(data)}\r\n\r\n".encode()
            + data
        )
        await self.writer.drain()

    async def head(self) -> int:
        """Read the head of the answer, and return its status."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = dict(line.split(": ", 1) for line in lines)
        return self.status

    async def text(self) -> str:
        """Read a body of known length."""
        assert self.headers is not None
        return (await self.reader.readexactly(int(self.headers["content-length"]))).decode()

    async def refusal(self) -> str:
        """Read a whole answer that is not a stream, and return its body."""
        await self.head()
        return await self.text()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Read a stream to its end; ``IncompleteReadError`` if it ends where it should not."""
        rest = b""
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            rest += (await self.reader.readexactly(size + 2))[:-2]
            *frames, rest = rest.split(b"\n\n")
            for frame in frames:
                yield json.loads(frame.split(b"data: ", 1)[1])
        await self.reader.readexactly(2)

    async def listen(self, heard: list[Event]) -> None:
        """Read a stream to its end, and keep its events even if it ends where it should not."""
        async for event in self.events():
            heard.append(event)  # noqa: PERF401 - a comprehension would lose them all

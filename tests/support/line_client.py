"""A client of the wire for tests of what plays the server: it sends lines, sorts what comes back, and decides nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime._io.transport import Launcher, Transport
    from codex_runtime._sansio.restart import Exit

HELLO = {"clientInfo": {"name": "line_client", "version": "1"}, "capabilities": {"experimentalApi": True}}


class LineClient:
    """One connection. Everything that arrives is in `data`, `lines` and `messages`; `exit` is set by the loss."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.exit: Exit | None = None
        self.losses = 0
        self.transport: Transport
        self._changed = asyncio.Event()
        self._last_id = 0

    @classmethod
    async def launch(cls, launcher: Launcher, *, greet: bool = True) -> Self:
        """Launch a server, and greet it unless told otherwise."""
        client = cls()
        client.transport = await launcher.launch(client)
        if greet:
            await client.greet()
        return client

    def data_received(self, data: bytes, /) -> None:
        """Take a piece."""
        assert self.exit is None, "data after the loss"
        self.pieces.append(data)
        self._tell()

    def connection_lost(self, exit: Exit, /) -> None:  # noqa: A002
        """Take note of the end."""
        self.losses += 1
        self.exit = exit
        self._tell()

    # -- what came ---------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[bytes]:
        """The complete lines so far."""
        return b"".join(self.pieces).split(b"\n")[:-1]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The lines that are JSON objects."""
        found = []
        for line in self.lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                found.append(message)
        return found

    def named(self, method: str) -> list[dict[str, Any]]:
        """The params of the messages with this method."""
        return [message.get("params", {}) for message in self.messages if message.get("method") == method]

    @property
    def methods(self) -> list[str]:
        """The methods of all notifications and server requests, in order."""
        return [message["method"] for message in self.messages if "method" in message]

    # -- what goes ---------------------------------------------------------------------------------------------------

    def write(self, message: object) -> None:
        """Send one message."""
        self.transport.write(json.dumps(message).encode() + b"\n")

    def ask(self, method: str, params: object = None) -> int:
        """Send a request and return its id."""
        self._last_id += 1
        self.write({"id": self._last_id, "method": method, "params": {} if params is None else params})
        return self._last_id

    async def reply_to(self, request_id: int) -> dict[str, Any]:
        """Wait for the response to a request: the whole message."""

        def found() -> list[dict[str, Any]]:
            return [m for m in self.messages if m.get("id") == request_id and "method" not in m]

        await self.until(lambda: bool(found()))
        return found()[0]

    async def call(self, method: str, params: object = None) -> dict[str, Any]:
        """Send a request and return its result."""
        message = await self.reply_to(self.ask(method, params))
        assert "result" in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def refusal(self, method: str, params: object = None) -> dict[str, Any]:
        """Send a request and return its error."""
        message = await self.reply_to(self.ask(method, params))
        assert "error" in message, message
        error: dict[str, Any] = message["error"]
        return error

    async def greet(self) -> dict[str, Any]:
        """Do the greeting."""
        result = await self.call("initialize", HELLO)
        self.write({"method": "initialized"})
        return result

    async def start_thread(self, **params: object) -> str:
        """Start a thread and return its id."""
        return str((await self.call("thread/start", params))["thread"]["id"])

    async def start_turn(self, thread_id: str, text: str = "go") -> str:
        """Start a turn and return its id."""
        params = {"threadId": thread_id, "input": [{"type": "text", "text": text}]}
        return str((await self.call("turn/start", params))["turn"]["id"])

    async def run_turn(self, thread_id: str, text: str = "go") -> dict[str, Any]:
        """Start a turn, wait for its end and return it as `turn/completed` tells it."""
        turn_id = await self.start_turn(thread_id, text)
        return await self.turn_end(turn_id)

    async def turn_end(self, turn_id: str) -> dict[str, Any]:
        """Wait for `turn/completed` of this turn."""

        def found() -> list[dict[str, Any]]:
            return [params["turn"] for params in self.named("turn/completed") if params["turn"]["id"] == turn_id]

        await self.until(lambda: bool(found()))
        return found()[0]

    async def asked(self, method: str, count: int = 1) -> dict[str, Any]:
        """Wait for the count-th server request of this method: the whole message."""
        await self.until(lambda: len(self.named(method)) >= count)
        return [message for message in self.messages if message.get("method") == method][count - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(10):
            while not condition():
                await self._changed.wait()

    async def lost(self) -> Exit:
        """Wait for the loss."""
        await self.until(lambda: self.exit is not None)
        assert self.exit is not None
        return self.exit

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

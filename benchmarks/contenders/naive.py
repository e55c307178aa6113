"""The client that one writes in an afternoon: asyncio streams, `json`, a queue per event. It is correct, and the yardstick."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks.contenders import APPROVAL, DELTA, PING, TURN_ENDED, turn_params
from benchmarks.contenders.asynchronous import AsyncContender

__all__ = ["Naive"]

LINE_LIMIT = 64 * 1024 * 1024  # The default of 64 KiB ends with an exception at the first long line.


class Naive(AsyncContender["asyncio.Queue[dict[str, Any]]"]):
    """StreamReader.readline, json.loads, asyncio.Queue."""

    process: asyncio.subprocess.Process
    reader: asyncio.Task[None]

    async def connect(self, command: Sequence[str]) -> None:
        """Start the server and greet it."""
        self.ids = itertools.count(1)
        self.pending: dict[int, asyncio.Future[Any]] = {}
        self.queues: dict[str | None, asyncio.Queue[dict[str, Any]]] = {}
        self.process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_LIMIT,
        )
        self.reader = asyncio.create_task(self._read_lines())
        await self._request("initialize", {"clientInfo": {"name": "bench", "title": "bench", "version": "1"}})
        await self._send({"method": "initialized"})

    async def disconnect(self) -> None:
        """End the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.reader
        await self.process.wait()

    async def new_thread(self) -> str:
        """Start a thread."""
        result = await self._request("thread/start", {})
        return str(result["thread"]["id"])

    async def call(self) -> object:
        """Make one request and decode its result."""
        return await self._request("bench/ping", PING)

    async def start(self, thread_id: str, directive: str, *, narrow: bool) -> asyncio.Queue[dict[str, Any]]:
        """Listen, then start the turn."""
        if not narrow:
            self.queues.clear()
        queue = self.queues[thread_id if narrow else None] = asyncio.Queue()
        await self._request("turn/start", turn_params(thread_id, directive))
        return queue

    async def read(self, stream: asyncio.Queue[dict[str, Any]]) -> tuple[int, int]:
        """Read one event at a time."""
        events = 0
        while True:
            message = await stream.get()
            events += 1
            if message.get("method") == TURN_ENDED:
                return events, 0

    async def texts(self, stream: asyncio.Queue[dict[str, Any]]) -> AsyncIterator[str]:
        """Read one event at a time and take the text of deltas."""
        while (method := (message := await stream.get()).get("method")) != TURN_ENDED:
            if method == DELTA:
                yield message["params"]["delta"]

    async def _request(self, method: str, params: object) -> Any:
        request_id = next(self.ids)
        future = self.pending[request_id] = asyncio.get_running_loop().create_future()
        await self._send({"id": request_id, "method": method, "params": params})
        return await future

    async def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def _read_lines(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            method = message.get("method")
            if method is None:
                self.pending.pop(message["id"]).set_result(message["result"])
                continue
            if method.endswith(APPROVAL):
                await self._send({"id": message["id"], "result": {"decision": "accept"}})
            queue = self.queues.get(message["params"].get("threadId")) or self.queues.get(None)
            if queue is not None:
                await queue.put(message)

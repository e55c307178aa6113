"""Drives a real ``codex app-server`` by hand, one JSON line at a time, as small as the tests here allow."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from codex_cli_bin import bundled_codex_path

Message = dict[str, Any]


class AppServerDriver:
    """One server process; ``answers`` says what to answer to its requests, by method, and the rest is refused."""

    def __init__(self, home: Path, cwd: Path, *, answers: Mapping[str, object] | None = None) -> None:
        self._home = home
        self._errors = home / "stderr.log"
        self._cwd = cwd
        self._answers = answers or {}
        self._ids = iter(range(1, 1_000_000))
        self.seen: list[Message] = []
        """Everything the server said, in order."""

    async def __aenter__(self) -> Self:
        with self._errors.open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                str(bundled_codex_path()),
                "app-server",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=self._cwd,
                env={**os.environ, "CODEX_HOME": str(self._home)},
                limit=1 << 26,
            )
        client = {"name": "tests", "version": "0"}
        await self.call("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def call(self, method: str, params: Mapping[str, object]) -> Message:
        """Ask the server, and read on until it answers."""
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        answer = await self.read_until(lambda message: message.get("id") == number and "method" not in message)
        assert "result" in answer, answer
        result: Message = answer["result"]
        return result

    async def start_thread(self, **params: object) -> str:
        """Start a thread and return its id."""
        started = await self.call("thread/start", params)
        return str(started["thread"]["id"])

    async def start_turn(self, thread: str, text: str = "go") -> str:
        """Start a turn and return its id."""
        started = await self.call("turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})
        return str(started["turn"]["id"])

    async def finish_turn(self, turn: str) -> Message:
        """Read on until the turn is over, and return it as the server then tells it."""
        over = await self.read_until(
            lambda message: message.get("method") == "turn/completed" and message["params"]["turn"]["id"] == turn
        )
        found: Message = over["params"]["turn"]
        return found

    async def run_turn(self, thread: str, text: str = "go") -> Message:
        """Start a turn and wait for its end."""
        return await self.finish_turn(await self.start_turn(thread, text))

    def told(self, method: str) -> list[Message]:
        """The params of everything the server said by that method, oldest first."""
        return [message["params"] for message in self.seen if message.get("method") == method]

    def items(self, kind: str) -> list[Message]:
        """The completed items of one type, oldest first."""
        return [params["item"] for params in self.told("item/completed") if params["item"]["type"] == kind]

    async def read_until(self, wanted: Any) -> Message:
        """The first message, of those already seen or still to come, that is wanted."""
        for message in self.seen:
            if wanted(message):
                return message
        async with asyncio.timeout(30):
            while True:
                message = await self._read()
                if wanted(message):
                    return message

    async def _read(self) -> Message:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, f"the server has left: {self._errors.read_text()}"
        message: Message = json.loads(line)
        self.seen.append(message)
        if "method" in message and "id" in message:
            if message["method"] in self._answers:
                self._send({"id": message["id"], "result": self._answers[message["method"]]})
            else:
                self._send({"id": message["id"], "error": {"code": -32000, "message": "not expected"}})
        return message

    def _send(self, message: Message) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

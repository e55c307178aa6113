"""The official Python SDK, `openai-codex`, doing a job under faults: it is used as its own documentation says.

Nothing is added that it does not do by itself: no deadline, no restart, no second attempt. Its words for what goes wrong are
the errors under `CodexError`. Only the handler of approvals, which the documented classes do not take, is put where
they keep it, and only if the job says yes to questions: without one its own default stays.

The one idea: whatever it waits for is waited for in a thread of its own, so that a wait that never ends holds up nobody
but whoever waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

from openai_codex import AsyncCodex, Codex, CodexConfig, CodexError
from pydantic import BaseModel

from verification.faults.history import Decided, Ended, Heard, Missed
from verification.faults.job import ECHO, Job, Log, question_of

__all__ = ["AsyncSdk", "Sdk"]

T = TypeVar("T")

DELTA = "item/agentMessage/delta"
ITEM_ENDED = "item/completed"
TURN_ENDED = "turn/completed"


class Echo(BaseModel):
    """The smallest model that the answer to an echo fits into."""

    token: str


class Sdk:
    """The synchronous client, each of its calls in a thread."""

    documented: tuple[type[BaseException], ...] = (CodexError,)

    def __init__(self) -> None:
        self._codex: Codex | None = None
        self._thread: Any = None

    async def open(self, job: Job, log: Log) -> None:
        """Start the server and greet it."""
        codex: Any = await _in_a_thread(lambda: Codex(CodexConfig(launch_args_override=job.command)))
        self._codex = codex
        if job.accepts:
            codex._client._approval_handler = _yes(log)  # noqa: SLF001  the documented class does not take one

    async def call(self, token: str) -> str:
        """Make one request; the public methods go through the same one."""
        client: Any = self._client._client  # noqa: SLF001
        echo = await _in_a_thread(lambda: client.request(ECHO, {"token": token}, response_model=Echo))
        return str(echo.token)

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Run a turn in the one thread, and interrupt it if its reader goes."""
        if self._thread is None:
            self._thread = await _in_a_thread(self._client.thread_start)
        handle: Any = await _in_a_thread(lambda: self._thread.turn(prompt))
        stream: Iterator[Any] = handle.stream()
        telling = _Telling(prompt)
        try:
            while (event := await _in_a_thread(lambda: next(stream, None))) is not None:
                for told in telling.of(event):
                    yield told
        except GeneratorExit:
            if not telling.is_over:
                await _in_a_thread(handle.interrupt)
            raise

    async def close(self) -> None:
        """End the server, if it was ever started."""
        if self._codex is not None:
            await _in_a_thread(self._codex.close)

    @property
    def _client(self) -> Codex:
        assert self._codex is not None
        return self._codex


class AsyncSdk:
    """The asynchronous client: the synchronous one behind a pool of threads."""

    documented: tuple[type[BaseException], ...] = (CodexError,)

    def __init__(self) -> None:
        self._codex: AsyncCodex | None = None
        self._thread: Any = None

    async def open(self, job: Job, log: Log) -> None:
        """Start the server and greet it."""
        codex = self._codex = AsyncCodex(CodexConfig(launch_args_override=job.command))
        await codex.__aenter__()
        if job.accepts:
            codex._client._sync._approval_handler = _yes(log)  # noqa: SLF001  the documented class does not take one

    async def call(self, token: str) -> str:
        """Make one request; the public methods go through the same one."""
        client: Any = self._client._client  # noqa: SLF001
        echo = await client.request(ECHO, {"token": token}, response_model=Echo)
        return str(echo.token)

    async def turn(self, prompt: str) -> AsyncGenerator[Heard | Missed | Ended, None]:
        """Run a turn in the one thread, and interrupt it if its reader goes."""
        if self._thread is None:
            self._thread = await self._client.thread_start()
        handle: Any = await self._thread.turn(prompt)
        telling = _Telling(prompt)
        try:
            async with aclosing(handle.stream()) as stream:
                async for event in stream:
                    for told in telling.of(event):
                        yield told
        except GeneratorExit:
            if not telling.is_over:
                await handle.interrupt()
            raise

    async def close(self) -> None:
        """End the server, if it was ever started."""
        if self._codex is not None:
            await self._codex.close()

    @property
    def _client(self) -> AsyncCodex:
        assert self._codex is not None
        return self._codex


class _Telling:
    """Reads its notifications as its own loop over them does: by method and type."""

    def __init__(self, prompt: str) -> None:
        self.is_over = False
        self._prompt = prompt
        self._text = ""

    def of(self, event: Any) -> Iterator[Heard | Missed | Ended]:
        """Tell what a notification says to a reader."""
        match event.method, event.payload:
            case method, payload if method == DELTA and hasattr(payload, "delta"):
                yield Heard(turn=self._prompt, text=payload.delta)
            case method, payload if method == ITEM_ENDED and hasattr(payload, "item"):
                item = getattr(payload.item, "root", payload.item)
                self._text += item.text if item.type == "agentMessage" else ""
            case method, payload if method == TURN_ENDED and hasattr(payload, "turn"):
                self.is_over = True
                yield Ended(turn=self._prompt, how=payload.turn.status.value, text=self._text)


def _yes(log: Log) -> Callable[[str, dict[str, Any] | None], dict[str, Any]]:
    """Return a handler that says yes, and writes down that it did."""

    def say_yes(method: str, params: dict[str, Any] | None) -> dict[str, Any]:
        log(Decided(question=question_of(method, params), accept=True))
        return {"decision": "accept"} if method.endswith("/requestApproval") else {}

    return say_yes


async def _in_a_thread(do: Callable[[], T]) -> T:
    """Wait for what blocks. The thread is a daemon: what never ends must not keep the program from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(error: BaseException | None, result: Any) -> None:
        if done.done():
            return  # whoever waited has gone
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        error, result = None, None
        try:
            result = do()
        except BaseException as raised:  # noqa: BLE001  whoever waits gets it, whatever it is
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error, result)

    threading.Thread(target=work, daemon=True).start()
    return await done

"""Runs `async def` tests and async fixtures, each test on a loop of its own, in debug mode.

Fixtures are async generators of function scope. Each lives in one task from set-up to tear-down, so that it may hold an
`async with`, a task group or a time limit open around its `yield`. The test is another task of the same loop.

A test that ends while tasks are still pending fails (with fixtures: when the last of them is torn down, because until then a
task may be theirs), and so does one during which the loop was told of an exception that nobody else saw.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

T = TypeVar("T")

SLOW_CALLBACK = 1.0
"""Seconds a callback may block the loop before debug mode logs it; the default (0.1) is noise on a busy machine."""

PATIENCE = 1.0
"""Seconds in which a task that is ending when the test returns may end."""


class LeftBehindError(AssertionError):
    """A test ended and something of it did not."""


class HostedFixture(Generic[T]):
    """One async generator fixture, kept alive by a task of its own."""

    def __init__(self, generator: AsyncGenerator[T, None]) -> None:
        self._generator = generator
        self._value: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._release = asyncio.Event()
        self.task = asyncio.create_task(self._host(), name=f"fixture {generator.__name__}")

    async def enter(self) -> T:
        """Run up to the `yield` and return what it yields."""
        await asyncio.wait([self.task, self._value], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task  # raises what the set-up raised
        return await self._value

    async def exit(self) -> None:
        """Run what follows the `yield`."""
        self._release.set()
        await self.task

    async def _host(self) -> None:
        self._value.set_result(await anext(self._generator))
        await self._release.wait()
        with suppress(StopAsyncIteration):
            await anext(self._generator)
            msg = f"fixture {self._generator.__name__} yields more than once"
            raise AssertionError(msg)


class LoopOfOneTest:
    """The event loop of one test, with what is needed to judge how the test left it."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(debug=True)
        self._unseen: list[str] = []
        self._fixtures: list[HostedFixture[Any]] = []
        loop = self._runner.get_loop()
        loop.slow_callback_duration = SLOW_CALLBACK
        loop.set_exception_handler(self._note_unseen)

    def run(self, test: Coroutine[Any, Any, object], *, limit: float) -> None:
        """Run a test to its end, within `limit` seconds."""
        self._runner.run(self._run(test, limit))

    def enter(self, generator: AsyncGenerator[T, None], *, limit: float) -> tuple[T, HostedFixture[T]]:
        """Set a fixture up; the second value is for :meth:`exit`."""
        return self._runner.run(self._enter(generator, limit))

    def exit(self, fixture: HostedFixture[Any], *, limit: float) -> None:
        """Tear a fixture down."""
        self._runner.run(self._run(fixture.exit(), limit))

    def close(self) -> None:
        """Close the loop; raises when it was told of an exception that nobody saw."""
        self._runner.close()
        gc.collect()  # a failed task tells of itself when it is thrown away
        if self._unseen:
            raise LeftBehindError("the event loop was told of:\n" + "\n".join(self._unseen))

    async def _run(self, work: Coroutine[Any, Any, object], limit: float) -> None:
        async with asyncio.timeout(limit):
            await work
        if all(fixture.task.done() for fixture in self._fixtures):
            await _insist_on_no_tasks()

    async def _enter(self, generator: AsyncGenerator[T, None], limit: float) -> tuple[T, HostedFixture[T]]:
        fixture = HostedFixture(generator)
        self._fixtures.append(fixture)
        async with asyncio.timeout(limit):
            return await fixture.enter(), fixture

    def _note_unseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._unseen.append("  " + ", ".join(f"{name}={value!r}" for name, value in context.items()))


async def _insist_on_no_tasks() -> None:
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    if pending:
        _, pending = await asyncio.wait(pending, timeout=PATIENCE)
    if pending:
        raise LeftBehindError("tasks are still pending:\n" + "\n".join(f"  {task!r}" for task in pending))

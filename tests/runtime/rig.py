"""What the tests of the engine share: a way to wait, a runtime on a fake app server, and a server made of bare bytes.

The fake app server plays the real one. :class:`Wire` is for what no app server does: its tests hold both ends of the seam
and decide each byte and each moment.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from codex_runtime._sansio.restart import Exit, RestartPolicy
from codex_runtime.runtime import Runtime, RuntimeConfig
from tests.support.cancel_everywhere import Counting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from codex_runtime._io.transport import Receiver
    from codex_runtime.testing._clock import ManualClock
    from codex_runtime.testing._fake_server import FakeAppServer

# Restarts after exactly a second, so that tests can say how much time has to pass.
STEADY = RestartPolicy(backoff=1.0, max_backoff=1.0, jitter=0.0)


async def until(condition: Callable[[], object]) -> None:
    """Let others run until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def turns(count: int = 40) -> None:
    """Let others run for some turns of the loop: enough for all that is ready, and for all that this makes ready."""
    for _ in range(count):
        await asyncio.sleep(0)


def config(fake: object, clock: ManualClock | None = None, **options: Any) -> RuntimeConfig:
    """Settings for a test: the fake as launcher, and restarts after exactly a second."""
    return RuntimeConfig(launcher=fake, clock=clock, **{"restart": STEADY, **options})  # type: ignore[arg-type]


@asynccontextmanager
async def running(fake: object, clock: ManualClock | None = None, **options: Any) -> AsyncIterator[Runtime]:
    """Run a runtime on a fake."""
    async with Runtime(config(fake, clock, **options)) as runtime:
        yield runtime


async def failure(work: Any) -> BaseException | None:
    """The error that something ends in."""
    try:
        await work
    except Exception as error:  # noqa: BLE001
        return error
    return None


async def start(fake: object, clock: ManualClock | None = None, **options: Any) -> Runtime:
    """Open a runtime that the test itself closes."""
    runtime = Runtime(config(fake, clock, **options))
    await runtime.open()
    return runtime


async def restart(fake: FakeAppServer, runtime: Runtime, clock: ManualClock) -> None:
    """Kill the server and wait for the next one."""
    generation = runtime.generation
    fake.die()
    await until(lambda: runtime.connection.phase == "restarting")
    await clock.advance(1.0)
    await until(lambda: runtime.connection.phase == "running" and runtime.generation == generation + 1)


@asynccontextmanager
async def task(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Run something beside the test, and let nothing of it be left."""
    started = asyncio.get_running_loop().create_task(work)
    await asyncio.sleep(0)
    try:
        yield started
    finally:
        started.cancel()
        await asyncio.wait([started])
        if not started.cancelled():
            started.exception()


async def cancelled_at(work: Coroutine[Any, Any, Any], k: int, *, late: bool) -> bool:
    """Run something in a task that is cancelled when it waits for the k-th time. False: it never waited so often.

    ``late``: cancelled only when what it waits for has happened, just before it learns of it.
    """
    counting = Counting(work, k, "woken" if late else "asleep")
    passed = asyncio.get_running_loop().create_task(counting.run())
    await asyncio.wait([passed])
    if passed.cancelled():
        return True
    passed.result()
    return False


class Leaps:
    """A clock whose calls come late: time passes in leaps, and what was due is called at the end of one."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.planned: list[tuple[float, asyncio.Future[None], Callable[[], object]]] = []

    def monotonic(self) -> float:
        """Where it stands."""
        return self.now

    def wall(self) -> float:
        """The same."""
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> asyncio.Future[None]:
        """Plan a call."""
        handle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.planned.append((when, handle, lambda: callback(*args)))
        return handle

    async def sleep_until(self, when: float) -> None:
        """Wait for the end of a leap."""
        while self.now < when:
            await asyncio.sleep(0)

    async def leap(self, seconds: float) -> None:
        """Let time pass, and then call whom it concerns."""
        self.now += seconds
        due, self.planned = self.planned, []
        for when, handle, call in due:
            if when > self.now:
                self.planned.append((when, handle, call))
            elif not handle.cancelled():
                call()
        await turns()


class Wire:
    """A launcher, and the transport of whatever it launched last. It greets; all else is up to the test."""

    def __init__(self, *, greets: bool = True) -> None:
        self.greets = greets
        self.launches = 0
        self.sent: list[dict[str, Any]] = []
        self.paused: list[bool] = []
        self.unsent = 0
        self.breaks_at: str | None = None
        self.room = asyncio.Event()
        self.closing = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.receiver: Receiver
        self.is_lost = False

    async def launch(self, receiver: Receiver, /) -> Wire:
        """Start the next one."""
        await asyncio.sleep(0)
        self.launches += 1
        self.receiver = receiver
        self.is_lost = False
        self.unsent = 0
        return self

    @property
    def pid(self) -> int | None:
        """Not a process."""
        return None

    def write(self, data: bytes) -> None:
        """Keep what the client says, and answer its greeting."""
        message = json.loads(data)
        if self.breaks_at is not None and message.get("method") == self.breaks_at:
            raise ZeroDivisionError(self.breaks_at)
        self.sent.append(message)
        if self.greets and message.get("method") == "initialize":
            loop = asyncio.get_running_loop()
            loop.call_soon(self.say, {"id": message["id"], "result": {"userAgent": "wire/0.163.0"}})

    async def drain(self) -> None:
        """Wait until the test makes room."""
        await self.room.wait()

    def pause_reading(self) -> None:
        """Take note."""
        self.paused.append(True)

    def resume_reading(self) -> None:
        """Take note."""
        self.paused.append(False)

    def stderr_tail(self) -> str:
        """What the last one complained of."""
        return "the tail"

    def kill(self) -> None:
        """End at once."""
        self.end(Exit(signal=9))

    async def aclose(self) -> Exit:
        """End as soon as the test lets it."""
        self.closing.set()
        await self.may_end.wait()
        self.end(Exit(code=0))
        return Exit(code=0)

    def end(self, exit: Exit) -> None:  # noqa: A002
        """Be gone."""
        if not self.is_lost:
            self.is_lost = True
            self.room.set()
            self.receiver.connection_lost(exit)

    def say(self, *messages: dict[str, Any]) -> None:
        """Say these in one read."""
        self.receiver.data_received(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def ids(self, method: str) -> list[int]:
        """The ids of the requests with this method."""
        return [message["id"] for message in self.sent if message.get("method") == method]

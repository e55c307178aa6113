"""What the tests of the desk share: a client on a fake app server, and a way to be cancelled at every single wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from codex_runtime import Client, RestartPolicy, RuntimeConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator

    from codex_runtime import RunProfile, Session
    from codex_runtime.testing import FakeAppServer, ManualClock

T = TypeVar("T")

AT_ONCE = RestartPolicy(backoff=0.0, max_backoff=0.0, budget=100)
"""Start the next app server without a pause."""


@asynccontextmanager
async def at_the_desk(
    fake: FakeAppServer,
    *,
    clock: ManualClock | None = None,
    profile: RunProfile | None = None,
    restart: RestartPolicy = AT_ONCE,
    guest_errors: int = 0,
    **config: Any,
) -> AsyncIterator[Client]:
    """Open a client on the fake, and see to it that nothing of the desk is left, and nobody failed unseen, at the end."""
    settings = RuntimeConfig(launcher=fake, clock=clock, restart=restart, **config)
    async with fake, asyncio.timeout(30), Client(settings, profile=profile) as client:
        yield client
        assert client.runtime.tickets == ()
        assert client.runtime.metrics.guest_errors == guest_errors


@asynccontextmanager
async def in_a_session(fake: FakeAppServer, **config: Any) -> AsyncIterator[Session]:
    """Open a client on the fake, and a session in it."""
    async with at_the_desk(fake, **config) as client, await client.start_session() as session:
        yield session


class CancelledAt(Generic[T]):
    """Await a coroutine and have it cancelled at its `at`-th suspension, wherever in the depth that is.

    `suspensions` tells how many there were: below `at`, and the coroutine ran to its own end.
    """

    def __init__(self, work: Coroutine[Any, Any, T], at: int) -> None:
        self._work = work
        self._at = at
        self.suspensions = 0

    @property
    def was_cancelled(self) -> bool:
        """True if the coroutine came that far."""
        return self.suspensions >= self._at

    def __await__(self) -> Generator[Any, None, T]:
        """Run it."""
        inner = self._work.__await__()
        step = partial(next, inner)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            self.suspensions += 1
            if self.suspensions == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  it is the coroutine's to handle
                step = partial(inner.throw, error)
            else:
                step = partial(next, inner)


async def until(condition: Any) -> None:
    """Let others run until a condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)

"""After a restart: whoever had something with the last app server finds it again, before anybody else may use the new one.

Each reattachment is a guest: one that fails or takes too long is on its own, and holds the rest up for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from codex_runtime._sansio.envelope import JsonValue
from codex_runtime.errors import ConnectionLostError

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.link import Link
    from codex_runtime.runtime._calls import Call, Calls
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Reattach", "Reattachments", "Request"]


class Request(Protocol):
    """A way to ask a new app server, before anybody else may."""

    async def __call__(
        self,
        method: str,
        params: object,
        /,
        *,
        allow_full_access: bool = False,
        note: Callable[[JsonValue], None] | None = None,
    ) -> JsonValue:
        """Return the result, as ``Runtime.request`` does.

        ``note`` gets it as well, inside the dispatch, before whoever follows a thread hears what came after it.
        """
        ...


Reattach: TypeAlias = Callable[[Request], Awaitable[None]]


class Reattachments:
    """What has to run on each new app server. ``limit`` bounds all of it together, in seconds."""

    def __init__(self, *, clock: Clock, counters: Counters, calls: Calls, max_in_flight: int, limit: float) -> None:
        self._clock = clock
        self._counters = counters
        self._calls = calls
        self._max_in_flight = max_in_flight
        self._limit = limit
        self._wanted: dict[object, Reattach] = {}
        self._frail: set[object] = set()
        self._running: set[asyncio.Task[None]] = set()

    def note(self, key: object, reattach: Reattach | None, *, is_frail: bool = False) -> None:
        """Have this run on each new server; ``None`` ends that."""
        if reattach is None:
            self._wanted.pop(key, None)
            self._frail.discard(key)
        else:
            self._wanted[key] = reattach
            if is_frail:
                self._frail.add(key)

    @property
    def are_frail(self) -> bool:
        """True while something would not outlive its server."""
        return bool(self._frail)

    @property
    def running(self) -> set[asyncio.Task[None]]:
        """The tasks that have not ended yet; some were told to long ago."""
        return set(self._running)

    async def run(self, link: Link[Call]) -> None:
        """Run them all at once, until they are done, the time is up or the server is gone."""
        # These calls skip the line, and so its bound: the server loses requests above some number.
        room = asyncio.Semaphore(self._max_in_flight)

        async def request(
            method: str,
            params: object,
            /,
            *,
            allow_full_access: bool = False,
            note: Callable[[JsonValue], None] | None = None,
        ) -> JsonValue:
            async with room:
                if link.lost.done():
                    ended = link.lost.result()
                    problem = f"the app server ended before it was asked: {ended.describe()}"
                    raise ConnectionLostError(problem, generation=link.generation, exit=ended)
                return await self._calls.request_and_note(
                    method, params, note or _ignore, on=link, allow_full_access=allow_full_access
                )

        async def bring(back: Reattach) -> None:
            try:
                await back(request)
            except Exception:  # noqa: BLE001  # a guest's fault stays the guest's
                self._counters.guest_errors += link.alive

        if not self._wanted:
            return
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(bring(back), name="reattach") for back in self._wanted.values()]
        self._running.update(tasks)
        for task in tasks:
            task.add_done_callback(self._running.discard)
        over: asyncio.Future[None] = loop.create_future()
        timer = self._clock.call_at(self._clock.monotonic() + self._limit, _wake, over)
        link.lost.add_done_callback(lambda _: _wake(over))
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: _wake(over))
        try:
            await over
            self._counters.guest_errors += sum(not task.done() for task in tasks) if link.alive else 0
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()


def _ignore(_: JsonValue) -> None:
    pass


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

"""Brings the state to its store: from time to time when it has changed, at once when a turn has ended, and at the end.

Nothing is done per message: whether something changed is seen by looking whether the snapshot is the same object. (And if
nothing has, whether what was saved is still there.) The
bytes are made and saved in a thread of their own, one save at a time; what changes meanwhile is in the next one, so a
later state never loses against an earlier one, and five changes during one save are one more save.

What a store does wrong is counted and told, and costs nobody else anything. A save that failed is tried again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from codex_runtime._io.clock import time_limit
from codex_runtime._io.worker import Worker
from codex_runtime._sansio.snapshot import Encoder, Unreadable, decode
from codex_runtime.errors import CodexError, StoreError
from codex_runtime.runtime.metrics import StateStoreMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_runtime._io.clock import Cancellable, Clock
    from codex_runtime._sansio.projection import Projection
    from codex_runtime._sansio.state import RuntimeState
    from codex_runtime.runtime.state_store import StateStore

__all__ = ["Keeper"]

# Seconds after which a save that has not returned is told of. It is waited for all the same: a second one beside it
# could only be lost against it.
SAVE_DEADLINE = 30.0
# Seconds that a store has to close when its time for the last save is over.
CLOSE_GRACE = 1.0


class Keeper:
    """The store of one runtime and the task that saves to it. ``tell`` is told of trouble: see :class:`StateStoreMetrics`."""

    def __init__(
        self,
        store: StateStore,
        *,
        projection: Projection,
        clock: Clock,
        interval: float,
        tell: Callable[[StateStoreMetrics], None],
    ) -> None:
        self._store = store
        self._projection = projection
        self._clock = clock
        self._interval = interval
        self._tell = tell
        self._encoder = Encoder()
        self._worker = Worker("codex-runtime state")
        self._is_open = False  # of the store; the thread's own
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._later: Cancellable | None = None
        self._rests_until = 0.0
        self._is_closing = False
        self._kept: tuple[object, ...] = _lasting(projection.snapshot())
        self._saves = self._errors = self._bytes = 0
        self._in_a_row = 0
        self._slowest = 0.0
        self._last_error: str | None = None
        self._unreadable: str | None = None

    @property
    def metrics(self) -> StateStoreMetrics:
        """The figures as they are now."""
        name = type(self._store).__name__ if type(self._store).__repr__ is object.__repr__ else repr(self._store)
        return StateStoreMetrics(
            name=name,
            saves=self._saves,
            errors=self._errors,
            unsaved=not self._is_kept(self._projection.snapshot()),
            unreadable=self._unreadable,
            last_error=self._last_error,
            size=self._bytes,
            slowest=self._slowest,
        )

    def hurry(self) -> None:
        """Save now, not only when the interval is over: something ended that nobody would like to lose."""
        if self._is_closing or self._clock.monotonic() >= self._rests_until:
            self._wake.set()
        elif self._later is None:
            self._later = self._clock.call_at(self._rests_until, self._wake.set)

    async def open(self, limit: float) -> None:
        """Bring back what was saved last, and begin to save. Raises a :class:`CodexError` if the store cannot be opened."""
        try:
            async with time_limit(self._clock, limit):
                await self._load()
        except BaseException as error:
            self._worker.submit(self._close)
            self._worker.close()
            if isinstance(error, CodexError) or not isinstance(error, Exception):
                raise
            what = (
                f"did not open within {limit:g} s"
                if isinstance(error, TimeoutError)
                else f"cannot be opened: {error!r}"
            )
            raise StoreError(f"the state store {what}") from error
        self._kept = _lasting(self._projection.snapshot())
        self._wake.clear()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="codex-runtime state store")

    async def aclose(self, grace: float) -> None:
        """Save what changed last and close the store; what takes longer than ``grace`` is not waited for, and told."""
        self._is_closing = True
        self._wake.set()
        self._forget_later()
        if self._task is not None:
            for seconds in (grace, CLOSE_GRACE):
                if not await self._is_done(self._task, seconds):
                    self._task.cancel()
            if not self._is_kept(self._projection.snapshot()):
                self._tell(self.metrics)
            # A thread that hangs in the store is not waited for; when it comes back, it still closes the store.
            self._worker.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        data = await self._worker.submit(self._open)
        if data is None:
            return
        found = await self._worker.submit(lambda: decode(data))
        if isinstance(found, Unreadable):
            where = await self._worker.submit(lambda: self._store.set_aside(found.reason))
            self._unreadable = found.reason if where is None else f"{found.reason}: {where}"
            self._tell(self.metrics)
        else:
            self._projection.restore(found)
            self._bytes = len(data)

    async def _run(self) -> None:
        try:
            while not self._is_closing:
                timer = self._clock.call_at(self._clock.monotonic() + self._interval, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    timer.cancel()
                self._wake.clear()
                self._forget_later()
                await self._save_changes()
            await self._save_changes()
        finally:
            # Not awaited itself: who gives up waiting must not call it off.
            await asyncio.wait([self._worker.submit(self._close)])

    async def _save_changes(self) -> None:
        state = self._projection.snapshot()
        is_kept = self._is_kept(state)
        if is_kept and not self._bytes:
            return
        begun = self._clock.monotonic()
        saving = self._worker.submit(lambda: None if is_kept and self._store.is_there() else self._save(state))
        saving.add_done_callback(_look)
        try:
            async with time_limit(self._clock, SAVE_DEADLINE):
                await asyncio.wait([saving])
        except TimeoutError:
            self._failed(f"no end within {SAVE_DEADLINE:g} s")
            await asyncio.wait([saving])
        took = self._clock.monotonic() - begun
        self._slowest = max(self._slowest, took)
        # A slow store is busy half of the time at most.
        self._rests_until = begun + took + min(took, self._interval)
        if (error := saving.exception()) is not None:
            if is_kept:
                self._kept = (None, None, None)  # it was; somebody took it away
            self._failed(repr(error))
            return
        self._in_a_row = 0
        if (size := saving.result()) is not None:
            self._kept = _lasting(state)
            self._saves += 1
            self._bytes = size

    def _open(self) -> bytes | None:
        """Open the store. In the thread."""
        data = self._store.open()
        self._is_open = True
        return data

    def _close(self) -> None:
        """Close the store, if it is open. In the thread."""
        if self._is_open:
            self._is_open = False
            try:
                self._store.close()
            except Exception as error:  # noqa: BLE001  # a guest's fault stays the guest's
                self._errors += 1
                self._last_error = repr(error)

    def _save(self, state: RuntimeState) -> int:
        """Make the bytes and save them. In the thread."""
        try:
            data = self._encoder.encode(state)
        except Exception as error:  # noqa: BLE001
            # Such an error may show a piece of what it could not encode.
            raise StoreError(f"the state cannot be encoded: {type(error).__name__}") from None
        self._store.save(data)
        return len(data)

    def _failed(self, error: str) -> None:
        self._errors += 1
        self._in_a_row += 1
        self._last_error = error
        if self._in_a_row == 1:
            self._tell(self.metrics)

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _is_kept(self, state: RuntimeState) -> bool:
        return all(now is before for now, before in zip(_lasting(state), self._kept, strict=True))

    async def _is_done(self, task: asyncio.Task[None], seconds: float) -> bool:
        over = asyncio.Event()
        task.add_done_callback(lambda _: over.set())
        timer = self._clock.call_at(self._clock.monotonic() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()
        return task.done()


def _look(job: asyncio.Future[int | None]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not job.cancelled():
        job.exception()


def _lasting(state: RuntimeState) -> tuple[object, ...]:
    """Return what of a state would outlive the program: the same objects for as long as none of it changes."""
    return (state.threads, state.told, state.rate_limits_line)

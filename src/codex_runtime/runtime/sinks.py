"""Sinks: whoever wants every message of a runtime, in order, to keep it or to pass it on.

Write your own by subclassing :class:`EventSink`, or take :class:`JsonlSink`, or the journal of
:mod:`codex_runtime.journal`. What they get, when, and what their faults cost is the business of ``_pump``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from codex_runtime._io.fanout import Gap, Overflow
from codex_runtime._io.files import SYNC_INTERVAL, Flush, LineLog
from codex_runtime._io.worker import Worker
from codex_runtime._sansio.envelope import Envelope
from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.runtime._jsonl import Damage, jsonl, read_jsonl

__all__ = ["Damage", "EventSink", "JsonlSink", "read_jsonl"]

T = TypeVar("T")


class EventSink(Protocol):
    """Takes every message of a runtime, in both directions and in order. Subclass it; only :meth:`write` is a must.

    Credentials that we send are hidden: a sink sees ``***`` in their place (``SECURITY.md`` says which).

    A sink loses nothing as long as it keeps up. One that lags holds up the pipe (never the event loop) for at most
    ``RuntimeConfig.block_patience``, then loses the oldest; with ``overflow = "drop"`` it never holds up anything.

    One sink belongs to one open runtime at a time.
    """

    overflow: Overflow = "block"

    async def open(self) -> None:
        """Make ready, before the app server is started. An error here fails the opening of the runtime."""
        return  # a body, so that a type checker lets a subclass leave it out

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Take what came since the last call: messages, and a :class:`Gap` in the place of what this sink missed.

        Never called again before it has returned. If it raises, or takes longer than half a minute, the batch is lost
        for this sink, and the next one begins with the gap. A sink that fails five times in a row is set aside for half
        a minute, then tried again.
        """
        ...

    async def aclose(self) -> None:
        """Put in order, after the last message. Called once for each :meth:`open`, whatever happened between."""
        return


class JsonlSink(EventSink):
    """Writes a log of JSON lines: one object for each message, with its place, its ids, and the message as it came.

    The file is created, for its owner alone, or added to. ``flush`` says when what was written is also safe from a loss
    of power: ``"interval"`` within a second (or as soon as the disk can), ``"always"`` at once, ``"never"`` when the
    system likes; a crash of this program costs nothing under any of them. ``rotate_bytes`` begins a new file before this
    one gets bigger, unless a single batch is; ``keep`` old ones stay, as ``path.1`` (the youngest), ``path.2``, and so
    on.

    Raises :class:`StoreError` when it cannot be opened, also because another runtime writes to the same file.
    :func:`read_jsonl` reads it back.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush: Flush = "interval",
        rotate_bytes: int | None = None,
        keep: int = 5,
        overflow: Overflow = "block",
    ) -> None:
        if flush not in ("always", "interval", "never"):
            raise ConfigError("flush", f"{flush!r} is not one of 'always', 'interval', 'never'")
        self.overflow = overflow
        self._log = LineLog(path, flush=flush, rotate_bytes=rotate_bytes, keep=keep)
        self._writer: Worker | None = None
        self._syncer: Worker | None = None  # apart, so that waiting for the disk holds up no line
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Future[None] | None = None
        self._trouble: BaseException | None = None  # of a sync that nobody waited for

    def __repr__(self) -> str:
        """Name the file."""
        return f"JsonlSink({os.fspath(self._log.path)!r})"

    async def open(self) -> None:
        """Open the file."""
        if self._writer is not None:
            raise StoreError(f"{self!r} is already open", path=str(self._log.path))
        self._trouble = None
        self._writer = Worker("codex-runtime jsonl")
        self._syncer = Worker("codex-runtime jsonl sync")
        opened: list[LineLog] = []

        def begin() -> None:
            self._log.open()
            opened.append(self._log)

        def end() -> None:
            for log in opened:
                log.close()

        try:
            await self._run(begin)
        except BaseException:
            # What hangs in the file system is not waited for; if it has opened the file after all, that is closed.
            self._end_threads(end)
            raise

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Add a batch, with one write."""
        lines = jsonl(batch)
        await self._run(lambda: self._log.append(lines))
        if self._timer is None and self._log.needs_sync:
            self._plan_sync()

    async def aclose(self) -> None:
        """Wait for the disk and close the file. Raises :class:`StoreError`, also if the disk refused something earlier."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is None:
            return
        done = False
        try:
            if self._late is not None:
                await asyncio.wait([self._late])
            await self._run(self._log.close)
            done = True
            if self._trouble is not None:
                raise self._trouble
        except StoreError:
            done = True
            raise
        finally:
            # A thread that still hangs in the file system is not waited for; it closes the file when it is back.
            self._end_threads(None if done else self._log.close)

    def _plan_sync(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SYNC_INTERVAL, self._sync_later)

    def _sync_later(self) -> None:
        self._timer = None
        if self._syncer is None:
            return
        if self._late is not None and not self._late.done():
            self._plan_sync()  # the disk is slower than that
            return
        # After a failure the log goes on in a new file; it is told at the end, for it costs no batch.
        self._late = self._syncer.submit(self._log.sync)
        self._late.add_done_callback(self._look)

    def _look(self, late: asyncio.Future[None]) -> None:
        if not late.cancelled() and (error := late.exception()) is not None:
            self._trouble = error

    async def _run(self, work: Callable[[], T]) -> T:
        if self._writer is None:
            raise StoreError(f"{self!r} is not open", path=str(self._log.path))
        return await self._writer.submit(work)

    def _end_threads(self, last: Callable[[], object] | None) -> None:
        writer, syncer, self._writer, self._syncer = self._writer, self._syncer, None, None
        if writer is not None and syncer is not None:
            writer.close(last, wait=last is None)
            syncer.close(wait=last is None)

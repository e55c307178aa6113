"""The journal as its users see it, and the sink that fills it.

The one idea: a reader needs no writer. Reading and following work on the file alone, in any process; that the writer is
in this one only makes followers wake sooner.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from msgspec import Struct

from codex_runtime._io.worker import Worker
from codex_runtime._sansio.selection import check_words
from codex_runtime.errors import ConfigError, StoreError
from codex_runtime.journal._entry import Entry
from codex_runtime.journal._reader import Page, Reader
from codex_runtime.journal._segment import Wanted, segments_of
from codex_runtime.journal._store import Retention
from codex_runtime.journal._writing import Writing
from codex_runtime.runtime import Envelope, EventSink, Gap

__all__ = ["Journal", "JournalSink", "JournalStats"]

T = TypeVar("T")

# How many entries one look of a follower takes, and about how many bytes.
PAGE = 1000
PAGE_BYTES = 8 * 1024 * 1024
# No cursor is above it.
LAST = 2**62


class JournalStats(Struct, frozen=True, kw_only=True):
    """How a journal stands: what is in the file, and what this object has done to it.

    ``size`` is what it takes on the disk, in bytes; ``oldest`` and ``newest`` are cursors, 0 if there is no entry.
    ``pruned`` entries went, ``commits`` were made, ``syncs`` of them waited for the disk; ``average`` and ``slowest`` tell
    how long a commit took, in seconds. Those are about this object since it was made: zeros for one that only reads.
    """

    size: int
    oldest: int
    newest: int
    pruned: int
    commits: int
    syncs: int
    average: float
    slowest: float


class Journal:
    """A durable log of everything that runtimes said and heard, in one SQLite file.

    Fill it by giving ``JournalSink(journal)`` to ``RuntimeConfig.sinks``; the file is made then, for its owner alone. One
    process may write at a time, any number may read. Use it as a ``with`` block, or :meth:`close` it, to let go of the
    file after reading.

    ``keep_seconds`` and ``keep_bytes`` bound what is kept, by age and by size; the oldest entries go first, some at a time
    while others are added. They go in segments of up to 512 entries, each when its youngest entry is too old, or when the
    file without it is still above the size; the newest segment always stays. Without a bound everything is kept.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, keep_seconds: float | None = None, keep_bytes: int | None = None
    ) -> None:
        for name, value in (("keep_seconds", keep_seconds), ("keep_bytes", keep_bytes)):
            if value is not None and not value > 0:
                raise ConfigError(name, "must be above 0")
        self.path = Path(path)
        self._reader = Reader(self.path)
        self._reading = threading.Lock()
        self._writing = Writing(self.path, Retention(keep_seconds, keep_bytes))

    def __repr__(self) -> str:
        """Name the file."""
        return f"Journal({os.fspath(self.path)!r})"

    def __enter__(self) -> Self:
        """Use it as a block that closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file that was read. A sink that is open goes on. Idempotent."""
        with self._reading:
            self._reader.close()

    @property
    def position(self) -> int:
        """The cursor of the newest entry, 0 if there is none. Whoever follows from here gets what is to come."""
        with self._reading:
            return self._reader.bounds()[1]

    @property
    def oldest(self) -> int:
        """The cursor of the oldest entry that is left, 0 if there is none."""
        with self._reading:
            return self._reader.bounds()[0]

    def read(
        self,
        *,
        after: int = 0,
        limit: int = 1000,
        thread: str | None = None,
        turn: str | None = None,
        methods: Collection[str] | None = None,
    ) -> list[Entry]:
        """Return up to ``limit`` entries that come after the cursor ``after``, in order.

        ``thread``, ``turn`` and ``methods`` narrow it to messages; gaps are never left out. Blocks for as long as the
        disk takes. Raises :class:`StoreError` if there is no journal, or it cannot be read.
        """
        if limit < 1:
            raise ConfigError("limit", "must be 1 or more")
        check_words(methods=methods)
        with self._reading:
            return self._reader.page(Wanted(thread, turn, methods), after=after, limit=limit).entries

    def last(
        self,
        limit: int = 1,
        *,
        before: int | None = None,
        thread: str | None = None,
        turn: str | None = None,
        methods: Collection[str] | None = None,
    ) -> list[Entry]:
        """Return the last ``limit`` entries, or the last ones before a cursor, in order. It is quick in any journal.

        Otherwise as :meth:`read`.
        """
        if limit < 1:
            raise ConfigError("limit", "must be 1 or more")
        check_words(methods=methods)
        with self._reading:
            end = LAST + 1 if before is None else before
            return self._reader.last(Wanted(thread, turn, methods), before=end, limit=limit)

    def stats(self) -> JournalStats:
        """Return how the journal stands. Raises :class:`StoreError` if there is none."""
        with self._reading:
            oldest, newest = self._reader.bounds()
        beside = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        done = self._writing.figures
        return JournalStats(
            size=sum(path.stat().st_size for path in beside if path.exists()),
            oldest=oldest,
            newest=newest,
            pruned=done.pruned,
            commits=done.commits,
            syncs=done.syncs,
            average=done.busy / done.commits if done.commits else 0.0,
            slowest=done.slowest,
        )

    async def follow(
        self,
        *,
        after: int = 0,
        thread: str | None = None,
        turn: str | None = None,
        methods: Collection[str] | None = None,
        poll: float = 0.1,
    ) -> AsyncIterator[Entry]:
        """Iterate over the entries after a cursor, and go on with those that come, without end, hole or repetition.

        Entries of this process come as soon as they are committed, those of another within ``poll`` seconds. If the
        retention has taken away entries that were not yet read, one of kind ``pruned`` stands in their place. Raises
        :class:`StoreError`.
        """
        check_words(methods=methods)
        reader, waker = Reader(self.path), _Waker()
        worker = Worker("codex-runtime journal reader")
        self._writing.wakers.add(waker.wake)

        wanted = Wanted(thread, turn, methods)

        def look() -> Page:
            return reader.page(wanted, after=after, limit=PAGE, max_bytes=PAGE_BYTES)

        try:
            has_more = False
            while True:
                if has_more or await worker.submit(lambda: reader.has_news):
                    page = await worker.submit(look)
                    if 0 < after < page.oldest - 1:
                        yield _pruned(page.oldest - 1)
                    for entry in page.entries:
                        yield entry
                    has_more, after = not page.is_last, page.looked_to
                if not has_more:
                    await waker.wait(poll)
        finally:
            self._writing.wakers.discard(waker.wake)
            worker.close(reader.close)

    def prune(self) -> int:
        """Take away at once all that need not be kept, and return how many entries went.

        Raises :class:`StoreError`, also if another process writes to the journal.
        """
        return self._writing.prune()


class JournalSink(EventSink):
    """Writes everything that a runtime says and hears into a journal, as one run.

    When :meth:`write` returns, the batch survives a crash of this program. Our answers to server requests, the ends of
    turns, gaps, and the beginning and end of the run also survive a loss of power by then; the rest does with the next
    of those. Several sinks, of several runtimes, may share one journal object.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._writing = journal._writing  # noqa: SLF001  the half of it that is for its sinks
        self._worker: Worker | None = None
        self._run: int | None = None

    def __repr__(self) -> str:
        """Name the journal."""
        return f"JournalSink({self.journal!r})"

    @property
    def run(self) -> int | None:
        """The id of the run that is being written, ``None`` when it is not open."""
        return self._run

    async def open(self) -> None:
        """Begin a run. Raises :class:`StoreError`, also if another process writes to the journal."""
        if self._worker is not None:
            raise StoreError(f"{self!r} is already open", path=str(self.journal.path))
        worker = self._worker = Worker("codex-runtime journal")
        begun: list[int] = []
        try:
            await worker.submit(lambda: begun.append(self._writing.begin()))
        except BaseException:
            self._worker = None
            # What hangs in the file system is not waited for; if it has begun a run after all, that is ended.
            worker.close(lambda: self._writing.end(begun[0]))
            raise
        self._run = begun[0]

    async def write(self, batch: Sequence[Envelope | Gap], /) -> None:
        """Add a batch, all of it or nothing. Raises :class:`StoreError`."""
        if self._run is None:
            raise StoreError(f"{self!r} is not open", path=str(self.journal.path))
        now = time.time()
        if segments := segments_of(batch, self._run, at=now):
            await self._in_turn(lambda: self._writing.add(segments, now=now))

    async def aclose(self) -> None:
        """End the run. Raises :class:`StoreError`, and then it is over all the same."""
        run, self._run = self._run, None
        worker = self._worker
        if run is None or worker is None:
            return
        done = False
        try:
            await self._in_turn(lambda: self._writing.end(run))
            done = True
        except StoreError:
            done = True
            raise
        finally:
            self._worker = None
            # A thread that hangs in the file system is not waited for; it ends the run when it is back.
            worker.close(None if done else lambda: self._writing.end(run), wait=done)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._worker is None:
            raise StoreError(f"{self!r} is not open", path=str(self.journal.path))
        return await self._worker.submit(work)


class _Waker:
    """Wakes a follower, from whichever loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody follows any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


def _pruned(cursor: int) -> Entry:
    return Entry(cursor, 0, -1, 0, 0.0, "inbound", "pruned", None, None, None, None, None, b"")

"""The writing half of a journal: those who write share the one writer of the file, and wake those who follow.

Everything here blocks; each sink calls it from a thread of its own, and they take turns. Raises
:class:`~codex_runtime.errors.StoreError`.

The one idea: the file is opened by the first of those who write and closed by the last, in their turns; so nobody counts
as one of them before the file is ours.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

import msgspec

from codex_runtime.errors import StoreError
from codex_runtime.journal._segment import Segment, mark
from codex_runtime.journal._store import Figures, Retention, Writer

__all__ = ["Writing"]


@final
class Writing:
    """What the sinks of a journal, and the journal itself, do to its file. ``wakers`` are called after each addition."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self.wakers: set[Callable[[], object]] = set()
        self._path = path
        self._writer = Writer(path, retention)
        self._turn = threading.Lock()
        self._runs: set[int] = set()  # those that have begun and not ended

    @property
    def figures(self) -> Figures:
        """What was done since this was made."""
        return self._writer.figures

    def begin(self) -> int:
        """Begin a run and return its id. For the first one the file is opened, and made."""
        about = msgspec.json.encode({"pid": os.getpid()})
        with self._turn:
            if not self._runs:
                self._writer.open()
            try:
                run, now = self._writer.position + 1, time.time()
                self._writer.append([mark("opened", run, at=now, line=about)], now=now)
            except BaseException:
                self._close_if_unused()
                raise
            self._runs.add(run)
        self._wake()
        return run

    def add(self, segments: Sequence[Segment], *, now: float) -> None:
        """Add segments of a run that has begun, all or none."""
        with self._turn:
            self._writer.append(segments, now=now)
        self._wake()

    def end(self, run: int) -> None:
        """End a run. After the last one the file is closed, whatever happened. Idempotent."""
        now = time.time()
        with self._turn:
            if run not in self._runs:
                return
            try:
                self._writer.append([mark("closed", run, at=now)], now=now)
            finally:
                self._runs.remove(run)
                self._close_if_unused()
        self._wake()

    def prune(self) -> int:
        """Take away all that need not be kept, and return how many entries went."""
        with self._turn:
            if not self._runs:
                if not self._path.is_file():
                    raise StoreError(f"there is no journal {self._path}", path=str(self._path))
                self._writer.open()
            try:
                return self._writer.prune(now=time.time())
            finally:
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._runs:
            self._writer.close()

    def _wake(self) -> None:
        for wake in tuple(self.wakers):
            wake()

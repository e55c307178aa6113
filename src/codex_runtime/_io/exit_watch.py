"""Notices that a child of ours has ended, without reaping it and without asking its pipes.

A pipe tells nothing: a grandchild may hold it open for hours. A pidfd tells at once; where there is none, a thread waits.
Until the child is reaped its pid, and the id of the group that it leads, cannot be given to another process, so whoever
uses this may still signal the group when the news comes.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["ExitWatch", "PidfdWatch", "ThreadWatch", "watch_exit"]


class ExitWatch(Protocol):
    """A watch that has been set on one child."""

    def close(self) -> None:
        """Stop watching."""

    def reap(self) -> int | None:
        """Return the child's wait status, once it has ended; ``None`` when somebody else has taken it."""


def watch_exit(pid: int, loop: asyncio.AbstractEventLoop, on_exit: Callable[[], None]) -> ExitWatch:
    """Call ``on_exit`` on the loop, once, when the child ``pid`` has ended."""
    try:
        return PidfdWatch(pid, loop, on_exit)
    except (AttributeError, OSError):  # the interpreter, or the system, does not have it
        return ThreadWatch(pid, loop, on_exit)


class PidfdWatch:
    """Watches through a pidfd (Linux 5.3 or newer)."""

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop, on_exit: Callable[[], None]) -> None:
        self._pid = pid
        self._loop = loop
        self._on_exit = on_exit
        self._fd = os.pidfd_open(pid)
        loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def reap(self) -> int | None:
        """Return the wait status, or ``None`` when somebody else has taken it."""
        return _reap(self._pid)

    def _readable(self) -> None:
        self.close()
        self._on_exit()


class ThreadWatch:
    """Watches with a thread that ends when the child does."""

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop, on_exit: Callable[[], None]) -> None:
        self._pid = pid
        self._loop = loop
        self._on_exit = on_exit
        self._closed = False
        self._status: int | None = None
        self._reaped = False
        # A daemon: a program that ends without closing us must not wait for the child.
        threading.Thread(target=self._wait, name=f"exit of {pid}", daemon=True).start()

    def close(self) -> None:
        """Stop watching: the news will not be told."""
        self._closed = True

    def reap(self) -> int | None:
        """Return the wait status, or ``None`` when somebody else has taken it."""
        return self._status if self._reaped else _reap(self._pid)

    def _wait(self) -> None:
        with suppress(ChildProcessError):
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            else:  # macOS before Python 3.13 cannot look without taking
                self._status = os.waitpid(self._pid, 0)[1]
                self._reaped = True
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_exit()


def _reap(pid: int) -> int | None:
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return status if found else None

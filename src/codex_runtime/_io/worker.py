"""A thread for work that blocks: one job after the other, in the order in which they were handed over.

Nothing waits for a job that hangs, in a dead file system say: not the event loop, not whoever gave up on it, and not the end
of the program either. That is why this is not the standard library's pool of threads, which the interpreter joins at its end.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "carried"]

T = TypeVar("T")


@final
class Worker:
    """One such thread. It begins with the first job and ends with :meth:`close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have ``work()`` done after all that was handed over before. A job that is called off before it begins is skipped."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            if done.cancelled():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # it is raised where the work was handed over
                _soon(loop, partial(_fail, done, carried(error)))
            else:
                _soon(loop, partial(_finish, done, result))

        self._jobs.put(job)
        if self._thread is None:
            self._thread = Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        return done

    def close(self, last: Callable[[], object] | None = None, *, wait: bool = False) -> None:
        """Take no more jobs, and end after those that are there and ``last``, of which nobody hears what comes of it.

        ``wait`` for that only if none of them can hang.
        """
        if last is not None and self._thread is not None:
            self._jobs.put(partial(_quietly, last))
        self._jobs.put(None)
        if wait and self._thread is not None:
            self._thread.join()


def _work(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # what it holds may be large, and the next one may be long in coming


def _quietly(last: Callable[[], object]) -> None:
    with suppress(BaseException):
        last()


def _soon(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody wants to know
        loop.call_soon_threadsafe(tell)


def _finish(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


def carried(error: BaseException) -> Exception:
    """Return what was raised on a thread as a future can carry it, and as ends no more than the call that it was raised in."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(repr(error))

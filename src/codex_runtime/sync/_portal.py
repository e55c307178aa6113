"""A private event loop on a thread of its own, and the way in and out of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from codex_runtime._io.worker import carried
from codex_runtime.errors import LocalProtocolError, RuntimeClosedError

__all__ = ["Portal", "on_a_thread"]

T = TypeVar("T")
P = ParamSpec("P")


class Portal:
    """Runs coroutines on its own loop for callers on other threads.

    A caller that is interrupted (Ctrl-C) cancels its coroutine and waits until that has cleaned up: a turn is then
    interrupted on the server before the exception goes on.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        # Whoever has it may hand something to the loop: the loop then still takes it, if only to cancel it.
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        """True between start and stop, in the process that started it: threads do not survive a fork."""
        return self._thread is not None and self._pid == os.getpid()

    def start(self) -> None:
        """Start the thread."""
        if self._thread is not None:
            raise LocalProtocolError("it is already open")
        running = threading.Event()

        def main() -> None:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._loop.call_soon(running.set)
                self._loop.run_forever()

        self._pid = os.getpid()
        self._thread = threading.Thread(target=main, name="codex-runtime loop", daemon=True)
        self._thread.start()
        running.wait()

    def stop(self) -> None:
        """End the thread, and cancel what still runs on it. Idempotent; does nothing in a forked child."""
        if not self.is_running:
            return
        with self._lock:
            thread, self._thread = self._thread, None
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join()

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the loop and return what it returns, or raise what it raises."""
        done = threading.Event()
        tasks: list[asyncio.Task[T]] = []

        async def work() -> T:
            return await function(*args, **kwargs)

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(lambda _: done.set())
            tasks.append(task)

        loop = None
        try:  # from here on, for Ctrl-C comes between any two steps
            with self._lock:
                loop = self._require_loop()
                loop.call_soon_threadsafe(begin)
            done.wait()
        except BaseException:
            if loop is not None:
                self._cancel(loop, tasks, done)
                done.wait()
                if tasks and not tasks[0].cancelled():
                    tasks[0].exception()  # seen, so that the loop does not complain of it
            raise
        if tasks[0].cancelled():
            raise RuntimeClosedError("it was closed by another thread")
        return tasks[0].result()

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on the loop's thread and return what it returns."""

        async def wrapped() -> T:
            return function(*args, **kwargs)

        return self.run(wrapped)

    def _cancel(self, loop: asyncio.AbstractEventLoop, tasks: list[asyncio.Task[T]], done: threading.Event) -> None:
        def cancel() -> None:
            if tasks:
                tasks[0].cancel()
            else:
                done.set()  # the loop keeps the order: what has not begun by now never will

        with self._lock:
            if loop.is_closed():
                done.set()  # it has cancelled everything itself
            else:
                loop.call_soon_threadsafe(cancel)

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise LocalProtocolError("it is not open: use it as a `with` block")
        if self._pid != os.getpid():
            raise LocalProtocolError("it belongs to the process that opened it; open another one after a fork")
        if threading.current_thread() is self._thread:
            raise LocalProtocolError("this would wait for its own thread; use the asynchronous names here")
        return self._loop


async def on_a_thread(function: Callable[[T], object], value: T) -> None:
    """Call a function that may block, and wait for it. Nothing waits for a thread that nobody wants any more."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def main() -> None:
        error: Exception | None = None
        try:
            function(value)
        except BaseException as failure:  # noqa: BLE001  it is raised where the function was asked for
            error = carried(failure)
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=main, name="codex-runtime handler", daemon=True).start()
    await done

"""A private event loop on a thread of its own, and the way in and out of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from codex_runtime.errors import LocalProtocolError

__all__ = ["Portal"]

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

    @property
    def is_running(self) -> bool:
        """True between start and stop."""
        return self._thread is not None

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

        self._thread = threading.Thread(target=main, name="codex-runtime loop", daemon=True)
        self._thread.start()
        running.wait()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop = None

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the loop and return what it returns, or raise what it raises."""
        loop = self._require_loop()
        done = threading.Event()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = loop.create_task(function(*args, **kwargs))
            task.add_done_callback(lambda _: done.set())
            tasks.append(task)

        loop.call_soon_threadsafe(begin)
        try:
            done.wait()
        except BaseException:
            loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            done.wait()
            if not tasks[0].cancelled():
                tasks[0].exception()  # seen, so that the loop does not complain of it
            raise
        return tasks[0].result()

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a plain function on the loop's thread and return what it returns."""

        async def wrapped() -> T:
            return function(*args, **kwargs)

        return self.run(wrapped)

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise LocalProtocolError("it is not open: use it as a `with` block")
        if threading.current_thread() is self._thread:
            raise LocalProtocolError("this would wait for its own thread; use the asynchronous names here")
        return self._loop

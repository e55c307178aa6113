"""Ctrl-C and its relatives, while a command runs on the event loop.

The first Ctrl-C asks gently, if there is somebody to ask; the second, or SIGTERM or SIGHUP, ends the command at once. Ending
means to cancel its task: everything is closed on the way out, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from codex_runtime.cli._exits import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["Signals", "complete", "end_at_once"]

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_at_once(pid: int | None) -> None:
    """Kill a process, if there is one."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def complete(work: Callable[[Signals], Awaitable[ExitCode]]) -> ExitCode:
    """Run a command on an event loop of its own. Raises :class:`Failure` if a signal, or a closed pipe, ended it."""

    async def under_signals() -> ExitCode:
        with Signals() as signals:
            try:
                return await work(signals)
            except asyncio.CancelledError:
                if signals.caught is None:
                    raise
                raise signals.failure() from None
            except BrokenPipeError:
                # Said here, because typer has its own idea of what that means.
                raise Failure(ExitCode.PIPE_CLOSED, "") from None

    return asyncio.run(under_signals())


class Signals:
    """Use it as ``with Signals() as signals`` in the task that is to be ended.

    ``on_first`` is called at the first Ctrl-C, instead of ending; ``on_end`` is called just before the task is cancelled.
    """

    def __init__(self) -> None:
        self.on_first: Callable[[], object] | None = None
        self.on_end: Callable[[], object] | None = None
        self.caught: signal.Signals | None = None
        self._task: asyncio.Task[object] | None = None
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._taken = [
            number for number in _CAUGHT if signal.getsignal(number) is not signal.SIG_IGN
        ]  # as nohup wants it
        for number in self._taken:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._taken:
            asyncio.get_running_loop().remove_signal_handler(number)

    def failure(self) -> Failure:
        """What to end with after the task was cancelled."""
        if self.caught in (None, signal.SIGINT):
            return Failure(ExitCode.INTERRUPTED, "interrupted; everything that was started has ended")
        return Failure(ExitCode.TERMINATED, "terminated; everything that was started has ended")

    def _on_signal(self, number: signal.Signals) -> None:
        is_first, self.caught = self.caught is None, number
        if is_first and number is signal.SIGINT and self.on_first is not None:
            self.on_first()
            return
        if self.on_end is not None:
            self.on_end()
        if self._task is not None:
            self._task.cancel()

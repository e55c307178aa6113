"""The one long-lived task of a runtime: start an app server, watch it end, decide, start the next.

It knows links, the clock and the restart rule. It knows no message and no session: what has to happen at each step is
given to it as :class:`Steps`. The one idea: whatever ends this task, somebody tells those who wait for it.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol

from codex_runtime._io.clock import time_limit
from codex_runtime._io.link import Link
from codex_runtime._sansio.restart import Exit, GiveUp, Restart, RestartHistory, RestartPolicy, decide
from codex_runtime.errors import CodexError, HandshakeError, RuntimeDeadError, StartError

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.transport import Launcher
    from codex_runtime.runtime._calls import Call

__all__ = ["Steps", "Supervisor"]


class Steps(Protocol):
    """What a runtime does at each step of a generation's life."""

    def data(self, link: Link[Call], data: bytes) -> None:
        """The server wrote something."""

    async def greet(self, link: Link[Call]) -> None:
        """The server is up: greet it. Raises :class:`StartError`."""

    async def reattach(self, link: Link[Call]) -> None:
        """The server is greeted: give it back what the one before it knew."""

    def ready(self, link: Link[Call], previous: Exit | None) -> None:
        """Everyone may use it now."""

    def lost(self, link: Link[Call], ended: Exit) -> None:
        """It is gone. Called at that moment, whatever the supervisor waits for just then."""

    def restarting(self, generation: int, cause: str) -> None:
        """The next one will be started after a pause."""

    def dead(self, error: RuntimeDeadError) -> None:
        """There will be no next one."""


class Supervisor:
    """Runs one app server after the other, never two at a time."""

    def __init__(
        self,
        *,
        launcher: Launcher,
        policy: RestartPolicy,
        clock: Clock,
        start_deadline: float,
        line_limit: int,
        steps: Steps,
    ) -> None:
        self._launcher = launcher
        self._policy = policy
        self._clock = clock
        self._start_deadline = start_deadline
        self._line_limit = line_limit
        self._steps = steps
        self._generation = 0

    async def run(self, started: asyncio.Future[None]) -> None:
        """Supervise until the budget is spent or the task is cancelled.

        ``started`` gets the outcome of the very first start. If that fails there is nothing to restart, and the run
        ends.
        """
        try:
            await self._supervise(started)
        except Exception as error:  # noqa: BLE001  # told to everyone who would else wait for this task for ever
            if not started.done():
                started.set_exception(error)
                return
            dead = RuntimeDeadError(f"the supervision of the app server failed: {error!r}", generation=self._generation)
            dead.__cause__ = error
            self._steps.dead(dead)

    async def _supervise(self, started: asyncio.Future[None]) -> None:
        first_id, history = 1, RestartHistory()
        previous: Exit | None = None
        while True:
            link: Link[Call] = Link(
                generation=self._generation,
                first_id=first_id,
                line_limit=self._line_limit,
                on_data=self._steps.data,
                on_lost=self._steps.lost,
            )
            ready_at: float | None = None
            try:
                await self._start(link)
                ready_at = self._clock.monotonic()
                self._steps.ready(link, previous)
                if not started.done():
                    started.set_result(None)
                ended = await link.over()
                cause = ended.describe()
            except StartError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                ended, cause = error.exit or Exit(), str(error)
            finally:
                # Also when the task is cancelled: the server is gone before this task is.
                await link.aclose()
            now = self._clock.monotonic()
            # Replaced by us, it did not fail: neither the budget nor the back-off knows of it.
            verdict = Restart(0.0, history) if link.is_retired else self._decide(link, ended, history, ready_at, now)
            if isinstance(verdict, GiveUp):
                text = f"the app server ended ({cause}) and is not started again: {verdict.reason}"
                self._steps.dead(RuntimeDeadError(text, generation=self._generation, exit=ended))
                return
            history, previous = verdict.history, ended
            self._steps.restarting(self._generation, cause)
            await self._clock.sleep_until(now + verdict.delay)
            self._generation, first_id = self._generation + 1, link.peer.next_id

    def _decide(
        self, link: Link[Call], ended: Exit, history: RestartHistory, ready_at: float | None, now: float
    ) -> Restart | GiveUp:
        return decide(
            self._policy,
            history,
            clean=ready_at is not None and ended.clean and not link.left_work,
            uptime=0.0 if ready_at is None else now - ready_at,
            now=now,
            chance=random.random(),  # noqa: S311  # spreads restarts; not a secret
        )

    async def _start(self, link: Link[Call]) -> None:
        """Bring a server up to where everyone may use it. Raises :class:`StartError`."""
        try:
            async with time_limit(self._clock, self._start_deadline):
                await self._launch(link)
                await self._steps.greet(link)
        except TimeoutError:
            problem, cause = f"was not ready within {self._start_deadline:g} s", None
        except StartError:
            raise
        except CodexError as error:
            problem, cause = f"did not complete the greeting: {error}", error
        else:
            await self._steps.reattach(link)
            if link.alive:
                return
            problem, cause = "ended at once", None
        ended = await link.aclose()
        detail = f" ({ended.describe()})" if ended is not None else ""
        raise HandshakeError(f"the app server {problem}{detail}", exit=ended) from cause

    async def _launch(self, link: Link[Call]) -> None:
        try:
            await link.open(self._launcher)
        except StartError:
            raise
        except Exception as error:
            # A launcher of the caller's own is a guest: its mistake is a start that failed, like any other.
            raise StartError(f"the launcher failed: {error!r}") from error

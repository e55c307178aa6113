"""The one long-lived task of a runtime: start an app server, watch it end, decide, start the next.

It knows links, the clock and the restart rule. It knows no message and no session: what has to happen at each step is
given to it as :class:`Steps`.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol

from codex_runtime._io.link import Link
from codex_runtime._sansio.restart import Exit, GiveUp, RestartHistory, RestartPolicy, decide
from codex_runtime.errors import CodexError, HandshakeError, StartError

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
        """It is gone."""

    def restarting(self, generation: int, cause: str) -> None:
        """The next one will be started after a pause."""

    def dead(self, generation: int, ended: Exit, reason: str) -> None:
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

    async def run(self, started: asyncio.Future[None]) -> None:
        """Supervise until the budget is spent or the task is cancelled.

        ``started`` gets the outcome of the very first start. If that fails there is nothing to restart, and the run
        ends.
        """
        generation, first_id, history = 0, 1, RestartHistory()
        previous: Exit | None = None
        while True:
            link: Link[Call] = Link(
                generation=generation, first_id=first_id, line_limit=self._line_limit, on_data=self._steps.data
            )
            ready_at: float | None = None
            try:
                await self._start(link)
                await self._steps.reattach(link)
                ready_at = self._clock.monotonic()
                if link.alive:
                    self._steps.ready(link, previous)
                    if not started.done():
                        started.set_result(None)
                ended = await asyncio.shield(link.lost)
            except StartError as error:
                ended = error.exit or Exit(stderr_tail=str(error))
                if not started.done():
                    started.set_exception(error)
                    return
            finally:
                # Also when the task is cancelled: the server is gone before this task is.
                await link.aclose()
            self._steps.lost(link, ended)
            if not started.done():
                started.set_exception(HandshakeError(f"the app server ended at once: {ended.describe()}", exit=ended))
                return
            now = self._clock.monotonic()
            verdict = decide(
                self._policy,
                history,
                clean=ready_at is not None and ended.clean,
                uptime=0.0 if ready_at is None else now - ready_at,
                now=now,
                chance=random.random(),  # noqa: S311  # spreads restarts; not a secret
            )
            if isinstance(verdict, GiveUp):
                self._steps.dead(generation, ended, verdict.reason)
                return
            history, previous = verdict.history, ended
            self._steps.restarting(generation, ended.describe())
            await self._clock.sleep_until(now + verdict.delay)
            generation, first_id = generation + 1, link.peer.next_id

    async def _start(self, link: Link[Call]) -> None:
        try:
            async with asyncio.timeout(self._start_deadline):
                await link.open(self._launcher)
                await self._steps.greet(link)
        except TimeoutError:
            raise HandshakeError(f"the app server was not ready within {self._start_deadline:g} s") from None
        except StartError:
            raise
        except CodexError as error:
            ended = await link.aclose()
            detail = f" ({ended.describe()})" if ended is not None else ""
            raise HandshakeError(
                f"the app server did not complete the greeting{detail}: {error}", exit=ended
            ) from error

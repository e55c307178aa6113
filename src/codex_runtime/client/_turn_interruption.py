"""How a turn is stopped: ask the server until it does, and end the turn on our side if that does not happen in time.

The server refuses to interrupt a turn that it has accepted but not yet started, and may have no way to hear us just now; so
the one idea is to ask again, within one grace for everything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from codex_runtime.errors import CodexError, RequestFailedError

if TYPE_CHECKING:
    from codex_runtime.client._turn_state import TurnState

__all__ = ["GRACE", "Interruption"]

# How long an interrupted turn gets to end, in seconds. The real server needs some 15 ms.
GRACE = 5.0
# Until the server is asked again.
RACE_PAUSE = 0.02


class Interruption:
    """Stops one turn."""

    def __init__(self, state: TurnState) -> None:
        self._state = state

    async def stop(self, asking: asyncio.Task[None] | None) -> None:
        """Have the server stop the turn, and give it up if that does not happen within the grace.

        ``asking`` is the start, which may be under way yet.
        """
        state = self._state
        until = state.clock.monotonic() + GRACE
        if asking is not None and not asking.done():
            await self._stop_asking(asking, until)
        if state.turn_id is not None:
            await self._interrupt(state.turn_id, until)
        state.give_up()

    async def once(self, turn_id: str, seconds: float) -> bool:
        """Ask the server to stop the turn. False: it says that there is none, or it went away and may come back."""
        state = self._state
        params = {"threadId": state.thread_id, "turnId": turn_id}
        asking = state.runtime.request("turn/interrupt", params, deadline=seconds)
        request = asyncio.get_running_loop().create_task(asking, name="interrupt a turn")
        try:
            # A turn that just ended was interrupted by somebody else: the server may then never answer.
            await asyncio.wait([request, state.over], return_when=asyncio.FIRST_COMPLETED)
            if request.done():
                request.result()
        except RequestFailedError:
            return False
        except CodexError:
            # No answer, or no server. The end of the turn is told by its own message, if at all.
            return not state.is_away
        finally:
            request.cancel()
        return True

    async def _stop_asking(self, asking: asyncio.Task[None], until: float) -> None:
        state = self._state
        # With no server to talk to, nothing was asked yet. Else half of the grace is for the start to be answered, which
        # names the turn, and the rest for the interruption.
        if is_asked := state.runtime.connection.phase == "running":
            await state.first(asking, state.over, until=until - GRACE / 2)
        if asking.done():
            return
        asking.cancel()
        try:
            await asyncio.wait([asking])
            if is_asked and state.turn_id is None:
                # It may begin all the same. Without an id, the server takes whichever turn there is.
                await self.once("", until - state.clock.monotonic())
        finally:
            if state.turn_id is None:
                state.give_up()

    async def _interrupt(self, turn_id: str, until: float) -> None:
        """Ask the server to stop the turn until it does, or the time is over."""
        state = self._state
        while not state.is_over and (left := until - state.clock.monotonic()) > 0:
            if await self.once(turn_id, left):
                break
            # Accepted but not started yet, or just over: only a little patience tells which.
            await state.first(state.over, until=min(until, state.clock.monotonic() + RACE_PAUSE))
        await state.first(state.over, until=until)

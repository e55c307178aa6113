"""How a turn is begun: wait for a server, follow the thread, ask, and learn the turn's id before its first message comes.

The one idea: whoever waits for the start may be cancelled, but the asking goes on in a task of its own, so that it can still
be learnt which turn has to be interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from codex_runtime.client._turn_interruption import GRACE
from codex_runtime.errors import (
    ConnectionLostError,
    RemoteProtocolError,
    RequestFailedError,
    RequestTimeoutError,
    SessionBusyError,
)

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime.client._session import Session
    from codex_runtime.client._turn_interruption import Interruption
    from codex_runtime.client._turn_state import TurnState
    from codex_runtime.runtime import ThreadListener

__all__ = ["TurnStart"]


class TurnStart:
    """The start of one turn. ``params`` are those of ``turn/start``; ``listener`` follows the thread from before it is sent."""

    def __init__(
        self,
        state: TurnState,
        session: Session,
        params: Callable[[], dict[str, JsonValue]],
        listener: ThreadListener,
        interruption: Interruption,
        *,
        allow_full_access: bool,
    ) -> None:
        self._state = state
        self._session = session
        self._params = params
        self._listener: ThreadListener | None = listener
        self._interruption = interruption
        self._allow_full_access = allow_full_access
        self._stop_listening: Callable[[], None] | None = None
        self._is_taken_for_remark = False

    def stop_listening(self) -> None:
        """Follow the thread no more."""
        if self._stop_listening is not None:
            self._stop_listening()

    def let_go(self) -> None:
        """Forget the listener, which is the turn: a circle would keep all that came of it until the collector comes."""
        self.stop_listening()
        self._listener = self._stop_listening = None

    async def ask(self) -> None:
        """Have the server begin the turn. Raises what that comes to."""
        state = self._state
        runtime = state.runtime
        until = state.clock.monotonic() + runtime.config.request_deadline
        try:
            while not await self._ask_once(until):
                # While it waited in line, the server was restarted and the thread began afresh under another id.
                continue
        except RequestTimeoutError:
            if runtime.connection.phase == "running":
                await self._interruption.once("", GRACE)
            raise
        if self._is_taken_for_remark:
            await self._interruption.once(self._session.loose_turn or "", GRACE)
            raise SessionBusyError(
                "the server still ran the turn before, which was lost or had ignored its interruption; try again"
            )
        if state.turn_id is None and not state.is_over:
            raise RemoteProtocolError("turn/start: the result has no turn id")

    async def _ask_once(self, until: float) -> bool:
        """Ask for the turn. False: the thread has another id by now."""
        state = self._state
        runtime = state.runtime
        await self._wait_ready(until)
        thread_id = self._session.require_thread()
        if (left := until - state.clock.monotonic()) <= 0:
            raise RequestTimeoutError("turn/start", runtime.config.request_deadline)
        self._listen(thread_id)
        try:
            await runtime.request_and_note(
                "turn/start", self._params(), self._begin, deadline=left, allow_full_access=self._allow_full_access
            )
        except RequestFailedError:
            if thread_id == self._session.thread_id:
                raise
            return False
        except ConnectionLostError as error:
            if state.cause is None:
                raise
            state.lose(error)
        return True

    async def _wait_ready(self, until: float) -> None:
        runtime = self._state.runtime
        if runtime.connection.phase != "running":
            ready = asyncio.get_running_loop().create_task(runtime.wait_ready(), name="wait for a server")
            try:
                await self._state.first(ready, until=until)
                if ready.done():
                    ready.result()
            finally:
                ready.cancel()

    def _listen(self, thread_id: str) -> None:
        self.stop_listening()
        self._state.follow(thread_id)
        if self._listener is not None:
            self._stop_listening = self._state.runtime.listen(thread_id, self._listener)

    def _begin(self, reply: JsonValue) -> None:
        """Learn the turn's id, before any message of the turn comes."""
        turn = reply.get("turn") if isinstance(reply, dict) else None
        turn_id = turn.get("id") if isinstance(turn, dict) else None
        if isinstance(turn_id, str):
            # A busy thread does not refuse a turn, it takes it for a remark on the one that runs.
            self._is_taken_for_remark = turn_id == self._session.loose_turn
            if not self._is_taken_for_remark:
                self._state.push(self._state.reducer.begin(turn_id))

"""The work of a soak: sessions that run turns without end, ended in every way that a turn can end, and callers beside them.

The one idea: what a turn says carries its own check, so a text that lost or doubled a piece is seen without knowing which
turn got which script.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final

from codex_runtime import ApprovalRequested, CodexError, TurnStarted

if TYPE_CHECKING:
    from codex_runtime import Client, Session, Turn, TurnResult
    from verification.soak.guests import Answerers
    from verification.soak.ledger import Ledger

__all__ = ["Thread", "checked", "is_whole"]

TURN: Final = 10.0  # seconds that a turn is given
GRACE: Final = 5.0  # and how long its interruption may take
CALL: Final = 3.0
OPENING: Final = 12.0


def checked(text: str) -> str:
    """Return a text with its check sum behind it."""
    return f"{text} [{zlib.crc32(text.encode()):08x}]"


def is_whole(text: str) -> bool:
    """Tell whether a text with a check sum is as it was."""
    return text == checked(text[:-11])


class Thread:
    """One of those who run turns without end. ``turn`` and ``waiting`` are the turn and the call that run now, to be cancelled."""

    def __init__(
        self, client: Client, ledger: Ledger, answerers: Answerers, chance: Random, *, cwd: str, pace: float, real: bool
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._answerers = answerers
        self._chance = chance
        self._cwd = cwd
        self._pace = pace
        self._real = real
        self.turn: asyncio.Task[None] | None = None
        self.waiting: asyncio.Task[None] | None = None
        self.is_over = False

    async def run(self) -> None:
        """Start a session, run some turns on it, close it, and begin again."""
        while not self.is_over:
            hooks = (self._answerers.hook,) if self._chance.random() < 0.3 else ()
            work = self._client.start_session(cwd=self._cwd, hooks=hooks, sandbox="read-only")
            session = await self._ledger.settled("start a session", OPENING, work)
            if session is None:
                await asyncio.sleep(0.1)
                continue
            for _ in range(self._chance.randint(3, 20)):
                if session.is_closed or self.is_over:
                    break
                await self._one(session)
            archive = self._chance.random() < 0.3
            await self._ledger.settled("close a session", TURN + GRACE, session.aclose(archive=archive))

    async def call(self) -> None:
        """Make calls, one after the other, each in a task that can be cancelled."""
        while not self.is_over:
            self.waiting = asyncio.ensure_future(self._call())
            await asyncio.wait([self.waiting])
            await asyncio.sleep(self._chance.uniform(0.0, 0.2))

    async def _call(self) -> None:
        await self._ledger.settled("call", CALL, self._client.runtime.request("model/list", {}, deadline=CALL))

    async def _one(self, session: Session) -> None:
        """Run one turn and keep the pace."""
        began, before = time.monotonic(), self._client.runtime.metrics.messages
        self.turn = asyncio.ensure_future(self._turn(session))
        await asyncio.wait([self.turn])
        if self.turn.cancelled():
            self._ledger.outcomes["turn: its caller was cancelled"] += 1
        else:
            self.turn.result()
        self.turn = None
        told = self._client.runtime.metrics.messages - before
        await asyncio.sleep(max(0.0, told / self._pace - (time.monotonic() - began)))

    async def _turn(self, session: Session) -> None:
        approvals = self._chance.choice(("accept", "decline", "stream", "handler", "handler"))
        options: dict[str, Any] = {"approvals": self._answerers.pick() if approvals == "handler" else approvals}
        mode = self._chance.choices(
            ("run", "stream", "leave", "short", "interrupt", "steer"), weights=(10, 6, 2, 2, 1, 1)
        )[0]
        bound = self._chance.uniform(0.02, 0.5) if mode == "short" else TURN
        options["deadline"] = bound
        options["on_crash"] = self._chance.choice(("reconcile", "reconcile", "lose"))
        if self._real and approvals != "decline":
            options["approval_policy"] = "untrusted"
        prompt = f"{mode} {self._chance.random()}"
        if mode in ("run", "short") and approvals != "accept":
            work = session.run(prompt, **options)
        else:
            turn = session.stream(prompt, **options)
            work = self._read(turn, mode, accepts=approvals == "accept", streams=approvals == "stream")
        result = await self._ledger.settled(f"turn, {mode}", bound + GRACE, work)
        if result is not None and result.status == "completed":
            self._ledger.require(is_whole(result.text), "I4", f"a turn that said {result.text[-60:]!r}")

    async def _read(self, turn: Turn, mode: str, *, accepts: bool, streams: bool) -> TurnResult:
        try:
            async with turn:
                seen = 0
                async for event in turn:
                    seen += 1
                    if streams and isinstance(event, ApprovalRequested):
                        with suppress(CodexError):  # it may have been withdrawn meanwhile
                            self._answerers.settle(event.ticket)
                    if mode == "steer" and isinstance(event, TurnStarted):
                        await self._ledger.settled("steer", OPENING, turn.steer("and hurry"))
                    if mode == "leave" and seen > 3:
                        return turn.result
                    if mode == "interrupt" and seen > 3:
                        return await turn.interrupt()
                return await turn.finish()
        finally:
            if accepts and turn.turn_id is not None:
                self._ledger.yes_turns.add(turn.turn_id)

"""The hands of the watchdog: look at the app server from time to time, and do what the rule says.

The rule is in ``_sansio/watchdog``. There is a timer while somebody follows a turn or while memory above the limit waits
for a quiet moment, and a task while a probe is open; a runtime at rest has neither. Nothing here knows what a message
means, but for the answer to its own probe.

The one idea: whatever the server says is a sign of life, so a probe needs no answer of its own. Bytes are counted anyway.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from codex_runtime._sansio.watchdog import Kill, Memory, Probe, Recycle, Sight, WatchdogPolicy, consider, pace
from codex_runtime.errors import CodexError

if TYPE_CHECKING:
    from codex_runtime._io.clock import Cancellable, Clock
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.envelope import Envelope
    from codex_runtime.runtime._calls import Call, Calls

__all__ = ["Ward", "Watchdog", "resident_bytes"]

# Experimental: without `experimental_api` the server refuses it.
METHOD = "server/diagnostics"


class Diagnosis(msgspec.Struct):
    """What we want to know of the answer to a probe."""

    class Process(msgspec.Struct, rename="camel"):
        """The part that is about the process."""

        resident_memory_bytes: int | None = None

    process: Process = msgspec.field(default_factory=Process)


class Ward(Protocol):
    """What a watchdog sees of its runtime, and may do to it."""

    @property
    def is_followed(self) -> bool:
        """True while somebody follows a turn."""

    def sight(self, link: Link[Call], resident: int | None) -> Sight:
        """Show how the server is."""

    def recycle(self, link: Link[Call], reason: str) -> None:
        """Replace a server that nobody uses just now."""


class Watchdog:
    """Watches the app server of one runtime. Without a policy it does nothing."""

    def __init__(self, policy: WatchdogPolicy | None, *, clock: Clock, calls: Calls, ward: Ward) -> None:
        self._policy = policy
        self._clock = clock
        self._calls = calls
        self._ward = ward
        self._link: Link[Call] | None = None
        self._memory = Memory(at=0.0)
        self._resident: int | None = None
        self._timer: Cancellable | None = None
        self._probe: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Take note that somebody follows a turn."""
        if self._timer is None and self._policy is not None:
            if (link := self._calls.link) is not None:
                self._meet(link)  # its silence counts from now on
            self._plan(self._policy)

    def look(self) -> None:
        """Look at once if memory waits for a quiet moment: the last turn is over, and this may be it."""
        if self._policy is not None and self._is_too_big(self._policy):
            self._look(self._policy)

    @property
    def resident(self) -> int | None:
        """The memory of the ready server in bytes, as it is now or was last told."""
        link = self._calls.link
        if link is None or not link.alive:
            return None
        now = resident_bytes(link.transport.pid)
        return self._resident if now is None and link is self._link else now

    async def aclose(self) -> None:
        """Watch no more."""
        self._policy = None
        if self._timer is not None:
            self._timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    def _plan(self, policy: WatchdogPolicy) -> None:
        self._timer = self._clock.call_at(self._clock.monotonic() + pace(policy), self._tick, policy)

    def _tick(self, policy: WatchdogPolicy) -> None:
        self._timer = None
        self._look(policy)
        # While there is no server, turns wait for the next.
        if self._ward.is_followed or self._is_too_big(policy):
            self._plan(policy)

    def _meet(self, link: Link[Call]) -> None:
        if link is not self._link:
            self._link, self._resident = link, None
            self._memory = Memory(at=self._clock.monotonic(), heard=self._ward.sight(link, None).heard)

    def _look(self, policy: WatchdogPolicy) -> None:
        link = self._calls.link
        if link is None or not link.alive:
            return
        self._meet(link)
        sight = self._ward.sight(link, self._resident)
        action, self._memory = consider(policy, self._memory, sight, now=self._clock.monotonic())
        match action:
            case Probe():
                if self._probe is not None:
                    self._probe.cancel()
                asking = self._ask(policy, link)
                self._probe = asyncio.get_running_loop().create_task(asking, name="probe the app server")
            case Recycle(reason):
                self._ward.recycle(link, reason)
            case Kill(reason):
                link.kill(reason)

    async def _ask(self, policy: WatchdogPolicy, link: Link[Call]) -> None:
        """Ask past the line, which a server that does not answer keeps full. The rule measures the time, not this."""
        try:
            answer = await self._calls.run("request", METHOD, {}, policy.probe_every + policy.probe_deadline, on=link)
        except CodexError:
            return  # no answer, or no server: what was heard by then says it all
        if link is self._link and answer is not None:
            told = _resident_in(answer)
            self._resident = resident_bytes(link.transport.pid) if told is None else told
            if self._timer is None and self._policy is not None and self._is_too_big(policy):
                self._tick(policy)  # the last turn was over by the time of the answer

    def _is_too_big(self, policy: WatchdogPolicy) -> bool:
        return (
            policy.rss_limit is not None
            and self._resident is not None
            and self._resident > policy.rss_limit
            and self._link is not None
            and self._link is self._calls.link
        )


def _resident_in(answer: Envelope) -> int | None:
    """The memory in an answer. A server that refuses the question, or answers another one, lives as well."""
    if answer.fault is not None or answer.refused:
        return None
    try:
        return msgspec.json.decode(answer.result, type=Diagnosis).process.resident_memory_bytes
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def resident_bytes(pid: int | None) -> int | None:
    """The memory that a process holds, in bytes; ``None`` where the system does not tell."""
    if pid is None:
        return None
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None

"""An app server on strings: it does nothing by itself but greet, and each of its generations keeps its own record.

Unlike the fake, which plays the real server, it can say anything at any moment, and it tells its :class:`Witness` of each byte at
the very moment at which it passes the seam. It counts for itself; nothing that it tells comes from the runtime.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from codex_runtime._sansio.restart import Exit

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.transport import Receiver

__all__ = ["Generation", "Puppet", "Start", "Witness"]

PIPE_IS_FULL = 2 * 1024 * 1024
"""Above what a runtime leaves unsent before calls wait in line."""

Start: TypeAlias = Literal["up", "refuses to launch", "dies at once", "never answers", "refuses the greeting"]


class Witness(Protocol):
    """Who is told what passes the seam, just before it does."""

    def says(self, generation: int, data: bytes) -> None:
        """The server's bytes reach the runtime."""

    def ends(self, generation: int, exit: Exit) -> None:  # noqa: A002
        """The runtime learns of the server's end."""


@dataclass(eq=False)
class Generation:
    """One server: a transport. ``heard`` is what it was told, as far as it lived to hear it."""

    puppet: Puppet
    number: int
    receiver: Receiver
    start: Start
    heard: list[dict[str, Any]] = field(default_factory=list)
    unsent: int = 0
    is_over: bool = False
    is_paused: bool = False
    pid: int | None = None

    def __post_init__(self) -> None:
        self._backlog: list[bytes] = []
        self._room = asyncio.Event()

    # -- what the runtime does ---------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Hear a line, unless it comes too late."""
        self.puppet.bytes_written += len(data)
        if self.is_over:
            return
        message = json.loads(data)
        self.heard.append(message)
        if message.get("method") == "initialize":
            asyncio.get_running_loop().call_soon(self._answer_the_greeting, message["id"])

    async def drain(self) -> None:
        """Wait for room."""
        while self.unsent and not self.is_over:
            self._room.clear()
            await self._room.wait()

    def pause_reading(self) -> None:
        """Keep what is said for later."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Say what was kept, in a later turn of the loop."""
        self.is_paused = False
        asyncio.get_running_loop().call_soon(self._flush)

    def stderr_tail(self) -> str:
        """Nothing."""
        return ""

    def kill(self) -> None:
        """End it."""
        self.end(Exit(signal=9))

    async def aclose(self) -> Exit:
        """End it in good order."""
        self.end(Exit(code=0))
        await asyncio.sleep(0)
        return self.exit

    # -- what the test does ------------------------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Say this in one piece, or keep it while nobody reads."""
        if self.is_over:
            return
        self._backlog.append(data)
        if not self.is_paused:
            self._flush()

    def end(self, exit: Exit) -> None:  # noqa: A002
        """Be gone; what was kept is still heard."""
        if not self.is_over:
            self.is_over, self.exit = True, exit
            self._flush()
            self.unsent = 0
            self._room.set()
            self.puppet.witness.ends(self.number, exit)
            self.receiver.connection_lost(exit)

    def stall(self) -> None:
        """Read no more."""
        self.unsent = PIPE_IS_FULL

    def read_on(self) -> None:
        """Read again."""
        self.unsent = 0
        self._room.set()

    def ids(self, method: str) -> list[int]:
        """The ids of the requests with this method."""
        return [message["id"] for message in self.heard if message.get("method") == method]

    def answers(self) -> list[dict[str, Any]]:
        """What it was told in answer to its own requests, in order."""
        return [message for message in self.heard if "method" not in message]

    def _flush(self) -> None:
        while self._backlog and (self.is_over or not self.is_paused):
            data = self._backlog.pop(0)
            self.puppet.witness.says(self.number, data)
            self.receiver.data_received(data)

    def _answer_the_greeting(self, request_id: int) -> None:
        match self.start:
            case "dies at once":
                self.end(Exit(code=7))
            case "refuses the greeting":
                self.say(b'{"id":%d,"error":{"code":-1,"message":"no"}}\n' % request_id)
            case "never answers":
                pass
            case _:
                self.say(b'{"id":%d,"result":{"userAgent":"puppet/0.163.0"}}\n' % request_id)


class Puppet:
    """A launcher. ``next_start`` says how the next generation comes up; ``launched_at`` when each was tried."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.witness: Witness
        self.generations: list[Generation] = []
        self.launched_at: list[float] = []
        self.next_start: Start = "up"
        self.bytes_written = 0

    async def launch(self, receiver: Receiver, /) -> Generation:
        """Start one."""
        await asyncio.sleep(0)
        assert all(each.is_over for each in self.generations), "two servers at a time"
        start, self.next_start = self.next_start, "up"
        self.launched_at.append(self._clock.monotonic())
        if start == "refuses to launch":
            raise OSError("no such server")
        generation = Generation(self, len(self.launched_at) - 1, receiver, start)
        self.generations.append(generation)
        return generation

    @property
    def latest(self) -> Generation:
        """The one that was started last."""
        return self.generations[-1]

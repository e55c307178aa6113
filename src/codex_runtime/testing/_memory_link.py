"""A link to a server in the same process: the transport of the in-memory fakes.

It carries bytes and one end, and knows nothing about lines. Both directions take at least one turn of the event loop, so
nobody is called back from inside a call of theirs, just as with a pipe.

The one idea: a pipe has a size. A server that stops reading takes that much more, then ``unsent`` grows and ``drain``
waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, final

from codex_runtime._sansio.restart import Exit

if TYPE_CHECKING:
    from codex_runtime._io.transport import Receiver

__all__ = ["MemoryLink", "Served"]

PIPE_SIZE = 64 * 1024
READ_SIZE = 64 * 1024
SIGKILL = 9
TAIL = 8 * 1024


class Served(Protocol):
    """The server's side."""

    def feed(self, data: bytes) -> None:
        """The client wrote this much."""
        ...

    def close(self) -> None:
        """The process is gone."""
        ...


@final
class MemoryLink:
    """One live server in memory. ``chunk`` is how many bytes each delivery has at most.

    It implements :class:`~codex_runtime._io.transport.Transport`; the rest of its methods are for the server.
    """

    def __init__(self, receiver: Receiver, *, chunk: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver: Receiver | None = receiver
        self._served: Served | None = None
        self._chunk = chunk or READ_SIZE
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._feeding = self._delivering = False
        self._stuck = self._unkillable = self._paused = False
        self._stderr = ""
        self._exit: Exit | None = None
        self._lost = asyncio.Event()
        self._room = asyncio.Event()

    def serve(self, served: Served) -> None:
        """Begin to feed this server."""
        self._served = served
        self._feed_soon()

    # -- the client's side -------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Not a process."""
        return None

    def write(self, data: bytes) -> None:
        """Send; the server reads it in a later turn of the loop."""
        if self._exit is None:
            self._inbox += data
            self._feed_soon()

    @property
    def unsent(self) -> int:
        """What a stuck server has not read, less the size of a pipe."""
        return max(0, len(self._inbox) - PIPE_SIZE) if self._stuck and self._exit is None else 0

    async def drain(self) -> None:
        """Wait until the pipe has room, or the link is lost."""
        await asyncio.sleep(0)
        while self.unsent:
            self._room.clear()
            await self._room.wait()

    def pause_reading(self) -> None:
        """Stop delivery until :meth:`resume_reading`, or the server's end."""
        self._paused = True

    def resume_reading(self) -> None:
        """Go on with delivery."""
        self._paused = False
        self._deliver_soon()

    def stderr_tail(self) -> str:
        """What the server wrote to stderr, at most the last 8 KiB."""
        return self._stderr

    def kill(self) -> None:
        """End it by SIGKILL; what it wrote before is still delivered."""
        self.end(Exit(signal=SIGKILL, stderr_tail=self._stderr))

    async def aclose(self) -> Exit:
        """End it: with status 0, or by SIGKILL if it does not notice the end of its stdin."""
        self.hang_up()
        await self._lost.wait()
        assert self._exit is not None
        return self._exit

    # -- the server's side -------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write to stdout."""
        if self._exit is None:
            self._outbox += data
            self._deliver_soon()

    def log(self, text: str) -> None:
        """Write to stderr."""
        self._stderr = (self._stderr + text)[-TAIL:]

    def hang_up(self) -> None:
        """What a client does that wants no more: the end of stdin, and SIGKILL for a server that does not mind it."""
        stubborn = self._stuck or self._unkillable
        if not stubborn:
            self._feed()
        self.end(Exit(signal=SIGKILL if stubborn else None, code=None if stubborn else 0, stderr_tail=self._stderr))

    def stop_reading(self) -> None:
        """Read stdin no more."""
        self._stuck = True

    def ignore_term(self) -> None:
        """Only a kill ends it from here on."""
        self._unkillable = True

    def end(self, exit: Exit) -> None:  # noqa: A002
        """The process is over; the receiver gets what was written, and then the loss."""
        if self._exit is not None:
            return
        self._exit = exit
        self._inbox.clear()
        self._room.set()
        if self._served is not None:
            self._served.close()
        self._deliver_soon()

    def break_off(self) -> None:
        """Lose the connection; the server lives on."""
        self._served = None
        self.end(Exit(reason="the connection broke"))

    # -- between -----------------------------------------------------------------------------------------------------

    def _feed_soon(self) -> None:
        if not self._feeding and self._inbox and self._served is not None:
            self._feeding = True
            self._loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._feeding = False
        if self._inbox and not self._stuck and self._served is not None:
            data = bytes(self._inbox)
            self._inbox.clear()
            self._served.feed(data)

    def _deliver_soon(self) -> None:
        if not self._delivering:
            self._delivering = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        while self._outbox and (self._exit is not None or not self._paused):
            piece = bytes(self._outbox[: self._chunk])
            del self._outbox[: self._chunk]
            if self._receiver is not None:
                self._receiver.data_received(piece)
        if self._exit is not None and self._receiver is not None:
            receiver, self._receiver, self._served = self._receiver, None, None
            self._lost.set()
            receiver.connection_lost(self._exit)

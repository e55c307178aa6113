"""The writing half of a link: keeps order, never blocks, counts what is still on its way.

The first message goes out at once; those that follow before anything was heard from the far side go out together at the
end of the loop iteration. So a question that waits for its answer costs no iteration of its own, and a burst costs one.
What the system does not take waits here, unbounded: whoever writes looks at ``unsent`` or awaits ``drain``.

It writes to a socket rather than a pipe for two reasons. ``MSG_NOSIGNAL`` keeps a broken link from killing a program that
gave SIGPIPE its default meaning back, and ``shutdown`` ends the stream even when a fork of our process holds a copy of
the descriptor. A failed write is not reported: that the far side is gone is for others to notice.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["LOW_WATER", "Outbox", "require_owner"]

LOW_WATER = 256 * 1024
_MAX_PIECES = 512  # buffers in one sendmsg; the system's limit is 1024
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)


def require_owner(pid: int) -> None:
    """Raise :class:`RuntimeError` in any process but the one with this id: a fork may not touch what its parent started."""
    if os.getpid() != pid:
        raise RuntimeError("this app server belongs to the process that started it, not to a fork of that process")


class Outbox:
    """Sends bytes through ``sock``, which it owns. A fork of our process may not: it would cut into the lines of ours.

    ``sent_one`` tells whether anything was sent since the far side was heard. Whoever hears it sets that to False, and the
    next message goes out at once.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = os.getpid()
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._pieces: deque[memoryview] = deque()
        self.unsent = 0  # bytes accepted and not yet taken by the system
        self.sent_one = False
        self._flush_due = False  # at the end of this loop iteration
        self._stalled = False  # until the system says that there is room
        self._finishing = False
        self._closed = False
        self._waiters: set[asyncio.Future[None]] = set()

    def write(self, data: bytes) -> None:
        """Send ``data`` after everything before it; dropped once the box is finishing or closed."""
        require_owner(self._owner)
        if self._finishing or not data:
            return
        if self._flush_due or self._stalled:
            self._pieces.append(memoryview(data))
            self.unsent += len(data)
            return
        if self.sent_one:
            self._flush_due = True
            self._loop.call_soon(self._flush_rest)
            self._pieces.append(memoryview(data))
            self.unsent += len(data)
            return
        self.sent_one = True
        try:
            taken = self._sock.send(data, _NO_SIGNAL)
        except ConnectionError:
            self.close()
            return
        except OSError:  # no room in the socket (BlockingIOError), or for a moment in the system
            taken = 0
        if taken < len(data):
            self._pieces.append(memoryview(data)[taken:])
            self.unsent += len(data) - taken
            self._stall(stalled=True)

    async def drain(self) -> None:
        """Wait until less than ``LOW_WATER`` is unsent, or nothing can be sent any more."""
        if self.unsent < LOW_WATER:
            return
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def finish(self) -> None:
        """Take nothing more, and close when the rest is sent."""
        self._finishing = True
        if not self._pieces:
            self.close()

    def abandon(self) -> None:
        """Take nothing more and drop what is unsent, but do not end the stream."""
        self._finishing = True
        self._stall(stalled=False)
        self._pieces.clear()
        self._sent(self.unsent)

    def close(self) -> None:
        """End the stream now; what is unsent is dropped."""
        if self._closed:
            return
        self._closed = True
        self.abandon()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()

    def _flush_rest(self) -> None:
        self._flush_due = False
        if self._pieces:
            self._send()

    def _send(self) -> None:
        try:
            taken = self._sock.sendmsg(list(islice(self._pieces, _MAX_PIECES)), (), _NO_SIGNAL)
        except ConnectionError:
            self.close()
            return
        except OSError:  # as above
            taken = 0
        self._forget(taken)
        self._stall(stalled=bool(self._pieces))
        self._sent(taken)
        if self._finishing and not self._pieces:
            self.close()

    def _forget(self, taken: int) -> None:
        while taken:
            first = self._pieces[0]
            if taken < len(first):
                self._pieces[0] = first[taken:]
                return
            taken -= len(first)
            self._pieces.popleft()

    def _stall(self, *, stalled: bool) -> None:
        if stalled and not self._stalled:
            self._loop.add_writer(self._sock, self._send)
        elif self._stalled and not stalled:
            self._loop.remove_writer(self._sock)
        self._stalled = stalled

    def _sent(self, count: int) -> None:
        self.unsent -= count
        if self.unsent < LOW_WATER:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

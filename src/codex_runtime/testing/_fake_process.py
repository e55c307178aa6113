"""The fake app server as a real process: a small program on strings, and this end of the strings.

The program (``_fake_puppet``) has the pipes and can be killed like any other; the rules, the orders and the record stay
in the test's own process, so gates, threads and scripts work as they do in memory. What travels between the two are
frames: a letter, a length, a payload.

The one idea: whatever started the program, it reports here by itself. A launcher is not needed, only the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from codex_runtime.testing._fake_script import CloseStdout, Die, Fault, Grandchild, IgnoreTerm, Stderr, StopReading

if TYPE_CHECKING:
    from codex_runtime.testing._fake_session import FakeSession

__all__ = ["PuppetBody", "PuppetHost", "PuppetMaster"]

HEAD = struct.Struct("!cI")
PROGRAM = Path(__file__).with_name("_fake_puppet.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class PuppetMaster:
    """Whoever gives a new process its mind: told when one has reported, started a process of its own, or is dead."""

    born: Callable[[PuppetBody], FakeSession]
    bore: Callable[[int], None]
    gone: Callable[[FakeSession], None]


@final
class PuppetHost:
    """The place where processes report: a port on loopback, and a word that only they know."""

    def __init__(self, master: PuppetMaster) -> None:
        self.token = secrets.token_hex(16)
        self.bodies: list[PuppetBody] = []
        self.master = master
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: PuppetBody(self), "127.0.0.1", 0)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of a process that reports here; anything may be appended."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return (sys.executable, "-I", "-S", str(PROGRAM), f"127.0.0.1:{port}", self.token)

    async def aclose(self) -> None:
        """Stop listening. Kill what is left first."""
        assert self._server is not None
        self._server.close()
        for body in self.bodies:
            body.cut()
        await self._server.wait_closed()


@final
class PuppetBody(asyncio.Protocol):
    """One process."""

    def __init__(self, host: PuppetHost) -> None:
        self.pid = 0
        self._host = host
        self._session: FakeSession | None = None
        self._transport: asyncio.Transport | None = None
        self._frames = b""
        self._leaves_at_eof = True

    # -- what it is told to do ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write to stdout."""
        self._order(b"O", data)

    def inflict(self, fault: Fault) -> None:
        """Do something to the process."""
        match fault:
            case Die(signal=None, code=code):
                self._order(b"X", str(code).encode())
            case Die(signal=number):
                self._order(b"K", str(number).encode())
            case CloseStdout():
                self._order(b"C", b"")
            case StopReading():
                self._order(b"S", b"")
            case IgnoreTerm():
                self._leaves_at_eof = False
                self._order(b"T", b"")
            case Stderr(text):
                self._order(b"E", text.encode())
            case Grandchild(detached=detached, holds_stdout=holds_stdout, seconds=seconds):
                wanted = {"detached": detached, "holds_stdout": holds_stdout, "seconds": seconds}
                self._order(b"G", json.dumps(wanted).encode())

    def kill(self) -> None:
        """End it at once. While the connection stands, the number is still its own."""
        if self.pid and self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def cut(self) -> None:
        """Forget about it."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to be gone, also before its connection ends."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _order(self, kind: bytes, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(HEAD.pack(kind, len(payload)) + payload)

    # -- what it tells -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It reports; who it is comes in its first frame."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.bodies.append(self)

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        self._frames += data
        while len(self._frames) >= HEAD.size:
            kind, size = HEAD.unpack_from(self._frames)
            if len(self._frames) < HEAD.size + size:
                return
            payload = self._frames[HEAD.size : HEAD.size + size]
            self._frames = self._frames[HEAD.size + size :]
            self._take(kind, payload)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is dead."""
        self._transport = None
        self._host.bodies.remove(self)
        if self._session is not None:
            self._session.close()
            self._host.master.gone(self._session)

    def _take(self, kind: bytes, payload: bytes) -> None:
        if self._session is None:
            hello = json.loads(payload) if kind == b"H" else {}
            if not secrets.compare_digest(str(hello.get("token")), self._host.token):
                self.cut()
                return
            self.pid = int(hello["pid"])
            self._session = self._host.master.born(self)
            self._session.start(self)
        elif kind == b"I":
            self._session.feed(payload)
        elif kind == b"F" and self._leaves_at_eof:
            self._order(b"X", b"0")
        elif kind == b"G":
            self._host.master.bore(int(payload))

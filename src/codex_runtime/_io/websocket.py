"""The link to an app server that already listens: a WebSocket over TCP or over a unix socket.

The protocol is the `websockets` library's, in its form without I/O; this file gives it a socket, a heartbeat and an end. It
starts no server and ends none: whatever is closed here is our connection. Like process.py it has no task of its own, and
it knows neither proxies nor redirects: the address is where it goes.

The one idea: a message is a line. What comes in is handed on with a newline behind it, all messages of one read at once;
what goes out is one message for each line.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import time
from typing import TYPE_CHECKING, cast

from msgspec import Struct
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from codex_runtime._io.bearer import Token, check_access, read_token
from codex_runtime._io.outbox import LOW_WATER
from codex_runtime._io.stderr_tail import StderrTail
from codex_runtime._sansio.address import Address, TcpAddress
from codex_runtime._sansio.framing import DEFAULT_LINE_LIMIT
from codex_runtime._sansio.restart import Exit
from codex_runtime.errors import ConfigError, HandshakeError, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codex_runtime._io.transport import Receiver

__all__ = ["WebSocketConnection", "WebSocketLauncher"]

# The server cuts the connection over a larger message in one piece; it says how large in this header, if at all.
_PIECE = 8 * 1024 * 1024
_PIECE_HEADER = "x-codex-websocket-max-unfragmented-message-bytes"

_GOODBYE = 1000
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
# How much of what a server says in refusing us is repeated.
_LAST_WORDS = 300

# The library writes headers to its log, and with them the token. This logger belongs to no tree and has no handler.
_SILENT = logging.Logger("codex_runtime.websocket", level=logging.CRITICAL + 1)  # noqa: LOG001


class Bounds(Struct, frozen=True):
    """How long a message may be, in bytes; and how long each wait of an open connection, in seconds."""

    message: int
    heartbeat: float
    patience: float
    grace: float


class WebSocketLauncher:
    """Connects to the app server at ``address``: ``ws://HOST:PORT`` or ``unix:///PATH``.

    Away from this machine a ``token`` is needed, or ``allow_unauthenticated``. A message may have ``message_limit`` bytes; a
    longer one costs the connection. After ``heartbeat`` seconds the server is asked for a sign of life, which may take
    ``patience`` seconds. ``open_deadline`` bounds the connecting, ``grace`` the goodbye, both in seconds.

    Raises :class:`ConfigError`.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token | None = None,
        allow_unauthenticated: bool = False,
        message_limit: int = DEFAULT_LINE_LIMIT,
        heartbeat: float = 20.0,
        patience: float = 20.0,
        open_deadline: float = 10.0,
        grace: float = 0.5,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._address = check_access(address, token, allow_unauthenticated=allow_unauthenticated)
        for name, value in (("heartbeat", heartbeat), ("patience", patience), ("open_deadline", open_deadline)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(name, "must be a finite number of seconds above 0")
        self._token = token
        self._bounds = Bounds(message_limit, heartbeat, patience, grace)
        self._open_deadline = open_deadline
        self._wall = wall

    async def launch(self, receiver: Receiver, /) -> WebSocketConnection:
        """Connect; ``receiver`` hears from the server only after this has returned.

        Raises:
            HandshakeError: somebody listens, and refused us or does not speak WebSocket. ``exit`` says what was answered.
            StartError: nobody listens, or there was no answer in time, or the token cannot be read.
        """
        bearer = None if self._token is None else read_token(self._token, now=self._wall())
        connection = WebSocketConnection(self._address, self._bounds, bearer)
        try:
            async with asyncio.timeout(self._open_deadline):
                await self._connect(connection)
                await connection.greeted()
        except TimeoutError:
            await connection.discard()
            raise StartError(f"no answer from {self._address} within {self._open_deadline:g} s") from None
        except OSError as error:
            raise StartError(f"cannot connect to {self._address}: {error.strerror or error}") from error
        except BaseException:
            await connection.discard()
            raise
        connection.open(receiver)
        return connection

    async def _connect(self, connection: WebSocketConnection) -> None:
        loop, address = asyncio.get_running_loop(), self._address
        if isinstance(address, TcpAddress):
            await loop.create_connection(lambda: connection, address.host, address.port)
        else:
            # The server leaves a link where it was told to listen: the real path is short enough for the system to take.
            path = os.path.realpath(address.path)  # noqa: ASYNC240  # a few short system calls
            await loop.create_unix_connection(lambda: connection, path)


class WebSocketConnection(asyncio.Protocol):
    """One connection to an app server; a :class:`~codex_runtime._io.transport.Transport`."""

    def __init__(self, address: Address, bounds: Bounds, bearer: str | None) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._address = address
        self._bounds = bounds
        self._bearer = bearer
        uri = parse_uri(str(address) if isinstance(address, TcpAddress) else "ws://localhost/")
        self._protocol = ClientProtocol(uri, max_size=bounds.message, logger=_SILENT)
        self._socket: asyncio.Transport
        self._is_connected = False
        self._piece = _PIECE
        self._receiver: Receiver | None = None
        self._message: list[bytes | bytearray | memoryview] = []  # the pieces of one that is not complete
        self._early: list[bytes] = []  # what came before the receiver did
        self._begun = b""  # of a line to send
        self._reading = True
        self._heard = 0  # reads so far
        self._room = asyncio.Event()
        self._room.set()
        self._beat: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._reason: str | None = None
        self._last_words = StderrTail(_LAST_WORDS)
        self._greeted: asyncio.Future[None] = loop.create_future()
        self._greeted.add_done_callback(lambda it: it.cancelled() or it.exception())  # it may come too late for anybody
        self._ended: asyncio.Future[Exit] = loop.create_future()

    # --- the transport ---

    @property
    def pid(self) -> int | None:
        """``None``: whose process it is, and where, is not ours to know."""
        return None

    @property
    def unsent(self) -> int:
        """Bytes accepted by :meth:`write` and not yet taken by the system."""
        return 0 if self._ended.done() else self._socket.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send each line of ``data`` as a message, after everything before it; dropped after the loss."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if self._protocol.state is State.OPEN:
            for line in lines:
                self._send(line)
            self._flush()

    async def drain(self) -> None:
        """Wait until ``unsent`` is below the low-water mark, or nothing can be sent any more."""
        await self._room.wait()

    def pause_reading(self) -> None:
        """Leave the socket unread: the server waits once the system's buffers are full. Its going is not noticed either."""
        if self._reading and not self._socket.is_closing():
            self._reading = False
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Read the socket again."""
        if not self._reading:
            self._reading = True
            self._heard += 1  # a sign of life may have waited all the while
            if not self._socket.is_closing():
                self._socket.resume_reading()

    def stderr_tail(self) -> str:
        """Return what the server gave as its reason for going, if it did: its stderr is elsewhere."""
        return self._last_words.text()

    def kill(self) -> None:
        """Cut the connection. The server and its turns go on."""
        self._cut("the connection was cut by us")

    async def aclose(self) -> Exit:
        """Say goodbye, or cut the connection if that takes longer than the grace. The server and its turns go on."""
        if not self._ended.done():
            self._note("the connection was closed by us")
            self.resume_reading()
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(_GOODBYE)
                self._flush()
            self._end_soon()
        return await asyncio.shield(self._ended)

    # --- the start, for the launcher ---

    async def greeted(self) -> None:
        """Wait until the connection is a WebSocket. Raises :class:`HandshakeError`."""
        await self._greeted

    def open(self, receiver: Receiver) -> None:
        """Begin to deliver to ``receiver``."""
        self._receiver = receiver
        self._loop.call_soon(self._deliver_early)
        if self._ended.done():
            self._loop.call_soon(receiver.connection_lost, self._ended.result())
        else:
            self._beat = self._loop.call_later(self._bounds.heartbeat, self._ask_for_life)

    async def discard(self) -> None:
        """End a connection that nobody was told of."""
        self._greeted.cancel()
        if self._is_connected:
            self._socket.abort()
            await asyncio.shield(self._ended)

    # --- what the socket says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(LOW_WATER - 1, LOW_WATER - 1)
        self._is_connected = True
        request = self._protocol.connect()
        if self._bearer is not None:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take one read."""
        self._heard += 1
        self._protocol.receive_data(data)
        self._react()

    def eof_received(self) -> None:
        """Take note that the server sends no more; the socket is closed next."""
        self._protocol.receive_eof()
        self._react()

    def pause_writing(self) -> None:
        """Take note that the server does not keep up."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Take note that it does again."""
        self._room.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the end."""
        for timer in (self._beat, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._room.set()
        end = Exit(reason=self._reason or self._why(error), stderr_tail=self._last_words.text())
        if not self._greeted.done():
            text = f"{self._address} ended the connection instead of answering: {end.describe()}"
            self._greeted.set_exception(HandshakeError(text, exit=end))
        try:
            self._deliver_early()
        finally:  # a receiver that fails on the last chunk must not keep the end from being told
            self._ended.set_result(end)
            if self._receiver is not None:
                self._receiver.connection_lost(end)

    # --- messages ---

    def _react(self) -> None:
        self._flush()
        self._take(self._protocol.events_received())
        if self._protocol.handshake_exc is not None and not self._greeted.done():
            self._refused()
        if self._protocol.close_expected():
            self._end_soon()

    def _take(self, events: Iterable[object]) -> None:
        lines: list[bytes] = []
        for event in events:
            if isinstance(event, Response):
                if self._protocol.handshake_exc is None and not self._greeted.done():
                    self._welcomed(event)
            elif isinstance(event, Frame) and event.opcode in _DATA:
                self._message.append(event.data)
                if event.fin:
                    # Between the parts of a JSON value a newline is a space like any other; inside it cannot be.
                    lines += (b"".join(self._message).replace(b"\n", b" "), b"\n")
                    self._message.clear()
        if lines:
            self._deliver(b"".join(lines))

    def _deliver(self, data: bytes) -> None:
        if self._receiver is None:
            self._early.append(data)
        else:
            self._receiver.data_received(data)

    def _deliver_early(self) -> None:
        if self._early and self._receiver is not None:
            early, self._early = self._early, []
            self._receiver.data_received(b"".join(early))

    def _send(self, line: bytes) -> None:
        size = self._piece
        self._protocol.send_text(line[:size], fin=len(line) <= size)
        for start in range(size, len(line), size):
            self._protocol.send_continuation(line[start : start + size], fin=start + size >= len(line))

    def _flush(self) -> None:
        data = b"".join(self._protocol.data_to_send())
        if data and not self._socket.is_closing():
            self._socket.write(data)

    # --- the greeting ---

    def _welcomed(self, response: Response) -> None:
        sizes = [
            int(size) for size in response.headers.get_all(_PIECE_HEADER) if re.fullmatch("[1-9][0-9]{0,15}", size)
        ]
        self._piece = min([_PIECE, *sizes])
        self._greeted.set_result(None)

    def _refused(self) -> None:
        error = self._protocol.handshake_exc
        words = ""
        if isinstance(error, InvalidStatus):
            self._note(f"HTTP status {error.response.status_code}")
            self._last_words.feed(bytes(error.response.body or b"")[:_LAST_WORDS])
            words = " ".join(self._last_words.text().split())
        else:
            hung_up = isinstance(error.__cause__, EOFError) if error is not None else False
            self._note("it hung up" if hung_up else "its answer is not that of a WebSocket")
        end = Exit(reason=self._reason or "", stderr_tail=words)
        text = f"{self._address} refused the connection: {end.reason}"
        self._greeted.set_exception(HandshakeError(f"{text}, {words!r}" if words else text, exit=end))

    # --- the end ---

    def _why(self, error: Exception | None) -> str:
        """Say in a few fixed words why the connection ended: they are counted by."""
        broken, goodbye = self._protocol.parser_exc, self._protocol.close_rcvd
        if isinstance(broken, PayloadTooBig):
            return f"a message was longer than {self._bounds.message} bytes"
        if goodbye is not None:
            self._last_words.feed(goodbye.reason.encode())
            return f"the server closed the connection with code {goodbye.code}"
        if broken is not None and not isinstance(broken, EOFError):
            return "the server broke the rules of WebSocket"
        if isinstance(error, OSError) and error.strerror:
            return f"the connection broke: {error.strerror}"
        return "the connection broke"

    def _note(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason

    def _cut(self, reason: str) -> None:
        self._note(reason)
        self._socket.abort()

    def _end_soon(self) -> None:
        if self._end_timer is None:
            self._end_timer = self._loop.call_later(self._bounds.grace, self._socket.abort)

    def _ask_for_life(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._flush()
            self._beat = self._loop.call_later(self._bounds.patience, self._look_for_life, self._heard)

    def _look_for_life(self, heard: int) -> None:
        # While we do not read, silence is ours.
        if self._reading and self._heard == heard:
            self._cut(f"no sign of life within {self._bounds.patience:g} s")
        else:
            self._beat = self._loop.call_later(self._bounds.heartbeat, self._ask_for_life)

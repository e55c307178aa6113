"""The link over a socket: messages are lines, every way to lose the connection is told once, every wait is bounded.

The server is the `websockets` library's own; where it is too polite, a server of bare bytes takes its place. What the real
app server makes of it is in `tests/real/test_attach.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve, unix_serve

from codex_runtime._io.bearer import SignedToken, TokenFile
from codex_runtime._io.outbox import LOW_WATER
from codex_runtime._io.websocket import Bounds, WebSocketConnection, WebSocketLauncher
from codex_runtime._sansio.address import TcpAddress, parse_address
from codex_runtime.errors import ConfigError, HandshakeError, StartError
from tests.support.children import PATIENCE, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from codex_runtime._sansio.restart import Exit

MIB = 1024 * 1024
WELCOME = "x-codex-websocket-max-unfragmented-message-bytes"


class Counting(ServerConnection):
    """A server's side that counts what it reads, and can turn deaf."""

    reads = 0

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.reads += 1
        super().data_received(data)

    def turn_deaf(self) -> None:
        """Read no more: no message is taken, no ping is answered, no goodbye returned."""
        self.transport.pause_reading()

    def listen_again(self) -> None:
        """Read on."""
        self.transport.resume_reading()


class Far:
    """The server's end of the one connection of a test, as soon as there is one."""

    def __init__(self) -> None:
        self._connected: asyncio.Future[Counting] = asyncio.get_running_loop().create_future()
        self.got: list[str | bytes] = []
        self.on_connect: Callable[[Counting], Any] | None = None

    async def __call__(self, connection: ServerConnection) -> None:
        """Take what comes, until it ends."""
        assert isinstance(connection, Counting)
        if self.on_connect is not None:
            await self.on_connect(connection)
        self._connected.set_result(connection)
        async for message in connection:
            self.got.append(message)

    async def end(self) -> Counting:
        """Wait for the connection."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.shield(self._connected)


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[tuple[Far, str]]:
    """Listen on a free port of this machine."""
    far = Far()
    options = {"create_connection": Counting, "ping_interval": None, "close_timeout": 0.1, "max_size": None, **options}
    async with serve(far, "127.0.0.1", 0, **options) as server:
        yield far, f"ws://127.0.0.1:{port_of(server)}"


@asynccontextmanager
async def connected(
    address: str, receiver: Recorder | None = None, **options: Any
) -> AsyncIterator[tuple[WebSocketConnection, Recorder]]:
    """Connect; on leaving, close, and check that the end was told exactly once."""
    recorder = receiver or Recorder()
    near = await WebSocketLauncher(address, **{"grace": 0.1, **options}).launch(recorder)
    try:
        yield near, recorder
    finally:
        async with asyncio.timeout(PATIENCE):
            await near.aclose()
    assert len(recorder.ends) == 1
    assert recorder.chunks_after_end == 0
    assert near._beat is not None
    assert near._beat.cancelled()


@asynccontextmanager
async def bare(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """Listen with a server that knows nothing of WebSocket."""
    over: list[asyncio.StreamWriter] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over.append(writer)
        await talk(reader, writer)

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{port_of(server)}"
        for writer in over:
            writer.transport.abort()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])


def port_of(server: Any) -> int:
    """Return where a server listens."""
    port = server.sockets[0].getsockname()[1]
    assert isinstance(port, int)
    return port


async def until(condition: Callable[[], object]) -> None:
    """Let others run until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


async def loss(recorder: Recorder) -> Exit:
    """Wait for the end and check that it is one to be restarted after."""
    end = await recorder.end()
    assert (end.code, end.signal, end.clean) == (None, None, False)
    return end


# -- messages are lines ------------------------------------------------------------------------------------------------


async def test_a_line_is_a_message_both_ways() -> None:
    """In order, however they are put together, and an unfinished line waits for its end."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        end = await far.end()
        near.write(b'{"id":1}\n{"id":2}\n{"id"')
        near.write(b":3}\n")
        await until(lambda: len(far.got) == 3)
        assert far.got == ['{"id":1}', '{"id":2}', '{"id":3}']
        await end.send("one")
        await end.send("two")
        await recorder.until(lambda it: it.data == b"one\ntwo\n")
        assert near.pid is None


async def test_all_messages_of_one_read_are_handed_on_at_once() -> None:
    """One wake, one chunk."""
    chunks: list[bytes] = []

    class Chunks(Recorder):
        def data_received(self, data: bytes, /) -> None:
            chunks.append(data)
            super().data_received(data)

    async with listening() as (far, address), connected(address, Chunks()) as (_, recorder):
        end = await far.end()
        end.transport.write(b"".join(frame(b"%d" % number) for number in range(500)))
        await recorder.until(lambda it: it.data.count(b"\n") == 500)
        assert len(chunks) == 1


async def test_a_newline_inside_a_message_does_not_make_it_two() -> None:
    """JSON that is laid out for people is still one line."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        await (await far.end()).send('{\n "id": 1\n}')
        await recorder.until(lambda it: it.data == b'{  "id": 1 }\n')


async def test_a_message_in_pieces_is_put_together() -> None:
    """Also when a ping comes in between."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        end = await far.end()
        end.transport.write(frame(b"one ", fin=False) + b"\x89\x00" + frame(b"two ", 0, fin=False) + frame(b"three", 0))
        await recorder.until(lambda it: it.data == b"one two three\n")


async def test_a_binary_message_is_a_line_like_any_other() -> None:
    """What is no JSON is found out where lines are read; the connection stays."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        end = await far.end()
        await end.send(b"\x00\xff\n\xfe")
        end.transport.write(frame(b"\xff not UTF-8"))
        await end.send("still here")
        await recorder.until(lambda it: it.data == b"\x00\xff \xfe\n\xff not UTF-8\nstill here\n")


async def test_a_large_line_is_sent_in_pieces() -> None:
    """The real server cuts the connection over 16 MiB in one piece, and takes it in several."""
    line = os.urandom(5 * MIB).hex()
    pieces: list[int] = []

    async def keep(end: Counting) -> None:
        async for piece in end.recv_streaming():
            pieces.append(len(piece))
            assert line.startswith(str(piece), sum(pieces[:-1]))

    async with listening() as (far, address):
        far.on_connect = keep
        async with connected(address) as (near, _):
            near.write(line.encode() + b"\n")
            await far.end()
    assert pieces == [8 * MIB, 2 * MIB]


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        (["1000"], [1000, 1000, 500]),
        (["1000", "900"], [900, 900, 700]),
        (["0"], [2500]),
        (["many"], [2500]),
        (["9" * 5000], [2500]),
    ],
)
async def test_the_server_may_say_how_large_a_piece_may_be(sizes: list[str], pieces: list[int]) -> None:
    """In its answer to the greeting; nonsense is not listened to."""
    got: list[int] = []

    def say(_: ServerConnection, __: Request, response: Response) -> None:
        for size in sizes:
            response.headers[WELCOME] = size

    async def keep(end: Counting) -> None:
        got.extend([len(piece) async for piece in end.recv_streaming()])

    async with listening(process_response=say) as (far, address):
        far.on_connect = keep
        async with connected(address) as (near, _):
            near.write(b"x" * 2500 + b"\n")
            await far.end()
    assert got == pieces


async def test_nothing_is_delivered_before_the_launch_is_over() -> None:
    """Even what came together with the answer to the greeting, or with the end."""

    async def at_once(end: Counting) -> None:
        await end.send("early")
        await end.close(1001)

    launched = False

    class Late(Recorder):
        def data_received(self, data: bytes, /) -> None:
            assert launched
            super().data_received(data)

    async with listening() as (far, address):
        far.on_connect = at_once
        late = Late()
        near = await WebSocketLauncher(address).launch(late)
        launched = True
        await late.end()
        assert late.data == b"early\n"
        await near.aclose()


async def test_what_comes_with_the_answer_to_the_greeting_is_not_lost() -> None:
    """In one and the same read."""
    async with listening() as (_, address):
        host, port = address.removeprefix("ws://").split(":")

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs, ours = await asyncio.open_connection(host, int(port))
            ours.write(await reader.readuntil(b"\r\n\r\n"))
            writer.write(await theirs.readuntil(b"\r\n\r\n") + frame(b"first") + frame(b"second"))
            ours.transport.abort()
            await asyncio.wait([asyncio.ensure_future(ours.wait_closed())])

        async with bare(pass_on) as middle, connected(middle) as (_, recorder):
            assert recorder.data == b""
            await recorder.until(lambda it: it.data == b"first\nsecond\n")


async def test_a_paused_connection_loses_nothing() -> None:
    """The messages wait in the system's buffers, and the server's goodbye with them."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        end = await far.end()
        near.pause_reading()
        near.pause_reading()
        for number in range(3):
            await end.send(f"{number}")
        near.write(b"ping\n")
        await until(lambda: far.got == ["ping"])
        assert recorder.data == b""
        near.resume_reading()
        near.resume_reading()
        await recorder.until(lambda it: it.data == b"0\n1\n2\n")


async def test_a_server_that_does_not_read_is_waited_for() -> None:
    """`unsent` tells how much waits; `drain` returns below the low-water mark; nothing is lost or out of order."""
    async with listening() as (far, address), connected(address) as (near, _):
        end = await far.end()
        assert near.unsent == 0
        end.turn_deaf()
        lines = [b"%d " % number + b"x" * 64 * 1024 for number in range(200)]
        near.write(b"".join(line + b"\n" for line in lines))
        assert near.unsent > LOW_WATER
        drained = asyncio.ensure_future(near.drain())
        await asyncio.sleep(0)
        assert not drained.done()
        end.listen_again()
        async with asyncio.timeout(PATIENCE):
            await drained
        assert near.unsent < LOW_WATER
        await until(lambda: len(far.got) == len(lines))
        assert far.got == [line.decode() for line in lines]


async def test_who_waits_for_room_is_woken_by_the_loss() -> None:
    """There is nothing to wait for any more, and what is written then is dropped."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        (await far.end()).turn_deaf()
        near.write(b"x" * 16 * MIB + b"\n")
        drained = asyncio.ensure_future(near.drain())
        await asyncio.sleep(0)
        near.kill()
        async with asyncio.timeout(PATIENCE):
            await drained
        await recorder.end()
        near.write(b"too late\n")
        near.pause_reading()
        near.resume_reading()
        near.kill()
        assert near.unsent == 0


# -- the greeting ------------------------------------------------------------------------------------------------------


async def test_the_greeting_holds_the_token_and_no_origin(tmp_path: Path) -> None:
    """The real server refuses whoever says that a web page sent them."""
    (tmp_path / "token").write_text("from-a-file\n")
    (tmp_path / "secret").write_text("x" * 32)
    for token, value in (
        (None, None),
        ("at-hand", "Bearer at-hand"),
        (TokenFile(tmp_path / "token"), "Bearer from-a-file"),
        (SignedToken(secret_file=tmp_path / "secret"), "Bearer ey"),
    ):
        async with listening() as (far, address), connected(address, token=token):
            headers = (await far.end()).request.headers  # type: ignore[union-attr]
            assert str(headers.get("Authorization")).startswith(str(value))
            assert "Origin" not in headers
            assert "Sec-WebSocket-Extensions" not in headers


async def test_no_token_gets_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """The library would write down every header."""
    caplog.set_level(logging.DEBUG)
    async with listening() as (far, address), connected(address, token="hunter2"):
        await far.end()
    assert "hunter2" in caplog.text  # the server's side, which is not ours
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if "server" not in record.name)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is where it goes."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with listening() as (far, address), connected(address):
        await far.end()


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.FOUND, HTTPStatus.OK])
async def test_a_refusal_says_what_the_server_said(status: HTTPStatus) -> None:
    """In one line, without control characters; nobody is redirected."""

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, "expired\x1b[31m\nwebsocket jwt" + "." * 1000)

    async with listening(process_request=refuse) as (_, address):
        with pytest.raises(HandshakeError) as caught:
            await WebSocketLauncher(address, token="hunter2").launch(Recorder())
    message, end = str(caught.value), caught.value.exit
    assert f"HTTP status {status.value}, 'expired websocket jwt..." in message
    assert len(message) < 400
    assert "hunter2" not in message
    assert end is not None
    assert end.describe() == f"HTTP status {status.value}"
    assert end.stderr_tail.startswith("expired websocket jwt")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not that of a WebSocket"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not that of a WebSocket"),
        (b"\x00" * 100_000, "not that of a WebSocket"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "HTTP status 401"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\nno length", "HTTP status 401, 'no length'"),
        (b"HTTP/1.1 101 Switch", "it hung up"),
        (b"", "it hung up"),
    ],
)
async def test_somebody_else_who_listens_there_is_told_apart(answer: bytes, problem: str) -> None:
    """What is said must be HTTP, and a WebSocket must come of it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with bare(talk) as address:
        with pytest.raises(HandshakeError, match=problem):
            await WebSocketLauncher(address).launch(Recorder())


async def test_a_greeting_may_break_off() -> None:
    """The error says how."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        break_hard(writer.transport)

    async with bare(talk) as address:
        with pytest.raises(HandshakeError, match="instead of answering: the connection broke: Connection reset"):
            await WebSocketLauncher(address).launch(Recorder())


async def test_a_server_that_never_answers_is_given_up() -> None:
    """Within the deadline for opening."""
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    async with bare(say_nothing) as address, asyncio.timeout(PATIENCE):
        with pytest.raises(StartError, match=r"no answer from ws://.* within 0\.05 s"):
            await WebSocketLauncher(address, open_deadline=0.05).launch(Recorder())
        await left.wait()


async def test_a_launch_may_be_cancelled() -> None:
    """Wherever it waits, nothing is left."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        left.set()

    async with bare(say_nothing) as address, asyncio.timeout(PATIENCE):
        launch = asyncio.ensure_future(WebSocketLauncher(address).launch(Recorder()))
        await asked.wait()
        launch.cancel()
        await asyncio.wait([launch])
        assert launch.cancelled()
        await left.wait()
        for turns in range(4):
            launch = asyncio.ensure_future(WebSocketLauncher(address).launch(Recorder()))
            for _ in range(turns):
                await asyncio.sleep(0)
            launch.cancel()
            await asyncio.wait([launch])
            assert launch.cancelled()


async def test_where_nobody_listens_the_start_fails(tmp_path: Path) -> None:
    """Over TCP, at a path that is not there, at one that is no socket, and at one that is too long."""
    async with listening() as (_, address):
        pass
    (tmp_path / "file").touch()
    for where in (address, f"unix://{tmp_path}/missing", f"unix://{tmp_path}/file", "unix:///" + "x" * 200):
        with pytest.raises(StartError, match="cannot connect to") as caught:
            await WebSocketLauncher(where).launch(Recorder())
        assert not isinstance(caught.value, HandshakeError)
        assert where in str(caught.value)


async def test_a_socket_of_the_file_system_may_be_behind_a_long_path(tmp_path: Path) -> None:
    """The system takes some hundred characters; the real server leaves a link at any path to a socket at a short one."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    far = Far()
    with tempfile.TemporaryDirectory() as short:
        (folder / "link.sock").symlink_to(f"{short}/s")
        async with (
            unix_serve(far, f"{short}/s", create_connection=Counting),
            connected(f"unix://{folder}/link.sock") as (near, recorder),
        ):
            near.write(b"hello\n")
            await (await far.end()).send("and hello")
            await recorder.until(lambda it: it.data == b"and hello\n")
            await until(lambda: far.got == ["hello"])


@pytest.mark.parametrize("name", ["heartbeat", "patience", "open_deadline"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_each_wait_has_a_bound(name: str, value: float) -> None:
    """None may be missing."""
    with pytest.raises(ConfigError, match="finite number of seconds") as caught:
        WebSocketLauncher("ws://127.0.0.1:1", **{name: value})  # type: ignore[arg-type]
    assert caught.value.field == name


def test_a_launcher_does_not_lead_to_strangers() -> None:
    """The rule of the configuration holds here too."""
    with pytest.raises(ConfigError, match="not on this machine"):
        WebSocketLauncher("ws://10.0.0.1:4500")


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_goodbye_of_the_server_is_told_with_its_code() -> None:
    """The code is in the phrase that is counted by; the server's own words are its last words."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        await (await far.end()).close(1001, "going\x1b[31m away")
        end = await loss(recorder)
        assert end.describe() == "the server closed the connection with code 1001"
        assert end.stderr_tail == near.stderr_tail() == "going away"
        assert await near.aclose() == end


async def test_a_connection_that_just_breaks_is_told() -> None:
    """As when the server is killed; with the system's word for it, if it has one."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        (await far.end()).transport.abort()
        assert (await loss(recorder)).describe() == "the connection broke"
    async with listening() as (far, address), connected(address) as (_, recorder):
        break_hard((await far.end()).transport)
        assert (await loss(recorder)).describe() == "the connection broke: Connection reset by peer"


def break_hard(transport: asyncio.WriteTransport) -> None:
    """Have the system answer with a reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def test_what_came_before_the_end_is_delivered() -> None:
    """All of it, and then the end."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        end = await far.end()
        end.transport.write(b"".join(frame(b"x" * 1000) for _ in range(1000)))
        end.transport.close()
        await loss(recorder)
        assert recorder.data.count(b"\n") == 1000


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        b"\x81\x85mask12345",
        b"\x80\x01x",
        b"\x83\x00",
        b"\x01\x01a\x81\x01b",
        b"\x88\x01\x03",
        b"\x89\x7e\x00\xff" + b"p" * 255,
        b"\xc1\x01x",
    ],
)
async def test_garbage_ends_the_connection(garbage: bytes) -> None:
    """Reserved bits, masked frames, pieces without a start: after that, nothing can be believed."""
    async with listening() as (far, address), connected(address) as (_, recorder):
        (await far.end()).transport.write(garbage + frame(b"not to be believed"))
        assert (await loss(recorder)).describe() == "the server broke the rules of WebSocket"
        assert recorder.data == b""


async def test_a_message_over_the_limit_ends_the_connection() -> None:
    """In one piece or in several; its length is believed, it is not read. One at the limit passes."""
    for message in ("x" * 1001, ["x" * 600, "y" * 600]):
        async with listening() as (far, address), connected(address, message_limit=1000) as (_, recorder):
            end = await far.end()
            await end.send("x" * 1000)
            await end.send(message)
            assert (await loss(recorder)).describe() == "a message was longer than 1000 bytes"
            assert recorder.data == b"x" * 1000 + b"\n"
    async with listening() as (far, address), connected(address, message_limit=1000) as (_, recorder):
        (await far.end()).transport.write(b"\x81\x7f" + (2**40).to_bytes(8, "big"))
        assert (await loss(recorder)).describe() == "a message was longer than 1000 bytes"


async def test_a_server_that_shows_no_life_is_left() -> None:
    """It accepted the connection once, and answers no ping."""
    async with listening() as (far, address), connected(address, heartbeat=0.01, patience=0.05) as (_, recorder):
        (await far.end()).turn_deaf()
        assert (await loss(recorder)).describe() == "no sign of life within 0.05 s"


async def test_a_server_that_answers_is_kept() -> None:
    """Each ping gets its pong, for as long as it takes."""
    async with listening() as (far, address), connected(address, heartbeat=0.001, patience=0.05) as (near, recorder):
        end = await far.end()
        await until(lambda: near._heard > 5)
        assert end.reads >= 5
        assert recorder.ends == []
        assert recorder.data == b""


async def test_silence_is_not_held_against_a_server_that_we_do_not_read() -> None:
    """The signs of life may be waiting."""
    async with listening() as (far, address), connected(address, heartbeat=0.001, patience=0.001) as (near, recorder):
        end = await far.end()
        near.pause_reading()
        seen = end.reads
        await until(lambda: end.reads > seen + 5)
        heard = near._heard
        near.resume_reading()
        near._look_for_life(heard)  # as it may happen, in the very moment
        near.pause_reading()  # so that a slow machine fails nothing
        await asyncio.sleep(0)
        assert recorder.ends == []


async def test_closing_says_goodbye() -> None:
    """The server hears that it was meant; twice is once."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        end = await far.end()
        near.write(b"last words\n")
        closing = asyncio.gather(near.aclose(), near.aclose())
        await asyncio.sleep(0)
        near.write(b"too late\n")
        first, second = await closing
        assert first is second
        assert first.describe() == "the connection was closed by us"
        assert recorder.ends == [first]
        await end.wait_closed()
        assert (end.protocol.close_code, far.got) == (1000, ["last words"])


async def test_closing_a_paused_connection_takes_no_longer() -> None:
    """It is read again to hear the goodbye, and what was in between is delivered."""
    async with listening() as (far, address), connected(address, grace=600.0) as (near, recorder):
        end = await far.end()
        near.pause_reading()
        await end.send("in between")
        async with asyncio.timeout(PATIENCE):
            await near.aclose()
        assert recorder.data == b"in between\n"


async def test_a_goodbye_that_is_not_returned_is_cut_short() -> None:
    """Within the grace, also if there was no room for it to be sent."""
    for unread in (b"", b"x" * 32 * MIB + b"\n"):
        hasty = {"grace": 0.05, "heartbeat": 0.001}
        async with listening() as (far, address), connected(address, **hasty) as (near, recorder):
            (await far.end()).turn_deaf()
            near.write(unread)
            async with asyncio.timeout(PATIENCE):
                end = await near.aclose()
            assert recorder.ends == [end]


async def test_cancelling_one_who_closes_does_not_stop_the_end() -> None:
    """It goes on by itself."""
    async with listening() as (far, address), connected(address, grace=0.05) as (near, recorder):
        (await far.end()).turn_deaf()
        closing = asyncio.ensure_future(near.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        assert (await recorder.end()).describe() == "the connection was closed by us"


async def test_a_kill_cuts_the_connection() -> None:
    """Without a goodbye; the server goes on."""
    async with listening() as (far, address), connected(address) as (near, recorder):
        end = await far.end()
        near.kill()
        near.kill()
        assert (await recorder.end()).describe() == "the connection was cut by us"
        await end.wait_closed()
        assert end.protocol.close_code == 1006


async def test_a_connection_that_is_lost_before_anybody_listens_is_told_all_the_same() -> None:
    """Between the greeting and the receiver there is a moment; what had come by then is not lost either."""

    async def at_once(end: Counting) -> None:
        await end.send("early")

    async with listening() as (far, address):
        far.on_connect = at_once
        where, recorder = parse_address(address), Recorder()
        assert isinstance(where, TcpAddress)
        near = WebSocketConnection(where, Bounds(1000, 20.0, 20.0, 0.1), None)
        await asyncio.get_running_loop().create_connection(lambda: near, where.host, where.port)
        await near.greeted()
        await until(lambda: near._early)
        near.kill()
        end = await near.aclose()
        near.open(recorder)
        await recorder.end()
        assert (recorder.ends, recorder.data) == ([end], b"early\n")


async def test_a_receiver_that_fails_still_learns_of_the_end() -> None:
    """Its mistake on the way must not hide the loss."""
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(str(context["exception"])))

    class Clumsy(Recorder):
        def data_received(self, data: bytes, /) -> None:
            raise ZeroDivisionError("clumsy")

    async with listening() as (far, address), connected(address, Clumsy()) as (_, recorder):
        await (await far.end()).send("x")
        await loss(recorder)
    assert failures == ["clumsy"]


# -- the extra ---------------------------------------------------------------------------------------------------------


def test_without_the_extra_the_error_says_what_to_install() -> None:
    """It is found before anything is connected to, and nobody else needs the library."""
    program = """
import asyncio, sys
sys.modules["websockets"] = None
from codex_runtime.errors import ConfigError
from codex_runtime.runtime import Runtime, RuntimeConfig
try:
    asyncio.run(Runtime(RuntimeConfig(address="ws://127.0.0.1:1")).open())
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == 'address: needs an extra: pip install "codex-runtime[ws]"\n'


def test_the_library_is_loaded_only_for_those_who_connect() -> None:
    """Starting up stays quick for everybody else."""
    program = "import sys, codex_runtime, codex_runtime.runtime; print([m for m in ('websockets', 'hmac') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"


def test_an_address_is_named_without_anything_secret() -> None:
    """The launcher shows no token."""
    assert "hunter2" not in repr(WebSocketLauncher("ws://127.0.0.1:1", token="hunter2"))
    assert str(TcpAddress("::1", 5)) == "ws://[::1]:5"


def frame(data: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """Make a frame as a server sends it."""
    head = bytes([opcode | 0x80 * fin])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return head + b"\x7e" + len(data).to_bytes(2, "big") + data

"""A stand-in for the model: an HTTP server on loopback that says what it is told to say.

It lets a real ``codex app-server`` run real turns with no network and no login.
It never decides anything: which reply is next was lined up by the test. The one
idea: while a reply is played the connection is also read, so a client that
leaves ends its stream at once, however long that stream meant to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import msgspec

from codex_runtime.testing._gate import Tally
from codex_runtime.testing._http import (
    LAST_CHUNK,
    MAX_HEAD,
    BadRequestError,
    HttpRequest,
    chunk,
    head,
    plain,
    read_request,
)
from codex_runtime.testing._model_request import ModelRequest
from codex_runtime.testing._reply import Cut, Hold, HttpError, Pause, Reply, Stall
from codex_runtime.testing._responses_api import headers, score

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["MockModel"]

Match: TypeAlias = str | Callable[[ModelRequest], bool]
Default: TypeAlias = Reply | str | Callable[[ModelRequest], Reply | str]

_BATCH = 32 * 1024  # frames that follow each other at once travel together, up to about this size

_log = logging.getLogger("codex_runtime.testing")


class MockModel:
    """A scripted model behind the HTTP interface that the server expects; ``base_url`` is where it is.

    Replies given here or to :meth:`enqueue` are used once each, in order, by
    whichever request comes. :meth:`on` keeps threads that run at once apart.
    ``default`` answers when nothing else is lined up; without it such a request
    fails with HTTP 500, is logged and is kept in :attr:`unscripted`.

    Example::

        async with MockModel("Hello!") as model:
            home = write_codex_home(tmp_path / "home", model.base_url)
            ...  # run one turn of `codex app-server` with CODEX_HOME=home
            assert model.requests[0].prompt == "Say hello."
    """

    def __init__(self, *replies: Reply | str, default: Default | None = None, port: int = 0) -> None:
        self._queue = deque(map(Reply.of, replies))
        self._rules: list[tuple[Callable[[ModelRequest], bool], deque[Reply]]] = []
        self._default = default
        self._port = port
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._requests: list[ModelRequest] = []
        self._unscripted: list[ModelRequest] = []
        self._arrivals = Tally()

    # -- the script ----------------------------------------------------------

    def enqueue(self, *replies: Reply | str) -> None:
        """Line up replies for the next requests, whichever thread they come from."""
        self._queue.extend(map(Reply.of, replies))

    def on(self, match: Match, /, *replies: Reply | str) -> None:
        """Line up replies for the requests that match, ahead of the common queue.

        A string matches when the last message of the user contains it. Rules are
        tried in the order they were made; one whose replies are used up is passed over.

        Example: ``model.on("first task", Reply(Exec("ls")), "Done.")``
        """
        if isinstance(match, str):
            wanted = match
            self._rules.append((lambda request: wanted in request.prompt, deque(map(Reply.of, replies))))
        else:
            self._rules.append((match, deque(map(Reply.of, replies))))

    @property
    def pending(self) -> int:
        """How many replies are lined up and not yet used."""
        return len(self._queue) + sum(len(replies) for _, replies in self._rules)

    # -- what came -------------------------------------------------------------

    @property
    def requests(self) -> Sequence[ModelRequest]:
        """All requests so far, oldest first."""
        return tuple(self._requests)

    @property
    def unscripted(self) -> Sequence[ModelRequest]:
        """The requests for which nothing was lined up, oldest first; a good test ends with none."""
        return tuple(self._unscripted)

    async def wait_for_requests(self, count: int, *, timeout: float = 10.0) -> Sequence[ModelRequest]:
        """Wait until that many requests have come in all, and return them.

        Raises:
            TimeoutError: They did not come within ``timeout`` seconds.
        """
        await self._arrivals.wait_for(count, timeout=timeout, what="model requests")
        return self.requests

    # -- coming and going --------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Where the server finds the model; ``RuntimeError`` before the start."""
        if not self._port or self._server is None:
            raise RuntimeError("the mock model is not running: use `async with MockModel() as model`")
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("a mock model runs once")
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, limit=MAX_HEAD)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening and drop every connection, also those in the middle of a reply; may be called again."""
        self._is_closed = True
        if self._server is None:
            return
        self._server.close()
        while self._conversations:
            for conversation in self._conversations:
                conversation.cancel()
            await asyncio.wait(self._conversations)
        await self._server.wait_closed()

    # -- one connection ------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed:  # it was on its way in when we closed
            writer.transport.abort()
            return
        conversation = asyncio.get_running_loop().create_task(self._converse(reader, writer), name="mock model")
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)
        # a task that is cancelled before its first step never reaches its own `finally`
        conversation.add_done_callback(lambda _: writer.transport.abort())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await read_request(reader)
            while request is not None:
                request = await self._answer_while_reading(request, reader, writer)
            writer.close()
            await _until_closed(writer)
        except BadRequestError as error:
            writer.write(plain(error.status, {"connection": "close"}, str(error).encode()))
            writer.close()
            await _until_closed(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, which is its right
        finally:
            writer.transport.abort()
            await _until_closed(writer)

    async def _answer_while_reading(
        self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> HttpRequest | None:
        """Answer one request and return the next one; ``None`` when the connection is done with."""
        upcoming = asyncio.create_task(read_request(reader), name="mock model: read")
        answering = asyncio.create_task(self._answer(request, writer), name="mock model: answer")
        try:
            await asyncio.wait((upcoming, answering), return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done() and upcoming.result() is None:
                return None  # the client left: what is still to be said is not said
            await answering
            return None if writer.is_closing() else await upcoming
        finally:
            upcoming.cancel()
            answering.cancel()
            await asyncio.gather(upcoming, answering, return_exceptions=True)

    async def _answer(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        if request.method == "POST" and request.path.endswith("/responses"):
            await self._answer_as_model(_model_request(request), writer)
        else:
            text = f"MockModel only answers POST .../responses, not {request.method} {request.path}"
            writer.write(_error(404, text))
        if request.is_last:
            writer.close()
        await writer.drain()

    async def _answer_as_model(self, request: ModelRequest, writer: asyncio.StreamWriter) -> None:
        self._requests.append(request)
        serial = len(self._requests)
        try:
            reply = self._choose(request)
        except Exception as error:  # noqa: BLE001 - a rule or default of the test: its fault must not look like ours
            _log.exception("a rule or default given to MockModel failed")
            writer.write(_error(500, f"a rule or default given to MockModel failed: {error!r}"))
            return
        finally:
            self._arrivals.add_one()
        match reply:
            case None:
                writer.write(_error(500, self._complain(request)))
            case Reply(parts=(HttpError(status, body, told),)):
                writer.write(plain(status, told, body))
            case _:
                await _play(reply, serial, writer)

    def _choose(self, request: ModelRequest) -> Reply | None:
        for matches, replies in self._rules:
            if replies and matches(request):
                return replies.popleft()
        if self._queue:
            return self._queue.popleft()
        if self._default is None:
            return None
        return Reply.of(self._default(request) if callable(self._default) else self._default)

    def _complain(self, request: ModelRequest) -> str:
        self._unscripted.append(request)
        text = (
            f"MockModel has no reply for request {len(self._requests)}, of thread {request.thread_id}, "
            f"whose prompt is {request.prompt[-200:]!r}: line one up with enqueue() or on(), or give a default"
        )
        _log.warning(text)
        return text


async def _play(reply: Reply, serial: int, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, {**headers(reply), "transfer-encoding": "chunked"}))
    batch = bytearray()
    for step in score(reply, serial):
        if isinstance(step, bytes):
            batch += step
            if len(batch) < _BATCH:
                continue
        await _flush(batch, writer)
        match step:
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Hold(gate):
                await gate.wait()
            case Stall():
                await asyncio.get_running_loop().create_future()  # ends by cancellation only
            case Cut(clean=False):
                writer.close()
                return
    await _flush(batch, writer)
    writer.write(LAST_CHUNK)


async def _flush(batch: bytearray, writer: asyncio.StreamWriter) -> None:
    if batch:
        writer.write(chunk(bytes(batch)))
        batch.clear()
        await writer.drain()
    await asyncio.sleep(0)  # a stream without pauses must not keep the others waiting


async def _until_closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _model_request(request: HttpRequest) -> ModelRequest:
    try:
        body = msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadRequestError(400, f"the body of the request is not a JSON object: {error}") from None
    return ModelRequest(body, request.headers, request.headers.get("thread-id"))


def _error(status: int, text: str) -> bytes:
    return plain(status, {"content-type": "application/json"}, msgspec.json.encode({"error": {"message": text}}))

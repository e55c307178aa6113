"""The runtime: one supervised app server, across generations, for many users.

This file only joins the parts. Messages come in through ``_dispatch``, calls go out through ``_calls``, server requests
are settled at ``_server_requests``, and ``_supervisor`` decides who lives.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import msgspec

from codex_runtime._io.binary import find_binary
from codex_runtime._io.clock import LoopClock
from codex_runtime._io.fanout import DEFAULT_CAPACITY, DEFAULT_MAX_BYTES, Fanout, Overflow, Subscription
from codex_runtime._io.link import Link
from codex_runtime._io.process import ProcessLauncher, ProcessSpec
from codex_runtime._sansio.envelope import Envelope, JsonValue, Kind, loads
from codex_runtime._sansio.projection import Connection, Projection, RuntimeState
from codex_runtime.errors import (
    CodexError,
    ConfigError,
    ConnectionLostError,
    LocalProtocolError,
    OverloadedError,
    RemoteProtocolError,
    RequestTimeoutError,
    RuntimeClosedError,
    RuntimeDeadError,
)
from codex_runtime.runtime._calls import Call, Calls, outcome_of
from codex_runtime.runtime._dispatch import Dispatch, ThreadListener
from codex_runtime.runtime._pump import Pumps
from codex_runtime.runtime._server_requests import Desk, Ticket
from codex_runtime.runtime._supervisor import Supervisor
from codex_runtime.runtime.config import Restarted, RuntimeConfig
from codex_runtime.runtime.metrics import Counters, Metrics, frozen

if TYPE_CHECKING:
    from codex_runtime._io.transport import Launcher
    from codex_runtime._sansio.restart import Exit

__all__ = ["Request", "Runtime", "ServerInfo"]

Request: TypeAlias = Callable[[str, object], Awaitable[JsonValue]]
Reattach: TypeAlias = Callable[[Request], Awaitable[None]]

NOT_OPEN = "the runtime is not open: use it as `async with Runtime(...)`"
# The first pause before an overloaded request is tried again, in seconds; it doubles each time.
OVERLOAD_PAUSE = 0.05


class ServerInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What the server says of itself in the greeting."""

    user_agent: str = ""
    codex_home: str | None = None
    platform_family: str | None = None
    platform_os: str | None = None


class Runtime:
    """One supervised app server. Use it as ``async with Runtime(config) as runtime``.

    Entering starts the server and greets it (:class:`StartError` if that fails). Leaving ends it with everything that it
    started, within the graces of the configuration. If the server dies it is started again by the rule in
    ``config.restart``; requests that were in flight fail with :class:`ConnectionLostError`, later ones wait for the next
    server within their own deadline. When the rule gives up, everyone who waits gets :class:`RuntimeDeadError`.

    All methods belong to the event loop on which the runtime was opened.
    """

    def __init__(self, config: RuntimeConfig | None = None) -> None:
        self.config = config = config or RuntimeConfig()
        self._counters = Counters()
        self.clock = self._clock = config.clock or LoopClock()
        self._projection = Projection(config.state_limits) if config.state else None
        self._fanout = Fanout(clock=self._clock, on_block=self._hold, patience=config.block_patience)
        self._desk = Desk(
            clock=self._clock,
            counters=self._counters,
            board=None if self._projection is None else _Board(self._projection),
            write=self._write,
            handler=config.on_server_request,
            deadline=config.server_request_deadline,
            deadlines=config.server_request_deadlines,
            capacity=config.max_open_server_requests,
        )
        self._calls = Calls(
            clock=self._clock, counters=self._counters, max_in_flight=config.max_in_flight, write=self._write
        )
        self._dispatch = Dispatch(
            clock=self._clock,
            counters=self._counters,
            fanout=self._fanout,
            projection=self._projection,
            desk=self._desk,
            settle=self._calls.settle,
        )
        self._sinks = Pumps(
            config.sinks,
            fanout=self._fanout,
            clock=self._clock,
            on_trouble=lambda metrics: self._tell(config.on_sink_trouble, metrics),
        )
        self._reattachments: dict[object, Reattach] = {}
        self._reattaching: set[asyncio.Task[None]] = set()
        self._link: Link[Call] | None = None
        self._held = False
        self._connection = Connection("starting", 0, None)
        self._changed: asyncio.Event | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._opened_at = 0.0
        self._dead: RuntimeDeadError | None = None
        self.server_info = ServerInfo()

    # -- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start the app server."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the app server."""
        await self.aclose()

    async def open(self) -> None:
        """Start the app server and wait until it is ready. Raises :class:`StartError`. A runtime opens only once."""
        if self._supervision is not None or self._closing is not None:
            raise LocalProtocolError("a runtime opens only once")
        loop = asyncio.get_running_loop()
        self._opened_at = self._clock.monotonic()
        self._changed = asyncio.Event()
        supervisor = Supervisor(
            launcher=self._launcher(),
            policy=self.config.restart,
            clock=self._clock,
            start_deadline=self.config.start_deadline,
            line_limit=self.config.line_limit,
            steps=self,
        )
        started: asyncio.Future[None] = loop.create_future()
        self._supervision = loop.create_task(self._supervise(supervisor, started), name="codex-runtime supervisor")
        self._supervision.add_done_callback(lambda _: _give_up(started))
        try:
            await asyncio.shield(started)
        except BaseException:
            started.cancel()
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the app server, with everything that it started, and fail whoever still waits.

        Bounded by the graces of the configuration, idempotent, and safe to cancel: the closing goes on by itself.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name="codex-runtime close")
        await asyncio.shield(self._closing)

    async def wait_ready(self) -> None:
        """Wait until an app server is ready. Raises :class:`RuntimeDeadError` or :class:`RuntimeClosedError`."""
        while self._connection.phase != "running":
            if self._dead is not None:
                raise self._gone()
            if self._closing is not None:
                raise RuntimeClosedError("the runtime is closed")
            if self._changed is None:
                raise LocalProtocolError(NOT_OPEN)
            await self._changed.wait()

    @property
    def connection(self) -> Connection:
        """How the connection stands: its phase, generation and, if it is dead, the cause."""
        return self._connection

    @property
    def generation(self) -> int:
        """The number of the current app server, from 0."""
        return self._connection.generation

    @property
    def pid(self) -> int | None:
        """The process id of the current app server, if there is one and it is a process."""
        return self._link.transport.pid if self._link is not None and self._link.alive else None

    @property
    def stderr_tail(self) -> str:
        """The last text that the current app server wrote to stderr."""
        return self._link.transport.stderr_tail() if self._link is not None else ""

    # -- talk ------------------------------------------------------------------------------------------------------

    async def request(self, method: str, params: object = None, *, deadline: float | None = None) -> JsonValue:
        """Ask the server for something and return the result as plain JSON values.

        ``params`` may be anything that msgspec can encode. ``deadline`` is in seconds and covers everything, also the
        wait for a restart; ``None`` takes the configured one. An overloaded server is asked again a few times.

        Raises :class:`RequestFailedError` (:class:`OverloadedError` if there was no room), :class:`RequestTimeoutError`,
        :class:`ConnectionLostError` or, if the params cannot be sent, :class:`LocalProtocolError`.
        """
        return self._decoded(method, await self._respond(method, params, deadline))

    async def request_raw(self, method: str, params: object = None, *, deadline: float | None = None) -> msgspec.Raw:
        """As :meth:`request`, but return the result as the JSON text that came."""
        return (await self._respond(method, params, deadline)).result

    async def notify(self, method: str, params: object = None, *, deadline: float | None = None) -> None:
        """Tell the server something that wants no answer. Returns when it is on its way."""
        await self._calls.run("notification", method, params, self._seconds(deadline))

    def subscribe(
        self,
        *,
        thread: str | None = None,
        methods: Collection[str] | None = None,
        kinds: Collection[Kind] | None = None,
        outbound: bool = False,
        capacity: int = DEFAULT_CAPACITY,
        max_bytes: int = DEFAULT_MAX_BYTES,
        overflow: Overflow = "drop",
    ) -> Subscription:
        """Follow what comes in, from now on.

        ``thread``, ``methods`` and ``kinds`` narrow it; ``outbound`` adds what we write. A reader that lags by more than
        ``capacity`` envelopes or ``max_bytes`` loses the oldest and is told where; with ``overflow="block"`` the server
        is held up instead.
        """
        if capacity < 1 or max_bytes < 1:
            raise ConfigError("capacity" if capacity < 1 else "max_bytes", "must be 1 or more")
        if overflow not in ("drop", "block"):
            raise ConfigError("overflow", f"{overflow!r} is not one of 'drop', 'block'")
        return self._fanout.subscribe(
            select=_selector(thread, methods, kinds),
            outbound=outbound,
            capacity=capacity,
            max_bytes=max_bytes,
            overflow=overflow,
        )

    # -- server requests -------------------------------------------------------------------------------------------

    def server_requests(self) -> AsyncIterator[Ticket]:
        """Iterate over server requests that no session and no handler takes, and settle them at leisure."""
        return self._desk.server_requests()

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """The server requests that wait for an answer, oldest first."""
        return self._desk.tickets()

    def ticket(self, ticket_id: str) -> Ticket:
        """Find an open server request by its id. Raises :class:`ServerRequestNotFoundError`."""
        return self._desk.ticket(ticket_id)

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> RuntimeState:
        """An immutable picture of all that the server has said: the same object until something changes.

        Raises :class:`ConfigError` if the runtime was told to keep no state.
        """
        if self._projection is None:
            raise ConfigError("state", "this runtime was told to keep none")
        return self._projection.snapshot()

    @property
    def metrics(self) -> Metrics:
        """The counters as they are now."""
        counters = self._counters
        return Metrics(
            uptime=self._clock.monotonic() - self._opened_at if self._opened_at else 0.0,
            generation=self.generation,
            messages=counters.messages,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            malformed=counters.malformed,
            too_long=counters.too_long,
            late_answers=counters.late_answers,
            requests=counters.requests,
            requests_failed=counters.requests_failed,
            requests_timed_out=counters.requests_timed_out,
            requests_lost=counters.requests_lost,
            overload_retries=counters.overload_retries,
            restarts=frozen(counters.restarts),
            server_requests=counters.server_requests,
            settled=frozen(counters.settled),
            guest_errors=counters.guest_errors,
            dropped=self._fanout.dropped,
            gaps=self._fanout.gaps,
            in_flight=self._calls.in_flight,
            queued=self._calls.queued,
            open_server_requests=len(self._desk),
            subscriptions=len(self._fanout),
            unsent=self._link.unsent if self._link is not None else 0,
            sinks=self._sinks.metrics,
        )

    # -- for the desk above ----------------------------------------------------------------------------------------

    def listen(self, thread_id: str, listener: ThreadListener) -> Callable[[], None]:
        """Follow one thread from inside the dispatch: exact, whatever the speed of any reader. Returns the way out."""
        return self._dispatch.listen(thread_id, listener)

    def take(self, thread_id: str, taker: Callable[[Ticket], bool]) -> Callable[[], None]:
        """Be offered those server requests of a thread that no listener takes. Returns the way out."""
        return self._dispatch.take(thread_id, taker)

    async def request_and_note(
        self, method: str, params: object, note: Callable[[JsonValue], None], *, deadline: float | None = None
    ) -> JsonValue:
        """As :meth:`request`, but also give the result to ``note``, inside the dispatch.

        That is before anything that came after the answer, in the same read, is folded or offered to anybody.
        """

        def at_once(envelope: Envelope) -> None:
            if envelope.fault is None and not envelope.refused:
                note(self._decoded(method, envelope))

        return self._decoded(method, await self._respond(method, params, deadline, at_once=at_once))

    def answer_with(self, ticket: Ticket, handler: Callable[[Ticket], Awaitable[None]]) -> None:
        """Let a handler settle a ticket, in a task of the runtime; if it does not, the ticket is declined."""
        self._desk.run(ticket, handler)

    def on_restart(self, key: object, reattach: Reattach | None) -> None:
        """Have ``reattach(request)`` run on each new app server before anybody else may use it; ``None`` ends that."""
        if reattach is None:
            self._reattachments.pop(key, None)
        else:
            self._reattachments[key] = reattach

    # -- steps of the supervisor -----------------------------------------------------------------------------------

    def data(self, link: Link[Call], data: bytes) -> None:
        """Take a chunk from the server."""
        self._dispatch.data(link, data)

    async def greet(self, link: Link[Call]) -> None:
        """Greet a new server."""
        self._link = link
        self._set_connection(Connection("handshaking", link.generation, None))
        config = self.config
        capabilities: dict[str, object] = {"experimentalApi": True} if config.experimental_api else {}
        if config.opt_out:
            capabilities["optOutNotificationMethods"] = list(config.opt_out)
        client = {"name": config.client_name, "title": config.client_title, "version": config.client_version}
        params = {"clientInfo": client, "capabilities": capabilities}
        response = _response(await self._calls.run("greeting", "initialize", params, config.start_deadline, on=link))
        try:
            self.server_info = msgspec.json.decode(outcome_of("initialize", response).result, type=ServerInfo)
        except msgspec.MsgspecError:
            raise RemoteProtocolError("initialize: the result does not have the promised shape") from None
        self._write(link, link.peer.greeted())

    async def reattach(self, link: Link[Call]) -> None:
        """Let sessions find their threads again. One that fails, or that takes too long, is on its own."""
        # These calls skip the line, and so its bound: the server loses requests above some number.
        room = asyncio.Semaphore(self.config.max_in_flight)

        async def request(method: str, params: object) -> JsonValue:
            async with room:
                return self._decoded(method, await self._respond(method, params, None, on=link))

        async def bring(back: Reattach) -> None:
            try:
                await back(request)
            except Exception:  # noqa: BLE001  # a guest's fault stays the guest's
                self._counters.guest_errors += link.alive

        if not self._reattachments:
            return
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(bring(back), name="reattach") for back in self._reattachments.values()]
        self._reattaching.update(tasks)
        for task in tasks:
            task.add_done_callback(self._reattaching.discard)
        over: asyncio.Future[None] = loop.create_future()
        timer = self._clock.call_at(self._clock.monotonic() + self.config.start_deadline, _wake, over)
        link.lost.add_done_callback(lambda _: _wake(over))
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: _wake(over))
        try:
            await over
            self._counters.guest_errors += sum(not task.done() for task in tasks) if link.alive else 0
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()

    def ready(self, link: Link[Call], previous: Exit | None) -> None:
        """Open the new server to everyone."""
        self._set_connection(Connection("running", link.generation, None))
        if self._held:
            link.transport.pause_reading()
        self._calls.link = link
        self._calls.pump()
        if previous is not None:
            self._counters.restarts[previous.describe()] += 1
            self._tell(self.config.on_restart, Restarted(link.generation, previous))

    def lost(self, link: Link[Call], ended: Exit) -> None:
        """Fail what the server leaves behind."""
        was_ready = self._calls.link is link
        self._calls.link = None
        self._dispatch.end_of_data(link)

        def error() -> ConnectionLostError:
            if self._closing is not None:
                return RuntimeClosedError("the runtime was closed", generation=link.generation, exit=ended)
            text = f"the app server ended before it answered: {ended.describe()}"
            return ConnectionLostError(text, generation=link.generation, exit=ended)

        self._calls.fail(link.peer.close(), error)
        self._desk.withdraw_all("the app server is gone")
        if self._projection is not None:
            self._projection.end_generation()
        if was_ready:
            # Who follows a thread lost nothing by a server that nobody could use yet.
            self._dispatch.lost(error())

    def restarting(self, generation: int, cause: str) -> None:
        """Note that another server will come."""
        self._set_connection(Connection("restarting", generation, cause))

    def dead(self, error: RuntimeDeadError) -> None:
        """Tell everyone that no server will come."""
        self._dead = error
        generation = self.generation if error.generation is None else error.generation
        self._set_connection(Connection("dead", generation, str(error)))
        self._calls.close(self._gone)
        self._desk.end(self._gone, "the app server is gone")
        self._fanout.close(self._gone)
        self._tell(self.config.on_dead, self._gone())

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _supervise(self, supervisor: Supervisor, started: asyncio.Future[None]) -> None:
        try:
            await self._sinks.open()  # before the first message
        except CodexError as error:
            if not started.done():
                started.set_exception(error)
            return
        await supervisor.run(started)

    async def _respond(
        self,
        method: str,
        params: object,
        deadline: float | None,
        *,
        on: Link[Call] | None = None,
        at_once: Callable[[Envelope], None] | None = None,
    ) -> Envelope:
        total = seconds = self._seconds(deadline)
        until = self._clock.monotonic() + seconds
        for attempt in range(self.config.overload_retries + 1):
            try:
                response = await self._calls.run("request", method, params, seconds, on=on, at_once=at_once)
                return outcome_of(method, _response(response))
            except RequestTimeoutError:
                self._counters.requests_failed += 1
                raise RequestTimeoutError(method, total) from None
            except OverloadedError:
                pause = OVERLOAD_PAUSE * 2**attempt * (0.5 + random.random())  # noqa: S311  # spreads retries; not a secret
                seconds = until - self._clock.monotonic() - pause
                if attempt == self.config.overload_retries or seconds <= 0:
                    self._counters.requests_failed += 1
                    raise
                self._counters.overload_retries += 1
                await self._clock.sleep_until(self._clock.monotonic() + pause)
            except CodexError:
                self._counters.requests_failed += 1
                raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _decoded(self, method: str, envelope: Envelope) -> JsonValue:
        try:
            return loads(bytes(envelope.result)) if bytes(envelope.result) else None
        except (ValueError, RecursionError, msgspec.MsgspecError):
            self._counters.requests_failed += 1
            raise RemoteProtocolError(f"{method}: the result cannot be decoded") from None

    def _seconds(self, deadline: float | None) -> float:
        seconds = self.config.request_deadline if deadline is None else deadline
        if not seconds > 0:
            raise ConfigError("deadline", "must be a number of seconds above 0")
        if self._supervision is None and self._closing is None:
            raise LocalProtocolError(NOT_OPEN)
        return seconds

    def _write(self, link: Link[Call], line: bytes) -> None:
        link.write(line)
        self._dispatch.sent(link, line)

    def _hold(self, hold: bool) -> None:  # noqa: FBT001  # a callback of the fan-out
        # A server that is on its way up or out must be heard: it would end in neither.
        self._held = hold
        if (link := self._calls.link) is not None:
            if hold:
                link.transport.pause_reading()
            else:
                link.transport.resume_reading()

    def _set_connection(self, connection: Connection) -> None:
        self._connection = connection
        if self._projection is not None:
            self._projection.set_connection(connection)
        if self._changed is not None:
            self._changed.set()
            self._changed = asyncio.Event()

    def _gone(self) -> RuntimeDeadError:
        dead = self._dead
        if dead is None:
            raise AssertionError("the runtime lives")
        error = RuntimeDeadError(str(dead), generation=dead.generation, exit=dead.exit)
        error.__cause__ = dead.__cause__
        return error

    def _tell(self, callback: Callable[..., object] | None, value: object) -> None:
        if callback is not None:
            try:
                callback(value)
            except Exception:  # noqa: BLE001  # a guest's fault stays the guest's
                self._counters.guest_errors += 1

    def _launcher(self) -> Launcher:
        config = self.config
        if config.launcher is not None:
            return config.launcher
        if config.address is not None:
            return self._connector(config.address)
        if config.command is not None:
            argv = config.command
        else:
            overrides = [part for key, value in config.settings.items() for part in ("-c", f"{key}={value}")]
            argv = (str(find_binary(config.binary)), *overrides, "app-server")
        return ProcessLauncher(
            ProcessSpec(
                argv=argv,
                env=config.environment(),
                cwd=None if config.cwd is None else os.fspath(config.cwd),
                stderr_tail_bytes=config.stderr_tail,
                graces=config.graces,
            )
        )

    def _connector(self, address: str) -> Launcher:
        try:
            from codex_runtime._io.websocket import WebSocketLauncher
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "websockets":
                raise
            raise ConfigError("address", 'needs an extra: pip install "codex-runtime[ws]"') from None
        config = self.config
        return WebSocketLauncher(
            address,
            token=config.token,
            allow_unauthenticated=config.allow_unauthenticated,
            message_limit=config.line_limit,
            grace=config.graces.stdin_close,
        )

    async def _close(self) -> None:
        self._hold(False)
        if self._dead is None:
            self._set_connection(Connection("closing", self.generation, None))
            self._calls.close(lambda: RuntimeClosedError("the runtime is closed", generation=self.generation))
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])
        if self._link is not None:
            # The supervisor may have been cancelled in the very act of ending it.
            await self._link.aclose()
            self._calls.fail(
                self._link.peer.close(),
                lambda: RuntimeClosedError("the runtime was closed", generation=self.generation),
            )
        self._dispatch.lost(RuntimeClosedError("the runtime was closed", generation=self.generation))
        tasks = self._desk.close() | self._reattaching
        await self._calls.aclose()
        if tasks:
            await asyncio.wait(tasks, timeout=self.config.graces.terminate)
        self._fanout.close()
        await self._sinks.aclose(self.config.sink_grace)
        if self._dead is None:
            self._set_connection(Connection("closed", self.generation, None))


class _Board:
    """Shows open tickets in the state."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    def opened(self, ticket: Ticket) -> None:
        self._projection.add_pending(
            ticket_id=ticket.id,
            method=ticket.method,
            thread_id=ticket.thread_id,
            turn_id=ticket.turn_id,
            item_id=ticket.item_id,
            opened_at=ticket.envelope.at,
            deadline=ticket.deadline,
            generation=ticket.generation,
        )

    def closed(self, ticket: Ticket) -> None:
        self._projection.remove_pending(ticket.id)


def _selector(
    thread: str | None, methods: Collection[str] | None, kinds: Collection[Kind] | None
) -> Callable[[Envelope], bool] | None:
    if thread is None and methods is None and kinds is None:
        return None

    def select(envelope: Envelope) -> bool:
        return (
            (methods is None or envelope.method in methods)
            and (thread is None or thread in (envelope.shallow.thread_id, envelope.thread_id))
            and (kinds is None or envelope.kind in kinds)
        )

    return select


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _give_up(started: asyncio.Future[None]) -> None:
    if not started.done():
        started.set_exception(RuntimeClosedError("the runtime was closed while it started"))


def _response(envelope: Envelope | None) -> Envelope:
    if envelope is None:
        raise AssertionError("a request always has a response")
    return envelope

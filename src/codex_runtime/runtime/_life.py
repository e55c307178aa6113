"""Where a runtime stands, from its opening to its end, and what each step means for those who wait.

The supervisor says when a server is up, lost or given up; this file does what that takes: greet it, let calls go, fail
what a dead one leaves behind, tell everyone the end. It decides nothing about restarts and reads no messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from codex_runtime._sansio.projection import Connection, Projection
from codex_runtime._sansio.watchdog import TOO_BIG, Sight
from codex_runtime.errors import (
    CodexError,
    ConnectionLostError,
    LocalProtocolError,
    RemoteProtocolError,
    RuntimeClosedError,
    RuntimeDeadError,
)
from codex_runtime.runtime._calls import NOT_OPEN, outcome_of, require_loop
from codex_runtime.runtime._dispatch import contain
from codex_runtime.runtime._launch import launcher_of
from codex_runtime.runtime._supervisor import Supervisor
from codex_runtime.runtime._watchdog import Watchdog
from codex_runtime.runtime.config import Restarted, RuntimeConfig

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._io.fanout import Fanout
    from codex_runtime._io.link import Link
    from codex_runtime._sansio.restart import Exit
    from codex_runtime.runtime._calls import Call, Calls
    from codex_runtime.runtime._dispatch import Dispatch
    from codex_runtime.runtime._keeper import Keeper
    from codex_runtime.runtime._pump import Pumps
    from codex_runtime.runtime._reattach import Reattachments
    from codex_runtime.runtime._server_requests import Desk
    from codex_runtime.runtime.metrics import Counters

__all__ = ["Life", "ServerInfo"]


class ServerInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What the server says of itself in the greeting."""

    user_agent: str = ""
    codex_home: str | None = None
    platform_family: str | None = None
    platform_os: str | None = None


class Life:
    """The life of one runtime: the supervisor's steps, and the opening and closing around them."""

    def __init__(
        self,
        config: RuntimeConfig,
        *,
        clock: Clock,
        counters: Counters,
        projection: Projection | None,
        fanout: Fanout,
        dispatch: Dispatch,
        desk: Desk,
        calls: Calls,
        reattachments: Reattachments,
        sinks: Pumps,
        keeper: Keeper | None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._counters = counters
        self._projection = projection
        self._fanout = fanout
        self._dispatch = dispatch
        self.data = dispatch.data
        self._desk = desk
        self._calls = calls
        self._reattachments = reattachments
        self._sinks = sinks
        self._keeper = keeper
        self._held = False
        self._changed: asyncio.Event | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._dead: RuntimeDeadError | None = None
        self.watchdog = Watchdog(config.watchdog, clock=clock, calls=calls, ward=self)
        self.connection = Connection("starting", 0, None)
        self.link: Link[Call] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.opened_at: float | None = None
        self.ready_at: float | None = None  # since when the present server may be used
        self.server_info = ServerInfo()

    # -- from the opening to the end -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the app server and wait until it is ready. Raises :class:`StartError`. Only once."""
        if self._supervision is not None or self._closing is not None:
            raise LocalProtocolError("a runtime opens only once")
        self._loop = loop = asyncio.get_running_loop()
        self.opened_at = self._clock.monotonic()
        self._changed = asyncio.Event()
        config = self._config
        supervisor = Supervisor(
            launcher=launcher_of(config),
            policy=config.restart,
            clock=self._clock,
            start_deadline=config.start_deadline,
            line_limit=config.line_limit,
            steps=self,
        )
        started: asyncio.Future[None] = loop.create_future()
        self._supervision = loop.create_task(self._supervise(supervisor, started), name="codex-runtime supervisor")
        self._supervision.add_done_callback(lambda _: _give_up(started))
        self._supervision.add_done_callback(self._note_end)
        self._calls.open()
        try:
            await asyncio.shield(started)
        except BaseException:
            started.cancel()
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End it all. Bounded, idempotent, and safe to cancel: the closing goes on by itself."""
        require_loop(self._loop)
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name="codex-runtime close")
        await asyncio.shield(self._closing)

    async def wait_ready(self) -> None:
        """Wait until an app server is ready. Raises :class:`RuntimeDeadError` or :class:`RuntimeClosedError`."""
        require_loop(self._loop)
        while self.connection.phase != "running":
            if self._dead is not None:
                raise self._gone()
            if self._closing is not None:
                raise RuntimeClosedError("the runtime is closed")
            if self._changed is None:
                raise LocalProtocolError(NOT_OPEN)
            await self._changed.wait()

    def hold(self, hold: bool) -> None:  # noqa: FBT001  # a callback of the fan-out
        """Leave what the server writes unread, or go on reading."""
        # A server that is on its way up or out must be heard: it would end in neither.
        self._held = hold
        if (link := self._calls.link) is not None:
            if hold:
                link.transport.pause_reading()
            else:
                link.transport.resume_reading()

    def tell(self, callback: Callable[..., object] | None, value: object) -> None:
        """Call a function of the configuration, if there is one."""
        if callback is not None:
            try:
                callback(value)
            except BaseException as error:  # noqa: BLE001  # a guest's fault stays the guest's
                contain(error, self._counters)

    # -- steps of the supervisor -----------------------------------------------------------------------------------

    async def greet(self, link: Link[Call]) -> None:
        """Greet a new server."""
        self.link = link
        self._set_connection(Connection("handshaking", link.generation, None))
        config = self._config
        capabilities: dict[str, object] = {"experimentalApi": True} if config.experimental_api else {}
        if config.request_attestation:
            capabilities["requestAttestation"] = True
        if config.opt_out:
            capabilities["optOutNotificationMethods"] = list(config.opt_out)
        client = {"name": config.client_name, "title": config.client_title, "version": config.client_version}
        params = {"clientInfo": client, "capabilities": capabilities}
        response = await self._calls.run("greeting", "initialize", params, config.start_deadline, on=link)
        try:
            self.server_info = msgspec.json.decode(outcome_of("initialize", response).result, type=ServerInfo)
        except msgspec.MsgspecError:
            raise RemoteProtocolError("initialize: the result does not have the promised shape") from None
        self._dispatch.write(link, link.peer.greeted())

    async def reattach(self, link: Link[Call]) -> None:
        """Let sessions find their threads again."""
        await self._reattachments.run(link)

    def ready(self, link: Link[Call], previous: Exit | None) -> None:
        """Open the new server to everyone."""
        self._set_connection(Connection("running", link.generation, None))
        self.ready_at = self._clock.monotonic()
        if previous is not None:
            self._dispatch.ready()
        if self._held:
            link.transport.pause_reading()
        self._calls.link = link
        self._calls.pump()
        if previous is not None:
            if previous.reason != TOO_BIG:
                self._counters.restarts[previous.describe()] += 1
            self.tell(self._config.on_restart, Restarted(link.generation, previous))

    def lost(self, link: Link[Call], ended: Exit) -> None:
        """Fail what the server leaves behind."""
        was_ready = self._calls.link is link
        self._calls.link = self.ready_at = None
        self._dispatch.end_of_data(link)

        def error(what: str) -> ConnectionLostError:
            if self._closing is not None:
                return RuntimeClosedError("the runtime was closed", generation=link.generation, exit=ended)
            return ConnectionLostError(f"{what}: {ended.describe()}", generation=link.generation, exit=ended)

        unanswered = link.peer.close()
        link.left_work = bool(unanswered or self._desk.waiting or self._dispatch.is_followed or self._has_turns)
        self._calls.fail(unanswered, lambda: error("the app server ended before it answered"))
        self._desk.withdraw_all("the app server is gone")
        if self._projection is not None:
            self._projection.end_generation()
        if was_ready:
            # Who follows a thread lost nothing by a server that nobody could use yet.
            self._dispatch.lost(error("the app server ended"))

    def restarting(self, generation: int, cause: str) -> None:
        """Note that another server will come."""
        self._set_connection(Connection("restarting", generation, cause))

    def dead(self, error: RuntimeDeadError) -> None:
        """Tell everyone that no server will come."""
        self._dead = error
        generation = self.connection.generation if error.generation is None else error.generation
        self._set_connection(Connection("dead", generation, str(error)))
        self._calls.close(self._gone)
        self._dispatch.lost(self._gone())
        self._desk.end(self._gone, "the app server is gone")
        self._fanout.close(self._gone)
        self.tell(self._config.on_dead, self._gone())

    # -- what the watchdog sees and does ---------------------------------------------------------------------------

    @property
    def is_followed(self) -> bool:
        """True while somebody follows a turn."""
        return self._dispatch.is_followed

    def sight(self, link: Link[Call], resident: int | None) -> Sight:
        """Show how the server is."""
        is_followed = self._dispatch.is_followed
        return Sight(
            heard=self._counters.bytes_in,
            unsent=link.unsent,
            is_held=self._held,
            has_turns=is_followed,
            is_idle=not is_followed and self._is_idle,
            resident=resident,
        )

    def recycle(self, link: Link[Call], reason: str) -> None:
        """Replace a server that nobody uses just now. From here on calls wait for the next one."""
        self._calls.link = self.ready_at = None
        self._counters.recycles += 1
        self._set_connection(Connection("restarting", link.generation, reason))
        link.retire(reason)

    @property
    def _is_idle(self) -> bool:
        if (
            self._held
            or self._reattachments.are_frail
            or self._calls.in_flight
            or self._calls.queued
            or len(self._desk)
        ):
            return False
        return not self._has_turns

    @property
    def _has_turns(self) -> bool:
        """True while a turn runs, also one that somebody began by hand: it has no listener."""
        threads = {} if self._projection is None else self._projection.snapshot().threads
        return any(thread.active_turn for thread in threads.values())

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _supervise(self, supervisor: Supervisor, started: asyncio.Future[None]) -> None:
        try:
            if self._keeper is not None:
                await self._keeper.open(self._config.start_deadline)
            await self._sinks.open()  # before the first message
        except CodexError as error:
            if not started.done():
                started.set_exception(error)
            return
        await supervisor.run(started)

    def _note_end(self, supervision: asyncio.Task[None]) -> None:
        """Tell everyone if nobody supervises any more: who runs the loop has cancelled all that is on it."""
        if supervision.cancelled() and self._closing is None and self._dead is None:
            generation = self.connection.generation
            self.dead(RuntimeDeadError("the supervision of the app server was cancelled", generation=generation))

    def _set_connection(self, connection: Connection) -> None:
        self.connection = connection
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

    async def _close(self) -> None:
        generation = self.connection.generation
        self.hold(False)
        if self._dead is None:
            self._set_connection(Connection("closing", generation, None))
            self._calls.close(lambda: RuntimeClosedError("the runtime is closed", generation=generation))
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])
        if self.link is not None:
            # The supervisor may have been cancelled in the very act of ending it.
            await self.link.aclose()
            self._calls.fail(self.link.peer.close(), self._was_closed)
        self._dispatch.lost(self._was_closed())
        tasks = self._desk.close() | self._reattachments.running
        await self.watchdog.aclose()
        await self._calls.aclose()
        if tasks:
            await asyncio.wait(tasks, timeout=self._config.graces.terminate)
        self._fanout.close()
        await self._sinks.aclose(self._config.sink_grace)
        if self._keeper is not None:
            await self._keeper.aclose(self._config.sink_grace)
        if self._dead is None:
            self._set_connection(Connection("closed", self.connection.generation, None))

    def _was_closed(self) -> RuntimeClosedError:
        return RuntimeClosedError("the runtime was closed", generation=self.connection.generation)


def _give_up(started: asyncio.Future[None]) -> None:
    if not started.done():
        started.set_exception(RuntimeClosedError("the runtime was closed while it started"))

"""The runtime: one supervised app server, across generations, for many users.

This file only joins the parts and is the door to them. Messages come in through ``_dispatch``, calls go out through
``_calls``, server requests are settled at ``_server_requests``, and what becomes of the server is in ``_life``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from codex_runtime._io.clock import LoopClock
from codex_runtime._io.fanout import DEFAULT_CAPACITY, DEFAULT_MAX_BYTES, Fanout, Overflow, Subscription
from codex_runtime._sansio.envelope import Envelope, JsonValue, Kind
from codex_runtime._sansio.projection import Connection, Projection, RuntimeState
from codex_runtime._sansio.routes import by_thread
from codex_runtime._sansio.selection import check_words
from codex_runtime.errors import ConfigError
from codex_runtime.runtime._calls import Calls
from codex_runtime.runtime._dispatch import Dispatch, ThreadListener
from codex_runtime.runtime._figures import figures
from codex_runtime.runtime._life import Life, ServerInfo
from codex_runtime.runtime._pump import Pumps
from codex_runtime.runtime._reattach import Reattach, Reattachments
from codex_runtime.runtime._server_requests import Desk
from codex_runtime.runtime._ticket import Ticket
from codex_runtime.runtime.config import RuntimeConfig
from codex_runtime.runtime.metrics import Counters, Metrics

if TYPE_CHECKING:
    import msgspec

    from codex_runtime._sansio.state import PendingRequest
    from codex_runtime.runtime._keeper import Keeper
    from codex_runtime.runtime.config import ServerRequestHandler
    from codex_runtime.runtime.metrics import SinkMetrics

__all__ = ["Runtime"]


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
        self.clock = clock = config.clock or LoopClock()
        self._counters = counters = Counters()
        self._projection = Projection(config.state_limits, pending=self._pending) if config.state else None
        self._keeper = self._make_keeper()
        self._fanout = Fanout(clock=clock, on_block=self._hold, patience=config.block_patience, sort=by_thread)
        self._dispatch = Dispatch(
            clock=clock,
            counters=counters,
            fanout=self._fanout,
            projection=self._projection,
        )
        self._desk = Desk(
            clock=clock,
            counters=counters,
            on_change=None if self._projection is None else self._projection.pending_changed,
            write=self._dispatch.write,
            items=self.items_of,
            config=config,
        )
        self._calls = Calls(
            clock=clock,
            counters=counters,
            deadline=config.request_deadline,
            max_in_flight=config.max_in_flight,
            max_waiting=config.max_waiting,
            overload_retries=config.overload_retries,
            allow_full_access=config.allow_full_access,
            write=self._dispatch.write,
        )
        self._dispatch.serve(self._desk, self._calls.settle)
        self._reattachments = Reattachments(
            clock=clock,
            counters=counters,
            calls=self._calls,
            max_in_flight=config.max_in_flight,
            limit=config.start_deadline,
        )
        self._sinks = Pumps(config.sinks, fanout=self._fanout, clock=clock, on_trouble=self._on_sink_trouble)
        self._life = Life(
            config,
            clock=clock,
            counters=counters,
            projection=self._projection,
            fanout=self._fanout,
            dispatch=self._dispatch,
            desk=self._desk,
            calls=self._calls,
            reattachments=self._reattachments,
            sinks=self._sinks,
            keeper=self._keeper,
        )

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
        await self._life.open()

    async def aclose(self) -> None:
        """End the app server, with everything that it started, and fail whoever still waits.

        Bounded by the graces of the configuration, idempotent, and safe to cancel: the closing goes on by itself.
        """
        await self._life.aclose()

    async def wait_ready(self) -> None:
        """Wait until an app server is ready. Raises :class:`RuntimeDeadError` or :class:`RuntimeClosedError`."""
        await self._life.wait_ready()

    @property
    def connection(self) -> Connection:
        """How the connection stands: its phase, generation and, if it is dead, the cause."""
        return self._life.connection

    @property
    def generation(self) -> int:
        """The number of the current app server, from 0."""
        return self._life.connection.generation

    @property
    def server_info(self) -> ServerInfo:
        """What the current app server said of itself."""
        return self._life.server_info

    @property
    def pid(self) -> int | None:
        """The process id of the current app server, if there is one and it is a process."""
        link = self._life.link
        return link.transport.pid if link is not None and link.alive else None

    @property
    def stderr_tail(self) -> str:
        """The last text that the current app server wrote to stderr."""
        link = self._life.link
        return link.transport.stderr_tail() if link is not None else ""

    # -- talk ------------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: object = None,
        *,
        deadline: float | None = None,
        allow_full_access: bool = False,
    ) -> JsonValue:
        """Ask the server for something and return the result as plain JSON values.

        ``params`` may be anything that msgspec can encode. ``deadline`` is in seconds and covers everything, also the
        wait for a restart; ``None`` takes the configured one. An overloaded server is asked again a few times.
        ``allow_full_access`` is the second word for a request that runs or changes something outside of a sandbox.

        Raises :class:`RequestFailedError` (:class:`OverloadedError` if there was no room), :class:`RequestTimeoutError`,
        :class:`ConnectionLostError` or, before anything is sent, :class:`PermissionDeniedError` without that word and
        :class:`LocalProtocolError` if the params cannot be sent.
        """
        response = await self._calls.request(method, params, deadline=deadline, allow_full_access=allow_full_access)
        return self._calls.decoded(method, response)

    async def request_raw(
        self,
        method: str,
        params: object = None,
        *,
        deadline: float | None = None,
        allow_full_access: bool = False,
    ) -> msgspec.Raw:
        """As :meth:`request`, but return the result as the JSON text that came."""
        response = await self._calls.request(method, params, deadline=deadline, allow_full_access=allow_full_access)
        return response.result

    async def notify(self, method: str, params: object = None, *, deadline: float | None = None) -> None:
        """Tell the server something that wants no answer. Returns when it is on its way."""
        await self._calls.notify(method, params, deadline=deadline)

    def subscribe(
        self,
        *,
        name: str | None = None,
        thread: str | None = None,
        methods: Collection[str] | None = None,
        kinds: Collection[Kind] | None = None,
        outbound: bool = False,
        capacity: int = DEFAULT_CAPACITY,
        max_bytes: int = DEFAULT_MAX_BYTES,
        overflow: Overflow = "drop",
    ) -> Subscription:
        """Follow what comes in, from now on.

        ``name`` says whose it is, in :attr:`metrics`. ``thread``, ``methods`` and ``kinds`` narrow it; ``outbound``
        adds what we write. A reader that lags by more than ``capacity`` envelopes or ``max_bytes`` loses the oldest and is
        told where; with ``overflow="block"`` the server is held up instead.
        """
        if capacity < 1 or max_bytes < 1:
            raise ConfigError("capacity" if capacity < 1 else "max_bytes", "must be 1 or more")
        if overflow not in ("drop", "block"):
            raise ConfigError("overflow", f"{overflow!r} is not one of 'drop', 'block'")
        check_words(methods=methods, kinds=kinds)
        return self._fanout.subscribe(
            name=name,
            topic=thread,
            select=_selector(methods, kinds),
            outbound=outbound,
            capacity=capacity,
            max_bytes=max_bytes,
            overflow=overflow,
        )

    # -- server requests -------------------------------------------------------------------------------------------

    def server_requests(
        self, *, thread: str | None = None, methods: Collection[str] | None = None
    ) -> AsyncIterator[Ticket]:
        """Iterate over server requests that no session and no handler takes, and settle them at leisure.

        ``thread`` and ``methods`` narrow it. A request goes to the first reader that wants it.
        """
        check_words(methods=methods)
        return self._desk.server_requests(thread, methods)

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """The server requests that wait for an answer, oldest first."""
        return self._desk.tickets()

    def ticket(self, ticket_id: str) -> Ticket:
        """Find an open server request by its id, to settle it from anywhere. Raises :class:`ServerRequestNotFoundError`."""
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
        return figures(
            self._counters,
            now=self.clock.monotonic(),
            life=self._life,
            fanout=self._fanout,
            calls=self._calls,
            desk=self._desk,
            sinks=self._sinks,
            keeper=self._keeper,
        )

    # -- for the desk above ----------------------------------------------------------------------------------------

    def listen(self, thread_id: str, listener: ThreadListener) -> Callable[[], None]:
        """Follow one thread from inside the dispatch: exact, whatever the speed of any reader. Returns the way out."""
        leave, watchdog = self._dispatch.listen(thread_id, listener), self._life.watchdog
        watchdog.wake()

        def out() -> None:
            leave()
            watchdog.look()

        return out

    def take(self, thread_id: str | None, taker: Callable[[Ticket], bool]) -> Callable[[], None]:
        """Be offered those server requests of a thread, or of all, that no listener takes. Returns the way out."""
        return self._dispatch.take(thread_id, taker)

    def pass_on(self, ticket: Ticket) -> bool:
        """Leave a ticket that was taken to the handler of the settings, or to whoever iterates. False: nobody is there."""
        return self._desk.pass_on(ticket)

    async def request_and_note(
        self,
        method: str,
        params: object,
        note: Callable[[JsonValue], None],
        *,
        deadline: float | None = None,
        allow_full_access: bool = False,
    ) -> JsonValue:
        """As :meth:`request`, but also give the result to ``note``, inside the dispatch.

        That is before whoever follows a thread hears what came after the answer, in the same read. The caller gets the
        same values, so ``note`` should not change them.
        """
        return await self._calls.request_and_note(
            method, params, note, deadline=deadline, allow_full_access=allow_full_access
        )

    def note_turn(self, outcome: str, seconds: float) -> None:
        """Count a turn that is over."""
        self._counters.turns.add(outcome, seconds)

    def answer_with(self, ticket: Ticket, handler: ServerRequestHandler) -> None:
        """Let a handler settle a ticket: a plain function now, a coroutine function in a task of the runtime.

        A coroutine that ends without having settled it means no; a plain function may keep the ticket.
        """
        self._desk.run(ticket, handler)

    def items_of(self, ticket: Ticket) -> list[JsonValue]:
        """Find the items that a ticket may be about: the one that it names, or else those of its turn that are open.

        A turn that is followed here knows all of its items, the state those that it had room for.
        """
        thread_id, turn_id, item_id = ticket.thread_id or "", ticket.turn_id or "", ticket.item_id
        for item in (known := self._dispatch.items(thread_id, turn_id)):
            if item.id == item_id and (data := item.data):
                return [data]
        if known and item_id is None:
            return [item.data for item in known if item.state == "started"]
        thread = None if self._projection is None else self._projection.snapshot().threads.get(thread_id)
        turn = None if thread is None else thread.turns.get(turn_id)
        items = [] if turn is None else turn.items.values()
        return [item.started for item in items if (item.status == "open" if item_id is None else item.id == item_id)]

    def on_restart(self, key: object, reattach: Reattach | None, *, is_frail: bool = False) -> None:
        """Have ``reattach(request)`` run on each new app server before anybody else may use it; ``None`` ends that.

        ``is_frail``: what it had with the last one cannot be found again, so no server is replaced without need.
        """
        self._reattachments.note(key, reattach, is_frail=is_frail)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _hold(self, hold: bool) -> None:  # noqa: FBT001  # a callback of the fan-out
        self._life.hold(hold)

    def _make_keeper(self) -> Keeper | None:
        if self._projection is None or self.config.state_store is None:
            return None
        from codex_runtime.runtime._keeper import Keeper  # for those who have a store

        keeper = Keeper(
            self.config.state_store,
            projection=self._projection,
            clock=self.clock,
            interval=self.config.state_store_interval,
            tell=lambda metrics: self._life.tell(self.config.on_state_trouble, metrics),
        )
        self._projection.on_turn_end = keeper.hurry
        return keeper

    def _pending(self) -> Mapping[str, PendingRequest]:
        return self._desk.pending()

    def _on_sink_trouble(self, metrics: SinkMetrics) -> None:
        self._life.tell(self.config.on_sink_trouble, metrics)


def _selector(methods: Collection[str] | None, kinds: Collection[Kind] | None) -> Callable[[Envelope], bool] | None:
    if methods is None and kinds is None:
        return None

    def select(envelope: Envelope) -> bool:
        return (methods is None or envelope.method in methods) and (kinds is None or envelope.kind in kinds)

    return select

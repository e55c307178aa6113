"""One thread with a profile: turns, one at a time, also across a crash of the app server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from msgspec.structs import replace

from codex_runtime._sansio.turn_record import PAGE
from codex_runtime.client._approvals import StandIn
from codex_runtime.client._guard import TurnGuard, Watch
from codex_runtime.client._plan import Plan
from codex_runtime.client._prompt import Prompt, RunProfile, TurnOptions
from codex_runtime.client._turn import Turn
from codex_runtime.errors import (
    CodexError,
    ConfigError,
    ConnectionLostError,
    RemoteProtocolError,
    RequestFailedError,
    SessionBusyError,
    SessionClosedError,
)
from codex_runtime.runtime._calls import require_loop

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime._sansio.hooks import HookReport
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.hooks._run import Operation
    from codex_runtime.runtime import Runtime
    from codex_runtime.runtime._reattach import Request

__all__ = ["Session", "thread_of"]

# What the server says of a thread that no turn ever ran in: it has nothing on disk to resume.
NO_ROLLOUT = "no rollout found"
NOT_RESUMED = "the thread could not be resumed after a restart of the app server"
# Options that are fixed when a thread starts.
OF_THE_SESSION = frozenset({"base_instructions", "developer_instructions", "settings", "ephemeral"})


class Session:
    """A handle on one thread. Get it from ``client.start_session(...)``; close it when done.

    The session survives its app server: after a restart the thread is resumed with the same settings, its sandbox
    included, before anybody can use it, and its turn learns what became of it. A thread in which no turn ever ran is started
    afresh, under a new id.

    What the server asks in the thread while no turn of the session runs is answered by ``profile.approvals``, and what it
    asks for a turn that was lost by that turn's own: a server that listens on a socket asks again after a reconnect.
    """

    def __init__(
        self,
        runtime: Runtime,
        thread: Mapping[str, JsonValue],
        *,
        cwd: str,
        profile: RunProfile,
        has_run: bool = False,
        stand_in: StandIn | None = None,
        watch: Watch | None = None,
        operation: Operation | None = None,
    ) -> None:
        self.runtime = runtime
        self.thread_id: str = thread["id"]
        self.cwd = cwd
        self.profile = profile
        self._loop = asyncio.get_running_loop()
        self._turn: Turn | None = None
        self._loose: str | None = None
        self._is_attached = True
        self._ran = has_run
        self._closed: str | None = None
        self._watch = watch or Watch(runtime)
        self._operation = operation or self._watch.operation(profile, cwd, self.thread_id)
        self._stand_in = stand_in or StandIn(runtime, self._watch.guarded(profile.approvals, self._operation))
        self._stand_in.follow(self.thread_id)
        # A thread that was never written down ends with its server.
        runtime.on_restart(self, self._reattach, is_frail=profile.ephemeral)

    async def __aenter__(self) -> Self:
        """Use it as a block that closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    @property
    def is_closed(self) -> bool:
        """True once it was closed, or its thread could not be brought back after a restart."""
        return self._closed is not None

    @property
    def turn(self) -> Turn | None:
        """The turn that runs now, if one does."""
        return self._turn

    @property
    def hook_report(self) -> HookReport | None:
        """What went wrong with hooks in the last turn, or before it in the start of the session; ``None`` without."""
        return None if self._operation is None else self._operation.report

    def stream(self, prompt: Prompt, **options: Unpack[TurnOptions]) -> Turn:
        """Prepare a turn, to be used as ``async with session.stream(...) as turn``.

        ``prompt`` is text, or a list of text and attachments. ``options`` are those of :class:`RunProfile` that concern a
        single turn, and replace the session's for this one. Raises :class:`ConfigError` before anything is sent.
        """
        return self._prepare(self._plan(prompt, options), keep_events=True)

    async def run(self, prompt: Prompt, **options: Unpack[TurnOptions]) -> TurnResult:
        """Run one turn to its end and return the result. Options as in :meth:`stream`.

        Raises a :class:`TurnError` with the partial result if the turn does not complete. Cancelling interrupts the turn
        on the server. With ``approvals="stream"`` there is no reader to ask: every approval is declined at once, unless
        the runtime has somebody to answer.
        """
        async with self._plan(prompt, options) as plan:
            return await self.carry_out(plan)

    async def interrupt(self) -> None:
        """Interrupt the running turn, if there is one, and wait for its end."""
        if self._turn is not None:
            await self._turn.interrupt()

    async def aclose(self, *, archive: bool = False) -> None:
        """Stop following the thread. A running turn is interrupted. ``archive`` also puts the thread away.

        Idempotent. Never raises for what the server thinks of it.
        """
        require_loop(self._loop)
        if self._closed is None:
            self._closed = "the session is closed"
            try:
                if self._turn is not None:
                    await self._turn.interrupt()
            finally:
                self._shut(self._closed)  # only now: the turn may have to be found again before it can be interrupted
            if not archive and self.runtime.connection.phase != "running":
                return  # no server follows the thread, and the next one will not be told to
            try:
                await self.runtime.request(
                    "thread/archive" if archive else "thread/unsubscribe", {"threadId": self.thread_id}, deadline=5.0
                )
            except CodexError:
                # An ephemeral thread cannot be archived, and a dead server cannot be told. Both are closed all the same.
                return

    # -- for the turn ----------------------------------------------------------------------------------------------

    async def carry_out(self, plan: Plan) -> TurnResult:
        """Run the turn of a plan to its end."""
        async with self._prepare(plan, keep_events=False) as turn:
            return await turn.finish()

    def begin(self, turn: Turn) -> None:
        """Let a turn start, unless another one runs: the server would take the second for a remark on the first."""
        self._require_open()
        if self._turn is not None:
            raise SessionBusyError("the session already runs a turn; wait for it, interrupt it, or steer it")
        self._turn = turn
        self._stand_in.begin()

    def end(self, turn: Turn) -> None:
        """Note that a turn is over."""
        # What a lost turn leaves on disk, if anything, is found out when the thread is resumed.
        self._ran = self._ran or (turn.turn_id is not None and turn.result.status != "lost")
        if self._turn is turn:
            self._turn = None
            is_lost = turn.result.status == "lost"
            if turn.turn_id is not None:  # one that never began changes nothing for the one before
                # A server on a socket may run even a lost turn on.
                self._loose = turn.turn_id if turn.may_run_on or is_lost else None
            self._stand_in.end(turn.turn_id, turn.approvals if is_lost else "decline")

    @property
    def loose_turn(self) -> str | None:
        """The turn before, if it was given up or lost and the server may still run it."""
        return self._loose

    def require_thread(self) -> str:
        """Return the thread's id. Raises :class:`SessionClosedError`."""
        if not self._is_attached:
            self._shut(NOT_RESUMED)
        self._require_open()
        return self.thread_id

    # -- inside ----------------------------------------------------------------------------------------------------

    def _plan(self, prompt: Prompt, options: TurnOptions) -> Plan:
        self._require_open()
        if fixed := OF_THE_SESSION.intersection(options):
            raise ConfigError(min(fixed), "is fixed when the session starts")
        return self._watch.plan(self.profile.changed(**options), self.cwd, prompt, self.thread_id)

    def _prepare(self, plan: Plan, *, keep_events: bool) -> Turn:
        guard = None
        if plan.operation is not None:
            self._operation = plan.operation
            plan.operation.base = replace(plan.operation.base, thread_id=self.thread_id)
            guard = TurnGuard(self._watch, plan, plan.operation, self.runtime, keep_events=keep_events)
        return Turn(
            self,
            lambda: plan.params(self.thread_id),
            # Those of the turn itself ask its guard first; these are for what comes when it is lost.
            approvals=self._watch.guarded(plan.profile.approvals, plan.operation),
            deadline=plan.profile.deadline,
            idle_deadline=plan.profile.idle_deadline,
            first_event_deadline=plan.profile.first_event_deadline,
            on_crash=plan.profile.on_crash,
            keep_events=keep_events,
            guard=guard,
            allow_full_access=plan.profile.allow_full_access,
        )

    async def _reattach(self, request: Request) -> None:
        self._is_attached = False
        if self._turn is not None:
            self._turn.search()
        try:
            self.thread_id = await self._bring_back(request)
            self._is_attached = True
        except ConnectionLostError:
            raise  # this server died too; the next one is asked again
        except CodexError as error:
            if self._turn is not None:
                self._turn.lose(NOT_RESUMED, error)
            self._shut(NOT_RESUMED)
            raise

    async def _bring_back(self, request: Request) -> str:
        try:
            await self._resume(request)
        except RequestFailedError as error:
            if NO_ROLLOUT not in error.message or self._ran:
                raise
            word = self.profile.allow_full_access
            started = await request("thread/start", self.profile.start_params(self.cwd), allow_full_access=word)
            thread_id = str(thread_of("thread/start", started)["id"])
            self._stand_in.follow(thread_id)
            if self._turn is not None:
                self._turn.lose("the server has no record of its thread")
            return thread_id
        return self.thread_id

    async def _resume(self, request: Request) -> None:
        params = {"threadId": self.thread_id, "excludeTurns": True, **self.profile.thread_params(self.cwd)}
        word = self.profile.allow_full_access
        if self._turn is not None and self._turn.is_away:
            # The record comes in the answer: whatever the server says after it, the turn has not heard yet.
            record = {"initialTurnsPage": PAGE} if self.runtime.config.experimental_api else {"excludeTurns": False}
            try:
                await request("thread/resume", {**params, **record}, note=self._turn.found, allow_full_access=word)
            except RemoteProtocolError as error:
                self._turn.lose("the server's record of it cannot be read", error)
            else:
                return
        await request("thread/resume", params, allow_full_access=word)

    def _shut(self, why: str) -> None:
        self._closed = why
        self._stand_in.stop()
        self.runtime.on_restart(self, None)

    def _require_open(self) -> None:
        if self._closed is not None:
            raise SessionClosedError(self._closed)


def thread_of(method: str, reply: JsonValue) -> Mapping[str, JsonValue]:
    """Return the thread in a reply. Raises :class:`RemoteProtocolError` if there is none."""
    thread = reply.get("thread") if isinstance(reply, dict) else None
    if not isinstance(thread, dict) or not isinstance(thread.get("id"), str):
        raise RemoteProtocolError(f"{method}: the result has no thread id")
    return thread

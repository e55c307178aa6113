"""Where hooks stand beside a client and each of its turns, and how an answer of theirs settles a server request.

A :class:`Watch` belongs to a client: its hooks, its record, and who answers when hooks do not. A :class:`TurnGuard` stands
beside one turn. What hooks before and after make of a run is in ``_plan``.

The one idea: the hooks that judge a request are those of the turn that it belongs to, held by that turn and by nothing else.
What ends the turn ends them; no other turn can be answered by them, and no list anywhere has to be cleared.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from codex_runtime._io.clock import Clock, LoopClock
from codex_runtime.client._plan import Plan, Start
from codex_runtime.client._prompt import RunProfile

if TYPE_CHECKING:
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime._sansio.hooks import AnyHook, Decision, HookContext, HookReport
    from codex_runtime._sansio.tool_use import ToolUse
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.client._prompt import Approvals, Prompt
    from codex_runtime.hooks._run import Operation
    from codex_runtime.runtime import Runtime, RuntimeConfig, Ticket
    from codex_runtime.runtime.config import ServerRequestHandler

__all__ = ["TurnGuard", "Watch"]

# How long hooks that run after tool uses may go on when the turn is over, in seconds, and how many uses may wait for them.
GRACE = 5.0
CAPACITY = 256
NOBODY = "nobody is there to answer"


class Watch:
    """The hooks and the record of one client, and who answers the requests that nobody else takes."""

    def __init__(
        self,
        hooks: Sequence[AnyHook] = (),
        *,
        on_decision: Callable[[Decision], object] | None = None,
        config: RuntimeConfig | None = None,
    ) -> None:
        self.hooks = _checked(hooks)
        self.on_decision = on_decision
        self.handler: ServerRequestHandler | None = None if config is None else config.on_server_request
        self.clock: Clock = (None if config is None else config.clock) or LoopClock()
        self.runtime: Runtime | None = None
        self._followers: set[asyncio.Task[None]] = set()

    def over(self, config: RuntimeConfig) -> RuntimeConfig:
        """Return the settings of the runtime with the client's hooks before its own handler of server requests."""
        if not self.hooks or not self._unfollowed().judges:
            return config
        return replace(config, on_server_request=self._answer)

    def operation(self, profile: RunProfile, cwd: str | None, thread_id: str | None = None) -> Operation | None:
        """Begin something that hooks watch; ``None`` if there are none, and no record is kept. ``cwd`` may be unknown yet."""
        if not profile.hooks and self.on_decision is None:
            return None
        where = None if cwd is None else os.path.realpath(cwd)
        known = {"cwd": where, "roots": profile.roots, "model": profile.model}
        return self._operation(profile.hooks, {**known, "thread_id": thread_id})

    def plan(self, profile: RunProfile, cwd: str, prompt: Prompt, thread_id: str | None = None) -> Plan:
        """Plan a run. Raises :class:`ConfigError` if its prompt cannot be sent."""
        return Plan(self.operation(profile, cwd, thread_id), profile, cwd, prompt)

    def start(self, profile: RunProfile, cwd: str | None, thread_id: str | None = None) -> Start:
        """Plan the start of a session."""
        return Start(self.operation(profile, cwd, thread_id), profile)

    async def aclose(self) -> None:
        """Wait for the last entries of the record. All tickets must be settled by now."""
        await asyncio.gather(*self._followers)

    def follow(
        self, ticket: Ticket, operation: Operation, context: HookContext, by: Callable[[], tuple[str, str | None]]
    ) -> None:
        """Put the end of a ticket on record, once it has one. ``by`` then tells who decided: "hook", ..., and its name."""
        if self.on_decision is not None:
            work = self._follow(ticket, operation, context, by)
            task = asyncio.get_running_loop().create_task(work, name="keep the record")
            self._followers.add(task)
            task.add_done_callback(self._followers.discard)

    async def _follow(
        self, ticket: Ticket, operation: Operation, context: HookContext, by: Callable[[], tuple[str, str | None]]
    ) -> None:
        outcome = await ticket.wait()
        who, name = by()
        if outcome == "withdrawn":
            who, name = "server", None
        elif who != "hook" and outcome in ("declined", "refused") and self.clock.monotonic() >= ticket.deadline:
            who = "deadline"
        operation.decided(
            context, what=ticket.method, verdict=outcome, by=who, name=name, reason=ticket.reason, ticket_id=ticket.id
        )

    def guarded(self, approvals: Approvals, operation: Operation | None) -> Approvals:
        """Return ``approvals`` with the hooks of an operation before it, for requests that come outside of its turn."""
        if operation is None or not operation.judges:
            return approvals

        async def handler(ticket: Ticket) -> None:
            await self._settle(ticket, operation, approvals)

        return handler

    async def _answer(self, ticket: Ticket) -> None:
        """Answer a request of a thread that no session of ours follows, such as a sub-agent's."""
        await self._settle(ticket, self._unfollowed(), "decline")

    async def _settle(self, ticket: Ticket, operation: Operation, approvals: Approvals) -> None:
        context = operation.asked(ticket, self._items(ticket))
        decided: list[str | None] = []
        self.follow(ticket, operation, context, lambda: self.who(ticket, decided, approvals))
        if not await operation.settle(ticket, context, decided):
            await self.pass_on(ticket, approvals)

    async def pass_on(self, ticket: Ticket, approvals: Approvals, *, is_read: bool = False) -> None:
        """Have somebody other than a hook answer. ``is_read``: there is a reader for ``approvals="stream"``."""
        match approvals:
            case "accept" if ticket.is_approval:
                ticket.accept()
            case "stream" if is_read:
                await ticket.wait()
            case str():
                if self.handler is not None:
                    await self.handler(ticket)
                elif self.runtime is not None and self.runtime.queue(ticket):
                    await ticket.wait()
                else:
                    ticket.decline(NOBODY)
            case handler:
                await handler(ticket)

    def who(
        self, ticket: Ticket, decided: list[str | None], approvals: Approvals, *, is_read: bool = False
    ) -> tuple[str, str | None]:
        """Tell who settled a ticket: "hook" and its name, or who it was then left to."""
        if decided:
            return "hook", decided[0]
        match approvals:
            case "accept" if ticket.is_approval:
                return "profile", None
            case "stream" if is_read:
                return "reader", None
            case str() if self.handler is None:
                return ("nobody" if ticket.reason == NOBODY else "reader"), None
            case _:
                return "handler", None

    def _unfollowed(self) -> Operation:
        return self._operation(self.hooks, {})

    def _operation(self, hooks: Sequence[AnyHook], known: dict[str, object]) -> Operation:
        from codex_runtime.hooks._run import Operation  # for those who have hooks

        return Operation(hooks, known, clock=self.clock, tell=self.on_decision)

    def _items(self, ticket: Ticket) -> list[JsonValue]:
        if self.runtime is None or not self.runtime.config.state:
            return []
        thread = self.runtime.state.threads.get(ticket.thread_id or "")
        turn = None if thread is None else thread.turns.get(ticket.turn_id or "")
        return [] if turn is None else [item.started for item in turn.items.values() if item.status == "open"]


class TurnGuard:
    """The hooks beside one turn."""

    def __init__(self, watch: Watch, plan: Plan, operation: Operation, runtime: Runtime, *, keep_events: bool) -> None:
        self.plan = plan
        self._runtime = runtime
        self._watch = watch
        self._operation = operation
        self._approvals = plan.profile.approvals
        self._keep_events = keep_events
        self._open: list[Ticket] = []
        self._ended: deque[tuple[ToolUse, str]] = deque()
        self._after: asyncio.Task[None] | None = None

    @property
    def report(self) -> HookReport:
        """What went wrong with hooks so far."""
        return self._operation.report

    async def begin(self) -> None:
        """Call the hooks before the turn. Raises :class:`HookBlockedError`."""
        await self.plan.before("pre_turn")

    def takes(self, ticket: Ticket, result: TurnResult, show: Callable[[Ticket], None]) -> bool:
        """Have hooks judge a request, if there are any for it, and keep the record. True: it will be settled.

        ``show`` is called before anybody but a hook is asked: a reader cannot be quicker than the guards.
        """
        items = [item.data for item in result.items if item.state == "started"]
        context = replace(self._operation.asked(ticket, items), turn_id=result.turn_id)
        decided: list[str | None] = []
        approvals, is_read = self._approvals, self._keep_events
        self._watch.follow(
            ticket, self._operation, context, lambda: self._watch.who(ticket, decided, approvals, is_read=is_read)
        )
        self._open = [each for each in self._open if not each.is_settled]
        if not self._operation.watches(context.phase):
            return False
        self._open.append(ticket)

        async def settle(ticket: Ticket) -> None:
            if not await self._operation.settle(ticket, context, decided):
                show(ticket)
                await self._watch.pass_on(ticket, approvals, is_read=is_read)

        self._runtime.answer_with(ticket, settle)
        return True

    def note(self, events: Sequence[object], turn_id: str | None) -> None:
        """Take note of tool uses that ended. Called inside the dispatch, so it only queues."""
        if not self._operation.watches("post_tool_use"):
            return
        for event in events:
            if (use := self._operation.ended(event)) is None:
                continue
            if len(self._ended) == CAPACITY:
                self._operation.dropped += 1
                continue
            self._ended.append((use, getattr(event, "item_id", "")))
            if self._after is None or self._after.done():
                work = self._work_off(turn_id)
                self._after = asyncio.get_running_loop().create_task(work, name="hooks after a tool use")

    async def end(self, result: TurnResult, error: BaseException | None = None) -> None:
        """Let go of everything, and call the hooks after the turn."""
        self.plan.result = result
        for ticket in self._open:
            if not ticket.is_settled:
                ticket.decline("the turn is over")
        if self._after is not None and not self._after.done():
            await self._wait_for(self._after)
        await self.plan.after("post_turn", error)

    async def _wait_for(self, after: asyncio.Task[None]) -> None:
        """Give the hooks after tool uses some time, and no more."""
        late: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clock = self._runtime.clock
        timer = clock.call_at(clock.monotonic() + GRACE, late.cancel)
        try:
            await asyncio.wait([after, late], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            if not after.done():
                self._operation.dropped += 1 + len(self._ended)
                self._ended.clear()
                after.cancel()
                await asyncio.wait([after])

    async def _work_off(self, turn_id: str | None) -> None:
        while self._ended:
            use, item_id = self._ended.popleft()
            await self._operation.after("post_tool_use", tool=use, turn_id=turn_id, item_id=item_id, status=use.status)


def _checked(hooks: Sequence[AnyHook]) -> tuple[AnyHook, ...]:
    return RunProfile().changed(hooks=hooks).hooks

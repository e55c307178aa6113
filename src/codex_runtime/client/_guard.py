"""Where hooks stand beside a client and each of its turns, and how an answer of theirs settles a server request.

A :class:`Watch` belongs to a client: its hooks, and who answers when hooks do not. A :class:`TurnGuard` stands beside one
turn. What hooks before and after make of a run is in ``_plan``.

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

from codex_runtime._sansio.server_requests import NOBODY
from codex_runtime.client._approvals import accepted
from codex_runtime.client._plan import Plan, Start
from codex_runtime.client._prompt import RunProfile

if TYPE_CHECKING:
    from codex_runtime._sansio.hooks import AnyHook, HookReport
    from codex_runtime._sansio.tool_use import ToolUse
    from codex_runtime._sansio.turn_result import TurnResult
    from codex_runtime.client._prompt import Approvals, Prompt
    from codex_runtime.hooks._run import Operation
    from codex_runtime.runtime import Runtime, Ticket

__all__ = ["TurnGuard", "Watch"]

# How long hooks that run after tool uses may go on when the turn is over, in seconds, and how many uses may wait for them.
GRACE = 5.0
CAPACITY = 256


class Watch:
    """The hooks of one client, and who answers when they do not."""

    def __init__(self, runtime: Runtime, hooks: Sequence[AnyHook] = ()) -> None:
        self.hooks = _checked(hooks)
        self.runtime = runtime
        if self.hooks and self._unfollowed().judges:
            # They come before whoever else answers what no session takes, such as the requests of a sub-agent's thread.
            runtime.take(None, self._take)

    def operation(self, profile: RunProfile, cwd: str | None, thread_id: str | None = None) -> Operation | None:
        """Begin something that hooks watch; ``None`` if there are none. ``cwd`` may be unknown yet."""
        if not profile.hooks:
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

    def guarded(self, approvals: Approvals, operation: Operation | None) -> Approvals:
        """Return ``approvals`` with the hooks of an operation before it, for requests that come outside of its turn."""
        if operation is None or not operation.judges:
            return approvals

        async def handler(ticket: Ticket) -> None:
            await self._settle(ticket, operation, approvals)

        return handler

    async def pass_on(self, ticket: Ticket, approvals: Approvals, *, is_read: bool = False) -> None:
        """Have somebody other than a hook answer. ``is_read``: there is a reader for ``approvals="stream"``."""
        match approvals:
            case "accept" if accepted(ticket):
                return
            case "stream" if is_read:
                ticket.holder = "reader"
                await ticket.wait()
            case str():
                if self.runtime.pass_on(ticket):
                    await ticket.wait()
                else:
                    ticket.holder = "nobody"
                    ticket.decline(NOBODY)
            case handler:
                self.runtime.answer_with(ticket, handler)
                await ticket.wait()

    def _take(self, ticket: Ticket) -> bool:
        self.runtime.answer_with(ticket, self._judge)
        return True

    async def _judge(self, ticket: Ticket) -> None:
        await self._settle(ticket, self._unfollowed(), "decline")

    async def _settle(self, ticket: Ticket, operation: Operation, approvals: Approvals) -> None:
        context = operation.asked(ticket, self.runtime.items_of(ticket))
        if not await operation.settle(ticket, context):
            await self.pass_on(ticket, approvals)

    def _unfollowed(self) -> Operation:
        return self._operation(self.hooks, {})

    def _operation(self, hooks: Sequence[AnyHook], known: dict[str, object]) -> Operation:
        from codex_runtime.hooks._run import Operation  # for those who have hooks

        return Operation(hooks, known, clock=self.runtime.clock, tell=self.runtime.config.on_decision)


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
        """Have hooks judge a request, if there are any for it. True: it will be settled.

        ``show`` is called before anybody but a hook is asked: a reader cannot be quicker than the guards.
        """
        items = [item.data for item in result.items if item.state == "started"]
        context = replace(self._operation.asked(ticket, items), turn_id=result.turn_id)
        self._open = [each for each in self._open if not each.is_settled]
        if not self._operation.watches(context.phase):
            return False
        self._open.append(ticket)

        async def settle(ticket: Ticket) -> None:
            if not await self._operation.settle(ticket, context):
                show(ticket)
                await self._watch.pass_on(ticket, self._approvals, is_read=self._keep_events)

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
                ticket.holder = "nobody"
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

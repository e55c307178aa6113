"""Calls hooks, each within its time limit, and makes of their answers what the rules say.

A hook costs its own call and nothing else. It runs in the task of whoever wants its answer, never on the road on which
messages come in; a plain function runs on a thread of its own. What it raises, how late it is and what nonsense it answers
becomes an issue, and at a gate a *deny*.

The one idea: an :class:`Operation` is one thing that the caller does (a run, a start of a session), with the hooks that
watch it. Its phases share an id, what hooks left for each other, and a report.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from codex_runtime._io.worker import carried
from codex_runtime._sansio import server_requests as rules
from codex_runtime._sansio.decisions import Decision
from codex_runtime._sansio.hooks import (
    GATES,
    TIME_LIMIT,
    Allow,
    AnyHook,
    Ask,
    Deny,
    HookContext,
    HookIssue,
    HookReport,
    Patch,
    Verdict,
    applies,
    asks,
    fold,
    joined,
    problem_with,
    stronger,
)
from codex_runtime._sansio.tool_use import ended_tool, is_tool_approval, requested_tool, with_paths
from codex_runtime.errors import HookBlockedError

if TYPE_CHECKING:
    from codex_runtime._io.clock import Clock
    from codex_runtime._sansio.envelope import JsonValue
    from codex_runtime._sansio.hooks import IssueKind, Phase
    from codex_runtime._sansio.tool_use import ToolUse
    from codex_runtime.runtime import Ticket

__all__ = ["Operation", "Said"]

T = TypeVar("T")

# How long a hook that was told to stop may take to do so, in seconds. After that it is left behind.
GRACE = 1.0
# Threads of hooks that do not come back cannot be stopped. With so many of them, no more are started.
_THREADS = threading.BoundedSemaphore(64)
# So many hooks may be at work within each other: one that does what it watches would call itself for ever, and quicker than
# it can be stopped.
MAX_DEPTH = 8
_WITHIN: ContextVar[tuple[asyncio.Event, ...]] = ContextVar("codex-runtime: hooks within hooks", default=())
# As many issues are kept of one operation.
MAX_ISSUES = 256


class Said(msgspec.Struct, frozen=True):
    """What the hooks at a gate came to, and which of them said so."""

    verdict: Verdict | None = None
    hook: str | None = None


class Operation:
    """One thing that the caller does, and the hooks that watch it.

    ``known`` is what every hook of it is told (see :class:`HookContext`). ``tell`` is given what a hook denied before it had
    begun; answers to server requests are put on record by the runtime. What it raises is an issue.
    """

    def __init__(
        self,
        hooks: Sequence[AnyHook],
        known: dict[str, object],
        *,
        clock: Clock,
        tell: Callable[[Decision], object] | None = None,
    ) -> None:
        self.base = replace(HookContext(phase="pre_run", correlation_id=os.urandom(8).hex()), **known)
        self.dropped = 0
        self._hooks = joined(hooks, ())
        self._clock = clock
        self._tell = tell
        self._issues: list[HookIssue] = []

    @property
    def report(self) -> HookReport:
        """What went wrong so far."""
        return HookReport(tuple(self._issues), self.dropped)

    def watches(self, *phases: Phase) -> bool:
        """Tell whether any hook may want to be called at one of these phases."""
        return asks(self._hooks, phases)

    @property
    def judges(self) -> bool:
        """True if any hook may want to judge a server request."""
        return self.watches(*GATES)

    async def before(self, phase: Phase, **known: object) -> Patch:
        """Call the hooks of a phase before something. Returns the changes. Raises :class:`HookBlockedError`."""
        context = self._context(phase, **known)
        patches: list[Patch] = []
        for hook in self._matching(context):
            match await self._ask(hook, context):
                case Deny(reason):
                    self._put_on_record(context, hook.name, reason)
                    raise HookBlockedError(hook.name, phase, reason)
                case Patch() as patch:
                    patches.append(patch)
                case _:
                    pass
        patch = fold(patches)
        self.base = replace(self.base, metadata={**self.base.metadata, **patch.metadata})
        return patch

    async def after(self, phase: Phase, **known: object) -> None:
        """Call the hooks of a phase after something. They change nothing."""
        context = self._context(phase, **known)
        for hook in self._matching(context):
            await self._ask(hook, context)

    async def judge(self, context: HookContext) -> Said:
        """Call the hooks at a gate, until one denies. Never raises for what a hook does."""
        said = Said()
        try:
            context = await self._in_time(_on_a_thread(_resolved, context), TIME_LIMIT, "resolve paths")
        except Exception as error:  # noqa: BLE001  a path that cannot be looked at is one more reason for a no
            self.issue("", context.phase, "internal", f"the paths could not be resolved: {error!r}")
            return Said(Deny("the paths could not be resolved"))
        for hook in self._matching(context):
            answer = await self._ask(hook, context)
            verdict = answer if isinstance(answer, Allow | Ask | Deny) else None
            if stronger(said.verdict, verdict) is not said.verdict:
                said = Said(verdict, hook.name)
            if isinstance(verdict, Deny):
                break
        return said

    async def settle(self, ticket: Ticket, context: HookContext) -> bool:
        """Settle a ticket as hooks wish. False: it is up to others."""
        said = await self.judge(context)  # if somebody else settles it, this task ends here
        match said.verdict:
            case Deny(reason):
                ticket.holder = "hook"
                ticket.decline(reason, by=said.hook)
            case Allow(reason) if context.phase == "pre_tool_use" and ticket.is_approval:
                ticket.holder = "hook"
                ticket.accept(reason=reason, by=said.hook)
            case _:
                return False  # also an *allow* for what wants content: hooks have none to give
        return True

    def asked(self, ticket: Ticket, items: Sequence[JsonValue]) -> HookContext:
        """What hooks are told of a server request; ``items`` are the open ones of its turn, as the server told them."""
        params = ticket.envelope.params  # decoded anew: what a hook does to it changes nothing
        phase: Phase = "server_request"
        tool = None
        if is_tool_approval(ticket.method, params):
            phase, tool = "pre_tool_use", requested_tool(ticket.method, params, items, self.base.cwd)
        elif ticket.method in (rules.USER_INPUT, rules.ELICITATION):
            phase = "user_input"
        return self._context(
            phase,
            method=ticket.method,
            thread_id=ticket.thread_id or self.base.thread_id,
            turn_id=ticket.turn_id,
            item_id=ticket.item_id,
            tool=tool,
            params_json=msgspec.Raw(msgspec.json.encode(params)),
        )

    def ended(self, event: object) -> ToolUse | None:
        """What hooks are told of a tool use that ended; ``None`` if the event is about something else."""
        return ended_tool(event, self.base.cwd)

    def issue(self, hook: str, phase: Phase, kind: IssueKind, message: str) -> None:
        """Put something into the report."""
        if len(self._issues) < MAX_ISSUES:
            self._issues.append(HookIssue(hook, phase, kind, message))

    def _put_on_record(self, context: HookContext, hook: str, reason: str) -> None:
        if self._tell is None:
            return
        try:
            self._tell(
                Decision(
                    what=context.phase,
                    outcome="blocked",
                    by=hook,
                    decider="hook",
                    at=self._clock.wall(),
                    reason=reason,
                    digest=hashlib.sha256((context.prompt or "").encode(errors="surrogatepass")).hexdigest(),
                    thread_id=context.thread_id,
                    turn_id=context.turn_id,
                )
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  a guest's fault stays the guest's
            self.issue("on_decision", context.phase, "execution", repr(error))

    def _context(self, phase: Phase, **known: object) -> HookContext:
        return replace(self.base, phase=phase, at=self._clock.wall(), **known)

    def _matching(self, context: HookContext) -> list[AnyHook]:
        return [hook for hook in self._hooks if self._applies(hook, context)]

    def _applies(self, hook: AnyHook, context: HookContext) -> bool:
        matcher = hook.when
        if applies(matcher, context):
            return True
        # The context has links resolved; the matcher says what its author wrote.
        return matcher.cwd is not None and applies(replace(matcher, cwd=os.path.realpath(matcher.cwd)), context)

    async def _ask(self, hook: AnyHook, context: HookContext) -> Verdict | Patch | None:
        """Call one hook. Its failure is an issue, and at a gate a no."""
        phase = context.phase
        context = replace(context, metadata=dict(context.metadata))
        kind: IssueKind = "execution"
        try:
            if sum(not over.is_set() for over in _WITHIN.get()) >= MAX_DEPTH:
                raise _FullError(f"{MAX_DEPTH} hooks are at work within each other")
            answer = await self._in_time(_call(hook, context), hook.timeout, f"hook {hook.name}")
        except _LateError as late:
            kind, problem = "timeout", str(late)
        except _FullError as full:
            kind, problem = "internal", str(full)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise  # we are stopped, or all is
        except BaseException as error:  # noqa: BLE001  a guest's fault stays the guest's
            problem = str(error) or repr(error)
        else:
            told = problem_with(phase, answer)
            if told is None:
                return answer if isinstance(answer, Allow | Ask | Deny | Patch) else None
            kind, problem = "validation", told
        self.issue(hook.name, phase, kind, problem)
        return Deny(f"the hook {hook.name!r} failed: {problem}") if phase in GATES else None

    async def _in_time(self, work: Coroutine[object, None, T], seconds: float, name: str) -> T:
        loop = asyncio.get_running_loop()
        late: asyncio.Future[T] = loop.create_future()
        until = self._clock.monotonic() + seconds
        timer = self._clock.call_at(until, late.cancel)
        task = loop.create_task(work, name=name)
        try:
            await asyncio.wait([task, late], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _LateError(f"no answer within {seconds:g} s")
            if task.cancelled():
                raise _LateError("it cancelled itself")
            result = task.result()
            # Whoever held up the loop: a leave that comes too late is none. A no, or a change, holds.
            if self._clock.monotonic() >= until and (result is None or isinstance(result, Allow | Ask)):
                raise _LateError(f"the loop was held up, and there was no answer within {seconds:g} s")
            return result
        finally:
            timer.cancel()
            task.add_done_callback(_forget)  # also what it came to while we ourselves were stopped
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=GRACE)


class _LateError(Exception):
    """A hook did not answer in time."""


class _FullError(Exception):
    """There are no more threads for hooks, or too many of them within each other."""


async def _call(hook: AnyHook, context: HookContext) -> object:
    call, over = hook.call, asyncio.Event()
    # For this task, and for what it starts; those that go on when it is over are within it no more.
    _WITHIN.set((*(outer for outer in _WITHIN.get() if not outer.is_set()), over))
    try:
        if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):
            answer: object = call(context)
        else:
            answer = await _on_a_thread(call, context)
        return await answer if inspect.isawaitable(answer) else answer
    finally:
        over.set()


async def _on_a_thread(function: Callable[[HookContext], T], context: HookContext) -> T:
    """Call a function that may block. Nothing waits for a thread that nobody wants any more."""
    if not _THREADS.acquire(blocking=False):
        raise _FullError("too many hooks still run and cannot be stopped")
    loop, scope = asyncio.get_running_loop(), copy_context()
    done: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[..., None], what: object) -> None:
        if not done.done():
            tell(what)

    def main() -> None:
        tell: Callable[..., None] = done.set_result
        try:
            what: object = scope.run(function, context)
        except BaseException as error:  # noqa: BLE001  it is raised where the function was asked for
            tell, what = done.set_exception, carried(error)
        finally:
            _THREADS.release()
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(settle, tell, what)

    try:
        threading.Thread(target=main, name="codex-runtime hook", daemon=True).start()
    except RuntimeError:  # pragma: no cover  the system has no room for a thread
        _THREADS.release()
        raise
    return await done


def _resolved(context: HookContext) -> HookContext:
    """Return the context with links and ``..`` resolved in every path."""
    cwd = None if context.cwd is None else os.path.realpath(context.cwd)
    roots = tuple(map(os.path.realpath, context.roots))
    tool = context.tool
    base = (tool.cwd if tool is not None else None) or cwd

    def resolve(path: str) -> str:
        # From nowhere, a relative path leads nowhere: it stays as it is, and is then not known.
        return os.path.realpath(Path(base or "/", path)) if base or Path(path).is_absolute() else path

    return replace(context, cwd=cwd, roots=roots, tool=None if tool is None else with_paths(tool, resolve))


def _forget(task: asyncio.Task[T]) -> None:
    """Look at what a hook left behind came to, so that nobody complains that no one did."""
    if not task.cancelled():
        task.exception()

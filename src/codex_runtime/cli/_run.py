"""``codex-runtime run``: one turn, with the user's own login or provider.

On a terminal the turn is shown as it runs. Into a pipe goes the answer alone, and progress to standard error; with
``--json``, every event goes to standard output as a line, and nothing else is said but errors.

The one idea: a turn has one reader, which is a loop over its events. It shows each, and answers what is asked on the way.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from codex_runtime._sansio.display import one_line, visible
from codex_runtime.cli._exits import ExitCode, Failure, failure_of
from codex_runtime.cli._jsonl import JsonLines, result_record
from codex_runtime.cli._questions import Answer, Answerer, Keyboard, keyboard
from codex_runtime.cli._screen import Screen
from codex_runtime.cli._signals import Signals, end_at_once
from codex_runtime.cli._view import TurnView, summary
from codex_runtime.client import ApprovalPolicy, ApprovalRequested, Client, RunProfile, SandboxMode
from codex_runtime.client._login import require_login
from codex_runtime.client._version import server_version
from codex_runtime.errors import CodexError, RequestFailedError, TurnError
from codex_runtime.runtime import RestartPolicy, RuntimeConfig

if TYPE_CHECKING:
    from codex_runtime.client import Event, Session, Ticket, Turn, TurnResult

__all__ = ["Approve", "RunRequest", "run_turn"]

Approve: TypeAlias = Literal["ask", "never", "all"]

# How long a question waits for its answer, in seconds. The time limit of the turn counts as well.
PATIENCE = 300.0

_FIXED: Mapping[Approve, Answer | None] = {"ask": None, "never": "decline", "all": "accept"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What was asked for on the command line."""

    prompt: str
    cwd: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox: SandboxMode = "read-only"
    network: bool = False
    approve: Approve = "ask"
    policy: ApprovalPolicy | None = None
    timeout: float | None = 600.0
    codex_home: str | None = None
    binary: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    resume: str | None = None
    json: bool = False
    quiet: bool = False


class Output(Protocol):
    """Where the events of a turn go."""

    def show(self, event: Event) -> None:
        """Take an event."""

    def settled(self, ticket: Ticket) -> None:
        """Take the outcome of a request that the server had."""


async def run_turn(request: RunRequest, signals: Signals) -> ExitCode:
    """Run one turn as asked for. Raises :class:`Failure` if it does not complete, or is not even begun."""
    run = _Run(request)
    try:
        await run.go(signals)
    except Failure as failure:
        raise run.told(failure) from failure.__cause__
    except CodexError as error:
        raise run.told(failure_of(error)) from error
    except asyncio.CancelledError:
        run.told(signals.failure())
        raise
    return ExitCode.OK


class _Run:
    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._records = JsonLines(sys.stdout) if request.json else None
        self._is_shown = sys.stdout.isatty() and not request.json
        self._screen: Screen | None = None
        if not (request.json or request.quiet):
            self._screen = Screen(sys.stdout if self._is_shown else sys.stderr)
        self._has_result = False

    async def go(self, signals: Signals) -> None:
        """Start the app server, run the turn, and end both."""
        request = self._request
        _require_folder(request.cwd)
        config = RuntimeConfig(
            binary=request.binary,
            codex_home=request.codex_home or os.environ.get("CODEX_HOME") or None,
            inherit_env=("*",),  # a person starts it, as they would start codex
            settings=request.settings,
            allow_full_access=bool(request.settings),  # typed out by a person: that is the second word
            server_request_deadline=PATIENCE,
            restart=RestartPolicy(when="never"),
        )
        with keyboard(self._screen) as keys:
            profile = self._profile(has_keys=keys is not None)
            if self._screen is not None:
                async with self._screen.animated():
                    await self._converse(config, profile, keys, signals)
            else:
                await self._converse(config, profile, None, signals)

    def told(self, failure: Failure) -> Failure:
        """Tell a program that there is no result; people are told by whoever catches the failure."""
        if self._screen is not None:
            self._screen.fresh_line()
        if self._records is not None and not self._has_result:
            self._records.write({"type": "error", "message": failure.message, "exit_code": int(failure.code)})
        return failure

    async def _converse(
        self, config: RuntimeConfig, profile: RunProfile, keys: Keyboard | None, signals: Signals
    ) -> None:
        if self._screen is not None:
            self._screen.status("starting the app server")
        async with Client(config, profile=profile) as client:
            signals.on_end = lambda: end_at_once(client.runtime.pid)
            async with await self._session(client) as session:
                await require_login(client.runtime)
                self._introduce(client, session)
                await self._turn(session, keys, signals)

    def _profile(self, *, has_keys: bool) -> RunProfile:
        request = self._request
        nobody_answers = request.approve == "never" or (request.approve == "ask" and not has_keys)
        return RunProfile(
            model=request.model,
            effort=request.effort,
            sandbox=request.sandbox,
            network=request.network,
            allow_full_access=request.sandbox == "danger-full-access",  # typed out by a person: that is the second word
            approvals="stream",
            approval_policy=request.policy or ("never" if nobody_answers else "on-request"),
            deadline=request.timeout,
        )

    async def _session(self, client: Client) -> Session:
        request = self._request
        try:
            if request.resume is not None:
                return await client.resume_session(request.resume, cwd=request.cwd)
            return await client.start_session(cwd=request.cwd)
        except RequestFailedError as error:
            raise Failure(ExitCode.USAGE, f"the session cannot start: {error.message}") from error

    def _introduce(self, client: Client, session: Session) -> None:
        request = self._request
        version = ".".join(map(str, server_version(client.runtime.server_info.user_agent) or ()))
        if self._records is not None:
            self._records.write(
                {
                    "type": "session",
                    "thread_id": session.thread_id,
                    "cwd": session.cwd,
                    "model": request.model,
                    "sandbox": request.sandbox,
                    "codex": version,
                }
            )
        if self._screen is not None:
            words = [f"codex {version}", *([request.model] if request.model else []), request.sandbox, session.cwd]
            self._screen.line(one_line(" · ".join(words)), "dim", crop=True)
            self._screen.status("starting the turn")

    async def _turn(self, session: Session, keys: Keyboard | None, signals: Signals) -> None:
        request = self._request
        outputs: list[Output] = [self._records] if self._records is not None else []
        if self._screen is not None:
            in_full = keys is not None and request.approve == "ask"
            outputs.append(TurnView(self._screen, cwd=session.cwd, with_text=self._is_shown, in_full=in_full))
        answerer = Answerer(self._screen, keys, fixed=_FIXED[request.approve])
        async with session.stream(request.prompt) as turn:
            interruption = _Interruption(turn, self._screen)
            signals.on_first = interruption.begin
            try:
                await _follow(turn, outputs, answerer)
                result = await turn.finish()
            except TurnError as error:
                self._conclude(error.result, failure_of(error).code)
                raise
            finally:
                signals.on_first = None
                await interruption.end()
        self._conclude(result, ExitCode.OK)

    def _conclude(self, result: TurnResult, code: ExitCode) -> None:
        self._has_result = True
        if self._records is not None:
            self._records.write(result_record(result, exit_code=int(code)))
        if self._screen is not None:
            good = result.is_completed
            self._screen.status()
            self._screen.line(
                f"{result.status.replace('_', ' ')} · {summary(result)}",
                "green" if good else "red",
                mark="✓ " if good else "✗ ",
            )
            self._screen.line(f"go on with: --resume {result.thread_id}", "dim", mark="  ")
        if not self._is_shown and self._records is None and result.is_completed:
            sys.stdout.write(f"{visible(result.text)}\n")
            sys.stdout.flush()


async def _follow(turn: Turn, outputs: list[Output], answerer: Answerer) -> None:
    async for event in turn:
        for output in outputs:
            output.show(event)
        if isinstance(event, ApprovalRequested):
            await answerer.answer(event.ticket)
            for output in outputs:
                output.settled(event.ticket)


class _Interruption:
    """Asks the server, in a task of its own, to stop a turn; whoever follows the turn then sees its end."""

    def __init__(self, turn: Turn, screen: Screen | None) -> None:
        self._turn = turn
        self._screen = screen
        self._task: asyncio.Task[object] | None = None

    def begin(self) -> None:
        if self._screen is not None:
            self._screen.line(
                "interrupting the turn; Ctrl-C again ends at once", "yellow", mark="! ", mark_style="yellow"
            )
        self._task = asyncio.create_task(self._turn.interrupt(), name="interrupt the turn")

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _require_folder(cwd: str | None) -> None:
    """Find out before anything is started."""
    if cwd is not None and not Path(cwd).expanduser().is_dir():
        raise Failure(ExitCode.USAGE, f"--cwd: {cwd!r} is not an existing folder")

"""``codex-runtime demo``: the whole main job in a quarter of a minute, on any machine that has the binary.

Everything but the model is real, the crash included. The demo checks what it shows: if anything does not come about as it
is told here, it says so and fails.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from codex_runtime.cli import _stage
from codex_runtime.cli._census import MARK, alive
from codex_runtime.cli._exits import ExitCode, Failure
from codex_runtime.cli._questions import Answer, Answerer, Keyboard, keyboard
from codex_runtime.cli._screen import Screen
from codex_runtime.cli._signals import end_at_once
from codex_runtime.cli._view import TurnView, seconds, summary
from codex_runtime.client import ApprovalRequested, Client, CommandStarted
from codex_runtime.client._version import server_version
from codex_runtime.errors import TurnError, TurnLostError
from codex_runtime.runtime import Restarted, RuntimeConfig

if TYPE_CHECKING:
    from codex_runtime.cli._signals import Signals
    from codex_runtime.client import SandboxMode, Session, TurnResult
    from codex_runtime.testing import MockModel

__all__ = ["run_demo"]

NAME = "codex-runtime"
# How long the question of the demo waits: for a person, and where there is none.
PATIENCE, IMPATIENCE = 60.0, 3.0
RESTART_LIMIT = 20.0
# How long the command runs before the server is killed.
MOMENT = 0.5


async def run_demo(signals: Signals, *, yes: bool | None, pace: float, binary: str | None) -> ExitCode:
    """Play the story. ``yes`` answers its question, ``None`` lets the person do that. Raises :class:`Failure`."""
    screen = Screen(sys.stdout)
    with keyboard(screen) as keys, tempfile.TemporaryDirectory(prefix="codex-runtime-demo-") as folder:
        stage = _stage.Stage.below(folder, pace=pace)
        demo = _Demo(screen, stage, yes=yes, keys=keys if yes is None else None, binary=binary)
        try:
            async with screen.animated(), stage.model() as model:
                await demo.play(model, signals)
        finally:
            screen.fresh_line()
        demo.sum_up()
    if demo.flaws:
        raise Failure(ExitCode.FAILED, f"the demo did not go as it should: {'; '.join(demo.flaws)}")
    return ExitCode.OK


@dataclass(slots=True)
class _Tally:
    """What is added up while the story goes on."""

    results: list[TurnResult] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    approvals: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    survivors: int = 0


class _Demo:
    def __init__(
        self, screen: Screen, stage: _stage.Stage, *, yes: bool | None, keys: Keyboard | None, binary: str | None
    ) -> None:
        self.flaws: list[str] = []
        self._screen = screen
        self._stage = stage
        self._binary = binary
        self._patience = IMPATIENCE if keys is None else PATIENCE
        fixed: Answer | None = None if yes is None else "accept" if yes else "decline"
        self._answerer = Answerer(screen, keys, fixed=fixed, patient=True)
        self._mark = uuid.uuid4().hex
        self._restarted = asyncio.Event()
        self._before: set[int] = set()  # the processes that ran when the app server was killed
        self._tally = _Tally()
        self._began = time.monotonic()

    # -- the story -----------------------------------------------------------------------------------------------

    async def play(self, model: MockModel, signals: Signals) -> None:
        """Tell it from the first chapter to the last, with a client of its own, and count who is left."""
        config = RuntimeConfig(
            binary=self._binary,
            codex_home=self._stage.prepare(model.base_url),
            env={MARK: self._mark, "TMPDIR": str(self._stage.scratch)},
            server_request_deadline=self._patience,
            on_restart=self._note_restart,
        )
        self._screen.status("starting the app server")
        async with Client(config) as client:
            signals.on_end = lambda: end_at_once(client.runtime.pid)
            self._introduce(client, model)
            async with await client.start_session(
                cwd=self._stage.workspace, approvals="stream", deadline=60.0
            ) as session:
                await self._answer(session)
                await self._approval(session)
                await self._edit(session)
                await self._crash(client, session)
                await self._memory(model, session)
            metrics = client.runtime.metrics
            self._tally.messages = metrics.messages
            self._tally.approvals = {outcome: count for outcome, count in metrics.settled.items() if count}
        self._tally.survivors = len(alive(self._mark))
        self._expect(self._tally.survivors == 0, "processes were left behind")

    def _introduce(self, client: Client, model: MockModel) -> None:
        version = ".".join(map(str, server_version(client.runtime.server_info.user_agent) or ()))
        address = model.base_url.removeprefix("http://").removesuffix("/v1")
        say = self._screen.paragraph
        say("codex-runtime demo: no login, no network, nothing of yours is touched", "bold", mark="")
        real = f"the codex {version} binary, its protocol, sandbox and processes, the crash"
        say(real, mark="  real  ", mark_style="bold green")
        say(f"the model: a script that listens on {address}", mark="  mock  ", mark_style="bold yellow")

    async def _answer(self, session: Session) -> None:
        self._chapter(1, "An answer, streamed, with the reasoning before it")
        result = await self._turn(session, _stage.LOOK)
        self._expect(bool(result.text and result.reasoning), "the answer or its reasoning is missing")

    async def _approval(self, session: Session) -> None:
        self._chapter(2, "A command that the sandbox refuses, and that needs your leave")
        await self._turn(session, _stage.COPY)
        allowed = self._stage.copied
        self._proof(
            "on disk: copy.py is there" if allowed else "on disk: there is no copy.py; without a yes, nothing happens"
        )

    async def _edit(self, session: Session) -> None:
        self._chapter(3, "An edit, in a turn that may write to the workspace")
        await self._turn(session, _stage.EDIT, sandbox="workspace-write")
        if self._expect(self._stage.edited, "the edit did not reach the disk"):
            self._proof("on disk: greet.py has the new line")

    async def _crash(self, client: Client, session: Session) -> None:
        self._chapter(4, "The app server is killed in mid-turn")
        try:
            await self._turn(session, _stage.BUILD, victim=client)
        except TurnLostError as error:
            lost = error.result
            self._screen.paragraph(str(error), "red", mark="✗ ", mark_style="red")
            kept = f"{len(' '.join(m.text for m in lost.messages).split())} words, {len(lost.commands)} command still running"
            self._screen.paragraph(f"what had arrived is kept in the error: {kept}", "dim", mark="  ")
        else:
            self._expect(False, "the turn was not lost")
        began = time.monotonic()
        self._screen.status("waiting for the restart")
        try:
            async with asyncio.timeout(RESTART_LIMIT):
                await self._restarted.wait()
        except TimeoutError:
            raise Failure(ExitCode.LOST, f"the app server was not started again within {RESTART_LIMIT:g} s") from None
        took = seconds(time.monotonic() - began)
        runtime = client.runtime
        self._proof(f"started again after {took}: generation {runtime.generation}, process {runtime.pid}")
        if self._expect(not self._before & alive(self._mark), "processes of the first app server are left"):
            self._proof(f"of the {len(self._before)} processes from before, the command included, none is left")

    async def _memory(self, model: MockModel, session: Session) -> None:
        self._chapter(5, "The same thread goes on")
        await self._turn(session, _stage.RECALL)
        request = model.requests[-1]
        asked = set(request.texts("user"))
        remembered = sum(text in asked for text in (_stage.LOOK, _stage.COPY, _stage.EDIT, _stage.BUILD))
        what = f"the model was sent {remembered} of the 4 earlier prompts, in {len(request.items)} items"
        if self._expect(remembered == 4, f"memory was lost: {what}"):  # noqa: PLR2004
            self._proof(f"memory is intact: {what}")

    # -- its parts -----------------------------------------------------------------------------------------------

    async def _turn(
        self, session: Session, prompt: str, *, sandbox: SandboxMode = "read-only", victim: Client | None = None
    ) -> TurnResult:
        """Run a turn and show it; the app server of ``victim`` is killed as soon as a command runs."""
        self._screen.paragraph(prompt, "bold cyan", mark="> ", mark_style="bold cyan")
        self._screen.status("starting the turn")
        view = TurnView(self._screen, cwd=str(self._stage.workspace), in_full=True)
        async with session.stream(prompt, sandbox=sandbox) as turn:
            async for event in turn:
                view.show(event)
                match event:
                    case ApprovalRequested(ticket):
                        await self._answerer.answer(ticket)
                        view.settled(ticket)
                    case CommandStarted() if victim is not None:
                        await asyncio.sleep(MOMENT)
                        self._strike(victim)
                    case _:
                        pass
            try:
                result = await turn.finish()
            except TurnError as error:
                self._tally.results.append(error.result)
                raise
        self._tally.results.append(result)
        self._screen.line(summary(result), "dim", mark="✓ ", mark_style="green")
        return result

    def _strike(self, victim: Client) -> None:
        pid = victim.runtime.pid
        self._before = alive(self._mark)
        text = f"SIGKILL to process {pid}, the app server, one of {len(self._before)} that are running"
        self._screen.paragraph(text, "bold red", mark="✗ ", mark_style="bold red")
        end_at_once(pid)

    def _note_restart(self, restarted: Restarted) -> None:
        self._tally.restarts.append(restarted.exit.describe())
        self._restarted.set()

    def _chapter(self, number: int, title: str) -> None:
        self._screen.line()
        self._screen.show(Rule(Text(f"{number}  {title}", "bold"), align="left", style="dim"))

    def _proof(self, text: str) -> None:
        self._screen.paragraph(text, "green", mark="✓ ", mark_style="green")

    def _expect(self, holds: bool, flaw: str) -> bool:  # noqa: FBT001
        if not holds:
            self.flaws.append(flaw)
        return holds

    # -- its end -------------------------------------------------------------------------------------------------

    def sum_up(self) -> None:
        """Write the table at the end."""
        tally = self._tally
        states = [result.status for result in tally.results]
        tokens = sum(result.usage.turn.total for result in tally.results if result.usage is not None)
        rows = {
            "turns": ", ".join(f"{states.count(status)} {status}" for status in dict.fromkeys(states)),
            "tokens": f"{tokens:,} (as the mock counts)".replace(",", " "),
            "events": f"{tally.messages} messages from the app server",
            "approvals": ", ".join(f"{count} {outcome}" for outcome, count in tally.approvals.items()) or "none",
            "restarts": f"{len(tally.restarts)} ({', '.join(tally.restarts)})",
            "time": seconds(time.monotonic() - self._began),
            "survivors": f"{tally.survivors} processes left of all that were started",
        }
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(name, value)
        self._screen.line()
        self._screen.show(Rule(Text("Summary", "bold"), align="left", style="dim"))
        self._screen.show(table)
        self._screen.line()
        name = program(sys.argv[0], os.environ.get("PATH"))
        self._screen.paragraph(f'Next, with your own login: {name} doctor, {name} run "..."', "dim", mark="")


def program(called: str, path: str | None) -> str:
    """How this command is to be called again, which is not always where PATH leads."""
    if Path(called).name != NAME or shutil.which(NAME, path=path) is not None:
        return NAME
    return shlex.quote(called)

"""Scenarios of the real ``codex app-server`` with a scripted model: what a stand-in only pretends is done to the real one.

The client is at work in a process of its own. This side watches what it reads and what runs on the machine, strikes when
what it waited for is there, and tells the judge what the process table showed: who was born, and who lived at once.

The one idea: the server is not asked to fail. It is killed, stopped and deceived from outside, as it is in real life.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import codex_cli_bin
import msgspec

from codex_runtime.testing import Exec, MockModel, Reply, Say, Stall, write_codex_home
from verification.faults.drive import Outcome, complained, employ, judged, left, marked
from verification.faults.history import Born, Called, Died, Ended, Event, Heard, Left, Said
from verification.faults.job import Job, Log
from verification.faults.scenario import KillsClient, Scenario

__all__ = ["REAL", "RealScenario", "Scene", "run_real"]

ATTEMPTS = 3
PATIENCE = 20.0
"""How long it is waited for what a strike waits for, in seconds."""

NO_DEADLINES = "has no deadlines of its own"
NO_GUARD = "never promised to end what a server started"


# -- watching and striking -------------------------------------------------------------------------------------------


class Scene:
    """What can be seen of a run from outside, and done to it."""

    def __init__(self, mark: str, worker: asyncio.subprocess.Process, log: Log) -> None:
        self.worker = worker
        self.told: list[Event] = []
        self.born: list[int] = []
        self.were_together = False
        self.has_struck = False
        self._log = log
        self._mark = mark
        self._binary = str(codex_cli_bin.bundled_codex_path())

    def servers(self) -> list[int]:
        """The app servers that run, and not what they started: a fork looks like its parent until it becomes something else."""
        alike = {pid for pid in marked(self._mark) if _words(pid)[:1] == [self._binary]}
        return sorted(pid for pid in alike if _parent(pid) not in alike)

    def tools(self) -> list[int]:
        """What the agent started: sleepers, whoever their parents are now."""
        return [pid for pid in marked(self._mark) if _words(pid)[:1] == ["sleep"]]

    async def watch(self) -> None:
        """Take note of each server, and of two that live at once."""
        while True:
            now = self.servers()
            self.born += [pid for pid in now if pid not in self.born]
            self.were_together |= len(now) > 1
            await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until it holds. Raises ``TimeoutError``."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  nobody tells what is on the machine
                await asyncio.sleep(0.005)

    async def heard(self, turn: str = "first") -> None:
        """Wait until the reader has got the first words of a turn."""
        await self.until(lambda: any(isinstance(event, Heard) and event.turn == turn for event in self._log.events))

    async def over(self, turn: str = "first") -> None:
        """Wait until the reader was told that a turn is over."""
        await self.until(lambda: any(isinstance(event, Ended) and event.turn == turn for event in self._log.events))

    async def closing(self) -> None:
        """Wait until the client is about to be closed."""
        await self.until(lambda: any(isinstance(event, Called) and event.call == "close" for event in self._log.events))

    async def at_work(self, count: int) -> None:
        """Wait until so many tools run."""
        await self.until(lambda: len(self.tools()) >= count)

    async def next_server(self, count: int) -> None:
        """Wait until so many servers have been seen."""
        await self.until(lambda: len(self.born) >= count)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to each server that runs. Raises ``TimeoutError`` if there is none: it is too late."""
        servers = self.servers()
        if not servers:
            raise TimeoutError
        self.has_struck = True
        for pid in servers:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def nothing_left_of(self, tools: list[int]) -> None:
        """What a dead server started has to go with it, not only when all is closed."""
        deadline = time.monotonic() + 1.0
        while (still := [pid for pid in tools if pid in self.tools()]) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if still:
            self.told.append(Left(things=tuple(f"process {' '.join(_words(pid))} after a restart" for pid in still)))


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return 0


def _words(pid: int) -> list[str]:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX":
            return []
    except OSError:
        return []
    return line.rstrip(b"\0").decode(errors="replace").split("\0")


# -- scenarios -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScenario(Scenario):
    """``replies`` are what the model says, one for each time that it is asked; ``said`` is prompt → text of a whole turn."""

    replies: tuple[Reply | str, ...] = ()
    said: dict[str, str] = field(default_factory=dict)
    strike: Callable[[Scene], Awaitable[None]] | None = None
    settings: str = ""
    """Put into the server's configuration."""
    in_memory: bool = False


HALF = Reply(Say("half an answer "), Stall())
WHOLE = "a whole answer"
SLEEPERS = (
    "sleep 900 & setsid -f sleep 901; nohup sleep 902 >/dev/null 2>&1 & "
    'python3 -c \'import subprocess; subprocess.run(["sleep", "903"])\' & wait'
)
TOOL = Reply(Say("I run it. "), Exec("sleep 900"))
TOOLS = Reply(Say("I run them. "), Exec(SLEEPERS))

PATIENT = Job(bound=30.0)
THRICE = Job(bound=30.0, prompts=("first", "second", "third"))
FREE = Job(bound=30.0, full_access=True)


async def _kill_speaking(scene: Scene) -> None:
    await scene.heard()
    scene.kill()


async def _kill_idle(scene: Scene) -> None:
    await scene.over()
    scene.kill()


async def _kill_working(scene: Scene) -> None:
    await scene.at_work(1)
    scene.kill()


async def _kill_all_working(scene: Scene) -> None:
    await scene.at_work(4)
    tools = scene.tools()
    scene.kill()
    await scene.nothing_left_of(tools)


async def _kill_twice(scene: Scene) -> None:
    await scene.heard()
    scene.kill()
    await scene.next_server(2)
    scene.kill()


async def _kill_closing(scene: Scene) -> None:
    await scene.closing()
    with suppress(TimeoutError):  # a good server may be quicker
        scene.kill()


async def _stop_speaking(scene: Scene) -> None:
    await scene.heard()
    scene.kill(signal.SIGSTOP)


async def _stop_closing(scene: Scene) -> None:
    await scene.over("second")
    with suppress(TimeoutError):
        scene.kill(signal.SIGSTOP)


async def _abort_speaking(scene: Scene) -> None:
    await scene.heard()
    scene.kill(signal.SIGABRT)


async def _kill_client(scene: Scene) -> None:
    await scene.at_work(4)
    scene.worker.kill()


async def _interrupt_client(scene: Scene) -> None:
    await scene.at_work(4)
    scene.worker.send_signal(signal.SIGINT)
    scene.worker.send_signal(signal.SIGINT)


async def _close_over_tools(scene: Scene) -> None:
    await scene.at_work(4)


def _real(fault: str, point: str, *replies: Reply | str, job: Job = PATIENT, **options: Any) -> RealScenario:
    said = dict.fromkeys(job.prompts, WHOLE) | {"first": "".join(map(_text, replies[:1]))}
    return RealScenario(fault=fault, point=point, replies=replies, said=said, job=job, **options)


def _text(reply: Reply | str) -> str:
    return reply if isinstance(reply, str) else "".join(part.text for part in reply.parts if isinstance(part, Say))


KILLED = KillsClient(signal=signal.SIGKILL, when=lambda _: False)
"""Says only that the client does not live to settle anything: the strike kills it."""

REAL: tuple[RealScenario, ...] = (
    _real("P1", "killed while it speaks", HALF, WHOLE, strike=_kill_speaking, first="lost"),
    _real("P1", "aborted while it speaks", HALF, WHOLE, strike=_abort_speaking, first="lost"),
    _real("P1", "killed at rest", WHOLE, WHOLE, WHOLE, job=THRICE, strike=_kill_idle, first="completed"),
    _real("P1", "killed while a tool runs", TOOL, WHOLE, strike=_kill_working, first="lost"),
    _real("P1", "killed twice in a row", HALF, WHOLE, strike=_kill_twice, first="lost"),
    _real("P1", "killed while it is closed", WHOLE, WHOLE, strike=_kill_closing, first="completed"),
    _real(
        "P1",
        "closed while it speaks",
        HALF,
        job=Job(bound=30.0, closes_after=1),
        goes_on=False,
        first="lost",
    ),
    _real("P5", "its configuration is garbage", settings="this is = not [toml", goes_on=False, first="error"),
    _real(
        "P5",
        "its configuration asks for what it refuses",
        settings='approval_policy = "untrusted"',
        goes_on=False,
        first="HandshakeError",
    ),
    _real(
        "P6",
        "stopped while it speaks",
        HALF,
        WHOLE,
        job=Job(bound=12.0, silence=2.0),
        strike=_stop_speaking,
        first="lost",
        unpromised={"I1": NO_DEADLINES, "I5": NO_DEADLINES},
    ),
    _real("P6", "stopped, and closed", WHOLE, WHOLE, strike=_stop_closing, first="completed"),
    _real(
        "P11",
        "killed over tools that would outlive it",
        TOOLS,
        WHOLE,
        job=FREE,
        strike=_kill_all_working,
        first="lost",
        unpromised={"I9": NO_GUARD},
    ),
    _real(
        "P11",
        "closed over tools that would outlive it",
        TOOLS,
        job=Job(bound=30.0, full_access=True, prompts=("first",), sleeps=5.0, cancels_after=1),
        strike=_close_over_tools,
        goes_on=False,
        unpromised={"I9": NO_GUARD},
    ),
    _real(
        "P16",
        "our own process is killed over tools that would outlive it",
        TOOLS,
        job=FREE,
        strike=_kill_client,
        kills=KILLED,
        goes_on=False,
        unpromised={"I9": NO_GUARD},
    ),
    _real(
        "P16",
        "our own process gets SIGINT twice over tools that would outlive it",
        TOOLS,
        job=FREE,
        strike=_interrupt_client,
        kills=KILLED,
        goes_on=False,
        unpromised={"I9": NO_GUARD},
    ),
)


# -- running them ----------------------------------------------------------------------------------------------------


async def run_real(scenario: RealScenario, client: str) -> Outcome:
    """Take a client through it, and judge it. If what the strike waits for never comes, nothing was tried: once more."""
    for _ in range(ATTEMPTS - 1):
        outcome, struck = await _run_once(scenario, client)
        if struck:
            return outcome
    outcome, struck = await _run_once(scenario, client)
    return outcome if struck else msgspec.structs.replace(outcome, first="not struck", violations=())


async def _run_once(scenario: RealScenario, client: str) -> tuple[Outcome, bool]:
    with tempfile.TemporaryDirectory() as folder:
        async with MockModel(*scenario.replies, default=WHOLE) as model:
            home = _home(Path(folder, "home"), model.base_url, scenario)
            command = (str(codex_cli_bin.bundled_codex_path()), "app-server")
            job = msgspec.structs.replace(scenario.job, command=command)
            mark, began = secrets.token_hex(8), time.monotonic()
            scenes: list[Scene] = []

            async def meanwhile(worker: asyncio.subprocess.Process, log: Log) -> None:
                scenes.append(scene := Scene(mark, worker, log))
                watching = asyncio.ensure_future(scene.watch())
                try:
                    if scenario.strike is not None:
                        with suppress(TimeoutError):
                            await scenario.strike(scene)
                            scene.has_struck = True
                    await watching
                finally:
                    watching.cancel()

            log, complaints = await employ(client, job, mark=mark, meanwhile=meanwhile, CODEX_HOME=str(home))
            ends = [*await left(mark), *complained(complaints, scenario)]
        scene = scenes[0]
        history = [*log.events, *_lives(scene), *scene.told, *ends]
        outcome = judged(scenario, client, [*_said(scenario), *history], time.monotonic() - began)
        return outcome, scene.has_struck or scenario.strike is None


def _home(home: Path, base_url: str, scenario: RealScenario) -> Path:
    write_codex_home(home, base_url, sandbox="danger-full-access" if scenario.job.full_access else None)
    if scenario.settings:
        config = home / "config.toml"
        config.write_text(f"{scenario.settings}\n{config.read_text(encoding='utf-8')}", encoding="utf-8")
    return home


def _said(scenario: RealScenario) -> Iterator[Event]:
    for prompt, text in scenario.said.items():
        yield Said(turn=prompt, text=text)


def _lives(scene: Scene) -> Iterator[Event]:
    for generation, _ in enumerate(scene.born):
        yield Born(generation=generation)
        if not scene.were_together:
            yield Died(generation=generation)

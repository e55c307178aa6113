"""A stand-in for ``codex app-server``: it speaks its wire, does what a script says, and keeps a record of everything.

It lets a client be tested without the binary, without a model and without waiting; and it fails on command, at any point,
in any of the ways in which processes and pipes fail. The rules of the wire are in ``_fake_core``.

The one idea: a :class:`FakeAppServer` is a launcher and a disk. Each launch is a new process with new ids and no memory;
the threads, the orders of the test and the record outlive it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

from codex_runtime._io.clock import Clock, LoopClock
from codex_runtime._io.process import ProcessLauncher, ProcessSpec
from codex_runtime.testing._fake_core import FakeServerCore
from codex_runtime.testing._fake_log import Answer, Asked, History, Received
from codex_runtime.testing._fake_memory import Ending, MemoryBody
from codex_runtime.testing._fake_orders import Death, Handler, Moment, Orders, Refusal, ReplyOrder
from codex_runtime.testing._fake_process import PuppetBody, PuppetHost, PuppetMaster
from codex_runtime.testing._fake_script import (
    ANYTIME,
    Die,
    Grandchild,
    Script,
    Step,
)
from codex_runtime.testing._fake_session import FakeSession
from codex_runtime.testing._fake_threads import FakeDisk
from codex_runtime.testing._memory_link import MemoryLink

if TYPE_CHECKING:
    from codex_runtime._io.transport import Receiver, Transport
    from codex_runtime.testing._gate import Gate

__all__ = ["FakeAppServer"]


@final
class FakeAppServer:
    r"""A scripted app server; give it to a runtime as its launcher.

    Scripts given here or to :meth:`on_turn` are used once each, in order, by whichever turn begins; then ``default`` is.
    ``chunk`` cuts what the server writes into pieces of at most that many bytes. ``clock`` is what its pauses wait on
    and its dates come from.

    It lives in memory, or with ``process=True`` as a real process, where signals, pipes and orphans are real too: the
    same scripts, the same orders, the same record. That one must be entered (``async with``) before it is launched.

    Faults are steps of a script, orders given ahead (:meth:`die_at`, :meth:`overload`, :meth:`never_answer`,
    :meth:`hold_answer`, :meth:`fail_next_launch`) or happen now (:meth:`play`, :meth:`die`). The record is in
    :attr:`received`, :attr:`asked` and :attr:`answers`. It belongs to one event loop, though it may be made before.

    Example::

        fake = FakeAppServer(Script(Command("ls", output="a.txt\n", approval=True), Say("One file.")))
        async with Runtime(RuntimeConfig(launcher=fake)) as runtime:
            ...
        assert fake.answers[0].decision == "decline"
    """

    def __init__(
        self,
        *scripts: Script | str,
        default: Script | str = "Hello!",
        chunk: int | None = None,
        clock: Clock | None = None,
        process: bool = False,
    ) -> None:
        if chunk is not None and chunk < 1:
            raise ValueError("a chunk has at least 1 byte")
        self._orders = Orders(default=Script.of(default))
        self._history = History()
        self._disk = FakeDisk()
        self._clock: Clock = LoopClock() if clock is None else clock
        self._chunk = chunk
        self._launch_errors: deque[Exception] = deque()
        self._live: dict[int, tuple[FakeSession, MemoryBody | PuppetBody]] = {}
        self._past: list[FakeSession] = []
        self._unheard: FakeSession | None = None
        self._changed = asyncio.Event()
        master = PuppetMaster(born=self._reported, bore=self._bore, gone=self._gone)
        self._host = PuppetHost(master) if process else None
        self._is_open = False
        self._grandchildren: list[int] = []
        for step in self._orders.default.steps:
            self._check(step)
        self.on_turn(*scripts)

    def __repr__(self) -> str:
        """Show how far it has come."""
        return f"<FakeAppServer launches={self.launches} received={len(self.received)} alive={len(self._live)}>"

    # -- the record --------------------------------------------------------------------------------------------------

    @property
    def received(self) -> Sequence[Received]:
        """Every line that clients wrote, over all generations, in order; what could not be read as well."""
        return self._history.received

    @property
    def asked(self) -> Sequence[Asked]:
        """Every request that the server made of clients. Their ids begin at 0 in each generation."""
        return self._history.asked

    @property
    def answers(self) -> Sequence[Answer]:
        """Every answer to such a request, also those that came twice, too late or to the wrong generation."""
        return self._history.answers

    @property
    def launches(self) -> int:
        """How many generations have started. The number of the latest is one less."""
        return self._history.launches

    @property
    def most_alive(self) -> int:
        """The largest number of generations that were alive at the same time; a good client keeps it at 1."""
        return self._history.most_alive

    @property
    def lines_sent(self) -> int:
        """How many lines the server wrote, good and bad, over all generations."""
        return self._history.lines_sent

    def requests(self, method: str) -> list[Received]:
        """What was received with this method, in order."""
        return [entry for entry in self.received if entry.method == method]

    async def wait_for(self, method: str, count: int = 1, *, timeout: float = 10.0) -> Received:
        """Wait until that many messages with this method were received, and return the last of them.

        Raises ``TimeoutError`` after ``timeout`` seconds of real time.
        """
        await self.until(lambda: len(self.requests(method)) >= count, timeout=timeout)
        return self.requests(method)[count - 1]

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Wait until ``condition()`` holds; it is looked at after everything that the server receives or lives through.

        Raises ``TimeoutError`` after ``timeout`` seconds of real time.
        """
        async with asyncio.timeout(timeout):
            while not condition():
                await self._changed.wait()

    # -- what it does ------------------------------------------------------------------------------------------------

    def on_turn(self, *scripts: Script | str, match: str | None = None) -> None:
        """Line up scripts for the next turns, whichever thread they are of; with ``match`` for those whose text has it.

        Example: ``fake.on_turn("first answer", Script(Command("ls"), Say("second answer")))``
        """
        made = [Script.of(script) for script in scripts]
        for step in (step for script in made for step in script.steps):
            self._check(step)
        if match is None:
            self._orders.scripts.extend(made)
        else:
            self._orders.rules.append((match, deque(made)))

    def on_request(self, method: str, answer: Mapping[str, object] | Refusal | Handler) -> None:
        """Answer a method this way from now on: with a result, a refusal, or whatever a function of the parameters says.

        For methods that the fake does not know, and instead of those that it does.

        Example: ``fake.on_request("skills/list", {"data": []})``
        """
        self._orders.handlers[method] = answer if callable(answer) else lambda _params: answer

    def play(self, *steps: Step) -> None:
        """Do something now, outside of any turn: send a message, garbage, or something to the process.

        Raises ``RuntimeError`` if no generation is alive, ``ValueError`` for a step that needs a turn.

        Example: ``fake.play(Notify("account/updated", {"authMode": None, "planType": None}))``
        """
        for step in steps:
            if not isinstance(step, ANYTIME):
                raise ValueError(f"only a turn can play {step!r}")  # noqa: TRY004  the type is fine, the moment is not
            self._check(step)
        self._latest().play(steps)

    def die(self, *, signal: int | None = None, code: int | None = None) -> None:
        """End the latest generation now: by a signal (SIGKILL unless said otherwise), or with an exit status."""
        self.play(Die(signal=signal, code=code))

    def disconnect(self) -> None:
        """Lose the connection to the latest generation, which lives on: the next launch connects to it again.

        So does a server that listens on a socket. What it says meanwhile, nobody hears. Only for one in memory.
        """
        session, body = self._live[max(self._live)]
        if not isinstance(body, MemoryBody):
            raise RuntimeError("a process has no connection but its pipes")  # noqa: TRY004  the type is fine
        session.disconnect()
        self._unheard = session
        body.link.break_off()

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def die_at(
        self,
        method: str,
        moment: Moment = "after",
        *,
        signal: int | None = None,
        code: int | None = None,
        times: int = 1,
    ) -> None:
        """End the process around a message with this method, in whichever direction it goes, the next ``times`` times.

        For a request or notification of the client ``"before"`` is when it was read and not acted upon, ``"during"``
        when half of its answer was written, ``"after"`` when the answer was. For a message of the server they are before
        it is written, when half of it is, and when it is. ``die_at("launch", "before")`` is before anything is read.

        Example: ``fake.die_at("turn/started", signal=signal.SIGSEGV)``
        """
        self._orders.deaths.append(Death(method, moment, Die(signal=signal, code=code), times))

    def overload(self, times: int = 1, *, method: str | None = None) -> None:
        """Refuse the next requests (of this method) with -32001, as a server does that has no room."""
        self._orders.replies.append(ReplyOrder(method, "overload", times))

    def never_answer(self, method: str | None = None, *, times: int | None = 1, handled: bool = False) -> None:
        """Do not answer the next requests (of this method); ``times=None``: none from now on.

        They have no effect either, unless ``handled``: then everything happens but the answer.
        """
        self._orders.replies.append(ReplyOrder(method, "drop" if handled else "swallow", times))

    def hold_answer(self, method: str, gate: Gate, *, times: int = 1) -> None:
        """Do what the next requests of this method say, and answer them only when the gate opens."""
        self._orders.replies.append(ReplyOrder(method, "hold", times, gate))

    def fail_next_launch(self, error: Exception) -> None:
        """Have the next launch raise this instead of starting anything; call it again for the one after."""
        self._launch_errors.append(error)

    # -- being launched ----------------------------------------------------------------------------------------------

    async def launch(self, receiver: Receiver, /) -> Transport:
        """Start a generation.

        Raises ``RuntimeError`` for a process that was not entered, and what :meth:`fail_next_launch` ordered.
        """
        await asyncio.sleep(0)
        if self._launch_errors:
            raise self._launch_errors.popleft()
        if self._host is not None:
            return await ProcessLauncher(ProcessSpec(argv=self.argv)).launch(receiver)
        link = MemoryLink(receiver, chunk=self._chunk)
        body = MemoryBody(link)
        if (unheard := self._unheard) is not None:
            session, self._unheard = unheard, None
            self._live[session.core.generation] = (session, body)
        else:
            session = self._born(body, pid=os.getpid())
        link.serve(Ending(session, lambda: self._gone(session)))
        if unheard is None:
            session.start(body)
        else:
            session.connect(body)
        return link

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of the process, for a launcher of your own; further arguments are ignored.

        Raises ``RuntimeError`` for a fake that is no process or was not entered.
        """
        if self._host is None or not self._is_open:
            raise RuntimeError("make it with process=True and enter it: async with FakeAppServer(process=True) as fake")
        return self._host.argv

    def install(self, path: str | Path) -> Path:
        """Write a program to ``path`` that can be run in the place of ``codex``, and return its absolute path.

        It knows ``--version``; whatever else it is asked to do, it is this app server. Raises as :attr:`argv` does.
        """
        program = Path(path).absolute()
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self.argv)} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        return program

    @property
    def grandchildren(self) -> Sequence[int]:
        """The process ids of all that :class:`Grandchild` started."""
        return self._grandchildren

    async def __aenter__(self) -> Self:
        """Listen for the process, if it is to be one; :meth:`aclose` is called at the end."""
        if self._host is not None:
            await self._host.open()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """End what is still alive and wait until nothing of it runs. Safe to call again."""
        for _, body in list(self._live.values()):
            body.kill()
        if self._unheard is not None:
            self._unheard.close()
            self._gone(self._unheard)
        if self._host is not None and self._is_open:
            await self._host.aclose()
        self._is_open = False
        for session in self._past:
            await session.closed()
        self._past.clear()

    def _reported(self, body: PuppetBody) -> FakeSession:
        for session, other in list(self._live.values()):
            if isinstance(other, PuppetBody) and other.is_dead:
                session.close()  # its connection has not ended yet
                self._gone(session)
        return self._born(body, pid=body.pid)

    def _bore(self, pid: int) -> None:
        self._grandchildren.append(pid)
        self._tell()

    def _born(self, body: MemoryBody | PuppetBody, *, pid: int) -> FakeSession:
        core = FakeServerCore(
            generation=self._history.born(),
            disk=self._disk,
            orders=self._orders,
            history=self._history,
            wall=self._clock.wall,
            pid=pid,
        )
        session = FakeSession(core, self._clock, self._tell)
        self._live[core.generation] = (session, body)
        return session

    def _gone(self, session: FakeSession) -> None:
        if self._live.pop(session.core.generation, None) is not None and session.is_busy:
            self._past.append(session)
        self._tell()

    def _latest(self) -> FakeSession:
        if not self._live:
            raise RuntimeError("no app server is alive")
        return self._live[max(self._live)][0]

    def _check(self, step: Step) -> None:
        if isinstance(step, Grandchild) and self._host is None:
            raise ValueError(f"only a real process can play {step!r}")

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

"""How a contract test tells any of the three servers what to do, in the same words."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Protocol, Self

from codex_runtime import Client, RestartPolicy, RuntimeConfig
from codex_runtime.testing import (
    Command,
    Exec,
    FailTurn,
    FakeAppServer,
    Hold,
    MockModel,
    Reply,
    Say,
    Script,
    Stall,
    write_codex_home,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from codex_runtime.testing import Gate

AT_ONCE = RestartPolicy(backoff=0.0, max_backoff=0.0, budget=100)
COMMAND = "touch it"


class Server(Protocol):
    """A server whose next turns can be lined up; each method adds one."""

    client: Client

    def says(self, text: str) -> None:
        """A turn that says this."""

    def says_around(self, first: str, gate: Gate, second: str) -> None:
        """A turn that says something, waits at the gate, and says more."""

    def hangs_after(self, text: str) -> None:
        """A turn that says this and then nothing, for ever."""

    def fails(self) -> None:
        """A turn that fails because the limit of the plan is reached."""

    def runs_a_command(self, after: str) -> None:
        """A turn that wants to run COMMAND and, if the turn goes on, says something."""

    def dies(self) -> None:
        """End the app server now, by SIGKILL."""


class FakeServer:
    """The fake, in memory or as a process."""

    def __init__(self, *, process: bool) -> None:
        self._fake = FakeAppServer(process=process)
        self.client = Client(RuntimeConfig(launcher=self._fake, restart=AT_ONCE))

    async def open(self) -> AsyncIterator[Self]:
        """Enter both."""
        async with self._fake, self.client:
            yield self

    def says(self, text: str) -> None:
        """Say."""
        self._fake.on_turn(text)

    def says_around(self, first: str, gate: Gate, second: str) -> None:
        """Hold."""
        self._fake.on_turn(Script(Say(first), Hold(gate), Say(second)))

    def hangs_after(self, text: str) -> None:
        """Stall."""
        self._fake.on_turn(Script(Say(text), Stall()))

    def fails(self) -> None:
        """Fail."""
        self._fake.on_turn(Script(FailTurn("You have hit your usage limit.", info="usageLimitExceeded")))

    def runs_a_command(self, after: str) -> None:
        """Ask."""
        self._fake.on_turn(Script(Command(COMMAND, approval=True), Say(after)))

    def dies(self) -> None:
        """Kill."""
        self._fake.die()


class RealServer:
    """The real one, whose model is scripted."""

    def __init__(self, binary: Path, home: Path, workspace: Path) -> None:
        self._model = MockModel()
        self._home = home
        self._workspace = workspace
        self.client = Client(RuntimeConfig(binary=binary, codex_home=home, restart=AT_ONCE, cwd=workspace))

    async def open(self) -> AsyncIterator[Self]:
        """Enter both."""
        async with self._model:
            write_codex_home(self._home, self._model.base_url)
            async with self.client:
                yield self

    def says(self, text: str) -> None:
        """Say."""
        self._model.enqueue(text)

    def says_around(self, first: str, gate: Gate, second: str) -> None:
        """Two messages in one reply."""
        self._model.enqueue(Reply(Say(first), Hold(gate), Say(second)))

    def hangs_after(self, text: str) -> None:
        """Stall."""
        self._model.enqueue(Reply(Say(text), Stall()))

    def fails(self) -> None:
        """The service's answer for it."""
        self._model.enqueue(Reply.usage_limit())

    def runs_a_command(self, after: str) -> None:
        """Call the tool; what comes after is a reply of its own."""
        self._model.enqueue(Reply(Exec(COMMAND)), after)

    def dies(self) -> None:
        """Kill."""
        os.kill(self.client.runtime.pid or 0, signal.SIGKILL)
